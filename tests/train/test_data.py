from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from msnmo.cohort.parts import read_part
from msnmo.core.diagnoses import NO_DIAGNOSIS, VARIABLE
from msnmo.core.errors import InputError
from msnmo.core.files import sha256
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_mask, load_volume
from msnmo.train.data import UNLABELLED, load_training_scans, refuse_unlabelled


def test_the_scans_themselves(blob_cohort: Path) -> None:
    table = read_part(blob_cohort / "train-1.tsv", ("image", "lesion"))
    scans = load_training_scans(table, with_lesions=True)
    assert [scan.scan for scan in scans] == list(table["scan"])
    for scan in scans:
        assert scan.label == int("NMOSD" in scan.scan)
        image = blob_cohort / f"{scan.scan}_FLAIR.nii.gz"
        mask = blob_cohort / f"{scan.scan}_mask.nii.gz"
        np.testing.assert_array_equal(scan.image[0].numpy(), load_volume(image).data)
        np.testing.assert_array_equal(scan.lesion[0].numpy(), load_mask(mask).data)
        assert scan.lesion.dtype == torch.bool
        assert scan.content == {"image": sha256(image), "lesion": sha256(mask)}


def test_every_bad_file_is_reported_at_once(blob_cohort: Path, tmp_path: Path) -> None:
    table = read_part(blob_cohort / "train-0.tsv", ("image", "lesion")).astype({"lesion": object})
    whole = load_volume(table["image"][0])
    small = type(whole.grid).from_affine((16, 16, 16), whole.grid.affine)
    moved = whole.grid.affine.copy()
    moved[0, 3] += 1
    other = type(whole.grid).from_affine(whole.grid.shape, moved)

    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(Path(table["image"][0]).read_bytes()[:5000])
    save_volume(tmp_path / "small.nii.gz", np.zeros((16, 16, 16)), small)
    save_volume(tmp_path / "moved.nii.gz", np.zeros((32, 32, 32)), other, np.uint8)
    save_volume(tmp_path / "labels.nii.gz", np.arange(32**3).reshape(32, 32, 32) % 3, whole.grid)
    table.loc[0, "image"] = str(cut)
    table.loc[1, "image"] = str(tmp_path / "gone.nii.gz")
    table.loc[2, "lesion"] = float("nan")
    table.loc[3, "lesion"] = str(tmp_path / "moved.nii.gz")
    table.loc[4, "lesion"] = str(tmp_path / "labels.nii.gz")
    table.loc[5, ["image", "lesion"]] = str(tmp_path / "small.nii.gz")

    with pytest.raises(InputError) as error:
        load_training_scans(table, with_lesions=True)
    text = str(error.value)
    assert len(error.value.findings) == 6
    for words in ("cut.nii.gz", "gone.nii.gz", "moved.nii.gz", "labels.nii.gz"):
        assert words in text
    assert f"scan {table['scan'][2]}\n    expected: a lesion mask" in text
    assert f"scan {table['scan'][5]}\n    expected: shape (32, 32, 32)" in text


def test_a_method_without_segmentation_needs_no_lesion_masks(blob_cohort: Path) -> None:
    table = read_part(blob_cohort / "train-0.tsv", ("image",))
    scans = load_training_scans(table, with_lesions=False)
    assert not any(scan.lesion.any() for scan in scans)
    assert all(set(scan.content) == {"image"} for scan in scans)


def test_labels_are_numbered_in_the_order_of_the_config(
    blob_cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_part(blob_cohort / "train-1.tsv", ("image",))
    before = [scan.label for scan in load_training_scans(table, with_lesions=False)]
    monkeypatch.setenv(VARIABLE, "NMOSD,MS")
    after = [scan.label for scan in load_training_scans(table, with_lesions=False)]
    assert set(before) == {0, 1}
    assert after == [1 - label for label in before]


def test_a_scan_without_a_class_is_for_segmentation_alone(blob_cohort: Path) -> None:
    table = read_part(blob_cohort / "train-1.tsv", ("image", "lesion"))
    table.loc[0, "diagnosis"] = NO_DIAGNOSIS
    scans = load_training_scans(table, with_lesions=True)
    assert scans[0].label == UNLABELLED
    refuse_unlabelled(scans[1:])
    with pytest.raises(InputError, match=f"none of {scans[0].scan}\n"):
        refuse_unlabelled(scans)
