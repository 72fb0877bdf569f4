"""Predict the class of a fold's test scans with their lesions filled: the shortcut test.

A network that tells the classes apart only by lesions cannot do so here. If it still can, it uses
something else, such as scanner or site. Scans, network and evaluation are those of
`msnmo.predict.fold`; only the image differs. Scans without a lesion mask are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from msnmo.cohort.parts import read_part
from msnmo.compute.device import pick_device, prepare
from msnmo.compute.options import add_arguments
from msnmo.core.diagnoses import probabilities
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, write_tsv
from msnmo.core.names import path_of_scan
from msnmo.predict.fold import (
    FILES,
    load_model,
    load_scans,
    predict_scan,
    predictions_row,
    read_run,
    refuse_trained_on,
)
from msnmo.settings.methods import get_method

COLUMNS = {
    **{"method": str, "fold": int, "seed": int},
    **{"scan": str, "diagnosis": str, "p_nmosd": float},
}
"""Columns of the written table, which has one row per scan."""


def read_filled(scans: Path, truth: Path, filled: str) -> pd.DataFrame:
    """Read the test scans of a fold that have a lesion mask. Print those without one.

    Parameters
    ----------
    scans, truth : Path
        Lists of the fold's test scans and of their lesion masks.
    filled : str
        Path with {folder} and {scan} of a scan's image with filled lesions.

    Returns
    -------
    DataFrame
        Columns scan, diagnosis, image (the filled one), sidecar, brain.

    Raises
    ------
    InputError
        If a table cannot be read, or if a scan is in only one table.
    """
    tested, lesions = read_part(scans, FILES), read_part(truth, ("lesion",))
    if odd := sorted(set(lesions["scan"]) ^ set(tested["scan"])):
        raise bad_input(
            truth, f"the scans of {scans}", f"only one has {', '.join(odd)}", MAKE_AGAIN
        )
    with_mask = tested["scan"].isin(lesions.loc[lesions["lesion"].notna(), "scan"])
    print(f"{with_mask.sum()} test scans with a lesion mask")
    if not with_mask.all():
        print(f"left out, as they have none: {', '.join(tested.loc[~with_mask, 'scan'])}")
    table = tested[with_mask].reset_index(drop=True)
    return table.assign(image=[str(path_of_scan(filled, scan)) for scan in table["scan"]])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the probability of NMOSD of each test scan with its lesions filled."""
    given = _parse(arguments)
    method = get_method(given.method)
    if "classification" not in method.tasks:
        raise bad_input("--method", "a method that classifies", method.name, "leave it out")
    device = pick_device(given.device, given.per_gpu, f"predict {given.method} fold {given.fold}")
    prepare(device, given.threads)
    run = read_run(given.run, given.method, given.fold)
    table = read_filled(given.scans, given.truth, given.filled)
    refuse_trained_on(table, run, given.run)
    model = load_model(given.weights, run, device)
    scans = load_scans(table, tuple(run["size"]))
    rows: list[tuple[object, ...]] = []
    for scan, diagnosis in zip(scans, table["diagnosis"], strict=True):
        prediction = predict_scan(model, scan.image.data, device)
        said = predictions_row(scan.scan, diagnosis, prediction)
        key = (given.method, given.fold, given.seed, scan.scan, diagnosis)
        rows.append((*key, said[probabilities()[1]]))
    write_tsv(given.out, pd.DataFrame(rows, columns=list(COLUMNS)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.predict.filled", description=__doc__)
    listed = "from msnmo.cohort.parts (TSV)"
    parser.add_argument("--scans", type=Path, required=True, help=f"what to predict, {listed}")
    parser.add_argument("--truth", type=Path, required=True, help=f"their lesion masks, {listed}")
    parser.add_argument(
        "--filled", required=True, help="path of a scan's filled image, with {folder} and {scan}"
    )
    parser.add_argument("--method", required=True, help="the method that was trained")
    parser.add_argument("--fold", type=int, required=True, help="the fold to predict")
    parser.add_argument("--seed", type=int, required=True, help="seed of the training")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors")
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    add_arguments(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
