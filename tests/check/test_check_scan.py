"""What the check measures of a scan, and masks brought to its grid where that is asked for."""

import contextlib
import gzip
import json
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from msnmo.check.check_scan import Files, check_scan, main
from msnmo.check.findings import ScanReport
from msnmo.core import memory
from msnmo.core.errors import InputError
from msnmo.preprocess.raters import load_raters
from tests.check.hostile import AFFINE, head, image_of, lesions
from tests.command import run_here


@pytest.fixture
def flair(tmp_path):
    image_of(head(1)).to_filename(tmp_path / "flair.nii.gz")
    return tmp_path / "flair.nii.gz"


def save(folder, name, data, affine=AFFINE):
    image_of(data, affine).to_filename(folder / name)
    return folder / name


def severities(report):
    return [each.severity for each in report.findings if each.severity != "note"]


def test_a_good_scan_has_its_facts_and_no_doubt(flair, tmp_path):
    mask = save(tmp_path, "mask.nii.gz", lesions(1))
    report = check_scan("sub-1", Files(flair, (mask,)))
    assert severities(report) == []
    assert report.facts["orientation"] == "LAS"
    assert report.facts["voxel_mm"] == [4.0, 4.0, 4.0]
    assert report.facts["lesion_masks"][str(mask)]["ml"] == pytest.approx(18 * 0.064)
    report.write(tmp_path / "report.json")
    assert ScanReport.read(tmp_path / "report.json") == report


def test_one_picture_stored_in_two_ways_has_one_digest(flair, tmp_path):
    turned = nib.as_closest_canonical(nib.load(flair))
    other = tmp_path / "other.nii"
    turned.to_filename(other)
    one, two = (check_scan("sub-1", Files(path)).facts for path in (flair, other))
    assert one["orientation"] != two["orientation"]
    assert one["voxels"] == two["voxels"]


def test_a_mask_on_a_finer_grid_comes_to_the_scans_place(flair, tmp_path):
    fine = np.kron(lesions(1), np.ones((2, 2, 2), np.uint8))
    # voxel edges, not centres, agree: the corner voxel's centre lies a quarter nearer the edge
    shifted = AFFINE @ np.array(
        [[0.5, 0, 0, -0.25], [0, 0.5, 0, -0.25], [0, 0, 0.5, -0.25], [0, 0, 0, 1]]
    )
    mask = save(tmp_path, "mask.nii.gz", fine, shifted)
    assert severities(check_scan("sub-1", Files(flair, (mask,)))) == ["error"]
    report = check_scan("sub-1", Files(flair, (mask,)), resample=True)
    assert severities(report) == ["warning"]
    assert "1.15 ml of lesions became 1.15 ml" in report.findings[-1].finding.found
    _, (moved,) = load_raters(flair, [mask], resample=True)
    np.testing.assert_array_equal(moved, lesions(1) > 0)


def test_a_flipped_and_permuted_mask_comes_to_the_scans_place(flair, tmp_path):
    canonical = nib.as_closest_canonical(image_of(lesions(2)))
    canonical = canonical.as_reoriented(np.array([[2, -1], [0, 1], [1, 1]]))
    canonical.to_filename(tmp_path / "mask.nii.gz")
    _, (moved,) = load_raters(flair, [tmp_path / "mask.nii.gz"], resample=True)
    np.testing.assert_array_equal(moved, lesions(2) > 0)


def test_a_mask_that_lies_elsewhere_is_an_error_even_so(flair, tmp_path):
    far = AFFINE.copy()
    far[:3, 3] += 900
    mask = save(tmp_path, "mask.nii.gz", lesions(1), far)
    report = check_scan("sub-1", Files(flair, (mask,)), resample=True)
    assert severities(report) == ["error"]
    assert "none after resampling" in report.findings[-1].finding.found


def unplaced(image, path):
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("of", ["mask", "scan"])
def test_a_mask_is_not_resampled_where_either_place_is_a_guess(tmp_path, of):
    scan, mask = (
        image_of(head(1)),
        image_of(lesions(1)[::2, ::2, ::2], AFFINE @ np.diag([2, 2, 2, 1])),
    )
    flair, path = tmp_path / "flair.nii.gz", tmp_path / "mask.nii.gz"
    scan.to_filename(flair)
    mask.to_filename(path)
    load_raters(flair, [path], resample=True)
    wrong = unplaced(mask, path) if of == "mask" else unplaced(scan, flair)
    report = check_scan("sub-1", Files(flair, (path,)), resample=True)
    (error,) = [each.finding for each in report.findings if each.severity == "error"]
    assert error.file == str(wrong)
    assert error.found.startswith("neither sform nor qform is set")
    # a header of another shape would break the mask
    assert error.remedy == "convert it again with its orientation"
    with pytest.raises(InputError, match="cannot be resampled"):
        load_raters(flair, [path], resample=True)


@pytest.mark.parametrize("resample", [False, True])
@pytest.mark.parametrize("column", ["lesion", "brain"])
def test_a_mask_without_a_place_takes_the_scans_header_and_is_not_resampled(
    flair, tmp_path, resample, column
):
    path = unplaced(image_of(lesions(1)), tmp_path / "mask.nii.gz")
    files = Files(flair, (path,)) if column == "lesion" else Files(flair, brain_mask=path)
    report = check_scan("sub-1", files, resample)
    (error,) = [each.finding for each in report.findings if each.severity == "error"]
    assert f"copy the scan's header (fslcpgeom {flair} {path})" in error.remedy
    assert "antsApplyTransforms" not in error.remedy


def test_a_mask_without_a_place_and_of_another_shape_is_converted_again(flair, tmp_path):
    path = unplaced(image_of(lesions(1)[::2]), tmp_path / "mask.nii.gz")
    (error,) = [
        each
        for each in check_scan("sub-1", Files(flair, (path,))).findings
        if each.severity == "error"
    ]
    assert error.finding.remedy == "convert it again with its orientation"


@pytest.mark.parametrize("of", ["flair", "mask", "resampled mask", "brain"])
def test_bytes_after_the_voxels_are_told(flair, tmp_path, of):
    path, brain = tmp_path / "mask.nii.gz", tmp_path / "brain.nii.gz"
    half = AFFINE @ np.diag([2, 2, 2, 1])
    coarse = of.startswith("resampled")
    (image_of(lesions(1)[::2, ::2, ::2], half) if coarse else image_of(lesions(1))).to_filename(
        path
    )
    image_of(np.ones_like(lesions(1))).to_filename(brain)
    joined = {"flair": flair, "brain": brain}.get(of, path)
    joined.write_bytes(joined.read_bytes() + gzip.compress(b"another file"))
    report = check_scan("sub-1", Files(flair, (path,), brain), resample=coarse)
    told = [each for each in report.findings if "after the voxels" in each.finding.found]
    assert [each.finding.file for each in told] == [str(joined)]
    assert told[0].severity == "warning"
    assert told[0].finding.found == "12 bytes after the voxels, which are not read"


def test_a_resampled_mask_of_two_orientations_is_told(flair, tmp_path):
    mask = image_of(lesions(1)[::2, ::2, ::2], AFFINE @ np.diag([2, 2, 2, 1]))
    mask.set_qform(AFFINE @ np.diag([-2, 2, 2, 1]), 1)
    mask.to_filename(tmp_path / "mask.nii.gz")
    report = check_scan("sub-1", Files(flair, (tmp_path / "mask.nii.gz",)), resample=True)
    assert severities(report) == ["warning", "warning"]
    assert report.findings[-1].finding.found.startswith("sform and qform differ by up to")


def test_lesions_outside_the_given_brain_are_told(flair, tmp_path):
    brain = head(1) > 600
    save(tmp_path, "brain.nii.gz", brain.astype(np.uint8))
    rim = np.zeros_like(brain)
    rim[20:24, 20:24, 2] = True
    assert not (rim & brain).any()
    mask = save(tmp_path, "mask.nii.gz", rim.astype(np.uint8))
    report = check_scan("sub-1", Files(flair, (mask,), tmp_path / "brain.nii.gz"))
    assert any("brain mask" in each.finding.expected for each in report.findings)


def told(report, severity):
    return [each.finding for each in report.findings if each.severity == severity]


def test_the_labels_of_a_mask_that_are_lesion_are_named(flair, tmp_path):
    labelled = lesions(1).copy()
    labelled[lesions(2) > 0] = 2
    mask = save(tmp_path, "mask.nii.gz", labelled)
    (refused,) = told(check_scan("sub-1", Files(flair, (mask,))), "error")
    assert "lesion_masks.labels" in refused.remedy
    one, both = (
        check_scan("sub-1", Files(flair, (mask,)), labels=labels) for labels in ((1,), "any")
    )
    assert severities(one) == severities(both) == []
    assert told(one, "note")[-1].found == "other labels too: 2"
    assert not [note for note in told(both, "note") if "label" in note.expected]
    facts = [report.facts["lesion_masks"][str(mask)] for report in (one, both)]
    voxels = [(labelled == 1).sum(), (labelled > 0).sum()]
    assert [each["ml"] for each in facts] == pytest.approx([n * 0.064 for n in voxels])
    # what tells one mask from another is what is lesion in it
    binary = save(tmp_path, "binary.nii.gz", (labelled > 0).astype(np.uint8))
    alone = check_scan("sub-1", Files(flair, (binary,))).facts["lesion_masks"][str(binary)]
    assert facts[1]["voxels"] == alone["voxels"] != facts[0]["voxels"]


def test_a_mask_of_other_labels_alone_is_a_warning_said_once(flair, tmp_path):
    mask = save(tmp_path, "mask.nii.gz", lesions(1) * 255)
    report = check_scan("sub-1", Files(flair, (mask,)), labels=(1, 3))
    (warning,) = told(report, "warning")
    assert warning.expected == "lesions by lesion_masks.labels: 1, 3"
    assert warning.found == "none of these, but 255"
    assert report.facts["lesion_masks"][str(mask)]["labels_lacking"] == [1, 3]


def test_labels_come_to_the_scans_grid_as_lesions(flair, tmp_path):
    fine = np.kron(lesions(1) * 3, np.ones((2, 2, 2), np.uint8))
    fine[:4] = 1
    shifted = AFFINE @ np.array(
        [[0.5, 0, 0, -0.25], [0, 0.5, 0, -0.25], [0, 0, 0.5, -0.25], [0, 0, 0, 1]]
    )
    mask = save(tmp_path, "mask.nii.gz", fine, shifted)
    report = check_scan("sub-1", Files(flair, (mask,)), resample=True, labels=(3,))
    assert "1.15 ml of lesions became 1.15 ml" in told(report, "warning")[0].found
    _, (moved,) = load_raters(flair, [mask], resample=True, labels=(3,))
    np.testing.assert_array_equal(moved, lesions(1) > 0)


def test_the_command_takes_labels(flair, tmp_path):
    mask = save(tmp_path, "mask.nii.gz", lesions(1) + lesions(2))
    out = tmp_path / "report.json"
    given = ["--scan=sub-1", "--flair", flair, "--lesion-masks", mask, "--lesion-labels", "1", "2"]
    assert run_here(main, *given, "--out", out).returncode == 0
    assert severities(ScanReport.read(out)) == []


def test_the_command_reports_a_bad_scan_and_ends_well(tmp_path):
    (tmp_path / "bad scan é.nii.gz").write_bytes(b"")
    out = tmp_path / "report.json"
    done = run_here(main, "--scan=sub-1", "--flair", tmp_path / "bad scan é.nii.gz", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    (finding,) = json.loads(out.read_text())["findings"]
    assert finding["severity"] == "error"
    assert finding["found"].endswith("an empty file")


def test_little_memory_ends_the_check_with_words_and_without_a_report(flair, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    out = tmp_path / "report.json"
    done = run_here(main, "--scan=sub-1", "--flair", flair, "--out", out)
    assert done.returncode == 1
    assert done.stderr.startswith("msnmo: error: out of memory\n    tried:    the check of ")
    assert "remedy:   give the job more memory" in done.stderr
    assert "GiB are free" in done.stderr
    assert not out.exists()


def test_what_a_check_reserves_is_what_it_takes(tmp_path, monkeypatch):
    fine, half = np.ones((2, 2, 2)), AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    scan = save(tmp_path, "scan.nii.gz", np.kron(head(1), fine).astype(np.int16), half)
    brain = save(tmp_path, "brain.nii.gz", (np.kron(head(1), fine) > 600).astype(np.uint8), half)
    masks = [
        save(tmp_path, f"{n}.nii.gz", np.kron(lesions(n), fine).astype(np.uint8), half)
        for n in (1, 2)
    ]
    files = Files(scan, tuple(masks), brain)
    voxels = np.prod(lesions(1).shape) * 8
    assert files.bytes_at_once() == 23 * voxels
    reserved = []

    @contextlib.contextmanager
    def reserve(needed, of):
        reserved.append(needed)
        tracemalloc.start()
        yield
        reserved.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    monkeypatch.setattr("msnmo.check.check_scan.reserve", reserve)
    check_scan("sub-1", files)
    needed, taken = reserved
    assert needed == files.bytes_at_once()
    assert 0.9 * needed < taken < 1.1 * needed


def test_a_file_that_is_refused_reserves_nothing(flair, tmp_path):
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(flair.read_bytes()[:2000])
    assert Files(bad, (tmp_path / "missing.nii",)).bytes_at_once() == 0
    voxels = np.prod(lesions(1).shape)
    assert Files(flair, (tmp_path / "missing.nii",)).bytes_at_once() == 20 * voxels
