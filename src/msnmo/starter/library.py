"""Shapes and places of real lesions of multiple sclerosis, learned from public consensus masks.

They are the connected components of consensus masks in MNI space of 20 patients of Lesjak et al.
(Neuroinformatics 2018, 16:51, doi 10.1007/s12021-017-9348-7; CC BY), as bits in boxes. No
intensity of a patient's scan is among them. Patients 07 and 26 of that database are not among
them: the starter's accuracy is measured on their scans.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

FILE = Path(__file__).with_name("lesions.npz")
PAD = 3
"""Voxels of background kept around a lesion, for its edge."""
LEAST_MM3 = 8
"""Smaller components of a mask are the hand's tremor rather than a shape."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One lesion of a real mask.

    Parameters
    ----------
    patient : int
        Number of the patient whose mask it is of, from 0.
    corner_mm : (3,) ndarray
        MNI place of the box's first voxel (RAS+, 1 mm).
    inside : (X, Y, Z) ndarray of bool
        The lesion's voxels, with `PAD` voxels of background on each side.
    """

    patient: int
    corner_mm: np.ndarray
    inside: np.ndarray

    @property
    def volume_mm3(self) -> int:
        """Volume of the lesion."""
        return int(self.inside.sum())

    @property
    def centre_mm(self) -> np.ndarray:
        """(3,) MNI place of the box's centre."""
        return self.corner_mm + (np.array(self.inside.shape) - 1) / 2

    @cached_property
    def depth_mm(self) -> np.ndarray:
        """(X, Y, Z) float32, signed distance to the edge; positive inside."""
        within, beyond = map(ndimage.distance_transform_edt, (self.inside, ~self.inside))
        depth = within - beyond
        # half a voxel: the edge lies between the last voxel inside and the first outside
        return (depth - 0.5 * np.sign(depth)).astype(np.float32)


@lru_cache(maxsize=1)
def shapes() -> tuple[Shape, ...]:
    """Return all shapes of the library that ships with the package."""
    with np.load(FILE, allow_pickle=False) as stored:
        corners, sizes, patients = stored["corners"], stored["sizes"], stored["patients"]
        bits = np.unpackbits(stored["bits"])
    ends = np.cumsum(sizes.astype(int).prod(axis=1))
    pieces = np.split(bits[: ends[-1]].astype(bool), ends[:-1])
    return tuple(
        Shape(int(patient), corner.astype(np.float64) - PAD, np.pad(piece.reshape(size), PAD))
        for patient, corner, size, piece in zip(patients, corners, sizes, pieces, strict=True)
    )


def collect(masks: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the library's arrays of lesion masks.

    Parameters
    ----------
    masks : list of ((X, Y, Z) ndarray of bool, (3,) ndarray)
        One of each patient, RAS+ at 1 mm, and the MNI place of its first voxel.

    Returns
    -------
    dict of ndarray
        ``corners`` (N, 3) int16, MNI mm; ``sizes`` (N, 3) uint8; ``patients`` (N,) uint8; ``bits``,
        the boxes one after the other, eight voxels a byte.
    """
    corners, sizes, patients, pieces = [], [], [], []
    for patient, (mask, origin) in enumerate(masks):
        labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
        for number, box in enumerate(ndimage.find_objects(labels), 1):
            inside = labels[box] == number
            if inside.sum() < LEAST_MM3:
                continue
            corners.append(np.rint(origin + [part.start for part in box]))
            sizes.append(inside.shape)
            patients.append(patient)
            pieces.append(inside.ravel())
    return {
        "corners": np.array(corners, dtype=np.int16),
        "sizes": np.array(sizes, dtype=np.uint8),
        "patients": np.array(patients, dtype=np.uint8),
        "bits": np.packbits(np.concatenate(pieces)),
    }
