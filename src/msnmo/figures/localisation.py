"""What the classification looks at, beside the annotated lesions (Figure 12)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msnmo.core.errors import bad_input
from msnmo.core.files import PREDICT_AGAIN, read_tsv
from msnmo.core.volumes import load_volume
from msnmo.evaluate.choose import QUARTILES, choose_in_each_class
from msnmo.figures.cases import CONVENTION_NOTE, Case, case_grid, reference_method
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import SMALL, house_style, put_below
from msnmo.settings.methods import get_method
from msnmo.viewing.slices import TRUTH, outline, overlay

COLOURS = "plasma"
SMALLEST_MAXIMUM = 1e-6
"""A map whose maximum is below this shows no evidence; it is not blown up to 1."""


def draw(inputs: Inputs) -> Figure:
    """Draw V_1 to V_3 and Grad-CAM of four scans: the quartiles of the DSC in each class.

    Raises
    ------
    InputError
        If the maps of Grad-CAM are not given, no method classifies and segments or was evaluated,
        or a map cannot be read.
    """
    if inputs.gradcam is None:
        remedy = "run python -m msnmo.predict.gradcam first"
        raise bad_input("--gradcam", "a folder of Grad-CAM maps", "none", remedy)
    method = reference_method(inputs.methods_of("segmentation"))
    chosen = choose_in_each_class(inputs.metrics, inputs.folds, method, QUARTILES)
    cases = [Case.load(inputs, scan) for scan in chosen["scan"]]
    with house_style():
        figure, panels = case_grid(cases, columns=5)
        for case, block in zip(cases, panels, strict=True):
            truth = case.slice_of(case.lesion)
            outline(block[0], truth, TRUTH)
            block[0].set_title(f"{case.scan}\n{_classes(inputs, method, case)}", fontsize=SMALL)
            for axes, (title, path) in zip(
                block[1:], _maps(inputs.gradcam, case.folder(inputs, method), case), strict=True
            ):
                case.show(axes, title)
                image = overlay(axes, case.slice_of(evidence(path)), COLOURS, 1.0, case.aspect)
                outline(axes, truth, TRUTH, linewidth=0.5)
        last = [block[-1] for block in panels]
        # panchor would move the panels within their places
        bar = figure.colorbar(image, ax=last, shrink=0.5, aspect=40, panchor=False)
        bar.set_label("share of the map's maximum", fontsize=SMALL)
        put_below(figure, _note(method), [Line2D([], [], color=TRUTH, label="annotated lesion")])
    return figure


def evidence(path: Path) -> np.ndarray:
    """Return a map (X, Y, Z) of what speaks for the class, as a share of its maximum, 0 to 1."""
    values = np.maximum(load_volume(path).data, 0)
    return values / max(float(values.max()), SMALLEST_MAXIMUM)


def _maps(gradcam: Path, folder: Path, case: Case) -> list[tuple[str, Path]]:
    """Return the title and the path of each map of a scan."""
    stem = f"{case.scan}_space-model_desc"
    activations = [
        (f"$V_{number}$", folder / f"{stem}-localisation{number}_map.nii.gz")
        for number in (1, 2, 3)
    ]
    return [*activations, ("Grad-CAM", gradcam / f"{stem}-gradcam_map.nii.gz")]


def _classes(inputs: Inputs, method: str, case: Case) -> str:
    path = case.folder(inputs, method) / "predictions.tsv"
    table = read_tsv(path, {"scan": str, "p_nmosd": float}, PREDICT_AGAIN).set_index("scan")
    return f"{case.diagnosis}, P(NMOSD) {table.loc[case.scan, 'p_nmosd']:.2f}"


def _note(method: str) -> str:
    return (
        f"{get_method(method).label}: of each class the scans at the lower and upper quartile of"
        " DSC, at the height of most annotated lesion. Maps of the predicted class:"
        " class activation of the three scales, fine to coarse, and Grad-CAM of the first residual"
        " block; below 0 cut off, divided by the maximum in the scan, a quarter of it and less left"
        f" clear. P(NMOSD) is the predicted probability. All {CONVENTION_NOTE}"
    )
