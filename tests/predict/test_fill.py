"""Lesions filled by what surrounds them leave no trace of where they were."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from msnmo.core.errors import InputError
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.seeds import derive_seed
from msnmo.core.volumes import load_volume
from msnmo.predict.fill import RIM, fill_lesions, main, widened
from msnmo.preprocess.zscore import zscore

SIZE = 40
PLACES = np.moveaxis(np.indices((SIZE,) * 3), 0, -1).astype(float)


def ball(centre, radius) -> np.ndarray:
    return ((PLACES - centre) ** 2).sum(axis=-1) <= radius**2


BRAIN = ball((20, 20, 20), 18)
LESION = ball((16, 20, 20), 4) | ball((26, 24, 18), 3) | ball((20, 12, 26), 2)
HIDDEN = widened(LESION, RIM) & BRAIN
AROUND = BRAIN & ~HIDDEN & widened(HIDDEN, 3)


def healthy(coarseness: float) -> np.ndarray:
    """A brain of noise, 0.5 strong, that is twice as bright at one side as at the other."""
    noise = np.random.default_rng(5).standard_normal(BRAIN.shape)
    noise = ndimage.gaussian_filter(noise, coarseness)
    return np.where(BRAIN, 0.5 * noise / noise.std() + 0.05 * (PLACES[..., 0] - 20), 0)


def planted(coarseness: float) -> np.ndarray:
    """The same with bright lesions whose rims are part brain."""
    share = ndimage.gaussian_filter(LESION.astype(float), 0.5)
    return np.where(BRAIN, healthy(coarseness) + 3 * share, 0).astype(np.float32)


@pytest.mark.parametrize("coarseness", [0, 1])
def test_what_is_filled_is_as_what_surrounds_it(coarseness):
    scan = planted(coarseness)
    assert scan[LESION].mean() > scan[AROUND].mean() + 2
    filled = fill_lesions(scan, LESION, BRAIN, seed=1)
    inside, around = filled[HIDDEN], filled[AROUND]
    assert abs(inside.mean() - around.mean()) < 0.15
    assert 0.7 < inside.std() / around.std() < 1.2
    assert around.min() <= inside.min() <= inside.max() <= around.max()


@pytest.mark.parametrize("coarseness", [0, 1])
def test_neither_a_step_nor_smoothness_betrays_where_lesions_were(coarseness):
    """Differences of neighbours: within, across the edge, and in the brain around."""
    filled = fill_lesions(planted(coarseness), LESION, BRAIN, seed=1)
    for axis in range(3):
        steps = np.abs(np.diff(filled, axis=axis))
        first, second = (
            [np.delete(mask, place, axis) for mask in (HIDDEN, AROUND)] for place in (-1, 0)
        )
        within = steps[first[0] & second[0]].mean()
        across = steps[(first[0] & second[1]) | (first[1] & second[0])].mean()
        outside = steps[first[1] & second[1]].mean()
        assert 0.8 < within / outside < 1.2
        assert 0.8 < across / outside < 1.4


def test_without_noise_it_would_be_smooth(monkeypatch):
    """What the noise is for: the harmonic mean alone has a fraction of the brain's spread."""
    monkeypatch.setattr("msnmo.predict.fill._noise_like", lambda values, *_: np.zeros_like(values))
    filled = fill_lesions(planted(0), LESION, BRAIN, seed=1)
    assert filled[HIDDEN].std() < 0.6 * filled[AROUND].std()


def test_all_else_keeps_its_bytes():
    scan = planted(1)
    filled = fill_lesions(scan, LESION, BRAIN, seed=1)
    assert filled.dtype == np.float32
    assert filled[~HIDDEN].tobytes() == scan[~HIDDEN].tobytes()
    assert (filled[HIDDEN] != scan[HIDDEN]).all()
    nothing = np.zeros_like(LESION)
    assert fill_lesions(scan, nothing, BRAIN, seed=1).tobytes() == scan.tobytes()


def test_a_plane_of_equal_voxels_is_filled_with_their_value():
    scan = np.where(BRAIN, np.float32(1.5), np.float32(0))
    filled = fill_lesions(np.where(LESION, np.float32(9), scan), LESION, BRAIN, seed=1)
    np.testing.assert_allclose(filled, scan, atol=1e-3)


def test_a_lesion_with_no_brain_around_it_gets_the_mean_of_the_brain():
    alone = np.zeros_like(BRAIN)
    alone[0, 0, 0] = True
    scan = planted(0)
    filled = fill_lesions(scan, alone, BRAIN | alone, seed=1)
    assert abs(filled[0, 0, 0] - scan[BRAIN].mean()) < 4 * scan[BRAIN].std()


def test_the_noise_follows_from_its_seed_alone():
    one, again, other = (fill_lesions(planted(0), LESION, BRAIN, seed) for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


def write(folder, lesion) -> list[str]:
    grid = Grid.from_affine(BRAIN.shape, np.diag([2.0, 2.0, 2.0, 1.0]))
    save_volume(folder / "image.nii.gz", planted(0), grid)
    save_volume(folder / "lesion.nii.gz", lesion, grid, np.uint8)
    save_volume(folder / "brain.nii.gz", BRAIN, grid, np.uint8)
    named = [f"--{name}={folder / name}.nii.gz" for name in ("image", "lesion", "brain")]
    return ["--scan=sub-A", *named]


def test_the_command_writes_equal_bytes_and_counts(tmp_path, capsys):
    given = write(tmp_path, LESION)
    for name in ("one", "two"):
        main([*given, f"--out={tmp_path / name}.nii.gz"])
    one, two = ((tmp_path / f"{name}.nii.gz").read_bytes() for name in ("one", "two"))
    assert one == two
    assert f"{HIDDEN.sum()} voxels filled" in capsys.readouterr().out
    volume = load_volume(tmp_path / "one.nii.gz")
    assert volume.grid.matches(load_volume(tmp_path / "image.nii.gz").grid)
    filled = fill_lesions(planted(0), LESION, BRAIN, derive_seed(0, "filled", "sub-A"))
    np.testing.assert_array_equal(volume.data, zscore(filled, BRAIN))


def test_mean_and_deviation_do_not_tell_how_much_lesion_there_was(tmp_path):
    """The z-score of a scan is of its lesions, too: much lesion darkens the brain around it."""
    grid = Grid.from_affine(BRAIN.shape, np.eye(4))
    save_volume(tmp_path / "brain.nii.gz", BRAIN, grid, np.uint8)
    around = BRAIN & ~HIDDEN
    means = {}
    for load, lesion in {"much": LESION, "none": np.zeros_like(LESION)}.items():
        image = zscore(np.where(BRAIN, healthy(0) + 9 * lesion, 0), BRAIN)
        save_volume(tmp_path / "image.nii.gz", image, grid)
        save_volume(tmp_path / "lesion.nii.gz", lesion, grid, np.uint8)
        named = [f"--{name}={tmp_path / name}.nii.gz" for name in ("image", "lesion", "brain")]
        main(["--scan=sub-A", *named, f"--out={tmp_path / load}.nii.gz"])
        means[load] = (image[around].mean(), load_volume(tmp_path / f"{load}.nii.gz").data[around])
    before = abs(means["much"][0] - means["none"][0])
    assert before > 0.1
    assert abs(means["much"][1].mean() - means["none"][1].mean()) < 0.2 * before


def test_a_brain_that_is_all_lesion_is_refused(tmp_path):
    given = write(tmp_path, BRAIN)
    with pytest.raises(InputError, match=r"lesion\.nii\.gz"):
        main([*given, f"--out={tmp_path / 'out.nii.gz'}"])


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        fill_lesions(planted(0), LESION[1:], BRAIN, seed=1)
