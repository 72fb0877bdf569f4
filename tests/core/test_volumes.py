"""No header is trusted: a volume is read right, or its file is named with what is wrong."""

import errno
import gzip
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msnmo.core import memory, volumes
from msnmo.core.errors import InputError
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_mask, load_volume
from tests.core.nifti_files import AFFINE, DATA, SHAPE, finding_of, save_nifti

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


def test_nibabel_is_imported_without_what_reads_dicom():
    """And whoever reads DICOM in the same process finds it after."""
    code = (
        "import sys; from msnmo.core.volumes import nib; assert 'pydicom' not in sys.modules; "
        "import pydicom"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
