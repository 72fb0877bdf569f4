"""What a run says of itself: engines of the brain masks, trainings, versions of the software."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.errors import Finding, InputError, bad_input
from msnmo.files import read_json
from msnmo.methods import get_method
from msnmo.report.page import Table, table_of
from msnmo.report.results import filled

RUN_AGAIN = "delete the file and run the workflow again"
NEEDED = ("method", "fold", "seconds", "epochs", "parameters", "device_name", "versions", "git")


def engines_table(sidecars: Sequence[Path]) -> Table:
    """Return which engine, in which version, made how many brain masks.

    Raises
    ------
    InputError
        With every file that does not say so.
    """
    rows, findings = [], []
    for path in sidecars:
        try:
            made = read_json(path).get("skullstrip", {})
            if missing := [key for key in ("engine", "version") if key not in made]:
                expected = "the engine and version of a brain mask"
                raise bad_input(path, expected, f"no {', '.join(missing)}", RUN_AGAIN)
            rows.append({"engine": made["engine"], "version": str(made["version"])})
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    counts = pd.DataFrame(rows).value_counts(["engine", "version"], sort=False)
    return table_of("Brain masks by engine", counts.rename("scans").reset_index())


def read_runs(pattern: str, methods: Sequence[str], folds: Sequence[int]) -> list[dict[str, Any]]:
    """Return the run.json of every training.

    Raises
    ------
    InputError
        With every file that is missing or says too little.
    """
    runs, findings = [], []
    for method in methods:
        for fold in folds:
            path = filled(pattern, method=method, fold=fold)
            try:
                run = read_json(path)
            except InputError as error:
                findings += error.findings
                continue
            if missing := [key for key in NEEDED if key not in run]:
                found = f"no {', '.join(missing)}"
                findings.append(Finding(str(path), "run.json of a training", found, RUN_AGAIN))
            runs.append(run)
    if findings:
        raise InputError(findings)
    return runs


def trainings_table(runs: Sequence[dict[str, Any]]) -> Table:
    """Return what each training took, and on what."""
    frame = pd.DataFrame(
        {
            "method": get_method(run["method"]).label,
            "fold": run["fold"],
            "epochs": run["epochs"],
            "parameters": run["parameters"],
            "seconds": float(run["seconds"]),
            "device": run["device_name"],
        }
        for run in runs
    )
    return table_of("Trainings", frame)


def versions_table(runs: Sequence[dict[str, Any]]) -> Table:
    """Return the versions of the software and the commits that the trainings ran with."""
    rows: dict[tuple[str, str], int] = {}
    for run in runs:
        git = run["git"]
        changed = " and changes" if git["dirty"] is True else ""
        named = {**run["versions"], "git commit": f"{git['commit']}{changed}"}
        for software, version in named.items():
            rows[software, str(version)] = rows.get((software, str(version)), 0) + 1
    frame = pd.DataFrame(
        [(software, version, count) for (software, version), count in rows.items()],
        columns=["software", "version", "trainings"],
    )
    return table_of("Software of the trainings", frame)
