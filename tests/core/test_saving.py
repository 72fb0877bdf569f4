"""What is written: the header of the grid, exact values, equal bytes, whole files."""

import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.grid import Grid
from msnmo.core.saving import save_probability, save_scaled, save_volume
from msnmo.core.volumes import load_mask, load_volume
from tests.core.nifti_files import AFFINE, DATA, SHAPE


def scanner_grid(sform_code=2, qform_code=1, units=2):
    header = nib.Nifti1Image(DATA, None).header
    header.set_qform(AFFINE, qform_code, strip_shears=True)
    header.set_sform(AFFINE, sform_code)
    header["xyzt_units"] = units
    return Grid.from_header(header)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("codes", [(2, 1), (4, 0), (0, 1), (0, 0), (1, 1)])
def test_header_returns_as_it_came(tmp_path, name, codes):
    grid = scanner_grid(*codes)
    save_volume(tmp_path / name, DATA, grid)
    volume = load_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.data, DATA)
    for field in ("affine", "sform", "qform"):
        np.testing.assert_allclose(getattr(volume.grid, field), getattr(grid, field), atol=1e-5)
    for field in ("shape", "sform_code", "qform_code", "xyzt_units"):
        assert getattr(volume.grid, field) == getattr(grid, field)


def test_floats_are_never_quantised_by_the_header_of_the_scan(tmp_path):
    """A probability map on the grid of an int16 scan with a slope keeps every bit."""
    image = nib.Nifti1Image((DATA * 50).astype(np.int16), AFFINE)
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.02, 3)
    image.to_filename(tmp_path / "scan.nii.gz")
    grid = load_volume(tmp_path / "scan.nii.gz").grid
    probability = np.random.default_rng(3).random(SHAPE, dtype=np.float32)
    save_volume(tmp_path / "p.nii.gz", probability, grid)
    written = nib.load(tmp_path / "p.nii.gz")
    assert written.get_data_dtype() == np.float32
    assert written.dataobj.slope == 1
    assert written.dataobj.inter == 0
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), probability)


def test_a_mask_is_written_as_uint8_without_scaling(tmp_path):
    save_volume(tmp_path / "m.nii.gz", DATA > 100, scanner_grid(), np.uint8)
    written = nib.load(tmp_path / "m.nii.gz")
    assert written.get_data_dtype() == np.uint8
    assert set(np.unique(np.asanyarray(written.dataobj.get_unscaled()))) == {0, 1}
    np.testing.assert_array_equal(load_mask(tmp_path / "m.nii.gz").data, DATA > 100)


def test_equal_data_give_equal_bytes_under_any_name(tmp_path):
    for name in ("one.nii.gz", "two.nii.gz"):
        save_volume(tmp_path / name, DATA, scanner_grid())
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


def test_memory_layout_of_the_data_is_of_no_consequence(tmp_path):
    save_volume(tmp_path / "c.nii", np.ascontiguousarray(DATA), scanner_grid())
    save_volume(tmp_path / "f.nii", np.asfortranarray(DATA), scanner_grid())
    assert (tmp_path / "c.nii").read_bytes() == (tmp_path / "f.nii").read_bytes()


@pytest.mark.parametrize(
    ("dtype", "low", "steps"),
    [(np.int16, -3.0, 32767), (np.uint16, 0.0, 65535), (np.uint8, 0, 255)],
)
def test_a_scaled_map_is_half_a_step_off_at_most(tmp_path, dtype, low, steps):
    data = np.random.default_rng(1).uniform(low, 2.0, SHAPE).astype(np.float32)
    data[0, 0, 0] = 0
    save_scaled(tmp_path / "x.nii.gz", data, Grid.from_affine(SHAPE, AFFINE), dtype)
    assert nib.load(tmp_path / "x.nii.gz").get_data_dtype() == dtype
    found = load_volume(tmp_path / "x.nii.gz").data
    step = np.abs(data).max() / steps
    np.testing.assert_allclose(found, data, atol=0.501 * step)
    np.testing.assert_array_equal(np.sign(found), np.sign(np.rint(data / step)))
    assert np.abs(found).max() <= np.abs(data).max()


def test_a_map_of_zeros_can_be_scaled(tmp_path):
    save_scaled(tmp_path / "x.nii.gz", np.zeros(SHAPE), Grid.from_affine(SHAPE, AFFINE), np.int16)
    assert not load_volume(tmp_path / "x.nii.gz").data.any()


def test_what_is_above_one_half_is_so_in_a_probability_map(tmp_path):
    data = np.full(SHAPE, 0.0, np.float32)
    near = np.linspace(0.499, 0.501, 2000, dtype=np.float32)
    grid = Grid.from_affine((20, 10, 10), AFFINE)
    save_probability(tmp_path / "near.nii.gz", near.reshape(20, 10, 10), grid)
    found = load_volume(tmp_path / "near.nii.gz").data.ravel()
    np.testing.assert_array_equal(found > 0.5, near > 0.5)
    data[0, 0] = (0.0, 1.0, 0.001)
    save_probability(tmp_path / "x.nii.gz", data, Grid.from_affine(SHAPE, AFFINE))
    np.testing.assert_allclose(load_volume(tmp_path / "x.nii.gz").data[0, 0], (0, 1, 0), atol=1e-6)


@pytest.mark.parametrize("values", [-0.1, 1.1])
def test_values_that_a_type_cannot_hold_are_a_bug(tmp_path, values):
    with pytest.raises(ValueError, match="uint8 cannot hold"):
        save_probability(
            tmp_path / "x.nii.gz", np.full(SHAPE, values), Grid.from_affine(SHAPE, AFFINE)
        )
    assert not list(tmp_path.iterdir())


def test_data_of_another_shape_are_a_bug(tmp_path):
    with pytest.raises(ValueError, match="cannot lie"):
        save_volume(tmp_path / "x.nii", DATA.T, scanner_grid())
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys
import numpy as np
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
data = np.random.default_rng(0).random((200, 200, 100), dtype=np.float32)
print("writing", flush=True)
save_volume(sys.argv[1], data, Grid.from_affine(data.shape, np.eye(4)))
print("done", flush=True)
"""


def test_kill_9_while_a_volume_is_written_leaves_no_volume(tmp_path):
    path = tmp_path / "scan.nii.gz"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "writing\n"
        while not any(part.stat().st_size > 100_000 for part in tmp_path.glob(".tmp-*")):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.stdout.read() == ""
    assert not path.exists()
