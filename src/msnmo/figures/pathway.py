"""Pathway: one scan's way through the workflow, from head to mask, in one picture."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from msnmo.errors import bad_input, run_command
from msnmo.files import atomic_path, read_tsv
from msnmo.geometry import ModelSpace, resample
from msnmo.volumes import Grid, load_mask, load_volume

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

METRIC_COLUMNS = {"method": str, "scan": str, "metric": str, "value": float, "space": str}
# Okabe and Ito's colours, which colour-blind readers tell apart
TRUTH, PREDICTION, BRAIN = "#56B4E9", "#D55E00", "#F0E442"


def choose_scan(metrics: pd.DataFrame, method: str) -> str:
    """Return the scan of median DSC in model space: neither the best nor the worst is shown.

    Of an even number the lower middle one; equal values are ordered by scan id.
    """
    rows = metrics[
        (metrics["method"] == method) & (metrics["metric"] == "DSC") & (metrics["space"] == "model")
    ]
    rows = rows.dropna(subset=["scan", "value"]).sort_values(["value", "scan"])
    if rows.empty:
        raise bad_input("metrics", f"DSC per scan of {method}", "none", "evaluate the method first")
    return str(rows["scan"].iloc[(len(rows) - 1) // 2])


@dataclass(frozen=True)
class Slices:
    """Axial slices of one height, in native and in model space, all seen from below: left is right.

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
        """Return the slice of native (I, J, K) data at the height, resampled to square pixels."""
        crop, resize = self.space.crop, self.space.resize
        turned = data.transpose(crop.axes)
        turned = turned[tuple(slice(None, None, -1 if flip else 1) for flip in crop.flips)]
        step = resize.source[2] / resize.content[2]
        index = crop.start[2] + (self.height - resize.start[2] + 0.5) * step - 0.5
        plane = turned[:, :, int(np.clip(np.rint(index), 0, turned.shape[2] - 1))]
        return _square(plane, crop.grid)

    def model(self, data: np.ndarray) -> np.ndarray:
        """Return the slice of model-space data at the height."""
        return data[:, :, self.height]


def _square(plane: np.ndarray, grid: Grid) -> np.ndarray:
    across, along = grid.voxel_mm[:2]
    finest = min(across, along)
    shape = (round(plane.shape[0] * across / finest), round(plane.shape[1] * along / finest), 1)
    return resample(plane[:, :, None].astype(np.float32), shape, order=1)[:, :, 0]


def _show(axes: Axes, title: str, plane: np.ndarray, **options: object) -> None:
    """Draw a slice with the patient's right on the left and the front on top (radiological)."""
    axes.imshow(plane[::-1].T, origin="lower", cmap="gray", interpolation="nearest", **options)
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def _outline(axes: Axes, plane: np.ndarray, colour: str) -> None:
    if plane.max() >= 0.5 > plane.min():
        axes.contour(plane[::-1].T, levels=[0.5], colors=[colour], linewidths=0.9)


def _overlay(axes: Axes, plane: np.ndarray, colours: str, top: float) -> None:
    seen = np.ma.masked_less(plane[::-1].T, 0.05 * top)
    axes.imshow(seen, origin="lower", cmap=colours, vmin=0, vmax=top, alpha=0.6)


def draw_pathway(files: dict[str, Path], title: str, out: Path) -> None:
    """Draw six steps of one scan at the height where its lesions cover most.

    Parameters
    ----------
    files : dict
        Paths of flair, brain, n4, image, lesion, sidecar, native_lesion, probability,
        localisation and native_prediction.
    title : str
        Line under the picture.
    out : Path
        PNG.
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
    localisation = np.maximum(slices.model(load_volume(files["localisation"]).data), 0)

    figure, panels = plt.subplots(1, 6, figsize=(15, 3.4), dpi=110, layout="constrained")
    bright = {"vmin": 0, "vmax": float(np.percentile(native["n4"], 99.5)) or 1.0}
    _show(panels[0], "1  T2-FLAIR as it arrived\nand brain mask", native["flair"])
    _outline(panels[0], native["brain"], BRAIN)
    _show(panels[1], "2  skull-stripped, N4", native["n4"], **bright)
    shades = {"vmin": -2.5, "vmax": 3.5}
    z = slices.model(model["image"])
    size = " x ".join(str(length) for length in space.resize.target)
    _show(panels[2], f"3  model space, {size}\nz-score; annotated lesions", z, **shades)
    _outline(panels[2], slices.model(model["lesion"]), TRUTH)
    _show(panels[3], "4  lesion probability", z, **shades)
    _overlay(panels[3], slices.model(model["probability"]), "autumn_r", 1.0)
    _show(panels[4], "5  localisation map\nof the predicted class", z, **shades)
    _overlay(panels[4], localisation, "viridis", float(localisation.max()) or 1.0)
    _show(panels[5], "6  back on the native grid:\npredicted, annotated", native["n4"], **bright)
    _outline(panels[5], masks["native_lesion"], TRUTH)
    _outline(panels[5], masks["native_prediction"], PREDICTION)
    figure.supxlabel(title, fontsize=9)
    with atomic_path(out) as temporary:
        # without the metadata the bytes name the version of matplotlib
        figure.savefig(temporary, format="png", metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Draw the pathway of the scan of median DSC."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True, help="all.tsv")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument("--method", default="joint")
    parser.add_argument("--n4", required=True, help="pattern with {folder} and {scan}")
    parser.add_argument("--predictions", required=True, help="pattern of a fold's folder, {fold}")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    scan = choose_scan(read_tsv(arguments.metrics, METRIC_COLUMNS), arguments.method)
    text = {"scan": str}
    cohort = read_tsv(arguments.cohort, text).set_index("scan").loc[scan]
    manifest = read_tsv(arguments.manifest, text).set_index("scan").loc[scan]
    folds = read_tsv(arguments.folds, {"scan": str, "fold": int})
    fold = int(folds.set_index("scan").loc[scan, "fold"])
    folder = Path(arguments.predictions.format(fold=fold, method=arguments.method))
    classes = read_tsv(folder / "predictions.tsv", {"scan": str, "p_nmosd": float})
    p_nmosd = float(classes.set_index("scan").loc[scan, "p_nmosd"])
    files = {
        "flair": Path(cohort["flair"]),
        "n4": Path(arguments.n4.format(folder=scan.replace("_", "/"), scan=scan)),
        "brain": Path(manifest["native_brain"]),
        "probability": folder / f"{scan}_space-model_desc-lesion_probseg.nii.gz",
        "localisation": folder / f"{scan}_space-model_desc-localisation1_map.nii.gz",
        "native_prediction": folder / f"{scan}_desc-lesion_mask.nii.gz",
    } | {name: Path(manifest[name]) for name in ("image", "lesion", "sidecar", "native_lesion")}
    title = f"{scan}, test scan of fold {fold}: {cohort['diagnosis']}, P(NMOSD) = {p_nmosd:.2f}"
    draw_pathway(files, title, arguments.out)


if __name__ == "__main__":
    run_command(main)
