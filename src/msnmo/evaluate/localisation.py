"""Test whether maps of class evidence lie on lesions: one training, the test scans of its fold.

Each map is compared with the lesion voxels within the brain, in model space. Without a training's
predictions, two maps that no network made are measured on the same scans: the image's own intensity
(lesions are bright on T2-FLAIR), and uniform noise, which is chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from msnmo.cohort.parts import read_part
from msnmo.core.errors import Finding, InputError, bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, write_tsv
from msnmo.core.numbers import as_text
from msnmo.core.same_grid import check_same_grid
from msnmo.core.seeds import derive_seed
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.evaluate.maps import (
    AUROC,
    CAM,
    ENERGY,
    FLAT,
    GRADCAM,
    GRADCAM_MAP,
    INTENSITY,
    METRICS,
    PEAK,
    RANDOM,
    read_class_evidence,
    read_map,
)
from msnmo.settings.methods import get_method

SEED = 0
"""Seed of the random maps. It ignores the config's seed, so that chance is one number."""


@dataclass(frozen=True)
class Tested:
    """One test scan, in model space.

    Parameters
    ----------
    scan : str
    image : Volume
        z-scored.
    brain, lesion : (X, Y, Z) ndarray of bool
        The lesion mask is empty if readers drew none.
    """

    scan: str
    image: Volume
    brain: np.ndarray
    lesion: np.ndarray


def measure(values: np.ndarray, lesion: np.ndarray, brain: np.ndarray) -> dict[str, float]:
    """Return how well a map lies on a scan's lesions. Voxels outside the brain do not count.

    Parameters
    ----------
    values : (X, Y, Z) ndarray of float
        The map. Higher values mean more evidence.
    lesion, brain : (X, Y, Z) ndarray of bool

    Returns
    -------
    dict
        auroc: share of pairs of a lesion voxel and another voxel in which the lesion voxel is
        higher; a tie counts one half (Mann-Whitney). peak: 1 if the map's maximum is in a lesion,
        else 0; with several equal maxima, their share in lesions. energy: share of the positive
        values' sum that is in lesions (Wang et al. 2020, Score-CAM); 0 without positive values.
        flat: 1 for a map with one value or without positive values, which shows no place, else 0.
        All are NaN if the brain has no lesion voxel, or only lesion voxels.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if not values.shape == lesion.shape == brain.shape:
        raise ValueError(f"shapes differ: {values.shape}, {lesion.shape}, {brain.shape}")
    inside, of_lesion = values[brain].astype(np.float64), lesion[brain]
    if not of_lesion.any() or of_lesion.all():
        return dict.fromkeys((*METRICS, FLAT), np.nan)
    positive = np.maximum(inside, 0)
    highest, total = inside == inside.max(), float(positive.sum())
    return {
        AUROC: float(roc_auc_score(of_lesion, inside)),
        PEAK: float(of_lesion[highest].mean()),
        ENERGY: float(positive[of_lesion].sum()) / total if total else 0.0,
        FLAT: float(not total or highest.all()),
    }


def random_map(scan: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return uniform noise in [0, 1) that depends only on the scan's name."""
    return np.random.default_rng(derive_seed(SEED, "random map", scan)).random(shape)


def load_tested(tested: pd.DataFrame, truth: pd.DataFrame) -> list[Tested]:
    """Read the test scans of a fold: image, brain and lesions, on one grid each.

    Parameters
    ----------
    tested : DataFrame
        Columns scan, image, brain.
    truth : DataFrame
        Columns scan, lesion (missing if readers drew none).

    Raises
    ------
    InputError
        Names every file that is missing, damaged or on another grid, every empty brain mask, and
        every scan that is in only one table.
    """
    lesions = truth.set_index("scan")["lesion"]
    if odd := sorted(set(lesions.index) ^ set(tested["scan"])):
        expected, found = "the scans of --scans", f"only one has {', '.join(odd)}"
        raise bad_input("--truth", expected, found, MAKE_AGAIN)
    scans: list[Tested] = []
    findings: list[Finding] = []
    for row in tested.itertuples():
        try:
            scans.append(_load(row.scan, row.image, row.brain, lesions[row.scan]))
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return scans


def _load(scan: str, image_path: str, brain_path: str, lesion_path: str | float) -> Tested:
    image, brain = load_volume(image_path), load_mask(brain_path)
    check_same_grid(brain_path, brain, image_path, image, MAKE_AGAIN)
    if not brain.data.any():
        raise bad_input(brain_path, "a brain mask", "no voxel in it", MAKE_AGAIN)
    if pd.isna(lesion_path):
        return Tested(scan, image, brain.data, np.zeros_like(brain.data))
    lesion = load_mask(str(lesion_path))
    check_same_grid(str(lesion_path), lesion, image_path, image, MAKE_AGAIN)
    return Tested(scan, image, brain.data, lesion.data)


def maps_of(
    scan: Tested, predictions: Path | None, gradcam: Path | None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the maps of a scan by name: a training's, or without one the maps of no network.

    Raises
    ------
    InputError
        Names a map that is missing, damaged or not of the scan's extent.
    """
    if predictions is None:
        yield INTENSITY, scan.image.data
        yield RANDOM, random_map(scan.scan, scan.image.data.shape)
        return
    grid = scan.image.grid
    yield CAM, read_class_evidence(predictions, scan.scan, grid)
    if gradcam is not None:
        yield GRADCAM_MAP, read_map(gradcam / GRADCAM.format(scan=scan.scan), grid)


def measure_fold(
    scans: Sequence[Tested], predictions: Path | None = None, gradcam: Path | None = None
) -> pd.DataFrame:
    """Return how well every map lies on the lesions of every test scan.

    Parameters
    ----------
    scans : sequence of Tested
    predictions : Path, optional
        Folder of a training's predictions. Without it, the maps of no network are measured.
    gradcam : Path, optional
        Folder of its Grad-CAM.

    Returns
    -------
    DataFrame
        Columns scan, map, metric, value: every metric of every map of every scan; NaN if undefined.

    Raises
    ------
    InputError
        Lists every map that cannot be used.
    """
    rows: list[tuple[str, str, str, float]] = []
    findings: list[Finding] = []
    for scan in scans:
        try:
            for name, values in maps_of(scan, predictions, gradcam):
                measured = measure(values, scan.lesion, scan.brain)
                rows += [(scan.scan, name, metric, each) for metric, each in measured.items()]
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return pd.DataFrame(rows, columns=["scan", "map", "metric", "value"])


def told(table: pd.DataFrame) -> list[str]:
    """Return lines on a fold: scans without values, and maps that show no place."""
    flat = table[table["metric"] == FLAT]
    lines = [f"{flat['scan'].nunique()} scans"]
    if without := sorted(set(flat.loc[flat["value"].isna(), "scan"])):
        lines.append(f"no lesion voxel in the brain, so no value: {', '.join(without)}")
    for name, rows in flat[flat["value"] == 1].groupby("map", sort=False):
        lines.append(f"{name}: flat or without a value above 0 in {', '.join(rows['scan'])}")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Write how maps lie on the lesions of a fold's test scans."""
    given = _parse(arguments)
    training = _training(given)
    tested = read_part(given.scans, ("image", "brain"))
    scans = load_tested(tested, read_part(given.truth, ("lesion",)))
    table = measure_fold(scans, given.predictions, given.gradcam)
    print("\n".join(told(table)))
    for name, value in reversed(training.items()):
        table.insert(0, name, value)
    write_tsv(given.out, as_text(table, ["value"]))


def _training(given: argparse.Namespace) -> dict[str, str | int]:
    """Return the columns that identify the maps' training; without one, only the fold."""
    if given.predictions is None:
        return {"fold": given.fold}
    method = get_method(given.method)
    if not method.has_maps:
        found = f"{method.name}, which has none"
        raise bad_input("--method", "a method with localisation maps", found, "leave it out")
    return {"method": method.name, "fold": given.fold, "seed": given.seed}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.localisation", description=__doc__
    )
    listed = "from msnmo.cohort.parts (TSV)"
    parser.add_argument("--scans", type=Path, required=True, help=f"test scans, {listed}")
    parser.add_argument("--truth", type=Path, required=True, help=f"their lesion masks, {listed}")
    parser.add_argument(
        "--predictions",
        type=Path,
        help="a training's folder of the fold (default: measure the maps of no network)",
    )
    parser.add_argument("--gradcam", type=Path, help="the training's folder, if there is one")
    parser.add_argument("--method", help="the trained method; with --predictions")
    parser.add_argument("--seed", type=int, help="seed of the training; with --predictions")
    parser.add_argument("--fold", type=int, required=True, help="the tested fold")
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    given = parser.parse_args(arguments)
    if given.predictions is not None and (given.method is None or given.seed is None):
        parser.error("--predictions needs --method and --seed")
    if given.predictions is None and given.gradcam is not None:
        parser.error("--gradcam needs --predictions")
    return given


if __name__ == "__main__":
    run_command(main)
