"""A clone of open_ms_data, whole or in part, in each of its layouts; and the real part of it."""

import os
from pathlib import Path

import pytest

from msnmo.cohort.open_ms import MNI_FLAIR, MNI_MASK, PARTS

DATA = os.environ.get("MSNMO_REAL_DATA")


@pytest.fixture
def clone(tmp_path, nifti):
    root = tmp_path / "open ms data"
    for number in ("01", "02", "30"):
        mni = root / f"cross_sectional/MNI/patient{number}"
        nifti(mni / f"{MNI_FLAIR}.nii.gz")
        nifti(mni / f"{MNI_MASK}.nii.gz")
        raw = root / f"cross_sectional/raw/patient{number}"
        moved = root / f"cross_sectional/coregistered/patient{number}"
        # the repository names files with and without the patient
        before = f"patient{number}_" if number == "02" else ""
        for folder in (raw, moved):
            nifti(folder / f"{before}FLAIR.nii.gz")
            nifti(folder / f"{before}T1W.nii.gz")
            nifti(folder / f"{before}consensus_gt.nii.gz")
        nifti(moved / f"{before}brainmask.nii.gz")
        late = root / f"longitudinal/raw/patient{number}"
        for visit in (1, 2):
            nifti(late / f"study{visit}_FLAIR.nii.gz")
        nifti(late / "gt.nii.gz")
        both = root / f"longitudinal/coregistered/patient{number}"
        for visit in (1, 2):
            nifti(both / f"{before}study{visit}_FLAIR.nii.gz")
        nifti(both / f"{before}brainmask.nii.gz")
    return root


def test_scans_in_mni_space_arrive_stripped_with_their_masks(clone, imported, tmp_path):
    table, notes = imported("open_ms", clone, out=tmp_path / "scans.tsv")
    assert notes == {}
    assert table["subject"].tolist() == ["C01", "C02", "C30"]
    assert set(table["stripped"]) == set(table["bias_corrected"]) == {"yes"}
    assert set(table["diagnosis"]) == {"MS"}
    assert table["lesion_mask"][0].endswith(f"MNI/patient01/{MNI_MASK}.nii.gz")


def test_native_scans_bring_their_brain_mask(clone, imported_by_command, tmp_path):
    table, _ = imported_by_command(
        "open_ms", clone, "--part", "coregistered", out=tmp_path / "scans.tsv"
    )
    assert set(table["stripped"]) == {"no"}
    assert set(table["bias_corrected"]) == {"yes"}
    assert table["brain_mask"][1].endswith("coregistered/patient02/patient02_brainmask.nii.gz")
    assert table["lesion_mask"][1].endswith("patient02_consensus_gt.nii.gz")


def test_raw_scans_are_heads(clone, imported, tmp_path):
    table, _ = imported("open_ms", clone, "--part", "raw", out=tmp_path / "scans.tsv")
    assert set(table["stripped"]) == set(table["bias_corrected"]) == {"no"}
    assert set(table["brain_mask"]) == {""}
    assert all(table["lesion_mask"])


def test_masks_of_change_are_never_taken_for_lesions(clone, imported, tmp_path):
    table, notes = imported("open_ms", clone, "--part", "longitudinal", out=tmp_path / "scans.tsv")
    assert len(table) == 6
    assert table["session"].tolist() == ["1", "2"] * 3
    assert set(table["lesion_mask"]) == set(table["diagnosis"]) == {""}
    assert "marks only lesions that changed" in " ".join(notes.values())


def test_both_visits_in_one_space_have_one_brain_mask(clone, imported, tmp_path):
    part = ["--part", "longitudinal-coregistered"]
    table, _ = imported("open_ms", clone, *part, out=tmp_path / "scans.tsv")
    folder = "open ms data/longitudinal/coregistered"
    assert table[["subject", "session", "brain_mask"]].to_numpy().tolist() == [
        [f"L{number}", visit, f"{folder}/patient{number}/{before}brainmask.nii.gz"]
        for number, before in (("01", ""), ("02", "patient02_"), ("30", ""))
        for visit in ("1", "2")
    ]


def test_a_scan_without_its_flair_is_told_and_not_fatal(clone, imported, tmp_path):
    gone = clone / f"cross_sectional/MNI/patient02/{MNI_FLAIR}.nii.gz"
    gone.unlink()
    table, notes = imported("open_ms", clone, out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["C01", "C30"]
    assert notes == {str(gone): "no such file in this clone"}


def test_strange_folders_and_pointers_are_told_of(clone, imported, tmp_path):
    strange = clone / "cross_sectional/MNI/patient3"
    strange.mkdir()
    mask = clone / f"cross_sectional/MNI/patient02/{MNI_MASK}.nii.gz"
    mask.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    table, notes = imported("open_ms", clone, out=tmp_path / "scans.tsv")
    assert table["diagnosis"].tolist() == ["MS", "", "MS"]
    assert "not a patient's folder" in notes[str(strange)]
    assert "Git LFS pointer" in notes[str(mask)]


def test_another_folder_is_refused(refused, tmp_path):
    said = refused("open_ms", tmp_path, out=tmp_path / "scans.tsv")
    assert "cross_sectional/MNI/patient01" in said


@pytest.mark.real
@pytest.mark.skipif(not DATA, reason="MSNMO_REAL_DATA is not set")
def test_the_real_part_of_the_repository(imported, tmp_path):
    root = Path(DATA) / "open_ms"
    table, notes = imported("open_ms", root, out=tmp_path / "mni.tsv")
    assert table["subject"].tolist() == ["C07", "C26"]
    assert list(notes.values()) == ["no such file in this clone"] * 20
    table, notes = imported("open_ms", root, "--part", "longitudinal", out=tmp_path / "raw.tsv")
    assert table[["subject", "session"]].to_numpy().tolist() == [
        ["L01", "1"],
        ["L01", "2"],
        ["L12", "1"],
        ["L12", "2"],
    ]


def test_every_part_is_told_of_in_the_help():
    assert all(part.help for part in PARTS.values())
