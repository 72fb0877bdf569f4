"""Each perturbation does to a scan what its name and severity say, and nothing at none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from msnmo.core.errors import bad_input
from msnmo.core.geometry import sample_on_grid
from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.preprocess.skullstrip.extraction import Extraction
from msnmo.robustness import perturbations
from msnmo.robustness.conditions import Condition, conditions_of
from msnmo.robustness.perturbations import (
    Head,
    LeftOut,
    add_bias_field,
    add_noise,
    change_gamma,
    perturb,
    resize_mask,
    strip_again,
    thicken_slices,
    through_plane,
    turn,
)
from msnmo.settings.robustness import Robustness
from tests.robustness.conftest import LESIONS_MM, ball, places

STRIP = {"frac": 0.4, "robust": False, "implausible": "error"}
UNCHANGED = {
    "bias_field": lambda head: add_bias_field(head, 1.0, seed=3),
    "noise": lambda head: add_noise(head, 0.0, seed=3),
    "rotation": lambda head: turn(head, 0.0, seed=3),
    "brain_mask": lambda head: resize_mask(head, 0.0),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_a_severity_of_nothing_changes_no_bit(name: str, head: Head) -> None:
    made = UNCHANGED[name](head)
    assert made.scan.data.dtype == np.float32
    np.testing.assert_array_equal(made.scan.data, head.scan.data)
    np.testing.assert_array_equal(made.brain, head.brain)
    assert made.lies_on.matches(made.scan.grid)


@pytest.mark.parametrize("ratio", [1.2, 2.0])
def test_a_bias_field_is_smooth_and_as_strong_as_asked(ratio: float, head: Head) -> None:
    made = add_bias_field(head, ratio, seed=3)
    inside = head.scan.data > 0
    field = np.log(made.scan.data[inside] / head.scan.data[inside])
    low, high = np.percentile(field[head.brain[inside]], [5, 95])
    assert np.exp(high - low) == pytest.approx(ratio, rel=1e-3)
    assert field[head.brain[inside]].mean() == pytest.approx(0, abs=1e-4)
    whole = np.zeros(head.brain.shape)
    whole[inside] = field
    # a cubic over some thirty voxels has no jump between neighbours
    steps = np.abs(np.diff(whole, axis=0))[head.brain[1:] & head.brain[:-1]]
    assert steps.max() < 0.25 * (high - low)


def test_noise_has_the_spread_asked_for_and_is_that_of_magnitudes(head: Head) -> None:
    made = add_noise(head, 0.1, seed=3)
    sigma = 0.1 * float(head.scan.data[head.brain].mean())
    added = (made.scan.data - head.scan.data)[head.brain]
    assert added.std() == pytest.approx(sigma, rel=0.02)
    background = made.scan.data[head.scan.data == 0]
    assert background.min() >= 0
    assert background.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.02)


@pytest.mark.parametrize("make", [add_bias_field, add_noise, turn])
def test_what_is_drawn_follows_from_the_seed_alone(make: object, head: Head) -> None:
    one, same, other = (make(head, 2.0, seed=seed) for seed in (3, 3, 4))  # type: ignore[operator]
    np.testing.assert_array_equal(one.scan.data, same.scan.data)
    assert not np.array_equal(one.scan.data, other.scan.data)


def thin_slices(head: Head) -> Head:
    """The same field of view in slices of 1.5 mm, with a ripple across them."""
    grid = head.scan.grid
    finer = grid.affine.copy()
    finer[:3, 1] /= 3
    finer[:3, 3] -= finer[:3, 1]
    fine = Grid.from_affine((46, 90, 60), finer)
    data, brain = (
        np.repeat(each, 3, axis=1).astype(np.float32) for each in (head.scan.data, head.brain)
    )
    ripple = 20.0 * (-1.0) ** np.arange(90)
    data += np.where(brain > 0, ripple[:, None], 0)
    return replace(head, scan=Volume(data, fine), brain=brain > 0, lies_on=fine)


def test_thick_slices_lose_what_changes_across_them_and_keep_the_rest(head: Head) -> None:
    fine = thin_slices(head)
    thin_mm = fine.scan.grid.voxel_mm[1]
    made = thickened_along(fine, 1, 2 * thin_mm)
    assert made.scan.grid.shape == (46, 45, 60)
    assert made.scan.grid.voxel_mm[1] == pytest.approx(2 * thin_mm)
    pairs = fine.scan.data.reshape(46, 45, 2, 60).mean(axis=2)
    np.testing.assert_allclose(made.scan.data, pairs, rtol=1e-5)
    spectrum, before = (
        np.abs(np.fft.rfft(each[23, :, 28] - each[23, :, 28].mean()))
        for each in (made.scan.data, fine.scan.data)
    )
    ripple = before[-1]
    assert ripple > 500, "the ripple is the highest frequency of thin slices"
    assert spectrum[-1] < 0.05 * ripple


def thickened_along(head: Head, axis: int, thickness_mm: float) -> Head:
    """Thicken slices along an axis whatever the voxels' sides."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(perturbations, "through_plane", lambda grid: axis)
        return thicken_slices(head, thickness_mm)


def test_thick_slices_lie_where_the_thin_ones_lay(head: Head, lesions: np.ndarray) -> None:
    made = thicken_slices(replace(head, scan=Volume(lesions * 1.0, head.scan.grid)), 13.6)
    assert made.scan.grid.shape == (46, 10, 60)
    assert made.scan.grid.voxel_mm[1] == pytest.approx(3 * head.scan.grid.voxel_mm[1])
    assert made.lies_on is made.scan.grid
    for centre, radius in LESIONS_MM.items():
        near = ball(made.scan.grid, centre, 1.6 * radius) * made.scan.data
        weighed = (places(made.scan.grid) * near[..., None]).sum(axis=(0, 1, 2)) / near.sum()
        assert np.linalg.norm(weighed - centre) < 1.5
    litres = [each.brain.sum() * each.scan.grid.voxel_ml for each in (head, made)]
    assert litres[1] == pytest.approx(litres[0], rel=0.02)


def test_slices_are_those_of_the_longest_side_else_axial(head: Head) -> None:
    assert through_plane(head.scan.grid) == 1
    sagittal = np.array([[0, 0, 1.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]])
    assert through_plane(Grid.from_affine((5, 6, 7), sagittal)) == 1
    assert through_plane(Grid.from_affine((5, 6, 7), sagittal @ np.diag([1, 1, 1.5, 1]))) == 2


@pytest.mark.parametrize("asked", [3.0, 4.6])
def test_slices_are_never_made_thinner(asked: float, head: Head) -> None:
    with pytest.raises(LeftOut, match="slices are as thick already"):
        thicken_slices(head, asked)


@pytest.mark.parametrize("gamma", [0.7, 1.0, 1.5])
def test_gamma_bends_intensities_between_zero_and_the_brains_maximum(
    gamma: float, head: Head
) -> None:
    made = change_gamma(head, gamma).scan.data
    top = head.scan.data[head.brain].max()
    inside = head.scan.data[head.brain]
    np.testing.assert_allclose(made[head.brain], top * (inside / top) ** gamma, rtol=1e-4)
    assert not made[~head.brain].any()


@pytest.mark.parametrize("degrees", [5.0, 10.0])
def test_a_head_is_turned_in_space_and_where_it_lies_is_known(degrees: float, head: Head) -> None:
    made = turn(head, degrees, seed=3)
    assert made.scan.grid is head.scan.grid, "the header knows nothing of it"
    moved = np.linalg.solve(head.scan.grid.affine.T, made.lies_on.affine.T).T
    cosine = (np.trace(moved[:3, :3]) - 1) / 2
    assert np.rad2deg(np.arccos(cosine)) == pytest.approx(degrees, rel=1e-4)
    np.testing.assert_allclose(moved[:3, :3] @ moved[:3, :3].T, np.eye(3), atol=1e-9)
    # its voxels hold what lay there: the same affine for MONAI's transform and for ours
    linear = sample_on_grid(head.scan.data, head.scan.grid, made.lies_on)
    well_within = ndimage.binary_erosion(made.brain, iterations=3)
    assert np.corrcoef(linear[well_within], made.scan.data[well_within])[0, 1] > 0.95
    still = head.scan.data[well_within]
    assert np.corrcoef(still, made.scan.data[well_within])[0, 1] < 0.9
    assert made.brain.sum() == pytest.approx(head.brain.sum(), rel=0.01)


def test_lesions_of_a_turned_head_come_back_within_a_voxel(head: Head, lesions: np.ndarray) -> None:
    made = turn(head, 10.0, seed=3)
    # an ideal network marks what is bright
    found = (made.scan.data > 145) & made.brain
    back = sample_on_grid(found, made.lies_on, head.scan.grid) > 0.5
    for centre, radius in LESIONS_MM.items():
        near = ball(head.scan.grid, centre, 1.5 * radius)
        one, other = (np.argwhere(mask & near).mean(axis=0) for mask in (back, lesions))
        assert np.linalg.norm(one - other) < 0.5
    overlap = 2 * (back & lesions).sum() / (back.sum() + lesions.sum())
    unturned = 2 * (found & lesions).sum() / (found.sum() + lesions.sum())
    assert overlap > 0.85
    assert unturned < 0.7


@pytest.mark.parametrize("mm", [3.1, 9.2])
def test_a_mask_grows_and_shrinks_by_mm_along_each_side(mm: float, head: Head) -> None:
    sides = head.scan.grid.voxel_mm
    point = np.zeros_like(head.brain)
    point[23, 15, 30] = True
    grown = resize_mask(replace(head, brain=point), mm).brain
    reach = [np.ptp(np.argwhere(grown)[:, axis]) // 2 for axis in range(3)]
    assert reach == [int((mm + 1e-3) // side) for side in sides]
    shrunk = resize_mask(replace(head, brain=~point), -mm).brain
    np.testing.assert_array_equal(shrunk, ~grown)


@pytest.mark.parametrize("mm", [-2.0, 2.0])
def test_a_step_within_a_voxel_is_no_condition(mm: float, head: Head) -> None:
    with pytest.raises(LeftOut, match="voxels are larger than the step"):
        resize_mask(head, mm)


def test_a_scan_without_skull_has_nothing_to_grow_into(head: Head) -> None:
    stripped = replace(head, stripped=True)
    assert resize_mask(stripped, -3).brain.sum() < head.brain.sum()
    with pytest.raises(LeftOut, match="nothing lies outside the mask"):
        resize_mask(stripped, 3)


def test_another_engine_gives_the_mask(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ndimage.binary_dilation(head.brain)
    asked = []

    def strip(*arguments: object) -> Extraction:
        asked.append(arguments[2:])
        return Extraction(given, "surface", "1", {})

    monkeypatch.setattr(perturbations, "strip", strip)
    with_mask = replace(head, engine="none (brain mask given)")
    made = strip_again(with_mask, "surface", STRIP)
    np.testing.assert_array_equal(made.brain, given)
    np.testing.assert_array_equal(made.scan.data, head.scan.data)
    assert asked == [("surface", 0.4, False)]


def test_why_an_engine_was_not_run_is_said(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    def why(head: Head, engine: str, **changed: object) -> str:
        with pytest.raises(LeftOut) as told:
            strip_again(head, engine, STRIP | changed)
        return str(told.value)

    assert why(head, "surface") == "the engine that made the mask"
    assert why(replace(head, stripped=True), "fsl") == "arrived without its skull"
    monkeypatch.setattr(perturbations.shutil, "which", lambda name: None)
    monkeypatch.setattr(perturbations.importlib.util, "find_spec", lambda name: None)
    assert why(head, "fsl") == why(head, "hd-bet") == "engine not installed"

    monkeypatch.setattr(perturbations, "is_installed", lambda engine: True)
    tiny = Extraction(np.zeros_like(head.brain), "fsl", "1", {})
    tiny.mask[23, 15, 30] = True
    monkeypatch.setattr(perturbations, "strip", lambda *given: tiny)
    assert why(head, "fsl").startswith("engine failed: brain mask of 0.00 litres")
    made = strip_again(head, "fsl", STRIP | {"implausible": "flag"})
    assert made.brain.sum() == 1

    def fail(*given: object) -> Extraction:
        raise bad_input("head.nii.gz", "a head scan", "no brain", "look at it")

    monkeypatch.setattr(perturbations, "strip", fail)
    assert why(head, "fsl") == "engine failed: no brain"


def test_conditions_are_those_of_the_config_in_its_order() -> None:
    made = conditions_of(Robustness().model_dump())
    assert len(made) == 24
    assert [each.name for each in made[:4]] == [
        *("bias_field_1.2", "bias_field_1.5", "bias_field_2", "noise_0.02")
    ]
    few = dict.fromkeys(Robustness.model_fields, ()) | {"brain_mask_mm": (-1, 2.5)}
    assert conditions_of(few) == [
        Condition("brain_mask_mm", "-1"),
        Condition("brain_mask_mm", "2.5"),
    ]


def test_every_condition_is_made_by_its_name(head: Head) -> None:
    for condition in conditions_of(Robustness().model_dump()):
        try:
            made = perturb(head, condition, 3, STRIP)
        except LeftOut:
            # of voxels of 3 mm neither thinner slices nor a finer step of the mask can be made
            assert condition.perturbation in ("engines", "slice_mm", "brain_mask_mm")
            continue
        changed = (made.scan.data != head.scan.data).any() or (made.brain != head.brain).any()
        assert changed, condition
    thicker = perturb(head, Condition("slice_mm", "9"), 3, STRIP)
    assert thicker.scan.grid.shape == (46, 15, 60)
