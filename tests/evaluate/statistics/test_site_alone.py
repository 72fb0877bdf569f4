"""What sites alone tell of classes, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.evaluate.statistics.bootstrap import Drawn
from msnmo.evaluate.statistics.site_alone import (
    COLUMNS,
    NO_SEED,
    judge,
    main,
    metrics_of_sites,
    score_scans,
)

SCANS = [
    ("sub-a1", "MS", "A", 0),
    ("sub-a2", "NMOSD", "A", 0),
    ("sub-c1", "NMOSD", "C", 0),
    ("sub-a3", "NMOSD", "A", 1),
    ("sub-a4", "MS", "A", 1),
    ("sub-a5", "NMOSD", "A", 1),
    ("sub-b1", "MS", "B", 1),
    ("sub-b2", "MS", "B", 1),
]


@pytest.fixture
def folds():
    table = pd.DataFrame(SCANS, columns=["scan", "diagnosis", "site", "fold"])
    return table.assign(subject=table["scan"].str.removeprefix("sub-"))


@pytest.fixture
def sites(folds):
    return folds.set_index("scan")["site"]


def judged(folds, sites, tested=(0, 1)):
    drawn = Drawn.draw(folds, [NO_SEED], 300, 5)
    metrics = metrics_of_sites(folds, sites, tested)
    return judge(metrics, folds, drawn, 0.95).set_index("metric")


def test_a_scan_is_scored_by_the_training_scans_of_its_site(folds, sites):
    scores = score_scans(folds, sites)
    # fold 0 is trained on fold 1: A has 2 NMOSD of 3; C is unseen, and 2 of all 5 are NMOSD
    assert scores[["sub-a1", "sub-a2", "sub-c1"]].tolist() == pytest.approx([2 / 3, 2 / 3, 0.4])
    # fold 1 on fold 0: A has 1 of 2; B is unseen, and 2 of all 3 are NMOSD
    assert scores[["sub-a3", "sub-a4", "sub-a5"]].tolist() == [0.5] * 3
    assert scores[["sub-b1", "sub-b2"]].tolist() == pytest.approx([2 / 3] * 2)


def test_scores_are_judged_as_a_methods(folds, sites):
    table = judged(folds, sites)
    # fold 0: a2 alone is named right; against a1 it is a tie, c1 is below
    # fold 1: of .5 the class is MS, so a4 alone is right; a3 and a5 tie with it, below b1 and b2
    expected = {
        "ACC": (1 / 3, 1 / 5),
        "SN": (1 / 2, 0),
        "SP": (0, 1 / 3),
        "AUC": (1 / 4, 1 / 6),
    }
    for metric, values in expected.items():
        assert table.loc[metric, "mean"] == pytest.approx(100 * np.mean(values)), metric
        assert table.loc[metric, "sd"] == pytest.approx(100 * np.std(values, ddof=1)), metric
        assert (
            table.loc[metric, "ci_low"] <= table.loc[metric, "mean"] <= table.loc[metric, "ci_high"]
        )
    assert table[["n_folds", "n_undefined_folds"]].drop_duplicates().values.tolist() == [[2, 0]]
    for counted in ("n_scans", "n_subjects"):
        assert table[counted].to_dict() == {"ACC": 8, "SN": 4, "SP": 4, "AUC": 8}, counted


def test_where_a_fold_has_one_class_it_has_no_auc(folds, sites):
    left_out = folds.assign(fold=folds["site"].map({"A": 0, "B": 1, "C": 2}))
    # every site is unseen: its scans have the share of the others
    scores = score_scans(left_out, sites)
    assert scores["sub-a1"] == pytest.approx(1 / 3)
    assert scores["sub-c1"] == pytest.approx(3 / 7)
    table = judged(left_out, sites, (0, 1, 2))
    assert table.loc["AUC", ["mean", "n_folds", "n_undefined_folds"]].tolist() == [50, 1, 2]
    assert table.loc["SN", ["n_folds", "n_undefined_folds"]].tolist() == [2, 1]


def test_folds_that_are_not_tested_are_trained_on_and_in_no_mean(folds, sites):
    table = judged(folds, sites, (1,))
    assert table.loc["AUC", "mean"] == pytest.approx(100 / 6)
    assert np.isnan(table.loc["AUC", "sd"])
    assert table.loc["ACC", "n_scans"] == 5


@pytest.fixture
def files(folds, tmp_path):
    write_tsv(tmp_path / "folds.tsv", folds[["scan", "subject", "diagnosis", "fold"]])
    write_tsv(tmp_path / "cohort.tsv", folds[["scan", "subject", "diagnosis", "site"]])
    return tmp_path


def run_main(folder, out):
    given = [f"--{name}={folder / name}.tsv" for name in ("folds", "cohort")]
    options = ["--seed=1", "--replicates=100", "--tested", "0", "1"]
    main([*given, *options, f"--out={folder / out}"])
    return (folder / out).read_bytes()


def test_the_command_writes_equal_bytes_and_names_a_scan_that_is_not_in_the_cohort(files, folds):
    assert run_main(files, "one.tsv") == run_main(files, "two.tsv")
    table = pd.read_csv(files / "one.tsv", sep="\t")
    assert list(table.columns) == list(COLUMNS)
    assert table["mean"].tolist() == pytest.approx([80 / 3, 25, 50 / 3, 125 / 6], abs=1e-9)
    write_tsv(files / "cohort.tsv", folds[["scan", "subject", "diagnosis", "site"]][:-1])
    with pytest.raises(InputError, match="none of sub-b2"):
        run_main(files, "one.tsv")
