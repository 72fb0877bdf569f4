"""Files are found through links, and each real folder is read once."""

import os

import pytest

from msnmo.cohort.tree import files_below, other_form, unusable


@pytest.fixture
def below(tmp_path):
    """A function that returns the files below folders of tmp_path, and what is said of others."""

    def find(*roots):
        told = {}

        def tell(path, reason):
            told[path.relative_to(tmp_path).as_posix()] = reason

        found = files_below([tmp_path / root for root in roots], tell)
        return {
            each.path.relative_to(tmp_path).as_posix(): "/".join(each.folders) for each in found
        }, told

    for name in ("a/x/1.nii", "a/y/2.nii", "b/3.nii", "outside/4.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return find


def test_files_come_with_their_folders(below):
    found, told = below("b", "a")
    assert found == {"a/x/1.nii": "x", "a/y/2.nii": "y", "b/3.nii": ""}
    assert list(found) == sorted(found)
    assert told == {}


def test_links_lead_to_each_folder_once(tmp_path, below):
    targets = {
        "a/aa": "a/y",  # sorts before the real one
        "a/x/self": "a/x",
        "a/x/up": "a",
        "a/x/top": ".",
        "a/there": "outside",
        "a/twice": "outside",
        "outside/back": "a",
    }
    for link, target in targets.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    found, told = below("a")
    assert found == {"a/x/1.nii": "x", "a/y/2.nii": "y", "a/there/4.nii": "there"}
    assert set(told) == {"a/aa", "a/x/self", "a/x/up", "a/x/top", "a/twice", "a/there/back"}


def test_folders_that_contain_each_other_are_read_once(tmp_path, below):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found, told = below("link", "a/x", "a")
    assert list(found) == ["a/x/1.nii", "a/y/2.nii"]
    assert list(told) == ["link"]


def test_a_root_that_is_a_link_is_read(tmp_path, below):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert list(below("link")[0]) == ["link/x/1.nii", "link/y/2.nii"]


def test_links_that_lead_to_themselves_do_no_harm(tmp_path, below):
    (tmp_path / "a/loop").symlink_to(tmp_path / "a/loop")
    assert list(below("a")[0]) == ["a/loop", "a/x/1.nii", "a/y/2.nii"]


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", ".snapshots"])
def test_what_systems_add_is_told_of(name, tmp_path, below):
    (tmp_path / "b" / name).mkdir()
    (tmp_path / "b" / name / "5.nii").touch()
    (tmp_path / "b/._3.nii").touch()
    assert list(below("b")[0]) == ["b/3.nii"]
    assert "not read" in below("b")[1][f"b/{name}"]


def test_a_folder_that_is_named_as_an_image_is_told_to_be_none(tmp_path, below):
    (tmp_path / "b/6.nii.gz").mkdir()
    os.mkfifo(tmp_path / "b/7.nii")
    assert list(below("b")[0]) == ["b/3.nii", "b/6.nii.gz", "b/7.nii"]
    assert unusable(tmp_path / "b/3.nii") is None
    for name in ("6.nii.gz", "7.nii"):
        assert unusable(tmp_path / "b" / name) == "a folder, pipe or device, not a file"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        *(("a.nii", ""), ("a.nii.gz", ""), ("a.json", ""), ("a.mgz", "a"), ("a.seg.nrrd", "a.seg")),
        *(("a.NII.GZ", "a"), ("a.nii.bz2", "a"), ("a.nii (1).gz", "a"), ("a.img", "a")),
    ],
)
def test_images_of_other_forms_are_known_by_their_ending(name, stem, tmp_path):
    assert other_form(tmp_path / name) == stem
