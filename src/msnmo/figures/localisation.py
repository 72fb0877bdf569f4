"""The evidence for the class beside the annotated lesions (Figure 12)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msnmo.core.diagnoses import probabilities, score_in_words
from msnmo.core.errors import bad_input
from msnmo.core.files import PREDICT_AGAIN, read_tsv
from msnmo.evaluate.choose import QUARTILES, choose_in_each_class
from msnmo.evaluate.maps import (
    CAM,
    CLASS_EVIDENCE,
    GRADCAM,
    GRADCAM_MAP,
    SCALES,
    as_share,
    read_class_evidence,
    read_map,
)
from msnmo.evaluate.verdict import NOT_TOLD
from msnmo.figures.cases import CONVENTION_NOTE, Case, case_grid, reference_method
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import SMALL, house_style, put_below
from msnmo.settings.methods import get_method
from msnmo.viewing.slices import CLEAR, TRUTH, outline, overlay, say

COLOURS = "plasma"
SUM = "$V_1 + V_2 + V_3$"
LONGEST = 16
"""Characters of a line above a panel."""


def draw(inputs: Inputs) -> Figure:
    """Draw V_1 to V_3, their sum and Grad-CAM of four scans: the quartiles of each class's DSC.

    The sum is the method's localisation map. It is measured against lesions, like Grad-CAM.

    Raises
    ------
    InputError
        If the maps of Grad-CAM are not given, no method classifies and segments or was evaluated,
        or a map cannot be read.
    """
    if not inputs.gradcam:
        remedy = "run python -m msnmo.predict.gradcam first"
        raise bad_input("--gradcam", "a folder of Grad-CAM maps", "none", remedy)
    method = reference_method(inputs.methods_of("segmentation"))
    chosen = choose_in_each_class(inputs.metrics, inputs.folds, method, QUARTILES)
    cases = [Case.load(inputs, scan) for scan in chosen["scan"]]
    with house_style():
        figure, panels = case_grid(cases, columns=6, title_lines=3)
        for case, block in zip(cases, panels, strict=True):
            truth = case.slice_of(case.lesion)
            outline(block[0], truth, TRUTH)
            block[0].set_title(f"{case.scan}\n{_classes(inputs, method, case)}", fontsize=SMALL)
            for axes, (title, values) in zip(block[1:], _maps(inputs, method, case), strict=True):
                case.show(axes, title)
                shares = case.slice_of(as_share(values))
                image = overlay(axes, shares, COLOURS, 1.0, case.aspect)
                if not (shares >= CLEAR).any():
                    say(axes, "nothing at this height" if values.max() > 0 else "nothing above 0")
                outline(axes, truth, TRUTH, linewidth=0.5)
        last = [block[-1] for block in panels]
        # panchor would move the panels within their places
        bar = figure.colorbar(image, ax=last, shrink=0.5, aspect=40, panchor=False)
        bar.set_label("share of the map's maximum", fontsize=SMALL)
        outlined = Line2D([], [], color=TRUTH, label="annotated lesion")
        put_below(figure, _note(inputs, method), [outlined])
    return figure


def _maps(inputs: Inputs, method: str, case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the title and the values (X, Y, Z) of each map of a scan, 0 outside its brain."""
    folder, brain = case.folder(inputs, method), case.brain(inputs)
    for scale in SCALES:
        path = folder / CLASS_EVIDENCE.format(scan=case.scan, scale=scale)
        yield f"$V_{scale}$", np.where(brain.data, read_map(path, brain.grid), 0)
    total = read_class_evidence(folder, case.scan, brain.grid)
    yield _titled(SUM, inputs, method, CAM), np.where(brain.data, total, 0)
    path = Path(inputs.gradcam.format(fold=case.fold)) / GRADCAM.format(scan=case.scan)
    weighed = np.where(brain.data, read_map(path, brain.grid), 0)
    yield _titled("Grad-CAM", inputs, method, GRADCAM_MAP), weighed


def _titled(name: str, inputs: Inputs, method: str, which: str) -> str:
    verdict = inputs.verdicts.get((method, which))
    short = "not measured" if verdict is None else verdict.in_short
    return f"{name}\n{fill(short, LONGEST)}"


def _judged(inputs: Inputs, method: str) -> str:
    """Return whether each map that is measured finds lesions, in sentences."""
    maps = {SUM: CAM, "Grad-CAM": GRADCAM_MAP}
    said = {
        name: NOT_TOLD if verdict is None else verdict.in_words
        for name, which in maps.items()
        for verdict in [inputs.verdicts.get((method, which))]
    }
    return " ".join(f"{name}: {words}" for name, words in said.items())


def _classes(inputs: Inputs, method: str, case: Case) -> str:
    path = case.folder(inputs, method) / "predictions.tsv"
    _, column = probabilities()
    table = read_tsv(path, {"scan": str, column: float}, PREDICT_AGAIN).set_index("scan")
    return f"{case.diagnosis}\n{score_in_words()} {table.loc[case.scan, column]:.2f}"


def _note(inputs: Inputs, method: str) -> str:
    return (
        f"{_judged(inputs, method)}\n{get_method(method).label}: for each class, the scans at the"
        " lower and upper quartile of DSC, at the height of most annotated lesion. Maps are for the"
        " predicted class: class activation of the three scales, fine to coarse, and their sum;"
        " Grad-CAM of the first residual block. Values below 0 are cut off, the rest is divided by"
        " the maximum in the scan's brain, and a quarter of it or less is left clear."
        f" {score_in_words()} is the predicted probability. All {CONVENTION_NOTE}"
    )
