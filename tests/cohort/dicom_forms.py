"""Forms in which archives keep DICOM: compressed pixels, and files without their first bytes."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)


def rle(path: Path) -> None:
    _compressed(path, RLELossless)


def jpeg_ls(path: Path) -> None:
    _compressed(path, JPEGLSLossless)


def jpeg_2000(path: Path) -> None:
    header = pydicom.dcmread(path)
    stream = io.BytesIO()
    picture = PIL.Image.fromarray(header.pixel_array.astype("<u2"))
    picture.save(stream, format="JPEG2000", no_jp2=True, irreversible=False)
    _encapsulated(header, stream.getvalue(), JPEG2000Lossless, path)


def jpeg_lossless(path: Path) -> None:
    """Compress as most archives do (process 14, the first selection value)."""
    header = pydicom.dcmread(path)
    _encapsulated(header, encode_lossless(header.pixel_array), JPEGLosslessSV1, path)


def deflated(path: Path) -> None:
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header.save_as(path)


def implicit(path: Path) -> None:
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    header.save_as(path)


def without_preamble(path: Path) -> None:
    """Take the 132 bytes before group 2 away."""
    path.write_bytes(path.read_bytes()[132:])


def without_meta(path: Path) -> None:
    """Take all before group 8 away, as before 1993."""
    header = pydicom.dcmread(path)
    content = path.read_bytes()
    path.write_bytes(content[144 + int(header.file_meta.FileMetaInformationGroupLength) :])


def _compressed(path: Path, syntax: str) -> None:
    header = pydicom.dcmread(path)
    header.compress(syntax)
    header.save_as(path)


def _encapsulated(header: pydicom.Dataset, stream: bytes, syntax: str, path: Path) -> None:
    header.PixelData = encapsulate([stream])
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = syntax
    header.save_as(path)


def encode_lossless(pixels: np.ndarray) -> bytes:
    """Return a lossless JPEG of 16-bit pixels (ITU-T T.81, annex H), predicted from the left.

    All categories of differences have codes of 5 bits: short streams are not what is tested.
    """
    rows, columns = pixels.shape
    values = pixels.astype(np.int64)
    before = np.empty_like(values)
    before[:, 1:] = values[:, :-1]
    before[1:, 0] = values[:-1, 0]
    before[0, 0] = 1 << 15
    bits = "".join(map(_bits, (values - before).ravel().tolist()))
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame = struct.pack(">BHHBBBB", 16, rows, columns, 1, 1, 0x11, 0)
    table = bytes([0, *(17 if length == 5 else 0 for length in range(1, 17)), *range(17)])
    scan = bytes([1, 1, 0, 1, 0, 0])
    segments = ((0xC3, frame), (0xC4, table), (0xDA, scan))
    headers = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
    )
    stream = b"\xff\xd8" + headers + data + b"\xff\xd9"
    return stream + b"\0" * (len(stream) % 2)


def _bits(difference: int) -> str:
    length = abs(difference).bit_length()
    extra = difference if difference > 0 else difference + (1 << length) - 1
    return f"{length:05b}" + (f"{extra:0{length}b}" if length else "")
