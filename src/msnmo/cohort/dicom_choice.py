"""Choose the series of a study that is its T2-FLAIR, and say how sure the choice is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from msnmo.cohort.dicom_conversion import Converted, convert
from msnmo.cohort.dicom_flair import doubts_of, not_flair, unfit
from msnmo.cohort.dicom_series import Series
from msnmo.core.counts import counted
from msnmo.core.plausibility import (
    FEWEST_VALUES,
    LARGEST_VIEW_MM,
    LARGEST_VOXEL_MM,
    SMALLEST_VIEW_MM,
    SMALLEST_VOXEL_MM,
)

# The shortest side of a field of view that holds any brain; wider ones cover no more
WHOLE_MM = 150.0
# No side of a stripped adult brain is shorter
SHORTEST_BRAIN_MM = 100.0
# Share of a study's best coverage: slabs and repeats that were stopped early have less
LEAST_COVERAGE = 0.9
# If one's voxels are larger by this factor, it is not a near tie
CLEARLY_LARGER = 2.0


UNPACK = (
    "if its pixels are compressed, decompress it first (gdcmconv --raw, dcmdjpeg); otherwise a "
    "file may be damaged: export the series again"
)
PART = (
    "put the files of each image into a separate folder, or give each its own SeriesInstanceUID "
    "(dcmodify of DCMTK); or convert it yourself (dcm2niix) and put the NIfTI file into the scan "
    "table"
)


class Merit(NamedTuple):
    """What decides between two FLAIRs, in this order."""

    of_head: int
    covers: bool
    plain: bool
    three_d: bool
    before_contrast: bool
    fineness: float
    coverage_mm: float
    acquired: str
    number: int
    stack: int


WORDS = {
    "of_head": "says nothing of another part of the body",
    "plain": "says nothing of being computed",
    "covers": "covers more of the head",
    "three_d": "is 3-D",
    "before_contrast": "is from before a contrast agent",
    "fineness": "has smaller voxels",
    "coverage_mm": "covers more of the head",
    "acquired": "is later",
    "number": "is later",
    "stack": "is later",
}
"""Words for the better FLAIR, by the first merit in which two differ."""


@dataclass
class Candidate:
    """A series with its conversion, and the reason if it was not chosen.

    Parameters
    ----------
    series : Series
    reason : str
        Why it was not chosen; empty if it was.
    converted : Converted
    objection : str
        Why it would not have been chosen if the user had not asked for it.
    near : bool
        Whether another series could be chosen for equally good reasons.
    after_contrast : bool
        Whether it, or a series before it, names a contrast agent.
    final : bool
        Whether it stays unusable even if the user asks for it.
    beside : int
        Number of other images from the series (echoes or phases) that are no T2-FLAIR.
    """

    series: Series
    reason: str = ""
    converted: Converted = field(default_factory=lambda: Converted([], {}))
    objection: str = ""
    near: bool = False
    after_contrast: bool = False
    final: bool = False
    beside: int = 0

    @property
    def sidecar(self) -> dict[str, Any]:
        """Its sidecar by dcm2niix; empty if it was not converted."""
        return self.converted.sidecar

    @property
    def image(self) -> nib.Nifti1Image:
        """Its image by dcm2niix."""
        return nib.Nifti1Image.from_filename(self.converted.images[0])

    @property
    def coverage_mm(self) -> float:
        """The shortest side of its field of view."""
        return float(_view_mm(self.image).min())

    def doubts(self) -> Iterator[str]:
        """Yield notes for the user if it is taken."""
        if self.objection:
            yield f"taken because of --series, although: {self.objection}"
        for doubt in chain(*doubts_of(self.series)):
            if doubt not in self.objection:
                yield f"taken, although {doubt}: look at it"
        if self.beside:
            yield f"taken as the only T2-FLAIR of the {self.beside + 1} images in its series"
        if self.after_contrast:
            yield "taken, although it was acquired after a contrast agent"
        if self.coverage_mm < SHORTEST_BRAIN_MM:
            yield f"taken, although one side of its field of view is only {self.coverage_mm:.0f} mm"
        if strays := self.series.strays:
            without = (
                "they have no pixels, are no magnitude images, are derived, or are screen copies"
            )
            yield f"taken without {strays} of its files: {without}"

    def merit(self, best_coverage_mm: float) -> Merit:
        """Return how good a FLAIR it is. `best_coverage_mm` is the study's best coverage."""
        first, coverage = self.series.first, round(self.coverage_mm, 1)
        volume = float(np.prod(_voxel_mm(self.image)))
        elsewhere, computed = doubts_of(self.series)
        return Merit(
            -len(elsewhere),
            coverage >= LEAST_COVERAGE * min(best_coverage_mm, WHOLE_MM),
            not computed,
            self.sidecar.get("MRAcquisitionType") == "3D",
            not self.after_contrast,
            -round(volume, 3),
            coverage,
            first.acquired,
            first.number,
            self.series.stack,
        )


def examine(
    several: Sequence[Series], folder: Path, forced: Sequence[Series] = ()
) -> list[Candidate]:
    """Convert the series of a study that may be a FLAIR, each in its own subfolder of `folder`.

    Parameters
    ----------
    several : sequence of Series
    folder : Path
    forced : sequence of Series
        The series that the user asks for. If there are none, all are considered.
    """
    agent_given = [
        series.first.acquired for series in several if series.contrast and series.first.acquired
    ]
    candidates = [
        Candidate(series, "another series was asked for")
        if forced and series not in forced
        else _examine(series, folder / str(number), forced=bool(forced))
        for number, series in enumerate(several)
    ]
    for each in candidates:
        later = bool(agent_given) and each.series.first.acquired > min(agent_given)
        each.after_contrast = each.series.contrast or later
    return candidates


def _examine(series: Series, folder: Path, *, forced: bool) -> Candidate:
    """Convert a series that may be a FLAIR. If it is none, say why."""
    candidate = Candidate(series, unfit(series, forced=forced))
    if candidate.reason:
        candidate.final = bool(unfit(series, forced=True))
        return candidate
    candidate.final = True  # except for an objection, which is checked last
    files = [image.path for image in series.images]
    mixed = len({image.is_derived for image in series.images}) > 1
    candidate.converted = _the_flair_of(convert(files, folder, mixed=mixed), candidate)
    images = candidate.converted.images
    if not images:
        candidate.reason = (
            f"dcm2niix makes no image of it (transfer syntax {series.first.syntax}): {UNPACK}"
        )
    elif len(images) > 1:
        candidate.reason = f"{len(images)} images in one series: {PART}"
    elif len(candidate.image.shape) != 3:
        candidate.reason = f"{candidate.image.shape[3]} volumes in one series: {PART}"
    elif len(series.places) not in candidate.image.shape and "MOSAIC" not in series.kinds:
        shape = " x ".join(map(str, candidate.image.shape))
        candidate.reason = (
            f"dcm2niix makes {shape} voxels from slices in {len(series.places)} places: files may "
            "be damaged; export the series again"
        )
    else:
        opinion = not_flair(candidate.sidecar, series.first.texts)
        wrong_size = _wrong_size(candidate.image)
        candidate.objection = unfit(series) or opinion if forced else ""
        candidate.reason = ("" if forced else opinion) or wrong_size
        candidate.final = bool(wrong_size)
    return candidate


def _the_flair_of(converted: Converted, candidate: Candidate) -> Converted:
    """Return the only T2-FLAIR among several images of a series (echoes, phases), else all."""
    texts = candidate.series.first.texts
    flairs = [part for part in converted.parts() if not not_flair(part.sidecar, texts)]
    if len(converted.images) < 2 or len(flairs) != 1:
        return converted
    candidate.beside = len(converted.images) - 1
    return flairs[0]


def _wrong_size(image: nib.Nifti1Image) -> str:
    """Return why the check would refuse an image's voxels or field of view; empty if it would not.

    The limits are those of the check, which is a scan's next step.
    """
    voxel, view = _voxel_mm(image), _view_mm(image)
    if voxel.min() < SMALLEST_VOXEL_MM or voxel.max() > LARGEST_VOXEL_MM:
        limits = f"{SMALLEST_VOXEL_MM:g} to {LARGEST_VOXEL_MM:g} mm"
        return f"voxels of {_by(voxel)} mm, not of {limits}"
    if view.min() < SMALLEST_VIEW_MM or view.max() > LARGEST_VIEW_MM:
        limits = f"{SMALLEST_VIEW_MM:g} to {LARGEST_VIEW_MM:g} mm a side"
        return f"a field of view of {_by(view)} mm, not of {limits}"
    return ""


def choose(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the best FLAIR of a study. Mark the others with the reason."""
    flairs = [each for each in candidates if not each.reason]
    best = max((each.coverage_mm for each in flairs), default=0.0)
    order = sorted(flairs, key=lambda each: each.merit(best), reverse=True)
    while order and (fault := _no_picture(order[0].image)):
        flat = order.pop(0)
        flat.reason, flat.final = fault, True
    for loser in order[1:]:
        _mark(loser, order[0], best)
    return order[0] if order else None


def near_ties(chosen: Candidate, candidates: Iterable[Candidate]) -> Iterator[tuple[str, str]]:
    """Yield the label of each series that could also be taken, and why it is not."""
    for each in candidates:
        if each.near:
            other = each.series.label
            yield other, f"series {chosen.series.label} is taken; series {other} is {each.reason}"


def _no_picture(image: nib.Nifti1Image) -> str:
    """Return why the check would refuse the voxels; empty if it would not."""
    data = np.asanyarray(image.dataobj)
    values = FEWEST_VALUES if np.unique(data[::3, ::3, ::3]).size >= FEWEST_VALUES else 0
    values = values or np.unique(data).size
    return f"no image: only {counted(values, 'value')} in it" if values < FEWEST_VALUES else ""


def _mark(loser: Candidate, winner: Candidate, best_coverage_mm: float) -> None:
    """Record why another FLAIR is better than this one, and whether it was a near tie."""
    less, more = loser.merit(best_coverage_mm), winner.merit(best_coverage_mm)
    differ = [name for name in Merit._fields if getattr(less, name) != getattr(more, name)]
    word = WORDS[differ[0]] if differ else "is named first"
    if differ and differ[0].startswith("cover"):
        word += f" ({more.coverage_mm:.0f} mm against {less.coverage_mm:.0f})"
    told = dict(zip(("of_head", "plain"), doubts_of(loser.series), strict=True))
    odd = bool(differ) and differ[0] in told
    if odd:
        word += f" ({'; '.join(told[differ[0]])})"
    loser.reason = f"a T2-FLAIR, but series {winner.series.label} {word}"
    alike = less.three_d == more.three_d and less.fineness > CLEARLY_LARGER * more.fineness
    other_agent = less.before_contrast and not more.before_contrast
    loser.near = odd or (less.covers == more.covers and (alike or other_agent))


def _voxel_mm(image: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(nib.affines.voxel_sizes(image.affine))


def _view_mm(image: nib.Nifti1Image) -> np.ndarray:
    return _voxel_mm(image) * image.shape[:3]


def _by(numbers: np.ndarray) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
