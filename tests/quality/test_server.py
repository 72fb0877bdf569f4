"""The page is for who has its address; and nothing that is sent stops the server."""

import contextlib
import os
import re
import socket
import threading
import time

import pytest

from msnmo.quality import server as module
from tests.quality.served import Rater, request

OUTSIDE = "outside of the folder"


def test_the_printed_address_lets_in_and_is_forgotten(server):
    port, secret = server.server_address[1], server.secret
    status, headers, _ = request(port, "GET", f"/?token={secret}")
    folder, cookie = headers["Location"], headers["Set-Cookie"]
    assert (status, folder) == (303, server.folder)
    # within the folder: or the browser would send it to the servers of others, on other ports
    assert re.fullmatch("/[0-9a-f]{16}/", folder)
    assert cookie == f"msnmo-rate-{port}={secret}; Path={folder}; HttpOnly; SameSite=Strict"
    sent = {"Cookie": cookie.partition(";")[0]}
    status, _, page = request(port, "GET", folder, headers=sent)
    assert status == 200
    assert secret not in page.decode()
    # through ssh the browser knows the page by another port
    far = {"Host": "localhost:9000"}
    cookie = request(port, "GET", f"/?token={secret}", headers=far)[1]["Set-Cookie"]
    assert cookie.startswith("msnmo-rate-9000=")
    assert request(port, "GET", folder, headers=far | {"Cookie": f"a=b; {cookie}"})[0] == 200


@pytest.mark.parametrize(
    "token", ["", "a", "A" * 43, "%C3%A9", "%ff", "%00", "x&token=y", "x" * 20_000]
)
def test_another_token_does_not_let_in(server, token):
    status, headers, _ = request(server.server_address[1], "GET", f"/?token={token}")
    assert (status, headers["Set-Cookie"]) == (403, None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/index.html", "/decisions", "/sub-1/sub-1.png", "/none"])
def test_another_user_of_the_machine_sees_nothing(server, method, path):
    for cookie in ("", "msnmo-rate-{port}", "msnmo-rate-{port}=x", ";;;=;=\xe9", "a=b"):
        sent = {"Cookie": cookie.format(port=server.server_address[1])}
        for folder in ("", server.folder.rstrip("/")):
            address = f"{folder}{path}"
            status, _, said = request(server.server_address[1], method, address, headers=sent)
            assert status == 403
            assert said in (b"", f"{module.CLOSED}\n".encode())


def test_another_user_of_the_machine_rates_nothing(server, rater):
    other = Rater(rater.port, rater.folder, "", rater.token)
    assert other.decide()[0] == 403
    # with the cookie, which a page of another site would have the browser send
    for token in ("", "wrong", "\xe9\xff", server.secret):
        assert Rater(rater.port, rater.folder, rater.cookie, token).decide() == (
            403,
            "not from this page: load it again\n",
        )
    assert not server.rating.decisions.exists()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1", "[::1]:1"]
)
def test_another_name_of_this_machine_is_refused(server, rater, method, host):
    if method == "POST":
        assert rater.post('{"scan": "sub-1", "decision": "keep"}', Host=host)[0] == 403
        assert not server.rating.decisions.exists()
    else:
        for path in ("/", "/sub-1/sub-1.png", f"/?token={server.secret}"):
            assert rater.ask(path, method, Host=host)[0] == 403


def test_one_host_is_named(rater):
    cookie = f"Cookie: {rater.cookie}\r\n"
    line = f"GET {rater.folder}/ HTTP/1.0\r\n"
    assert b" 403 " in rater.send(f"{line}{cookie}\r\n".encode())
    two = f"{line}Host: localhost:{rater.port}\r\nHost: evil\r\n{cookie}\r\n"
    assert b" 403 " in rater.send(two.encode())
    one = f"{line}Host: localhost:{rater.port}\r\n{cookie}\r\n"
    assert b" 200 " in rater.send(one.encode())


def test_every_answer_is_closed_to_frames_and_caches(server, rater):
    answers = [rater.ask(path) for path in ("/", "/decisions", "/sub-1/sub-1.png", "/none")]
    answers += [request(rater.port, "GET", "/"), rater.ask("/", "DELETE"), rater.ask("/", "HEAD")]
    for _, headers, _ in answers:
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert {name: headers[name] for name in module.HEADERS} == module.HEADERS
        assert headers["Server"].strip() == "msnmo"


def test_the_script_of_the_page_alone_may_run(server, rater):
    _, headers, page = rater.ask("/")
    (nonce,) = re.findall(r"script-src 'nonce-([^']+)'", headers["Content-Security-Policy"])
    assert re.findall(r"<script[^>]*>", page.decode()) == [f'<script nonce="{nonce}">']


@pytest.mark.parametrize(
    "path",
    [
        *("/../cohort.tsv", "/%2e%2e/cohort.tsv", "/sub-1/../../cohort.tsv", "/..%2fsecret.png"),
        *("/%252e%252e/secret.png", "//etc/passwd", "/sub-1/", "/sub-1", "/quality.tsv"),
        *(
            "/sub-1/sub-1.json",
            "//",
            "/./",
            "/decisions/",
            "/a%00.png",
            "/%00",
            "/sub-1%0d%0aSet-Cookie:a=b",
            "/%ff.png",
        ),
        *("/link.png", "/folder/secret.png", "/loop.png", "/pipe.png", "/dir.png"),
        *(f"/{'a' * 300}.png", "/\\..\\secret.png", "http://[::1/", "*"),
    ],
)
def test_pictures_of_the_page_are_served_and_nothing_else(server, rater, tmp_path, path):
    folder = server.rating.folder
    (tmp_path / "secret.png").write_text(OUTSIDE)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "within.png").symlink_to("sub-1/sub-1.png")
    (folder / "dir.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    head = f"Host: localhost:{rater.port}\r\nCookie: {rater.cookie}\r\n\r\n"
    answer = rater.send(f"GET {rater.folder}{path} HTTP/1.0\r\n{head}".encode())
    assert answer.startswith(b"HTTP/1.0 404 ")
    assert OUTSIDE.encode() not in answer
    assert b"\nSet-Cookie" not in answer
    for there in ("/sub-1/sub-1.png", "/within.png"):
        assert rater.ask(there)[::2] == (200, b"\x89PNG picture")
    assert rater.ask("/sub-1/sub-1.png", "HEAD")[::2] == (200, b"")


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "<script>"]
)
def test_no_other_method_is_known(rater, method):
    answer = rater.send(f"{method} / HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.0 501 ")
    assert b"<script>" not in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "body",
    [
        *("", "[1]", "{", "{}", "null", "NaN", "[" * 9000, "1" * 9000, b"\xff\xfe"),
        *('{"scan": "sub-1"}', '{"decision": "keep"}', "x" * 900_000),
    ],
    ids=lambda body: ascii(body[:20]),
)
def test_a_body_that_is_no_decision_is_refused(server, rater, body):
    assert rater.post(body)[0] == 400
    assert not server.rating.decisions.exists()


@pytest.mark.parametrize("length", ["-1", "abc", "1_0", "\u0663", "9" * 11, "0", "+5", "", "1e3"])
def test_a_length_that_is_none_is_refused(rater, length):
    head = f"POST {rater.folder}/decisions HTTP/1.0\r\nHost: localhost:{rater.port}\r\n"
    head += f"X-Token: {rater.token}\r\nCookie: {rater.cookie}\r\nContent-Length: {length}\r\n\r\n"
    assert rater.send(head.encode()).startswith(b"HTTP/1.0 400 ")


def test_decisions_go_to_one_address(rater):
    headers = {"Cookie": rater.cookie, "X-Token": rater.token}
    for address in ("/", "/decisions", rater.folder, f"{rater.folder}/decisions/"):
        assert request(rater.port, "POST", address, "{}", headers)[0] == 404


def test_requests_that_are_none_are_answered_in_a_word(rater):
    assert b" 414 " in rater.send(b"GET /" + b"a" * 65_536 + b" HTTP/1.0\r\n\r\n")[:20]
    many = b"".join(b"X-%d: a\r\n" % number for number in range(101))
    assert b" 431 " in rater.send(b"GET / HTTP/1.0\r\n" + many + b"\r\n")[:20]
    assert b"<article" not in rater.send(b"GET /\r\n\r\n")
    assert b"<article" not in rater.send(bytes(range(256)))
    assert rater.ask("/")[0] == 200


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_silent_connections_crowd_out_nobody(server, rater, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 10)
    before = threading.active_count()
    silent = [connect(rater.port) for _ in range(100)]
    start = time.monotonic()
    assert rater.ask("/")[0] == 200
    assert time.monotonic() - start < 5
    wait_for(lambda: threading.active_count() - before <= 10)
    monkeypatch.setattr(module, "SECONDS_TO_ASK", 0.1)
    wait_for(lambda: threading.active_count() <= before)
    for each in silent:
        each.close()


@pytest.mark.parametrize("start", ["GET / HTTP/1.0\r\n", "POST /decisions HTTP/1.0\r\n"])
def test_a_request_that_trickles_in_is_ended(server, rater, monkeypatch, start):
    monkeypatch.setattr(module, "SECONDS_TO_ASK", 0.5)
    with connect(rater.port) as slow:
        began = time.monotonic()
        slow.sendall(start.encode())
        if start.startswith("POST"):
            slow.sendall(b"Content-Length: 5000\r\n\r\n")
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 10:
                slow.sendall(b"a")
                time.sleep(0.05)
        assert time.monotonic() - began < 5
    assert rater.ask("/")[0] == 200


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_error_of_ours_is_told_in_a_line(server, rater, monkeypatch, capfd):
    def fail(path):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(server.rating, "picture", fail)
    with pytest.raises(OSError):  # noqa: PT011 - the connection ends
        rater.ask("/none")
    assert rater.ask("/")[0] == 200
    assert capfd.readouterr().err == (
        "msnmo: a request could not be answered: ZeroDivisionError: of ours\n"
    )
