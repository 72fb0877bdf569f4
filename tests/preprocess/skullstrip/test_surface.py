"""The embedded engine: its equations against the paper's, and heads on every kind of grid."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.preprocess.skullstrip import surface

MakeGrid = Callable[..., Grid]
MakeHead = Callable[..., Any]
DATA = os.environ.get("MSNMO_REAL_DATA")
VISITS = [(patient, visit) for patient in ("12", "01") for visit in (1, 2)]


@pytest.fixture(scope="module")
def found(head: Any) -> np.ndarray:
    """The mask of `head` with the default settings."""
    return surface.extract_brain(head.scan).mask


def test_smoothness_is_the_equation_of_the_paper() -> None:
    edge = 3.0
    low, high = 1.0 / 10.0, 1.0 / 3.33
    for along in (-2.0, -0.3, 0.0, 0.4, 1.0):
        radius = edge**2 / (2 * abs(along)) if along else math.inf
        e, f = (high + low) / 2, 6 / (high - low)
        expected = (1 + math.tanh(f * (1 / radius - e))) / 2
        assert surface.smoothness(np.array([along]), edge)[0] == pytest.approx(expected)


def test_more_smoothing_acts_on_concave_parts_alone_and_never_overshoots() -> None:
    along = np.array([-0.6, 0.6, 3.0])
    plain, strong = surface.smoothness(along, 3.0), surface.smoothness(along, 3.0, factor=10.0)
    assert strong[0] == plain[0]
    assert strong[1] > plain[1]
    assert strong.max() <= 1.0


def test_head_sphere_is_the_weighted_centre_and_the_radius_of_equal_volume() -> None:
    data = np.zeros((10, 12, 8), np.float32)
    data[2, 3, 4], data[8, 3, 4], data[5, 9, 1] = 50.0, 100.0, 900.0
    grid = Grid.from_affine(data.shape, np.diag([2.0, 1.0, 3.0, 1.0]))
    sphere = surface.head_sphere(Volume(data, grid), t2=0.0, t98=200.0)
    # Masses 50, 100 and 900 capped at 200; 0.1 * 200 is the threshold
    weights = np.array([50.0, 100.0, 200.0])
    places = np.array([[4.0, 3.0, 12.0], [16.0, 3.0, 12.0], [10.0, 9.0, 3.0]])
    np.testing.assert_allclose(sphere.centre, weights @ places / weights.sum())
    assert 4 / 3 * math.pi * sphere.radius**3 == pytest.approx(3 * 6.0)


def test_search_finds_the_extremes_within_the_depths_of_the_paper() -> None:
    # Intensity is a function of depth below the plane z = 60: a vertex on it looks down
    profile = np.full(64, 100.0, np.float32)
    spacing = surface.WORKING_MM
    top = 40
    profile[top - 10] = 30.0  # 15 mm deep: seen by I_min (20 mm) alone
    profile[top - 5] = 150.0  # 7.5 mm deep: seen by I_max (10 mm)
    profile[top - 8] = 500.0  # 12 mm deep: too deep for I_max
    profile[top - 14] = 1.0  # 21 mm deep: too deep for I_min
    working = surface.WorkingGrid(np.broadcast_to(profile, (3, 3, 64)).copy(), np.zeros(3))
    vertex, normal = np.array([[1.5, 1.5, top * spacing]]), np.array([[0.0, 0.0, 1.0]])
    levels = surface.Intensities(t2=5.0, t98=600.0, t=20.0, tm=300.0)
    low, high = surface._Search(working, levels)(vertex, normal)
    assert (low[0], high[0]) == (30.0, 150.0)
    # I_min lies between t_2 and t_m, I_max between t and t_m
    levels = surface.Intensities(t2=40.0, t98=600.0, t=50.0, tm=90.0)
    low, high = surface._Search(working, levels)(vertex, normal)
    assert (low[0], high[0]) == (40.0, 90.0)


def test_the_scan_goes_on_beyond_its_field_of_view() -> None:
    data = np.arange(4.0, dtype=np.float32).reshape(1, 1, 4) + np.zeros((4, 4, 1), np.float32)
    levels = surface.Intensities(t2=-9.0, t98=9.0, t=-9.0, tm=9.0)
    search = surface._Search(surface.WorkingGrid(data, np.zeros(3)), levels)
    far_above = np.array([[2.0, 2.0, 500.0]])
    low, high = search(far_above, np.array([[0.0, 0.0, 1.0]]))
    assert (low[0], high[0]) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("voxel_mm", "axes"),
    [
        ((2.0, 2.0, 2.0), "RAS"),
        ((1.5, 1.5, 5.0), "LPS"),
        ((3.0, 2.0, 2.0), "AIL"),
        ((5.0, 2.0, 2.0), "LSA"),
    ],
)
def test_brain_is_found_on_any_grid(
    head_grid: MakeGrid, make_head: MakeHead, voxel_mm: tuple[float, float, float], axes: str
) -> None:
    head = make_head(head_grid(voxel_mm, axes))
    found = surface.extract_brain(head.scan)
    assert head.dice(found.mask) > 0.96
    assert found.flags == []


@pytest.mark.parametrize("degrees", [15.0, 45.0])
def test_brain_is_found_in_an_oblique_scan(
    head_grid: MakeGrid, make_head: MakeHead, degrees: float
) -> None:
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.array([0.8, 0.0, 0.6])).as_matrix()
    # The grid turns with the head: only the affine tells it from the upright scan
    head = make_head(head_grid((2.0, 2.0, 4.0), turn=turn), turn=turn)
    upright = make_head(head_grid((2.0, 2.0, 4.0)))
    assert (np.abs(head.scan.data - upright.scan.data) > 1e-3).mean() < 1e-4
    found = surface.extract_brain(head.scan).mask
    assert head.dice(found) > 0.96
    assert upright.dice(found) > 0.96


def test_flipped_and_permuted_storage_gives_the_same_mask_in_space(
    head: Any, found: np.ndarray
) -> None:
    scan = head.scan
    stored = np.ascontiguousarray(scan.data[::-1].transpose(2, 0, 1))
    # New voxel (k, n - 1 - i, j) holds old voxel (i, j, k)
    back = np.zeros((4, 4))
    back[0, 1], back[0, 3] = -1.0, scan.data.shape[0] - 1
    back[1, 2] = back[2, 0] = back[3, 3] = 1.0
    grid = Grid.from_affine(stored.shape, scan.grid.affine @ back)
    mask = surface.extract_brain(Volume(stored, grid)).mask.transpose(1, 2, 0)[::-1]
    assert (mask != found).sum() < 1e-4 * found.sum()


def test_mask_is_repeatable(head: Any, found: np.ndarray) -> None:
    np.testing.assert_array_equal(surface.extract_brain(head.scan).mask, found)


def test_mask_does_not_depend_on_the_intensity_scale(head: Any, found: np.ndarray) -> None:
    scaled = Volume(head.scan.data * np.float32(8.0) - np.float32(1024.0), head.scan.grid)
    again = surface.extract_brain(scaled).mask
    assert _dice(again, found) > 0.999


def test_larger_frac_gives_a_smaller_brain(head: Any, found: np.ndarray) -> None:
    larger, smaller = (surface.extract_brain(head.scan, frac).mask for frac in (0.1, 0.7))
    assert larger.sum() > found.sum() > smaller.sum()


def test_robust_recovers_the_brain_from_a_centre_in_the_neck(
    head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_sphere = surface.head_sphere

    def low_sphere(scan: Volume, t2: float, t98: float) -> surface.Sphere:
        sphere = true_sphere(scan, t2, t98)
        return surface.Sphere(sphere.centre - [0.0, 0.0, 45.0], sphere.radius)

    monkeypatch.setattr(surface, "head_sphere", low_sphere)
    monkeypatch.setattr(surface, "ITERATIONS", 400)
    plain = head.dice(surface.extract_brain(head.scan).mask)
    robust = head.dice(surface.extract_brain(head.scan, robust=True).mask)
    assert robust > max(plain, 0.95)


def test_a_crossing_surface_is_run_again_with_more_smoothing_and_flagged(
    head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    deform = surface.deform

    def watched(*positional: object, smoothing: float, **named: object) -> np.ndarray:
        used.append(smoothing)
        return deform(*positional, smoothing=smoothing, **named)

    monkeypatch.setattr(surface, "deform", watched)
    monkeypatch.setattr(surface, "ITERATIONS", 400)
    monkeypatch.setattr(surface, "self_intersects", lambda vertices, topology: True)
    found = surface.extract_brain(head.scan)
    assert used == [1.0, 10.0]
    assert found.flags == ["the brain surface intersects itself"]
    assert head.dice(found.mask) > 0.95


def test_smoothing_falls_to_its_normal_strength_at_the_end() -> None:
    schedule = list(surface._smoothing_schedule(10.0))
    assert len(schedule) == 1000
    assert set(schedule[:751]) == {10.0}
    assert schedule[-1] == pytest.approx(1.0, abs=0.04)
    assert np.ptp(np.diff(schedule[751:])) < 1e-9


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((20, 20, 20)), "no head to see"),
        (np.full((20, 20, 20), 7.0), "no head to see"),
        (np.pad(np.ones((3, 3, 3)), 20), "no head to see"),
        (np.indices((20, 20, 20)).sum(axis=0) % 2, "no voxel of medium intensity"),
    ],
)
def test_images_without_a_head_are_refused(data: np.ndarray, message: str) -> None:
    grid = Grid.from_affine(data.shape, np.eye(4))
    with pytest.raises(ValueError, match=message):
        surface.extract_brain(Volume(data.astype(np.float32), grid))


def test_voxel_sizes_in_the_wrong_unit_are_refused() -> None:
    data = np.random.default_rng(0).random((40, 40, 40), np.float32)
    grid = Grid.from_affine(data.shape, np.diag([1000.0, 1000.0, 1000.0, 1.0]))
    with pytest.raises(ValueError, match="in millimetres"):
        surface.extract_brain(Volume(data, grid))


@pytest.mark.parametrize("shape", [(3, 3, 3), (1, 40, 40)])
def test_a_tiny_field_of_view_gives_a_mask_of_its_shape(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(3).random(shape, np.float32) * 100
    monkeypatch.setattr(surface, "ITERATIONS", 100)
    tiny = surface.extract_brain(Volume(data, Grid.from_affine(shape, np.eye(4))))
    assert tiny.mask.shape == shape


def test_working_grid_holds_the_scan_where_it_lies(head_grid: MakeGrid) -> None:
    turn = Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix()
    grid = head_grid((6.0, 7.0, 8.0), "PIR", turn)
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    place = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    # Linear interpolation is exact for a linear image
    slope = np.array([1.0, -2.0, 0.5])
    working = surface.resample(Volume((place @ slope).astype(np.float32), grid))
    place = np.random.default_rng(2).uniform(-60.0, 60.0, (500, 3))
    voxel = np.round((place - working.origin) / surface.WORKING_MM).astype(int)
    expected = (voxel * surface.WORKING_MM + working.origin) @ slope
    np.testing.assert_allclose(working.data[tuple(voxel.T)], expected, atol=1e-2)


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2.0 * float((one & other).sum()) / float(one.sum() + other.sum())


@pytest.mark.real
@pytest.mark.skipif(DATA is None, reason="MSNMO_REAL_DATA is not set")
def test_dice_on_real_scans() -> None:
    """Four raw 2D FLAIRs and one 3D FLAIR, all with the default settings."""
    folder = Path(str(DATA))
    scans = {
        f"patient{patient}_study{visit}": (
            folder / f"open_ms/longitudinal/raw/patient{patient}/study{visit}_FLAIR.nii.gz",
            folder / f"open_ms_brainmasks/patient{patient}/"
            f"study{visit}_brainmask_in_raw_FLAIR.nii.gz",
        )
        for patient, visit in VISITS
    }
    scans["healthy_flair"] = (folder / "healthy_flair/FLAIR.nii.gz", None)
    against_bet, against_reference = [], []
    for name, (file, reference) in scans.items():
        found = surface.extract_brain(load_volume(file))
        bet = load_mask(folder / f"bet2_masks/{name}.nii.gz").data
        against_bet.append(_dice(found.mask, bet))
        if reference is not None:
            against_reference.append(_dice(found.mask, load_mask(reference).data))
        assert found.flags == []
    assert np.mean(against_reference) >= 0.95
    assert np.mean(against_bet) >= 0.97
    assert min(against_bet) >= 0.96
