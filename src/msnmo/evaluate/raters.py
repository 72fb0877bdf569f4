"""How well the raters of one scan agree, on the scan's own grid.

Each rater is compared with each other, once as the truth. Methods should be read beside this.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from msnmo.core.arguments import finite
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import write_tsv
from msnmo.core.grid import Grid
from msnmo.core.lesion_labels import add_lesion_labels, labels_given
from msnmo.core.numbers import as_text, fixed
from msnmo.evaluate.lesion_detection import Lesions, lesion_metrics
from msnmo.evaluate.segmentation import overlap_metrics
from msnmo.preprocess.raters import load_raters

METRICS = ("DSC", "LTPR", "LFPR", "LF1")
COLUMNS = ("scan", "metric", "value", "lesions")


def agreement(masks: Sequence[np.ndarray], grid: Grid, smallest_mm3: float) -> dict[str, float]:
    """Return the agreement of raters: the mean over ordered pairs of a truth and a prediction.

    DSC and LF1 are the same both ways. LTPR is the share of a rater's lesions that another rater
    marked too. LFPR is the share that the other did not mark.

    Parameters
    ----------
    masks : sequence of (X, Y, Z) ndarray of bool
        One per rater, at least two.
    grid : Grid
        Grid of all masks.
    smallest_mm3 : float
        Smallest volume of a counted lesion.

    Returns
    -------
    dict of str to float
        DSC, LTPR, LFPR and LF1, by the rules of `msnmo.evaluate.segmentation` and
        `msnmo.evaluate.lesion_detection`. A pair without a value enters no mean; NaN if none has
        one.
    """
    pairs = pd.DataFrame(
        {"DSC": overlap_metrics(prediction, truth)["DSC"]}
        | lesion_metrics(prediction, truth, grid, smallest_mm3)
        for truth, prediction in permutations(masks, 2)
    )
    return {metric: float(pairs[metric].mean()) for metric in METRICS}


def mean_lesions(masks: Sequence[np.ndarray], grid: Grid, smallest_mm3: float) -> float:
    """Return the mean number of counted lesions per rater."""
    counts = [(Lesions.of_mask(mask, grid).volumes_mm3 >= smallest_mm3).sum() for mask in masks]
    return float(np.mean(counts))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write how well the raters of a scan agree."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.evaluate.raters", description=__doc__)
    parser.add_argument("--scan", required=True, help="the scan's name")
    parser.add_argument("--flair", type=Path, required=True, help="the scan as it arrived")
    parser.add_argument("--masks", type=Path, required=True, nargs="+", help="one mask per rater")
    parser.add_argument(
        "--other-grid",
        choices=("error", "resample"),
        default="error",
        help="what to do with a mask on another grid than the scan",
    )
    add_lesion_labels(parser)
    parser.add_argument(
        "--smallest-lesion-mm3", type=finite, required=True, help="smallest counted lesion"
    )
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    given = parser.parse_args(arguments)
    if len(given.masks) < 2:
        found = f"{len(given.masks)} mask"
        raise bad_input(f"--masks of {given.scan}", "two raters or more", found, "leave it out")

    labels = labels_given(given.lesion_labels)
    grid, masks = load_raters(given.flair, given.masks, given.other_grid == "resample", labels)
    agreed = agreement(masks, grid, given.smallest_lesion_mm3)
    lesions = mean_lesions(masks, grid, given.smallest_lesion_mm3)
    print(f"{len(masks)} raters, {lesions:g} lesions on average")
    print("  ".join(f"{metric} {fixed(value, 4)}" for metric, value in agreed.items()))
    rows = [(given.scan, metric, value, lesions) for metric, value in agreed.items()]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_tsv(given.out, as_text(table, ["value", "lesions"]))


if __name__ == "__main__":
    run_command(main)
