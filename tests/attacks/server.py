"""Requests to a rating server from who has no business there, or sends what nobody should."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msnmo.cohort.decisions import read_decisions
from msnmo.core.files import write_tsv
from msnmo.quality.overview import main as make_page
from msnmo.quality.rate import main as rate
from tests.attacks.attack import Attack, Place, refused
from tests.quality.conftest import NUMBERS
from tests.quality.served import Rater, request

OUTSIDE = "outside of the folder"


@dataclass(frozen=True)
class Served:
    """A server in a process of its own, for all attacks; and what is outside of its folder."""

    rater: Rater
    secret: str
    decisions: Path
    process: Any

    def holds(self) -> None:
        """Hold if the page is still there and nobody's decision was written."""
        assert self.process.poll() is None, "the server has ended"
        assert self.rater.ask("/")[0] == 200
        if self.decisions.exists():
            said = self.decisions.read_text(encoding="utf-8")
            self.decisions.unlink()  # lest the attacks that follow be blamed
            raise AssertionError(f"a decision was written: {said}")


def page_of(folder: Path, count: int = 3) -> Path:
    """Write a quality page of scans, and beside it what nobody should get at."""
    import pandas as pd

    quality = folder / "quality"
    rows = []
    for number in range(1, count + 1):
        place = quality / f"sub-{number}"
        place.mkdir(parents=True)
        content = {"engine": "surface", "flags": [], "scan": f"sub-{number}", "numbers": NUMBERS}
        (place / f"sub-{number}.json").write_text(json.dumps(content))
        (place / f"sub-{number}.png").write_bytes(b"\x89PNG picture")
        rows.append((f"sub-{number}", "MS", "A", "no"))
    table = pd.DataFrame(rows, columns=["scan", "diagnosis", "site", "simulated"])
    write_tsv(folder / "cohort.tsv", table)
    make_page(
        [
            *("--cohort", str(folder / "cohort.tsv")),
            *("--numbers", f"{quality}/{{folder}}/{{scan}}.json"),
            *("--pictures", f"{quality}/{{folder}}/{{scan}}.png"),
            *("--out-table", str(quality / "quality.tsv")),
            *("--out-page", str(quality / "index.html")),
        ]
    )
    (folder / "secret.png").write_text(OUTSIDE)
    (quality / "link.png").symlink_to(folder / "secret.png")
    (quality / "folder").symlink_to(folder)
    (quality / "loop.png").symlink_to("loop.png")
    (quality / "dir.png").mkdir()
    os.mkfifo(quality / "pipe.png")
    return quality / "index.html"


def _asking(ask: Callable[[Served], tuple[bool, object]]) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        served = place.get("served")
        held, said = ask(served)
        assert held, said
        served.holds()

    return run


def _status(*expected: int, **asked: Any) -> Callable[[Place], None]:
    """Ask without the secret, unless headers bring it."""

    def ask(served: Served) -> tuple[bool, object]:
        told = {name: value for name, value in asked.items() if name != "path"}
        path = asked.get("path", "/").format(folder=served.rater.folder)
        status, headers, body = request(served.rater.port, told.pop("method", "GET"), path, **told)
        held = status in expected and OUTSIDE.encode() not in body and b"<article" not in body
        return held and "Set-Cookie" not in headers, (status, body[:200])

    return _asking(ask)


def _path(path: str, method: str = "GET") -> Callable[[Place], None]:
    """Ask with the secret for what is no picture of the page."""

    def ask(served: Served) -> tuple[bool, object]:
        rater = served.rater
        head = f"Host: localhost:{rater.port}\r\nCookie: {rater.cookie}\r\n\r\n"
        answer = rater.send(f"{method} {rater.folder}{path} HTTP/1.0\r\n{head}".encode())
        held = answer.startswith((b"HTTP/1.0 4", b"HTTP/1.0 501"))
        return held and OUTSIDE.encode() not in answer and b"\nSet-Cookie" not in answer, answer

    return _asking(ask)


def _host(method: str, host: str) -> Callable[[Place], None]:
    def ask(served: Served) -> tuple[bool, object]:
        if method == "POST":
            status = served.rater.post('{"scan": "sub-1", "decision": "keep"}', Host=host)[0]
        else:
            status = served.rater.ask("/sub-1/sub-1.png", method, Host=host)[0]
        return status in (400, 403), status

    return _asking(ask)


def _body(body: str | bytes) -> Callable[[Place], None]:
    def ask(served: Served) -> tuple[bool, object]:
        try:
            status, said = served.rater.post(body)
        except (ConnectionError, OSError) as error:  # cut off while it was still sending
            return len(body) > 1_000_000, error
        return 400 <= status < 500 and bool(said), (status, said)

    return _asking(ask)


def _decision(**changes: object) -> Callable[[Place], None]:
    return _body(json.dumps({"scan": "sub-1", "decision": "exclude"} | changes))


def _raw(data: bytes, *, with_secret: bool = True) -> Callable[[Place], None]:
    """Send bytes; {folder} and {cookie} are put in; the page must not come back."""

    def ask(served: Served) -> tuple[bool, object]:
        rater = served.rater
        known = {
            b"{folder}": rater.folder.encode(),
            b"{cookie}": f"Cookie: {rater.cookie}\r\n".encode() if with_secret else b"",
            b"{token}": rater.token.encode(),
            b"{port}": str(rater.port).encode(),
        }
        sent = data
        for name, value in known.items():
            sent = sent.replace(name, value)
        try:
            answer = rater.send(sent)
        except ConnectionError as error:
            return True, error
        # before HTTP/1.0 answers had no status
        refusal = not answer.startswith(b"HTTP/") or answer[9:10] in (b"4", b"5")
        return refusal and b"<article" not in answer and len(answer) < 2000, answer[:300]

    return _asking(ask)


def _text(column: str, text: str) -> Callable[[Place], None]:
    """No text of a rater makes the table unreadable."""

    def run(place: Place) -> None:
        served = place.get("served")
        try:
            status, _ = served.rater.decide(**{column: text})
            assert status in (200, 400), status
            if served.decisions.exists():
                table = read_decisions(served.decisions)
                assert len(table) <= 1
                content = served.decisions.read_text(encoding="utf-8")
                assert not [each for each in "\0\x1b\u2028\u202e" if each in content]
                assert not [cell for cell in content.split("\t") if cell.startswith(("=", "+"))]
        finally:
            served.decisions.unlink(missing_ok=True)
        served.holds()

    return run


def _table(make: Callable[[Path], object]) -> Callable[[Place], None]:
    """A table of decisions that is damaged is told of, and left as it is."""

    def run(place: Place) -> None:
        served = place.get("served")
        try:
            make(served.decisions)
            status, said = served.rater.decide()
            assert said.strip(), "no word of it on the page"
            if status == 200:  # what was called saved is there
                assert read_decisions(served.decisions)["scan"].tolist() == ["sub-1"]
            else:
                assert status >= 500, status
        finally:
            if served.decisions.is_dir() and not served.decisions.is_symlink():
                served.decisions.rmdir()
            served.decisions.unlink(missing_ok=True)
        served.holds()

    return run


def _silent(count: int) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        served = place.get("served")
        idle = [
            socket.create_connection(("127.0.0.1", served.rater.port), timeout=20)
            for _ in range(count)
        ]
        start = time.monotonic()
        try:
            served.holds()
            assert time.monotonic() - start < 10
        finally:
            for each in idle:
                each.close()

    return run


def _option(*options: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        page = page_of(place.given)
        given = ["--page", page, "--decisions", place.out / "d.tsv", *options]
        refused(place.run(rate, *given))

    return run


HOSTS = ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1", "[::1]:1")
TOKENS = {
    "empty": "",
    "short": "a",
    "wrong": "A" * 43,
    "not ASCII": "%C3%A9",
    "invalid UTF-8": "%ff",
    "NUL": "%00",
    "two": "x&token=y",
    "long": "x" * 20_000,
}
COOKIES = ("msnmo-rate={x}", "msnmo-rate-1=x", ";;;=;=\xe9", "a=b; c", "=" * 5000)
PATHS = (
    *("/../secret.png", "/%2e%2e/secret.png", "/sub-1/../../secret.png", "/..%2fsecret.png"),
    *("/%252e%252e/secret.png", "//etc/passwd", "/sub-1/", "/sub-1", "/quality.tsv", "//", "/./"),
    *("/sub-1/sub-1.json", "/decisions/", "/a%00.png", "/%00", "/%ff.png", "/link.png"),
    *("/sub-1%0d%0aSet-Cookie:a=b", "/folder/secret.png", "/loop.png", "/pipe.png", "/dir.png"),
    *("/\\..\\secret.png", "/.decisions.tsv.lock", "/index.html/../../cohort.tsv", "*"),
    f"/{'a' * 300}.png",
)
METHODS = ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "<script>", "get")
BODIES: dict[str, str | bytes] = {
    "empty": "",
    "a list": "[1]",
    "half": "{",
    "an object of nothing": "{}",
    "null": "null",
    "NaN": "NaN",
    "nested": "[" * 9000,
    "a long number": "1" * 9000,
    "invalid UTF-8": b"\xff\xfe",
    "UTF-16 cut off": '{"scan": "sub-1", "decision": "keep"}'.encode("utf-16")[:-2],
    "no decision": '{"scan": "sub-1"}',
    "no scan": '{"decision": "keep"}',
    "900 kB": "x" * 900_000,
    "5 MB": "x" * 5_000_000,
    "a form": "scan=sub-1&decision=keep",
}
CHANGES: tuple[dict[str, object], ...] = (
    {"scan": "sub-99"},
    {"scan": "../sub-1"},
    {"scan": []},
    {"scan": None},
    {"scan": "\ud800"},
    {"scan": "sub-1\0"},
    {"decision": "maybe"},
    {"decision": None},
    {"decision": ["keep"]},
    {"grade": "excellent"},
    {"grade": "good"},
    {"artefacts": "motion"},
    {"artefacts": ["ghost"]},
    {"artefacts": [{}]},
    {"rater": 3},
    {"reason": "x" * 20_000},
    {"reason": {"a": 1}},
)
TEXTS = {
    "NUL": "a\0b",
    "escape": "a\x1b[31mb",
    "line separator": "a\u2028b",
    "C1": "a\x85b\x9bc",
    "DEL": "a\x7fb",
    "surrogate": "a\ud800b",
    "tab, line end, quote": 'a\t"b\n\r',
    "formula": "=1+1",
    "right to left": "a\u202eb",
    "every control character": "".join(map(chr, range(32))),
    "no value": "n/a",
    "script": "<script>alert(1)</script>",
}
LENGTHS = ("-1", "abc", "1_0", "\u0663", "9" * 11, "0", "+5", "", "1e3", "0x10", " 5 5")
POST = b"POST {folder}/decisions HTTP/1.0\r\nHost: localhost:{port}\r\nX-Token: {token}\r\n{cookie}"
RAW: dict[str, bytes] = {
    "HTTP/0.9": b"GET /\r\n\r\n",
    "a request line of 100 kB": b"GET /" + b"a" * 100_000 + b" HTTP/1.0\r\n\r\n",
    "500 headers": b"GET {folder}/ HTTP/1.0\r\n"
    + b"".join(b"X-%d: a\r\n" % n for n in range(500))
    + b"\r\n",
    "no host": b"GET {folder}/ HTTP/1.0\r\n{cookie}\r\n",
    "two hosts": b"GET {folder}/ HTTP/1.0\r\nHost: localhost:{port}\r\nHost: evil\r\n{cookie}\r\n",
    "no request": bytes(range(256)) * 4,
    "nothing": b"",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "an address of no host": b"GET http://[::1/ HTTP/1.0\r\nHost: localhost:{port}\r\n{cookie}\r\n",
    "HTTP/9.9": b"GET {folder}/ HTTP/9.9\r\nHost: localhost:{port}\r\n{cookie}\r\n",
    "a version that is none": b"GET {folder}/ HTTP/x.y\r\nHost: localhost:{port}\r\n{cookie}\r\n",
    "a body in chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "two requests in one": POST + b"Content-Length: 2\r\n\r\n{}GET {folder}/ HTTP/1.0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
}


def _broken_link(path: Path) -> None:
    path.symlink_to(path.name)


TABLES: dict[str, Callable[[Path], object]] = {
    "other columns": lambda path: path.write_text("a\tb\n"),
    "NUL": lambda path: path.write_bytes(b"scan\tdecision\treason\nsub-1\tkeep\t\0\n"),
    "UTF-16": lambda path: path.write_bytes("scan\tdecision\n".encode("utf-16")),
    "a scan twice": lambda path: path.write_text(
        "scan\tdecision\treason\nsub-1\tkeep\t\nsub-1\texclude\t\n"
    ),
    "an open quotation": lambda path: path.write_text('scan\tdecision\treason\nsub-1\tkeep\t"\n'),
    "empty": lambda path: path.write_text(""),
    "a folder": lambda path: path.mkdir(parents=True),
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": _broken_link,
}

ATTACKS = [
    *(
        Attack(
            "rating server",
            f"{method} {path} without the secret",
            _status(403, method=method, path=path),
        )
        for method in ("GET", "HEAD")
        for path in ("/", "{folder}", "{folder}sub-1/sub-1.png", "{folder}decisions", "/none")
    ),
    *(
        Attack(
            "rating server",
            f"a secret in the address: {name}",
            _status(403, path=f"/?token={token}"),
        )
        for name, token in TOKENS.items()
    ),
    *(
        Attack(
            "rating server",
            f"a cookie {cookie[:20]!r}",
            _status(403, path="{folder}", headers={"Cookie": cookie}),
        )
        for cookie in COOKIES
    ),
    *(
        Attack("rating server", f"{method} by the host {host!r}", _host(method, host))
        for method in ("GET", "HEAD", "POST")
        for host in HOSTS
    ),
    *(Attack("rating server", f"path {path[:40]}", _path(path)) for path in PATHS),
    *(Attack("rating server", f"method {method}", _path("/", method)) for method in METHODS),
    *(Attack("rating server", f"body: {name}", _body(body)) for name, body in BODIES.items()),
    *(
        Attack("rating server", f"decision with {str(changes)[:40]}", _decision(**changes))
        for changes in CHANGES
    ),
    *(
        Attack("rating server", f"{name} in {column}", _text(column, text))
        for column in ("reason", "rater")
        for name, text in TEXTS.items()
    ),
    *(
        Attack(
            "rating server",
            f"a length of {length!r}",
            _raw(POST + f"Content-Length: {length}\r\n\r\n{{}}".encode()),
        )
        for length in LENGTHS
    ),
    *(Attack("rating server", f"bytes: {name}", _raw(data)) for name, data in RAW.items()),
    *(
        Attack("rating server", f"table of decisions: {name}", _table(make))
        for name, make in TABLES.items()
    ),
    *(
        Attack("rating server", f"{count} silent connections", _silent(count))
        for count in (30, 300)
    ),
    *(
        Attack("rating server", f"options {' '.join(options)}", _option(*options))
        for options in (
            *(("--port", port) for port in ("99999", "-1", "abc", "1.5", "")),
            ("--page", "/dev/zero"),
            ("--page", "none.html"),
        )
    ),
]
