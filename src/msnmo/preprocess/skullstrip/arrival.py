"""Scans whose brain is already known: skull-stripped like ISBI 2015, or with a brain mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from msnmo.core.files import sha256
from msnmo.core.same_grid import check_same_grid
from msnmo.core.volumes import Volume, load_mask
from msnmo.preprocess.skullstrip.extraction import Extraction

ENGINE = "none (stripped on arrival)"
MASK_GIVEN = "none (brain mask given)"


def arrived_mask(scan: Volume) -> Extraction:
    """Return the voxels that are not zero, without islands and holes.

    All values except zero count, also negative ones: interpolation overshoots at the edge of the
    brain (4 % of the outermost voxels of two MNI-space FLAIRs). Zero voxels enclosed by the brain
    are brain: fluid, or intensities clipped to zero. If there are several pieces, only the largest
    is kept, because a distant speck would enlarge the crop (voxels that touch at a corner belong
    together). Pieces that were left out are flagged.
    """
    nonzero = scan.data != 0
    mask, islands = _largest_piece(nonzero)
    mask = ndimage.binary_fill_holes(mask)
    lost = f"{islands} non-zero voxels outside the brain were left out"
    flags = [lost] if islands else []
    return Extraction(mask, ENGINE, "n/a", {"holes_filled": int((mask & ~nonzero).sum())}, flags)


def given_mask(scan: Volume, scan_path: Path, path: Path) -> Extraction:
    """Return the brain mask given with the scan.

    Raises
    ------
    InputError
        If the mask cannot be read, is not binary or lies on another grid.
    """
    mask = load_mask(path)
    check_same_grid(path, mask, scan_path, scan)
    return Extraction(mask.data, MASK_GIVEN, "n/a", {"mask_sha256": sha256(path)})


def _largest_piece(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the largest connected piece and how many voxels the others have."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count <= 1:
        return mask, 0
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(sizes.argmax()), int(sizes.sum() - sizes.max())
