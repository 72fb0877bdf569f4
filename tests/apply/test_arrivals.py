"""What users hand over is named safely, and what cannot be used is said of all of it at once."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from msnmo.apply.arrivals import convert_flair, name_scans, receive
from msnmo.core.errors import InputError
from tests.cohort.dicom_study import ANNA, FLAIR, LOCALIZER, MPRAGE, write_classic


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("sub-01_FLAIR.nii.gz", "sub-01"),
        ("sub-01_ses-2_acq-3D_FLAIR.nii", "sub-01_ses-2"),
        ("FLAIR 3.nii.gz", "sub-FLAIR3"),
        ("Ünal_scan.nii.gz", "sub-nalscan"),
        ("..nii.gz", None),
        ("sub-.nii.gz", "sub-sub"),
    ],
)
def test_a_name_is_the_files_bids_name_or_its_letters_and_digits(file, name):
    if name is None:
        with pytest.raises(InputError, match="letters or digits"):
            name_scans([Path(file)], [])
    else:
        assert name_scans([Path("/data") / file], []) == [name]


@pytest.mark.parametrize(
    ("given", "name"), [("7", "sub-7"), ("sub-7", "sub-7"), ("A1_ses-b", "sub-A1_ses-b")]
)
def test_ids_name_scans_whatever_their_files_are_called(given, name):
    assert name_scans([Path("x.nii")], [given]) == [name]


@pytest.mark.parametrize("given", ["../up", "a b", "", "é", "1_ses-", "1_ses-../2", "a/b"])
def test_an_id_that_could_be_a_path_is_refused(given):
    if given == "1_ses-":
        assert name_scans([Path("x.nii")], [given]) == ["sub-1"]
        return
    with pytest.raises(InputError, match="letters and digits"):
        name_scans([Path("x.nii")], [given])


def test_a_name_twice_is_told_even_where_only_capitals_differ():
    given = [Path("a/sub-x_FLAIR.nii"), Path("b/sub-X_FLAIR.nii"), Path("c/sub-y_FLAIR.nii")]
    with pytest.raises(InputError, match="sub-X twice"):
        name_scans(given, [])


def test_a_folder_of_dicom_needs_an_id_because_folders_name_people(tmp_path):
    with pytest.raises(InputError, match="--ids"):
        name_scans([tmp_path], [])


def test_each_file_that_cannot_be_used_is_named_and_the_others_go_on(tmp_path):
    for name in ("good.nii.gz", "scan.mgz"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    given = [tmp_path / name for name in ("good.nii.gz", "none.nii.gz", "scan.mgz", "empty")]
    names = ["sub-1", "sub-2", "sub-3", "sub-4"]
    arrived, findings = receive(given, names, tmp_path / "converted", stripped=True)
    assert [(scan.name, scan.stripped, scan.dicom) for scan in arrived] == [("sub-1", True, ())]
    assert [finding.file for finding in findings] == [str(path) for path in given[1:]]


def test_of_a_study_the_flair_is_converted_and_its_files_are_known(tmp_path):
    study = tmp_path / "Quastenflosser"
    write_classic(study / "1", ANNA, "study", 1, LOCALIZER)
    write_classic(study / "2", ANNA, "study", 2, MPRAGE)
    values = write_classic(study / "3", ANNA, "study", 3, FLAIR, seed=3)
    flair, files, told = convert_flair(study, "sub-7", tmp_path / "converted")
    assert told == ()
    assert {path.parent.name for path in files} == {"3"}
    assert len(files) == len(values)
    image = nib.load(flair)
    np.testing.assert_array_equal(np.sort(image.get_fdata().ravel()), np.sort(values.ravel()))
    assert b"Quastenflosser" not in bytes(image.header.binaryblock)


def test_what_is_odd_of_a_series_that_is_taken_is_told(tmp_path):
    study = tmp_path / "dicom"
    odd = {"BodyPartExamined": "CSPINE", "SeriesDescription": "t2_flair"}
    write_classic(study / "3", ANNA, "study", 3, FLAIR | odd)
    ((scan,), _) = receive([study], ["sub-7"], tmp_path / "converted")
    (told,) = scan.doubts
    assert told == "taken, though BodyPartExamined is not the head (spine): look at it"
    write_classic(study / "4", ANNA, "study", 4, FLAIR)
    ((scan,), _) = receive([study], ["sub-7"], tmp_path / "both")
    (told,) = scan.doubts
    assert told.startswith("series 4 is taken; series 3 is a T2-FLAIR")
    assert told.endswith("a folder without series 4 gives the other")


def test_a_study_without_flair_names_each_series_and_its_reason(tmp_path):
    write_classic(tmp_path / "dicom/2", ANNA, "study", 2, MPRAGE)
    with pytest.raises(InputError, match=r"series 2: .*not T2-weighted"):
        convert_flair(tmp_path / "dicom", "sub-7", tmp_path / "converted")


def test_a_folder_of_two_studies_is_refused(tmp_path):
    for number, study in enumerate(("first", "second")):
        write_classic(tmp_path / f"dicom/{number}", ANNA, study, 1, FLAIR)
    with pytest.raises(InputError, match="2 studies"):
        convert_flair(tmp_path / "dicom", "sub-7", tmp_path / "converted")
