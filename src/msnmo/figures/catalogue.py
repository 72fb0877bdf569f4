"""The list of figures: the content, methods and inputs of each.

This is the only place that knows the list. The workflow reads it at every start, so nothing slow is
imported here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from msnmo.core.errors import bad_input
from msnmo.settings.methods import JOINT, METHODS, Task

Source = Literal["metrics", "predictions", "history", "gradcam", "localisation"]


@dataclass(frozen=True)
class Figure:
    """One picture of the results.

    Parameters
    ----------
    name : str
        Its name in the config and in paths; "figure-8" is the paper's Figure 8.
    title : str
        What it shows.
    methods : tuple of str
        Names of the methods that it can show, in the order shown; empty if it shows none.
    reads : frozenset of {"metrics", "predictions", "history", "gradcam", "localisation"}
        Its inputs besides the manifest, the cohort and the folds.
    module : str
        Name of the module of `msnmo.figures` whose `draw` makes it.
    seen : str
        A description for people who cannot see it.
    needed : frozenset of str
        The methods that it cannot be drawn without.
    twin : str
        A figure of the same kind. If both would show the same methods, this one is left out.
    """

    name: str
    title: str
    methods: tuple[str, ...]
    reads: frozenset[Source]
    module: str
    seen: str
    needed: frozenset[str] = frozenset()
    twin: str = ""


def _of_table(*numbers: int) -> tuple[str, ...]:
    """Return the rows of tables, the joint model last."""
    rows = [name for name, method in METHODS.items() if {*numbers} & {*method.tables}]
    return tuple(sorted(rows, key=lambda name: name == JOINT))


DRAWN = tuple(name for name, method in METHODS.items() if method.tables)
"""The methods in figures. Variants of the joint model are compared in Table S4."""


def _of_task(task: Task) -> tuple[str, ...]:
    return tuple(name for name in DRAWN if task in METHODS[name].tasks)


_ALL = (
    Figure(
        "figure-2",
        "Augmentation of a training scan",
        (),
        frozenset(),
        "augmentation",
        "Slices of one scan in three planes, flipped and turned, with its lesions outlined",
    ),
    Figure(
        "figure-8",
        "Lesions as annotated and as each segmentation method finds them",
        _of_table(3),
        frozenset({"metrics", "predictions"}),
        "overlays",
        "Axial slices of one scan of each class, with the lesions annotated and those that each "
        "method predicts filled, the largest missed and the largest invented region boxed",
    ),
    Figure(
        "figure-9",
        "ROC curves of the classification methods",
        _of_table(4),
        frozenset({"metrics"}),
        "roc",
        "Two plots of sensitivity against 1 minus specificity, a curve for each method: of all "
        "folds pooled and of the mean of the folds",
    ),
    Figure(
        "figure-10",
        "True and false lesion voxels without and with joint learning",
        _of_table(5),
        frozenset({"metrics", "predictions"}),
        "outcomes",
        "Axial slices of three scans with the voxels of each method that are true positive, false "
        "positive and false negative, in three colours and patterns",
    ),
    Figure(
        "figure-11",
        "ROC curves without and with joint learning",
        _of_table(6),
        frozenset({"metrics"}),
        "roc",
        "Two plots of sensitivity against 1 minus specificity, a curve without and one with joint "
        "learning: of all folds pooled and of the mean of the folds",
        twin="figure-9",
    ),
    Figure(
        "figure-12",
        "Localisation maps of the joint model beside the annotation",
        (JOINT,),
        frozenset({"metrics", "predictions", "gradcam", "localisation"}),
        "localisation",
        "Axial slices of four scans with the annotated lesions outlined, and over them five "
        "coloured maps of the evidence for the class",
        needed=frozenset({JOINT}),
    ),
    Figure(
        "training-curves",
        "Loss of each training by epoch",
        DRAWN,
        frozenset({"history"}),
        "training_curves",
        "Losses that fall with the epochs, a panel for each method, a line for each part",
    ),
    Figure(
        "bland-altman",
        "Agreement of predicted and annotated lesion volumes",
        _of_task("segmentation"),
        frozenset({"metrics"}),
        "bland_altman",
        "Difference of predicted and annotated volume against their mean, a point for each scan, "
        "with the mean difference and its limits as lines",
    ),
    Figure(
        "confusion",
        "Confusion matrices of the classification methods",
        _of_task("classification"),
        frozenset({"metrics"}),
        "confusion",
        "For each method a square of four counts: diagnosis in rows, predicted class in columns",
    ),
    Figure(
        "calibration",
        "Reliability of the classification methods' probabilities",
        _of_table(4, 6),
        frozenset({"metrics"}),
        "calibration",
        "Share of scans classified right against confidence, a panel for each method, with the "
        "line of "
        "perfect calibration, over the number of scans in each bin",
    ),
)

FIGURES: Mapping[str, Figure] = MappingProxyType({figure.name: figure for figure in _ALL})
"""Every figure by name."""


def get_figure(name: str) -> Figure:
    """Return the figure of that name.

    Raises
    ------
    InputError
        If there is none. The message lists the known names.
    """
    if name not in FIGURES:
        known = ", ".join(FIGURES)
        raise bad_input("config: figures", f"one of {known}", name, "correct the figure's name")
    return FIGURES[name]


def methods_of(name: str, chosen: Collection[str]) -> list[str]:
    """Return the chosen methods that a figure shows, in its order."""
    return [method for method in get_figure(name).methods if method in chosen]


def drawable(chosen: Collection[str]) -> list[str]:
    """Return the names of the figures that can be drawn when the chosen methods were run."""
    twins = left_out_twins(chosen)
    return [
        name
        for name, figure in FIGURES.items()
        if figure.needed <= set(chosen)
        and (not figure.methods or methods_of(name, chosen))
        and name not in twins
    ]


def left_out_twins(chosen: Collection[str]) -> dict[str, str]:
    """Return the figures that would repeat another one, with that one."""
    return {
        name: figure.twin
        for name, figure in FIGURES.items()
        if figure.twin
        and methods_of(name, chosen)
        and methods_of(name, chosen) == methods_of(figure.twin, chosen)
    }
