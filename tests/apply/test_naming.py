"""A scan's name is safe, and one scan's alone."""

import unicodedata
from pathlib import Path

import pytest

from msnmo.apply.__main__ import main
from msnmo.apply.naming import name_scans
from msnmo.core.errors import InputError


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("sub-01_FLAIR.nii.gz", "sub-01"),
        ("sub-01_ses-2_acq-3D_FLAIR.nii", "sub-01_ses-2"),
        ("FLAIR 3.nii.gz", "sub-FLAIR3"),
        ("Ünal_scan.nii.gz", "sub-Unalscan"),
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
def test_an_id_that_could_be_a_path_or_lacks_its_session_is_refused(given):
    with pytest.raises(InputError, match="letters and digits"):
        name_scans([Path("x.nii")], [given])


def test_a_name_twice_is_told_even_where_only_capitals_differ():
    given = [Path("a/sub-x_FLAIR.nii"), Path("b/sub-X_FLAIR.nii"), Path("c/sub-y_FLAIR.nii")]
    with pytest.raises(InputError, match="sub-X twice"):
        name_scans(given, [])


def test_a_folder_of_dicom_needs_an_id_because_folders_name_people(tmp_path):
    with pytest.raises(InputError, match="--ids"):
        name_scans([tmp_path], [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("scan_1_11.nii", "scan_11_1.nii"),
        ("sub-1_run-1_FLAIR.nii", "sub-1_run-2_FLAIR.nii"),
        ("sub-1_ses-2020-01-01_FLAIR.nii", "sub-1_ses-2021-06-30_FLAIR.nii"),
        ("sub-1-11_FLAIR.nii", "sub-11-1_FLAIR.nii"),
        ("sub-1_ses-1_run-2_FLAIR.nii", "sub-1_ses-1_FLAIR.nii"),
        (f"{'a' * 234}b.nii", f"{'a' * 234}c.nii"),
    ],
)
def test_what_tells_files_apart_tells_names_apart_in_one_call_and_in_two(one, other):
    together = name_scans([Path(one), Path(other)], [])
    assert together == [*name_scans([Path(one)], []), *name_scans([Path(other)], [])]
    assert len(set(together)) == 2
    assert all(len(name) < 150 for name in together)


def test_a_letter_and_its_mark_are_one_however_they_are_stored():
    whole = unicodedata.normalize("NFC", "Müller.nii")
    apart = unicodedata.normalize("NFD", "Müller.nii")
    assert whole != apart
    assert name_scans([Path(whole)], []) == name_scans([Path(apart)], []) == ["sub-Muller"]
    for other in (apart, "Muller.nii", "MULLER.nii"):
        with pytest.raises(InputError, match="twice"):
            name_scans([Path(whole), Path(other)], [])


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["P1/FLAIR.nii.gz", "P2/FLAIR.nii.gz"], ["sub-P1", "sub-P2"]),
        (["P1/MR/FLAIR.nii", "P2/MR/FLAIR.nii"], ["sub-P1MR", "sub-P2MR"]),
        (["sub-1/ses-1/F.nii", "sub-1/ses-2/F.nii"], ["sub-1_ses-1", "sub-1_ses-2"]),
        (["P1/F.nii", "P2/F.nii", "P2/G.nii"], ["sub-P1", "sub-P2", "sub-G"]),
    ],
)
def test_files_of_one_name_are_named_by_their_folders(files, names):
    assert name_scans([Path("/data/study") / file for file in files], []) == names


@pytest.mark.parametrize(
    "files",
    [
        ["P1/FLAIR.nii.gz", "P1/FLAIR.nii"],
        ["P1/FLAIR.nii", "p1/FLAIR.nii"],
        ["P1/F.nii", "P2/F.nii", "other/P1.nii"],
    ],
    ids=["one folder", "capitals", "a name that a file has"],
)
def test_folders_that_do_not_tell_files_apart_name_none(files):
    with pytest.raises(InputError, match="--ids"):
        name_scans([Path(f"/{file}") for file in files], [])


def test_an_id_longer_than_files_can_be_called_by_is_refused():
    with pytest.raises(InputError, match="60 at most"):
        name_scans([Path("x.nii")], ["a" * 61])


@pytest.mark.parametrize("ids", [["A.1", "B"], ["A", "A"], ["A", "B", "C"]])
def test_where_there_are_ids_no_message_names_a_file(ids):
    given = [Path("Doe_Jane/FLAIR.nii.gz"), Path("Roe_Richard/FLAIR.nii.gz")]
    with pytest.raises(InputError, match="--ids") as raised:
        name_scans(given, ids)
    assert "Doe" not in str(raised.value)
    assert "Roe" not in str(raised.value)


def test_a_long_wrong_id_is_told_by_its_beginning():
    with pytest.raises(InputError, match="and 4960 more characters") as raised:
        name_scans([Path("x.nii")], ["a" * 5000])
    assert "scan 1 of 1" in str(raised.value)
    assert "a" * 41 not in str(raised.value)


def test_ids_that_took_the_scans_are_told_so(capsys):
    with pytest.raises(SystemExit):
        main(["--bundle", "b", "--out", "o", "--ids", "A", "scan.nii.gz"])
    assert "--ids takes all that follows it" in capsys.readouterr().err
    with pytest.raises(InputError, match="--ids takes all that follows it"):
        name_scans([Path("x.nii")], ["A", "y.nii"])
