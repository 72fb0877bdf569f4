"""The picture of a scan: sides, proportions, outlines, and that it is repeatable."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.quality import mosaic
from msnmo.viewing.slices import PLANES, SAGITTAL

RED = (1.0, 0.15, 0.15)
YELLOW = (1.0, 0.85, 0.0)


@pytest.fixture
def scan() -> Volume:
    """A box head stored left-posterior-superior with thick slices; brighter at left, front, top."""
    shape = (40, 50, 12)
    affine = np.array([[-2.0, 0, 0, 40], [0, -2.0, 0, 50], [0, 0, 6.0, -36], [0, 0, 0, 1]])
    data = np.full(shape, 40.0, np.float32)
    data[30:] += 30.0  # left of the patient: i runs to the left
    data[:, :10] += 60.0  # front: j runs to the back
    data[:, :, 9:] += 120.0  # top
    return Volume(data, Grid.from_affine(shape, affine))


def _panels(row: np.ndarray) -> list[np.ndarray]:
    width = (row.shape[1] + mosaic.GAP_PIXELS) // mosaic.COLUMNS
    return [row[:, n * width : (n + 1) * width - mosaic.GAP_PIXELS] for n in range(mosaic.COLUMNS)]


def test_sides_are_where_the_picture_says(scan: Volume) -> None:
    nothing = np.zeros(scan.grid.shape, bool)
    rows = mosaic.paint(scan.data, [(nothing, RED)], scan.grid)
    middles = [_panels(row)[3][..., 0] for row in rows]
    for plane, panel in zip(PLANES, middles, strict=True):
        half_up, half_across = panel.shape[0] // 2, panel.shape[1] // 2
        left, right = panel[:, :half_across].mean(), panel[:, half_across:].mean()
        assert panel[:half_up].mean() > panel[half_up:].mean(), "front or top is not above"
        brighter = {"axial": right, "coronal": right, "sagittal": left}[plane.name]
        assert brighter == max(left, right), plane.name
    assert [(plane.left, plane.right) for plane in PLANES] == [
        ("R", "L"),
        ("R", "L"),
        ("A", "P"),
    ]


def test_pixels_are_square_in_millimetres(scan: Volume) -> None:
    nothing = np.zeros(scan.grid.shape, bool)
    axial, coronal, sagittal = mosaic.paint(scan.data, [(nothing, RED)], scan.grid)
    # The head is 80 x 100 x 72 mm, and 100 mm are the longest side
    for row, (across, up) in ((axial, (80, 100)), (coronal, (80, 72)), (sagittal, (100, 72))):
        height, width = _panels(row)[0].shape[:2]
        assert height == pytest.approx(up / 100 * mosaic.LONGEST_PIXELS, abs=1)
        assert width == pytest.approx(across / 100 * mosaic.LONGEST_PIXELS, abs=1)


def test_outlines_enclose_the_masks(scan: Volume) -> None:
    brain, lesion = np.zeros(scan.grid.shape, bool), np.zeros(scan.grid.shape, bool)
    brain[10:30, 10:40, 2:10] = True
    lesion[18:22, 24:28, 5:7] = True
    masks = [(brain, YELLOW), (lesion, RED)]
    rows = mosaic.paint(scan.data, masks, scan.grid)
    pixel_mm = 100 / mosaic.LONGEST_PIXELS
    panel = _panels(rows[0])[3]
    yellow = np.argwhere((panel == np.float32(YELLOW)).all(axis=2))
    np.testing.assert_allclose(np.ptp(yellow, axis=0) * pixel_mm, [60, 40], atol=2)
    red = np.argwhere((panel == np.float32(RED)).all(axis=2))
    np.testing.assert_allclose(np.ptp(red, axis=0) * pixel_mm, [8, 8], atol=2)
    inside = panel[tuple(np.round(red.mean(axis=0)).astype(int))]
    assert (inside == inside[0]).all(), "an outline is not filled"
    # Slices are spread over the brain: the first and last show it too
    assert all((p == np.float32(YELLOW)).all(axis=2).any() for p in _panels(rows[0]))


def test_slices_with_lesions_are_preferred(scan: Volume) -> None:
    brain, lesion = np.zeros(scan.grid.shape, bool), np.zeros(scan.grid.shape, bool)
    brain[10:30] = True
    lesion[16:20, 24:28, 6] = True
    (plain,) = mosaic.paint(scan.data, [(brain, RED)], scan.grid, [SAGITTAL])
    (shown,) = mosaic.paint(
        lesion.astype(np.float32), [(brain, RED)], scan.grid, [SAGITTAL], prefer=lesion
    )
    assert plain.shape == shown.shape
    white = [(panel == 1).all(axis=2).any() for panel in _panels(shown)]
    # i from 16 to 19 is in the parts of the brain that two of the seven columns stand for
    assert sum(white) == 2


def test_equal_strips_give_equal_bytes(scan: Volume, tmp_path: Path) -> None:
    nothing = np.zeros(scan.grid.shape, bool)
    rows = mosaic.paint(scan.data, [(nothing, RED)], scan.grid)
    strips = [mosaic.Strip(plane.name, plane, row) for plane, row in zip(PLANES, rows, strict=True)]
    mosaic.draw(tmp_path / "a.png", strips, "a $title^x")
    with mpl.rc_context({"font.size": 30, "savefig.dpi": 300, "text.color": "blue"}):
        mosaic.draw(tmp_path / "b.png", strips, "a $title^x")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
