"""Check that two volumes are on one grid, or that one can be resampled to the grid of the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from msnmo.core.errors import bad_input
from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume

RESAMPLE = (
    "give a mask drawn on this scan, or resample it to the scan's grid "
    "(antsApplyTransforms -n GenericLabel, flirt -applyxfm -usesqform)"
)


def check_same_grid(
    path: Path | str,
    volume: Volume,
    reference_path: Path | str,
    reference: Volume,
    remedy: str = RESAMPLE,
) -> None:
    """Refuse a volume that is not on the grid of another.

    Raises
    ------
    InputError
        Names both files and both grids. Or as `check_placed`: a volume whose place is a guess must
        not be resampled.
    """
    if volume.grid.matches(reference.grid):
        return
    if remedy is RESAMPLE:
        check_placed(path, volume, reference_path, reference)
    raise bad_input(
        path,
        f"the grid of {reference_path}: {_describe(reference.grid)}",
        _describe(volume.grid),
        remedy,
    )


def check_placed(
    path: Path | str, volume: Volume, reference_path: Path | str, reference: Volume
) -> None:
    """Refuse to resample a volume to another grid if either place in the scanner is a guess.

    Raises
    ------
    InputError
        Naming the file that has neither sform nor qform.
    """
    for file, each in ((path, volume), (reference_path, reference)):
        if not each.grid.is_placed:
            found = f"{each.grid.form_conflict}, so {path} cannot be resampled"
            remedy = "convert it again with its orientation"
            if volume.grid.shape == reference.grid.shape:
                remedy += (
                    "; for a mask drawn on this scan, copy the scan's header (fslcpgeom "
                    f"{reference_path} {path})"
                )
            raise bad_input(file, "a header with sform or qform", found, remedy)


def _describe(grid: Grid) -> str:
    return f"shape {grid.shape}, affine {np.round(grid.affine[:3], 3).tolist()}"
