"""N4: it removes a bias field, to the same last bit each time, and leaves what is done already."""

import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from msnmo.core import memory
from msnmo.core.files import read_json
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_volume
from msnmo.preprocess.n4 import main
from tests.command import run_here

SHAPE = (48, 56, 40)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Two tissues in a ball under a smooth bias of +-30 %, on an oblique left-handed grid."""
    folder = tmp_path_factory.mktemp("phantom with space")
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    brain = x**2 + y**2 + z**2 < 0.8
    tissue = np.where(ndimage.gaussian_filter(np.sin(9 * x) * np.cos(8 * y), 1) > 0, 120.0, 80.0)
    noise = np.random.default_rng(0).normal(0, 2, SHAPE)
    bias = 1 + 0.3 * np.sin(1.5 * x) * np.cos(y + z)
    affine = np.array([[-2, 0.1, 0, 50], [0.1, 2, 0, -40], [0, 0, 2.5, 0], [0, 0, 0, 1.0]])
    grid = Grid.from_affine(SHAPE, affine)
    scan = np.where(brain, tissue * bias + noise, 0)
    scan[brain & (np.random.default_rng(1).random(SHAPE) < 0.001)] = -1.0  # interpolation ringing
    save_volume(folder / "scan.nii.gz", scan, grid)
    save_volume(folder / "brain.nii.gz", brain, grid, np.uint8)
    return folder, brain, tissue, scan


def arguments(folder, name, scan="scan.nii.gz", brain="brain.nii.gz"):
    inputs = ["--image", folder / scan, "--brain", folder / brain]
    outputs = ["--out-image", folder / f"{name}.nii.gz", "--out-sidecar", folder / f"{name}.json"]
    return [*inputs, *outputs]


def run(*words, env=None):
    """Run N4 in a process of its own: its threads are the process's."""
    command = [sys.executable, "-m", "msnmo.preprocess.n4", *map(str, words)]
    environment = os.environ | (env or {})
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def test_the_bias_is_gone(phantom):
    folder, brain, tissue, scan = phantom
    result = run(*arguments(folder, "corrected"))
    assert result.returncode == 0, result.stderr
    corrected = load_volume(folder / "corrected.nii.gz").data

    def spread_within_tissue(image):
        inside = ndimage.binary_erosion(brain, iterations=2) & (image > 0)
        white = image[inside & (tissue > 100)]
        return white.std() / white.mean()

    assert spread_within_tissue(corrected) < 0.4 * spread_within_tissue(scan)
    assert (corrected[~brain] == 0).all()
    assert np.isfinite(corrected).all()
    made = read_json(folder / "corrected.json")["bias_correction"]
    assert made["method"].startswith("N4, antspyx ")


def test_bit_identical_whatever_the_threads_of_the_environment(phantom):
    folder, *_ = phantom
    for name, threads in (("one", "1"), ("four", "4")):
        result = run(
            *arguments(folder, name), env={"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": threads}
        )
        assert result.returncode == 0, result.stderr
    assert (folder / "one.nii.gz").read_bytes() == (folder / "four.nii.gz").read_bytes()


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("flipped", [(0,), (1, 2), ()])
def test_bit_identical_in_whatever_order_the_axes_are_stored(phantom, axes, flipped):
    """N4 shrinks from where an axis begins: it must begin at the same end of the head."""
    folder, brain, _, scan = phantom
    grid = load_volume(folder / "scan.nii.gz").grid
    stored = nib.orientations.apply_orientation(
        scan, turn := [[axes.index(axis), -1 if axis in flipped else 1] for axis in range(3)]
    )
    affine = grid.affine @ nib.orientations.inv_ornt_aff(turn, SHAPE)
    other = Grid.from_affine(stored.shape, affine)
    save_volume(folder / "turned.nii.gz", stored, other)
    mask = nib.orientations.apply_orientation(brain, turn)
    save_volume(folder / "mask.nii.gz", mask, other, np.uint8)
    for name, scan_and_mask in (("usual", ()), ("turned-n4", ("turned.nii.gz", "mask.nii.gz"))):
        result = run(*arguments(folder, name, *scan_and_mask), "--iterations", 5, 5)
        assert result.returncode == 0, result.stderr
    usual, turned = (load_volume(folder / f"{name}.nii.gz").data for name in ("usual", "turned-n4"))
    np.testing.assert_array_equal(nib.orientations.apply_orientation(usual, turn), turned)


def test_the_field_is_that_of_ants_itself(phantom):
    """Of its own function, which is imported after: ours leaves no half package behind."""
    folder, *_ = phantom
    paths = [str(folder / name) for name in ("scan.nii.gz", "brain.nii.gz")]
    code = f"""
import sys
import numpy as np
from msnmo.core.volumes import load_mask, load_volume
from msnmo.preprocess.n4 import estimate_field

image, mask = load_volume({paths[0]!r}), load_mask({paths[1]!r})
voxel = image.grid.voxel_mm
field = estimate_field(image.data, mask.data, voxel, 2, [5, 3], 1e-5)
assert "ants" not in sys.modules

import ants

spacing = tuple(voxel.tolist())
theirs = ants.n4_bias_field_correction(
    ants.from_numpy(image.data, spacing=spacing),
    mask=ants.from_numpy(mask.data.astype(np.float32), spacing=spacing),
    shrink_factor=2,
    convergence={{"iters": [5, 3], "tol": 1e-5}},
    return_bias_field=True,
).numpy()
assert field.std() > 0
np.testing.assert_array_equal(field, theirs)
again = estimate_field(image.data, mask.data, voxel, 2, [5, 3], 1e-5)
np.testing.assert_array_equal(again, theirs)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def test_a_corrected_scan_passes_unchanged(phantom):
    folder, _, _, scan = phantom
    result = run_here(main, *arguments(folder, "passed"), "--bias-corrected", "yes")
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(
        load_volume(folder / "passed.nii.gz").data, scan.astype(np.float32)
    )
    method = read_json(folder / "passed.json")["bias_correction"]["method"]
    assert method == "none (corrected on arrival)"


def test_a_mask_on_another_grid_is_refused(phantom):
    folder, brain, *_ = phantom
    save_volume(folder / "shifted.nii.gz", brain, Grid.from_affine(SHAPE, np.eye(4)), np.uint8)
    result = run_here(main, *arguments(folder, "refused", brain="shifted.nii.gz"))
    assert result.returncode == 1
    assert "shifted.nii.gz" in result.stderr
    assert not (folder / "refused.nii.gz").exists()


@pytest.mark.parametrize(("value", "found"), [(7.0, "one value"), (0.0, "one value")])
def test_a_scan_without_contrast_is_refused(phantom, value, found):
    folder, *_ = phantom
    grid = load_volume(folder / "scan.nii.gz").grid
    save_volume(folder / "flat.nii.gz", np.full(SHAPE, value), grid)
    result = run_here(main, *arguments(folder, "refused", scan="flat.nii.gz"))
    assert result.returncode == 1
    assert "flat.nii.gz" in result.stderr
    assert found in result.stderr


def test_little_memory_is_said_in_words(phantom, monkeypatch):
    folder, *_ = phantom
    nbytes = 4 * np.prod(SHAPE)
    monkeypatch.setattr(memory, "available", lambda: 10 * nbytes)  # enough to load, not for ANTs
    result = run_here(main, *arguments(folder, "full"))
    assert result.returncode == 1
    assert result.stderr.startswith("msnmo: error: out of memory\n    tried:    N4 of ")
    assert not (folder / "full.nii.gz").exists()
