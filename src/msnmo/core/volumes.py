"""Reading NIfTI volumes and masks: one place that trusts no header."""

from __future__ import annotations

import contextlib
import gzip
import logging
import math
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip

from msnmo.core.counts import counted
from msnmo.core.errors import InputError, bad_input
from msnmo.core.fetched import not_fetched
from msnmo.core.grid import Grid
from msnmo.core.memory import claim
from msnmo.core.nifti import nib

# Voxel axes shorter than this (mm), or longer than its inverse, are no header of a scan; nor are
# axes that span less than this share of the box they would span at right angles
SHORTEST_AXIS_MM, FLATTEST = 1e-4, 0.01
ENDINGS = (".nii", ".nii.gz")
# The magic string of NIfTI-1 and -2 with header and voxels in one file, and where it stands
SINGLE = ((344, b"n+1\0", nib.Nifti1Image), (4, b"n+2\0", nib.Nifti2Image))
GZIPPED = b"\x1f\x8b"
# First bytes of other files with a NIfTI name, and their position: what it is, and the remedy
FOREIGN = (
    (128, b"DICM", ("a DICOM file", "convert it (dcm2niix, msnmo cohort dicom)")),
    (0, b"PK\x03\x04", ("a zip archive", "unpack it (unzip)")),
    (0, b"BZh", ("a bzip2-compressed file", "unpack it (bunzip2)")),
    (0, b"\xfd7zXZ", ("an xz-compressed file", "unpack it (unxz)")),
    (0, b"\x28\xb5\x2f\xfd", ("a zstd-compressed file", "unpack it (unzstd)")),
    (0, b"NRRD", ("an NRRD file", "save it as NIfTI in the viewer, e.g. 3D Slicer")),
    (0, b"ObjectType", ("a MetaImage header", "convert it to NIfTI (e.g. SimpleITK)")),
    (0, b"<", ("a web page or XML", "download the file again, logged in")),
)
Stream = gzip.GzipFile | BufferedReader
# gzip packs at most this many bytes into one (RFC 1951: 258 bytes in two bits)
MOST_DEFLATED = 1032
# No scan of a head has more voxels, no header more bytes; what writers leave behind the voxels is
# a block at most. A few kB of gzip can claim any number of each.
MOST_VOXELS, MOST_HEADER, MOST_BEHIND = 1024**3, 2**26, 2**20
# Whatever works on a volume holds a few arrays of its size at once
ARRAYS = 4
# Bytes that are read at a time
PIECE = 2**24


@dataclass(frozen=True)
class Volume:
    """A three-dimensional image: voxel values and their grid.

    Parameters
    ----------
    data : (I, J, K) ndarray
        Voxel values as float32, header scaling applied.
    grid : Grid
        Where the voxels lie.
    behind : int
        Bytes of the file after the voxels, which no reader uses.
    """

    data: np.ndarray
    grid: Grid
    behind: int = 0


def load_volume(path: Path | str) -> Volume:
    """Read a whole NIfTI file.

    Parameters
    ----------
    path : Path or str
        A `.nii` or `.nii.gz` file, three-dimensional (trailing axes of length 1 are dropped).

    Returns
    -------
    Volume
        float32 values, all finite.

    Raises
    ------
    InputError
        Names the file, if it is missing, truncated, no NIfTI, not three-dimensional, has a singular
        affine, or holds values that are complex, coloured or not finite. Also if its header gives
        more voxels than a head has, or the file holds more bytes than the header says.
    MemoryError
        If there is too little memory to work on it. Nothing has been allocated then.
    """
    path = Path(path)
    with _open(path) as stream:
        image = _parse(path, stream)
        grid = _checked_grid(path, image)
        _check_size(path, image)
        claim(ARRAYS * math.prod(grid.shape) * np.dtype(np.float32).itemsize, path)
        data, behind = _read_voxels(path, image, stream, grid.shape)
    if not np.isfinite(data).all():
        count = int((~np.isfinite(data)).sum())
        raise bad_input(
            path,
            "finite voxel values",
            f"{counted(count, 'voxel is', 'voxels are')} NaN or infinite",
            "export the scan again, or replace them (e.g. fslmaths IN -nan OUT)",
        )
    return Volume(data, grid, behind)


def voxels_claimed(path: Path | str) -> int:
    """Return the number of voxels in a file's header; 0 if it will be refused before reading."""
    path = Path(path)
    try:
        with _open(path) as stream:
            image = _parse(path, stream)
            grid = _checked_grid(path, image)
            _check_size(path, image)
    except InputError:
        return 0
    return math.prod(grid.shape)


THRESHOLD = "threshold the mask, or give the label that is meant its own file"


def load_mask(path: Path | str) -> Volume:
    """Read a binary mask as bool voxels.

    Raises
    ------
    InputError
        As `load_volume` and `as_mask`.
    """
    return as_mask(path, load_volume(path))


def as_mask(path: Path | str, volume: Volume, remedy: str = THRESHOLD) -> Volume:
    """Return the voxels of a binary mask as bool.

    Raises
    ------
    InputError
        If the values are not 0 and one other value (within 1e-3 of it).
    """
    top = float(volume.data.max())
    near_zero = np.abs(volume.data) <= 1e-3 * max(top, 1e-6)
    near_top = np.abs(volume.data - top) <= 1e-3 * max(top, 1e-6)
    if top < 0 or not (near_zero | near_top).all():
        values = ", ".join(f"{value:g}" for value in np.unique(volume.data)[:6])
        raise bad_input(
            path,
            "a binary mask: 0 and one positive value",
            f"values {values}, ...",
            remedy,
        )
    return Volume(near_top & (top > 0), volume.grid, volume.behind)


def _open(path: Path) -> Stream:
    if not path.name.endswith(ENDINGS):
        remedy = "convert the scan to NIfTI (e.g. dcm2niix)"
        raise bad_input(path, "a file ending in .nii or .nii.gz", path.name, remedy)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            # a pipe would be waited for, and some devices never end
            remedy = "write its content to a file and give that file"
            raise bad_input(path, "a NIfTI file", "a pipe, socket or device", remedy)
        return igzip.open(path) if path.name.endswith(".gz") else path.open("rb")
    except OSError as error:
        remedy = "correct the path in the scan table, or the file's permissions"
        raise bad_input(path, "a NIfTI file", str(error.strerror), remedy) from error


def _parse(path: Path, stream: Stream) -> nib.Nifti1Image:
    try:
        with _quiet_nibabel():
            kind = _kind(stream)
            return kind.from_file_map(kind.make_file_map({"image": stream}), mmap=False)
    except MemoryError:
        raise
    except Exception as error:  # gzip, zlib and nibabel have many kinds: each says "no NIfTI file"
        found, remedy = _known_kind(path) or (
            not_fetched(path) or f"{type(error).__name__}: {error}",
            "copy or convert the file again",
        )
        raise bad_input(path, "a NIfTI file", found, remedy) from error


def _known_kind(path: Path) -> tuple[str, str] | None:
    """Identify a file with a NIfTI name by its first bytes. Return it and the remedy, or None.

    Only files of a wrong name or kind are found. For damaged files the reader's message says more.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(nib.Nifti2Header.sizeof_hdr)
    except OSError:  # of a failing disk: the reader has said so
        return None
    if path.name.endswith(".gz") and any(start[at:].startswith(m) for at, m, _ in SINGLE):
        bare = path.name.removesuffix(".gz")
        return (
            "an uncompressed NIfTI file",
            f"rename it to {bare}, then compress it: gzip {bare}",
        )
    if path.name.endswith(".nii") and start.startswith(GZIPPED):
        return "a gzip-compressed file", f"rename it to {path.name}.gz"
    found = next((kind for at, magic, kind in FOREIGN if start[at:].startswith(magic)), None)
    return found and (f"{found[0]}, not NIfTI", found[1])


def _kind(stream: Stream) -> type[nib.Nifti1Image]:
    """Return NIfTI-1 or -2 by the magic string of a single file, and rewind.

    nibabel would also accept the header of a pair (.hdr, .img), and read the header as voxels.
    """
    start = stream.read(nib.Nifti2Header.sizeof_hdr)
    stream.seek(0)
    for place, magic, kind in SINGLE:
        if start[place : place + 4] == magic:
            header = kind.header_class(start[: kind.header_class.sizeof_hdr], check=False)
            # nibabel reads all before the voxels as text of the header
            if header["vox_offset"] > MOST_HEADER:
                raise ValueError(f"a header that claims {header['vox_offset']:g} bytes")
            return kind
    raise ValueError("no header of a single NIfTI file" if start else "an empty file")


def _checked_grid(path: Path, image: nib.Nifti1Image) -> Grid:
    shape = image.shape
    if len(shape) < 3 or any(length != 1 for length in shape[3:]) or min(shape) < 1:
        remedy = "give one three-dimensional volume (e.g. fslroi IN OUT 0 1)"
        raise bad_input(path, "a three-dimensional volume", f"shape {shape}", remedy)
    remedy = "convert the scan again; its orientation is broken"
    try:
        with _quiet_nibabel():
            grid = Grid.from_header(image.header)
    except (nib.spatialimages.HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise bad_input(path, "a valid sform or qform", str(error), remedy) from error
    if not np.isfinite([grid.sform, grid.qform]).all():
        found = f"sform {grid.sform.tolist()}, qform {grid.qform.tolist()}"
        raise bad_input(path, "finite sform and qform", found, remedy)
    if not np.isfinite(grid.affine).all() or not _has_three_axes(grid.affine):
        raise bad_input(path, "an invertible affine", str(grid.affine.tolist()), remedy)
    return grid


def _has_three_axes(affine: np.ndarray) -> bool:
    """Whether the voxel axes have usable lengths and span a volume."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not (lengths > SHORTEST_AXIS_MM).all() or not (lengths < 1 / SHORTEST_AXIS_MM).all():
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / lengths)) > FLATTEST)


def _check_size(path: Path, image: nib.Nifti1Image) -> None:
    """Before taking memory, refuse a header that claims more than the file can hold."""
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        remedy = "give the magnitude image, in grey values"
        raise bad_input(path, "one real number per voxel", f"data type {dtype}", remedy)
    proxy: Any = image.dataobj  # an ArrayProxy, as the image was just read from a file
    offset = int(proxy.offset)
    if offset < image.header.single_vox_offset:
        expected = f"voxels from byte {image.header.single_vox_offset} on, after the header"
        remedy = "convert the scan again; its header (vox_offset) is broken"
        raise bad_input(path, expected, f"voxels from byte {offset} on", remedy)
    needed = offset + math.prod(map(int, image.shape)) * dtype.itemsize
    on_disk = path.stat().st_size
    if needed > on_disk * (MOST_DEFLATED if path.name.endswith(".gz") else 1):
        expected = f"{needed} bytes of header and voxels (shape {image.shape}, {dtype})"
        remedy = "the file is truncated or damaged: copy it again from its source"
        raise bad_input(path, expected, f"too small a file, {on_disk} bytes", remedy)
    if math.prod(map(int, image.shape)) > MOST_VOXELS:
        remedy = "convert the scan again from its DICOM: its header is wrong, or it shows no head"
        expected = f"at most {MOST_VOXELS} voxels (1024 x 1024 x 1024)"
        raise bad_input(path, expected, f"shape {image.shape}", remedy)


def _read_voxels(
    path: Path, image: nib.Nifti1Image, stream: Stream, shape: tuple[int, int, int]
) -> tuple[np.ndarray, int]:
    """Return the voxels, and the number of bytes after them."""
    try:
        with warnings.catch_warnings():
            # float64 values beyond float32 become inf and are reported as such by the caller
            warnings.simplefilter("ignore", RuntimeWarning)
            data = _in_pieces(image, stream, shape)
        behind = _count(stream, MOST_BEHIND + 1)
    except MemoryError:
        raise
    except Exception as error:  # gzip, zlib, nibabel and numpy each have their own kinds
        found = f"{type(error).__name__}: {error}"
        remedy = "the file is truncated or damaged: copy it again from its source"
        raise bad_input(path, "voxel data as long as the header says", found, remedy) from error
    if behind > MOST_BEHIND:
        found = f"more than {MOST_BEHIND} bytes after the voxels"
        remedy = "convert the scan again; its header claims fewer voxels than the file holds"
        raise bad_input(path, "voxel data as long as the header says", found, remedy)
    return data, behind


def _in_pieces(image: nib.Nifti1Image, stream: Stream, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the voxels, scaled as in nibabel, without holding all raw voxels in memory."""
    proxy: Any = image.dataobj
    dtype = image.get_data_dtype()
    data = np.empty(shape, np.float32, order="F")
    flat = data.reshape(-1, order="F")  # no copy
    most = PIECE // dtype.itemsize
    for start in range(0, flat.size, most):
        part = flat[start : start + most]
        offset = int(proxy.offset) + start * dtype.itemsize
        layout = (part.shape, dtype, offset, proxy.slope, proxy.inter)
        part[:] = np.asanyarray(nib.arrayproxy.ArrayProxy(stream, layout, mmap=False), np.float32)
    return data


def _count(stream: Stream, most: int) -> int:
    """Return how many bytes are left, at most `most`. A gzip's checksum is verified at its end."""
    count = 0
    while count < most and (piece := stream.read(most - count)):
        count += len(piece)
    return count


@contextlib.contextmanager
def _quiet_nibabel() -> Iterator[None]:
    """Keep nibabel's header warnings off the terminal: we report what matters ourselves."""
    logger = logging.getLogger("nibabel.global")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
