"""Scans that arrive skull-stripped, as those of the ISBI 2015 challenge: their mask is in them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from msnmo.skullstrip.extraction import Extraction
from msnmo.volumes import Volume

ENGINE = "none (stripped on arrival)"
# Share of the voxels on the volume's faces that may differ from 0 in a scan with no background
MOST_ON_FACES = 0.5


def arrived_mask(scan: Volume) -> Extraction:
    """Return the voxels that are not zero, without islands and holes.

    Any value but zero counts, negative ones included: interpolation overshoots at the brain's edge
    (4 % of the outermost voxels of two MNI-space FLAIRs). Zero voxels that the brain encloses are
    brain: fluid, or intensities clipped to zero. Of several pieces the largest is kept (voxels that
    touch at a corner belong together), since a speck far away would widen the crop; what was left
    out is flagged.
    """
    nonzero = scan.data != 0
    mask, islands = _largest_piece(nonzero)
    mask = ndimage.binary_fill_holes(mask)
    lost = f"{islands} non-zero voxels outside the brain were left out"
    flags = [lost] if islands else []
    return Extraction(mask, ENGINE, "n/a", {"holes_filled": int((mask & ~nonzero).sum())}, flags)


def background_doubts(scan: Volume) -> list[str]:
    """Return what speaks against the scan's background being zero; empty if nothing."""
    faces = np.concatenate([scan.data.take((0, -1), axis=axis).ravel() for axis in range(3)])
    share = float((faces != 0).mean())
    if share <= MOST_ON_FACES:
        return []
    return [f"{share:.0%} of the voxels on the volume's faces are not zero"]


def _largest_piece(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the largest connected piece and how many voxels the others have."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count <= 1:
        return mask, 0
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(sizes.argmax()), int(sizes.sum() - sizes.max())
