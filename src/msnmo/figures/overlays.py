"""Lesions as annotated and as each method finds them, on the scans (Figure 8)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from scipy import ndimage

from msnmo.evaluate.choose import MEDIAN, choose_in_each_class
from msnmo.figures.cases import CONVENTION_NOTE, Case, compare_masks, fill, reference_method
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import house_style, put_below
from msnmo.settings.methods import get_method
from msnmo.viewing.slices import PREDICTION, TRUTH

MISSED: dict[str, Any] = {"edgecolor": "#F0E442", "linestyle": "-", "linewidth": 1.0, "fill": False}
INVENTED: dict[str, Any] = {
    "edgecolor": "#CC79A7",
    "linestyle": (0, (2, 1)),
    "linewidth": 1.0,
    "fill": False,
}
MARGIN = 1.5
"""Pixels between a region and its box."""


def draw(inputs: Inputs) -> Figure:
    """Draw the lesions of those of `inputs.methods` that segment, beside the annotation.

    One scan of each class: of median DSC in model space of the joint model, else of the first
    method. The largest under- and the largest over-segmented region of the slice are boxed.

    Raises
    ------
    InputError
        If no method segments or was evaluated, or a mask cannot be read.
    """
    methods = inputs.methods_of("segmentation")
    reference = reference_method(methods)
    chosen = choose_in_each_class(inputs.metrics, inputs.folds, reference, MEDIAN)
    cases = [Case.load(inputs, scan) for scan in chosen["scan"]]
    with house_style():
        figure = compare_masks(inputs, methods, cases, _paint)
        classes = " and ".join(chosen["diagnosis"])
        note = (
            f"The {classes} scan of median DSC of {get_method(reference).label} in its class, at"
            f" the height of most annotated lesion. DSC of the whole scan, {CONVENTION_NOTE}"
        )
        handles = [
            Patch(color=TRUTH, label="annotated lesion"),
            Patch(color=PREDICTION, label="predicted lesion"),
            Patch(label="largest under-segmentation", **MISSED),
            Patch(label="largest over-segmentation", **INVENTED),
        ]
        put_below(figure, note, handles, columns=4)
    return figure


def _paint(axes: Axes, case: Case, prediction: np.ndarray, truth: np.ndarray) -> None:
    fill(axes, prediction, case.aspect, PREDICTION)
    _box(axes, truth & ~prediction, MISSED)
    _box(axes, prediction & ~truth, INVENTED)


def largest_region(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Return the box around the largest region of a slice, connected by sides or corners.

    Of equal ones the first from the top; None where there is no region.
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    return ndimage.find_objects(labels)[int(sizes.argmax())]


def _box(axes: Axes, mask: np.ndarray, style: dict[str, Any]) -> None:
    region = largest_region(mask)
    if region is None:
        return
    rows, columns = region
    # a pixel's centre is its index
    corner = columns.start - 0.5 - MARGIN, rows.start - 0.5 - MARGIN
    width, height = (side.stop - side.start + 2 * MARGIN for side in (columns, rows))
    axes.add_patch(Rectangle(corner, width, height, **style))
