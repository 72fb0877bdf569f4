"""Writing NIfTI volumes: atomically, with a fresh header, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from isal import isal_zlib

from msnmo.core.files import atomic_path
from msnmo.core.grid import Grid
from msnmo.core.nifti import nib

# of ISA-L: a fifteenth of the time of zlib's level 1, nibabel's, and no larger; with a gzip header,
# whose time stamp is 0
GZIP_LEVEL, GZIP = 2, 31


def save_volume(path: Path | str, data: np.ndarray, grid: Grid, dtype: type = np.float32) -> None:
    """Write a volume atomically with a fresh header.

    Data type and scaling of the original scan are not kept, because an int16 header with a slope
    would quantise probabilities. Shape, affine, both forms, their codes and the units are those of
    `grid`. Equal data give equal bytes (no time stamp in the gzip header).

    Parameters
    ----------
    path : Path or str
        Ends in `.nii` or `.nii.gz`.
    data : (I, J, K) ndarray
        Values; must have the grid's shape.
    grid : Grid
        Where the voxels lie.
    dtype : type
        numpy type on disk: float32 for images and maps, uint8 for masks.
    """
    _write(path, np.ascontiguousarray(data, dtype=dtype), grid, slope=1.0)


def save_scaled(
    path: Path | str, data: np.ndarray, grid: Grid, dtype: type, top: float | None = None
) -> None:
    """Write a map as whole numbers scaled by the header. It is for viewing, not computing.

    Of a gzipped float32 map, four fifths are noise in the last digits. If you need a mask of the
    map, apply the threshold before. 0 stays 0 and signs are kept. The rest is as in `save_volume`.

    Parameters
    ----------
    path : Path or str
        Ends in `.nii` or `.nii.gz`.
    data : (I, J, K) ndarray of float
        Values; at least 0 where `dtype` has no sign.
    grid : Grid
        Where the voxels lie.
    dtype : type
        numpy integer type on disk. A step is `top` divided by the largest number of the type, and a
        value is at most half a step off.
    top : float, optional
        The largest possible absolute value, such as 1 for a probability; by default that of the
        data.

    Raises
    ------
    ValueError
        If the type cannot hold the values, or the shapes differ.
    """
    highest = float(np.abs(data).max()) if top is None else top
    most = np.iinfo(dtype).max
    # rounded down, so that no value that is read exceeds the highest
    slope = float(np.nextafter(np.float32(highest / most), np.float32(0))) or 1.0
    steps = np.rint(data.astype(np.float64) / slope)
    if steps.min() < np.iinfo(dtype).min or steps.max() > most + 1:
        raise ValueError(f"{np.dtype(dtype)} cannot hold {data.min():g} to {data.max():g}")
    _write(path, np.minimum(steps, most).astype(dtype), grid, slope)


def save_probability(path: Path | str, data: np.ndarray, grid: Grid) -> None:
    """Write a map from 0 to 1 in steps of 1/255, as `save_scaled` does.

    One half lies between two steps. A value above one half is above it in the file too.
    """
    save_scaled(path, data, grid, np.uint8, top=1.0)


def _write(path: Path | str, data: np.ndarray, grid: Grid, slope: float) -> None:
    """Write the numbers as they will be on disk."""
    if tuple(data.shape) != grid.shape:
        raise ValueError(f"data of shape {data.shape} cannot lie on a grid of {grid.shape}")
    header = nib.Nifti1Header()
    header.set_data_shape(data.shape)
    header.set_data_dtype(data.dtype)
    header.set_zooms(grid.voxel_mm)
    header.set_qform(grid.qform, grid.qform_code, strip_shears=True)
    header.set_sform(grid.sform, grid.sform_code)
    header["xyzt_units"] = grid.xyzt_units
    header.set_slope_inter(slope, 0)
    header.set_data_offset(header.single_vox_offset)
    # nibabel's own images forget the slope, or divide by it
    no_extensions = bytes(header.single_vox_offset - header.sizeof_hdr)
    whole = header.binaryblock + no_extensions + data.tobytes(order="F")
    with atomic_path(path) as temporary:
        if temporary.name.endswith(".gz"):
            whole = isal_zlib.compress(whole, GZIP_LEVEL, GZIP)
        temporary.write_bytes(whole)
