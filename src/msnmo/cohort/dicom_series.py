"""Group DICOM images by series, and find the series that is the T2-FLAIR of a study.

Header values that may name a person leave this module only in `Series`. Its ids, times and texts
serve grouping and choosing and are never written. `plain_words` is the part of a text that may be
written.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from msnmo.cohort.dicom_kinds import computed, elsewhere, is_magnitude, maybe_computed
from msnmo.core.counts import counted
from msnmo.core.plausibility import LARGEST_VOXEL_MM, SMALLEST_VIEW_MM

# An inversion that nulls CSF makes it dark (s): STIR's is near 0.15, MPRAGE's near 0.9; a long echo
# makes lesions bright, and T1-FLAIR has none.
INVERSION_S = (1.2, 3.5)
SHORTEST_ECHO_S = 0.06
# T1 of CSF, at any field (Rooney et al. 2007, Magn Reson Med 57:308); and how far an inversion may
# be from the time that nulls it: common FLAIRs are at 0.85 to 1.15 of it, DIR at 1.3
CSF_T1_S = 4.3
NEAR_NULL = (0.65, 1.25)
# T1-FLAIR repeats faster, and that nulls CSF at a shorter inversion time
SHORTEST_REPETITION_S = 3.5
# With fewer slices, the check's largest voxels cannot fill its smallest field of view
FEWEST_SLICES = math.ceil(SMALLEST_VIEW_MM / LARGEST_VOXEL_MM)
# Share of the slice distance: a missing slice doubles it, header rounding is below a tenth
UNEVEN = 0.1
# Most stacks of a split series: more stacks are a time series, not repeats
MOST_STACKS = 4
NAMED_FLAIR = re.compile(r"flair|dark[\W_]*fluid|tirm", re.IGNORECASE)
# Scanner names run words together: Sag3DDIR, DoubleIR
NAMED_DOUBLE = re.compile(
    r"(?i:dir)(?![A-Za-z])|DIR(?![A-Z])|(?i:(double|dual|two)[\W_]*(inversion|ir(?![a-z])))"
)
NAMED_T1 = re.compile(r"(?<![a-z0-9])t1(?!\d)", re.IGNORECASE)
NAMED_T2 = re.compile(r"(?<![a-z0-9])t2(?!\d)", re.IGNORECASE)
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
WORDS = frozenset(
    [
        "t1",
        "t1w",
        "t2",
        "t2w",
        "pd",
        "pdw",
        "t2star",
        "flair",
        "dark",
        "fluid",
        "tirm",
        "stir",
        "dir",
        "ir",
        "space",
        "cube",
        "vista",
        "brainview",
        "bravo",
        "mprage",
        "tfe",
        "tse",
        "fse",
        "ffe",
        "flash",
        "spgr",
        "gre",
        "se",
        "epi",
        "ep2d",
        "dwi",
        "adc",
        "trace",
        "dti",
        "fa",
        "swi",
        "swan",
        "mip",
        "mpr",
        "mra",
        "tof",
        "phase",
        "mag",
        "bold",
        "asl",
        "loc",
        "localizer",
        "localiser",
        "scout",
        "survey",
        "sag",
        "sagittal",
        "tra",
        "trans",
        "transverse",
        "ax",
        "axial",
        "cor",
        "coronal",
        "obl",
        "2d",
        "3d",
        "fs",
        "fatsat",
        "spair",
        "iso",
        "isotropic",
        "p2",
        "p3",
        "head",
        "brain",
        "spine",
        "neck",
        "pre",
        "post",
        "gd",
        "contrast",
        "ce",
        "nd",
        "norm",
        "mono",
        "te",
        "ti",
        "tr",
        "mm",
        "ref",
        "reformat",
        "sub",
        "subtraction",
        "map",
        "w",
        "minip",
        "real",
        "psir",
        "synthetic",
        "symri",
        "cspine",
        "tspine",
        "lspine",
        "phantom",
    ]
)
LENGTH = re.compile(r"\d{1,2}(\.\d{1,2})?mm")


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
    if 2 * len(proper) > len(pictures) and not _wrong_stack(Series(proper))[0]:
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


def doubts_of(series: Series) -> tuple[list[str], list[str]]:
    """Return the hints that a series is not of the head, and that it is computed, if any.

    It may still be a FLAIR of a head: scanners and people write odd values.
    """
    first = series.first
    computed_perhaps = maybe_computed(series.kinds, first.texts)
    return elsewhere(first.part, first.texts), [computed_perhaps] if computed_perhaps else []


def unfit(series: Series, *, forced: bool = False) -> str:
    """Return why a series cannot be the T2-FLAIR, judged by its headers; empty if it may be.

    Parameters
    ----------
    series : Series
    forced : bool
        The user says that it is the T2-FLAIR: only reasons that no user can overrule count.
    """
    images = series.images
    kinds = {kind.upper() for kind in series.kinds}
    echo = max(image.echo_ms or 0.0 for image in images)
    not_head = elsewhere(series.first.part, series.first.texts)
    derived = sum(image.is_derived for image in images)
    opinions = (
        (any("LOCALIZER" in kind for kind in kinds), "a localiser"),
        ("MOSAIC" in kinds, "a mosaic of slices, as echo-planar sequences make them"),
        (derived == len(images), "derived from other images (ImageType DERIVED)"),
        (derived > 0, f"{derived} of {len(images)} images derived from others"),
        (bool(computed(kinds)), computed(kinds)),
        (len(not_head) > 1, " and ".join(not_head)),
        (
            any(image.photometric == "MONOCHROME1" for image in images),
            "its values are inverted (MONOCHROME1) and would be used as they are",
        ),
        (
            series.reused_ids > 0,
            f"{series.reused_ids} images share a SOPInstanceUID, as after bad anonymisation",
        ),
        (echo != 0 and echo < 1000 * SHORTEST_ECHO_S, _short_echo(echo / 1000)),
    )
    facts = (
        (not all(image.is_image for image in images), "not an MR image"),
        (any(image.is_capture for image in images), "a secondary capture: a copy of a screen"),
        (not series.is_mr, "not an MR image"),
        (
            any(image.is_burned_in for image in images),
            "text, perhaps a name, is burned into its pixels (BurnedInAnnotation YES)",
        ),
        (not all(image.is_whole for image in images), "one of its files is truncated"),
        _no_geometry(series),
        _wrong_stack(series),
        _too_few(series),
    )
    reasons = facts if forced else (*facts[:4], *opinions, *facts[4:])
    return next((reason for wrong, reason in reasons if wrong), "")


def _short_echo(seconds: float) -> str:
    return f"EchoTime {seconds:.4g} s, under {SHORTEST_ECHO_S:g} s: not T2-weighted"


def _no_geometry(series: Series) -> tuple[bool, str]:
    """Return whether positions or sizes of slices are missing, and the reason."""
    lacks = frozenset().union(*(image.lacks for image in series.images))
    count = sum(bool(image.lacks) for image in series.images)
    names = " and ".join(sorted(lacks))
    said = f"no {names} in {count} of {len(series.images)} files: left and right, the order of "
    return bool(lacks), f"{said}slices or their size would be guesses"


def _too_few(series: Series) -> tuple[bool, str]:
    """Return whether there are too few slices for a head, and the reason."""
    slices, places = series.slices, len(series.places)
    where = f" in {counted(places, 'place')}" if places < slices else ""
    few = min(slices, places) < FEWEST_SLICES and "MOSAIC" not in series.kinds
    return few, f"{counted(slices, 'slice')}{where}, fewer than {FEWEST_SLICES}"


def _wrong_stack(series: Series) -> tuple[bool, str]:
    """Return whether the slices form no even stack, and the reason."""
    orientations = frozenset().union(*(image.orientations for image in series.images))
    if len(orientations) > 1:
        return True, "slices of several orientations"
    places = series.places
    if len(places) < 3:
        return False, ""
    steps = np.diff(places)
    uneven = bool((np.abs(steps - np.median(steps)) > UNEVEN * np.median(steps)).any())
    return uneven, "slices are missing or unevenly spaced"


def not_flair(sidecar: Mapping[str, Any], texts: str = "") -> str:
    """Return why a converted series is no T2-FLAIR; empty if it is one.

    Physics decides: an inversion that nulls CSF, and a long echo. Names count only if a scanner
    gives no inversion time.

    Parameters
    ----------
    sidecar : mapping
        The sidecar of the series by dcm2niix, with times in seconds.
    texts : str
        Names of the series that the sidecar may lack.
    """
    echo, inversion, repetition = (
        _positive(sidecar.get(name)) for name in ("EchoTime", "InversionTime", "RepetitionTime")
    )
    texts = " ".join([texts, *(str(sidecar.get(name, "")) for name in TEXTS)])
    low, high = INVERSION_S
    kinds = several(sidecar.get("ImageType"))
    reasons = (
        (not is_magnitude(kinds), computed(kinds)),
        ("EP" in re.split(r"\W+", str(sidecar.get("ScanningSequence", ""))), "echo-planar"),
        (echo is None, "no echo time is given"),
        (echo is not None and echo < SHORTEST_ECHO_S, _short_echo(echo or 0)),
        (
            repetition is not None and repetition < SHORTEST_REPETITION_S,
            f"RepetitionTime {repetition or 0:.4g} s, under {SHORTEST_REPETITION_S:g} s: T1-FLAIR",
        ),
        (bool(NAMED_T1.search(texts)) and not NAMED_T2.search(texts), "named T1"),
        (
            inversion is not None and not low <= inversion <= high,
            f"InversionTime {inversion or 0:.4g} s, not {low:g} to {high:g} s: CSF is not nulled",
        ),
        (bool(NAMED_DOUBLE.search(texts)), "named a double inversion recovery"),
        (
            inversion is not None and repetition is not None and not _nulls(inversion, repetition),
            f"InversionTime {inversion or 0:.4g} s does not null CSF at RepetitionTime "
            f"{repetition or 0:.4g} s",
        ),
        (
            inversion is None and not NAMED_FLAIR.search(texts),
            "no inversion time is given, and no name contains FLAIR",
        ),
    )
    return next((reason for wrong, reason in reasons if wrong), "")


def _nulls(inversion: float, repetition: float) -> bool:
    """Return whether CSF is dark: its recovering signal is near zero (echo train ignored)."""
    null = CSF_T1_S * (math.log(2) - math.log1p(math.exp(-repetition / CSF_T1_S)))
    return NEAR_NULL[0] * null <= inversion <= NEAR_NULL[1] * null


def _positive(value: Any) -> float | None:
    """Return a time, or None if there is none. Some scanners write 0 for none."""
    return float(value) if isinstance(value, int | float) and value > 0 else None


def plain_words(text: str) -> str:
    """Return a text typed at a scanner, with words outside the vocabulary of MR replaced by ``?``.

    Technicians write names and dates into descriptions. A number is kept only as a length in mm.
    """
    words = re.findall(r"[^\W_]+(?:\.\d+[^\W_]*)?", text.lower())
    kept = [word if word in WORDS or LENGTH.fullmatch(word) else "?" for word in words]
    return " ".join(word for word, before in zip(kept, ["", *kept], strict=False) if word != before)


def by_study(series: Iterable[Series]) -> dict[tuple[str, str], list[Series]]:
    """Return series by patient and study. Within a study they are ordered by number."""
    studies: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for each in sorted(series, key=lambda one: (one.first.number, one.first.series)):
        studies[each.first.patient, each.first.study].append(each)
    return dict(studies)
