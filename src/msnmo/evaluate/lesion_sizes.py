"""Metrics by lesion size: one training, the test scans of its fold, each on its own grid.

True lesions are found or missed in the class of their own size. Predicted lesions are right or
false in the class of theirs. For DSC, each predicted voxel belongs to the class of one true lesion:
the nearest of those that its own lesion touches.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from msnmo.cohort.parts import read_part
from msnmo.core.arguments import finite
from msnmo.core.errors import InputError, bad_input, run_command
from msnmo.core.files import write_tsv
from msnmo.core.grid import Grid
from msnmo.core.numbers import as_text
from msnmo.evaluate.inputs import TRUTH_COLUMNS, mask_pairs
from msnmo.evaluate.lesion_detection import MM3_DECIMALS, Lesions, lesion_rates
from msnmo.evaluate.segmentation import overlap_metrics
from msnmo.settings.methods import get_method

ALL = "all"
"""Name of the class of all counted lesions."""
LOAD = "V_TRUE"
"""Metric: the true lesion volume of a scan in ml."""
TOO_SMALL = 0
"""The class of lesions that do not count. The others are 1, 2 and so on."""
COLUMNS = ("scan", "size", "metric", "value", "lesions")
Row = tuple[str, str, float, float]
"""Class of size, metric, value, number of its lesions."""


@dataclass(frozen=True)
class Sizes:
    """Classes of lesions by their volume.

    Parameters
    ----------
    smallest_mm3 : float
        Smallest volume of a counted lesion.
    bounds_ml : tuple of float
        Rising volumes that separate the classes. A lesion of exactly this volume is in the class
        above.
    """

    smallest_mm3: float
    bounds_ml: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, from the smallest lesions to the largest."""
        first, last = (f"{bound:.10g}" for bound in (self.bounds_ml[0], self.bounds_ml[-1]))
        between = (
            f"{low:.10g} to {high:.10g} ml"
            for low, high in zip(self.bounds_ml[:-1], self.bounds_ml[1:], strict=True)
        )
        return (f"under {first} ml", *between, f"{last} ml or more")

    def of(self, volumes_mm3: np.ndarray) -> np.ndarray:
        """Return the class of each volume: `TOO_SMALL`, or 1 for the first name and so on."""
        bounds = np.round(1000 * np.asarray(self.bounds_ml), MM3_DECIMALS)
        classes = 1 + np.digitize(volumes_mm3, bounds)
        return np.where(volumes_mm3 >= self.smallest_mm3, classes, TOO_SMALL)


@dataclass(frozen=True)
class Classed:
    """The lesions of a mask and their classes.

    Parameters
    ----------
    labels : (X, Y, Z) ndarray of int
        As in `msnmo.evaluate.lesion_detection.Lesions`.
    classes : (N,) ndarray of int
        Class of lesion 1 to N.
    """

    labels: np.ndarray
    classes: np.ndarray

    @property
    def of_voxels(self) -> np.ndarray:
        """The class of each voxel, -1 outside the mask, (X, Y, Z)."""
        return np.concatenate([[-1], self.classes])[self.labels]


def size_metrics(prediction: np.ndarray, truth: np.ndarray, grid: Grid, sizes: Sizes) -> list[Row]:
    """Return the lesion metrics of one scan, for all lesions and for each class of size.

    Parameters
    ----------
    prediction, truth : (X, Y, Z) ndarray of bool
    grid : Grid
        Grid of both.
    sizes : Sizes

    Returns
    -------
    list of (size, metric, value, lesions)
        For `ALL`: DSC of the masks; LTPR, LFPR and LF1 of the counted lesions, by the rules of
        `msnmo.evaluate.segmentation` and `msnmo.evaluate.lesion_detection`; and `LOAD`. For each
        class: DSC and LTPR, NaN without a true lesion of the class, and LFPR, NaN without a
        predicted one. ``lesions`` counts the predicted lesions for LFPR, else the true ones.
    """
    true, predicted = Lesions.of_mask(truth, grid), Lesions.of_mask(prediction, grid)
    found, right = true.touched_by(prediction), predicted.touched_by(truth)
    of_true, of_predicted = sizes.of(true.volumes_mm3), sizes.of(predicted.volumes_mm3)
    counts, counted = of_true != TOO_SMALL, of_predicted != TOO_SMALL
    whole = {
        "DSC": overlap_metrics(prediction, truth)["DSC"],
        **lesion_rates(found[counts], right[counted]),
        LOAD: float(truth.sum() * grid.voxel_ml),
    }
    numbers = dict.fromkeys(whole, int(counts.sum())) | {"LFPR": int(counted.sum())}
    rows: list[Row] = [(ALL, name, value, numbers[name]) for name, value in whole.items()]
    overlaps = overlaps_by_class(
        Classed(true.labels, of_true), Classed(predicted.labels, of_predicted), grid
    )
    for place, name in enumerate(sizes.names, start=1):
        own, marked = of_true == place, of_predicted == place
        rows += [
            (name, "DSC", overlaps[place] if own.any() else math.nan, int(own.sum())),
            (name, "LTPR", _share(found[own]), int(own.sum())),
            (name, "LFPR", _share(~right[marked]), int(marked.sum())),
        ]
    return rows


def _share(of: np.ndarray) -> float:
    return float(of.mean()) if len(of) else math.nan


def overlaps_by_class(true: Classed, predicted: Classed, grid: Grid) -> dict[int, float]:
    """Return the DSC of each class that has a voxel in either mask.

    Each true voxel has its lesion's class, and each predicted voxel has one class too
    (`predicted_classes`). So the classes' voxels add up to those of the masks.
    """
    of_true, of_predicted = true.of_voxels, predicted_classes(true, predicted, grid)
    overlaps = {}
    for each in np.union1d(true.classes, predicted.classes):
        truth, prediction = of_true == each, of_predicted == each
        both, voxels = (truth & prediction).sum(), truth.sum() + prediction.sum()
        if voxels:
            overlaps[int(each)] = float(2 * both / voxels)
    return overlaps


def predicted_classes(true: Classed, predicted: Classed, grid: Grid) -> np.ndarray:
    """Return the class that each predicted voxel counts for.

    A predicted lesion that touches true lesions counts for their class. If these have several
    classes, the lesion is divided: each voxel goes to the nearest (in mm; if equally near, to the
    smaller class). So each true lesion gets the part of the prediction near it, as in CC-Metrics
    (Jaus et al. 2025), but here the Voronoi cells are only within touching lesions. A predicted
    lesion that touches no true one counts for the class of its own size.

    Returns
    -------
    (X, Y, Z) ndarray of int
        -1 outside the prediction.
    """
    met = (true.labels > 0) & (predicted.labels > 0)
    pairs = np.unique(np.stack([predicted.labels[met], true.labels[met]]), axis=1)
    classes, parted = predicted.classes.copy(), {}
    for lesion in np.unique(pairs[0]):
        touched = pairs[1, pairs[0] == lesion]
        of_touched = np.unique(true.classes[touched - 1])
        classes[lesion - 1] = of_touched[0]
        if len(of_touched) > 1:
            parted[lesion] = touched
    made = Classed(predicted.labels, classes).of_voxels
    boxes = [ndimage.find_objects(each.labels) for each in (predicted, true)] if parted else []
    for lesion, touched in parted.items():
        box = _around([boxes[0][lesion - 1], *(boxes[1][other - 1] for other in touched)])
        within = predicted.labels[box] == lesion
        made[box][within] = _nearest_class(true, box, touched, grid)[within]
    return made


def _around(boxes: Sequence[tuple[slice, ...]]) -> tuple[slice, ...]:
    """Return the box around several boxes."""
    return tuple(
        slice(min(each.start for each in axis), max(each.stop for each in axis))
        for axis in zip(*boxes, strict=True)
    )


def _nearest_class(
    true: Classed, box: tuple[slice, ...], lesions: np.ndarray, grid: Grid
) -> np.ndarray:
    """Return for each voxel of a box the class of the nearest of some lesions."""
    of_lesions = true.classes[lesions - 1]
    classes = np.unique(of_lesions)
    distances = [
        ndimage.distance_transform_edt(
            ~np.isin(true.labels[box], lesions[of_lesions == each]), sampling=grid.voxel_mm
        )
        for each in classes
    ]
    return classes[np.argmin(distances, axis=0)]


def measure_fold(predictions: Path, manifest: pd.DataFrame, sizes: Sizes) -> pd.DataFrame:
    """Return the lesion metrics of every test scan that has a lesion mask.

    Parameters
    ----------
    predictions : Path
        Folder of a training's predictions.
    manifest : DataFrame
        The fold's test scans: columns scan, lesion, native_lesion (missing if readers drew none).
    sizes : Sizes

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, by scan.

    Raises
    ------
    InputError
        Lists every mask that cannot be used.
    """
    rows: list[tuple[str | float, ...]] = []
    findings = []
    for pair in mask_pairs(predictions, manifest, pd.Index(sorted(manifest["scan"]))):
        if pair.space != "native":
            continue
        try:
            rows += [(pair.scan, *row) for row in size_metrics(*pair.load(), sizes)]
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def told(table: pd.DataFrame, manifest: pd.DataFrame) -> Iterator[str]:
    """Yield lines on a fold: its lesions, and the scans that are left out."""
    yield f"{table['scan'].nunique()} test scans"
    found = table[(table["size"] != ALL) & (table["metric"] == "LTPR")]
    for size, rows in found.groupby("size", sort=False):
        yield f"  {size}: {rows['lesions'].sum()} true lesions"
    if without := sorted(manifest.loc[manifest["native_lesion"].isna(), "scan"]):
        yield f"left out, as they have no lesion mask: {', '.join(without)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a training's lesion metrics by lesion size."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.lesion_sizes", description=__doc__
    )
    parser.add_argument("--predictions", type=Path, required=True, help="folder of the fold")
    parser.add_argument(
        "--scans", type=Path, required=True, help="the test scans, from msnmo.cohort.parts (TSV)"
    )
    parser.add_argument("--method", required=True, help="the method's name in the config")
    parser.add_argument("--fold", type=int, required=True, help="the test fold, from 0")
    parser.add_argument("--seed", type=int, required=True, help="seed of the training")
    parser.add_argument(
        "--smallest-lesion-mm3", type=finite, required=True, help="smallest counted lesion"
    )
    parser.add_argument(
        "--lesion-sizes-ml", type=finite, nargs="+", required=True, help="bounds of the classes"
    )
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    given = parser.parse_args(arguments)

    method = get_method(given.method)
    if "segmentation" not in method.tasks:
        found = f"{method.name}, which has no masks"
        raise bad_input("--method", "a method that segments", found, "leave it out")
    manifest = read_part(given.scans, tuple(TRUTH_COLUMNS.values()))
    sizes = Sizes(given.smallest_lesion_mm3, tuple(given.lesion_sizes_ml))
    table = measure_fold(given.predictions, manifest, sizes)
    print("\n".join(told(table, manifest)))
    for name, value in (("seed", given.seed), ("fold", given.fold), ("method", method.name)):
        table.insert(0, name, value)
    write_tsv(given.out, as_text(table, ["value"]))


if __name__ == "__main__":
    run_command(main)
