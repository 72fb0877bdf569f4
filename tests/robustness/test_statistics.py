"""Differences, intervals and flips against hand-made numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_tsv
from msnmo.evaluate.statistics.bootstrap import Drawn
from msnmo.robustness.statistics import COLUMNS, judge, main, read_measured
from tests.measured import with_folds

SCANS = ["sub-1_ses-1", "sub-1_ses-2", "sub-2", "sub-3", "sub-4"]
FOLD = dict(zip(SCANS, [0, 0, 0, 1, 1], strict=True))
DSC = dict(zip(SCANS, [0.9, 0.7, 0.5, 0.8, 0.6], strict=True))
P_NMOSD = dict(zip(SCANS, [0.1, 0.2, 0.45, 0.9, 0.7], strict=True))
FOLDS = pd.DataFrame(
    [
        (scan, scan.partition("_")[0], "NMOSD" if scan > "sub-3" else "MS", FOLD[scan])
        for scan in SCANS
    ],
    columns=["scan", "subject", "diagnosis", "fold"],
)


def measured(fold: int, method: str = "joint") -> pd.DataFrame:
    """Noise takes 0.1 of each DSC and adds 0.1 to P_NMOSD; slices can be made of two scans."""
    rows = []
    for scan in SCANS:
        if FOLD[scan] == fold:
            for severity, step in (("0.05", 0.1), ("0.1", 0.3)):
                told = (DSC[scan] - step, P_NMOSD[scan] + step / 2)
                rows.append((method, fold, 7, scan, "noise", severity, *told, None))
            thick = scan not in ("sub-1_ses-1", "sub-3")
            told = (None, None, "slices are as thick already") if thick else (DSC[scan], 0.3, None)
            rows.append((method, fold, 7, scan, "slice_mm", "3", *told))
            rows.append((method, fold, 7, scan, "engines", "fsl", None, None, "not installed"))
    names = ["method", "fold", "seed", "scan", "perturbation", "severity", "dsc", "p_nmosd"]
    return pd.DataFrame(rows, columns=[*names, "left_out"])


def metrics(fold: int, values: dict[str, tuple[dict[str, float], str]]) -> pd.DataFrame:
    return with_folds(
        [
            ("joint", fold, 7, scan, metric, of[scan], space)
            for metric, (of, space) in values.items()
            for scan in SCANS
            if FOLD[scan] == fold
        ]
    )


BOTH = {"DSC": (DSC, "native"), "P_NMOSD": (P_NMOSD, "n/a")}


@pytest.fixture
def write(tmp_path: Path):
    """A function: writes what was measured and evaluated, and returns the options of both."""

    def make(values: dict = BOTH, change=lambda table: table) -> list[str]:
        write_tsv(tmp_path / "folds.tsv", FOLDS)
        for fold in (0, 1):
            write_tsv(tmp_path / f"measured-{fold}.tsv", change(measured(fold)))
            write_tsv(tmp_path / f"metrics-{fold}.tsv", metrics(fold, values))
        listed = {
            name: [str(tmp_path / f"{name}-{fold}.tsv") for fold in (0, 1)]
            for name in ("measured", "metrics")
        }
        return ["--measured", *listed["measured"], "--metrics", *listed["metrics"]]

    return make


def run(options: list[str], out: Path) -> pd.DataFrame:
    folds = out.with_name("folds.tsv")
    main([*options, "--folds", str(folds), "--seed", "1", "--replicates", "300", "--out", str(out)])
    table = read_tsv(out, COLUMNS)
    assert list(table) == list(COLUMNS)
    return table.set_index(["perturbation", "severity"])


def test_a_condition_is_compared_with_the_same_scans_as_they_are(write, tmp_path: Path) -> None:
    table = run(write(), tmp_path / "out.tsv")
    assert list(table.index) == [
        *(("none", "none"), ("noise", "0.05"), ("noise", "0.1"), ("slice_mm", "3")),
        ("engines", "fsl"),
    ]
    as_is = table.loc[("none", "none")]
    # means over folds of means over scans
    assert as_is["dsc"] == pytest.approx((0.7 + 0.7) / 2)
    assert (as_is["n_scans"], as_is["n_subjects"], as_is["n_left_out"]) == (5, 4, 0)
    assert (as_is["difference"], as_is["flips"]) == (0, 0)
    low = table.loc[("noise", "0.05")]
    assert (low["dsc"], low["difference"]) == (pytest.approx(0.6), pytest.approx(-0.1))
    # every scan loses the same, so that subjects drawn anew tell nothing
    assert low[["difference_low", "difference_high"]].isna().all()
    assert low["dsc_low"] < low["dsc"] < low["dsc_high"]
    thick = table.loc[("slice_mm", "3")]
    assert (thick["n_scans"], thick["n_left_out"], thick["n_dsc"]) == (2, 3, 2)
    assert thick["dsc"] == pytest.approx((0.9 + 0.8) / 2)
    assert thick["difference"] == 0
    assert thick["left_out"] == "slices are as thick already (3)"


def test_a_flip_is_another_likelier_class_whatever_the_truth(write, tmp_path: Path) -> None:
    table = run(write(), tmp_path / "out.tsv")
    # + 0.05: 0.45 to exactly 0.5, which is still MS; + 0.15: NMOSD
    assert table.loc[("noise", "0.05"), "n_flips"] == 0
    high = table.loc[("noise", "0.1")]
    assert (high["n_flips"], high["n_classified"], high["flips"]) == (1, 5, pytest.approx(0.2))
    # of the textbook: Wilson's interval of 1 of 5
    assert (high["flips_low"], high["flips_high"]) == pytest.approx((0.0362, 0.6245), abs=5e-5)
    # 0.3 where 0.1 and 0.9 were
    assert table.loc[("slice_mm", "3"), "n_flips"] == 1
    # of none there is an upper bound, too
    none = table.loc[("noise", "0.05"), ["flips_low", "flips_high"]]
    assert none.tolist() == pytest.approx([0.0, 0.4345], abs=5e-5)
    assert none["flips_low"] == 0


def test_what_no_scan_could_be_made_of_stays_in_the_table(write, tmp_path: Path) -> None:
    row = run(write(), tmp_path / "out.tsv").loc[("engines", "fsl")]
    assert (row["n_scans"], row["n_left_out"], row["n_dsc"], row["n_flips"]) == (0, 5, 0, 0)
    assert row[["dsc", "difference", "flips", "flips_high"]].isna().all()
    assert row["left_out"] == "not installed (5)"


@pytest.mark.parametrize(
    ("kept", "given", "missing"), [("DSC", "dsc", "flips"), ("P_NMOSD", "flips", "dsc")]
)
def test_a_method_of_one_task_has_its_numbers_alone(
    write, tmp_path: Path, kept: str, given: str, missing: str
) -> None:
    column = {"DSC": "p_nmosd", "P_NMOSD": "dsc"}[kept]
    options = write({kept: BOTH[kept]}, lambda table: table.assign(**{column: np.nan}))
    table = run(options, tmp_path / "out.tsv")
    assert table.loc[("noise", "0.1"), missing] != table.loc[("noise", "0.1"), missing]
    assert table.loc[("noise", "0.1"), given] > 0
    assert table[missing].isna().all()


def test_a_scan_without_a_mask_counts_for_flips_alone(write, tmp_path: Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(dsc=table["dsc"].mask(table["scan"] == "sub-2"))

    row = run(write(change=change), tmp_path / "out.tsv").loc[("noise", "0.05")]
    assert (row["n_scans"], row["n_dsc"], row["n_classified"]) == (5, 4, 5)
    assert row["difference"] == pytest.approx(-0.1)


def test_the_interval_widens_where_subjects_differ(write, tmp_path: Path) -> None:
    options = write(
        change=lambda table: table.assign(
            dsc=table["dsc"].mask(table["scan"].isin(["sub-2", "sub-4"]), 0.0)
        )
    )
    row = run(options, tmp_path / "out.tsv").loc[("noise", "0.05")]
    assert row["difference_low"] < row["difference"] - 0.05
    assert row["difference_high"] > row["difference"] + 0.05


def test_equal_inputs_give_equal_bytes(write, tmp_path: Path) -> None:
    options = write()
    run(options, tmp_path / "one.tsv")
    run(options, tmp_path / "other.tsv")
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "other.tsv").read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table[1:], "each condition of each scan once"),
        (lambda table: pd.concat([table, table[:1]]), "each condition of each scan once"),
        (lambda table: table.assign(seed=8), "the trainings and scans of"),
        (lambda table: table.assign(method="unet"), "the trainings and scans of"),
        (lambda table: table.assign(fold=1 - table["fold"]), "the trainings and scans of"),
    ],
)
def test_tables_that_contradict_each_other_are_refused(write, tmp_path, change, said) -> None:
    with pytest.raises(InputError, match=said):
        run(write(change=change), tmp_path / "out.tsv")


def test_tables_of_two_methods_are_refused(write, tmp_path: Path) -> None:
    options = write()
    write_tsv(tmp_path / "measured-1.tsv", measured(1, "unet"))
    with pytest.raises(InputError, match="one training of a method per fold"):
        run(options, tmp_path / "out.tsv")


def test_conditions_are_in_the_order_they_were_measured_in(write, tmp_path: Path) -> None:
    write()
    paths, known = (
        [tmp_path / f"{name}-{fold}.tsv" for fold in (1, 0)] for name in ("measured", "metrics")
    )
    table = read_measured(paths, known).merge(FOLDS[["scan", "subject"]], on="scan")
    drawn = Drawn.draw(FOLDS, [7], 100, 1)
    assert list(judge(table, drawn, 0.9)["severity"]) == ["none", "0.05", "0.1", "3", "fsl"]
