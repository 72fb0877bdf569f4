"""Pathway: one scan's way through the workflow, from head to mask, in one picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from msnmo.cohort.folds import read_folds
from msnmo.cohort.simulated import Simulated
from msnmo.core.diagnoses import probabilities, score_in_words
from msnmo.core.errors import run_command
from msnmo.core.files import PREDICT_AGAIN, read_tsv
from msnmo.core.geometry import ModelSpace
from msnmo.core.names import path_of_scan
from msnmo.core.volumes import load_mask, load_volume
from msnmo.evaluate.aggregate import of_first_seed, read_metrics
from msnmo.evaluate.choose import choose_scan
from msnmo.evaluate.maps import CAM, as_share, brain_in_model_space, read_class_evidence
from msnmo.evaluate.verdict import Verdict, read_verdicts
from msnmo.figures.style import house_style
from msnmo.viewing.slices import (
    AXIAL,
    BRAIN,
    PREDICTION,
    TRUTH,
    cut,
    mark_sides,
    outline,
    overlay,
    save,
    show,
    show_zscore,
    square_pixels,
)


@dataclass(frozen=True)
class Slices:
    """Axial slices at one height, in native and in model space.

    Parameters
    ----------
    space : ModelSpace
        Geometry of the scan.
    height : int
        Axial index in model space.
    """

    space: ModelSpace
    height: int

    def native(self, data: np.ndarray) -> np.ndarray:
        """Return the slice of native (I, J, K) data at the height, with square pixels."""
        crop, resize = self.space.crop, self.space.resize
        step = resize.source[2] / resize.content[2]
        index = crop.start[2] + (self.height - resize.start[2] + 0.5) * step - 0.5
        turned = crop.reorder(data)
        nearest = int(np.clip(np.rint(index), 0, turned.shape[2] - 1))
        return square_pixels(cut(turned, AXIAL, nearest), crop.grid.voxel_mm, AXIAL)

    def model(self, data: np.ndarray) -> np.ndarray:
        """Return the slice of model-space data at the height."""
        return cut(data, AXIAL, self.height)


def draw_pathway(
    files: dict[str, Path],
    localisation: np.ndarray,
    verdict: Verdict | None,
    title: str,
    *,
    deface: bool = False,
) -> Figure:
    """Draw six steps of one scan at the height where its lesions cover most.

    Parameters
    ----------
    files : dict
        Paths of flair, brain, n4, image, lesion, sidecar, native_lesion, probability and
        native_prediction.
    localisation : (X, Y, Z) ndarray
        Localisation map in model space, 0 outside the brain.
    verdict : Verdict or None
        Whether such maps find lesions; None where not measured.
    title : str
        Line under the picture.
    deface : bool
        Whether the original scan is shown only within its brain.
    """
    space = ModelSpace.from_sidecar(files["sidecar"])
    model = {name: load_volume(files[name]).data for name in ("image", "lesion", "probability")}
    where = model["lesion"] if model["lesion"].any() else model["image"] != 0
    slices = Slices(space, int(where.sum(axis=(0, 1)).argmax()))
    native = {
        name: slices.native(load_volume(files[name]).data) for name in ("flair", "brain", "n4")
    }
    masks = {
        name: slices.native(load_mask(files[name]).data.astype(np.float32))
        for name in ("native_lesion", "native_prediction")
    }
    seen = slices.model(as_share(localisation))
    judged = "not measured" if verdict is None else verdict.in_short

    figure = Figure((15, 3.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, 6)
    bright = {"vmin": 0, "vmax": float(np.percentile(native["n4"], 99.5)) or 1.0}
    if deface:
        native["flair"] = np.where(native["brain"] > 0, native["flair"], 0)
    show(panels[0], native["flair"], "1  T2-FLAIR as it arrived\nand brain mask")
    outline(panels[0], native["brain"], BRAIN)
    show(panels[1], native["n4"], "2  skull-stripped, N4", **bright)
    z = slices.model(model["image"])
    size = " x ".join(str(length) for length in space.resize.target)
    show_zscore(panels[2], z, f"3  model space, {size}\nz-score; annotated lesions")
    outline(panels[2], slices.model(model["lesion"]), TRUTH)
    show_zscore(panels[3], z, "4  lesion probability")
    overlay(panels[3], slices.model(model["probability"]), "autumn_r", 1.0)
    show_zscore(panels[4], z, f"5  map of the predicted class:\n{judged}")
    overlay(panels[4], seen, "viridis", 1.0)
    show(panels[5], native["n4"], "6  back on the native grid:\npredicted, annotated", **bright)
    outline(panels[5], masks["native_lesion"], TRUTH)
    outline(panels[5], masks["native_prediction"], PREDICTION)
    for panel in panels:
        mark_sides(panel, AXIAL)
    figure.supxlabel(title, fontsize=9)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the pathway of the scan of median DSC."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.figures.pathway", description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True, help="all.tsv")
    parser.add_argument("--manifest", type=Path, required=True, help="scans in model space (TSV)")
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument("--folds", type=Path, required=True, help="folds.tsv")
    parser.add_argument("--method", default="joint", help="the method whose predictions are shown")
    parser.add_argument(
        "--localisation",
        type=Path,
        required=True,
        help="table of msnmo.evaluate.statistics.maps: whether its maps find lesions",
    )
    parser.add_argument("--n4", required=True, help="pattern with {folder} and {scan}")
    parser.add_argument("--predictions", required=True, help="pattern of a fold's folder, {fold}")
    parser.add_argument("--deface", action="store_true", help="show only the brain")
    parser.add_argument("--out", type=Path, required=True, help="PNG")
    given = parser.parse_args(arguments)

    scan = choose_scan(of_first_seed(read_metrics(given.metrics)), given.method)
    text = {"scan": str}
    scans = read_tsv(given.cohort, text).set_index("scan")
    cohort = scans.loc[scan]
    listed = ("image", "lesion", "sidecar", "native_lesion", "native_brain")
    manifest = read_tsv(given.manifest, text | dict.fromkeys(listed, str), files=listed)
    manifest = manifest.set_index("scan").loc[scan]
    folds = read_folds(given.folds)
    fold = int(folds.set_index("scan").loc[scan, "fold"])
    folder = Path(given.predictions.format(fold=fold, method=given.method))
    _, column = probabilities()
    classes = read_tsv(folder / "predictions.tsv", {"scan": str, column: float}, PREDICT_AGAIN)
    p_nmosd = float(classes.set_index("scan").loc[scan, column])
    files = {
        "flair": Path(cohort["flair"]),
        "n4": path_of_scan(given.n4, scan),
        "brain": Path(manifest["native_brain"]),
        "probability": folder / f"{scan}_space-model_desc-lesion_probseg.nii.gz",
        "native_prediction": folder / f"{scan}_desc-lesion_mask.nii.gz",
    } | {name: Path(manifest[name]) for name in ("image", "lesion", "sidecar", "native_lesion")}
    verdict = read_verdicts(given.localisation).get((given.method, CAM))
    named = f"{cohort['diagnosis']}, {score_in_words()} = {p_nmosd:.2f}"
    title = f"{scan}, test scan of fold {fold}: {named}"
    with house_style():
        brain = brain_in_model_space(files["sidecar"], files["brain"])
        seen = np.where(brain.data, read_class_evidence(folder, scan, brain.grid), 0)
        figure = draw_pathway(files, seen, verdict, title, deface=given.deface)
    save(figure, given.out, Simulated.among(scans).note)


if __name__ == "__main__":
    run_command(main)
