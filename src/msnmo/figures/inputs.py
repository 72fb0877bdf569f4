"""The inputs of the figures: tables, patterns of paths, choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from msnmo.core.errors import bad_input
from msnmo.evaluate.verdict import Verdict
from msnmo.settings.methods import Task, get_method


@dataclass(frozen=True)
class Inputs:
    """The inputs of all figures. A figure takes what it needs.

    Parameters
    ----------
    methods : tuple of str
        Names of the methods to draw (those that were run), in order.
    metrics : DataFrame or None
        The long table of metrics: columns method, fold, scan, metric, value, space; None where none
        was given.
    manifest, cohort, folds : DataFrame
        One row per scan each; `folds` has the columns scan, subject, diagnosis, fold.
    predictions : str
        Pattern with {method} and {fold} of the folder of a fold's predictions.
    history : str
        Pattern with {method} and {fold} of a training's table of losses.
    gradcam : str
        Pattern with {fold} of the folder of a fold's maps of Grad-CAM; empty where they were not
        computed.
    verdicts : mapping
        By method and map, whether maps find lesions better than chance; empty if not measured.
    augment : mapping
        The config's section of that name.
    seed : int
        The config's seed.
    """

    methods: tuple[str, ...]
    metrics: pd.DataFrame | None
    manifest: pd.DataFrame
    cohort: pd.DataFrame
    folds: pd.DataFrame
    predictions: str
    history: str
    gradcam: str
    verdicts: Mapping[tuple[str, str], Verdict]
    augment: Mapping[str, Any]
    seed: int

    def methods_of(self, task: Task) -> tuple[str, ...]:
        """Return the methods to draw that do a task, in order.

        Raises
        ------
        InputError
            If there is none, or a name is unknown.
        """
        doing = tuple(name for name in self.methods if task in get_method(name).tasks)
        if not doing:
            found = ", ".join(self.methods) or "no method"
            raise bad_input("methods", f"a method with the task {task}", found, "run one")
        return doing

    def by_scan(self, method: str, names: Sequence[str]) -> pd.DataFrame:
        """Return some metrics of a method, a row per scan for which all of them are defined.

        Parameters
        ----------
        method : str
            Name of the method.
        names : sequence of str
            Metrics that are given per scan, in one space only.

        Returns
        -------
        DataFrame
            Columns scan, subject, diagnosis, fold (of `folds`), then one per name; sorted by scan.

        Raises
        ------
        InputError
            If there is no table of metrics, or it has a scan that is not in a fold.
        """
        if self.metrics is None:
            raise bad_input("metrics", "a table of metrics", "none", "give one")
        chosen = (self.metrics["method"] == method) & self.metrics["metric"].isin(names)
        rows = self.metrics[chosen].dropna(subset=["value"])
        if stray := sorted(set(rows["scan"]) - set(self.folds["scan"])):
            expected = f"scans of {method} that are in a fold"
            raise bad_input("metrics", expected, ", ".join(stray), "run the workflow again")
        wide = rows.pivot(index="scan", columns="metric", values="value").reindex(columns=names)
        scans = self.folds[["scan", "subject", "diagnosis", "fold"]]
        return scans.merge(wide.dropna().reset_index(), on="scan").sort_values(
            "scan", ignore_index=True
        )
