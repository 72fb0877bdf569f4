"""Whether a DICOM series can be the T2-FLAIR of a head: by its headers, and by its physics."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from msnmo.cohort.dicom_kinds import computed, elsewhere, is_magnitude, maybe_computed
from msnmo.cohort.dicom_series import TEXTS, Series, several, wrong_stack
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
NAMED_FLAIR = re.compile(r"flair|dark[\W_]*fluid|tirm", re.IGNORECASE)
# Scanner names run words together: Sag3DDIR, DoubleIR
NAMED_DOUBLE = re.compile(
    r"(?i:dir)(?![A-Za-z])|DIR(?![A-Z])|(?i:(double|dual|two)[\W_]*(inversion|ir(?![a-z])))"
)
NAMED_T1 = re.compile(r"(?<![a-z0-9])t1(?!\d)", re.IGNORECASE)
NAMED_T2 = re.compile(r"(?<![a-z0-9])t2(?!\d)", re.IGNORECASE)


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
        wrong_stack(series),
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
