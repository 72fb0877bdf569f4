"""The rules for a scan's masks: on its grid, binary, in the head, and one per rater."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from msnmo.check.findings import Severity
from msnmo.check.images import Doubt
from msnmo.core.lesion_labels import ANY, Labels, in_words
from msnmo.core.plausibility import volume_doubts
from msnmo.core.volumes import Volume

# Lesion loads above the first are rare, above the second hardly possible
LARGE_LOAD_ML, LARGEST_LOAD_ML = 150.0, 500.0
# Share of a mask's voxels that may lie on the background or outside the brain mask
MANY_OUTSIDE, MOST_OUTSIDE = 0.05, 0.5
# Voxels darker than this share of the 98th centile are air
DIM = 0.1


def lesion_doubts(mask: Volume, scan: Volume | None, brain: Volume | None) -> Iterator[Doubt]:
    """Yield the problems of one lesion mask.

    Parameters
    ----------
    mask : Volume
        Binary.
    scan, brain : Volume or None
        The scan and its brain mask, on the mask's grid; None if there is none that can be used.
    """
    count = int(mask.data.sum())
    if count == 0:
        remedy = "nothing to do if the reader saw no lesion; if not, give the right mask"
        yield Doubt("warning", "lesions", "an empty mask", remedy)
        return
    load = count * mask.grid.voxel_ml
    if load > LARGE_LOAD_ML:
        severity: Severity = "error" if load > LARGEST_LOAD_ML else "warning"
        remedy = "check that this is not the brain mask or an inverted mask"
        expected = f"up to {LARGE_LOAD_ML:g} ml of lesions"
        yield Doubt(severity, expected, f"{load:.0f} ml of lesions", remedy)
        if severity == "error":
            return  # it would also be on the background: report one mistake once
    if scan is not None:
        yield from _outside(mask, _lit(scan.data), "the head")
    if brain is not None:
        yield from _outside(mask, brain.data, "the brain mask")


def brain_doubts(brain: Volume) -> Iterator[Doubt]:
    """Yield the problems of one brain mask. A whole brain has 0.5 to 2.5 litres."""
    remedy = "correct the mask, or leave the column `brain_mask` of the scan table empty"
    for found in volume_doubts(brain.data, brain.grid):
        yield Doubt("error", "the mask of a whole brain, 0.5 to 2.5 litres", found, remedy)


def label_doubts(values: Sequence[int], labels: Labels) -> Iterator[Doubt]:
    """Yield a doubt about values of a mask other than the lesion labels.

    Parameters
    ----------
    values : sequence of int
        The values above 0 in the mask's file.
    labels : "any" or tuple of int
        The setting `lesion_masks.labels`.
    """
    if labels == ANY or not labels:
        return
    others = [value for value in values if value not in labels]
    if not others:
        return
    expected = f"lesions by lesion_masks.labels: {in_words(labels)}"
    if len(others) == len(values):
        remedy = "nothing to do if the others are no lesions; else name them in lesion_masks.labels"
        yield Doubt("warning", expected, f"none of these, but {in_words(others)}", remedy)
    else:
        remedy = (
            "nothing to do if they are no lesions; if they are, name them in lesion_masks.labels"
        )
        yield Doubt("note", expected, f"other labels too: {in_words(others)}", remedy)


def rater_doubts(masks: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Doubt]]:
    """Compare the raters' masks and yield their problems, each with its file.

    Parameters
    ----------
    masks : mapping of str to (I, J, K) ndarray of bool
        By file, in the scan table's order. All are on one grid.
    """
    drawn = {file: mask for file, mask in masks.items() if mask.any()}
    files = list(drawn)
    for place, file in enumerate(files):
        for other in files[:place]:
            if np.array_equal(drawn[file], drawn[other]):
                remedy = "check whether one reader's mask was copied for the other"
                found = f"the same voxels as {other}"
                yield file, Doubt("warning", "a different mask from each reader", found, remedy)
            elif not (drawn[file] & drawn[other]).any():
                remedy = "check that both belong to this scan; their intersection is empty"
                found = f"no voxel in common with {other}"
                yield file, Doubt("warning", "readers who agree at least in part", found, remedy)


def _outside(mask: Volume, inside: np.ndarray, place: str) -> Iterator[Doubt]:
    share = float((mask.data & ~inside).sum() / mask.data.sum())
    if share > MANY_OUTSIDE:
        severity: Severity = "error" if share > MOST_OUTSIDE else "warning"
        remedy = "check that the mask belongs to this scan and is not mirrored or shifted"
        yield Doubt(severity, f"lesions inside {place}", f"{share:.0%} of them outside", remedy)


def _lit(data: np.ndarray) -> np.ndarray:
    """Return the voxels that are not background."""
    positive = data[data > 0]
    return data > (DIM * np.percentile(positive, 98) if positive.size else 0.0)
