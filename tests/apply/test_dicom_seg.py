"""A mask as DICOM lies on the very pixels of the scan's own images."""

import numpy as np
import pydicom
import pytest

from msnmo.apply.arrivals import convert_flair
from msnmo.apply.dicom_seg import write_segmentation
from msnmo.core.errors import InputError
from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume, load_volume
from tests.cohort import dicom_forms
from tests.cohort.dicom_study import (
    ANNA,
    COLUMNS,
    FLAIR,
    ROWS,
    SLICES,
    write_classic,
    write_enhanced,
)


@pytest.fixture(scope="module", params=["classic", "enhanced"])
def study(request, tmp_path_factory):
    """A converted FLAIR, its files, and its voxels (slices, rows, columns); read-only."""
    place = tmp_path_factory.mktemp("study")
    folder = place / "dicom"
    if request.param == "classic":
        values = write_classic(folder, ANNA, "study", 3, FLAIR, seed=3)
    else:
        values = write_enhanced(folder / "scan.dcm", ANNA, "study", 3, FLAIR, seed=3)
    flair, files = convert_flair(folder, "sub-7", place / "converted")
    return load_volume(flair), files, values


def segmented(path, files):
    """The segmentation's frames by the place of their slice, as (slices, rows, columns)."""
    segmentation = pydicom.dcmread(path)
    frames = np.atleast_3d(segmentation.pixel_array)
    whole = np.zeros((SLICES, ROWS, COLUMNS), dtype=bool)
    corners = {}
    for file in files:
        image = pydicom.dcmread(file)
        if "PerFrameFunctionalGroupsSequence" in image:
            for frame in image.PerFrameFunctionalGroupsSequence:
                position = frame.PlanePositionSequence[0].ImagePositionPatient
                corners[tuple(np.round(position, 3))] = int(
                    frame.FrameContentSequence[0].InStackPositionNumber
                )
        else:
            corners[tuple(np.round(image.ImagePositionPatient, 3))] = int(image.InstanceNumber)
    for frame, content in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        position = content.PlanePositionSequence[0].ImagePositionPatient
        whole[corners[tuple(np.round(position, 3))] - 1] = frame > 0
    return segmentation, whole


def test_each_marked_pixel_is_the_voxel_that_was_marked(study, tmp_path):
    scan, files, values = study
    # bright voxels of the NIfTI file are bright pixels of the images: no symmetry can hide a flip
    mask = Volume(scan.data > 3900, scan.grid)
    write_segmentation(tmp_path / "seg.dcm", mask, files, "bundle")
    segmentation, whole = segmented(tmp_path / "seg.dcm", files)
    np.testing.assert_array_equal(whole, values > 3900)
    assert segmentation.ContentDescription == "Research output, not for diagnosis."
    assert segmentation.PatientID == ANNA.patient, "it goes back to where the patient is known"
    source = pydicom.dcmread(files[0])
    assert segmentation.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert segmentation.StudyInstanceUID == source.StudyInstanceUID
    assert segmentation.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"


def test_an_empty_mask_makes_an_empty_segmentation(study, tmp_path):
    scan, files, _ = study
    mask = Volume(np.zeros(scan.grid.shape, bool), scan.grid)
    write_segmentation(tmp_path / "seg.dcm", mask, files, "bundle")
    _, whole = segmented(tmp_path / "seg.dcm", files)
    assert not whole.any()


def test_a_mask_of_another_grid_is_refused(study, tmp_path):
    scan, files, _ = study
    moved = scan.grid.affine.copy()
    moved[0, 3] += 1.0
    mask = Volume(scan.data > 3900, Grid.from_affine(scan.grid.shape, moved))
    with pytest.raises(InputError, match="off it"):
        write_segmentation(tmp_path / "seg.dcm", mask, files, "bundle")
    assert not (tmp_path / "seg.dcm").exists()


def test_the_same_mask_of_the_same_images_is_the_same_object(study, tmp_path):
    scan, files, _ = study
    mask = Volume(scan.data > 3900, scan.grid)
    ids = []
    for name in ("one.dcm", "two.dcm"):
        write_segmentation(tmp_path / name, mask, files, "bundle")
        ids.append(pydicom.dcmread(tmp_path / name).SOPInstanceUID)
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    "form",
    [dicom_forms.rle, dicom_forms.deflated, dicom_forms.without_preamble, dicom_forms.without_meta],
)
def test_images_in_any_form_have_the_same_segmentation(tmp_path, form):
    folder = tmp_path / "dicom"
    write_classic(folder, ANNA, "study", 3, FLAIR, seed=3)
    segmentations = []
    for name in ("plain", form.__name__):
        flair, files = convert_flair(folder, "sub-7", tmp_path / name)
        scan = load_volume(flair)
        path = tmp_path / f"{name}.dcm"
        write_segmentation(path, Volume(scan.data > 3900, scan.grid), files, "bundle")
        segmentations.append(pydicom.dcmread(path))
        for file in files if name == "plain" else ():
            form(file)
    plain, packed = segmentations
    np.testing.assert_array_equal(packed.pixel_array, plain.pixel_array)
    assert plain.pixel_array.any()
    assert packed.SOPInstanceUID == plain.SOPInstanceUID
