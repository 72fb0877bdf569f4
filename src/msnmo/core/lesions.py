"""Masks of lesions as readers and tools write them: binary, or with a label a kind of lesion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msnmo.core.errors import bad_input
from msnmo.core.lesion_labels import ANY, MOST_SHOWN, NAME_LABELS, Labels
from msnmo.core.volumes import Volume, as_mask, load_volume

ROUNDING = 1e-3


@dataclass(frozen=True)
class Lesions:
    """A mask of lesions, and the values in its file.

    Parameters
    ----------
    volume : Volume
        Of bool.
    values : tuple of int
        The values above 0, ascending; none if no labels are requested.
    """

    volume: Volume
    values: tuple[int, ...] = ()


def load_lesions(path: Path | str, labels: Labels = ()) -> Lesions:
    """Read a mask of lesions.

    Parameters
    ----------
    path : Path or str
    labels : "any" or tuple of int
        The values that are lesion.

    Raises
    ------
    InputError
        As `msnmo.core.volumes.load_volume`; without labels, if the values are not 0 and one other;
        with labels, if they are no whole numbers from 0.
    """
    volume = load_volume(path)
    whole = np.rint(volume.data)
    are_labels = bool((whole >= 0).all() and (np.abs(volume.data - whole) <= ROUNDING).all())
    if not labels:
        return Lesions(as_mask(path, volume, *([NAME_LABELS] if are_labels else [])))
    if not are_labels:
        found = ", ".join(f"{value:g}" for value in np.unique(volume.data)[:MOST_SHOWN])
        remedy = "give the label map as its tool wrote it, or threshold a probability map"
        raise bad_input(path, "labels: whole numbers from 0", f"values {found}, ...", remedy)
    values = tuple(int(value) for value in np.unique(whole[whole > 0]))
    lesion = whole > 0 if labels == ANY else np.isin(whole, labels)
    return Lesions(Volume(lesion, volume.grid), values)
