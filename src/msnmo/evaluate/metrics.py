"""The list of metrics: what each is called, which task it judges and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msnmo.methods import Task

Space = Literal["model", "native"]
NOT_APPLICABLE = "n/a"
"""In the columns scan and space: the row is of a whole fold, or compares no masks."""


@dataclass(frozen=True)
class Metric:
    """One metric of the paper's section 4.2.

    Parameters
    ----------
    name : str
        As in the paper's tables.
    task : {"segmentation", "classification"}
        The task that it judges.
    best : {"highest", "lowest"}
        Which of two values is the better one.
    """

    name: str
    task: Task
    best: Literal["highest", "lowest"] = "highest"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("DSC", "segmentation"),
        Metric("PPV", "segmentation"),
        Metric("TPR", "segmentation"),
        Metric("VD", "segmentation", best="lowest"),
        Metric("ACC", "classification"),
        Metric("SN", "classification"),
        Metric("SP", "classification"),
        Metric("AUC", "classification"),
    )
}


def metrics_of(task: Task) -> list[str]:
    """Return the names of a task's metrics, in the paper's order."""
    return [metric.name for metric in METRICS.values() if metric.task == task]
