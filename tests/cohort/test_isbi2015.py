"""The ISBI 2015 challenge's own layout becomes 21 scans of 5 subjects."""

import pytest

VISITS = {"01": 4, "02": 4, "03": 5, "04": 4, "05": 4}


@pytest.fixture
def challenge(tmp_path, nifti):
    """The training archive as it unpacks."""
    root = tmp_path / "training final é v4"
    for subject, count in VISITS.items():
        folder = root / f"training/training{subject}"
        for visit in range(1, count + 1):
            name = f"training{subject}_{visit:02d}"
            for kind in ("flair", "mprage", "pd", "t2"):
                nifti(folder / f"preprocessed/{name}_{kind}_pp.nii")
                nifti(folder / f"orig/{name}_{kind}.nii.gz")
            for rater in (1, 2):
                nifti(folder / f"masks/{name}_mask{rater}.nii")
    return root


def test_preprocessed_scans_have_both_raters_and_their_state(
    challenge, imported_by_command, tmp_path
):
    table, notes = imported_by_command("isbi2015", challenge, out=tmp_path / "scans.tsv")
    assert notes == {}
    assert len(table) == 21
    assert table.groupby("subject").size().to_dict() == VISITS
    assert set(table["diagnosis"]) == {"MS"}
    assert set(table["stripped"]) == set(table["bias_corrected"]) == {"yes"}
    row = table.iloc[1]
    folder = "training final é v4/training/training01"
    assert (row["subject"], row["session"]) == ("01", "02")
    assert row["flair"] == f"{folder}/preprocessed/training01_02_flair_pp.nii"
    assert row["lesion_mask"] == ";".join(
        f"{folder}/masks/training01_02_mask{rater}.nii" for rater in (1, 2)
    )


def test_raw_scans_are_for_prediction_because_no_mask_lies_on_them(challenge, imported, tmp_path):
    table, notes = imported("isbi2015", challenge, "--state", "raw", out=tmp_path / "raw.tsv")
    assert len(table) == 21
    assert set(table["diagnosis"]) == set(table["lesion_mask"]) == {""}
    assert set(table["stripped"]) == {"no"}
    assert all("orig/" in path for path in table["flair"])
    assert "drawn on the preprocessed scans" in " ".join(notes.values())


def test_a_part_is_taken_and_what_is_missing_is_told(challenge, imported, tmp_path):
    masks = challenge / "training/training02/masks"
    (masks / "training02_03_mask2.nii").unlink()
    (challenge / "training/training05/preprocessed/training05_04_flair_pp.nii").unlink()
    table, notes = imported("isbi2015", challenge, out=tmp_path / "scans.tsv")
    assert len(table) == 20
    told = " ".join(notes.values())
    assert "without mask2: taken for prediction only" in told
    assert "20 scans of 5 subjects; the complete set has 21 of 5" in told
    row = table[(table["subject"] == "02") & (table["session"] == "03")].iloc[0]
    assert (row["diagnosis"], row["lesion_mask"]) == ("", "")


def test_a_compressed_twin_is_not_a_second_scan(challenge, imported, nifti, tmp_path):
    twin = nifti(challenge / "training/training01/preprocessed/training01_01_flair_pp.nii.gz")
    table, notes = imported("isbi2015", challenge, out=tmp_path / "scans.tsv")
    assert len(table) == 21
    assert notes == {str(twin): "training01_01_flair_pp.nii is taken, which has the same name"}


@pytest.mark.parametrize(
    "name",
    [
        "training02/preprocessed/training01_05_flair_pp.nii",
        "training02/masks/training01_01_mask1.nii",
        "training01/masks/training01_01_mask3.nii",
        "training01/masks/training01_09_mask1.nii",
        "training01/orig/training01_09_flair.nii.gz",
        "training01/preprocessed/training01_01_flair_pp (1).nii",
        "training01/preprocessed/training01_01_flair_pp.mgz",
    ],
)
def test_scans_and_masks_in_no_row_are_told_of(name, challenge, imported, nifti, tmp_path):
    path = challenge / "training" / name
    nifti(path.with_name("x.nii")).rename(path)
    table, notes = imported("isbi2015", challenge, out=tmp_path / "scans.tsv")
    assert len(table) == 21
    assert notes == {str(path): "not one of the data set's files by its name and folder: in no row"}


@pytest.mark.parametrize("folder", ["", "test{}/preprocessed/"])
def test_the_test_set_is_for_prediction_as_other_people(folder, nifti, imported, tmp_path):
    root = tmp_path / "testdata_website"
    for subject, visits in (("01", 4), ("14", 5)):
        for visit in range(1, visits + 1):
            name = f"{folder.format(subject)}test{subject}_{visit:02d}"
            for kind in ("flair", "mprage"):
                nifti(root / f"{name}_{kind}_pp.nii")
    table, notes = imported("isbi2015", root, "--set", "test", out=tmp_path / "scans.tsv")
    assert table.groupby("subject").size().to_dict() == {"test01": 4, "test14": 5}
    assert set(table["diagnosis"]) == set(table["lesion_mask"]) == {""}
    assert set(table["stripped"]) == {"yes"}
    assert table["session"].tolist()[:4] == ["01", "02", "03", "04"]
    assert list(notes.values()) == ["9 scans of 2 subjects; the complete set has 61 of 14"]


def test_another_folder_is_refused_by_name(refused, tmp_path):
    said = refused("isbi2015", tmp_path, out=tmp_path / "scans.tsv")
    assert "training01/preprocessed/training01_01_flair_pp.nii" in said
    assert str(tmp_path) in said
