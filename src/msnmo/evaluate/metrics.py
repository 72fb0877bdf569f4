"""The list of metrics: the name of each, the task it judges and which direction is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from msnmo.core.diagnoses import score
from msnmo.settings.methods import JOINT, Method, Task

Space = Literal["model", "native"]
Unit = Literal["%", "mm", "ml", "r", "nat"]
Endpoint = Literal["primary", "secondary"]
NOT_APPLICABLE = "n/a"
"""Entry of the columns scan and space: the row is for a whole fold, or compares no masks."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Parameters
    ----------
    name : str
        As in the paper's tables, or as the field calls it.
    task : {"segmentation", "classification"}
        The task that it judges.
    best : {"highest", "lowest"}
        Which of two values is better.
    unit : {"%", "mm", "ml", "r", "nat"}
        The unit in tables. Values of a % metric are stored as fractions. r is a correlation.
    paper : bool
        Whether it is one of the paper's section 4.2. The other segmentation metrics compare masks
        only in native space, where a millimetre is real and lesions are as the reader drew them.
    of_fold : bool
        Whether it is defined only for a fold, not for a scan.
    endpoint : {"primary", "secondary"}
        Each task has one primary endpoint, which judges methods. The others are descriptive.
    penalised : bool
        Whether an empty mask beside a non-empty one gets the worst possible value.
    """

    name: str
    task: Task
    best: Literal["highest", "lowest"] = "highest"
    unit: Unit = "%"
    paper: bool = True
    of_fold: bool = False
    endpoint: Endpoint = "secondary"
    penalised: bool = False

    @property
    def scale(self) -> float:
        """The factor for showing a value."""
        return 100.0 if self.unit == "%" else 1.0


METRICS = {
    metric.name: metric
    for metric in (
        Metric("DSC", "segmentation", endpoint="primary"),
        Metric("PPV", "segmentation"),
        Metric("TPR", "segmentation"),
        Metric("VD", "segmentation", best="lowest"),
        Metric("ACC", "classification"),
        Metric("SN", "classification", of_fold=True),
        Metric("SP", "classification", of_fold=True),
        Metric("AUC", "classification", of_fold=True, endpoint="primary"),
        Metric("LTPR", "segmentation", paper=False),
        Metric("LFPR", "segmentation", best="lowest", paper=False),
        Metric("LF1", "segmentation", paper=False),
        Metric("HD95", "segmentation", "lowest", "mm", paper=False, penalised=True),
        Metric("ASD", "segmentation", "lowest", "mm", paper=False, penalised=True),
        Metric("AVD", "segmentation", best="lowest", unit="ml", paper=False),
        Metric("VC", "segmentation", unit="r", paper=False, of_fold=True),
        Metric("LL", "classification", best="lowest", unit="nat", paper=False),
    )
}
PROPORTIONS: Mapping[str, tuple[int, ...]] = {"ACC": (0, 1), "SN": (1,), "SP": (0,)}
"""Metrics that are a share of scans classified right, with the classes that they count."""
SHARES = ("DSC", "PPV", "TPR", "ACC", "SN", "SP", "LTPR", "LFPR", "LF1")
"""Metrics that are means of values between 0 and 100 % per scan."""
BOOTSTRAP, EXACT = "bootstrap", "exact"
"""The method of an interval."""


def descriptors() -> tuple[str, ...]:
    """Return the columns that describe a scan without judging it.

    They are the predicted probability of class 1 (P_NMOSD), and the true and predicted volume in
    ml.
    """
    return score(), "V_TRUE", "V_PRED"


def metrics_of(task: Task, paper: bool = True) -> list[str]:
    """Return the names of a task's metrics: the paper's, in its order, or the others."""
    return [each.name for each in METRICS.values() if each.task == task and each.paper == paper]


def primary_first(metrics: Iterable[str]) -> list[str]:
    """Return metrics with the primary endpoints first, otherwise in their order."""
    return sorted(metrics, key=lambda metric: METRICS[metric].endpoint != "primary")


def space_of(metric: str, space: Space) -> str:
    """Return the space of a metric in a table that compares masks in `space`."""
    if METRICS[metric].task == "classification":
        return NOT_APPLICABLE
    return space if METRICS[metric].paper else "native"


def tasks_of(metrics: Iterable[str]) -> list[Task]:
    """Return the tasks that metrics judge, each once."""
    return list(dict.fromkeys(METRICS[metric].task for metric in metrics))


SUPPLEMENT = "S1"
"""The table of metrics that the paper does not report: lesions, distances and volumes."""
VARIANTS = "S4"
"""The table of the joint model with changed choices."""
TABLE_METRICS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("3", "5"), tuple(metrics_of("segmentation"))),
    **dict.fromkeys(("4", "6", "8"), tuple(metrics_of("classification"))),
    **dict.fromkeys(("7", "9"), (*metrics_of("segmentation"), *metrics_of("classification"))),
    SUPPLEMENT: tuple(metrics_of("segmentation", paper=False)),
    VARIANTS: (
        *metrics_of("segmentation"),
        *primary_first(metrics_of("classification")),
        *metrics_of("classification", paper=False),
    ),
}
"""The metrics of each table, in its order: as in the paper, or primary endpoints first."""


def is_row(method: Method, table: str) -> bool:
    """Return whether a table of results has a row of a method."""
    if table == SUPPLEMENT:
        return "segmentation" in method.tasks
    if table == VARIANTS:
        return method.name == JOINT or bool(method.own)
    return int(table) in method.tables
