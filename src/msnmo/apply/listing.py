"""What was found of all scans in a folder: one table, as a BIDS derivative."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from msnmo.apply.classes import columns_of, labels_of, names_of
from msnmo.apply.loads import of_all_folds, of_single_folds
from msnmo.apply.methods_of_scans import methods_of_scans, told_of
from msnmo.apply.pages import RUN_ENDING, write_index
from msnmo.apply.records import NAME, lock_listing, read_failures
from msnmo.bundle.contents import NOT_FOR_DIAGNOSIS
from msnmo.core.derivative import ORIG, describe_derivative
from msnmo.core.errors import Finding, InputError, run_command
from msnmo.core.files import read_json, read_tsv, write_text, write_tsv
from msnmo.viewing.pages import METHODS_TEXT

IN_MODEL_SPACE = ("model_load_ml", "model_load_ml_least", "model_load_ml_most")
"""Of all folds together and of single folds, which are counted in model space alone."""
LESIONS = ("lesions", "load_ml", *IN_MODEL_SPACE)

OF_BRAIN: Mapping[str, Mapping[str, str]] = {
    "desc-brain_mask": {"Type": "Brain", "SpatialReference": ORIG, "Description": "Brain mask"}
}
OF_LESIONS: Mapping[str, Mapping[str, str]] = {
    "desc-lesion_mask": {
        "Type": "Lesion",
        "SpatialReference": ORIG,
        "Description": "Lesions: voxels whose mean probability over the networks is above the "
        "threshold",
    },
    "desc-lesion_probseg": {
        "SpatialReference": ORIG,
        "Description": "Lesion probability, mean over the networks",
    },
    "desc-lesion_dseg": {
        "SpatialReference": ORIG,
        "Description": "Lesions by number, as in the table of lesions; voxels that touch by a "
        "side, an edge or a corner are one",
    },
}
"""What holds of the files of every scan, by the end of their names."""
NO_BIDS = (
    *("predictions.tsv", "report", "evaluation", "*_run.json", "*_desc-lesion_table.tsv"),
    *("*_desc-localisation_map.nii.gz", "*_desc-lesion_seg.dcm"),
)
"""Files that BIDS does not know."""


def read_runs(folder: Path, scans: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the run.json of every scan that is done, by name; of `scans` alone where given.

    Raises
    ------
    InputError
        Naming every one that is damaged.
    """
    runs, findings = [], []
    for path in sorted(folder.glob(f"sub-*/**/anat/*{RUN_ENDING}")):
        try:
            run = read_json(path)
            _row(run)
            told_of(run)
            if scans is None or run["scan"] in scans:
                runs.append(run | {"folder": path.parent})
        except InputError as error:
            findings += error.findings
        except (KeyError, TypeError, ValueError) as error:
            remedy = "delete the scan's folder and run again"
            findings.append(Finding(str(path), "the run of a scan", repr(error), remedy))
    if findings:
        raise InputError(findings)
    return sorted(runs, key=lambda run: run["scan"])


def list_runs(
    runs: list[dict[str, Any]], failures: Mapping[str, str] = MappingProxyType({})
) -> pd.DataFrame:
    """Return a row a scan: class and how sure the folds are, number and volume of the lesions.

    Where no bundle names classes there are no columns of them; there is one of `failures`, why a
    scan could not be applied to, where there are any.
    """
    failed = ["failed"] if failures else []
    columns = ["scan", *columns_of(runs), *LESIONS, *failed, "bundle", "warning"]
    rows = {run["scan"]: _row(run) for run in runs}
    for scan, reason in failures.items():
        row = rows.setdefault(scan, {"scan": scan, "warning": NOT_FOR_DIAGNOSIS})
        row["failed"] = reason
    table = pd.DataFrame([rows[scan] for scan in sorted(rows)], columns=columns)
    # whole numbers stay such beside scans that have none
    return table.astype({"lesions": "Int64"}) if failures else table


def _row(run: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"scan": run["scan"], "bundle": run["bundle"]["id"]}
    if said := run["class"]:
        row |= {
            "class": said["named"],
            "folds_agreeing": f"{said['folds_agreeing']}/{said['folds']}",
            "uncertain": "yes" if said["uncertain"] else "no",
            "doubts": "; ".join(said["doubts"]) or None,
        }
        row |= {name: said[name] for name in names_of(labels_of(run))}
    if lesions := run["lesions"]:
        of_folds = of_single_folds(lesions)
        row |= {"lesions": lesions["count"], "load_ml": lesions["load_ml"]}
        numbers = (of_all_folds(lesions), min(of_folds), max(of_folds))
        row |= dict(zip(IN_MODEL_SPACE, numbers, strict=True))
    return row | {"warning": NOT_FOR_DIAGNOSIS}


def write_listing(folder: Path, scans: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Write predictions.tsv, dataset_description.json, the methods text and the pages' list.

    Parameters
    ----------
    folder : Path
        That holds sub-*.
    scans : collection of str, optional
        The scans to list; all of them without it.

    Returns
    -------
    list of dict
        Their run.json.
    """
    with lock_listing(folder):
        return _write_listing(folder, scans)


def _write_listing(folder: Path, scans: Collection[str] | None) -> list[dict[str, Any]]:
    runs = read_runs(folder, scans)
    failures = read_failures(folder)
    if scans is not None:
        failures = {scan: reason for scan, reason in failures.items() if scan in scans}
    table = list_runs(runs, failures)
    write_tsv(folder / "predictions.tsv", table)
    sidecars = {**OF_BRAIN} if runs else {}
    if any(run["lesions"] for run in runs):
        sidecars.update(OF_LESIONS)
    describe_derivative(folder, NAME, sidecars, NO_BIDS, Warning=NOT_FOR_DIAGNOSIS)
    write_text(folder / "report" / METHODS_TEXT, methods_of_scans(runs))
    write_index(folder / "report", runs, table)
    return runs


def main(arguments: Sequence[str] | None = None) -> None:
    """List the scans that a bundle was applied to."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.apply.listing", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="that holds sub-*")
    parser.add_argument("--cohort", type=Path, help="cohort.tsv: list its scans alone")
    given = parser.parse_args(arguments)
    scans = set(read_tsv(given.cohort, {"scan": str})["scan"]) if given.cohort else None
    runs = write_listing(given.folder, scans)
    print(f"{len(runs)} scans: {given.folder / 'predictions.tsv'}")


if __name__ == "__main__":
    run_command(main)
