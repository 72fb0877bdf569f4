"""What is said of a scan's class, by the labels of the bundle that said it.

A folder may hold scans of several bundles, whatever the labels of this process are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msnmo.core.diagnoses import DEFAULT, probabilities

Run = Mapping[str, Any]
"""Contents of a scan's run.json."""


def told_of_labels(labels: Sequence[str]) -> dict[str, list[str]]:
    """Return what tells the labels in run.json: nothing of MS and NMOSD."""
    return {} if tuple(labels) == DEFAULT else {"labels": list(labels)}


def labels_of(run: Run) -> tuple[str, str]:
    """Return the labels of class 0 and 1 of a scan whose class was named."""
    first, second = run["class"].get("labels", DEFAULT)
    return first, second


def names_of(labels: Sequence[str]) -> tuple[str, str, str]:
    """Return the names of both mean probabilities and of the spread of the second over folds."""
    first, second = probabilities(labels)
    return first, second, second.replace("p_", "sd_", 1)


def columns_of(runs: Sequence[Run]) -> list[str]:
    """Return the columns of classes; none where no bundle names any."""
    pairs = [names_of(labels_of(run)) for run in runs if run["class"]]
    if not pairs:
        return []
    means = [name for first, second, _ in pairs for name in (first, second)]
    spreads = [spread for *_, spread in pairs]
    after = ("folds_agreeing", "uncertain", "doubts")
    return list(dict.fromkeys(["class", *means, *spreads, *after]))
