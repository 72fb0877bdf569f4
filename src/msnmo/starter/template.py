"""The template's maps as tensors, read at any place by linear interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from msnmo.demo.anatomy import BUILD_MM, HeadModel, head_model, template_maps


@dataclass(frozen=True, eq=False)
class Maps:
    """Some maps of one grid.

    Parameters
    ----------
    values : (1, C, X, Y, Z) tensor of float32
    origin_mm : (3,) ndarray
        MNI place of voxel (0, 0, 0).
    spacing_mm : float
    """

    values: torch.Tensor
    origin_mm: np.ndarray
    spacing_mm: float

    def at(self, places_mm: torch.Tensor) -> torch.Tensor:
        """Return (C, X, Y, Z) values at (X, Y, Z, 3) MNI places; beyond the grid its edge's."""
        last = torch.tensor(self.values.shape[2:], dtype=torch.float32) - 1
        origin = torch.tensor(self.origin_mm, dtype=torch.float32)
        place = (places_mm - origin) * (2 / (self.spacing_mm * last)) - 1
        # grid_sample names the last axis first
        return F.grid_sample(
            self.values, place.flip(-1)[None], padding_mode="border", align_corners=True
        )[0]


@dataclass(frozen=True, eq=False)
class Template:
    """What a simulated brain is drawn from.

    Parameters
    ----------
    model : HeadModel
        At `BUILD_MM`: candidates of lesions are found there.
    fine : Maps
        T1 intensity, share of brain and probability of white matter, at 1 mm.
    smooth : Maps
        Distance to the lateral ventricles and to the brain's hull in mm, negative inside.
    """

    model: HeadModel
    fine: Maps
    smooth: Maps


@lru_cache(maxsize=1)
def template() -> Template:
    """Return the template's maps; made once per process."""
    rough = head_model(BUILD_MM)
    t1, white, brain = template_maps()
    fine = np.stack([t1, brain, white])
    smooth = np.stack([rough.ventricle_mm, rough.brain_mm])
    return Template(
        rough,
        Maps(torch.from_numpy(fine)[None], rough.origin_mm, 1.0),
        Maps(torch.from_numpy(smooth)[None], rough.origin_mm, float(BUILD_MM)),
    )
