"""Measure the starter, or another bundle, on the real scans that its model card tells of.

Give the folder of open_ms_data (github.com/muschellij2/open_ms_data) and the FLAIR.nii.gz of
py_synthsr (github.com/neurolabusc/py_synthsr). Writes the table that `python -m
msnmo.starter.pack --measured` takes:

    python benchmarks/measure_starter.py --open-ms open_ms_data --healthy FLAIR.nii.gz \
        --work build/measured --out benchmarks/starter_measured.tsv

A minute on two cores. The numbers are of the masks in the scans' own space.
"""

import argparse
from pathlib import Path

import pandas as pd

from msnmo.apply.__main__ import main as apply
from msnmo.core.errors import Finding, InputError, run_command
from msnmo.core.files import read_tsv, write_tsv
from msnmo.core.paths import path_argument
from msnmo.core.writable import require_empty, require_folder

METRICS = {"scan": str, "metric": str, "value": float, "space": str}
PATIENTS = ("26", "07")
REGISTERED = "_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI"
FLAIR = f"FLAIR{REGISTERED}.nii.gz"
TRUTH = "GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI.nii.gz"


def main() -> None:
    """Apply the bundle and write what the masks are worth."""
    given = _parse()
    require_empty(given.work, "give another --work")
    require_folder(given.out.parent)
    patients = _cohort(given.open_ms)
    _require_files([*patients["flair"], *patients["lesion_mask"], given.healthy])
    cohort = given.work / "scans.tsv"
    write_tsv(cohort, patients)
    bundle = ["--bundle", str(given.bundle)] if given.bundle else []
    how = [*bundle, "--device", "cpu"]
    treated, healthy = given.work / "patients", given.work / "healthy"
    apply([*how, "--truth", str(cohort), "--out", str(treated)])
    apply([*how, "--out", str(healthy), str(given.healthy)])
    rows = [_measured(treated, patient) for patient in PATIENTS]
    found = read_tsv(healthy / "predictions.tsv", {"load_ml": float}).loc[0, "load_ml"]
    rows.append({"scan": "a healthy head (py_synthsr)", "truth_ml": 0.0, "found_ml": found})
    table = pd.DataFrame(rows).round(4)
    write_tsv(given.out, table)
    print(table.to_string(index=False))


def _cohort(folder: Path) -> pd.DataFrame:
    mni = folder / "cross_sectional/MNI"
    return pd.DataFrame(
        {
            "subject": patient,
            "diagnosis": "MS",
            "flair": mni.absolute() / f"patient{patient}" / FLAIR,
            "lesion_mask": mni.absolute() / f"patient{patient}" / TRUTH,
            "stripped": "yes",
            "bias_corrected": "yes",
        }
        for patient in PATIENTS
    )


def _require_files(files: list[Path]) -> None:
    remedy = "correct --open-ms or --healthy; the links to both are in --help"
    if gone := [file for file in files if not file.is_file()]:
        raise InputError(
            Finding(str(file), "a scan or a mask", "no such file", remedy) for file in gone
        )


def _measured(results: Path, patient: str) -> dict[str, object]:
    table = read_tsv(results / "evaluation/metrics.tsv", METRICS)
    table = table[(table["scan"] == f"sub-{patient}") & (table["space"] == "native")]
    value = table.set_index("metric")["value"]
    volumes = {"truth_ml": value["V_TRUE"], "found_ml": value["V_PRED"]}
    overlap = {"DSC": value["DSC"], "LF1": value["LF1"]}
    return {"scan": f"Lesjak et al., patient {patient}"} | volumes | overlap


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--open-ms", type=path_argument, required=True, help="folder of open_ms_data"
    )
    parser.add_argument(
        "--healthy", type=path_argument, required=True, help="py_synthsr's FLAIR.nii.gz"
    )
    parser.add_argument(
        "--bundle", type=path_argument, help="folder of a bundle (default: the starter)"
    )
    parser.add_argument(
        "--work", type=path_argument, required=True, help="folder to make for the results"
    )
    parser.add_argument("--out", type=path_argument, required=True, help="the table to write (TSV)")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
