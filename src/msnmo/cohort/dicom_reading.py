"""Read the DICOM images of a folder, by series (needs pydicom, from the extra `dicom`)."""

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

from msnmo.cohort.archives import archive_kind, refuse_archive, remedy_for
from msnmo.cohort.dicom_series import (
    TEXTS,
    Folder,
    Identity,
    Image,
    Series,
    several,
    stacks_of,
    without_strays,
)
from msnmo.core.counts import counted
from msnmo.core.errors import bad_input

TAGS = [
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType"),
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", *TEXTS),
    *("StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "EchoTime", "ContrastBolusAgent"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "NumberOfFrames"),
    *(
        "BodyPartExamined",
        "AnatomicRegionSequence",
        "ComplexImageComponent",
        "PhotometricInterpretation",
    ),
    *("AcquisitionNumber", "TemporalPositionIdentifier"),
    *("Rows", "Columns", "BitsAllocated", "SamplesPerPixel"),
    *("InstanceNumber", "BurnedInAnnotation", "ConversionType"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
IDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
"""Start of the SOP classes of secondary captures."""
NO_AGENT = frozenset(["", "no", "none", "n/a", "0", "without"])


class MissingTagError(Exception):
    """A file without an attribute that every DICOM object has."""


def read_folder(folder: Path) -> Folder:
    """Read the headers of all DICOM files in a folder. File names do not matter.

    Raises
    ------
    InputError
        If it is not a folder, or has no DICOM image in it.
    """
    remedy = "give the folder that the scans were exported to, e.g. from the PACS or a CD"
    if not folder.is_dir():
        refuse_archive(folder)
        raise bad_input(folder, "a folder of DICOM files", "no such folder", remedy)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    groups: dict[tuple[str, str, str], dict[tuple[Any, ...], Image]] = defaultdict(dict)
    broken, archives = [], []
    for path in files:
        image, fault = _tried(path)
        if image:
            # exports often hold a file twice; the first by path is used
            same_series = groups[(image.patient, image.study, image.series)]
            same_series.setdefault(_sameness(image), image)
        elif fault:
            broken.append((path, fault))
        elif kind := archive_kind(path):
            archives.append((path, kind))
    if not groups and not broken:
        found = f"{counted(len(files), 'file')}, none DICOM"
        if archives:
            kinds = sorted({kind for _, kind in archives})
            found += f"; archives ({', '.join(kinds)}): {len(archives)}"
            remedy = remedy_for(folder, kinds)
        raise bad_input(folder, "DICOM files, at any depth", found, remedy)
    series = [
        stack
        for group in groups.values()
        for stack in stacks_of(without_strays(Series(list(group.values()))))
    ]
    return Folder(series, broken, files, archives)


def _tried(path: Path) -> tuple[Image | None, str]:
    """Return the image if it can be read; else its problem, if it is DICOM."""
    try:
        return read_image(path), ""
    except MissingTagError as error:
        return None, str(error)
    except Exception as error:  # whatever pydicom raises, this file is broken
        return None, type(error).__name__


def _sameness(image: Image) -> tuple[Any, ...]:
    """Return the values that two copies of one image share.

    The id alone is not enough: bad anonymisers give one id to all images, even of two people.
    """
    return image.instance, image.place_in_series, image.places, image.identity


def read_image(path: Path) -> Image | None:
    """Return a file's header data, or None if it is not DICOM or only an index of files.

    Raises
    ------
    Exception
        Of many kinds, if it begins as DICOM but cannot be read further.
    """
    with path.open("rb") as stream:
        start = stream.read(132)
    has_preamble = start[128:] == b"DICM"
    # files from before 1993 begin with their first element, of group 8 (or 2)
    if not has_preamble and start[:2] not in (b"\x08\x00", b"\x02\x00"):
        return None
    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be personal
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
    missing = [name for name in IDS if not header.get(name)]
    if missing:
        raise MissingTagError(
            f"no {', '.join(missing)}, which anonymisers must replace, not delete"
        )
    orientations, places, lacks = _places(header)
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
        place_in_series=str(header.get("InstanceNumber") or ""),
        is_image="Rows" in header,
        is_mr=header.get("Modality") == "MR" and "Rows" in header,
        is_capture=_is_capture(header),
        is_burned_in=str(header.get("BurnedInAnnotation") or "").strip().upper() == "YES",
        is_whole=path.stat().st_size >= _least_bytes(header, frames),
        kinds=_kinds(header),
        echo_ms=None if echo in (None, "") else float(echo),
        contrast=str(header.get("ContrastBolusAgent") or "").strip().lower() not in NO_AGENT,
        places=places,
        orientations=orientations,
        frames=frames,
        description=str(header.get("SeriesDescription") or ""),
        syntax=UID(header.file_meta.get("TransferSyntaxUID", "")).name,
        part=_part(header),
        photometric=str(header.get("PhotometricInterpretation") or "").strip().upper(),
        acquisition=tuple(
            str(header.get(name) or "")
            for name in ("AcquisitionNumber", "TemporalPositionIdentifier")
        ),
        lacks=lacks,
    )


def _part(header: Dataset) -> str:
    """Return the body part in a header. In enhanced images it is the meaning of a code."""
    frames = header.get("PerFrameFunctionalGroupsSequence") or [Dataset()]
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or [Dataset()]))
    regions = header.get("AnatomicRegionSequence") or _of_group(
        frames[0], shared, "FrameAnatomySequence", "AnatomicRegionSequence"
    )
    meaning = regions[0].get("CodeMeaning") if regions else ""
    return str(header.get("BodyPartExamined") or meaning or "").strip()


def _kinds(header: Dataset) -> frozenset[str]:
    """Return the values of ImageType, including those of an enhanced image's frames."""
    kinds = [*several(header.get("ImageType")), *several(header.get("ComplexImageComponent"))]
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or [Dataset()]))
    for frame in header.get("PerFrameFunctionalGroupsSequence") or [Dataset()]:
        for name in ("FrameType", "ComplexImageComponent"):
            kinds += several(_of_group(frame, shared, "MRImageFrameTypeSequence", name))
    return frozenset(kinds)


def _is_capture(header: Dataset) -> bool:
    """Whether an image is a copy of a screen, film or page and not from a scanner."""
    coloured = int(header.get("SamplesPerPixel") or 1) > 1
    coloured |= str(header.get("PhotometricInterpretation") or "").startswith("PALETTE")
    copied = str(header.get("SOPClassUID") or "").startswith(CAPTURES)
    return copied or coloured or bool(header.get("ConversionType"))


def _identity(header: Dataset) -> Identity:
    issuer, name, born = (
        str(header.get(tag) or "")
        for tag in ("IssuerOfPatientID", "PatientName", "PatientBirthDate")
    )
    # systems write one person in capitals or not, with or without accents and empty components;
    # after "=" comes the same name in another script
    letters = normalize("NFKD", name.partition("=")[0]).casefold()
    words = re.findall(r"[^\W_]+", "".join(each for each in letters if not combining(each)))
    sex = str(header.get("PatientSex") or "").strip().upper()
    return Identity(
        issuer.strip().casefold(),
        " ".join(words),
        re.sub(r"\D", "", born),
        # O is what systems write if nothing was entered
        sex if sex in ("F", "M") else "",
    )


def _moment(header: Dataset, kind: str) -> str:
    """Return date and time as a sortable text; empty if no date is given."""
    date = str(header.get(f"{kind}Date") or "").replace(".", "")
    time = str(header.get(f"{kind}Time") or "").replace(":", "")
    return f"{date} {time}" if date else ""


def _least_bytes(header: Dataset, frames: int) -> int:
    """Return how many bytes the pixels take; 0 if they are compressed."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if "Rows" not in header or (syntax and UID(syntax).is_compressed):
        return 0
    samples = int(header.get("SamplesPerPixel") or 1) * int(header.get("BitsAllocated") or 16) // 8
    return int(header.Rows) * int(header.Columns) * samples * frames


def _places(
    header: Dataset,
) -> tuple[frozenset[tuple[float, ...]], tuple[float, ...], frozenset[str]]:
    """Return orientations of an image's slices, their places along the normal, missing items.

    A missing item is named: a position, an orientation or a spacing that is absent or invalid.
    """
    orientations, places, lacks = set(), [], set()
    for orientation, position, spacing in _planes(header):
        given = {
            "ImageOrientationPatient": _numbers(orientation, 6),
            "ImagePositionPatient": _numbers(position, 3),
            "PixelSpacing": _numbers(spacing, 2) and min(spacing) > 0,
        }
        lacks |= {name for name, is_there in given.items() if not is_there}
        if given["ImageOrientationPatient"] and given["ImagePositionPatient"]:
            orientations.add(tuple(round(float(cosine), 3) for cosine in orientation))
            cosines = np.array(orientation, dtype=float)
            normal = np.cross(cosines[:3], cosines[3:])
            places.append(float(normal @ np.array(position, dtype=float)))
    return frozenset(orientations), tuple(places), frozenset(lacks)


def _numbers(values: Any, count: int) -> bool:
    """Whether an attribute has this many numbers."""
    if values is None or isinstance(values, str) or not hasattr(values, "__len__"):
        return False
    return len(values) == count and bool(np.isfinite(np.array(values, dtype=float)).all())


def _planes(header: Dataset) -> Iterator[tuple[Any, Any, Any]]:
    """Yield orientation, position and spacing of each slice of a classic or multi-frame image."""
    names = ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing")
    if "PerFrameFunctionalGroupsSequence" not in header:
        one, other, third = (header.get(name) for name in names)
        yield one, other, third
        return
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or [Dataset()]))
    for frame in header.PerFrameFunctionalGroupsSequence:
        yield (
            _of_group(frame, shared, "PlaneOrientationSequence", "ImageOrientationPatient"),
            _of_group(frame, shared, "PlanePositionSequence", "ImagePositionPatient"),
            _of_group(frame, shared, "PixelMeasuresSequence", "PixelSpacing"),
        )


def _of_group(frame: Dataset, shared: Dataset, group: str, name: str) -> Any:
    items = frame.get(group) or shared.get(group)
    return items[0].get(name) if items else None
