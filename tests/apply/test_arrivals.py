"""What users hand over: what cannot be used is said of all of it at once, and stops no other."""

import os

import nibabel as nib
import numpy as np
import pytest

from msnmo.apply.arrivals import convert_flair, receive
from msnmo.core.errors import InputError
from tests.cohort.dicom_study import ANNA, FLAIR, LOCALIZER, MPRAGE, write_classic


def test_each_file_that_cannot_be_used_is_named_and_the_others_go_on(tmp_path):
    for name in ("good.nii.gz", "scan.mgz"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    given = [tmp_path / name for name in ("good.nii.gz", "none.nii.gz", "scan.mgz", "empty")]
    names = ["sub-1", "sub-2", "sub-3", "sub-4"]
    arrived, failed = receive(given, names, tmp_path / "converted", stripped=True)
    assert [(scan.name, scan.stripped, scan.dicom) for scan in arrived] == [("sub-1", True, ())]
    assert list(failed) == names[1:]
    for path, error in zip(given[1:], failed.values(), strict=True):
        assert str(path) in str(error)


def test_links_that_lead_nowhere_and_pipes_are_told_from_a_file_that_is_not_there(tmp_path):
    annexed, circle, pipe, none = (tmp_path / f"{name}.nii.gz" for name in "acpn")
    annexed.symlink_to(".git/annex/objects/Xk/3v/SHA256E-s9.nii.gz")
    circle.symlink_to(circle.name)
    os.mkfifo(pipe)
    _, failed = receive([annexed, circle, pipe, none], ["a", "c", "p", "n"], tmp_path / "converted")
    found = {name: error.findings[0].found for name, error in failed.items()}
    assert "git-annex link" in found["a"]
    assert "a link without its file" in found["c"]
    assert "pipe" in found["p"]
    assert found["n"] == "no such file"


def test_of_a_study_the_flair_is_converted_and_its_files_are_known(tmp_path):
    study = tmp_path / "Quastenflosser"
    write_classic(study / "1", ANNA, "study", 1, LOCALIZER)
    write_classic(study / "2", ANNA, "study", 2, MPRAGE)
    values = write_classic(study / "3", ANNA, "study", 3, FLAIR, seed=3)
    flair, files = convert_flair(study, "sub-7", tmp_path / "converted")
    assert {path.parent.name for path in files} == {"3"}
    assert len(files) == len(values)
    image = nib.load(flair)
    np.testing.assert_array_equal(np.sort(image.get_fdata().ravel()), np.sort(values.ravel()))
    assert b"Quastenflosser" not in bytes(image.header.binaryblock)


def test_what_is_odd_of_a_series_that_is_taken_is_told(tmp_path):
    study = tmp_path / "dicom"
    odd = {"BodyPartExamined": "CSPINE", "SeriesDescription": "t2_flair"}
    write_classic(study / "3", ANNA, "study", 3, FLAIR | odd)
    told = []
    convert_flair(study, "sub-7", tmp_path / "converted", tell=told.append)
    said = "taken, although BodyPartExamined is not the head (spine): look at it"
    assert told == [f"warning: sub-7: {said}"]
    write_classic(study / "4", ANNA, "study", 4, FLAIR)
    told.clear()
    convert_flair(study, "sub-7", tmp_path / "both", tell=told.append)
    assert len(told) == 1
    assert told[0].startswith("warning: sub-7: series 4 is taken; series 3 is a T2-FLAIR")
    assert told[0].endswith("to take the other, give --series sub-7:3")


def test_a_study_without_flair_names_each_series_and_its_reason(tmp_path):
    write_classic(tmp_path / "dicom/2", ANNA, "study", 2, MPRAGE)
    with pytest.raises(InputError, match=r"series 2: .*not T2-weighted"):
        convert_flair(tmp_path / "dicom", "sub-7", tmp_path / "converted")


def test_a_folder_of_two_studies_is_refused(tmp_path):
    for number, study in enumerate(("first", "second")):
        write_classic(tmp_path / f"dicom/{number}", ANNA, study, 1, FLAIR)
    with pytest.raises(InputError, match="2 studies"):
        convert_flair(tmp_path / "dicom", "sub-7", tmp_path / "converted")


def test_a_near_tie_is_told_with_the_option_that_decides_it(tmp_path):
    for number in (3, 5):
        write_classic(tmp_path / f"dicom/{number}", ANNA, "study", number, FLAIR, seed=number)
    told = []
    _, (first, *_) = convert_flair(tmp_path / "dicom", "sub-7", tmp_path / "a", tell=told.append)
    taken = first.parent.name
    (other,) = {"3", "5"} - {taken}
    (warning,) = told
    assert warning.startswith(f"warning: sub-7: series {taken} is taken; series {other} is a T2")
    option = warning.rpartition("give --series ")[2]
    _, (first, *_) = convert_flair(
        tmp_path / "dicom", "sub-7", tmp_path / "b", [option], told.append
    )
    assert first.parent.name == other
    assert len(told) == 1
    # of another scan it says nothing
    given = [tmp_path / "dicom", tmp_path / "dicom"]
    arrived, failed = receive(
        *(given, ["sub-7", "sub-8"], tmp_path / "c"), series=[option], tell=told.append
    )
    assert [scan.dicom[0].parent.name for scan in arrived] == [other, taken]
    assert failed == {}
    assert told[1].startswith("warning: sub-8: series")


def test_a_series_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    write_classic(tmp_path / "dicom", ANNA, "study", 3, FLAIR)
    with pytest.raises(InputError, match=r"expected: the series 9\n +found: +series 3\n"):
        convert_flair(tmp_path / "dicom", "sub-7", tmp_path / "converted", ["9"])


def test_a_series_that_is_asked_for_is_taken_and_what_speaks_against_it_told(tmp_path):
    write_classic(tmp_path / "dicom/2", ANNA, "study", 2, MPRAGE)
    write_classic(tmp_path / "dicom/3", ANNA, "study", 3, FLAIR)
    told = []
    _, files = convert_flair(tmp_path / "dicom", "sub-7", tmp_path / "c", ["2"], told.append)
    assert {path.parent.name for path in files} == {"2"}
    assert told[0].startswith("warning: sub-7: taken because of --series, although: ")
