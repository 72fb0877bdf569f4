"""No header is trusted: a volume is read right, or its file is named with what is wrong."""

import errno
import gzip
import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msnmo.core import memory, volumes
from msnmo.core.errors import InputError
from msnmo.core.volumes import (
    Grid,
    Volume,
    check_same_grid,
    load_mask,
    load_volume,
    save_probability,
    save_scaled,
    save_volume,
)

SHAPE = (5, 4, 3)
TURN = nib.eulerangles.euler2mat(0.1, -0.2, 0.3)
AFFINE = nib.affines.from_matvec(TURN @ np.diag([-0.9, 0.95, 3]), [80, -110, -60])
DATA = np.random.default_rng(0).normal(100, 30, SHAPE).astype(np.float32)


def save_nifti(path, data=DATA, affine=AFFINE, kind=nib.Nifti1Image, **header):
    """Write a file whose header has the fields given, which nibabel itself would mend."""
    image = kind(data, affine)
    image.set_qform(affine, 0)
    image.to_filename(path)
    if header:
        content = path.read_bytes()
        block = nib.Nifti1Header(content[:348], check=False)
        for field, value in header.items():
            block[field] = value
        path.write_bytes(block.binaryblock + content[348:])
    return path


def finding_of(path, load=load_volume):
    with pytest.raises(InputError) as caught:
        load(path)
    (finding,) = caught.value.findings
    assert str(path) in finding.file
    assert finding.remedy
    return finding


# --- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "ein Scan (ü) 患者.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_values_and_affine_are_those_of_the_file(tmp_path, name, kind):
    volume = load_volume(save_nifti(tmp_path / name, kind=kind))
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.data.dtype == np.float32
    np.testing.assert_allclose(volume.grid.affine, AFFINE, atol=1e-6)
    assert volume.grid.shape == SHAPE
    np.testing.assert_allclose(volume.grid.voxel_mm, [0.9, 0.95, 3], atol=1e-6)
    assert math.isclose(volume.grid.voxel_ml, 0.9 * 0.95 * 3 / 1000, rel_tol=1e-6)


@pytest.mark.parametrize("trailing", [(1,), (1, 1), (1, 1, 1, 1)])
def test_trailing_axes_of_length_one_are_dropped(tmp_path, trailing):
    volume = load_volume(save_nifti(tmp_path / "x.nii", DATA.reshape(SHAPE + trailing)))
    np.testing.assert_array_equal(volume.data, DATA)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "f4", "f8", "i8", "u8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_real_data_type_in_both_byte_orders(tmp_path, dtype, order):
    data = np.arange(60).reshape(SHAPE)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype))
    nib.Nifti1Image(data.astype(dtype), AFFINE, header).to_filename(tmp_path / "x.nii.gz")
    volume = load_volume(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(volume.data, data)
    assert volume.data.dtype == np.dtype("=f4")


@pytest.mark.parametrize(("slope", "inter"), [(0.5, -10), (-2, 3), (0, 7), (np.nan, 0)])
def test_header_scaling_is_applied(tmp_path, slope, inter):
    stored = np.arange(60, dtype=np.int16).reshape(SHAPE)
    path = save_nifti(tmp_path / "x.nii", stored, scl_slope=slope, scl_inter=inter)
    expected = slope * stored + inter if slope and np.isfinite(slope) else stored  # NIfTI: unset
    np.testing.assert_array_equal(load_volume(path).data, expected)


@pytest.mark.parametrize("dtype", ["<u1", ">i2", "<f8"])
@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_a_volume_read_in_pieces_is_what_nibabel_reads_whole(tmp_path, monkeypatch, dtype, piece):
    path = tmp_path / "x.nii.gz"
    save_nifti(path, DATA.astype(dtype))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[112:120] = np.array([0.3, -7], "<f4" if dtype[0] == "<" else ">f4").tobytes()
    path.write_bytes(gzip.compress(content))
    monkeypatch.setattr(volumes, "PIECE", piece * np.dtype(dtype).itemsize)
    whole = np.asanyarray(nib.load(path).dataobj, np.float32)
    np.testing.assert_array_equal(load_volume(path).data, whole)


def test_a_file_may_be_overwritten_while_its_volume_is_in_use(tmp_path):
    volume = load_volume(save_nifti(tmp_path / "x.nii"))
    (tmp_path / "x.nii").write_bytes(b"")
    np.testing.assert_array_equal(volume.data, DATA)


# --- orientation --------------------------------------------------------------------------------

OTHER = nib.affines.from_matvec(TURN.T @ np.diag([-1.9, 1.5, 2]), [10, 20, 30])


@pytest.mark.parametrize(
    ("sform_code", "qform_code", "used", "doubt"),
    [
        (1, 1, "sform", "differ"),
        (2, 0, "sform", None),
        (0, 3, "qform", None),
        (0, 0, "zooms", "neither"),
    ],
)
def test_truth_table_of_sform_and_qform(tmp_path, sform_code, qform_code, used, doubt):
    image = nib.Nifti1Image(DATA, None)
    image.header.set_qform(OTHER, qform_code)
    image.header.set_sform(AFFINE, sform_code)
    image.to_filename(tmp_path / "x.nii")
    grid = load_volume(tmp_path / "x.nii").grid
    if used == "zooms":
        np.testing.assert_allclose(grid.voxel_mm, np.sqrt((OTHER[:3, :3] ** 2).sum(0)), rtol=1e-5)
        np.testing.assert_array_equal(grid.affine[:3, :3], np.diag(np.diag(grid.affine)[:3]))
    else:
        expected = AFFINE if used == "sform" else OTHER
        np.testing.assert_allclose(grid.affine, expected, atol=1e-3)
    assert (grid.sform_code, grid.qform_code) == (sform_code, qform_code)
    conflict = grid.form_conflict
    assert (conflict is None) if doubt is None else (doubt in conflict)


def test_agreeing_forms_are_no_conflict(tmp_path):
    turn = nib.eulerangles.euler2mat(0.3, -0.2, 0.1) @ np.diag([-0.5, 0.6, 3])
    affine = nib.affines.from_matvec(turn, [211.3, -187.2, 133.7])
    save_nifti(tmp_path / "x.nii", np.zeros((256, 256, 60), np.uint8), affine, qform_code=1)
    image = nib.load(tmp_path / "x.nii")
    image.set_qform(affine, 1)
    image.to_filename(tmp_path / "y.nii")
    assert load_volume(tmp_path / "y.nii").grid.form_conflict is None


@pytest.mark.parametrize("form", ["srow_x", "quatern_b", "qoffset_x"])
def test_a_form_that_is_not_set_may_hold_anything(tmp_path, form):
    """Programs leave garbage there; the other form counts, and the scan goes all the way."""
    code = "sform_code" if form == "srow_x" else "qform_code"
    for value in (np.nan, 1e30):
        path = tmp_path / "x.nii"
        image = nib.Nifti1Image(DATA, None)
        image.header.set_qform(AFFINE, 1)
        image.header.set_sform(AFFINE, 1)
        image.header[code], image.header[form] = 0, value
        image.header["vox_offset"] = 352
        path.write_bytes(image.header.binaryblock + bytes(4) + DATA.tobytes("F"))
        grid = load_volume(path).grid
        np.testing.assert_allclose(grid.affine, AFFINE, atol=0.01)
        json.dumps(grid.to_json(), allow_nan=False)
        save_volume(tmp_path / "y.nii", DATA, grid)
        assert load_volume(tmp_path / "y.nii").grid.matches(grid)


@pytest.mark.parametrize(
    "header",
    [
        {"srow_x": np.nan},
        {"srow_x": np.inf},
        {"srow_x": 0},
        {"srow_x": AFFINE[1]},  # equal to srow_y: the affine is singular
        {"qform_code": 1, "quatern_b": np.nan},
        {"qform_code": 1, "quatern_b": 5},
        {"qform_code": 1, "qoffset_z": np.inf},
    ],
)
def test_broken_orientation_is_refused(tmp_path, header):
    finding = finding_of(save_nifti(tmp_path / "x.nii", **header))
    assert "form" in finding.expected or "affine" in finding.expected
    assert "orientation" in finding.remedy


def test_negative_and_zero_zooms_do_not_turn_the_affine(tmp_path):
    path = save_nifti(tmp_path / "x.nii", pixdim=[0, -1, 0, -3, 1, 1, 1, 1])
    np.testing.assert_allclose(load_volume(path).grid.affine, AFFINE, atol=1e-6)


# --- what is refused ----------------------------------------------------------------------------


LARGE = np.random.default_rng(2).normal(100, 30, (20, 20, 20)).astype(np.float32)


def truncated(path):
    whole = save_nifti(path, LARGE).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def damaged_checksum(path):
    whole = bytearray(save_nifti(path, LARGE).read_bytes())
    whole[-8] ^= 0xFF
    path.write_bytes(whole)


def gzip_of_garbage(path):
    path.write_bytes(gzip.compress(b"not a header at all" * 50))


def plain_under_gz(path):
    save_nifti(path.with_name("plain.nii")).rename(path)


FILES = {
    "gone.nii.gz": (lambda path: None, "No such file"),
    "folder.nii": (Path.mkdir, "Is a directory"),
    "empty.nii": (Path.touch, "mpty"),
    "empty.nii.gz": (Path.touch, ""),
    "cut.nii": (truncated, "bytes"),
    "cut.nii.gz": (truncated, "end"),
    "checksum.nii.gz": (damaged_checksum, "CRC"),
    "garbage.nii.gz": (gzip_of_garbage, ""),
    "garbage.nii": (lambda path: path.write_bytes(b"garbage" * 100), ""),
    "plain.nii.gz": (plain_under_gz, "an uncompressed NIfTI file"),
    "packed.nii": (lambda path: path.write_bytes(gzip.compress(b"x")), "a gzip-compressed file"),
    "slice.nii.gz": (lambda path: path.write_bytes(bytes(128) + b"DICM"), "a DICOM file"),
    "zip.nii.gz": (lambda path: path.write_bytes(b"PK\x03\x04"), "a zip archive"),
    "page.nii": (lambda path: path.write_text("<html>login</html>"), "a web page"),
    "scan.mgz": (save_nifti, "scan.mgz"),
    "scan.NII.GZ": (lambda path: path.touch(), "scan.NII.GZ"),
    "scan.nii.bz2": (lambda path: path.touch(), "scan.nii.bz2"),
    # nibabel alone would read the header's own bytes as the first voxels of these two
    "pair.nii": (lambda path: save_nifti(path, magic=b"ni1"), "no header of a single"),
    "offset.nii": (lambda path: save_nifti(path, vox_offset=0), "byte 0"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_hold_no_volume(tmp_path, name):
    make, found = FILES[name]
    path = tmp_path / name
    if name == "scan.mgz":
        nib.MGHImage(DATA, AFFINE).to_filename(path)
    else:
        make(path)
    assert found in finding_of(path).found


def test_the_remedy_of_a_wrong_ending_can_be_followed(tmp_path):
    path = tmp_path / "x.nii.gz"
    plain_under_gz(path)
    assert finding_of(path).remedy == "rename it to x.nii, then compress it: gzip x.nii"
    np.testing.assert_array_equal(load_volume(path.rename(tmp_path / "x.nii")).data, DATA)
    packed = save_nifti(path).rename(tmp_path / "y.nii")
    assert finding_of(packed).remedy == "rename it to y.nii.gz"
    np.testing.assert_array_equal(load_volume(packed.rename(tmp_path / "y.nii.gz")).data, DATA)


@pytest.mark.parametrize("shape", [(5,), (5, 4), (5, 4, 3, 2), (5, 4, 3, 1, 2)])
def test_what_is_not_three_dimensional(tmp_path, shape):
    finding = finding_of(save_nifti(tmp_path / "x.nii.gz", np.zeros(shape, np.float32)))
    assert "three-dimensional" in finding.expected
    assert str(shape) in finding.found


@pytest.mark.parametrize(("value", "count"), [(np.nan, 2), (np.inf, 1), (-np.inf, 1)])
def test_values_that_are_no_numbers_are_counted(tmp_path, value, count):
    data = DATA.copy()
    data.ravel()[:count] = value
    assert f"{count} voxel" in finding_of(save_nifti(tmp_path / "x.nii.gz", data)).found


def test_values_beyond_float32_are_refused(tmp_path):
    data = DATA.astype(np.float64)
    data[0, 0, 0] = 1e300
    assert "1 voxel is" in finding_of(save_nifti(tmp_path / "x.nii", data)).found


@pytest.mark.parametrize(
    "dtype", [np.complex64, np.complex128, nib.nifti1.data_type_codes.dtype["RGB"]]
)
def test_voxels_of_several_numbers_are_refused(tmp_path, dtype):
    data = np.zeros(SHAPE, dtype)
    finding = finding_of(save_nifti(tmp_path / "x.nii", data))
    assert "one real number" in finding.expected


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_header_that_claims_terabytes_is_refused_before_memory_is_taken(tmp_path, name, kind):
    header = kind(DATA, AFFINE).header
    header["dim"][1:4], header["vox_offset"] = 30_000, 544
    content = header.binaryblock + bytes(10_000)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    code = (
        "import resource, sys\n"
        "from msnmo.core.errors import InputError\n"
        "from msnmo.core.volumes import load_volume\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))\n"
        "try:\n"
        "    load_volume(sys.argv[1])\n"
        "except InputError as error:\n"
        "    print(error.findings[0].found)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "too small a file" in result.stdout, result.stderr


# --- masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 2, 255, 0.5, 1e-3])
def test_a_mask_is_zero_and_one_positive_value(tmp_path, value):
    marked = DATA > 110
    volume = load_mask(save_nifti(tmp_path / "m.nii.gz", (marked * value).astype(np.float32)))
    assert volume.data.dtype == bool
    np.testing.assert_array_equal(volume.data, marked)


def test_rounding_of_a_mask_is_tolerated(tmp_path):
    marked = DATA > 110
    noise = np.random.default_rng(1).uniform(-5e-4, 5e-4, SHAPE)
    volume = load_mask(save_nifti(tmp_path / "m.nii", (marked + noise).astype(np.float32)))
    np.testing.assert_array_equal(volume.data, marked)


@pytest.mark.parametrize("fill", [0.0, -0.0])
def test_an_empty_mask_is_a_mask(tmp_path, fill):
    assert not load_mask(
        save_nifti(tmp_path / "m.nii", np.full(SHAPE, fill, np.float32))
    ).data.any()


def test_a_full_mask_is_a_mask(tmp_path):
    assert load_mask(save_nifti(tmp_path / "m.nii", np.ones(SHAPE, np.uint8))).data.all()


@pytest.mark.parametrize(
    "values",
    [(0, 1, 2), (0, 1, 2, 3), (0, 0.3, 1), (-1, 0), (-1, 1), (-2, -1), (-3, -3), (0, 0.99, 1)],
)
def test_labels_probabilities_and_negative_values_are_no_mask(tmp_path, values):
    data = np.resize(np.array(values, np.float32), SHAPE)
    finding = finding_of(save_nifti(tmp_path / "m.nii", data), load_mask)
    assert "binary mask" in finding.expected
    for value in values[:2]:
        assert f"{value:g}" in finding.found


# --- what is written ----------------------------------------------------------------------------


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


def test_nibabel_is_imported_without_what_reads_dicom():
    """And whoever reads DICOM in the same process finds it after."""
    code = (
        "import sys; from msnmo.core.volumes import nib; assert 'pydicom' not in sys.modules; "
        "import pydicom"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
from msnmo.core.volumes import Grid, save_volume
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


# --- grids --------------------------------------------------------------------------------------

affines = st.builds(
    lambda angles, zooms, signs, shift: nib.affines.from_matvec(
        nib.eulerangles.euler2mat(*angles) @ np.diag(np.array(zooms) * signs), shift
    ),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(0.2, 8)] * 3),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.floats(-300, 300)] * 3),
)
shapes = st.tuples(*[st.integers(1, 300)] * 3)


@given(shape=shapes, affine=affines)
def test_a_grid_returns_exactly_from_json(shape, affine):
    grid = Grid.from_affine(shape, affine)
    again = Grid.from_json(json.loads(json.dumps(grid.to_json(), allow_nan=False)))
    assert again.matches(grid, 0)
    np.testing.assert_array_equal(again.qform, grid.qform)


@given(shape=shapes, affine=affines, shift=st.floats(0.02, 5), direction=st.sampled_from([0, 1, 2]))
def test_grids_match_only_where_every_voxel_stays(shape, affine, shift, direction):
    grid = Grid.from_affine(shape, affine)
    moved = affine.copy()
    moved[direction, 3] += shift
    assert not grid.matches(Grid.from_affine(shape, moved))
    assert grid.matches(Grid.from_affine(shape, moved), tolerance_mm=shift * 1.001)
    assert not grid.matches(Grid.from_affine((*shape[:2], shape[2] + 1), affine))
    stretched = affine.copy()
    stretched[:3, 0] *= 1 + 0.05 / (np.linalg.norm(affine[:3, 0]) * max(shape[0] - 1, 1))
    # one voxel along an axis stays where it is, however long it is said to be
    assert grid.matches(Grid.from_affine(shape, stretched)) == (shape[0] == 1)


@settings(max_examples=25, deadline=None)
@given(affine=affines)
def test_any_affine_survives_the_file(tmp_path_factory, affine):
    path = tmp_path_factory.getbasetemp() / "grid.nii"
    save_volume(path, DATA, Grid.from_affine(SHAPE, affine))
    grid = load_volume(path).grid
    assert grid.matches(Grid.from_affine(SHAPE, affine))
    assert grid.form_conflict is None


def test_another_grid_is_refused_naming_both_files(tmp_path):
    scan = Volume(DATA, Grid.from_affine(SHAPE, AFFINE))
    check_same_grid(tmp_path / "m.nii", scan, tmp_path / "s.nii", scan)
    with pytest.raises(InputError) as caught:
        check_same_grid(
            tmp_path / "m.nii",
            Volume(DATA, Grid.from_affine(SHAPE, OTHER)),
            tmp_path / "s.nii",
            scan,
        )
    (finding,) = caught.value.findings
    assert "m.nii" in finding.file
    assert "s.nii" in finding.expected


# --- hostile sizes ------------------------------------------------------------------------------


def claims(path, shape, size=0):
    """Write a header of so many voxels, and bytes that take no room on disk."""
    header = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE).header
    header["dim"][1:4], header["vox_offset"] = shape, 352
    path.write_bytes(header.binaryblock)
    os.truncate(path, 352 + (size or math.prod(shape)))
    return path


@pytest.mark.parametrize("shape", [(1025, 1024, 1024), (32767, 32767, 2)])
def test_more_voxels_than_a_head_has_are_refused_before_memory_is_taken(tmp_path, shape):
    finding = finding_of(claims(tmp_path / "x.nii", shape))
    assert finding.expected == "at most 1073741824 voxels (1024 x 1024 x 1024)"
    assert finding.found == f"shape {shape}"


def test_too_little_memory_is_no_fault_of_the_file(tmp_path, monkeypatch):
    path = claims(tmp_path / "x.nii", (1024, 1024, 1024))
    monkeypatch.setattr(memory, "available", lambda: 2**31)
    with pytest.raises(MemoryError, match=r"x\.nii needs 16\.0 GiB of memory, 2\.0 GiB are free"):
        load_volume(path)
    assert load_volume(save_nifti(path)).data.shape == SHAPE


def test_memory_that_runs_out_all_the_same_is_not_called_a_damaged_file(tmp_path, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(volumes, "_in_pieces", full)
    with pytest.raises(MemoryError):
        load_volume(save_nifti(tmp_path / "x.nii"))


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_what_follows_the_voxels_is_read_only_so_far(tmp_path, name):
    path = save_nifti(tmp_path / name)
    whole = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    pack = gzip.compress if name.endswith("gz") else bytes
    path.write_bytes(pack(whole + bytes(2**20)))
    volume = load_volume(path)
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.behind == 2**20
    path.write_bytes(pack(whole + bytes(2**20 + 1)))
    assert finding_of(path).found == "more than 1048576 bytes after the voxels"


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_header_without_end_is_refused_before_it_is_read(tmp_path, kind):
    header = kind(DATA, AFFINE).header
    header["vox_offset"] = 2**30
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(10_000)))
    assert "a header that claims 1.07374e+09 bytes" in finding_of(path).found


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert finding_of(tmp_path / name).found == "a pipe, socket or device"
    (tmp_path / f"endless{name}").symlink_to("/dev/zero")
    assert finding_of(tmp_path / f"endless{name}").found == "a pipe, socket or device"


def test_a_file_that_its_disk_does_not_give_is_named(tmp_path, monkeypatch):
    path = tmp_path / "x.nii"
    path.write_bytes(bytes(1000))

    class Failing:
        def __getattr__(self, name):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(Path, "open", lambda *_: Failing())
    finding = finding_of(path)
    assert finding.file == str(path)
    assert os.strerror(errno.EIO) in finding.found


# --- any header ---------------------------------------------------------------------------------

FIELDS = {
    "<i2": [40, 42, 44, 46, 48, 70, 72, 252, 254],  # dim, datatype, bitpix, codes
    "<f4": [76, 80, 84, 88, 108, 112, 116, 256, 260, 264, 268, 280, 284, 296, 312, 324],
}
hostile = st.one_of(
    st.tuples(
        st.sampled_from(FIELDS["<i2"]),
        st.integers(-(2**15), 2**15 - 1).map(lambda v: np.array(v, "<i2").tobytes()),
    ),
    st.tuples(
        st.sampled_from(FIELDS["<f4"]),
        st.one_of(
            st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e38, 352.5]),
            st.floats(width=32),
        ).map(lambda v: np.array(v, "<f4").tobytes()),
    ),
    st.tuples(st.integers(0, 351), st.binary(min_size=1, max_size=4)),
)


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(hostile, max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 600)),
    compress=st.booleans(),
    load=st.sampled_from([load_volume, load_mask]),
)
def test_any_header_gives_a_volume_or_a_finding(tmp_path, changes, cut, compress, load):
    path = tmp_path / ("x.nii.gz" if compress else "x.nii")
    save_nifti(path, (DATA > 100).astype(np.int16))
    content = bytearray(gzip.decompress(path.read_bytes()) if compress else path.read_bytes())
    for offset, value in changes:
        content[offset : offset + len(value)] = value
    content = bytes(content[:cut])
    path.write_bytes(gzip.compress(content, 1) if compress else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            volume = load(path)
        except InputError:
            return
        assert np.isfinite(volume.data).all()
        assert volume.data.shape == volume.grid.shape
        json.dumps(volume.grid.to_json(), allow_nan=False)
        save_volume(tmp_path / "again.nii", volume.data, volume.grid)
