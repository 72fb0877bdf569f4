"""A simulated person's head: its pose, its grid, and the random fields on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from msnmo.core.seeds import derive_seed
from msnmo.demo.anatomy import BRAIN_END_Z
from msnmo.demo.subject import MEAN_SIZE
from msnmo.starter import lesions
from msnmo.starter.template import Template

MARGIN_MM = 7.0
"""Around the template's brain, for loose brain masks."""
LATTICE_MM = 6.0
"""Step of the lattice that anatomy is deformed on."""


class Fields:
    """Smooth random fields on the head's grid, each with a generator of its own."""

    def __init__(self, seed: int, shape: tuple[int, int, int], size_mm: np.ndarray):
        self.seed, self.shape, self.size_mm = seed, shape, size_mm

    def rng(self, part: str) -> np.random.Generator:
        """Return the generator of one part of the scan."""
        return np.random.default_rng(derive_seed(self.seed, part))

    def __call__(self, part: str, width_mm: float) -> torch.Tensor:
        """Return (X, Y, Z) unit-variance noise, correlated over `width_mm`."""
        step = max(width_mm / 2.5, 3.0)
        counts = np.maximum(np.ceil(self.size_mm / step).astype(int) + 1, 4)
        noise = self.rng(part).standard_normal(counts)
        noise = ndimage.gaussian_filter(noise, width_mm / 2 / step, mode="wrap")
        coarse = torch.tensor(noise / noise.std(), dtype=torch.float32)
        return raised(coarse[None], self.shape)[0]


@dataclass(frozen=True, eq=False)
class Pose:
    """How a person lies in the scanner, and how large the head is.

    Parameters
    ----------
    to_template : (3, 3) ndarray
        From scanner mm around the brain's middle to template mm around `middle_mm`.
    middle_mm : (3,) ndarray
        MNI place of the brain's middle.
    low_mm, size_mm : (3,) ndarray
        The box around the brain in scanner mm.
    """

    to_template: np.ndarray
    middle_mm: np.ndarray
    low_mm: np.ndarray
    size_mm: np.ndarray

    @classmethod
    def draw(cls, known: Template, rng: np.random.Generator) -> Pose:
        """Draw how one person lies, as wide and long as people are."""
        index = np.argwhere(known.model.brain[::3, ::3, ::3] > 0.5) * 3
        points = known.model.to_mm(index.astype(float))
        points = points[points[:, 2] > BRAIN_END_Z - 8]
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        aligned = rng.random() < 0.3  # registered to a template by whoever made the scan
        degrees = rng.normal(0, (7.0, 2.5, 2.5)) * (0.2 if aligned else 1.0)
        scale = MEAN_SIZE * rng.normal(1, 0.04) * rng.normal(1, 0.025, size=3)
        if aligned:
            scale = rng.normal(1, 0.02, size=3)
        to_template = lesions.turned(np.deg2rad(degrees)) / scale
        seen = (points - middle) @ np.linalg.inv(to_template).T
        low, high = seen.min(axis=0) - MARGIN_MM, seen.max(axis=0) + MARGIN_MM
        return cls(to_template, middle, low, high - low)


@dataclass(frozen=True, eq=False)
class Head:
    """A person's head on its grid: the template's place of each voxel, pose and random fields."""

    places: torch.Tensor
    pose: Pose
    fields: Fields


def places_of(known: Template, pose: Pose, fields: Fields) -> torch.Tensor:
    """Return (X, Y, Z, 3) template mm that each voxel of the head's grid shows."""
    counts = np.ceil(pose.size_mm / LATTICE_MM).astype(int) + 1
    lines = [np.linspace(0, size, n) for size, n in zip(pose.size_mm, counts, strict=True)]
    seen = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1) + pose.low_mm
    places = seen @ pose.to_template.T + pose.middle_mm
    rng = fields.rng("displacement")
    for mm, width in ((rng.uniform(0.8, 3.0), 34.0), (rng.uniform(0.3, 1.2), 13.0)):
        for axis in range(3):
            noise = ndimage.gaussian_filter(
                rng.standard_normal(tuple(counts)), width / 2 / LATTICE_MM, mode="wrap"
            )
            places[..., axis] += mm * noise / noise.std()
    # ventricles wider (age, atrophy) or narrower
    spacing = known.model.spacing_mm
    distance = ndimage.gaussian_filter(known.model.ventricle_mm, 1.5)
    index = known.model.to_index(places).transpose(3, 0, 1, 2)
    slope = np.stack(
        [
            ndimage.map_coordinates(np.gradient(distance, spacing, axis=axis), index, order=1)
            for axis in range(3)
        ],
        axis=-1,
    )
    here = ndimage.map_coordinates(distance, index, order=1, mode="nearest")
    pull = rng.uniform(-1.5, 4.5) * np.exp(-np.square(np.maximum(here, 0) / 14))
    places -= pull[..., None] * slope
    coarse = torch.tensor(places.transpose(3, 0, 1, 2), dtype=torch.float32)
    return raised(coarse, fields.shape).permute(1, 2, 3, 0).contiguous()


def raised(coarse: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Return (C, ...) values on a lattice over the head's grid, corner upon corner."""
    return F.interpolate(coarse[None], size=shape, mode="trilinear", align_corners=True)[0]


def box_at(centre_mm: np.ndarray, reach_mm: float, head: Head) -> tuple[slice, ...]:
    """Return the part of the grid so near to an MNI place, wherever anatomy moved it."""
    pose, shape = head.pose, head.fields.shape
    seen = np.linalg.inv(pose.to_template) @ (centre_mm - pose.middle_mm)
    step = pose.size_mm / (np.array(shape) - 1)
    reach = 1.1 * reach_mm + 8
    low = np.clip(np.floor((seen - pose.low_mm - reach) / step).astype(int), 0, None)
    high = np.clip(np.ceil((seen - pose.low_mm + reach) / step).astype(int) + 1, 1, shape)
    return tuple(slice(min(a, b - 1), b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
