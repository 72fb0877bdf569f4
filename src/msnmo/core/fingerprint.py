"""Digests of images, and seals: salted digests that only someone with the image can check.

A bundle holds seals of the scans that its folds learned from. A seal is made of every voxel. Nobody
can compute the image from it, and there is no short list of images to try, as there would be for
names or hospital numbers. Someone who has a scan can make its seal and see whether the bundle has
it. This is what seals are for, and nothing else can be learned from them. Each bundle has its own
salt, so that two bundles do not show whether they have scans in common.
"""

from __future__ import annotations

import hashlib
import hmac

import numpy as np

from msnmo.core.geometry import ras_order, reorder
from msnmo.core.volumes import Volume


def fingerprint(volume: Volume) -> str:
    """Return a digest of the voxels in RAS+ order. It is the same however an image is stored.

    It does not depend on file name, compression, header text, number type and order of the axes.
    If the value of a voxel differs, the digest differs.

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
