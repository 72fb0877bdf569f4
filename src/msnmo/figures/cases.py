"""Scans in model space in figures: one axial slice with masks and maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from msnmo.core.errors import bad_input
from msnmo.core.numbers import fixed
from msnmo.core.same_grid import check_same_grid
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.evaluate.maps import brain_in_model_space
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import SMALL, WIDTH, constrain, wrapped
from msnmo.settings.methods import JOINT, get_method
from msnmo.viewing.slices import (
    AXIAL,
    CONVENTION,
    TRUTH,
    cut,
    mark_sides,
    pixel_aspect,
    say,
    show_zscore,
)

MOST_COLUMNS = 6
TITLE_LINE = 0.2
"""Inches of a line of text above a panel."""
CONVENTION_NOTE = f"in model space; {CONVENTION}."

Paint = Callable[["Axes", "Case", np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Case:
    """One scan of a figure.

    Parameters
    ----------
    scan, diagnosis : str
    fold : int
        The fold that tested it.
    image : (X, Y, Z) ndarray of float32
        z-scored scan in model space.
    lesion : (X, Y, Z) ndarray of bool
        Annotated lesions.
    voxel_mm : (3,) ndarray
        Voxel sizes in model space.
    """

    scan: str
    diagnosis: str
    fold: int
    image: np.ndarray
    lesion: np.ndarray
    voxel_mm: np.ndarray

    @classmethod
    def load(cls, inputs: Inputs, scan: str) -> Case:
        """Read a scan and its annotation.

        Raises
        ------
        InputError
            If the scan is not in the manifest or has no annotation, or a file cannot be read.
        """
        if scan not in set(inputs.manifest.dropna(subset=["lesion"])["scan"]):
            remedy = "run the workflow again"
            raise bad_input("manifest", f"the files of {scan}", "none, or no lesion mask", remedy)
        files = inputs.manifest.set_index("scan").loc[scan]
        split = inputs.folds.set_index("scan").loc[scan]
        image, lesion = load_volume(files["image"]), load_mask(files["lesion"])
        check_same_grid(Path(files["lesion"]), lesion, Path(files["image"]), image)
        return cls(
            scan,
            split["diagnosis"],
            int(split["fold"]),
            image.data,
            lesion.data,
            image.grid.voxel_mm,
        )

    @cached_property
    def height(self) -> int:
        """The axial slice with most annotated lesion, else most brain; in a tie, the lowest."""
        shown = self.lesion if self.lesion.any() else self.image != 0
        return int(shown.sum(axis=(0, 1)).argmax())

    @property
    def aspect(self) -> float:
        """Height of a pixel of the slice divided by its width."""
        return pixel_aspect(self.voxel_mm, AXIAL)

    def slice_of(self, data: np.ndarray) -> np.ndarray:
        """Return the slice of an array in model space, as displayed."""
        return cut(data, AXIAL, self.height)

    def show(self, axes: Axes, title: str) -> None:
        """Draw the scan's slice in grey."""
        show_zscore(axes, self.slice_of(self.image), aspect=self.aspect)
        axes.set_title(title, fontsize=SMALL)

    def folder(self, inputs: Inputs, method: str) -> Path:
        """Return the folder of the predictions of the fold that tested the scan."""
        return Path(inputs.predictions.format(method=method, fold=self.fold))

    def brain(self, inputs: Inputs) -> Volume:
        """Return the scan's brain mask in model space."""
        files = inputs.manifest.set_index("scan").loc[self.scan]
        return brain_in_model_space(files["sidecar"], files["native_brain"])

    def prediction(self, inputs: Inputs, method: str) -> np.ndarray:
        """Return the slice of a method's lesion mask, bool."""
        path = self.folder(inputs, method) / f"{self.scan}_space-model_desc-lesion_mask.nii.gz"
        return self.slice_of(load_mask(path).data)


def reference_method(methods: Sequence[str]) -> str:
    """Return the method whose DSC selects the scans: joint, else the first."""
    return JOINT if JOINT in methods else methods[0]


def dsc_of(metrics: pd.DataFrame, method: str, scan: str) -> str:
    """Return a scan's DSC in model space, as text for a figure."""
    rows = metrics[
        (metrics["method"] == method)
        & (metrics["scan"] == scan)
        & (metrics["metric"] == "DSC")
        & (metrics["space"] == "model")
    ]
    values = rows["value"].dropna()
    return "n/a" if values.empty else f"{fixed(100 * values.iloc[0], 1)} %"


def title_of(inputs: Inputs, method: str, case: Case) -> str:
    """Return a method's label and its DSC of a scan."""
    return f"{get_method(method).label}\nDSC {dsc_of(inputs.metrics, method, case.scan)}"


def fill(axes: Axes, mask: np.ndarray, aspect: float, colour: str, opacity: float = 0.6) -> None:
    """Lay one colour over a mask's pixels."""
    layer = np.zeros((*mask.shape, 4))
    layer[mask] = (*to_rgb(colour), opacity)
    axes.imshow(layer, interpolation="nearest", aspect=aspect)


def case_grid(
    cases: Sequence[Case], columns: int, title_lines: int = 2
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a block of panels for each scan, labelled at its left.

    Parameters
    ----------
    cases : sequence of Case
    columns : int
        Panels of a scan. More than `MOST_COLUMNS` are split into two lines.
    title_lines : int
        Lines of text above a panel.

    Returns
    -------
    figure : Figure
    panels : list of lists of Axes
        The panels of each scan.
    """
    across = columns if columns <= MOST_COLUMNS else -(-columns // 2)
    lines = -(-columns // across)
    side = WIDTH / across
    shapes = [case.slice_of(case.image).shape for case in cases]
    highest = max(
        case.aspect * height / width for case, (height, width) in zip(cases, shapes, strict=True)
    )
    tall = side * highest + title_lines * TITLE_LINE
    figure = Figure((WIDTH, tall * lines * len(cases)), dpi=200, layout="constrained")
    constrain(figure, w_pad=0.02, h_pad=0.04, wspace=0, hspace=0)
    grid = figure.subplots(lines * len(cases), across, squeeze=False)
    panels = []
    for row, case in enumerate(cases):
        block = list(grid[row * lines : (row + 1) * lines].flat)
        for spare in block[columns:]:
            spare.remove()
        panels.append(block[:columns])
        for axes in block[:columns]:
            # at the top of its place, otherwise the layout leaves too little room for its title
            axes.set_anchor("N")
        case.show(block[0], f"{wrapped(case.scan, 0.9 * side)}\n{case.diagnosis}, T2-FLAIR")
        mark_sides(block[0], AXIAL, SMALL - 1)
    return figure, panels


def compare_masks(
    inputs: Inputs, methods: Sequence[str], cases: Sequence[Case], paint: Paint
) -> Figure:
    """Return a figure of scans beside their annotation and each method's mask.

    Parameters
    ----------
    inputs : Inputs
    methods : sequence of str
        Methods that segment.
    cases : sequence of Case
    paint : callable
        Draws on a method's panel: takes axes, the scan, the predicted and the true slice.
    """
    figure, panels = case_grid(cases, columns=2 + len(methods))
    for case, (_, annotated, *others) in zip(cases, panels, strict=True):
        truth = case.slice_of(case.lesion)
        case.show(annotated, "annotated\n")
        fill(annotated, truth, case.aspect, TRUTH)
        if not truth.any():
            say(annotated, "no lesion annotated")
        for axes, method in zip(others, methods, strict=True):
            case.show(axes, title_of(inputs, method, case))
            prediction = case.prediction(inputs, method)
            paint(axes, case, prediction, truth)
            if not prediction.any():
                say(axes, "no lesion predicted here")
    return figure
