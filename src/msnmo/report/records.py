"""What a run says of itself: engines of the brain masks, trainings, versions of the software."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.files import MAKE_AGAIN, read_json
from msnmo.core.numbers import duration
from msnmo.core.provenance import git_state, versions
from msnmo.settings.methods import get_method
from msnmo.viewing.pages import Cell, Table, table_of

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
                raise bad_input(path, expected, f"no {', '.join(missing)}", MAKE_AGAIN)
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
            path = Path(pattern.format(method=method, fold=fold))
            try:
                run = read_json(path)
            except InputError as error:
                findings += error.findings
                continue
            if missing := [key for key in NEEDED if key not in run]:
                found = f"no {', '.join(missing)}"
                findings.append(Finding(str(path), "run.json of a training", found, MAKE_AGAIN))
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
            "time": Cell(duration(float(run["seconds"])), float(run["seconds"])),
            "device": run["device_name"],
        }
        for run in runs
    )
    return table_of("Each training", frame)


def versions_table(runs: Sequence[dict[str, Any]]) -> Table:
    """Return the software and the commits that the trainings ran with, and this report."""
    users: dict[tuple[str, str], list[str]] = {}
    records = [("trainings", run["versions"], run["git"]) for run in runs]
    records.append(("this report", versions(), git_state()))
    for user, packages, git in records:
        changed = " and changes" if git["dirty"] is True else ""
        for software, version in {**packages, "git commit": f"{git['commit']}{changed}"}.items():
            named = users.setdefault((software, str(version)), [])
            if user not in named:
                named.append(user)
    rows = [(*key, ", ".join(named)) for key, named in users.items()]
    frame = pd.DataFrame(rows, columns=["software", "version", "used by"])
    return table_of("Software", frame.sort_values("software", kind="stable"))
