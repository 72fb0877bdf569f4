"""A head that is no mirror of itself, on an oblique grid that stores it the wrong way round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.robustness.perturbations import Head

SHAPE = (46, 30, 60)
# left-handed, oblique, slices across the second axis
AFFINE = np.array(
    [[-3.0, 0.3, 0.1, 70.0], [0.1, -0.4, 2.9, -82.0], [0.2, 4.5, 0.4, -70.0], [0, 0, 0, 1.0]]
)
LESIONS_MM = {(28.0, 20.0, 12.0): 12.0, (-24.0, -22.0, 20.0): 9.0, (-10.0, 34.0, -14.0): 10.0}
"""Centres and radii."""
BRAIN, LESION = 100.0, 190.0


def places(grid: Grid) -> np.ndarray:
    """Return where each voxel lies in scanner mm, (I, J, K, 3)."""
    voxels = np.moveaxis(np.indices(grid.shape), 0, -1)
    return voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def ball(grid: Grid, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.linalg.norm(places(grid) - centre, axis=-1) <= radius


@pytest.fixture
def lesions() -> np.ndarray:
    grid = Grid.from_affine(SHAPE, AFFINE)
    return np.any([ball(grid, *each) for each in LESIONS_MM.items()], axis=0)


@pytest.fixture
def head(lesions: np.ndarray) -> Head:
    """A brain of 1.1 litres with bright lesions and a little texture, within a dim head."""
    grid = Grid.from_affine(SHAPE, AFFINE)
    brain = np.linalg.norm((places(grid) - (2, 0, 5)) / (56, 70, 46), axis=-1) <= 1
    skull = np.linalg.norm((places(grid) - (2, 0, 5)) / (66, 80, 56), axis=-1) <= 1
    texture = np.random.default_rng(1).normal(0, 4, SHAPE)
    data = np.where(brain, BRAIN + texture, np.where(skull, 60.0, 0.0))
    data = np.where(lesions, LESION + texture, data)
    assert not (lesions & ~ndimage.binary_erosion(brain)).any(), "lesions lie within the brain"
    scan = Volume(data.astype(np.float32), grid)
    return Head(scan, brain, grid, Path("head.nii.gz"), stripped=False, engine="surface")
