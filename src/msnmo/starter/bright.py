"""Normal anatomy that is bright in FLAIR: no lesion, and not labelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from msnmo.starter.head import Head, box_at


@dataclass(frozen=True)
class BrightPlace:
    """Normal anatomy that is brighter than its surroundings in many people's FLAIR.

    Parameters
    ----------
    centre_mm, half_mm : (x, y, z)
        MNI place and half-axes; mirrored if x is not 0.
    most : float
        Highest brightness that is added; white matter's is 1.
    """

    centre_mm: tuple[float, float, float]
    half_mm: tuple[float, float, float]
    most: float


BRIGHT = (
    BrightPlace((27, -43, 7), (6, 8, 6), 1.0),  # choroid plexus in the atrium
    BrightPlace((30, -26, -12), (4, 10, 4), 0.5),  # choroid plexus in the temporal horn
    BrightPlace((3, -4, 14), (3, 12, 3), 0.5),  # roof of the third ventricle, fornix
    BrightPlace((0, -27, 2), (3.5, 4, 3.5), 1.2),  # pineal gland
    BrightPlace((0, -32, -6), (6, 5, 6), 0.4),  # tectum, around the aqueduct
    BrightPlace((0, -8, -6), (5, 9, 6), 0.4),  # hypothalamus, walls of the third ventricle
    BrightPlace((14, -27, 6), (6, 6, 6), 0.3),  # pulvinar
    BrightPlace((25, -20, 6), (5, 6, 9), 0.25),  # corticospinal tract in the internal capsule
    BrightPlace((26, -22, -16), (8, 14, 7), 0.35),  # hippocampus
    BrightPlace((20, -3, -20), (7, 6, 6), 0.3),  # amygdala
    BrightPlace((0, 4, 18), (4, 14, 3), 0.3),  # septum
    BrightPlace((0, -48, -32), (5, 5, 5), 0.4),  # floor of the fourth ventricle, vermis
    BrightPlace((0, -27, -17), (4, 4, 6), 0.4),  # decussation of the superior cerebellar peduncles
    BrightPlace((0, -27, -30), (14, 12, 20), 0.2),  # brainstem as a whole
    BrightPlace((12, -2, -22), (4, 4, 4), 0.4),  # uncus
    BrightPlace((26, -66, 8), (3, 10, 7), 0.4),  # optic radiation beside the occipital horn
)
"""In the brain. The places are approximate; the brightness is ours."""
BEYOND = (
    BrightPlace((0, 4, -30), (7, 5, 4), 4.0),  # pituitary gland
    BrightPlace((10, 4, -30), (4, 6, 5), 2.0),  # cavernous sinus
    BrightPlace((0, -1, -22), (3, 3, 5), 3.0),  # infundibulum
    BrightPlace((0, -9, -24), (5, 4, 5), 3.0),  # basilar artery and its fluid, by their flow
    BrightPlace((9, -11, -22), (6, 4, 4), 3.0),  # posterior cerebral artery
    BrightPlace((16, 2, -22), (8, 4, 3), 2.0),  # middle cerebral artery
)
"""Beside the base of the brain, where a brain mask may let them in."""


def with_bright_places(
    image: torch.Tensor, places: tuple[BrightPlace, ...], part: str, head: Head
) -> torch.Tensor:
    """Return the image with some of the places brighter. None of them is a lesion.

    Parameters
    ----------
    image : (X, Y, Z) tensor of float32
        On the head's grid; white matter is 1. It is changed in place.
    places : tuple of BrightPlace
        `BRIGHT` or `BEYOND`.
    part : str
        Names the random numbers.
    head : Head
    """
    rng = head.fields.rng(part)
    uneven = (0.8 + 0.5 * head.fields(part, 6.0)).clamp(0, 1.6)
    for place in places:
        sides = (1.0, -1.0) if place.centre_mm[0] else (1.0,)
        there, most = rng.random() < 0.7, rng.uniform(0, place.most)
        for side in sides:
            centre = np.array(place.centre_mm) * (side, 1, 1) + rng.normal(0, 1.5, size=3)
            half = np.array(place.half_mm) * rng.uniform(0.6, 1.2)
            added = most * rng.uniform(0.6, 1.0)
            if not there:
                continue
            box = box_at(centre, 2 * float(half.max()), head)
            away = (head.places[box] - _tensor(centre)) / _tensor(half)
            image[box] += added * uneven[box] * torch.exp(-away.square().sum(dim=-1))
    return image


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)
