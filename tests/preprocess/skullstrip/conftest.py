"""A simulated head: an ellipsoid brain in fluid, skull and scalp, with a neck, on any grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume

BRAIN_MM = np.array([65.0, 80.0, 60.0])
FIELD_MM = np.array([190.0, 220.0, 180.0])


@dataclass(frozen=True)
class Head:
    """A scan and the brain mask it was made from."""

    scan: Volume
    brain: np.ndarray

    def dice(self, mask: np.ndarray) -> float:
        return 2.0 * float((mask & self.brain).sum()) / float(mask.sum() + self.brain.sum())


@pytest.fixture(scope="session")
def head_grid() -> Callable[..., Grid]:
    return _head_grid


def _head_grid(
    voxel_mm: tuple[float, float, float], axes: str = "RAS", turn: np.ndarray | None = None
) -> Grid:
    """Return a grid around the origin, stored along `axes`, turned by a rotation matrix."""
    size = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    field = FIELD_MM[[size[axis] for axis in axes]]
    shape = tuple(int(n) for n in np.ceil(field / voxel_mm))
    ornt = nib.orientations.axcodes2ornt(axes)
    affine = np.eye(4)
    for column, (axis, flip) in enumerate(ornt):
        affine[:3, column] = 0.0
        affine[int(axis), column] = flip * voxel_mm[column]
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2.0)
    return Grid.from_affine(shape, affine)


@pytest.fixture(scope="session")
def make_head() -> Callable[..., Head]:
    def make(grid: Grid, turn: np.ndarray | None = None, noise: float = 2.0) -> Head:
        """Return the head on a grid; `turn` turns the head itself."""
        index = np.moveaxis(np.indices(grid.shape), 0, -1)
        place = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        x, y, z = np.moveaxis(place @ (np.eye(3) if turn is None else turn), -1, 0)

        def within(margin: float) -> np.ndarray:
            a, b, c = BRAIN_MM + margin
            return (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1.0

        brain = within(0.0)
        image = np.zeros(grid.shape)
        # Parts that do not overlap: scalp and neck, skull, fluid, brain
        image[within(16.0) | ((np.hypot(x, y + 20.0) < 50.0) & (z < 0.0))] = 90.0
        image[within(11.0)] = 10.0
        image[within(5.0)] = 25.0
        image[brain] = 180.0 + 20.0 * np.cos(x[brain] / 9.0) * np.cos(y[brain] / 9.0)
        generator = np.random.default_rng(7)
        image = np.abs(image + generator.normal(0.0, noise, grid.shape))
        return Head(Volume(image.astype(np.float32), grid), brain)

    return make


@pytest.fixture(scope="session")
def head(make_head: Callable[..., Head]) -> Head:
    return make_head(_head_grid((2.5, 2.5, 2.5)))
