"""By size, by load and of raters: means worked out by hand, intervals, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_tsv
from msnmo.evaluate.statistics.lesions import COLUMNS, main, terciles

SUBJECTS = {"A": "MS", "B": "MS", "C": "MS", "N": "NMOSD", "O": "NMOSD", "P": "NMOSD"}
FOLD_OF = {"A": 0, "B": 0, "N": 0, "C": 1, "O": 1, "P": 1}
LOADS = {"A": 0.5, "B": 1.0, "C": 2.0, "N": 4.0, "O": 8.0, "P": 16.0}
SIZES = ("under 0.1 ml", "0.1 ml or more")
# of small lesions: LTPR and true lesions of each scan; a scan without has no value
SMALL = {"A": (0.5, 4), "B": (1.0, 2), "C": (0.0, 1), "N": (None, 0), "O": (0.4, 5), "P": (None, 0)}
DSC = {"A": 0.2, "B": 0.4, "C": 0.5, "N": 0.6, "O": 0.7, "P": 0.9}
# scans of two raters: DSC
RATED = {"A": 0.6, "B": 0.8, "O": 0.9}


def rows_of(method: str, seed: int, better: float = 0.0) -> pd.DataFrame:
    rows = []
    for subject, fold in FOLD_OF.items():
        found, true = SMALL[subject]
        dsc = DSC[subject] + better
        values = [
            ("all", "DSC", dsc, 9),
            *(("all", "LTPR", 0.75, 9), ("all", "LFPR", 0.25, 6), ("all", "LF1", 0.75, 9)),
            ("all", "V_TRUE", LOADS[subject], 9),
            (SIZES[0], "DSC", None if found is None else dsc / 2, true),
            (SIZES[0], "LTPR", found, true),
            (SIZES[0], "LFPR", 0.5 + better, 3 + (seed > 1)),
            *((SIZES[1], "DSC", dsc, 1), (SIZES[1], "LTPR", 1.0, 1), (SIZES[1], "LFPR", None, 0)),
        ]
        rows += [(method, fold, seed, f"sub-{subject}", *each) for each in values]
    columns = ["method", "fold", "seed", "scan", "size", "metric", "value", "lesions"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def study(tmp_path):
    """A function that writes folds, raters and the trainings of methods and seeds."""

    def write(*trainings: tuple[str, int, float]) -> Path:
        for method, seed, better in trainings:
            for fold, part in rows_of(method, seed, better).groupby("fold"):
                write_tsv(tmp_path / f"{method}-{seed}-{fold}.tsv", part)
        folds = [(f"sub-{s}", s, d, FOLD_OF[s]) for s, d in SUBJECTS.items()]
        columns = ["scan", "subject", "diagnosis", "fold"]
        write_tsv(tmp_path / "folds.tsv", pd.DataFrame(folds, columns=columns))
        for subject, dsc in RATED.items():
            values = {"DSC": dsc, "LTPR": 0.8, "LFPR": 0.2, "LF1": 0.8}
            rows = [(f"sub-{subject}", name, value, 4.5) for name, value in values.items()]
            table = pd.DataFrame(rows, columns=["scan", "metric", "value", "lesions"])
            write_tsv(tmp_path / f"raters-{subject}.tsv", table)
        return tmp_path

    return write


def run(folder: Path, *methods: str, raters: bool = True, folds: str = "01") -> pd.DataFrame:
    measured = [
        str(path)
        for method in methods or ("joint",)
        for path in sorted(folder.glob(f"{method}-*-[{folds}].tsv"))
    ]
    of_raters = sorted(map(str, folder.glob("raters-*.tsv"))) if raters else []
    main(
        [
            *("--measured", *measured, *(["--raters", *of_raters] if of_raters else [])),
            *("--folds", str(folder / "folds.tsv"), "--seed", "1"),
            *("--replicates", "300", "--out", str(folder / "table.tsv")),
        ]
    )
    table = read_tsv(folder / "table.tsv", dict.fromkeys(COLUMNS, str))
    return table.fillna({"method": "raters"}).set_index(["kind", "group", "method", "metric"])


def test_of_a_class_the_mean_is_over_the_scans_that_have_such_a_lesion(study):
    table = run(study(("joint", 1, 0.0)))
    row = table.loc["size", SIZES[0], "joint", "LTPR"]
    # fold 0: A and B; fold 1: C and O
    assert float(row["mean"]) == pytest.approx((0.75 + 0.2) / 2, abs=1e-4)
    assert float(row["sd"]) == pytest.approx(np.std([0.75, 0.2], ddof=1), abs=1e-4)
    counts = ["n_folds", "n_undefined_folds", "n_scans", "n_undefined_scans", "n_subjects"]
    assert row[counts].tolist() == ["2", "0", "6", "2", "4"]
    assert row["n_lesions"] == "12"
    assert float(row["ci_low"]) < float(row["mean"]) < float(row["ci_high"])
    assert table.loc["size", SIZES[0], "joint", "LFPR"]["n_lesions"] == "18"
    # all found: the interval of four scans of as many subjects
    every = table.loc["size", SIZES[1], "joint", "LTPR"]
    assert (every["mean"], every["interval"]) == ("1", "exact")
    of_subjects = 0.025 ** (1 / int(every["n_subjects"]))
    assert float(every["ci_low"]) == pytest.approx(of_subjects)
    assert (row["interval"], every["ci_high"]) == ("bootstrap", "1")
    nothing = table.loc["size", SIZES[1], "joint", "LFPR"]
    assert nothing[["mean", "sd", "ci_low", "ci_high"]].isna().all()
    assert nothing[["n_folds", "n_undefined_folds", "n_undefined_scans"]].tolist() == [
        *("0", "2", "6")
    ]


def test_scans_are_parted_by_thirds_of_their_load(study):
    table = run(study(("joint", 1, 0.0)))
    dsc = table.xs("DSC", level="metric").loc["load"]
    # thirds of .5, 1, 2, 4, 8 and 16 ml lie at 5/3 and 16/3 of the way from 1 to 2, 4 to 8
    names = ["up to 1.67 ml", "over 1.67, up to 5.33 ml", "over 5.33 ml"]
    assert dsc.index.get_level_values("group").tolist() == names
    assert dsc["n_scans"].tolist() == ["2", "2", "2"]
    # A and B are both of fold 0; C of fold 1 and N of fold 0; O and P of fold 1
    assert dsc["mean"].astype(float).tolist() == pytest.approx([0.3, 0.55, 0.8], abs=1e-4)
    assert dsc["n_folds"].tolist() == ["1", "2", "1"]
    assert dsc["n_undefined_folds"].tolist() == ["1", "0", "1"]


def test_all_lesions_are_told_as_in_the_other_tables(study):
    row = run(study(("joint", 1, 0.0))).loc["all", "all", "joint", "DSC"]
    assert float(row["mean"]) == pytest.approx((0.4 + 0.7) / 2, abs=1e-4)
    assert (row["n_scans"], row["n_undefined_scans"], row["n_lesions"]) == ("6", "0", "54")


def test_raters_stand_beside_methods_on_the_same_scans(study):
    table = run(study(("joint", 1, 0.0), ("unet", 1, 0.1)), "joint", "unet")
    of_raters = table.loc["raters"]
    assert list(dict.fromkeys(of_raters.index.get_level_values("method"))) == [
        *("raters", "joint", "unet")
    ]
    dsc = of_raters.xs("DSC", level="metric").droplevel("group")
    # A and B are of fold 0, O of fold 1
    expected = [(0.7 + 0.9) / 2, (0.3 + 0.7) / 2, (0.4 + 0.8) / 2]
    assert dsc["mean"].astype(float).tolist() == pytest.approx(expected, abs=1e-4)
    assert set(dsc["n_scans"]) == {"3"}
    assert dsc["n_lesions"].tolist() == ["13.5", "27", "27"]
    by_kind = table.reset_index().groupby("kind")["metric"].agg(set)
    assert [kind for kind, metrics in by_kind.items() if "LF1" in metrics] == ["raters"]


def test_without_raters_there_is_no_such_group(study):
    table = run(study(("joint", 1, 0.0)), raters=False)
    assert set(table.index.get_level_values("kind")) == {"all", "size", "load"}


def test_raters_of_scans_of_folds_that_were_not_run_are_left_out(study):
    table = run(study(("joint", 1, 0.0)), folds="0")
    dsc = table.loc["raters"].xs("DSC", level="metric")
    assert set(dsc["n_scans"]) == {"2"}
    assert dsc["mean"].astype(float).tolist() == pytest.approx([0.7, 0.3], abs=1e-4)
    assert set(dsc["n_undefined_folds"]) == {"0"}


def test_several_seeds_are_averaged_and_drawn(study):
    folder = study(("joint", 1, 0.0), ("joint", 2, -0.1))
    table = run(folder)
    row = table.loc["all", "all", "joint", "DSC"]
    assert float(row["mean"]) == pytest.approx(0.55 - 0.05, abs=1e-4)
    assert float(row["sd_seeds"]) == pytest.approx(np.std([0.55, 0.45], ddof=1), abs=1e-4)
    assert (row["n_seeds"], row["n_scans"], row["n_lesions"]) == ("2", "6", "54")
    # predicted lesions differ between seeds: 3 and 4 in each of six scans
    assert table.loc["size", SIZES[0], "joint", "LFPR"]["n_lesions"] == "21"
    of_raters = table.loc["raters", "raters", "raters", "DSC"]
    assert of_raters["n_seeds"] == "1"
    assert pd.isna(of_raters["sd_seeds"])
    for path in folder.glob("joint-2-*"):
        path.unlink()
    alone = run(folder)
    assert float(row["ci_low"]) < float(alone.loc["all", "all", "joint", "DSC"]["ci_low"])
    # what no seed changes is as it was
    assert of_raters.equals(alone.loc["raters", "raters", "raters", "DSC"])


def test_terciles_of_few_scans():
    assert terciles(pd.Series({"a": 1.0, "b": 1.0, "c": 1.0})) == {
        "up to 1.00 ml": frozenset("abc")
    }
    parts = terciles(pd.Series({"a": 0.0, "b": 3.0, "c": 6.0}))
    assert parts == {
        "up to 2.00 ml": frozenset("a"),
        "over 2.00, up to 4.00 ml": frozenset("b"),
        "over 4.00 ml": frozenset("c"),
    }


def test_equal_inputs_give_equal_bytes(study):
    folder = study(("joint", 1, 0.0))
    run(folder)
    once = (folder / "table.tsv").read_bytes()
    run(folder)
    assert (folder / "table.tsv").read_bytes() == once


def edit(path: Path, change) -> None:
    types = {"value": float, "lesions": float, "scan": str, "metric": str}
    write_tsv(path, change(read_tsv(path, types)))


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("unet-1-0.tsv", lambda table: table.iloc[:-1], "every class of size"),
        ("unet-1-0.tsv", lambda table: table[table["scan"] != "sub-A"], "every class of size"),
        ("unet-1-1.tsv", lambda table: pd.concat([table, table.iloc[:1]]), "once"),
        ("raters-A.tsv", lambda table: table.iloc[:-1], "of each scan once"),
        ("raters-A.tsv", lambda table: table.assign(scan="sub-B"), "of each scan once"),
        ("folds.tsv", lambda table: table[table["scan"] != "sub-C"], "also sub-C"),
    ],
)
def test_what_contradicts_itself_is_refused(study, name, change, found):
    folder = study(("joint", 1, 0.0), ("unet", 1, 0.0))
    if name == "folds.tsv":
        table = read_tsv(folder / name, {"scan": str})
        write_tsv(folder / name, change(table))
    else:
        edit(folder / name, change)
    with pytest.raises(InputError, match=found):
        run(folder, "joint", "unet")
