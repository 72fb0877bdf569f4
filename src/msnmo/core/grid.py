"""The voxel grid of a volume: its shape and its place in the scanner, as the NIfTI header says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msnmo.core.nifti import nib

# Two affines are the same grid when no corner voxel moves by more than this (mm): far below any
# voxel, far above the rounding of a float32 header.
SAME_GRID_MM = 0.01
# A qform is a float32 quaternion: at 200 mm from the origin it is off by a few 0.01 mm at best.
SAME_FORM_MM = 0.1


@dataclass(frozen=True)
class Grid:
    """The voxel grid of a volume, with all that its NIfTI header says about it.

    Parameters
    ----------
    shape : tuple of int
        Voxels along i, j, k.
    affine : (4, 4) ndarray
        Voxel index to scanner mm (RAS+): the sform where its code is set, else the qform, else the
        voxel sizes alone.
    sform, qform : (4, 4) ndarray
        As in the header.
    sform_code, qform_code : int
        NIfTI codes, 0 = unknown.
    xyzt_units : int
        NIfTI unit code as stored (10 = mm and s).
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    sform: np.ndarray
    qform: np.ndarray
    sform_code: int = 1
    qform_code: int = 1
    xyzt_units: int = 10

    @classmethod
    def from_affine(cls, shape: tuple[int, ...], affine: np.ndarray) -> Grid:
        """Return the grid of a volume that we make: sform and qform agree."""
        affine = np.asarray(affine, dtype=np.float64)
        return cls(as_shape(shape), affine, affine, affine)

    @classmethod
    def from_header(cls, header: nib.Nifti1Header) -> Grid:
        """Return the grid a NIfTI header describes.

        ======== ======== ============= ==========================================
        sform    qform    used          `form_conflict`
        ======== ======== ============= ==========================================
        code > 0 code > 0 sform         says so where they differ by over 0.1 mm
        code > 0 code = 0 sform         none
        code = 0 code > 0 qform         none
        code = 0 code = 0 voxel sizes   says that the orientation is a guess
        ======== ======== ============= ==========================================

        This is the order of the NIfTI standard's readers (nibabel, ITK from 5.4, niworkflows).
        """
        affine = header.get_best_affine()
        return cls(
            as_shape(header.get_data_shape()[:3]),
            affine,
            _form(header, "sform", affine),
            _form(header, "qform", affine),
            int(header["sform_code"]),
            int(header["qform_code"]),
            int(header["xyzt_units"]),
        )

    @property
    def voxel_mm(self) -> np.ndarray:
        """(3,) voxel sizes in mm, along i, j, k."""
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def is_placed(self) -> bool:
        """Whether the header gives the volume's place in the scanner."""
        return self.sform_code != 0 or self.qform_code != 0

    @property
    def form_conflict(self) -> str | None:
        """A doubt about the header's orientation, or None."""
        if not self.is_placed:
            return "neither sform nor qform is set: orientation assumed from voxel sizes alone"
        both = self.sform_code > 0 and self.qform_code > 0
        distance = _largest_shift(self.shape, self.sform, self.qform) if both else 0.0
        if distance > SAME_FORM_MM:
            return f"sform and qform differ by up to {distance:.2f} mm: the sform is used"
        return None

    def matches(self, other: Grid, tolerance_mm: float = SAME_GRID_MM) -> bool:
        """Whether both grids have the same shape and put every voxel in the same place."""
        same_shape = self.shape == other.shape
        return same_shape and _largest_shift(self.shape, self.affine, other.affine) <= tolerance_mm

    def to_json(self) -> dict[str, Any]:
        """Return the grid as JSON types; `from_json` inverts it exactly."""
        return {
            "shape": list(self.shape),
            "affine": self.affine.tolist(),
            "sform": self.sform.tolist(),
            "sform_code": self.sform_code,
            "qform": self.qform.tolist(),
            "qform_code": self.qform_code,
            "xyzt_units": self.xyzt_units,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Grid:
        """Return the grid that `to_json` described."""
        return cls(
            shape=as_shape(content["shape"]),
            affine=np.array(content["affine"]),
            sform=np.array(content["sform"]),
            qform=np.array(content["qform"]),
            sform_code=int(content["sform_code"]),
            qform_code=int(content["qform_code"]),
            xyzt_units=int(content["xyzt_units"]),
        )


def _form(header: nib.Nifti1Header, name: str, affine: np.ndarray) -> np.ndarray:
    """Return the sform or qform; the affine if its code is 0 and its content is unusable."""
    read = getattr(header, f"get_{name}")
    if int(header[f"{name}_code"]) > 0:
        return read()
    try:
        form = read()
    except (
        nib.spatialimages.HeaderDataError,
        ValueError,
    ):  # a quaternion that was never set may be none
        return affine
    return form if np.isfinite(form).all() else affine


def as_shape(shape: Any) -> tuple[int, int, int]:
    """Return three lengths as whole numbers."""
    i, j, k = (int(length) for length in shape)
    return i, j, k


def _largest_shift(shape: tuple[int, ...], one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest distance (mm) between two affines' places of a corner voxel."""
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1)
    difference = np.asarray(one) - np.asarray(other)
    return float(np.linalg.norm(difference[:3, :3] @ corners + difference[:3, 3:], axis=0).max())
