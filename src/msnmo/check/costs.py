"""Estimate what a full run takes before it starts: disk and hours, by scans, methods and folds.

Every number was measured; docs/scaling.md explains how. Your own cohort may differ by some tens of
percent. GPU hours depend on the model of the GPU.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.cohort.balance import learned
from msnmo.cohort.folds import count_folds
from msnmo.core.nifti import nib
from msnmo.settings.methods import JOINT, get_method
from msnmo.settings.model import ModelSettings

GB = 1e9
LITTLE = "under 0.1"
"""What is told of GB and hours that would be shown as 0."""
HEAD_VOXELS = 176 * 232 * 159
"""Voxels of a head at 1 mm, used if no header can be read."""
HEADERS = 20
"""Number of scans whose headers are read."""

# For each network at its default widths: million parameters, and GFLOP of one scan of 160^3
# (`msnmo.evaluate.complexity`). Methods not listed here are the joint model with changed choices.
NETWORKS = {
    "joint": (5.619, 748.0),
    "unet": (5.748, 1167.8),
    "vnet": (45.594, 2824.7),
    "attention_unet": (5.909, 382.8),
    "resnet50": (46.163, 158.3),
    "resnet101": (85.209, 236.3),
    "resnet152": (117.368, 332.7),
    "densenet121": (11.245, 167.6),
    "senet50": (48.690, 151.9),
    "only_seg": (2.011, 415.4),
    "only_cls": (3.586, 358.4),
    "without_sharing": (5.628, 805.1),
    "only_local": (5.571, 747.6),
    "only_global": (5.675, 805.5),
    "lgm_none": (5.588, 716.7),
    "lgm_dot": (5.588, 716.7),
    "lgm_add": (5.588, 716.7),
    "nnunet_plain": (16.544, 1845.8),
    "swin_unetr": (15.703, 765.2),
    "joint_plus": (5.619, 751.5),
    "image_skip": (5.619, 751.5),
}
VOXELS_OF_THESE = 160**3

# Bytes per voxel of the scan's own grid, and of model space
KEPT_NATIVE, KEPT_MODEL = 1.25, 1.66
FILLED_MODEL = 1.62
MASK_NATIVE, MASK_MODEL = 0.014, 0.03
MAP_MODEL, GRADCAM_MODEL = 0.16, 0.095
PAGE_NATIVE = 0.6
# Bytes per scan: its picture, numbers and records; and a page without its volumes
QUALITY, PAGE = 0.9e6, 0.4e6
# Bytes per parameter: weights; weights and Adam's two means, for this epoch and the last
WEIGHTS, CHECKPOINTS = 4, 24
# Seconds of one core: per scan, and per million of its own voxels
SECONDS, SECONDS_A_MILLION = 11.0, 2.5
# Forward and backward together take three times the operations of forward
TRAINED = 3
CORE_TFLOPS = 0.047
"""10^12 operations per second of one CPU core, with PyTorch in float32."""
GPU_TFLOPS = 20.0
"""The same for a GPU: 30 % of an RTX 3090's peak in bfloat16. Assumed, not measured."""


@dataclass(frozen=True)
class Costs:
    """What a run needs from the start.

    Parameters
    ----------
    disk : mapping of str to float
        Bytes that stay, by kind of file.
    checkpoints : float
        Bytes needed while the largest network trains.
    core_hours : float
        Hours of one CPU core for preprocessing, pictures and pages.
    training, prediction : float
        10^12 operations.
    """

    disk: Mapping[str, float]
    checkpoints: float
    core_hours: float
    training: float
    prediction: float

    @property
    def most_bytes(self) -> float:
        """The largest size on disk at any time."""
        return sum(self.disk.values()) + self.checkpoints


def expect(
    config: Mapping[str, Any],
    methods: Iterable[str],
    *,
    scans: int,
    tested: int,
    folds: int,
    native_voxels: float = HEAD_VOXELS,
) -> Costs:
    """Return what a full run takes, without the target robustness.

    Parameters
    ----------
    config : mapping
        The config with all its keys.
    methods : iterable of str
        The methods that are trained.
    scans, tested : int
        Number of scans in the cohort, and of those in a fold.
    folds : int
        Number of folds of the cohort. The config may select only some of them.
    native_voxels : float
        Mean number of voxels of a scan as it arrives.
    """
    names = list(methods)
    chosen = len(config["folds"]["only"]) or folds
    seeds = len(config["seeds"]) or config["folds"]["repeats"]
    predictions = tested * chosen / folds * seeds
    model_voxels = math.prod(config["resize"]["size"])
    networks = [_network(name, config) for name in names]
    share = model_voxels / VOXELS_OF_THESE
    weights = sum(parameters for parameters, _ in networks) * 1e6 * WEIGHTS
    forward = [gflop * share / 1e3 for _, gflop in networks]
    segmenting = sum("segmentation" in get_method(name).tasks for name in names)
    classifying = [
        each
        for name, each in zip(names, forward, strict=True)
        if "classification" in get_method(name).tasks
    ]
    with_maps = sum(get_method(name).has_maps for name in names)
    a_mask = MASK_NATIVE * native_voxels + MASK_MODEL * model_voxels
    predicted = segmenting * a_mask + with_maps * MAP_MODEL * model_voxels
    kept = KEPT_NATIVE * native_voxels + KEPT_MODEL * model_voxels
    disk = {
        "preprocessed scans": scans * kept + tested * FILLED_MODEL * model_voxels,
        "quality": scans * QUALITY,
        "models": weights * chosen * seeds,
        "predictions": predictions * predicted
        + predictions / seeds * GRADCAM_MODEL * model_voxels * (JOINT in names),
        "report": scans * (PAGE + PAGE_NATIVE * native_voxels),
    }
    largest = max((parameters for parameters, _ in networks), default=0) * 1e6
    epochs = config["train"]["epochs"]
    return Costs(
        disk,
        largest * CHECKPOINTS * config["compute"]["folds_per_gpu"],
        scans * (SECONDS + SECONDS_A_MILLION * native_voxels / 1e6) / 3600,
        sum(forward) * TRAINED * tested * (1 - 1 / folds) * epochs * chosen * seeds,
        # methods that classify see each scan again with its lesions filled
        (sum(forward) + sum(classifying)) * predictions,
    )


def _network(name: str, config: Mapping[str, Any]) -> tuple[float, float]:
    """Return a network's million parameters and GFLOP. Both grow with the square of its width."""
    parameters, gflop = NETWORKS.get(name, NETWORKS["joint"])
    if get_method(name).settings is not ModelSettings:
        return parameters, gflop
    wider = (config["model"]["base_channels"] / ModelSettings().base_channels) ** 2
    return parameters * wider, gflop * wider


def tell_of_cohort(
    config: Mapping[str, Any], methods: Iterable[str], cohort: pd.DataFrame
) -> list[str]:
    """Return the disk space and hours of a full run, as `tell` does.

    Parameters
    ----------
    config : mapping
        The config with all its keys.
    methods : iterable of str
        The methods that are trained.
    cohort : DataFrame
        As in `msnmo.cohort.table.survey_scan_table`.
    """
    if cohort.empty:
        return []
    in_folds = learned(cohort)
    folds = count_folds(in_folds, config["folds"]["k"], config["folds"]["split"])
    voxels = mean_voxels(Path(flair) for flair in cohort["flair"])
    costs = expect(
        config,
        methods,
        scans=len(cohort),
        tested=len(in_folds),
        folds=max(2, folds),
        native_voxels=voxels,
    )
    return tell(costs, free_bytes(Path(config["results"])))


def mean_voxels(flairs: Iterable[Path]) -> float:
    """Return the mean number of voxels of scans, from the headers of some.

    Unreadable files are skipped. It is the check's task to report them.
    """
    paths = list(flairs)
    sizes = []
    for path in paths[:: max(1, len(paths) // HEADERS)]:
        try:
            image: Any = nib.load(path)
            sizes.append(math.prod(image.shape[:3]))
        except Exception:  # noqa: S112 - nibabel, gzip and the system have many kinds
            continue
    return sum(sizes) / len(sizes) if sizes else HEAD_VOXELS


def free_bytes(results: Path) -> int:
    """Return the free bytes on a folder's disk. The folder need not exist yet."""
    folder = results.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def tell(costs: Costs, free: int) -> list[str]:
    """Return what a run takes in two lines, and where disk is short a third that warns of it."""
    told = {name: _gb(size) for name, size in costs.disk.items()}
    parts = ", ".join(f"{name} {size}" for name, size in told.items() if size != LITTLE)
    parts = f" ({parts})" if parts else ""
    training, prediction = (
        operations / GPU_TFLOPS / 3600 for operations in (costs.training, costs.prediction)
    )
    slower = GPU_TFLOPS / CORE_TFLOPS
    lines = [
        f"disk, from the start: {_gb(sum(costs.disk.values()))} GB{parts}, and while networks"
        f" train {_gb(costs.checkpoints)} more; {_gb(free)} GB are free",
        f"hours: {_hours(costs.core_hours)} of one CPU core for preprocessing and pages;"
        f" {_hours(training)} of a GPU for training and {_hours(prediction)} for prediction at"
        f" {GPU_TFLOPS:g} TFLOP/s, or {_hours((training + prediction) * slower)} of CPU cores;"
        " docs/scaling.md explains how to measure your own",
    ]
    if costs.most_bytes > free:
        lines.append(
            f"warning: a whole run takes {_gb(costs.most_bytes)} GB, and {_gb(free)} GB are free."
            "Make room, or set `results` in the config to another disk. If results exist already, "
            "they are part of this number"
        )
    return lines


def _gb(size: float) -> str:
    return _rounded(size / GB, 100)


def _hours(hours: float) -> str:
    return _rounded(hours, 10)


def _rounded(value: float, whole_from: float) -> str:
    """Return a number with one decimal, or none where it is large."""
    if value < 0.05:
        return LITTLE
    return f"{value:.1f}" if value < whole_from else f"{value:,.0f}"
