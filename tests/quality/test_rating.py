"""A rater's clicks are in the table at once, and come back from it."""

import json
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest

from msnmo.cohort import decisions
from msnmo.cohort.decisions import COLUMNS, read_decisions, write_decisions
from msnmo.core.errors import InputError
from msnmo.quality.rating import Rating, one_line
from tests.quality.served import start

UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def kept(server):
    return read_decisions(server.rating.decisions)


def test_a_decision_is_in_the_table_at_once(server, rater):
    status, said = rater.decide(
        reason="  moved,\n\ta lot ", grade="exclude", artefacts=["noise", "motion"], rater="Ann  B"
    )
    assert status == 200
    (row,) = kept(server).to_dict("records")
    assert UTC.fullmatch(row["time"])
    assert json.loads(said) == {name: row[name] for name in row if name != "scan"}
    assert row | {"time": ""} == {
        "scan": "sub-1",
        "decision": "exclude",
        "reason": "moved, a lot",
        "grade": "exclude",
        "artefacts": "motion; noise",
        "rater": "Ann B",
        "time": "",
    }
    assert rater.decide(scan="sub-3", decision="keep", grade="good")[0] == 200
    assert rater.decide(reason='second "thought"')[0] == 200
    assert kept(server)[["scan", "decision", "reason", "grade"]].to_numpy().tolist() == [
        ["sub-1", "exclude", "second 'thought'", ""],
        ["sub-3", "keep", "", "good"],
    ]


def test_decisions_come_back_after_a_restart(server, rater, make_page):
    rater.decide(grade="exclude", artefacts=["wrap-around"], reason="folded")
    _, headers, content = rater.ask("/decisions")
    assert headers["Content-Type"] == "application/json"
    again = Rating(server.rating.page, server.rating.decisions, "Ann").read()
    assert again["rater"] == "Ann"
    assert again["decisions"] == json.loads(content)["decisions"]
    assert again["decisions"][0]["artefacts"] == "wrap-around"


def test_a_decision_is_taken_back(server, rater):
    rater.decide()
    rater.decide(scan="sub-2")
    assert rater.decide(decision="") == (200, "{}")
    assert kept(server)["scan"].tolist() == ["sub-2"]
    assert rater.decide(decision="") == (200, "{}")
    assert rater.decide(scan="sub-2", decision="") == (200, "{}")
    assert kept(server).empty
    # an excluded scan is on no page of the next run
    server.rating.decisions.write_text("scan\tdecision\treason\nsub-77\texclude\told\n")
    assert rater.decide(scan="sub-77", decision="") == (200, "{}")
    assert kept(server).empty
    assert server.rating.decisions.read_text().startswith("scan\tdecision\treason\t")


def test_what_others_wrote_into_the_table_stays(server, rater):
    path = server.rating.decisions
    path.parent.mkdir()
    path.write_text(
        "scan\tdecision\treason\tseen by\nsub-1\tkeep\tn/a\tEve\nsub-77\texclude\told\tBob\n"
    )
    assert rater.decide()[0] == 200
    assert kept(server)[[*COLUMNS, "seen by"]].to_numpy().tolist() == [
        ["sub-1", "exclude", "", "Eve"],
        ["sub-77", "exclude", "old", "Bob"],
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"scan": "sub-99"},
        {"scan": "../sub-1"},
        {"scan": []},
        {"scan": "\ud800"},
        {"decision": "maybe"},
        {"decision": None},
        {"grade": "excellent"},
        {"grade": "good"},
        {"decision": "keep", "grade": "exclude"},
        {"artefacts": "motion"},
        {"artefacts": ["ghost"]},
        {"artefacts": [{}]},
        {"rater": 3},
        {"reason": "x" * 20_000},
    ],
    ids=str,
)
def test_a_decision_that_cannot_be_is_refused(server, rater, change):
    status, said = rater.decide(**change)
    assert status == 400
    assert len(said) > 10
    assert not server.rating.decisions.exists()


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "a\x1b[31mb",
        "a\u2028b",
        "a\x85b\x9bc",
        "a\x7fb",
        "a\ud800b",
        'a\t"b\n\r',
        "=1+1",
        "a\u202eb",
        "".join(map(chr, range(32))),
        "n/a",
    ],
    ids=ascii,
)
def test_no_text_makes_the_table_unreadable(server, rater, text):
    assert rater.decide(reason=text, rater=text)[0] == 200
    assert rater.decide(scan="sub-2", reason=text, rater=text)[0] == 200
    assert kept(server)["scan"].tolist() == ["sub-1", "sub-2"]


def test_a_long_text_is_cut_within_its_length():
    assert one_line("a b" * 10, 5) == "a ba"
    assert one_line("é\0\n" * 3, 80) == "é é é"


def test_a_link_stays_a_link(server, rater, tmp_path):
    path = server.rating.decisions
    shared = tmp_path / "shared.tsv"
    shared.write_text("scan\tdecision\treason\nsub-3\tkeep\tn/a\n")
    path.parent.mkdir()
    path.symlink_to(shared)
    assert rater.decide()[0] == 200
    assert path.is_symlink()
    assert read_decisions(shared)["scan"].tolist() == ["sub-1", "sub-3"]
    shared.unlink()  # a link to what is not there yet is one, too
    assert rater.decide()[0] == 200
    assert path.is_symlink()
    assert read_decisions(shared)["scan"].tolist() == ["sub-1"]


def test_a_link_to_itself_is_refused(make_page, tmp_path):
    loop = tmp_path / "decisions.tsv"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match="a table of decisions"):
        Rating(make_page(), loop)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_an_error_of_the_disk_reaches_the_page_and_loses_nothing(server, rater, monkeypatch, fault):
    rater.decide(scan="sub-2")
    before = server.rating.decisions.read_bytes()
    number = {"full": 28, "read-only": 30}[fault]
    name = {"full": "fsync", "read-only": "open"}[fault]

    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        status, said = rater.decide()
    assert status == 500
    assert os.strerror(number) in said
    assert "as it was before" in said
    assert server.rating.decisions.read_bytes() == before
    assert rater.decide()[0] == 200, "and it goes on when the disk does"


def test_a_table_that_was_damaged_meanwhile_is_told_and_left(server, rater):
    path = server.rating.decisions
    path.parent.mkdir()
    for content in ("a\tb\n", "scan\tdecision\treason\nsub-1\tmaybe\t\n", "scan\0"):
        path.write_text(content)
        status, said = rater.decide()
        assert (status, "decisions.tsv" in said) == (500, True)
        assert rater.ask("/decisions")[0] == 500
        assert path.read_text() == content
    path.unlink()
    path.mkdir()
    assert rater.decide()[0] == 500


def test_a_table_that_another_process_holds_is_waited_for_and_told(server, rater, monkeypatch):
    monkeypatch.setattr(decisions, "SECONDS_OF_PATIENCE", 0.2)
    with decisions.locked(server.rating.decisions) as held:
        assert held
        status, said = rater.decide()
    assert status == 500
    assert "held by another process" in said
    assert rater.decide()[0] == 200


def test_a_disk_without_locks_is_written_all_the_same(server, rater, monkeypatch):
    assert server.rating.has_locks()

    def refuse(handle, kind):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(decisions.fcntl, "flock", refuse)
    assert not server.rating.has_locks()
    with ThreadPoolExecutor(3) as pool:
        said = pool.map(lambda n: rater.decide(scan=f"sub-{n}")[0], (1, 2, 3))
        assert list(said) == [200] * 3
    assert len(kept(server)) == 3


def test_two_servers_lose_no_decision(make_page, tmp_path):
    page, table = make_page(count=60), tmp_path / "decisions.tsv"
    started = [start(page, table) for _ in range(2)]
    try:
        with ThreadPoolExecutor(12) as pool:
            said = pool.map(lambda n: started[n % 2][1].decide(scan=f"sub-{n}")[0], range(1, 61))
            assert list(said) == [200] * 60
    finally:
        for process, _ in started:
            process.kill()
            process.communicate()
    assert sorted(read_decisions(table)["scan"]) == sorted(f"sub-{n}" for n in range(1, 61))


def test_a_kill_during_writing_loses_nothing_that_was_called_saved(make_page, tmp_path):
    page, table = make_page(count=60), tmp_path / "out" / "decisions.tsv"
    process, rater = start(page, table)
    saved = []

    def decide(number):
        try:
            if rater.decide(scan=f"sub-{number}")[0] == 200:
                saved.append(number)
        except (OSError, HTTPException):
            pass
        if len(saved) == 10:
            process.kill()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, range(1, 61)))
    process.communicate()
    assert process.returncode == -9
    rows = set(read_decisions(table)["scan"])
    assert {f"sub-{number}" for number in saved} <= rows
    assert len(rows) < 60
    # what the kill left is no table, and goes with the next write
    Rating(page, table).decide({"scan": "sub-60", "decision": "keep"})
    assert {path.name for path in table.parent.iterdir()} == {table.name, f".{table.name}.lock"}
    assert stat.S_ISREG(table.stat().st_mode)


def test_equal_decisions_give_equal_bytes(tmp_path):
    path = tmp_path / "decisions.tsv"
    path.write_text("scan\tdecision\treason\textra\nsub-2\tkeep\t\t1\nsub-1\texclude\tb\tn/a\n")
    table = read_decisions(path)
    write_decisions(tmp_path / "a.tsv", table)
    write_decisions(tmp_path / "b.tsv", read_decisions(tmp_path / "a.tsv"))
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
