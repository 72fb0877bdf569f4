"""Over folds: means, intervals over subjects, and whether a map beats chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_tsv
from msnmo.evaluate.statistics.maps import COLUMNS, main
from msnmo.evaluate.verdict import read_verdicts

SUBJECTS = {"A": "MS", "B": "MS", "C": "MS", "N": "NMOSD", "O": "NMOSD", "P": "NMOSD"}
FOLD_OF = {"A": 0, "B": 0, "C": 1, "N": 0, "O": 1, "P": 1}
AUROCS = {
    "cam": [0.8, 0.9, 0.85, 0.7, 0.95, 0.9],
    "gradcam": [0.3, 0.7, 0.4, 0.6, 0.5, 0.6],
    "intensity": [0.9] * 6,
    "random": [0.49, 0.51, 0.5, 0.48, 0.52, 0.5],
}


@pytest.fixture
def study(tmp_path):
    """A function that writes folds and what was measured, with values of scans changed."""

    def write(**changed: float):
        rows = []
        for name, values in AUROCS.items():
            for subject, usual in zip(SUBJECTS, values, strict=True):
                value = changed.get(subject, usual)
                measured = {"auroc": value, "peak": 1.0, "energy": 0.1, "flat": name == "gradcam"}
                key = ("joint", FOLD_OF[subject], 1, f"sub-{subject}", name)
                rows += [
                    (*key, metric, np.nan if np.isnan(value) else float(each))
                    for metric, each in measured.items()
                ]
        columns = ["method", "fold", "seed", "scan", "map", "metric", "value"]
        table = pd.DataFrame(rows, columns=columns)
        for fold, part in table.groupby("fold"):
            untrained = part["map"].isin(["intensity", "random"])
            write_tsv(tmp_path / f"fold-{fold}.tsv", part[~untrained])
            of_none = part[untrained].drop(columns=["method", "seed"])
            write_tsv(tmp_path / f"untrained-{fold}.tsv", of_none)
        folds = [(f"sub-{s}", s, d, FOLD_OF[s]) for s, d in SUBJECTS.items()]
        columns = ["scan", "subject", "diagnosis", "fold"]
        write_tsv(tmp_path / "folds.tsv", pd.DataFrame(folds, columns=columns))
        return tmp_path

    return write


def run(folder, *files: str) -> pd.DataFrame:
    measured = [str(folder / name) for name in files or ("fold-0.tsv", "fold-1.tsv")]
    untrained = [str(folder / f"untrained-{fold}.tsv") for fold in (0, 1)]
    main(
        [
            *("--measured", *measured, "--untrained", *untrained),
            *("--folds", str(folder / "folds.tsv"), "--seed", "1"),
            *("--replicates", "500", "--out", str(folder / "joint.tsv")),
        ]
    )
    return read_tsv(folder / "joint.tsv", dict.fromkeys(COLUMNS, str)).set_index(["map", "metric"])


def test_means_are_over_folds_and_intervals_lie_around_them(study):
    table = run(study())
    row = table.loc[("cam", "auroc")]
    assert float(row["mean"]) == pytest.approx((0.8 + 0.9) / 2, abs=1e-4)
    assert float(row["sd"]) == pytest.approx(np.std([0.8, 0.9], ddof=1), abs=1e-4)
    assert float(row["ci_low"]) < 0.85 < float(row["ci_high"])
    counts = ("n_folds", "n_undefined_folds", "n_scans", "n_undefined_scans", "n_subjects")
    assert [row[name] for name in counts] == ["2", "0", "6", "0", "6"]
    assert table.loc[("gradcam", "peak"), "n_flat"] == "6"
    assert table.loc[("cam", "peak"), "n_flat"] == "0"


def test_a_map_beats_chance_where_its_whole_interval_is_above_one_half(study):
    table = run(study())
    assert table.xs("auroc", level="metric")["beats_chance"].to_dict() == {
        "cam": "yes",
        "gradcam": "no",
        "intensity": "yes",
        "random": "no",
    }
    assert table.xs("peak", level="metric")["beats_chance"].isna().all()
    # the random map's own value is what peak and energy are held against
    chance = table.xs("energy", level="metric")["chance"].astype(float)
    assert chance.to_list() == pytest.approx([0.1] * len(chance))
    assert set(table.xs("auroc", level="metric")["chance"]) == {"0.5"}


def test_a_scan_without_lesions_is_in_no_mean_and_counted(study):
    row = run(study(A=np.nan)).loc[("cam", "auroc")]
    assert float(row["mean"]) == pytest.approx((0.8 + 0.9) / 2, abs=1e-4)
    assert (row["n_scans"], row["n_undefined_scans"], row["n_subjects"]) == ("6", "1", "5")


def test_a_fold_without_lesions_is_in_no_mean_and_counted(study):
    row = run(study(A=np.nan, B=np.nan, N=np.nan)).loc[("cam", "auroc")]
    assert float(row["mean"]) == pytest.approx(0.9, abs=1e-4)
    assert (row["n_folds"], row["n_undefined_folds"], row["n_undefined_scans"]) == ("1", "1", "3")


def test_without_any_lesion_nothing_is_claimed(study):
    folder = study(**dict.fromkeys(SUBJECTS, np.nan))
    row = run(folder).loc[("cam", "auroc")]
    assert row[["mean", "ci_low", "beats_chance"]].isna().all()
    verdict = read_verdicts(folder / "joint.tsv")["joint", "cam"]
    assert verdict.beats_chance is None
    assert verdict.to_json() is None


def test_verdicts_are_read_as_they_were_written(study):
    folder = study(A=np.nan)
    row = run(folder).loc[("cam", "auroc")]
    verdict = read_verdicts(folder / "joint.tsv")["joint", "cam"]
    assert verdict.auroc == float(row["mean"])
    assert (verdict.scans, verdict.subjects, verdict.beats_chance) == (5, 5, True)
    assert set(read_verdicts(folder / "joint.tsv")) == {("joint", name) for name in AUROCS}


def other_seed(folder, seed: int, better: float) -> list[str]:
    """Write the method's maps as another seed's training would find them; no Grad-CAM."""
    names = []
    for fold in (0, 1):
        table = read_tsv(folder / f"fold-{fold}.tsv", {"method": str, "value": float})
        table = table[table["map"] == "cam"].assign(seed=seed)
        table.loc[table["metric"] == "auroc", "value"] += better
        names.append(f"seed-{seed}-fold-{fold}.tsv")
        write_tsv(folder / names[-1], table)
    return names


def test_several_seeds_are_averaged_and_drawn(study):
    folder = study()
    alone = run(folder).loc[("cam", "auroc")]
    one = ("fold-0.tsv", "fold-1.tsv")
    again = run(folder, *one, *other_seed(folder, 2, 0.0)).loc[("cam", "auroc")]
    assert again["mean"] == alone["mean"]
    assert float(again["sd_seeds"]) == 0
    assert pd.isna(alone["sd_seeds"])
    table = run(folder, *one, *other_seed(folder, 2, -0.2))
    moved = table.loc[("cam", "auroc")]
    assert float(moved["mean"]) == pytest.approx(0.85 - 0.1, abs=1e-4)
    assert float(moved["sd_seeds"]) == pytest.approx(np.std([0.85, 0.65], ddof=1), abs=1e-4)
    assert float(moved["sd"]) == pytest.approx(float(alone["sd"]), abs=1e-4)
    assert float(moved["ci_low"]) < float(alone["ci_low"]) - 0.1
    assert (moved["n_scans"], moved["n_maps"], moved["n_subjects"]) == ("6", "12", "6")
    # what no other seed made is as it was
    assert table.loc[("gradcam", "auroc"), "n_maps"] == "6"
    assert table.loc[("intensity", "auroc")].equals(run(folder).loc[("intensity", "auroc")])


def test_a_training_that_lacks_a_fold_is_refused(study):
    folder = study()
    first, _ = other_seed(folder, 2, 0.0)
    with pytest.raises(InputError, match="of each map of each scan"):
        run(folder, "fold-0.tsv", "fold-1.tsv", first)


def test_equal_inputs_give_equal_bytes(study):
    folder = study()
    run(folder)
    once = (folder / "joint.tsv").read_bytes()
    run(folder)
    assert (folder / "joint.tsv").read_bytes() == once


def test_what_contradicts_itself_is_refused(study):
    folder = study()
    with pytest.raises(InputError, match="each scan of a training once"):
        run(folder, "fold-0.tsv", "fold-0.tsv")
    table = read_tsv(folder / "fold-1.tsv", {"method": str, "seed": int})
    write_tsv(folder / "other.tsv", table.assign(method="only_cls"))
    with pytest.raises(InputError, match="joint, only_cls"):
        run(folder, "fold-0.tsv", "other.tsv")
    write_tsv(folder / "short.tsv", table.iloc[:-1])
    with pytest.raises(InputError, match="of each map of each scan"):
        run(folder, "fold-0.tsv", "short.tsv")
    folds = read_tsv(folder / "folds.tsv", {"scan": str})
    write_tsv(folder / "folds.tsv", folds[folds["scan"] != "sub-C"])
    with pytest.raises(InputError, match="also sub-C"):
        run(folder)
