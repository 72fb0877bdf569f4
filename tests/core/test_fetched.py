"""A file that git-annex or Git LFS has not fetched is named as such wherever it is opened."""

import pytest

from msnmo.core.errors import InputError
from msnmo.core.fetched import not_fetched
from msnmo.core.volumes import load_volume

POINTERS = {
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "git-annex": b"/annex/objects/SHA256E-s9--0.nii.gz\n",
}


@pytest.mark.parametrize("kind", POINTERS)
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii"])
def test_a_pointer_is_told_where_a_volume_is_read(kind, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(POINTERS[kind])
    assert f"a {kind} pointer" in not_fetched(path)
    with pytest.raises(InputError, match=f"a {kind} pointer"):
        load_volume(path)


def test_a_link_without_its_file_is_told_and_others_are_not(tmp_path):
    link = tmp_path / "scan.nii.gz"
    link.symlink_to("../.git/annex/objects/x/y.nii.gz")
    assert "datalad get" in not_fetched(link)
    other = tmp_path / "other.nii.gz"
    other.symlink_to("gone.nii.gz")
    assert "correct the link" in not_fetched(other)
    (tmp_path / "gone.nii.gz").write_bytes(b"")
    assert not_fetched(other) is None
    assert not_fetched(tmp_path / "nowhere.nii.gz") is None
    assert not_fetched(tmp_path) is None
    assert not_fetched(tmp_path / ("x" * 300)) is None
