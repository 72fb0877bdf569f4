"""Numbers of one preprocessed scan, and the rules by which they are flagged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from msnmo.core.grid import Grid

TOUCH = np.ones((3, 3, 3), dtype=bool)
Numbers = Mapping[str, float | None]


@dataclass(frozen=True)
class Arrays:
    """What the numbers of a scan are taken from.

    Parameters
    ----------
    flair, corrected : (I, J, K) ndarray
        The skull-stripped scan before and after N4, on the native grid.
    brain : (I, J, K) ndarray of bool
    native : Grid
    model : (X, Y, Z) ndarray
        The z-scored scan in model space.
    lesion : (I, J, K) ndarray of bool, or None
    model_lesion : (X, Y, Z) ndarray of bool, or None
    """

    flair: np.ndarray
    corrected: np.ndarray
    brain: np.ndarray
    native: Grid
    model: np.ndarray
    lesion: np.ndarray | None = None
    model_lesion: np.ndarray | None = None


@dataclass(frozen=True)
class Rule:
    """A reason to look at a scan: its name, what it says in words, and when it holds."""

    name: str
    words: str
    holds: Callable[[Numbers], bool]


def above(name: str, limit: float) -> Callable[[Numbers], bool]:
    """Return a test whether a number is known and above a limit."""
    return lambda numbers: (value := numbers[name]) is not None and value > limit


def below(name: str, limit: float) -> Callable[[Numbers], bool]:
    """Return a test whether a number is known and below a limit."""
    return lambda numbers: (value := numbers[name]) is not None and value < limit


def _empty_lesion(numbers: Numbers) -> bool:
    return numbers["lesion_ml"] == 0


def _lesions_outside(numbers: Numbers) -> bool:
    lesion, outside = numbers["lesion_ml"], numbers["lesion_outside_ml"]
    return bool(lesion and outside is not None and outside > 0.05 * lesion)


RULES = (
    Rule("small brain", "brain under 900 ml", below("brain_ml", 900)),
    Rule("large brain", "brain over 1900 ml", above("brain_ml", 1900)),
    Rule(
        "brain in pieces",
        "over 1 % of the brain mask is separate from its largest piece",
        above("brain_apart", 0.01),
    ),
    Rule(
        "brain cut off",
        "over 2 % of the mask's rim is on the slices' edges",
        above("brain_cut", 0.02),
    ),
    Rule(
        "strong bias", "bias field's 99th centile is over 3 times its 1st", above("bias_range", 3)
    ),
    Rule("bright spot", "largest z-score over 15", above("z_max", 15)),
    Rule("dark spot", "smallest z-score under -10", below("z_min", -10)),
    Rule("no lesion", "an empty lesion mask", _empty_lesion),
    Rule("lesions outside", "over 5 % of the lesions are outside the brain mask", _lesions_outside),
    Rule(
        "lesions not bright",
        "lesions are brighter than the brain by less than 0.5 of its SD",
        below("contrast", 0.5),
    ),
)


def measure(arrays: Arrays) -> dict[str, float | None]:
    """Return the numbers of one scan.

    Returns
    -------
    dict
        brain_ml; brain_apart, the share of the mask outside its largest piece; brain_cut, the share
        of the mask's rim that lies on the edges of the slices (the first and last slice are often
        in the brain); bias_range, the bias field's 99th centile over its 1st, inside the brain;
        z_min, z_max; and None without a lesion mask: lesion_ml, lesion_count (26-connected),
        lesion_outside_ml (outside the brain mask), contrast (mean of the lesions less that of the
        rest of the brain, over the latter's standard deviation, in model space).
    """
    brain_ml = arrays.brain.sum() * arrays.native.voxel_ml
    field = bias_field(arrays)[arrays.brain & (arrays.corrected != 0)]
    low, high = np.nanpercentile(field, (1, 99)) if field.size else (1.0, 1.0)
    numbers = {
        "brain_ml": brain_ml,
        "brain_apart": _apart(arrays.brain),
        "brain_cut": _cut_off(arrays.brain, arrays.native),
        "bias_range": high / low,
        "z_min": arrays.model.min(),
        "z_max": arrays.model.max(),
        **_lesion_numbers(arrays),
    }
    return {
        name: None if value is None else round(float(value), 4) for name, value in numbers.items()
    }


def bias_field(arrays: Arrays) -> np.ndarray:
    """Return N4's divisor of the scan; NaN outside the brain and where nothing was left."""
    field = np.full(arrays.flair.shape, np.nan, np.float32)
    np.divide(
        arrays.flair, arrays.corrected, out=field, where=arrays.brain & (arrays.corrected != 0)
    )
    return field


def flags_of(numbers: Numbers) -> list[str]:
    """Return the names of the rules that apply."""
    return [rule.name for rule in RULES if rule.holds(numbers)]


def _lesion_numbers(arrays: Arrays) -> dict[str, float | None]:
    if arrays.lesion is None or arrays.model_lesion is None:
        return dict.fromkeys(("lesion_ml", "lesion_count", "lesion_outside_ml", "contrast"))
    voxel_ml = arrays.native.voxel_ml
    return {
        "lesion_ml": arrays.lesion.sum() * voxel_ml,
        "lesion_count": ndimage.label(arrays.lesion, structure=TOUCH)[1],
        "lesion_outside_ml": (arrays.lesion & ~arrays.brain).sum() * voxel_ml,
        "contrast": _contrast(arrays.model, arrays.model_lesion),
    }


def _contrast(model: np.ndarray, lesion: np.ndarray) -> float | None:
    rest = model[(model != 0) & ~lesion]
    if not lesion.any() or rest.size < 2 or rest.std() == 0:
        return None
    return float((model[lesion].mean() - rest.mean()) / rest.std())


def _apart(brain: np.ndarray) -> float:
    labels, count = ndimage.label(brain, structure=TOUCH)
    if count < 2:
        return 0.0
    sizes = np.bincount(labels.ravel())[1:]
    return float(1 - sizes.max() / sizes.sum())


def _cut_off(brain: np.ndarray, grid: Grid) -> float:
    """Return the share of the mask's rim on the faces that slices have at their edges."""
    through = int(np.argmax(grid.voxel_mm.round(3)))
    isotropic = np.ptp(grid.voxel_mm.round(3)) == 0
    axes = [axis for axis in range(3) if isotropic or axis != through]
    rim = brain & ~ndimage.binary_erosion(brain, border_value=0)
    on_edges = np.zeros_like(brain)
    for axis in axes:
        view = np.moveaxis(on_edges, axis, 0)
        view[[0, -1]] = True
    return float((rim & on_edges).sum() / max(1, rim.sum()))


def to_json(scan: str, numbers: Numbers, made: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scan's numbers with data on its skull stripping."""
    stripping = made.get("skullstrip", {})
    return {
        "scan": scan,
        "engine": stripping.get("engine", "unknown"),
        "numbers": dict(numbers),
        "flags": [*flags_of(numbers), *stripping.get("flags", [])],
    }
