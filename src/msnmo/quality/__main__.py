"""Draw one preprocessed scan step by step and measure it, so that a rater can decide on it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from msnmo.core.errors import run_command
from msnmo.core.files import read_json, write_json
from msnmo.core.grid import Grid
from msnmo.core.same_grid import check_same_grid
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.quality.mosaic import Strip, draw, paint
from msnmo.quality.numbers import Arrays, bias_field, measure, to_json
from msnmo.viewing.display import brain_alone
from msnmo.viewing.slices import AXIAL, CONVENTION, PLANES, SHADES

BRAIN_COLOUR, LESION_COLOUR = (1.0, 0.85, 0.0), (1.0, 0.15, 0.15)
# The bias field from half to twice, on a scale of its logarithm
BIAS_SPAN = 2.0
COOLWARM = mpl.colormaps["coolwarm"].with_extremes(bad="black")


def strips_of(scan: Volume, arrays: Arrays, model: Grid, bias_range: float | None) -> list[Strip]:
    """Return the rows of the picture: head, bias field, after N4, model space.

    Parameters
    ----------
    scan : Volume
        The original scan.
    arrays : Arrays
    model : Grid
        Grid of model space.
    bias_range : float, optional
        As returned by `measure`, for the row's label.
    """
    native = arrays.native
    brain = [(arrays.brain, BRAIN_COLOUR)]
    outlines = [*brain, (arrays.lesion, LESION_COLOUR)] if arrays.lesion is not None else brain
    strips = [
        Strip(f"as it arrived, {plane.name}", plane, row)
        for plane, row in zip(PLANES, paint(scan.data, outlines, native), strict=True)
    ]
    (field,) = paint(
        bias_field(arrays), brain, native, [AXIAL], shade=_bias_shade, colours=_bias_colours
    )
    (corrected,) = paint(arrays.corrected, brain, native, [AXIAL])
    inside = [(arrays.model != 0, BRAIN_COLOUR)]
    lesion = arrays.model_lesion
    if lesion is not None:
        inside.append((lesion, LESION_COLOUR))
    (normed,) = paint(arrays.model, inside, model, [AXIAL], shade=_zscore_shade, prefer=lesion)
    spread = "not known" if bias_range is None else f"{bias_range:.2f}"
    return [
        *strips,
        Strip(f"bias field: blue 1/2, red 2; range {spread}", AXIAL, field),
        Strip("after N4", AXIAL, corrected),
        Strip("model space, z-scored", AXIAL, normed),
    ]


def _bias_shade(field: np.ndarray) -> np.ndarray:
    known = np.isfinite(field) & (field > 0)
    shade = np.full(field.shape, np.nan, np.float32)
    logarithm = np.log(field, out=np.zeros_like(field), where=known) / np.log(BIAS_SPAN)
    shade[known] = np.clip(0.5 + 0.5 * logarithm[known], 0, 1)
    return shade


def _bias_colours(pixels: np.ndarray) -> np.ndarray:
    return COOLWARM(np.ma.masked_invalid(pixels))[:, :, :3].astype(np.float32)


def _zscore_shade(image: np.ndarray) -> np.ndarray:
    low, high = SHADES["vmin"], SHADES["vmax"]
    shade = np.clip((image - low) / (high - low), 0, 1)
    return np.where(image == 0, 0, shade).astype(np.float32)


def title_of(content: Mapping[str, Any]) -> str:
    """Return the picture's title: scan, engine, volumes, and below it the flags."""
    numbers = content["numbers"]
    parts = [content["scan"], f"skull stripping: {content['engine']}"]
    parts.append(f"brain {numbers['brain_ml']:.0f} ml (yellow)")
    if numbers["lesion_ml"] is not None:
        count = int(numbers["lesion_count"])
        parts.append(f"lesions {numbers['lesion_ml']:.2f} ml in {count} (red)")
    parts.append(f"z {numbers['z_min']:.1f} to {numbers['z_max']:.1f}")
    return "   ".join(parts) + "\n" + "   ".join([CONVENTION, *content["flags"]])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture and the numbers of one scan."""
    given = _parser().parse_args(arguments)
    scan, arrays, model = _read(given)
    numbers = measure(arrays)
    content = to_json(given.scan, numbers, read_json(given.sidecar))
    shown = brain_alone(scan, load_mask(given.brain)) if given.deface else scan
    strips = strips_of(shown, arrays, model, numbers["bias_range"])
    draw(given.out_picture, strips, title_of(content))
    write_json(given.out_numbers, content)
    print(f"{given.scan}: {', '.join(content['flags']) or 'no flag'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m msnmo.quality", description=__doc__)
    parser.add_argument("--scan", required=True, help="the scan's name")
    parser.add_argument("--flair", type=Path, required=True, help="the scan as it arrived")
    parser.add_argument("--brain", type=Path, required=True, help="brain mask, native")
    parser.add_argument("--stripped", type=Path, required=True, help="skull-stripped scan, native")
    parser.add_argument("--n4", type=Path, required=True, help="the scan after N4, native")
    parser.add_argument("--sidecar", type=Path, required=True, help="JSON of skull stripping")
    parser.add_argument("--model", type=Path, required=True, help="z-scored scan, model space")
    parser.add_argument("--lesion", type=Path, help="lesion mask, native")
    parser.add_argument("--model-lesion", type=Path, help="lesion mask, model space")
    parser.add_argument("--deface", action="store_true", help="show only the brain")
    parser.add_argument("--out-picture", type=Path, required=True, help="PNG")
    parser.add_argument("--out-numbers", type=Path, required=True, help="JSON")
    return parser


def _read(arguments: argparse.Namespace) -> tuple[Volume, Arrays, Grid]:
    scan, model = load_volume(arguments.flair), load_volume(arguments.model)
    native = [
        _beside(path, scan, arguments.flair, load)
        for path, load in (
            (arguments.stripped, load_volume),
            (arguments.n4, load_volume),
            (arguments.brain, load_mask),
            (arguments.lesion, load_mask),
        )
    ]
    stripped, corrected, brain, lesion = native
    model_lesion = _beside(arguments.model_lesion, model, arguments.model, load_mask)
    arrays = Arrays(stripped, corrected, brain, scan.grid, model.data, lesion, model_lesion)
    return scan, arrays, model.grid


def _beside(path: Path | None, reference: Volume, reference_path: Path, load: Any) -> Any:
    """Return the voxels of a file on the reference's grid, or None if no file is given."""
    if path is None:
        return None
    volume = load(path)
    check_same_grid(path, volume, reference_path, reference)
    return volume.data


if __name__ == "__main__":
    run_command(main)
