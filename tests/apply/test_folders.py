"""A folder is taken as input: its FLAIRs by names, what is left out told in words."""

import shutil

import pandas as pd
import pytest

from msnmo.apply.__main__ import main
from msnmo.apply.folders import find_scans
from msnmo.core.errors import InputError
from tests.command import run_here


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def found(folder, out=None):
    """The scans of a folder, relative to it, and what is told."""
    scans, told = (each := find_scans(folder, out or folder / "out")).scans, each.told
    return [path.relative_to(folder).as_posix() for path in scans], told


def test_of_a_bids_dataset_the_flairs_are_taken_and_the_rest_is_counted(tmp_path):
    taken = [
        "sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii",
        "sub-02/anat/sub-02_acq-3D_run-1_FLAIR.nii.gz",
    ]
    touch(
        *(tmp_path, *taken, "dataset_description.json", "participants.tsv"),
        *("sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"),
        *("sub-02/func/sub-02_task-rest_bold.nii.gz", "sub-02/anat/sub-02_FLAIR.json"),
        *("sub-02/anat/sub-02_acq-spine_FLAIR.nii.gz", "sub-02/extra/sub-02_FLAIR.nii.gz"),
        *("derivatives/x/sub-02/anat/sub-02_FLAIR.nii.gz", "sub-02/anat/sub-02_T2w.mgz"),
    )
    scans, told = found(tmp_path)
    assert scans == taken
    counted = (
        "left out: 5 other images by name (1 FLAIR of no whole head (acq-spine), "
        "1 FLAIR outside its subject's anat/, 2 T1w, 1 bold), such as sub-01_ses-1_T1w.nii.gz, "
        "sub-02_T1w.nii.gz, sub-02_acq-spine_FLAIR.nii.gz, ..."
    )
    assert told == (
        f"3 scans in {tmp_path} (BIDS)",
        counted,
        "left out: 1 file of other forms than NIfTI",
    )


def test_a_bids_derivative_needs_no_description_and_its_masks_are_no_scans(tmp_path):
    scan = "sub-01/anat/sub-01_space-T1w_desc-preproc_FLAIR.nii.gz"
    mask = "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz"
    scans, told = found(touch(tmp_path, scan, mask))
    assert scans == [scan]
    assert "1 mask" in told[1]


def test_of_any_other_folder_each_image_is_taken_that_may_be_a_flair(tmp_path):
    taken = ["P1/FLAIR.nii.gz", "P2/FLAIR.nii.gz", "T1 and FLAIR.nii", "scan 7.nii"]
    others = ["P1/T1.nii.gz", "P1/FLAIR_mask.nii.gz", "P2/brain_mask.nii", "notes.txt"]
    touch(tmp_path, *taken, *others, "out/sub-1/anat/sub-1_FLAIR.nii.gz", "P1/scan.dcm")
    scans, told = found(tmp_path)
    assert scans == taken
    assert told[1].startswith("left out: 3 other images by name (1 T1, 2 mask), such as FLAIR_mask")
    assert told[2] == "left out: 1 file of other forms than NIfTI"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.dcm", "b.dcm"], "0 NIfTI files of other images, 2 files of other forms"),
        (["dataset_description.json", "sub-1/anat/sub-1_T1w.nii"], "in this BIDS dataset"),
    ],
)
def test_a_folder_without_a_scan_is_refused_with_what_it_holds(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        find_scans(touch(tmp_path, *names), tmp_path / "out")


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_scans(tmp_path / "none", tmp_path)
    file = touch(tmp_path, "scan.nii") / "scan.nii"
    with pytest.raises(InputError, match="give a file without -i"):
        find_scans(file, tmp_path)


def test_a_folder_goes_the_way_of_its_files(bundle, heads, tmp_path):
    """A dataset with one FLAIR that cannot be read: it is told before any network is read."""
    data, out = tmp_path / "data", tmp_path / "out"
    touch(data, "dataset_description.json", "sub-cut/anat/sub-cut_FLAIR.nii.gz")
    scan = heads[0].name.removesuffix("_FLAIR.nii.gz")
    place = data / scan.replace("_", "/") / "anat" / heads[0].name
    place.parent.mkdir(parents=True)
    shutil.copy(heads[0], place)
    options = ["--bundle", bundle, "-i", data, "-o", out, "--device", "cpu"]
    done = run_here(main, *options)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"msnmo: 2 scans in {data} (BIDS)" in done.stderr
    assert done.stderr.index("sub-cut_FLAIR.nii.gz") < done.stderr.index(f"{scan} (1 of 1)")
    table = pd.read_csv(out / "predictions.tsv", sep="\t").set_index("scan")
    assert table["failed"].notna().to_dict() == {"sub-cut": True, scan: False}
    # the same names as of the same files one by one, and in parts
    again = run_here(main, "--bundle", bundle, "--out", out, place, "--device", "cpu")
    assert "done before" in again.stderr
    last = run_here(main, *options, "--part", "2/2")
    assert ("sub-cut" in last.stderr) != (f"{scan}: done before" in last.stderr)


def test_two_scans_of_one_name_in_a_folder_are_refused_with_a_remedy_that_can_be_followed(
    bundle, tmp_path
):
    names = [f"sub-1/anat/sub-1_acq-{each}_FLAIR.nii.gz" for each in ("2D", "3D")]
    data = touch(tmp_path / "data", *names)
    done = run_here(main, "--bundle", bundle, "-i", data, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "sub-1 twice" in done.stderr
    assert "give the scans themselves, with --ids" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "more", [["scan.nii"], ["--ids", "1"], ["--truth", "t.tsv"], ["--leave-out-overlap"]]
)
def test_what_is_not_for_a_folder_is_refused(more):
    done = run_here(main, "--bundle", "b", "-i", "folder", "-o", "out", *more)
    assert done.returncode == 2
