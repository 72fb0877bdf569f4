"""The command that serves the page: what it prints, what it refuses, how it ends."""

import signal
import socket
from pathlib import Path

import pytest

from msnmo.core.errors import DiskError, InputError
from msnmo.quality import rate
from msnmo.quality.rating import Rating
from tests.quality.served import start


def test_the_page_asks_for_no_token_from_disk(make_page):
    assert 'name="token"' not in make_page().read_text(encoding="utf-8")


def test_what_is_missing_is_named(make_page, tmp_path):
    with pytest.raises(InputError, match="the quality page"):
        Rating(tmp_path / "none.html", tmp_path / "decisions.tsv")
    (tmp_path / "decisions.tsv").write_text("a\tb\n")
    with pytest.raises(InputError, match=r"decisions\.tsv"):
        Rating(make_page(), tmp_path / "decisions.tsv")


def test_the_command_tells_the_address_and_ends_well(make_page, tmp_path):
    process, rater = start(make_page(), tmp_path / "decisions.tsv", "--rater", "Ann")
    assert b'"rater": "Ann"' in rater.ask("/decisions")[2]
    assert rater.decide()[0] == 200
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert "ended" in output
    assert "no locks" not in output


def test_a_table_that_cannot_be_written_is_told_at_the_start(make_page, monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system")

    page = make_page()
    monkeypatch.setattr("msnmo.cohort.decisions.os.open", refuse)
    with pytest.raises(DiskError, match="Read-only"):
        rate.main(["--page", str(page), "--decisions", str(tmp_path / "d.tsv"), "--port", "0"])


def test_a_disk_without_locks_is_told(make_page, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Rating, "has_locks", lambda rating: False)

    def end(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(rate.Server, "serve_forever", end)
    rate.main(["--page", str(make_page()), "--decisions", str(tmp_path / "d.tsv"), "--port", "0"])
    assert "do not start a second `msnmo rate`" in capsys.readouterr().out


@pytest.mark.parametrize("port", ["99999", "-1", "abc", "1.5", "\u0663"])
def test_a_port_that_is_none_is_refused(capsys, port):
    with pytest.raises(SystemExit) as left:
        rate.main(["--results", "r", f"--port={port}"])
    assert left.value.code == 2
    assert "a number from 0 to 65535" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(make_page, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        options = ["--page", str(make_page()), "--decisions", str(tmp_path / "d.tsv")]
        with pytest.raises(InputError, match="may run already") as refused:
            rate.main([*options, "--port", port])
    (finding,) = refused.value.findings
    assert (finding.file, finding.found) == (f"port {port}", "Address already in use")


def test_the_folder_of_results_names_page_and_table(monkeypatch):
    asked = []

    def note(page, decisions, rater):
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
