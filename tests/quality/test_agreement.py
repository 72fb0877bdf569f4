"""Two raters compared: numbers worked out by hand, and every scan on which they differ."""

import numpy as np
import pandas as pd
import pytest

from msnmo.cohort.decisions import GRADES, read_decisions
from msnmo.core.errors import InputError
from msnmo.quality.agreement import agree, compare, disagreements, main

FIRST = """scan\tdecision\treason\tgrade\tartefacts\trater
sub-1\texclude\tmoved\texclude\tmotion; noise\tAnn
sub-2\tkeep\tn/a\tpoor\tn/a\tAnn
sub-3\tkeep\tn/a\tfair\tnoise\tAnn
sub-4\tkeep\tn/a\tgood\tn/a\tAnn
sub-9\tkeep\tn/a\tgood\tn/a\tAnn
"""
SECOND = """scan\tdecision\treason\tgrade\tartefacts
sub-1\texclude\tn/a\tn/a\tmotion
sub-2\texclude\tn/a\texclude\tn/a
sub-3\tkeep\tn/a\tfair\tnoise
sub-4\tkeep\tn/a\tn/a\tn/a
"""


@pytest.fixture
def tables(tmp_path):
    """Paths of two raters' tables; the second is an old hand's: few grades and no name."""
    for name, text in (("a", FIRST), ("b", SECOND)):
        (tmp_path / f"{name}.tsv").write_text(text)
    return tmp_path / "a.tsv", tmp_path / "b.tsv"


def test_kappa_by_hand():
    first = ["exclude"] * 25 + ["keep"] * 25
    second = ["exclude"] * 20 + ["keep"] * 5 + ["exclude"] * 10 + ["keep"] * 15
    agreed = agree(first, second, ("exclude", "keep"))
    # alike .7; by chance .5 x .6 + .5 x .4 = .5
    assert agreed.kappa == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert agreed.counts.to_numpy().tolist() == [[20, 5], [10, 15]]
    assert (agreed.alike, agreed.scans) == (35, 50)
    # Fleiss, Cohen and Everitt 1969, equation 13, worked out for this table
    assert (agreed.high - agreed.low) / 2 == pytest.approx(1.96 * 0.1289, rel=2e-2)
    assert str(agreed).startswith("kappa 0.40 (95 % interval 0.1")


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weighted_kappa_by_hand(weights):
    first = ["exclude", "poor", "fair", "good", "good"]
    second = ["exclude", "fair", "fair", "good", "exclude"]
    power = {"linear": 1, "quadratic": 2}[weights]
    place = {grade: number for number, grade in enumerate(GRADES)}
    seen = np.mean([abs(place[a] - place[b]) ** power for a, b in zip(first, second, strict=True)])
    chance = np.mean([abs(place[a] - place[b]) ** power for a in first for b in second])
    assert agree(first, second, GRADES, weights).kappa == pytest.approx(1 - seen / chance)


def test_no_kappa_where_there_is_one_answer():
    agreed = agree(["keep"] * 3, ["keep"] * 3, ("exclude", "keep"))
    assert np.isnan(agreed.kappa)
    assert str(agreed).startswith("kappa is undefined")
    assert str(agree(["keep", "exclude"], ["keep", "exclude"], ("exclude", "keep"))) == (
        "kappa 1.00; the same answer for 2 of 2 scans"
    )


def test_grades_artefacts_and_decisions_are_compared(tables):
    first, second = map(read_decisions, tables)
    agreed = compare(first, second, "quadratic")
    assert list(agreed) == ["decision", "grade", "motion", "noise"]
    assert (agreed["decision"].alike, agreed["decision"].scans) == (3, 4)
    # sub-4 has no grade of the second; an exclusion without a grade is the worst grade
    assert agreed["grade"].counts.loc["exclude"].tolist() == [1, 0, 0, 0]
    assert agreed["grade"].scans == 3
    assert (agreed["noise"].alike, agreed["motion"].alike) == (3, 4)


def test_disagreements_are_listed(tables):
    table = disagreements(*map(read_decisions, tables))
    assert table["scan"].tolist() == ["sub-1", "sub-2"]
    assert table.loc[0, ["artefacts_1", "artefacts_2"]].tolist() == ["motion; noise", "motion"]
    assert table.loc[1, ["grade_1", "grade_2"]].tolist() == ["poor", "exclude"]


def test_the_command_says_it_and_writes_it(tables, capsys, tmp_path):
    out = tmp_path / "out" / "differ.tsv"
    main([*map(str, tables), "--out", str(out)])
    said = capsys.readouterr().out
    assert said.startswith(f"1: Ann\n2: {tables[1]}\n")
    assert "4 scans rated by both, 1 only by 1, 0 only by 2" in said
    assert "grade (quadratic weights): kappa 0.8" in said
    assert "2 scans on which they differ" in said
    assert pd.read_csv(out, sep="\t")["scan"].tolist() == ["sub-1", "sub-2"]
    main([str(tables[0]), str(tables[0])])
    said = capsys.readouterr().out
    assert "decision: kappa 1.00" in said
    assert said.endswith("\n0 scans on which they differ\n")


def test_tables_of_other_scans_are_refused(tables, tmp_path):
    other = tmp_path / "other.tsv"
    other.write_text("scan\tdecision\treason\nsub-77\tkeep\t\n")
    with pytest.raises(InputError, match="scans that are also in the other table"):
        main([str(tables[0]), str(other)])
