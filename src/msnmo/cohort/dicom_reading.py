"""The DICOM images of a folder, by series (pydicom, which comes with the extra `dicom`)."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import combining, normalize

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from msnmo.cohort.dicom_series import TEXTS, Folder, Identity, Image, Series, several
from msnmo.core.errors import bad_input

TAGS = [
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType"),
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", *TEXTS),
    *("StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "EchoTime", "ContrastBolusAgent"),
    *("ImagePositionPatient", "ImageOrientationPatient", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "SamplesPerPixel"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]


def read_folder(folder: Path) -> Folder:
    """Read the headers of all DICOM files in a folder, whatever their names.

    Raises
    ------
    InputError
        If it is no folder, or there is no DICOM image in it.
    """
    remedy = "give the folder that the scans were exported to, e.g. from the PACS or a CD"
    if not folder.is_dir():
        raise bad_input(folder, "a folder of DICOM files", "no such folder", remedy)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    groups: dict[tuple[str, str, str], dict[str, Image]] = defaultdict(dict)
    broken = []
    for path in files:
        try:
            image = read_image(path)
        except Exception as error:  # whatever pydicom trips over, it is this file that is broken
            broken.append((path, type(error).__name__))
            continue
        if image:
            # exports often hold a file twice; the first by path is as good as the others
            same_series = groups[(image.patient, image.study, image.series)]
            same_series.setdefault(image.instance, image)
    if not groups and not broken:
        raise bad_input(
            folder, "DICOM files, at any depth", f"{len(files)} files, none DICOM", remedy
        )
    return Folder([Series(list(group.values())) for group in groups.values()], broken, files)


def read_image(path: Path) -> Image | None:
    """Return what a file says of itself, or None if it is no DICOM or an index of files.

    Raises
    ------
    Exception
        Of many kinds, if it begins as DICOM and cannot be read on.
    """
    with path.open("rb") as stream:
        start = stream.read(132)
    has_preamble = start[128:] == b"DICM"
    # files of before 1993 begin with their first element, of group 8 (or 2)
    if not has_preamble and start[:2] not in (b"\x08\x00", b"\x02\x00"):
        return None
    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be a person's
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS, force=True)
            if header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
                return None
            return _image(path, header)
        except Exception:
            if has_preamble:
                raise
            return None


def _image(path: Path, header: Dataset) -> Image:
    orientations, places = _places(header)
    echo = header.get("EchoTime")
    frames = int(header.get("NumberOfFrames") or 1)
    return Image(
        path=path,
        patient=str(header.get("PatientID") or "").strip(),
        study=str(header.StudyInstanceUID),
        series=str(header.SeriesInstanceUID),
        instance=str(header.SOPInstanceUID),
        identity=_identity(header),
        studied=_moment(header, "Study"),
        acquired=_moment(header, "Series"),
        number=int(header.get("SeriesNumber") or 0),
        texts=" ".join(str(header.get(name) or "") for name in TEXTS),
        is_mr=header.get("Modality") == "MR" and "Rows" in header,
        is_whole=path.stat().st_size >= _least_bytes(header, frames),
        kinds=frozenset(several(header.get("ImageType"))),
        echo_ms=None if echo in (None, "") else float(echo),
        contrast=bool(header.get("ContrastBolusAgent")),
        places=places,
        orientations=orientations,
        frames=frames,
        description=str(header.get("SeriesDescription") or ""),
        syntax=UID(header.file_meta.get("TransferSyntaxUID", "")).name,
    )


def _identity(header: Dataset) -> Identity:
    issuer, name, born = (
        str(header.get(tag) or "")
        for tag in ("IssuerOfPatientID", "PatientName", "PatientBirthDate")
    )
    # systems write one person in capitals or not, with or without accents and empty components;
    # after "=" stands the same name in another script
    letters = normalize("NFKD", name.partition("=")[0]).casefold()
    words = re.findall(r"[^\W_]+", "".join(each for each in letters if not combining(each)))
    return Identity(issuer.strip().casefold(), " ".join(words), re.sub(r"\D", "", born))


def _moment(header: Dataset, kind: str) -> str:
    """Return a date and time as a text that sorts in time; empty where no date is given."""
    date = str(header.get(f"{kind}Date") or "").replace(".", "")
    time = str(header.get(f"{kind}Time") or "").replace(":", "")
    return f"{date} {time}" if date else ""


def _least_bytes(header: Dataset, frames: int) -> int:
    """Return how many bytes the pixels take; 0 where they are compressed."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if "Rows" not in header or (syntax and UID(syntax).is_compressed):
        return 0
    samples = int(header.get("SamplesPerPixel") or 1) * int(header.get("BitsAllocated") or 16) // 8
    return int(header.Rows) * int(header.Columns) * samples * frames


def _places(header: Dataset) -> tuple[frozenset[tuple[float, ...]], tuple[float, ...]]:
    """Return the orientations of an image's slices, and where they lie along their normal."""
    orientations, places = set(), []
    for orientation, position in _planes(header):
        if orientation is not None and position is not None:
            orientations.add(tuple(round(float(cosine), 3) for cosine in orientation))
            cosines = np.array(orientation, dtype=float)
            normal = np.cross(cosines[:3], cosines[3:])
            places.append(float(normal @ np.array(position, dtype=float)))
    return frozenset(orientations), tuple(places)


def _planes(header: Dataset) -> Iterator[tuple[Any, Any]]:
    """Yield orientation and position of each slice, of a classic or of a multi-frame image."""
    if "PerFrameFunctionalGroupsSequence" not in header:
        yield header.get("ImageOrientationPatient"), header.get("ImagePositionPatient")
        return
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or [Dataset()]))
    for frame in header.PerFrameFunctionalGroupsSequence:
        yield (
            _of_group(frame, shared, "PlaneOrientationSequence", "ImageOrientationPatient"),
            _of_group(frame, shared, "PlanePositionSequence", "ImagePositionPatient"),
        )


def _of_group(frame: Dataset, shared: Dataset, group: str, name: str) -> Any:
    items = frame.get(group) or shared.get(group)
    return items[0].get(name) if items else None
