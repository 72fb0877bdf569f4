"""Public data sets become scan tables by their documented layouts; masks of other things do not."""

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.command import follow

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.fixture
def msseg2016(tmp_path, nifti):
    """Patient 01 of centre 01 in either set, who are two people, and one of the unseen centre."""
    root = tmp_path / "MSSEG-2016"
    for place in ("Training/Center_01", "Testing/Center_01", "Testing/Center_03"):
        patient = root / place / "Patient_01"
        nifti(patient / "Raw_Data/FLAIR.nii.gz")
        nifti(patient / "Raw_Data/T1.nii.gz")
        nifti(patient / "Preprocessed_Data/FLAIR_preprocessed.nii.gz")
        nifti(patient / "Masks/Consensus.nii.gz")
        nifti(patient / "Masks/Brain_Mask.nii.gz")
        for rater in range(1, 8):
            nifti(patient / f"Masks/ManualSegmentation_{rater}.nii.gz")
    return root


def test_msseg_2016_has_a_consensus_and_patients_of_both_sets(msseg2016, imported, tmp_path):
    table, notes = imported("msseg2016", msseg2016, out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["Testing0101", "Testing0301", "Training0101"]
    assert table["site"].tolist() == [f"MSSEG2016 centre {n}" for n in ("01", "03", "01")]
    assert set(table["diagnosis"]) == {"MS"}
    assert set(table["stripped"]) == set(table["bias_corrected"]) == {"yes"}
    folder = "MSSEG-2016/Training/Center_01/Patient_01"
    assert table["flair"][2] == f"{folder}/Preprocessed_Data/FLAIR_preprocessed.nii.gz"
    assert table["lesion_mask"][2] == f"{folder}/Masks/Consensus.nii.gz"
    assert list(notes.values()) == ["3 scans; the complete set has 53"]


def test_what_systems_add_to_archives_is_not_read(msseg2016, imported, tmp_path):
    place = "Training/Center_01/Patient_01/Preprocessed_Data"
    for name in ("__MACOSX", "@eaDir", ".Trash-1000"):
        copy = msseg2016 / name / place / "FLAIR_preprocessed.nii.gz"
        copy.parent.mkdir(parents=True)
        copy.write_bytes(b"x")
    (msseg2016 / place / "._FLAIR_preprocessed.nii.gz").write_bytes(b"x")
    table, notes = imported("msseg2016", msseg2016, out=tmp_path / "scans.tsv")
    assert len(table) == 3
    for name in ("__MACOSX", "@eaDir", ".Trash-1000"):
        assert "not read" in notes[str(msseg2016 / name)]


def test_copies_of_a_patient_are_both_named(msseg2016, nifti, refused, tmp_path):
    place = "Training/Center_01/Patient_01/Preprocessed_Data/FLAIR_preprocessed.nii.gz"
    copy = nifti(msseg2016 / "backup" / place)
    said = refused("msseg2016", msseg2016, out=tmp_path / "scans.tsv")
    assert str(copy) in said
    assert str(msseg2016 / place) in said


def test_msseg_2016_has_heads_and_seven_raters(msseg2016, imported, tmp_path):
    gone = msseg2016 / "Testing/Center_03/Patient_01/Masks/ManualSegmentation_7.nii.gz"
    gone.write_bytes(POINTER)
    options = ["--state", "raw", "--masks", "raters"]
    table, notes = imported("msseg2016", msseg2016, *options, out=tmp_path / "scans.tsv")
    assert [masks.count("ManualSegmentation") for masks in table["lesion_mask"]] == [7, 0, 7]
    assert table["diagnosis"].tolist() == ["MS", "", "MS"]
    assert set(table["stripped"]) == {"no"}
    assert all(path.endswith("Raw_Data/FLAIR.nii.gz") for path in table["flair"])
    assert "Git LFS pointer" in notes[str(gone)]
    assert any("6 of 7 masks" in note for note in notes.values())


def test_msseg_2_masks_of_new_lesions_are_never_taken(nifti, imported, tmp_path):
    root = tmp_path / "MSSEG-2"
    for number in ("013", "100"):
        for name in ("flair_time01_on_middle_space", "flair_time02_on_middle_space"):
            nifti(root / f"training/{number}/{name}.nii.gz")
        nifti(root / f"training/{number}/ground_truth.nii.gz")
        nifti(root / f"training/{number}/ground_truth_expert1.nii.gz")
    table, notes = imported("msseg2", root, out=tmp_path / "scans.tsv")
    assert table[["subject", "session"]].to_numpy().tolist() == [
        [number, visit] for number in ("013", "100") for visit in ("1", "2")
    ]
    assert set(table["lesion_mask"]) == set(table["diagnosis"]) == {""}
    assert "marks only new lesions" in notes[str(root / "*/ground_truth*")]
    assert notes[str(root)] == "4 scans of 2 subjects; the complete set has 200 of 100"


def test_a_visit_that_is_not_there_is_told_of(nifti, imported, tmp_path):
    root = tmp_path / "MSSEG-2"
    flair = nifti(root / "training/013/flair_time01_on_middle_space.nii.gz")
    copy = nifti(root / "training/013/flair_time02_on_middle_space (1).nii.gz")
    _, notes = imported("msseg2", root, out=tmp_path / "scans.tsv")
    assert notes[str(flair)] == "the other visit of 013 is missing: taken alone"
    assert "in no row" in notes[str(copy)]


def test_mslesseg_visits_and_test_set(nifti, imported, tmp_path):
    root = tmp_path / "MSLesSeg Dataset"
    for name in ("train/P1/T1/P1_T1", "train/P1/T2/P1_T2", "test/P54/P54", "test/P55/P55"):
        for kind in ("FLAIR", "T1", "T2", "MASK"):
            nifti(root / f"{name}_{kind}.nii.gz")
    (root / "test/P55/P55_MASK.nii.gz").unlink()
    table, notes = imported("mslesseg", root, out=tmp_path / "scans.tsv")
    assert table[["subject", "session", "diagnosis"]].to_numpy().tolist() == [
        ["P1", "1", "MS"],
        ["P1", "2", "MS"],
        ["P54", "", "MS"],
        ["P55", "", ""],
    ]
    assert table["lesion_mask"][1] == "MSLesSeg Dataset/train/P1/T2/P1_T2_MASK.nii.gz"
    assert set(table["stripped"]) == {"yes"}
    assert notes[str(root)] == "4 scans of 3 subjects; the complete set has 115 of 75"
    assert "no mask" in notes[str(root / "test/P55/P55_FLAIR.nii.gz")]


def test_mslesseg_scans_in_anothers_folder_and_in_both_sets_are_told_of(nifti, imported, tmp_path):
    root = tmp_path / "MSLesSeg Dataset"
    for name in ("train/P1/T1/P1_T1", "train/P2/T1/P1_T1", "test/P1/P1"):
        for kind in ("FLAIR", "MASK"):
            nifti(root / f"{name}_{kind}.nii.gz")
    table, notes = imported("mslesseg", root, out=tmp_path / "scans.tsv")
    assert table[["subject", "session"]].to_numpy().tolist() == [["P1", ""], ["P1", "1"]]
    assert "so its owner is unknown" in notes[str(root / "train/P2/T1/P1_T1_FLAIR.nii.gz")]
    assert "in no row" in notes[str(root / "train/P2/T1/P1_T1_MASK.nii.gz")]
    assert "one person" in notes[str(root / "test/P1/P1_FLAIR.nii.gz")]


def test_mslesseg_names_of_other_capitals_are_in_the_error(nifti, refused, tmp_path):
    path = nifti(tmp_path / "x/train/P1/T1/P1_T1_flair.nii.gz")
    assert f"{path}: not one of the data set's files" in refused(
        "mslesseg", tmp_path / "x", out=tmp_path / "scans.tsv"
    )


def test_wmh_2017_people_of_the_other_state_alone_are_told_of(nifti, imported, tmp_path):
    nifti(tmp_path / "wmh/training/Utrecht/0/pre/FLAIR.nii.gz")
    other = nifti(tmp_path / "wmh/training/Singapore/50/orig/FLAIR.nii.gz")
    _, notes = imported("wmh2017", tmp_path / "wmh", out=tmp_path / "scans.tsv")
    assert notes[str(other)] == "no pre/FLAIR beside it; --state orig takes it"


@pytest.mark.parametrize(("state", "corrected"), [("pre", "yes"), ("orig", "no")])
def test_wmh_2017_is_a_test_of_specificity(*, state, corrected, nifti, imported, tmp_path):
    root = tmp_path / "dataverse_files"
    people = {
        "training/Utrecht/0": "Utrecht",
        "training/Amsterdam/GE3T/100": "Amsterdam GE3T",
        "test/Amsterdam/Philips_VU .PETMR_01./161": "Amsterdam Philips_VU .PETMR_01.",
    }
    for person in people:
        for folder in ("pre", "orig"):
            nifti(root / person / folder / "FLAIR.nii.gz")
            nifti(root / person / folder / "T1.nii.gz")
        nifti(root / person / "wmh.nii.gz")
    nifti(root / "additional_annotations/observer_o3/training/Utrecht/0/result.nii.gz")
    table, notes = imported("wmh2017", root, "--state", state, out=tmp_path / "scans.tsv")
    assert dict(zip(table["subject"], table["site"], strict=True)) == {
        "Utrecht0": "Utrecht",
        "AmsterdamGE3T100": "Amsterdam GE3T",
        "AmsterdamPhilipsVUPETMR01161": "Amsterdam Philips_VU .PETMR_01.",
    }
    assert set(table["lesion_mask"]) == set(table["diagnosis"]) == {""}
    assert set(table["bias_corrected"]) == {corrected}
    assert all(f"/{state}/FLAIR.nii.gz" in path for path in table["flair"])
    assert "other pathology" in notes[str(root / "**/wmh.nii.gz")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("msseg2016", "Training/Center_01/Patient_01"),
        ("msseg2", "training/013/flair_time01_on_middle_space.nii.gz"),
        ("mslesseg", "train/P1/T1/P1_T1_FLAIR.nii.gz"),
        ("wmh2017", "training/Utrecht/0/pre/FLAIR.nii.gz"),
    ],
)
def test_another_folder_is_refused(name, expected, refused, tmp_path):
    assert expected in refused(name, tmp_path, out=tmp_path / "scans.tsv")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("msseg2", "training/013/flair_time01_on_middle_space.nii.gz"),
        ("mslesseg", "train/P1/T1/P1_T1_FLAIR.nii.gz"),
        ("wmh2017", "training/Utrecht/0/pre/FLAIR.nii.gz"),
        (
            "msseg2016",
            "Training/Center_01/Patient_01/Preprocessed_Data/FLAIR_preprocessed.nii.gz",
        ),
    ],
)
def test_pointers_alone_are_named_as_such(name, path, refused, tmp_path):
    file = tmp_path / "clone" / path
    file.parent.mkdir(parents=True)
    file.write_bytes(POINTER)
    said = refused(name, tmp_path / "clone", out=tmp_path / "scans.tsv")
    assert "not fetched (a Git LFS pointer" in said


def test_a_data_set_that_is_packed_yet_is_told_how_to_unpack_it(nifti, imported, refused, tmp_path):
    folder = tmp_path / "down loads"
    for name in ("P1", "P2"):
        nifti(folder / f"train/{name}/T1/{name}_T1_FLAIR.nii.gz")
    with zipfile.ZipFile(folder / "MSLesSeg Dataset.zip", "w") as archive:
        for path in sorted((folder / "train").rglob("*.nii.gz")):
            archive.write(path, Path("MSLesSeg Dataset") / path.relative_to(folder))
    shutil.rmtree(folder / "train")
    said = refused("mslesseg", folder, out=tmp_path / "scans.tsv")
    assert "found:    an archive (zip)" in said
    follow(re.search(r"unpack it: (.*)", said)[1])
    table, _ = imported("mslesseg", folder / "MSLesSeg Dataset", out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["P1", "P2"]
    said = refused("mslesseg", folder / "MSLesSeg Dataset.zip", out=tmp_path / "other.tsv")
    assert "unpack it (python -m zipfile -e " in said


def test_an_archive_is_told_once_whether_or_not_scans_are_left(nifti, imported, refused, tmp_path):
    folder = tmp_path / "set"
    paths = [nifti(folder / f"train/P{n}/T1/P{n}_T1_FLAIR.nii.gz") for n in (1, 2)]
    archives = [path.with_name(path.name.replace(".nii.gz", ".zip")) for path in paths]
    system = folder / "__MACOSX/train"
    system.mkdir(parents=True)
    for path, archive in zip(paths, archives, strict=True):
        with zipfile.ZipFile(archive, "w") as out:
            out.write(path, path.name)
        path.unlink()
        shutil.copy(archive, system)
    said = refused("mslesseg", folder, out=tmp_path / "scans.tsv")
    assert [said.count(f"\n  {archive}\n") for archive in archives] == [1, 1]
    assert said.count("_FLAIR.zip\n") == 2
    assert said.count("__MACOSX") == 1
    for archive, command in zip(archives, re.findall(r"unpack it: (.*)", said), strict=True):
        if archive == archives[0]:
            follow(command)
    table, notes = imported("mslesseg", folder, out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["P1"]
    assert [name for name in notes if name.endswith(".zip")] == [str(archives[1])]
    assert notes[str(archives[1])].startswith("packed (zip) and not opened: python -m zipfile")
