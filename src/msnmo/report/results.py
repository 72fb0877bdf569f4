"""The tables that a report is written from, and what follows from them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msnmo.cohort.folds import read_folds
from msnmo.cohort.simulated import Simulated
from msnmo.core.diagnoses import diagnoses, score, score_in_words
from msnmo.core.files import read_tsv
from msnmo.evaluate.aggregate import of_first_seed, read_metrics
from msnmo.evaluate.classification import predicted_nmosd
from msnmo.evaluate.maps import CAM
from msnmo.evaluate.metrics import METRICS, NOT_APPLICABLE, metrics_of, space_of
from msnmo.evaluate.verdict import NOT_TOLD, Verdict, read_verdicts
from msnmo.figures.cases import reference_method
from msnmo.settings.methods import BOTH_TASKS, Task, get_method

COHORT_COLUMNS = dict.fromkeys(("scan", "subject", "session", "diagnosis", "flair", "site"), str)
MANIFEST_COLUMNS = dict.fromkeys(("scan", "sidecar", "native_lesion", "native_brain"), str)
QUALITY_COLUMNS = {"scan": str, "engine": str, "brain_ml": float, "flags": str}
VOLUMES = {"V_TRUE": "true lesions (ml)", "V_PRED": "predicted lesions (ml)"}
FIRST = "Every method on this scan, masks compared in model space"
"""The caption of the table that has the probability of class 1, too."""
NUMBERS: Mapping[str, Mapping[str, str]] = {
    FIRST: {
        **{name: f"{name} (%)" for name in metrics_of("segmentation")},
    },
    "Lesions, distances and volumes on the scan's own grid": {
        **{name: f"{name} ({METRICS[name].unit})" for name in metrics_of("segmentation", False)},
        **VOLUMES,
    },
}
"""By caption, the metrics of a scan that a table shows, and its headings."""


@dataclass(frozen=True)
class Results:
    """What a report reads of a run.

    Parameters
    ----------
    cohort, manifest, quality : DataFrame
        A row per scan.
    folds : Series of int
        The fold that tests a scan, by scan; scans without a diagnosis are in none.
    metrics : DataFrame
        Columns method, fold, seed, scan, metric, value, space, of all methods and folds that were
        run; of several seeds the first, whose predictions are shown.
    methods : tuple of str
        Those that were run, in the config's order.
    seeds : tuple of int
        Of the trainings of each fold, the one that is shown first.
    verdicts : mapping
        By method and map, whether maps find lesions; empty where none was measured.
    """

    cohort: pd.DataFrame
    manifest: pd.DataFrame
    quality: pd.DataFrame
    folds: pd.Series
    metrics: pd.DataFrame
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    verdicts: Mapping[tuple[str, str], Verdict] = field(default_factory=dict)

    @classmethod
    def read(cls, given: argparse.Namespace) -> Results:
        """Read the tables that the options of `add_arguments` name."""
        folds = read_folds(given.folds).set_index("scan")["fold"]
        manifest = read_tsv(given.manifest, MANIFEST_COLUMNS, files=list(MANIFEST_COLUMNS)[1:])
        metrics = read_metrics(given.metrics)
        return cls(
            read_tsv(given.cohort, COHORT_COLUMNS).set_index("scan", drop=False),
            manifest.set_index("scan"),
            read_tsv(given.quality, QUALITY_COLUMNS).set_index("scan"),
            folds,
            of_first_seed(metrics),
            tuple(get_method(name).name for name in given.methods),
            tuple(int(seed) for seed in metrics["seed"].unique()),
            {key: each for path in given.localisation for key, each in read_verdicts(path).items()},
        )

    def methods_of(self, task: Task) -> list[str]:
        """Return the methods that do a task."""
        return [name for name in self.methods if task in get_method(name).tasks]

    @property
    def banner(self) -> str:
        """What every page says where scans are simulated; empty where none is."""
        return Simulated.among(self.cohort).note

    @property
    def reference(self) -> str:
        """The method whose maps are shown: joint, else the first of both tasks, else the first."""
        both = [name for name in self.methods if get_method(name).tasks == BOTH_TASKS]
        return reference_method(both or self.methods_of("segmentation") or self.methods)

    @property
    def verdict(self) -> Verdict | None:
        """Whether the localisation maps that are shown find lesions; None where not measured."""
        return self.verdicts.get((self.reference, CAM))

    def fold_of(self, scan: str) -> int | None:
        """Return the fold that tested a scan; None if none did."""
        fold = self.folds.get(scan)
        return None if fold not in set(self.metrics["fold"]) else int(fold)

    def class_named(self, scan: str) -> str:
        """Return the class that the reference method names; empty where it names none."""
        value = self._scores[scan]
        return "" if pd.isna(value) else diagnoses()[int(predicted_nmosd(np.array([value]))[0])]

    @cached_property
    def _scores(self) -> pd.Series:
        return self.of_scans(score())[self.reference]

    def is_misclassified(self, scan: str) -> bool:
        """Return whether the class that is named is another than the diagnosis."""
        truth = self.cohort.loc[scan, "diagnosis"]
        return truth in diagnoses() and self.class_named(scan) not in {"", truth}

    def of_scans(self, metric: str) -> pd.DataFrame:
        """Return a metric of every scan and method, a row per scan and a column per method.

        Values are as shown: percent where the metric is one.
        """
        space, scale = NOT_APPLICABLE, 1.0
        if metric in METRICS:
            space, scale = space_of(metric, "model"), METRICS[metric].scale
        elif metric in VOLUMES:
            space = "native"
        rows = self.metrics[(self.metrics["metric"] == metric) & (self.metrics["space"] == space)]
        rows = rows[rows["scan"] != NOT_APPLICABLE]
        wide = rows.pivot(index="scan", columns="method", values="value") * scale
        return wide.reindex(index=self.cohort["scan"], columns=list(self.methods))


def judged_maps(results: Results) -> list[tuple[str, str]]:
    """Return whether the localisation maps that are shown find lesions; nothing without maps."""
    if not get_method(results.reference).has_maps:
        return []
    verdict = results.verdict
    return [("localisation map", NOT_TOLD if verdict is None else verdict.in_words)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `Results.read` reads."""
    for name, told in (
        ("cohort", "cohort.tsv"),
        ("manifest", "manifest.tsv"),
        ("quality", "quality.tsv"),
        ("folds", "folds.tsv"),
        ("metrics", "metrics of all methods"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=told)
    parser.add_argument("--methods", nargs="+", required=True, help="those that were run")
    parser.add_argument(
        "--localisation",
        type=Path,
        nargs="*",
        default=[],
        help="whether maps find lesions: of msnmo.evaluate.statistics.maps, one a method",
    )
    parser.add_argument("--site", type=Path, required=True, help="folder of the report")


def numbers_of_scan(results: Results, scan: str) -> list[tuple[str, pd.DataFrame]]:
    """Return tables of every method's metrics of one scan, with their captions.

    Metrics that no method has are left out, as are tables of nothing else.
    """
    labels = [get_method(name).label for name in results.methods]
    tables = []
    for caption, headings in NUMBERS.items():
        columns: dict[str, Sequence[Any]] = {"method": labels}
        of_class = {score(): score_in_words()} if caption == FIRST else {}
        for metric, heading in {**headings, **of_class}.items():
            values = results.of_scans(metric).loc[scan]
            if values.notna().any():
                columns[heading] = values.to_list()
        if len(columns) > 1:
            tables.append((caption, pd.DataFrame(columns)))
    return tables
