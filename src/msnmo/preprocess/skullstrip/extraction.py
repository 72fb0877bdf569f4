"""The result of every engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Extraction:
    """A brain mask and how it was made.

    Parameters
    ----------
    mask : (I, J, K) ndarray of bool
        Brain voxels on the grid of the scan as it arrived.
    engine, version : str
        Name and version of what made the mask.
    settings : dict
        The engine's settings, as JSON types.
    flags : list of str
        What a reader of the mask should look at; empty if nothing.
    """

    mask: np.ndarray
    engine: str
    version: str
    settings: dict[str, Any]
    flags: list[str] = field(default_factory=list)
