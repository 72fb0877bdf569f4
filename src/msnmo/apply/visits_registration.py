"""The second visit of a person, registered to the first: rigid, as a skull changes nothing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from msnmo.apply.location import SEED, to_ants, world_grid
from msnmo.core.errors import bad_input
from msnmo.core.geometry import sample_on_grid
from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.preprocess.n4 import use_one_thread

if TYPE_CHECKING:
    import ants

LEAST_OVERLAP, LEAST_CORRELATION = 0.85, 0.5
"""Of brain masks (Dice) and of intensities within both, under which it is not believed (ours)."""
LIKELY_CORRELATION = 0.7
"""Under which it is believed with a doubt: of simulated heads, two visits of one person had 0.81 to
0.94, and two people at most 0.59. Of patients it was not measured, so it refuses none."""
REMEDY = (
    "look at both scans and brain masks: are they of one person, and is their orientation right?"
)
ARM_MM = 100.0  # of the points that tell the rotation


@dataclass(frozen=True, eq=False)
class Rigid:
    """How the second visit's head lies in the first visit's scanner mm.

    Parameters
    ----------
    to_first : (4, 4) ndarray
        From the second visit's scanner mm (RAS+) to the first's.
    brain_overlap, correlation : float
        Dice of the brain masks, and Pearson correlation of intensities within both, at 2 mm.
    """

    to_first: np.ndarray
    brain_overlap: float
    correlation: float

    @property
    def doubtful(self) -> bool:
        """Whether the heads are as unlike as those of two people."""
        return self.correlation < LIKELY_CORRELATION

    @property
    def moved_mm(self) -> float:
        """How far the head's centre moves, taken as the scanner's."""
        return float(np.linalg.norm(self.to_first[:3, 3]))

    @property
    def turned_degrees(self) -> float:
        """By how much the head turns."""
        cosine = (np.trace(self.to_first[:3, :3]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def register_visits(
    first: Volume, first_brain: np.ndarray, second: Volume, second_brain: np.ndarray, file: Path
) -> Rigid:
    """Return the rigid map of the second visit to the first, by ANTs and mutual information.

    Both brains are sampled at 2 mm in scanner mm first, so that any grid (left-handed, oblique,
    thick slices) meets the other the same way. One ITK thread and a fixed seed: two runs give equal
    numbers. No half-way space is needed: nothing is measured on a resampled image.

    Parameters
    ----------
    first, second : Volume
        T2-FLAIR on their own grids.
    first_brain, second_brain : (I, J, K) ndarray of bool
        Brain masks on these.
    file : Path
        The second scan's, for messages.

    Raises
    ------
    InputError
        Naming the file, if the registration fails or is not believable.
    """
    use_one_thread()
    import ants  # noqa: PLC0415

    ants.config.set_ants_deterministic(on=False, seed_value=SEED)  # the seed alone
    fixed_grid, moving_grid = (
        world_grid(brain, each.grid)
        for each, brain in ((first, first_brain), (second, second_brain))
    )
    fixed = sample_on_grid(np.where(first_brain, first.data, 0), first.grid, fixed_grid)
    moving = sample_on_grid(np.where(second_brain, second.data, 0), second.grid, moving_grid)
    try:
        with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
            found = ants.registration(
                to_ants(fixed, fixed_grid),
                to_ants(moving, moving_grid),
                "Rigid",
                outprefix=f"{folder}/",
            )
            to_second = _matrix(ants.read_transform(found["fwdtransforms"][0]))
    except RuntimeError as error:  # ITK says so when it finds no common voxels
        raise bad_input(file, "a head that can be registered", str(error), REMEDY) from error
    to_first = np.linalg.inv(to_second)
    there = Grid.from_affine(second.grid.shape, to_first @ second.grid.affine)
    one = sample_on_grid(first_brain, first.grid, fixed_grid) >= 0.5
    other = sample_on_grid(second_brain, there, fixed_grid) >= 0.5
    image = sample_on_grid(second.data, there, fixed_grid)
    overlap = float(2 * (one & other).sum() / (one.sum() + other.sum()))
    both = one & other
    correlation = float(np.corrcoef(fixed[both], image[both])[0, 1]) if both.sum() > 1 else 0.0
    if not (overlap >= LEAST_OVERLAP and correlation >= LEAST_CORRELATION):
        expected = (
            "a visit of the same person: registered, brain masks of Dice at least "
            f"{LEAST_OVERLAP:g} and intensities of correlation at least {LEAST_CORRELATION:g}"
        )
        raise bad_input(file, expected, f"Dice {overlap:.2f}, {correlation:.2f}", REMEDY)
    return Rigid(to_first, overlap, correlation)


def _matrix(transform: ants.ANTsTransform) -> np.ndarray:
    """Return a rigid transform of ITK's points as a 4 x 4 matrix of RAS+ mm."""
    flip = np.diag([-1.0, -1.0, 1.0])
    points = np.vstack([np.zeros(3), ARM_MM * np.eye(3)])
    images = np.array([transform.apply_to_point(tuple(flip @ point)) for point in points]) @ flip
    turn = ((images[1:] - images[0]) / ARM_MM).T
    left, _, right = np.linalg.svd(turn)  # a rotation to the last digit
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = left @ right, images[0]
    return matrix
