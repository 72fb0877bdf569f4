"""A lesion mask as DICOM Segmentation, for the archive that the scan came from (highdicom).

It refers to the scan's own images and so carries its patient's name, as they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from msnmo.bundle.contents import NOT_FOR_DIAGNOSIS
from msnmo.core.errors import bad_input
from msnmo.core.files import atomic_path
from msnmo.core.provenance import versions
from msnmo.core.volumes import Volume

# DICOM's patient axes run to L, P and S, NIfTI's to R, A and S
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Of a voxel: what rounding in either header may move its centre by
MOST_SHIFT = 0.05
SERIES_NUMBER = 9900
MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
"""What exporters that hide names leave out against the standard (type 2 of PS3.3, C.7)."""


def write_segmentation(path: Path, mask: Volume, files: Sequence[Path], bundle: str) -> None:
    """Write a lesion mask as a DICOM Segmentation of the images that the scan was made of.

    Parameters
    ----------
    path : Path
    mask : Volume
        On the grid of the NIfTI file that dcm2niix made of the images.
    files : sequence of Path
        The series, one file a slice or one multi-frame file.
    bundle : str
        Id of what made the mask.

    Raises
    ------
    InputError
        Naming the series, if its slices do not lie on the mask's grid.
    """
    # some files lack the bytes before their elements
    images = [_with_empty(pydicom.dcmread(file, force=True)) for file in files]
    frames = frames_of_images(mask, images, files[0].parent)
    source = images[0].SeriesInstanceUID
    empty = not frames.any()
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="white matter lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="msnmo", version=versions()["msnmo"], family=codes.DCM.ArtificialIntelligence
        ),
    )
    segmentation = hd.seg.Segmentation(
        source_images=images,
        pixel_array=frames,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        # the same mask of the same images by the same bundle is the same object
        series_instance_uid=generate_uid(entropy_srcs=[source, bundle, "series"]),
        sop_instance_uid=generate_uid(entropy_srcs=[source, bundle, "instance"]),
        series_number=SERIES_NUMBER,
        instance_number=1,
        manufacturer="msnmo",
        manufacturer_model_name="msnmo",
        software_versions=versions()["msnmo"],
        device_serial_number=bundle,
        content_label="LESIONS",
        content_description=NOT_FOR_DIAGNOSIS,
        series_description=f"msnmo lesions. {NOT_FOR_DIAGNOSIS}",
        omit_empty_frames=not empty,
    )
    with atomic_path(path) as temporary:
        segmentation.save_as(temporary)


def _with_empty(image: Dataset) -> Dataset:
    """Return an image with the attributes that the standard allows to be empty, but not missing."""
    for name in MAY_BE_EMPTY:
        if name not in image:
            setattr(image, name, None)
    return image


def frames_of_images(mask: Volume, images: Sequence[Dataset], where: Path) -> np.ndarray:
    """Return the mask (frames, rows, columns) as bool, in the order of the images' frames.

    Raises
    ------
    InputError
        If a frame's pixels are not voxels of the mask's grid.
    """
    to_voxel = np.linalg.inv(mask.grid.affine)
    frames = []
    for affine, rows, columns in _planes(images):
        # pixel (column, row) of a frame to voxel of the mask
        pixel_to_voxel = to_voxel @ LPS_TO_RAS @ affine
        column, row = np.meshgrid(np.arange(columns), np.arange(rows))
        pixels = np.stack([column, row, np.zeros_like(row), np.ones_like(row)]).reshape(4, -1)
        places = (pixel_to_voxel @ pixels)[:3]
        voxels = np.rint(places).astype(int)
        off = float(np.abs(places - voxels).max())
        inside = (voxels >= 0).all() and (voxels < np.array(mask.grid.shape)[:, None]).all()
        if off > MOST_SHIFT or not inside:
            found = f"a slice {off:.2f} voxels off it" if inside else "a slice outside it"
            remedy = "leave out --dicom-seg; the mask as NIfTI is right"
            raise bad_input(where, "slices on the grid of the converted scan", found, remedy)
        frames.append(mask.data[tuple(voxels)].reshape(rows, columns))
    return np.stack(frames).astype(bool)


def _planes(images: Sequence[Dataset]) -> list[tuple[np.ndarray, int, int]]:
    """Return of each frame the affine from (column, row, 0) to LPS mm, its rows and columns."""
    planes = []
    for image in images:
        for frame in range(int(image.get("NumberOfFrames") or 1)):
            position, orientation, spacing = _plane(image, frame)
            affine = np.eye(4)
            # the row cosine runs along a row, from column to column
            affine[:3, 0] = np.array(orientation[:3], float) * float(spacing[1])
            affine[:3, 1] = np.array(orientation[3:], float) * float(spacing[0])
            affine[:3, 3] = np.array(position, float)
            planes.append((affine, int(image.Rows), int(image.Columns)))
    return planes


def _plane(image: Dataset, frame: int) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    if "PerFrameFunctionalGroupsSequence" not in image:
        return image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
    own, shared = (
        image.PerFrameFunctionalGroupsSequence[frame],
        image.SharedFunctionalGroupsSequence[0],
    )

    def find(group: str, name: str) -> Sequence[float]:
        return (own if group in own else shared)[group][0][name].value

    return (
        find("PlanePositionSequence", "ImagePositionPatient"),
        find("PlaneOrientationSequence", "ImageOrientationPatient"),
        find("PixelMeasuresSequence", "PixelSpacing"),
    )
