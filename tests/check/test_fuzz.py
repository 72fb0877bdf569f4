"""Whatever a header says, the check ends with a finding or a scan that can be used."""

import gzip
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from msnmo.check.check_scan import Files, check_scan
from msnmo.core.volumes import load_volume
from tests.check.hostile import SHAPE, head, image_of

FILE = image_of(head(0)[::2, ::2, ::2], np.diag([8.0, 8, 8, 1])).to_bytes()
FLOATS = st.floats(width=32)
CODES = st.integers(-(2**15), 2**15 - 1)
FIELDS = {
    "dim": st.lists(CODES, min_size=8, max_size=8),
    "pixdim": st.lists(FLOATS, min_size=8, max_size=8),
    "datatype": st.one_of(CODES, st.sampled_from([2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1536])),
    "bitpix": CODES,
    "vox_offset": FLOATS,
    "scl_slope": FLOATS,
    "scl_inter": FLOATS,
    "xyzt_units": st.integers(0, 255),
    "qform_code": CODES,
    "sform_code": CODES,
    "quatern_b": FLOATS,
    "quatern_c": FLOATS,
    "quatern_d": FLOATS,
    "qoffset_x": FLOATS,
    "srow_x": st.lists(FLOATS, min_size=4, max_size=4),
    "srow_y": st.lists(FLOATS, min_size=4, max_size=4),
    "intent_code": CODES,
    "cal_max": FLOATS,
    "magic": st.binary(min_size=4, max_size=4),
}
HEADERS = st.fixed_dictionaries({}, optional=FIELDS)


def checked(content, name="scan.nii"):
    """The report on a file of these bytes, given as scan and as mask; it must not raise."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        other = Path(folder) / "whole.nii"
        other.write_bytes(FILE)
        as_mask = check_scan("sub-1", Files(other, (path,), path), resample=True)
        assert as_mask.findings
        report = check_scan("sub-1", Files(path))
        errors = [each for each in report.findings if each.severity == "error"]
        for each in report.findings + as_mask.findings:
            assert all(vars(each.finding).values())
        if not errors:  # then it is used: it must be what the pipeline can take
            volume = load_volume(path)
            assert np.isfinite(volume.data).all()
            assert np.isfinite(volume.grid.affine).all()
            assert volume.data.ndim == 3
        report.write(Path(folder) / "report.json")
        return errors


@settings(max_examples=300)
@given(HEADERS)
@example({"dim": [3, 22, 26, 20, 1, 1, 1, 1]})
@example({"dim": [7, 22, 26, 20, 1, 1, 1, 1]})
@example({"qform_code": 1, "sform_code": 0, "quatern_b": float("nan")})
def test_any_header_gives_a_result_or_a_finding(fields):
    header = nib.Nifti1Header(FILE[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    checked(header.binaryblock + FILE[348:])


@settings(max_examples=150)
@given(st.integers(0, 347), st.binary(min_size=1, max_size=64))
def test_any_bytes_in_the_header_give_a_result_or_a_finding(start, noise):
    content = bytearray(FILE)
    content[start : start + len(noise)] = noise
    checked(bytes(content))


@settings(max_examples=100)
@given(st.data())
def test_a_damaged_gzip_is_never_used(data):
    packed = bytearray(gzip.compress(FILE, mtime=0))
    # bytes 4 to 9 hold a time stamp and the like, which no reader needs
    place = data.draw(st.integers(10, len(packed) - 1))
    bits = data.draw(st.integers(1, 255))
    packed[place] ^= bits
    assert checked(bytes(packed), "scan.nii.gz")
    assert checked(bytes(packed[:place]), "scan.nii.gz")


def test_the_undamaged_file_is_used():
    assert checked(FILE) == []
    assert checked(gzip.compress(FILE), "scan.nii.gz") == []
    assert SHAPE[0] * 4 == 22 * 8
