"""What augmentation does to a training scan, by the code used in training (Figure 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msnmo.core.errors import bad_input
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.evaluate.choose import MEDIAN, at_fractions
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import SMALL, WIDTH, constrain, house_style, put_below
from msnmo.settings.training import AugmentSettings
from msnmo.train.augment import Augmentation, augment
from msnmo.viewing.slices import (
    CONVENTION,
    PLANES,
    TRUTH,
    Plane,
    cut,
    mark_sides,
    outline,
    pixel_aspect,
    show_zscore,
)

DIRECTIONS = ("left-right", "front-back", "top-bottom")
"""Of the axes X, Y, Z of model space."""


def draw(inputs: Inputs) -> Figure:
    """Draw a scan, its flips along each axis and its rotations about each axis.

    It shows the scan of median lesion volume in model space, in three planes. Its annotated lesions
    are transformed with it.

    Raises
    ------
    InputError
        If no scan has a lesion mask, a file cannot be read, or a setting is refused.
    """
    settings = AugmentSettings.from_mapping(inputs.augment)
    scan = median_scan(inputs.manifest)
    files = inputs.manifest.set_index("scan").loc[scan]
    image, lesion = load_volume(files["image"]), load_mask(files["lesion"])
    examples = augmentations(settings.rotation_degrees)
    voxel_mm = image.grid.voxel_mm
    with house_style():
        figure, panels = _panels(image, len(examples))
        for column, (title, example) in enumerate(examples.items()):
            changed = augmented(image.data, lesion.data, example)
            for axes, plane in zip(panels[:, column], PLANES, strict=True):
                axes.set_anchor("N")
                _draw_plane(axes, *changed, plane, pixel_aspect(voxel_mm, plane))
            panels[0, column].set_title(title, fontsize=SMALL)
        for axes, plane in zip(panels[:, 0], PLANES, strict=True):
            mark_sides(axes, plane, SMALL - 1)
        put_below(figure, _note(scan, settings))
    return figure


def median_scan(manifest: pd.DataFrame) -> str:
    """Return the scan of median lesion volume in model space, among those with a lesion mask.

    Parameters
    ----------
    manifest : DataFrame
        Columns scan and lesion, the path of the mask in model space.
    """
    masks = manifest.dropna(subset=["lesion"])
    if masks.empty:
        raise bad_input("manifest", "a scan with a lesion mask", "none", "give lesion masks")
    volumes = [_volume_ml(load_mask(path)) for path in masks["lesion"]]
    ordered = masks.assign(volume=volumes).sort_values(["volume", "scan"])
    return str(at_fractions(ordered, MEDIAN)["scan"].iloc[0])


def _volume_ml(mask: Volume) -> float:
    return int(mask.data.sum()) * mask.grid.voxel_ml


def augmentations(degrees: float) -> dict[str, Augmentation]:
    """Return the panels by title: no change, then each flip and each rotation."""
    flips = {f"flip\n{name}": Augmentation(flip_axis=axis) for axis, name in enumerate(DIRECTIONS)}
    turns = {
        f"{degrees:g}° about\n{name}": Augmentation(rotation_axis=axis, degrees=degrees)
        for axis, name in enumerate(DIRECTIONS)
    }
    return {"original\n": Augmentation(), **flips, **turns}


def augmented(
    image: np.ndarray, lesion: np.ndarray, example: Augmentation
) -> tuple[np.ndarray, np.ndarray]:
    """Return a scan and its lesion mask as in training.

    Parameters
    ----------
    image : (X, Y, Z) ndarray of float32
    lesion : (X, Y, Z) ndarray of bool
    example : Augmentation
    """
    before, mask = (torch.from_numpy(each.astype(np.float32))[None] for each in (image, lesion))
    image_after, lesion_after = augment(before, mask, example)
    return image_after[0].numpy(), lesion_after[0].numpy() > 0.5


def _panels(image: Volume, columns: int) -> tuple[Figure, np.ndarray]:
    extent = np.array(image.grid.shape) * image.grid.voxel_mm
    heights = [float(extent[plane.up] / extent[plane.across]) for plane in PLANES]
    tall = sum(heights) * WIDTH / columns + 0.45
    figure = Figure((WIDTH, tall), dpi=200, layout="constrained")
    constrain(figure, w_pad=0.01, h_pad=0.04, wspace=0, hspace=0)
    panels = figure.subplots(
        len(PLANES), columns, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    return figure, panels


def _draw_plane(
    axes: Axes, image: np.ndarray, lesion: np.ndarray, plane: Plane, aspect: float
) -> None:
    """Draw the slice with most lesion, or the middle one if there is none."""
    others = tuple(axis for axis in range(3) if axis != plane.normal)
    counts = lesion.sum(axis=others)
    index = int(counts.argmax()) if counts.any() else image.shape[plane.normal] // 2
    show_zscore(axes, cut(image, plane, index), aspect=aspect)
    outline(axes, cut(lesion, plane, index), TRUTH)


def _note(scan: str, settings: AugmentSettings) -> str:
    flips, turns = 100 * settings.flip_probability, 100 * settings.rotation_probability
    return (
        f"{scan}: the scan of median lesion volume, in model space, in the axial, coronal and"
        " sagittal slices with most annotated lesion (outlined). In training, by chance a flip"
        f" along one axis ({flips:g} % of the time) and a rotation about one axis ({turns:g} %) by"
        f" an angle within ±{settings.rotation_degrees:g}°. The original is {CONVENTION}; R right,"
        " L left, A front, P back."
    )
