"""DICOM images by series, and the series of a study.

Header values that may name a person leave this module only in `Series`. Its ids, times and texts
serve grouping and choosing and are never written. `msnmo.cohort.dicom_words` has the part of a text
that may be written.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from msnmo.cohort.dicom_kinds import is_magnitude

# Share of the slice distance: a missing slice doubles it, header rounding is below a tenth
UNEVEN = 0.1
# Most stacks of a split series: more stacks are a time series, not repeats
MOST_STACKS = 4
NAMED_CONTRAST = re.compile(
    r"(?<![a-z])(post|gd|gado?|ce|km|contrast|contraste)(?![a-z])|\+[\W_]*(c|gd|km)(?![a-z])",
    re.IGNORECASE,
)
NAMED_BARE = re.compile(
    r"(?<![a-z])(pre|no|non|without|w/?o|ohne|sans|sin|nativ)[\W_]*"
    r"(gd|gado?|ce|km|contrast|contraste)?(?![a-z])",
    re.IGNORECASE,
)
TEXTS = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
"""DICOM attributes, and keys of a sidecar, with names that people gave a series."""


class Identity(NamedTuple):
    """What a header says about a patient besides the PatientID; empty if it says nothing."""

    issuer: str
    name: str
    born: str
    sex: str = ""


@dataclass(frozen=True)
class Image:
    """The header values of one DICOM file that grouping and choosing need.

    Parameters
    ----------
    path : Path
    patient, study, series, instance : str
        Its ids.
    identity : Identity
        Other data on the patient in the header.
    studied, acquired : str
        Date and time of the study and of the series, as texts that sort by time.
    number : int
        Of the series.
    texts : str
        The names that people gave the series.
    place_in_series : str
        InstanceNumber.
    is_image, is_mr : bool
        Whether it has pixels, and whether they come from an MR scanner.
    is_capture, is_burned_in : bool
        Whether it is a copy of a screen or a page, and whether texts are burned into its pixels.
    is_whole : bool
        Whether the file is as long as its header says.
    kinds : frozenset of str
        The values of ImageType and of its counterparts in enhanced images.
    echo_ms : float or None
    contrast : bool
        Whether the header names a contrast agent.
    places : tuple of float
        Position of each slice along the normal, in mm.
    orientations : frozenset
        Direction cosines of rows and columns, rounded.
    frames : int
    description : str
    syntax : str
        Name of the transfer syntax.
    part : str
        BodyPartExamined.
    photometric : str
        PhotometricInterpretation.
    acquisition : tuple of str
        AcquisitionNumber and TemporalPositionIdentifier.
    lacks : frozenset of str
        Parts of the geometry that are missing in any slice.
    """

    path: Path
    patient: str
    study: str
    series: str
    instance: str
    identity: Identity
    studied: str
    acquired: str
    number: int
    texts: str
    place_in_series: str
    is_image: bool
    is_mr: bool
    is_capture: bool
    is_burned_in: bool
    is_whole: bool
    kinds: frozenset[str]
    echo_ms: float | None
    contrast: bool
    places: tuple[float, ...]
    orientations: frozenset[tuple[float, ...]]
    frames: int
    description: str
    syntax: str
    part: str = ""
    photometric: str = "MONOCHROME2"
    acquisition: tuple[str, ...] = ()
    lacks: frozenset[str] = frozenset()

    @property
    def is_derived(self) -> bool:
        """Whether it was computed from other images."""
        return "DERIVED" in {kind.upper() for kind in self.kinds}


@dataclass(frozen=True)
class Series:
    """The images of one series of one study of one patient.

    Parameters
    ----------
    images : list of Image
    strays : int
        Number of files of the series that are not among its images: raw data, a screenshot.
    stack : int
        Number of the stack within the series, from 1; 0 if the series has only one.
    """

    images: list[Image]
    strays: int = 0
    stack: int = 0

    @property
    def first(self) -> Image:
        """The image that represents the series."""
        return self.images[0]

    @property
    def label(self) -> str:
        """Its number; ``2.1`` for the first stack of series 2."""
        return f"{self.first.number}.{self.stack}" if self.stack else f"{self.first.number}"

    @property
    def places(self) -> np.ndarray:
        """Positions of slices along the normal, in mm: each place once, in order."""
        return np.unique(np.round([each for image in self.images for each in image.places], 2))

    @property
    def slices(self) -> int:
        """Number of slices of all volumes together."""
        return sum(image.frames for image in self.images)

    @property
    def is_mr(self) -> bool:
        """Whether every file of it is an MR image."""
        return all(image.is_mr for image in self.images)

    @property
    def reused_ids(self) -> int:
        """Number of images that share a SOPInstanceUID with another."""
        counts = Counter(image.instance for image in self.images)
        return sum(count for count in counts.values() if count > 1)

    @property
    def contrast(self) -> bool:
        """Whether a contrast agent is named, in its field or in the names of the series."""
        texts = self.first.texts
        named = NAMED_CONTRAST.search(texts) and not NAMED_BARE.search(texts)
        return bool(named) or any(image.contrast for image in self.images)

    @property
    def kinds(self) -> frozenset[str]:
        """All values of ImageType."""
        return frozenset().union(*(image.kinds for image in self.images))


@dataclass(frozen=True)
class Folder:
    """The content of a folder of DICOM files.

    Parameters
    ----------
    series : list of Series
    broken : list of (Path, str)
        Files that begin as DICOM but cannot be read, and why in a word.
    files : list of Path
        All files in the folder, by path.
    archives : list of (Path, str)
        Packed files, and their kind.
    """

    series: list[Series]
    broken: list[tuple[Path, str]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    archives: list[tuple[Path, str]] = field(default_factory=list)


def several(value: Any) -> list[str]:
    """Return the values of an attribute that may have one, several or none."""
    return [value] if isinstance(value, str) else [str(each) for each in value or ()]


def asked_for(
    several: Iterable[Series], wanted: Iterable[str], scans: Collection[str]
) -> list[Series]:
    """Return the series that are requested by UID, number, label or description.

    Parameters
    ----------
    several : iterable of Series
        Of one study.
    wanted : iterable of str
        Names. One with a scan before it, as in ``sub-X:7``, is only for that scan.
    scans : collection of str
        Names of the study's scan.
    """
    values = set()
    for each in wanted:
        scan, _, series = each.partition(":")
        values |= {each.casefold(), series.casefold() if scan in scans else each.casefold()}
    return [
        each
        for each in several
        if values
        & {
            each.first.series,
            str(each.first.number),
            each.label,
            each.first.description.strip().casefold(),
        }
    ]


def without_strays(series: Series) -> Series:
    """Return a series without files that do not belong to its images.

    Files without pixels are removed (raw data, presentation states), and so are phase, real and
    imaginary parts beside their magnitudes. A few derived images and screenshots are removed if the
    rest is an even stack. A slice that takes another's place stays.
    """
    pictures = [image for image in series.images if image.is_image]
    if not pictures:
        return series
    pictures = [image for image in pictures if is_magnitude(image.kinds)] or pictures
    proper = [
        image
        for image in pictures
        if image.is_mr and not (image.is_derived or image.is_capture or image.is_burned_in)
    ]
    if 2 * len(proper) > len(pictures) and not wrong_stack(Series(proper))[0]:
        pictures = proper
    return Series(pictures, len(series.images) - len(pictures))


def stacks_of(series: Series) -> list[Series]:
    """Return the stacks of one series, each as a series: repeats, echoes, or other differences.

    A series is not split if its slices all lie in different places, or if no header value
    distinguishes the stacks.
    """
    parts = _apart(series.images)
    if not 1 < len(parts) <= MOST_STACKS:
        return [series]
    return [Series(part, series.strays, stack) for stack, part in enumerate(parts, start=1)]


def wrong_stack(series: Series) -> tuple[bool, str]:
    """Return whether the slices of a series form no even stack, and the reason."""
    orientations = frozenset().union(*(image.orientations for image in series.images))
    if len(orientations) > 1:
        return True, "slices of several orientations"
    places = series.places
    if len(places) < 3:
        return False, ""
    steps = np.diff(places)
    uneven = bool((np.abs(steps - np.median(steps)) > UNEVEN * np.median(steps)).any())
    return uneven, "slices are missing or unevenly spaced"


def _apart(images: list[Image]) -> list[list[Image]]:
    """Group images by a value that separates those in the same place; one list if none does."""
    if _places_once(images):
        return [images]
    for key in (_echo, _acquisition, _kind):
        groups = defaultdict(list)
        for image in images:
            groups[key(image)].append(image)
        if len(groups) == 1:
            continue
        parts = [part for each in sorted(groups) for part in _apart(groups[each])]
        if all(len(part) > 1 and _places_once(part) for part in parts):
            return parts
    return [images]


def _places_once(images: list[Image]) -> bool:
    places = [round(place, 2) for image in images for place in image.places]
    return len(set(places)) == len(places)


def _echo(image: Image) -> tuple[Any, ...]:
    return (image.echo_ms or 0.0,)


def _acquisition(image: Image) -> tuple[Any, ...]:
    # numbers as texts, sorted as numbers
    return image.number, *((len(each), each) for each in image.acquisition)


def _kind(image: Image) -> tuple[Any, ...]:
    return tuple(sorted(image.kinds))


def by_study(series: Iterable[Series]) -> dict[tuple[str, str], list[Series]]:
    """Return series by patient and study. Within a study they are ordered by number."""
    studies: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for each in sorted(series, key=lambda one: (one.first.number, one.first.series)):
        studies[each.first.patient, each.first.study].append(each)
    return dict(studies)
