"""Predict the perturbed test scans of a fold by its trained network.

The network runs as in `msnmo.predict.fold`. Its map is taken back to where the perturbed voxels lie
in the head as it arrived, and thresholded on the scan's own grid. There it is compared with the
readers' mask, which no perturbation changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from msnmo.cohort.parts import read_part
from msnmo.compute.device import pick_device, prepare
from msnmo.compute.options import add_arguments
from msnmo.core.arguments import between_0_and_1
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_json, read_tsv, write_tsv
from msnmo.core.geometry import sample_on_grid
from msnmo.core.grid import Grid
from msnmo.core.names import path_of_scan
from msnmo.core.volumes import Volume, load_mask
from msnmo.evaluate.segmentation import overlap_metrics
from msnmo.predict.fold import (
    FILES,
    LoadedScan,
    Prediction,
    load_model,
    load_scans,
    predict_scan,
    read_run,
    refuse_trained_on,
)
from msnmo.robustness.conditions import COLUMNS as CONDITION_COLUMNS
from msnmo.robustness.conditions import LIES_ON, TABLE
from msnmo.settings.methods import get_method

COLUMNS = {
    **{"method": str, "fold": int, "seed": int, "scan": str, "perturbation": str, "severity": str},
    **{"dsc": float, "p_nmosd": float, "left_out": str},
}
"""Columns of the written table, one row per scan and condition."""


def to_own_grid(probability: np.ndarray, scan: LoadedScan, lies_on: Grid, own: Grid) -> np.ndarray:
    """Return a map of a perturbed scan on the original scan's grid.

    Parameters
    ----------
    probability : (X, Y, Z) ndarray of float32
        In model space.
    scan : LoadedScan
        The perturbed scan.
    lies_on : Grid
        Where its voxels lie in the head as it arrived.
    own : Grid
        Of the scan as it arrived.
    """
    native = scan.space.to_native(probability)
    return native if lies_on.matches(own) else sample_on_grid(native, lies_on, own)


def measure(
    scan: LoadedScan,
    sidecar: str,
    truth: Volume | None,
    predict: Callable[[np.ndarray], Prediction],
    threshold: float,
) -> dict[str, float]:
    """Return a network's results for one perturbed scan.

    Parameters
    ----------
    scan : LoadedScan
    sidecar : str
        Path of its JSON.
    truth : Volume or None
        The readers' mask on the grid of the scan as it arrived; None if there is none.
    predict : callable
        Applies the network to a z-scored scan in model space.
    threshold : float
        A voxel is lesion if its probability is above this.

    Returns
    -------
    dict of str to float
        dsc, in native space, and p_nmosd; NaN if the method or the readers give none.
    """
    prediction = predict(scan.image.data)
    dsc = p_nmosd = np.nan
    if prediction.lesion_probability is not None and truth is not None:
        try:
            lies_on = Grid.from_json(read_json(sidecar)[LIES_ON])
        except (KeyError, TypeError, ValueError) as error:
            raise bad_input(sidecar, "where its voxels lie", repr(error), MAKE_AGAIN) from error
        there = to_own_grid(prediction.lesion_probability, scan, lies_on, truth.grid)
        dsc = overlap_metrics(there > threshold, truth.data)["DSC"]
    if prediction.class_probabilities is not None:
        p_nmosd = float(prediction.class_probabilities[1])
    return {"dsc": dsc, "p_nmosd": p_nmosd}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the results of one training for every condition of its test scans."""
    given = _parse(arguments)
    name, fold = get_method(given.method).name, given.fold
    device = pick_device(given.device, given.per_gpu, f"perturbed scans of {name} fold {fold}")
    prepare(device, given.threads)
    run = read_run(given.run, name, fold)
    tests = read_part(given.scans, FILES)
    refuse_trained_on(tests, run, given.run)
    lesions = read_part(given.truth, ("native_lesion",)).set_index("scan")["native_lesion"]
    if odd := sorted(set(lesions.index) ^ set(tests["scan"])):
        found = f"only one has {', '.join(odd)}"
        raise bad_input(given.truth, f"the scans of {given.scans}", found, MAKE_AGAIN)
    model = load_model(given.weights, run, device)

    def predict(image: np.ndarray) -> Prediction:
        return predict_scan(model, image, device)

    rows = []
    for scan in tests["scan"]:
        lesion = lesions[scan]
        truth = None if pd.isna(lesion) else load_mask(lesion)
        for condition, loaded in _conditions(given.perturbed, scan, tuple(run["size"])):
            told = {"dsc": np.nan, "p_nmosd": np.nan}
            if loaded is not None:
                told = measure(loaded, condition["sidecar"], truth, predict, given.threshold)
            key = {"method": name, "fold": fold, "seed": given.seed, "scan": scan}
            rows.append({**key, **condition, **told})
    table = pd.DataFrame(rows)[list(COLUMNS)]
    for column in ("dsc", "p_nmosd"):
        table[column] = [None if pd.isna(x) else f"{x:.6f}" for x in table[column]]
    print(f"{len(tests)} scans, {len(table)} perturbed, {table['left_out'].notna().sum()} left out")
    write_tsv(given.out, table)


def _conditions(
    pattern: str, scan: str, size: tuple[int, int, int]
) -> Iterator[tuple[dict[str, str], LoadedScan | None]]:
    """Yield the conditions of a scan one by one; None if it is left out of one."""
    path = path_of_scan(pattern, scan) / TABLE
    table = read_tsv(path, CONDITION_COLUMNS, files=FILES)[list(CONDITION_COLUMNS)]
    for row in table.to_dict("records"):
        condition = {str(name): value for name, value in row.items()}
        if not pd.isna(condition["left_out"]):
            yield condition, None
            continue
        (loaded,) = load_scans(pd.DataFrame([condition | {"scan": scan}]), size)
        yield condition, loaded


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.robustness.predict", description=__doc__)
    listed = "of msnmo.cohort.parts (TSV)"
    parser.add_argument("--scans", type=Path, required=True, help=f"the fold's tests, {listed}")
    parser.add_argument("--truth", type=Path, required=True, help=f"their lesion masks, {listed}")
    parser.add_argument(
        "--perturbed",
        required=True,
        help="folder of msnmo.robustness.perturb, with {folder} and {scan}",
    )
    parser.add_argument("--method", required=True, help="the method that was trained")
    parser.add_argument("--fold", type=int, required=True, help="the fold to predict")
    parser.add_argument("--seed", type=int, required=True, help="seed of the training")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors")
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument(
        "--threshold",
        type=between_0_and_1,
        default=0.5,
        help="a voxel is lesion if its probability is above this",
    )
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    add_arguments(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
