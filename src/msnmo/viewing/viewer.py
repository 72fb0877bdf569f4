"""One page per scan with an interactive viewer, for volumes on one native grid.

Call `assets.write_assets` once for a site, then `write_scan_page` for each scan. Nothing here
depends on folds or methods. A page must open from disk, where browsers do not let scripts read
files. So its volumes are in a script.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from msnmo.core.files import write_text
from msnmo.core.geometry import ModelSpace
from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.viewing.display import (
    Kind,
    display_space,
    encode,
    shown_range,
    shown_volume,
    to_display,
)
from msnmo.viewing.pages import fill, frame, table_of
from msnmo.viewing.slices import CONVENTION, OUTCOMES, PREDICTION

RAMP = "plasma"
STOPS = 9
CLEAR = {"image": 0.0, "mask": 0.5, "probability": 0.25}
"""Share of the range that stays transparent: a quarter of a probability, as in the figures."""
AXES = ("left to right", "back to front", "foot to head")
OPACITY = {"image": 100, "mask": 100, "probability": 60}
"""In percent, when the page opens."""
CONTRASTS = {"brain": (1.0, 99.8), "bright lesions": (50.0, 99.9), "dark lesions": (0.0, 75.0)}
"""Percentiles of the brain that are black and white."""
DRAWN = {
    "contours": "contours",
    "filled": "filled",
    "outcomes": "right and wrong",
}
"""Ways to draw lesions. The last needs a true mask to compare with."""


@dataclass(frozen=True)
class Layer:
    """One volume of a page.

    Parameters
    ----------
    name : str
        Unique on the page.
    label : str
        What the reader sees.
    kind : {"image", "mask", "probability"}
        A probability is from 0 to 1.
    volume : Volume
        On the native grid of the scan, like all layers of a page.
    colour : str
        Colour of a mask, as #RRGGBB.
    visible : bool
        Whether it is shown when the page opens.
    truth : bool
        Whether the page's other masks are compared with this one.
    """

    name: str
    label: str
    kind: Kind
    volume: Volume
    colour: str = PREDICTION
    visible: bool = True
    truth: bool = False


def write_scan_page(  # noqa: PLR0917 - in the order of the page
    site: Path,
    name: str,
    title: str,
    layers: Sequence[Layer],
    facts: Sequence[tuple[str, str]],
    tables: Sequence[tuple[str, pd.DataFrame]],
    *,
    around: np.ndarray | None = None,
    navigation: Sequence[tuple[str, str]] = (),
    siblings: Sequence[tuple[str, str]] = (),
    elsewhere: Sequence[tuple[str, str]] = (),
    banner: str = "",
    warning: str = "",
) -> tuple[Path, Path]:
    """Write ``site/scans/<name>.html`` and the volumes that it loads, ``<name>.js`` beside it.

    Parameters
    ----------
    site : Path
        Folder of the site; `write_assets` fills its assets.
    name : str
        Name of the two files, without an ending.
    title : str
        Heading of the page.
    layers : sequence of Layer
        The first one is an image, and is drawn below the others.
    facts : sequence of (term, detail)
        Facts about the scan.
    tables : sequence of (caption, DataFrame)
        Numbers of the scan, sortable; cells are plain values or `msnmo.viewing.pages.Cell`.
    around : (I, J, K) ndarray of bool, optional
        The volumes are cropped to a box around this, such as the brain; without it they are whole.
    navigation : sequence of (label, address)
        Links of the header, relative to the site's folder; may be empty.
    siblings : sequence of (label, address)
        Links above the viewer to pages like this one, relative to the page.
    elsewhere : sequence of (label, address)
        Links to other pages about the scan, relative to the page.
    banner : str
        A sentence at the top of the page; empty: none.
    warning : str
        A sentence above the viewer about this scan; empty: none.

    Returns
    -------
    page, volumes : Path
        The files written; equal arguments give equal bytes.

    Raises
    ------
    ValueError
        If the first layer is no image, a name is used twice or is no valid file name, or a layer is
        not on the grid of the first.
    """
    _refuse(name, layers)
    space = display_space(layers[0].volume.grid, around)
    shown = [shown_volume(space, layer.volume, layer.kind) for layer in layers]
    content = [_script(layer, data, space.model) for layer, data in zip(layers, shown, strict=True)]
    volumes = site / "scans" / f"{name}.js"
    write_text(volumes, f"var msnmoLayers = {json.dumps(content, ensure_ascii=True)};\n")
    page = site / "scans" / f"{name}.html"
    text = fill(
        "scan.html.jinja",
        **frame(title, "Scans", navigation, "../", banner),
        around=tuple(siblings),
        elsewhere=tuple(elsewhere),
        volumes=volumes.name,
        convention=CONVENTION[0].upper() + CONVENTION[1:],
        voxel=" × ".join(f"{side:.3g}" for side in space.model.voxel_mm),
        places=_places(layers, shown),
        layers=[_control(layer) for layer in layers],
        warning=warning,
        drawn=_drawn(layers),
        outcomes=OUTCOMES,
        contrasts=_contrasts(space, shown[0], around),
        has_probability=any(layer.kind == "probability" for layer in layers),
        facts=tuple(facts),
        tables=[table_of(caption, content) for caption, content in tables],
    )
    write_text(page, text)
    return page, volumes


def _refuse(name: str, layers: Sequence[Layer]) -> None:
    if Path(name).name != name:
        raise ValueError(f"{name!r} cannot be a file name")
    if not layers or layers[0].kind != "image":
        raise ValueError("the first layer of a page is an image")
    names = [layer.name for layer in layers]
    if len(set(names)) < len(names):
        raise ValueError(f"a layer's name is used twice: {', '.join(names)}")


def _places(layers: Sequence[Layer], shown: Sequence[np.ndarray]) -> list[tuple[str, int, int]]:
    """Return what each axis is called, its last voxel and where the crosshair starts."""
    masks = [
        data
        for layer, data in zip(layers, shown, strict=True)
        if layer.kind == "mask" and data.any()
    ]
    start = _middle(masks[0]) if masks else [side // 2 for side in shown[0].shape]
    last = [side - 1 for side in shown[0].shape]
    return list(zip(AXES, last, start, strict=True))


def _middle(mask: np.ndarray) -> list[int]:
    """Return the marked voxel nearest the middle of the axial slice with most of them."""
    height = int(mask.sum(axis=(0, 1)).argmax())
    marked = np.argwhere(mask[:, :, height] > 0)
    nearest = ((marked - marked.mean(axis=0)) ** 2).sum(axis=1).argmin()
    return [*(int(index) for index in marked[nearest]), height]


def _drawn(layers: Sequence[Layer]) -> list[tuple[str, str]]:
    """Return the ways to draw the lesions of a page: none without a mask."""
    masks = [layer for layer in layers if layer.kind == "mask"]
    compared = len(masks) > 1 and any(layer.truth for layer in masks)
    ways = [way for way in DRAWN.items() if compared or way[0] != "outcomes"]
    return ways if masks else []


def _contrasts(
    space: ModelSpace, image: np.ndarray, around: np.ndarray | None
) -> list[tuple[str, float, float]]:
    """Return what each contrast is called, and the values that it shows black and white."""
    low, high = shown_range(image, "image")
    contrasts = [("as opened", low, high)]
    brain = None if around is None else to_display(space, around, "mask") > 0
    if brain is None or not brain.any():
        return contrasts
    for label, percentiles in CONTRASTS.items():
        black, white = np.clip(np.percentile(image[brain], percentiles), low, high)
        if white > black:
            contrasts.append((label, float(black), float(white)))
    return contrasts


def _script(layer: Layer, shown: np.ndarray, grid: Grid) -> dict[str, object]:
    """Return what viewer.js reads of a layer."""
    low, high = shown_range(shown, layer.kind)
    return {
        "name": layer.name,
        "label": layer.label,
        "kind": layer.kind,
        "truth": layer.truth,
        "colours": _colours(layer),
        "clear": CLEAR[layer.kind],
        "low": low,
        "high": high,
        "data": encode(shown, grid, layer.kind),
    }


def _colours(layer: Layer) -> list[str]:
    """Return the colours of a layer from its lowest shown value to its highest."""
    if layer.kind == "image":
        return ["#000000", "#ffffff"]
    if layer.kind == "mask":
        return [layer.colour, layer.colour]
    ramp = mpl.colormaps[RAMP](np.linspace(CLEAR[layer.kind], 1, STOPS))
    return [mpl.colors.to_hex(colour) for colour in ramp]


def _control(layer: Layer) -> dict[str, object]:
    colours = _colours(layer)
    return {
        "label": layer.label,
        "visible": layer.visible,
        "opacity": OPACITY[layer.kind],
        "swatch": f"linear-gradient(to right, {', '.join(colours)})",
    }
