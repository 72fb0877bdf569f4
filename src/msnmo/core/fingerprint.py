"""What tells one picture from another, and a seal of it that only who holds the picture can check.

A bundle holds seals of the scans that its folds learned from. A seal is made of every voxel: nobody
can work back from it to a picture, and there is no short list of pictures to try, as there would be
of names or hospital numbers. Whoever holds a scan can make its seal and see whether the bundle has
it; that is all that can be learned, and what seals are for. The salt is another in each bundle, so
that two bundles do not tell whether they have scans in common.
"""

from __future__ import annotations

import hashlib
import hmac

import numpy as np

from msnmo.core.geometry import ras_order, reorder
from msnmo.core.volumes import Volume


def fingerprint(volume: Volume) -> str:
    """Return a digest of the voxels in RAS+ order. It is the same however an image is stored.

    File name, compression, header text, number type and order of the axes are of no consequence;
    a voxel whose value is another is.

    Parameters
    ----------
    volume : Volume
        As `msnmo.core.volumes.load_volume` or `load_mask` return.
    """
    upright = np.ascontiguousarray(reorder(volume.data, *ras_order(volume.grid.affine)))
    # -0 and 0 are one value, but not the same bytes
    upright = upright + upright.dtype.type(0)
    digest = hashlib.sha256(repr(upright.shape).encode())
    digest.update(upright.data)
    return digest.hexdigest()


def seal(digest: str, salt: str) -> str:
    """Return HMAC-SHA256 of a fingerprint under a salt, both hexadecimal."""
    return hmac.new(bytes.fromhex(salt), bytes.fromhex(digest), hashlib.sha256).hexdigest()
