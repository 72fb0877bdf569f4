"""NIfTI files whose header, bytes or place mean harm."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from msnmo.check.check_cohort import main as check
from msnmo.core.volumes import load_volume
from tests.attacks.attack import Attack, Place, refused, refused_or_done
from tests.attacks.tables import GOOD
from tests.check.hostile import CASES, head, image_of, write_good

FILE = image_of(head(0)[::2, ::2, ::2], np.diag([8.0, 8, 8, 1])).to_bytes()
PACKED = gzip.compress(FILE, mtime=0)
FIELDS = nib.Nifti1Header.template_dtype
DECIDING = ("sizeof_hdr", "magic", "datatype", "dim")
"""Fields of which any other value leaves no scan; others may be ones that no reader needs."""


def _values(kind: np.dtype) -> dict[str, object]:
    base = kind.base
    if base.kind == "f":
        return {
            "NaN": np.nan,
            "infinity": np.inf,
            "minus infinity": -np.inf,
            "-1": -1,
            "0": 0,
            "the largest": np.finfo(base).max,
            "the smallest": np.finfo(base).smallest_subnormal,
        }
    if base.kind in "iu":
        info = np.iinfo(base)
        return {"the least": info.min, "-1": -1 % (info.max + 1), "0": 0, "the most": info.max}
    return {"bytes of 255": b"\xff" * base.itemsize, "a script": b"<script>alert(1)</script>"}


def _check(place: Place, name: str, **row: str):
    """Check the cohort of this scan; what the check lets pass must be a scan that can be used."""
    path = place.given / name
    rows = [GOOD | {"flair": name, "lesion_mask": "", "diagnosis": ""} | row]
    lines = ["\t".join(rows[0]), *("\t".join(each.values()) for each in rows)]
    (place.given / "scans.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def main(arguments: list[str]) -> None:
        check(arguments)
        volume = load_volume(path)
        assert np.isfinite(volume.data).all()
        assert np.isfinite(volume.grid.affine).all()
        assert volume.data.ndim == 3

    table = place.given / "scans.tsv"
    return place.run(main, "--scans", table, "--out", place.out, "--processes", 1)


def _header(field: str, value: object) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        header = np.frombuffer(FILE[:348], FIELDS).copy()
        header[field] = value
        (place.given / "scan.nii").write_bytes(header.tobytes() + FILE[348:])
        refused_or_done(_check(place, "scan.nii"), "scan.nii")

    return run


def _bytes(name: str, content: bytes) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        (place.given / name).write_bytes(content)
        refused(_check(place, name), name)

    return run


def _as_mask(field: str, value: object) -> Callable[[Place], None]:
    """The scan is whole, the header of its mask is not."""

    def run(place: Place) -> None:
        write_good(place.given / "good", 0)
        path = place.given / "good/mask.nii.gz"
        content = bytearray(gzip.decompress(path.read_bytes()))
        header = np.frombuffer(bytes(content[:348]), FIELDS).copy()
        header[field] = value
        content[:348] = header.tobytes()
        path.write_bytes(gzip.compress(bytes(content)))
        ended = _check(place, "good/flair.nii.gz", lesion_mask="good/mask.nii.gz", diagnosis="MS")
        refused_or_done(ended, "mask.nii.gz")

    return run


def _case(number: int) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        folder = place.given / "good"
        write_good(folder, number)
        CASES[number].make(folder)
        ended = _check(place, "good/flair.nii.gz")
        refused(ended, "flair.nii.gz")

    return run


def _flipped(place: int) -> bytes:
    return PACKED[:place] + bytes([PACKED[place] ^ 255]) + PACKED[place + 1 :]


def _bomb(gibibytes: int) -> bytes:
    """A header that promises what follows: gibibytes of zeros, of which a megabyte makes one."""
    header = np.frombuffer(FILE[:348], FIELDS).copy()
    header["dim"] = [3, 1024, 1024, 512 * gibibytes, 1, 1, 1, 1]
    block = gzip.compress(bytes(2**26), 9)
    return gzip.compress(header.tobytes() + bytes(4)) + block * (16 * gibibytes)


def _bombed(place: Place) -> None:
    _bytes("scan.nii.gz", _bomb(8))(place)


def _special(make: Callable[[Path], None]) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        make(place.given / "scan.nii.gz")
        refused(_check(place, "scan.nii.gz"), "scan.nii.gz")

    return run


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a link to the terminal": lambda path: path.symlink_to("/dev/tty"),
    "a link to memory": lambda path: path.symlink_to("/proc/self/mem"),
    "a sparse terabyte": lambda path: os.truncate(_touched(path), 2**40),
}


def _touched(path: Path) -> Path:
    path.touch()
    return path


# of each field, whatever a program could write into it
HEADERS = [
    (field, name, value) for field in FIELDS.names for name, value in _values(FIELDS[field]).items()
]
OF_MASKS = ("dim", "pixdim", "datatype", "scl_slope", "scl_inter", "srow_x", "sform_code")
CUTS = [0, 1, 2, 3, 9, 10, 11, 17, *(len(PACKED) * part // 20 for part in range(1, 20))]
PLAIN_CUTS = [0, 1, 4, 40, 100, 343, 344, 347, 348, 351, 352, 353, 1000, len(FILE) - 1]
FLIPS = [0, 1, 2, 10, *(len(PACKED) * part // 16 for part in range(1, 16)), -1 % len(PACKED)]
# those whose image is wrong whatever stands in the table
IMAGES = [
    number
    for number, case in enumerate(CASES)
    if case.severity == "error"
    and not case.changes
    and not case.scan.startswith("row")
    and not case.name.lower().startswith(("mask", "brain", "slash", "prefix", "copy"))
]

ATTACKS = [
    *(
        Attack("NIfTI", f"{field} is {name}", _header(field, value))
        for field, name, value in HEADERS
    ),
    *(
        Attack("NIfTI", f"{field} of a mask is {name}", _as_mask(field, value))
        for field in OF_MASKS
        for name, value in _values(FIELDS[field]).items()
    ),
    *(
        Attack("NIfTI", f"gzip cut to {cut} bytes", _bytes("scan.nii.gz", PACKED[:cut]))
        for cut in CUTS
    ),
    *(
        Attack("NIfTI", f"plain file cut to {cut} bytes", _bytes("scan.nii", FILE[:cut]))
        for cut in PLAIN_CUTS
    ),
    *(
        Attack("NIfTI", f"gzip with byte {place} turned", _bytes("scan.nii.gz", _flipped(place)))
        for place in FLIPS
    ),
    *(Attack("NIfTI", f"image: {CASES[number].name}", _case(number)) for number in IMAGES),
    *(Attack("NIfTI", f"in its place {name}", _special(make)) for name, make in SPECIAL.items()),
    Attack("NIfTI", "a bomb of 8 GB", _bombed),
    Attack("NIfTI", "gzip in gzip", _bytes("scan.nii.gz", gzip.compress(PACKED))),
    Attack("NIfTI", "bytes behind the gzip", _bytes("scan.nii.gz", PACKED + b"\0rm -rf /" * 99)),
]
