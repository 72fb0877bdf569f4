"""A rater's clicks reach the table through a real server, and nobody else's do."""

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from msnmo.cohort.decisions import read_decisions
from msnmo.core.errors import InputError
from msnmo.quality import rate
from msnmo.quality.rate import Rating, serve


@pytest.fixture
def served(make_page, tmp_path):
    """Rating, port and token of a served page."""
    rating = Rating(make_page(), tmp_path / "out é" / "decisions.tsv")
    server = serve(rating, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield rating, server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def request(port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read()


def decide(port, token, **decision):
    body = json.dumps({"scan": "sub-1", "decision": "exclude", "reason": ""} | decision)
    return request(port, "POST", "/decisions", body, X_Token=token)


def test_a_decision_is_in_the_table_at_once(served):
    rating, port = served
    status, page = request(port, "GET", "/")
    assert status == 200
    (token,) = re.findall(r'<meta name="token" content="([^"]+)">', page.decode())
    assert decide(port, token, reason="  moved,\n\ta lot ") == (200, b"saved")
    assert decide(port, token, scan="sub-3", decision="keep")[0] == 200
    assert decide(port, token, reason='second "thought"')[0] == 200
    assert read_decisions(rating.decisions).to_numpy().tolist() == [
        ["sub-1", "exclude", "second 'thought'"],
        ["sub-3", "keep", ""],
    ]


def test_decisions_on_scans_of_another_page_stay(served):
    rating, port = served
    rating.decisions.parent.mkdir()
    rating.decisions.write_text("scan\tdecision\treason\nsub-77\texclude\told\n")
    assert decide(port, rating.token)[0] == 200
    assert read_decisions(rating.decisions)["scan"].tolist() == ["sub-1", "sub-77"]


def test_strangers_are_refused(served):
    rating, port = served
    assert decide(port, "wrong")[0] == 403
    assert request(port, "POST", "/decisions", "{}")[0] == 403
    status, _ = request(port, "GET", "/", Host="evil.example:80")
    assert status == 403
    body = json.dumps({"scan": "sub-1", "decision": "keep", "reason": ""})
    headers = {"X_Token": rating.token, "Host": "evil.example:80"}
    assert request(port, "POST", "/decisions", body, **headers)[0] == 403
    assert not rating.decisions.exists()


@pytest.mark.parametrize(
    "change",
    [{"scan": "sub-99"}, {"scan": "../sub-1"}, {"decision": "maybe"}, {"reason": "x" * 20_000}],
)
def test_a_decision_that_cannot_be_is_refused(served, change):
    rating, port = served
    status, said = decide(port, rating.token, **change)
    assert status == 400
    assert said
    assert not rating.decisions.exists()


@pytest.mark.parametrize("body", ["", "[1]", "{", "{}"])
def test_a_body_that_is_no_decision_is_refused(served, body):
    rating, port = served
    assert request(port, "POST", "/decisions", body, X_Token=rating.token)[0] == 400


def test_pictures_are_served_and_nothing_above_them(served, tmp_path):
    _, port = served
    assert request(port, "GET", "/sub-1/sub-1.png") == (200, b"\x89PNG picture")
    for path in ("/../cohort.tsv", "/%2e%2e/cohort.tsv", "/sub-1/../../cohort.tsv", "/sub-1/"):
        assert request(port, "GET", path)[0] == 404, path
    assert (tmp_path / "cohort.tsv").is_file()


def test_the_page_asks_for_no_token_from_disk(make_page):
    assert 'name="token"' not in make_page().read_text(encoding="utf-8")


def test_what_is_missing_is_named(make_page, tmp_path):
    with pytest.raises(InputError, match="the quality page"):
        Rating(tmp_path / "none.html", tmp_path / "decisions.tsv")
    (tmp_path / "decisions.tsv").write_text("a\tb\n")
    with pytest.raises(InputError, match=r"decisions\.tsv"):
        Rating(make_page(), tmp_path / "decisions.tsv")


def test_the_command_tells_the_address_and_ends_well(make_page, tmp_path):
    command = [sys.executable, "-m", "msnmo.quality.rate", "--page", make_page()]
    command += ["--decisions", tmp_path / "decisions.tsv", "--port", "0"]
    # a shell starts what it puts in the background deaf to Ctrl-C, and children inherit that
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, heard)
    line = process.stdout.readline()
    (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)/", line)
    assert request(int(port), "GET", "/")[0] == 200
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "ended" in output


def test_the_folder_of_results_names_page_and_table(monkeypatch, tmp_path):
    asked = []

    def note(page, decisions):
        asked.append((page, decisions))
        raise InputError([])

    monkeypatch.setattr(rate, "Rating", note)
    given = [["--results", "r"], ["--results", "r", "--decisions", "d.tsv"]]
    for arguments in [*given, ["--page", "p.html", "--decisions", "d.tsv"]]:
        with pytest.raises(InputError):
            rate.main(arguments)
    usual = Path("r/quality/index.html")
    assert asked[0] == (usual, Path("r/quality/decisions.tsv"))
    assert asked[1] == (usual, Path("d.tsv"))
    assert asked[2] == (Path("p.html"), Path("d.tsv"))


def test_a_page_without_a_table_to_write_is_refused(capsys):
    for arguments in ([], ["--page", "p.html"], ["--decisions", "d.tsv"]):
        with pytest.raises(SystemExit) as left:
            rate.main(arguments)
        assert left.value.code == 2
    assert "give --results" in capsys.readouterr().err
