"""Tables of decisions, old and new ones, and what is wrong of them."""

import pytest

from msnmo.cohort.decisions import (
    COLUMNS,
    DETAILS,
    excluded_by_rater,
    no_decisions,
    read_decisions,
    write_decisions,
)
from msnmo.core.errors import InputError

HEAD = "scan\tdecision\treason\tgrade\tartefacts\trater\ttime\n"


@pytest.fixture
def written(tmp_path):
    """A function that writes a table."""

    def write(text):
        path = tmp_path / "decisions.tsv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_an_old_table_is_read_as_it_was(written):
    table = read_decisions(written("scan\tdecision\treason\nsub-1\texclude\tn/a\nsub-2\tkeep\n"))
    assert list(table) == [*COLUMNS, *DETAILS]
    assert table[list(COLUMNS)].to_numpy().tolist() == [
        ["sub-1", "exclude", ""],
        ["sub-2", "keep", ""],
    ]
    assert (table[list(DETAILS)] == "").all(axis=None)


def test_columns_come_in_any_order_and_those_of_the_user_stay(written, tmp_path):
    path = written(
        "scan\tdecision\treason\tseen\ttime\tgrade\t\nsub-2\tkeep\t\tyes\tnow\tgood\nsub-1\texclude\n"
    )
    table = read_decisions(path)
    assert table["grade"].tolist() == ["good", ""]
    write_decisions(tmp_path / "again.tsv", table)
    head, first, second = (tmp_path / "again.tsv").read_text().splitlines()
    assert head == "scan\tdecision\treason\tgrade\tartefacts\trater\ttime\tseen"
    assert first.split("\t") == ["sub-1", "exclude"] + ["n/a"] * 6
    assert second.split("\t")[-2:] == ["now", "yes"]


def test_no_table_and_one_without_rows(tmp_path, written):
    assert excluded_by_rater(["sub-1"], tmp_path / "none.tsv").empty
    write_decisions(tmp_path / "a.tsv", no_decisions())
    assert read_decisions(tmp_path / "a.tsv").empty
    assert excluded_by_rater(["sub-1"], written("scan\tdecision\treason\n")).empty


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("sub-1\tkeep\t\texcellent", "a grade of exclude, poor, fair, good, or none"),
        ("sub-1\tkeep\t\texclude", "the grade exclude only with that decision"),
        ("sub-1\texclude\t\tgood", "the grade exclude only with that decision"),
        ("sub-1\tkeep\t\t\tghosts; noise", "artefacts of motion, "),
        ("sub-1\tkeep\t\t\t\ta\x07b", "cells in one line"),
        ("sub-1\tmaybe", "keep or exclude"),
        ("n/a\tkeep", "the name of a scan"),
    ],
)
def test_what_is_wrong_is_named_by_row(written, row, expected):
    path = written(f"{HEAD}sub-0\tkeep\n{row}\n")
    with pytest.raises(InputError) as refused:
        read_decisions(path)
    (finding,) = refused.value.findings
    assert finding.file == f"{path}, row 3"
    assert finding.expected.startswith(expected)


@pytest.mark.parametrize(
    "header", ["scan\tdecision\treason\tx\tx", "scan\tdecision\treason\t\tx", "scan\treason\tx"]
)
def test_a_header_that_says_two_things_is_refused(written, header):
    with pytest.raises(InputError, match=r"decisions\.tsv"):
        read_decisions(written(f"{header}\nsub-1\tkeep\t\t\t\n"))


def test_artefacts_are_part_of_why_a_scan_was_excluded(written):
    path = written(
        f"{HEAD}sub-1\texclude\tmoved a lot\texclude\tnoise;motion\n"
        "sub-2\texclude\t\t\tother\nsub-3\texclude\nsub-4\tkeep\t\tpoor\tnoise\n"
    )
    excluded = excluded_by_rater([f"sub-{n}" for n in range(1, 5)], path)
    assert excluded["reason"].tolist() == [
        "motion, noise: moved a lot",
        "other",
        "no reason given",
    ]
