"""The picture of a scan: sides, proportions, outlines, and that it is repeatable."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from msnmo import mosaic
from msnmo.errors import InputError
from msnmo.files import write_json
from msnmo.volumes import Grid, Volume, save_volume

RED = mosaic.LESION_COLOUR


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
    for plane, panel in zip(mosaic.PLANES, middles, strict=True):
        half_up, half_across = panel.shape[0] // 2, panel.shape[1] // 2
        left, right = panel[:, :half_across].mean(), panel[:, half_across:].mean()
        assert panel[:half_up].mean() > panel[half_up:].mean(), "front or top is not above"
        brighter = {"axial": right, "coronal": right, "sagittal": left}[plane.name]
        assert brighter == max(left, right), plane.name
    assert [(plane.left, plane.right) for plane in mosaic.PLANES] == [
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
    masks = [(brain, mosaic.BRAIN_COLOUR), (lesion, RED)]
    rows = mosaic.paint(scan.data, masks, scan.grid)
    pixel_mm = 100 / mosaic.LONGEST_PIXELS
    panel = _panels(rows[0])[3]
    yellow = np.argwhere((panel == np.float32(mosaic.BRAIN_COLOUR)).all(axis=2))
    np.testing.assert_allclose(np.ptp(yellow, axis=0) * pixel_mm, [60, 40], atol=2)
    red = np.argwhere((panel == np.float32(RED)).all(axis=2))
    np.testing.assert_allclose(np.ptp(red, axis=0) * pixel_mm, [8, 8], atol=2)
    inside = panel[tuple(np.round(red.mean(axis=0)).astype(int))]
    assert (inside == inside[0]).all(), "an outline is not filled"
    # Slices are spread over the brain: the first and last show it too
    assert all((p == np.float32(mosaic.BRAIN_COLOUR)).all(axis=2).any() for p in _panels(rows[0]))


@pytest.fixture
def files(tmp_path: Path, scan: Volume) -> Path:
    brain = np.zeros(scan.grid.shape, bool)
    brain[10:30, 10:40, 2:10] = True
    save_volume(tmp_path / "scan.nii.gz", scan.data, scan.grid)
    save_volume(tmp_path / "brain.nii.gz", brain, scan.grid, np.uint8)
    save_volume(tmp_path / "lesion.nii.gz", brain, scan.grid, np.uint8)
    other = Grid.from_affine(scan.grid.shape, np.eye(4))
    save_volume(tmp_path / "other.nii.gz", brain, other, np.uint8)
    save_volume(tmp_path / "empty.nii.gz", np.zeros_like(brain), scan.grid, np.uint8)
    made = {"engine": "surface", "flags": ["look at $this^flag"]}
    write_json(tmp_path / "made.json", {"skullstrip": made})
    return tmp_path


def _draw(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: str) -> bytes:
    line = ["--image", "scan.nii.gz", "--mask", "brain.nii.gz", "--out", "picture.png"]
    for name, value in options.items():
        line += [f"--{name}", value]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["mosaic", *line])
    mosaic.main()
    return (folder / "picture.png").read_bytes()


def test_equal_scans_give_equal_bytes(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"lesion": "lesion.nii.gz", "sidecar": "made.json"}
    once = _draw(files, monkeypatch, **options)
    with mpl.rc_context({"font.size": 30, "savefig.dpi": 300, "text.color": "blue"}):
        assert _draw(files, monkeypatch, **options) == once
    assert _draw(files, monkeypatch) != once


def test_title_says_what_is_seen(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []
    monkeypatch.setattr(mosaic, "draw", lambda path, rows, title: titles.append(title))
    (files / "picture.png").touch()
    _draw(files, monkeypatch, lesion="lesion.nii.gz", sidecar="made.json")
    for part in ("scan.nii.gz", "surface", "brain 115 ml", "lesions 115.20 ml", "radiological"):
        assert part in titles[0]
    assert "look at $this^flag" in titles[0]


def test_an_empty_mask_can_still_be_looked_at(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _draw(files, monkeypatch, mask="empty.nii.gz").startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["mask", "lesion"])
def test_a_mask_of_another_scan_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    with pytest.raises(InputError, match=r"other\.nii\.gz"):
        _draw(files, monkeypatch, **{option: "other.nii.gz"})
    assert not (files / "picture.png").exists()
