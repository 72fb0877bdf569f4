"""What a trained network says of perturbed scans, through the command that the workflow runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import read_json, write_json, write_tsv
from msnmo.core.geometry import ModelSpace
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_volume
from msnmo.evaluate.__main__ import main as evaluate_main
from msnmo.predict.fold import main as predict_main
from msnmo.robustness.conditions import COLUMNS as CONDITION_COLUMNS
from msnmo.robustness.conditions import LIES_ON, TABLE
from msnmo.robustness.predict import COLUMNS, main
from msnmo.train.__main__ import main as train_main

SETTINGS = {"train": {"epochs": 4, "learning_rate": 0.005}, "model": {"base_channels": 8}}
UNREAD = "sub-NMOSD3"
"""The scan whose mask is taken away."""


@pytest.fixture(scope="module")
def fold(blob_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network, its test scans perturbed in two ways, their truth on native grids."""
    out = tmp_path_factory.mktemp("fold")
    train_main(
        [
            *("--scans", str(blob_cohort / "train-0.tsv"), "--method", "joint", "--fold", "0"),
            *("--seed", "1", "--device", "cpu", "--settings", json.dumps(SETTINGS)),
            *("--out-weights", str(out / "weights.safetensors")),
            *("--out-history", str(out / "history.tsv"), "--out-run", str(out / "run.json")),
            *("--checkpoint", str(out / "checkpoint.pt")),
        ]
    )
    tests = pd.read_csv(blob_cohort / "test-0.tsv", sep="\t", na_values=["n/a"])
    for row in tests.itertuples():
        _perturb(row, out / row.scan)
        space = ModelSpace.from_sidecar(row.sidecar)
        lesion = load_volume(row.lesion).data
        native = space.to_native(lesion) > 0.5
        save_volume(out / f"{row.scan}.nii.gz", native, space.native, np.uint8)
    tests["native_lesion"] = [str(out / f"{scan}.nii.gz") for scan in tests["scan"]]
    tests.loc[tests["scan"] == UNREAD, ["lesion", "native_lesion"]] = None
    write_tsv(out / "truth.tsv", tests)
    return out


def _perturb(row: object, folder: Path) -> None:
    """Copy a scan as it is, and make its negative: nothing that a network knows."""
    folder.mkdir()
    rows = []
    for name, sign in (("1", 1), ("2", -1)):
        image = load_volume(row.image)
        save_volume(folder / f"{name}.nii.gz", sign * image.data, image.grid)
        shutil.copy(row.brain, folder / f"{name}_mask.nii.gz")
        sidecar = read_json(row.sidecar)
        native = ModelSpace.from_json(sidecar["geometry"]).native
        write_json(folder / f"{name}.json", sidecar | {LIES_ON: native.to_json()})
        files = (f"{name}.nii.gz", f"{name}.json", f"{name}_mask.nii.gz")
        rows.append(("noise", name, None, *files))
    rows.append(("engines", "fsl", "engine not installed", None, None, None))
    write_tsv(folder / TABLE, pd.DataFrame(rows, columns=list(CONDITION_COLUMNS)))


def _run(cohort: Path, folder: Path, out: Path, **changed: str) -> pd.DataFrame:
    options = {
        **{"scans": str(cohort / "test-0.tsv"), "truth": str(folder / "truth.tsv")},
        **{"perturbed": str(folder / "{scan}"), "method": "joint", "fold": "0", "seed": "1"},
        **{"weights": str(folder / "weights.safetensors"), "run": str(folder / "run.json")},
        **{"device": "cpu", "out": str(out)},
    } | changed
    main([part for name, value in options.items() for part in (f"--{name}", value)])
    return pd.read_csv(out, sep="\t", na_values=["n/a"], dtype={"severity": str})


def test_a_scan_as_it_is_gives_what_its_evaluation_gives(
    blob_cohort: Path, fold: Path, tmp_path: Path
) -> None:
    table = _run(blob_cohort, fold, tmp_path / "out.tsv")
    assert list(table) == list(COLUMNS)
    predict_main(
        [
            *("--scans", str(blob_cohort / "test-0.tsv"), "--method", "joint", "--fold", "0"),
            *("--weights", str(fold / "weights.safetensors"), "--run", str(fold / "run.json")),
            *("--device", "cpu", "--out", str(tmp_path / "predictions")),
        ]
    )
    evaluate_main(
        [
            *("--predictions", str(tmp_path / "predictions"), "--scans", str(fold / "truth.tsv")),
            *("--method", "joint", "--fold", "0", "--seed", "1"),
            *("--smallest-lesion-mm3", "0", "--out", str(tmp_path / "metrics.tsv")),
        ]
    )
    metrics = pd.read_csv(tmp_path / "metrics.tsv", sep="\t", na_values=["n/a"])
    dsc = metrics[(metrics["metric"] == "DSC") & (metrics["space"] == "native")]
    p_nmosd = metrics[metrics["metric"] == "P_NMOSD"].set_index("scan")["value"]
    as_is = table[table["severity"] == "1"].set_index("scan")
    assert len(as_is) == 4
    expected = dsc.dropna(subset=["scan"]).set_index("scan")["value"].reindex(as_is.index)
    assert expected.isna().sum() == 1, "the scan without a mask has no DSC"
    assert expected.max() > 0.1, "the network has learned something"
    np.testing.assert_allclose(as_is["dsc"], expected, atol=1e-6)
    np.testing.assert_allclose(as_is["p_nmosd"], p_nmosd[as_is.index], atol=1e-9)


def test_what_is_perturbed_is_another_image_and_what_is_left_out_has_no_number(
    blob_cohort: Path, fold: Path, tmp_path: Path
) -> None:
    table = _run(blob_cohort, fold, tmp_path / "out.tsv")
    as_is, negative, none = (
        table[table["severity"] == name].reset_index() for name in ("1", "2", "fsl")
    )
    assert (as_is["p_nmosd"] != negative["p_nmosd"]).all()
    assert as_is["dsc"].mean() > negative["dsc"].mean() + 0.1
    assert none[["dsc", "p_nmosd"]].isna().all(axis=None)
    assert set(none["left_out"]) == {"engine not installed"}
    assert as_is["left_out"].isna().all()
    again = tmp_path / "again.tsv"
    _run(blob_cohort, fold, again)
    assert again.read_bytes() == (tmp_path / "out.tsv").read_bytes()


def test_a_table_of_other_scans_and_a_sidecar_without_its_place_are_refused(
    blob_cohort: Path, fold: Path, tmp_path: Path
) -> None:
    truth = pd.read_csv(fold / "truth.tsv", sep="\t", na_values=["n/a"])
    write_tsv(tmp_path / "truth.tsv", truth[1:])
    with pytest.raises(InputError, match="only one has sub-MS0"):
        _run(blob_cohort, fold, tmp_path / "out.tsv", truth=str(tmp_path / "truth.tsv"))
    shutil.copytree(fold, tmp_path / "fold")
    broken = tmp_path / "fold/sub-MS0/1.json"
    sidecar = read_json(broken)
    del sidecar[LIES_ON]
    write_json(broken, sidecar)
    with pytest.raises(InputError, match="where its voxels lie"):
        _run(blob_cohort, tmp_path / "fold", tmp_path / "out.tsv")
    with pytest.raises(InputError, match="fold 0"):
        _run(blob_cohort, fold, tmp_path / "out.tsv", fold="1")
