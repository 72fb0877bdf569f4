"""What a run did, for its methods text: from the records of its scans, trainings and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.core.counts import counted
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import Finding, InputError
from msnmo.core.files import MAKE_AGAIN, read_json
from msnmo.core.names import path_of_scan
from msnmo.evaluate.aggregate import drawn_anew
from msnmo.report.methods_text import (
    NETWORKS,
    commits_of,
    listed,
    software_of,
    space_of,
    stripping_of,
    ways,
    write_text_of,
)
from msnmo.report.results import Results
from msnmo.settings.methods import BOTH_TASKS, LossWeights, get_method
from msnmo.tables.content import percent
from msnmo.tables.model import Page

TESTS = {
    "signed rank": "Wilcoxon's signed rank test of the subjects' mean differences",
    "sign flip": "permutation of the signs of the subjects' differences (mid-p)",
    "bootstrap": "the bootstrap of the difference",
}
"""As the tables name them, and in a text."""
OF_TRAINING = ("batch_size", "learning_rate", "plateau_factor", "plateau_patience")
OF_CROSS = ("cross_segmentation", "cam_normalisation", "cross_gradient")
OF_AUGMENTATION = ("flip_probability", "rotation_probability", "rotation_degrees")


def methods_of_run(
    results: Results,
    metrics: pd.DataFrame,
    runs: Sequence[Mapping[str, Any]],
    *,
    sidecars: tuple[str, str],
    pages: Sequence[Page],
    config: Mapping[str, Any],
    excluded: int,
    snakemake: str,
) -> str:
    """Return the methods text of a run.

    Parameters
    ----------
    results : Results
    metrics : DataFrame
        Columns fold, seed and scan, of all seeds.
    runs : sequence of mapping
        run.json of each training.
    sidecars : tuple of str
        Patterns with {folder} and {scan} of the JSON of a brain mask and of a bias correction.
    pages : sequence of Page
        Tables of results.
    config : mapping
        Of the run. It is asked for what leaves no record: the threshold of the lesion probability,
        how raters' masks are combined, and of how many samples the bootstrap is.
    excluded : int
        Scans that were.
    snakemake : str
        Its version; empty where it is not known.

    Raises
    ------
    InputError
        Naming records that do not say what was done.
    """
    facts = {
        **_of_cohort(results, config),
        **_of_preprocessing(results, *sidecars),
        **_of_trainings(runs),
        **_of_folds(results, metrics),
        **_of_statistics(pages, config),
        "simulated": results.banner,
        "excluded": excluded,
        "snakemake": snakemake,
        "reference": get_method(results.reference).label,
        "threshold": _threshold(results, config),
    }
    return write_text_of("methods.md.jinja", __package__, **facts)


def _of_cohort(results: Results, config: Mapping[str, Any]) -> dict[str, Any]:
    cohort = results.cohort
    classes = []
    for name in diagnoses():
        rows = cohort[cohort["diagnosis"] == name]
        if len(rows):
            people = counted(rows["subject"].nunique(), "subject")
            classes.append(f"{counted(len(rows), 'scan')} of {people} with {name}")
    masks = cohort["lesion_mask"] if "lesion_mask" in cohort else pd.Series(dtype=str)
    return {
        "scans": len(cohort),
        "subjects": cohort["subject"].nunique(),
        "classes": classes,
        "raters": int(masks.fillna("").str.contains(";").sum()),
        "combine": config.get("lesion_masks", {}).get("combine"),
    }


def _of_preprocessing(results: Results, brain: str, bias: str) -> dict[str, Any]:
    strips, biases, spaces, findings = [], [], [], []
    for scan, space in results.manifest["sidecar"].items():
        paths = [path_of_scan(pattern, str(scan)) for pattern in (brain, bias)]
        try:
            stripped, corrected, moved = (read_json(path) for path in (*paths, Path(space)))
            strips.append(stripping_of(stripped["skullstrip"]))
            biases.append(corrected["bias_correction"])
            spaces.append(space_of(moved))
        except InputError as error:
            findings += error.findings
        except (KeyError, TypeError) as error:
            expected = "how it was brought to model space"
            findings.append(Finding(str(scan), expected, f"no {error} in its JSON", MAKE_AGAIN))
    if findings:
        raise InputError(findings)
    return {"strips": ways(strips), "biases": ways(biases), "spaces": ways(spaces)}


def _of_trainings(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    methods = [get_method(name) for name in dict.fromkeys(run["method"] for run in runs)]
    keyed = [(NETWORKS[method.function], method.label) for method in methods]
    networks = [
        {"key": key, "labels": [label for _, label in several]}
        for key, several in groupby(sorted(keyed, key=_order(keyed)), key=lambda each: each[0])
    ]
    scans = [len(run["training_scans"]) for run in runs]
    versions = [run["versions"] for run in runs]
    return {
        "networks": networks,
        "trainings": _trainings(runs),
        **_losses(runs),
        "fewest": min(scans),
        "most": max(scans),
        "devices": list(dict.fromkeys(run["device_name"] for run in runs)),
        "software": software_of(versions),
        "msnmo": " and ".join(dict.fromkeys(each.get("msnmo", "") for each in versions)),
        "commit": commits_of(runs),
    }


def _order(keyed: Sequence[tuple[str, str]]) -> Any:
    """Return the key by which works stay in the order of their first methods."""
    first = list(dict.fromkeys(key for key, _ in keyed))
    return lambda each: first.index(each[0])


def _trainings(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each way of training with the methods that were trained so."""
    records: list[dict[str, Any]] = []
    methods: list[list[str]] = []
    started: list[int] = []
    for run in runs:
        settings = run["settings"]
        record = {name: settings["train"][name] for name in OF_TRAINING}
        record |= {name: settings["augment"][name] for name in OF_AUGMENTATION}
        record |= {name: run[name] for name in ("epochs", "precision")}
        if record not in records:
            records.append(record)
            methods.append([])
            started.append(0)
        place = records.index(record)
        methods[place].append(get_method(run["method"]).label)
        started[place] += run.get("start") is not None
    told = []
    for record, labels, start in zip(records, methods, started, strict=True):
        who = "Each network" if len(records) == 1 else f"Each network of {_listed(labels)}"
        told.append({**record, "who": who, "started": start, "all_started": start == len(labels)})
    return told


def _listed(labels: Sequence[str]) -> str:
    return listed(dict.fromkeys(labels))


def _losses(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the losses of each task, and of methods of both, with their methods."""
    overlap: dict[str, list[str]] = {}
    joint: dict[tuple[LossWeights, str], list[str]] = {}
    classifiers: list[str] = []
    for run in runs:
        method, settings = get_method(run["method"]), run["settings"]
        if "segmentation" in method.tasks:
            overlap.setdefault(settings["train"]["segmentation_loss"], []).append(method.label)
        if "classification" in method.tasks:
            classifiers.append(method.label)
        if method.tasks == BOTH_TASKS:
            loss = settings["loss"]
            given = LossWeights(
                *(loss[name] for name in ("segmentation", "classification", "cross"))
            )
            weights = method.loss_weights(given)
            form = ", ".join(f"{name} {loss[name]}" for name in OF_CROSS) if weights.cross else ""
            joint.setdefault((weights, form), []).append(method.label)
    alone = len(overlap) == 1
    return {
        "overlap": [
            {"kind": kind, "of": "" if alone else f" of {_listed(labels)}"}
            for kind, labels in overlap.items()
        ],
        "classifiers": bool(classifiers),
        "joint": [
            {**vars(weights), "form": form, "who": _listed(labels)}
            for (weights, form), labels in joint.items()
        ],
    }


def _of_folds(results: Results, metrics: pd.DataFrame) -> dict[str, Any]:
    folds, cohort = results.folds, results.cohort
    tested = cohort.loc[folds.index].assign(fold=folds)
    several = tested.groupby("subject")["fold"].nunique() > 1
    sites = tested.groupby("fold")["site"].nunique()
    of_sites = tested.groupby("site")["fold"].nunique()
    by_site = len(of_sites) > 1 and bool((sites == 1).all() and (of_sites == 1).all())
    rows = metrics[metrics["scan"].notna() & (metrics["scan"] != "n/a")]
    seeds = metrics["seed"].nunique()
    return {
        "folds": folds.nunique(),
        "evaluated": results.metrics["fold"].nunique(),
        "leaked": int(several.sum()),
        "by_site": by_site and bool(tested["site"].notna().all()),
        "seeds": seeds,
        "repeats": seeds if drawn_anew(rows) else 1,
    }


def _of_statistics(pages: Sequence[Page], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kinds of intervals and tests that stand in the tables."""
    intervals, tests = [], []
    for page in pages:
        if page.details is None:
            continue
        for block in page.details.blocks:
            for line in block.lines:
                cells = dict(zip(page.details.columns, line.cells, strict=True))
                intervals.append(cells["interval by"].text)
                tests.append(cells["test"].text)
    statistics = config.get("statistics", {})
    return {
        "intervals": intervals,
        "tests": [told for name, told in TESTS.items() if name in tests],
        "replicates": statistics.get("replicates"),
        "confidence": percent(statistics.get("confidence", 0.95)),
    }


def _threshold(results: Results, config: Mapping[str, Any]) -> float | None:
    value = config.get("predict", {}).get("threshold")
    return value if results.methods_of("segmentation") else None
