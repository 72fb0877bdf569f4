"""True and false lesion voxels of each method, on the scans (Figure 10)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from msnmo.evaluate.choose import LOW_MEDIAN_HIGH, choose_scans
from msnmo.figures.cases import CONVENTION_NOTE, Case, compare_masks, fill, reference_method
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import house_style, put_below
from msnmo.settings.methods import get_method
from msnmo.viewing.slices import OUTCOMES, TRUTH, hatch, outline

# patterns tell the outcomes apart where colours do not; true positive has none
PATTERNS = {"true positive": "", "false positive": "//////", "false negative": "....."}
TOLD = {"true positive": "plain", "false positive": "hatched", "false negative": "dotted"}


def draw(inputs: Inputs) -> Figure:
    """Draw the true and false voxels of those of `inputs.methods` that segment.

    Of the scans at the quartiles of the DSC in model space of the joint model, else of the first
    method.

    Raises
    ------
    InputError
        If no method segments or was evaluated, or a mask cannot be read.
    """
    methods = inputs.methods_of("segmentation")
    reference = reference_method(methods)
    chosen = choose_scans(inputs.metrics, inputs.folds, reference, LOW_MEDIAN_HIGH)
    cases = [Case.load(inputs, scan) for scan in chosen["scan"]]
    with house_style():
        figure = compare_masks(inputs, methods, cases, _paint)
        note = (
            f"The scans at the quartiles of the DSC of {get_method(reference).label}, lowest first,"
            f" at the height of most annotated lesion. DSC of the whole scan, {CONVENTION_NOTE}"
        )
        put_below(figure, note, _legend(), columns=4)
    return figure


def _paint(axes: Axes, case: Case, prediction: np.ndarray, truth: np.ndarray) -> None:
    for name, region in outcomes(prediction, truth).items():
        fill(axes, region, case.aspect, OUTCOMES[name], opacity=0.85)
        if PATTERNS[name]:
            hatch(axes, region, PATTERNS[name])
            outline(axes, region, "black", linewidth=0.5)


def outcomes(prediction: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return the voxels of each outcome; no voxel has two.

    Parameters
    ----------
    prediction, truth : ndarray of bool
        Of one shape.
    """
    return {
        "true positive": prediction & truth,
        "false positive": prediction & ~truth,
        "false negative": truth & ~prediction,
    }


def _legend() -> list[Patch]:
    outcomes_shown = [
        Patch(
            facecolor=colour,
            edgecolor="black",
            linewidth=0.5 if PATTERNS[name] else 0.0,
            hatch=PATTERNS[name],
            label=f"{name} ({TOLD[name]})",
        )
        for name, colour in OUTCOMES.items()
    ]
    return [Patch(facecolor=TRUTH, label="annotated lesion"), *outcomes_shown]
