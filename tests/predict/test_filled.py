"""With lesions filled, the same network is asked of the same scans, but those without a mask."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from msnmo.core.errors import DataLeakageError, InputError
from msnmo.core.files import read_tsv, write_tsv
from msnmo.predict import fill, filled, fold
from msnmo.train.__main__ import main as train_main

SETTINGS = {"train": {"epochs": 1}, "model": {"base_channels": 8}}
TESTED = ["sub-MS0", "sub-MS3", "sub-NMOSD0", "sub-NMOSD3"]


@pytest.fixture(scope="module")
def trained(blob_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, and the images of its test scans with lesions filled."""
    out = tmp_path_factory.mktemp("model")
    train_main(
        [
            *("--scans", str(blob_cohort / "train-0.tsv")),
            *("--method", "only_cls", "--fold", "0", "--seed", "1", "--device", "cpu"),
            *("--settings", json.dumps(SETTINGS)),
            *("--out-weights", str(out / "weights.safetensors")),
            *("--out-history", str(out / "history.tsv")),
            *("--out-run", str(out / "run.json")),
            *("--checkpoint", str(out / "checkpoint.pt")),
        ]
    )
    for scan in TESTED:
        files = {"image": "FLAIR", "lesion": "mask", "brain": "brain"}
        named = [f"--{key}={blob_cohort}/{scan}_{name}.nii.gz" for key, name in files.items()]
        fill.main([f"--scan={scan}", *named, f"--out={out / scan}.nii.gz"])
    return out


def predict(cohort: Path, model: Path, out: Path, **changed: str) -> pd.DataFrame:
    options = {
        "scans": str(cohort / "test-0.tsv"),
        "truth": str(cohort / "test-0.tsv"),
        "filled": str(model / "{scan}.nii.gz"),
        "method": "only_cls",
        "fold": "0",
        "seed": "1",
        "weights": str(model / "weights.safetensors"),
        "run": str(model / "run.json"),
        "out": str(out),
        "device": "cpu",
    } | changed
    filled.main([part for name, value in options.items() for part in (f"--{name}", value)])
    return read_tsv(out, filled.COLUMNS)


def test_only_the_image_differs_from_the_prediction_of_the_fold(blob_cohort, trained, tmp_path):
    options = [f"--scans={blob_cohort}/test-0.tsv", "--method=only_cls", "--fold=0"]
    options += [f"--weights={trained}/weights.safetensors", f"--run={trained}/run.json"]
    fold.main([*options, f"--out={tmp_path / 'fold-0'}", "--device=cpu"])
    evaluated = pd.read_csv(tmp_path / "fold-0/predictions.tsv", sep="\t")
    unfilled = str(blob_cohort / "{scan}_FLAIR.nii.gz")
    same = predict(blob_cohort, trained, tmp_path / "same.tsv", filled=unfilled)
    assert same["scan"].tolist() == TESTED
    assert same["p_nmosd"].tolist() == evaluated["p_nmosd"].tolist()
    assert same["diagnosis"].tolist() == evaluated["diagnosis"].tolist()
    other = predict(blob_cohort, trained, tmp_path / "other.tsv")
    assert (other["p_nmosd"] != same["p_nmosd"]).all()
    assert set(map(tuple, other[["method", "fold", "seed"]].to_numpy())) == {("only_cls", 0, 1)}


def test_scans_without_a_mask_are_left_out_and_named(blob_cohort, trained, tmp_path, capsys):
    truth = pd.read_csv(blob_cohort / "test-0.tsv", sep="\t", na_values="n/a")
    truth.loc[truth["scan"] == "sub-MS3", "lesion"] = None
    write_tsv(tmp_path / "truth.tsv", truth)
    table = predict(blob_cohort, trained, tmp_path / "a.tsv", truth=str(tmp_path / "truth.tsv"))
    assert table["scan"].tolist() == [scan for scan in TESTED if scan != "sub-MS3"]
    assert "left out, as they have none: sub-MS3" in capsys.readouterr().out
    write_tsv(tmp_path / "truth.tsv", truth.assign(lesion=None))
    table = predict(blob_cohort, trained, tmp_path / "b.tsv", truth=str(tmp_path / "truth.tsv"))
    assert table.empty


def test_what_does_not_belong_together_is_refused(blob_cohort, trained, tmp_path):
    def refused(error, match, **changed):
        with pytest.raises(error, match=match):
            predict(blob_cohort, trained, tmp_path / "out.tsv", **changed)
        assert not (tmp_path / "out.tsv").exists()

    refused(InputError, "only one has", truth=str(blob_cohort / "test-1.tsv"))
    refused(InputError, "a method that classifies", method="unet")
    refused(InputError, "No such file", filled=str(tmp_path / "{scan}.nii.gz"))
    both = {name: str(blob_cohort / "train-0.tsv") for name in ("scans", "truth")}
    refused(DataLeakageError, "also in the training scans", **both)
