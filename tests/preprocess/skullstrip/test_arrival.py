"""Scans that arrive without their skull."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from msnmo.core.grid import Grid
from msnmo.core.plausibility import background_doubts, volume_doubts
from msnmo.core.volumes import Volume, load_volume
from msnmo.preprocess.skullstrip.arrival import ENGINE, arrived_mask

DATA = os.environ.get("MSNMO_REAL_DATA")


def _scan(data: np.ndarray) -> Volume:
    return Volume(data.astype(np.float32), Grid.from_affine(data.shape, np.eye(4)))


@pytest.fixture
def brain() -> np.ndarray:
    data = np.zeros((20, 20, 20))
    data[4:16, 4:16, 4:16] = 100.0
    return data


def test_every_value_but_zero_is_brain(brain: np.ndarray) -> None:
    brain[4, 4:16, 4:16] = -3.0
    brain[15, 15, 15] = 1e-6
    found = arrived_mask(_scan(brain))
    np.testing.assert_array_equal(found.mask, brain != 0)
    assert found.engine == ENGINE
    assert found.flags == []


def test_enclosed_zeros_are_brain_and_open_ones_are_not(brain: np.ndarray) -> None:
    brain[8:10, 8:10, 8:10] = 0.0
    brain[4:9, 12, 12] = 0.0
    found = arrived_mask(_scan(brain))
    assert found.mask[8:10, 8:10, 8:10].all()
    assert not found.mask[4:9, 12, 12].any()
    assert found.settings == {"holes_filled": 8}


def test_islands_are_left_out_and_flagged(brain: np.ndarray) -> None:
    brain[1, 1, 1] = -0.5
    brain[18, 18, 17:19] = 0.5
    # Touches the brain at a corner alone: belongs to it
    brain[3, 3, 3] = 20.0
    found = arrived_mask(_scan(brain))
    assert found.mask.sum() == 12**3 + 1
    assert found.flags == ["3 non-zero voxels outside the brain were left out"]


def test_a_constant_background_is_doubted(brain: np.ndarray) -> None:
    assert background_doubts(_scan(brain)) == []
    assert "100% of the voxels" in background_doubts(_scan(brain - 5.0))[0]
    # A brain cut off by the field of view touches one face, not most of them
    assert background_doubts(_scan(brain[:, :, 5:])) == []


@pytest.mark.real
@pytest.mark.skipif(DATA is None, reason="MSNMO_REAL_DATA is not set")
def test_real_stripped_scans_and_real_heads() -> None:
    folder = Path(str(DATA))
    stripped = sorted(folder.glob("open_ms/cross_sectional/MNI/*/FLAIR*.nii.gz"))
    heads = sorted(folder.glob("open_ms/longitudinal/raw/*/*.nii.gz"))
    assert stripped
    assert heads
    for file in stripped:
        scan = load_volume(file)
        found = arrived_mask(scan)
        np.testing.assert_array_equal(found.mask, scan.data != 0)
        assert volume_doubts(found.mask, scan.grid) + background_doubts(scan) + found.flags == []
    for file in heads:
        scan = load_volume(file)
        assert volume_doubts(arrived_mask(scan).mask, scan.grid)
