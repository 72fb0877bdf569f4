"""Raters' lesion masks of one scan, combined into one on the scan's own grid."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from msnmo.core.errors import InputError, run_command
from msnmo.core.geometry import resample_to_grid
from msnmo.core.grid import Grid
from msnmo.core.lesion_labels import Labels, add_lesion_labels, labels_given
from msnmo.core.lesions import load_lesions
from msnmo.core.same_grid import check_placed, check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_volume

How = Literal["intersection", "union", "majority", "staple"]


def combine_masks(masks: Sequence[np.ndarray], how: How = "intersection") -> np.ndarray:
    """Return one lesion mask from the masks of one or more raters.

    Parameters
    ----------
    masks : sequence of (I, J, K) ndarray of bool
        One mask a rater, all of one shape.
    how : {"intersection", "union", "majority", "staple"}
        ``intersection`` is what the paper uses for the hospital's scans (section 3.1.1).
        ``majority`` takes voxels marked by more than half of the raters. So a tie is no lesion, and
        two raters give the intersection. ``staple`` takes voxels whose probability of lesion is
        over 0.5 (Warfield et al. 2004, IEEE Trans. Med. Imaging 23:903; SimpleITK, over the whole
        volume). It needs three or more raters: if two differ, nothing tells which one is right. For
        one rater, or raters that agree everywhere, all choices give the same mask.

    Returns
    -------
    (I, J, K) ndarray of bool
    """
    votes = np.stack(masks).sum(axis=0, dtype=np.int32)
    if how == "intersection":
        return votes == len(masks)
    if how == "union":
        return votes > 0
    if how == "majority":
        return 2 * votes > len(masks)
    return _staple(masks, votes)


def _staple(masks: Sequence[np.ndarray], votes: np.ndarray) -> np.ndarray:
    # without disagreement there is nothing to estimate, and an all-empty set has no prior
    if np.isin(votes, (0, len(masks))).all():
        return votes > 0
    import SimpleITK  # noqa: PLC0415 - a quarter of a second that one rater need not pay

    staple = SimpleITK.STAPLEImageFilter()
    staple.SetForegroundValue(1)
    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    probability = SimpleITK.GetArrayFromImage(staple.Execute(images))
    # two raters often leave exactly 0.5, which rounding turns either way: a tie is no lesion
    return probability > 0.5 + 1e-6


def load_raters(
    flair: Path | str,
    masks: Sequence[Path | str],
    resample: bool = False,
    labels: Labels = (),
) -> tuple[Grid, list[np.ndarray]]:
    """Read a scan's lesion masks after checking that each is on the scan's grid.

    Parameters
    ----------
    flair : Path or str
        The scan as it arrived.
    masks : sequence of Path or str
        On the scan's grid, with 0 and one positive value unless there are `labels`.
    resample : bool
        Whether masks on another grid are resampled to the scan's grid and not refused.
    labels : "any" or tuple of int
        The values that are lesion.

    Returns
    -------
    Grid, list of (I, J, K) ndarray of bool
        The scan's grid and the masks.

    Raises
    ------
    InputError
        Names every file that cannot be read, has other values or lies on another grid.
    """
    scan, findings, arrays = load_volume(flair), [], []
    for path in masks:
        try:
            mask = load_lesions(path, labels).volume
            if resample and not mask.grid.matches(scan.grid):
                check_placed(path, mask, flair, scan)
                print(f"{path}: resampled to the grid of {flair}")
                mask = resample_to_grid(mask, scan.grid)
            check_same_grid(Path(path), mask, Path(flair), scan)
            arrays.append(mask.data)
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return scan.grid, arrays


def main(arguments: Sequence[str] | None = None) -> None:
    """Combine the raters' lesion masks of one scan."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.preprocess.raters", description=__doc__)
    parser.add_argument("--flair", type=Path, required=True, help="the scan as it arrived")
    parser.add_argument("--masks", type=Path, required=True, nargs="+", help="one mask per rater")
    parser.add_argument(
        "--how",
        choices=get_args(How),
        default="intersection",
        help="majority: more than half (a tie is no lesion); staple: needs at least three raters",
    )
    parser.add_argument(
        "--other-grid",
        choices=("error", "resample"),
        default="error",
        help="what to do with a mask on another grid than the scan",
    )
    add_lesion_labels(parser)
    parser.add_argument("--out", type=Path, required=True, help="lesion mask on the scan's grid")
    given = parser.parse_args(arguments)

    labels = labels_given(given.lesion_labels)
    grid, masks = load_raters(given.flair, given.masks, given.other_grid == "resample", labels)
    combined = combine_masks(masks, given.how)
    for path, mask in zip(given.masks, masks, strict=True):
        print(f"{path}: {_volume(mask, grid)}")
    print(f"{given.how} of {len(masks)}: {_volume(combined, grid)}")
    save_volume(given.out, combined, grid, dtype=np.uint8)


def _volume(mask: np.ndarray, grid: Grid) -> str:
    return f"{mask.sum() * grid.voxel_ml:.3f} ml of lesion" if mask.any() else "no lesion (empty)"


if __name__ == "__main__":
    run_command(main)
