"""Tables 1 and 2: the composition of the cohort, and how the scans were acquired."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msnmo.core.diagnoses import DEFAULT, NO_DIAGNOSIS, diagnoses
from msnmo.core.errors import Finding, InputError
from msnmo.core.files import read_tsv
from msnmo.core.nifti import nib
from msnmo.tables.content import WIDEST, batched
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text
from msnmo.tables.reported import CITATION

COHORT_COLUMNS = dict.fromkeys(
    ("scan", "subject", "diagnosis", "flair", "lesion_mask", "stripped", "site"), str
)
SEQUENCE = "T2-FLAIR"
NOT_STATED = "not stated"
MISSING = "missing"
REPORTED_COHORT = (
    ("MS", "ISBI 2015", 21),
    ("MS", "The First Hospital of Jilin University", 48),
    ("NMOSD", "The First Hospital of Jilin University", 62),
)
"""The paper's Table 1."""
Value = float | str | tuple[float, ...]
MOST_NAMES = 3
"""Texts that a cell names."""
MOST = 1e5
"""Upper limit of any acquisition parameter, in its unit."""


def read_cohort(path: Path) -> pd.DataFrame:
    """Return cohort.tsv with words for a missing site or diagnosis."""
    cohort = read_tsv(path, COHORT_COLUMNS)
    return cohort.fillna({"site": NOT_STATED, "diagnosis": NO_DIAGNOSIS})


def composition(cohort: pd.DataFrame) -> Page:
    """Return Table 1: scans and subjects of each class and source, beside those of the paper."""
    classes = sorted(set(cohort["diagnosis"]), key=lambda name: (name == NO_DIAGNOSIS, name))
    blocks = [Block(name, tuple(_sources(cohort[cohort["diagnosis"] == name]))) for name in classes]
    total = Line("", _counts(cohort))
    columns = ("Samples", "Subjects", "Sequence type", "Raters", "On arrival")
    reported = [
        Block(
            name,
            tuple(
                Line(source, (_count(count), Text(SEQUENCE)))
                for diagnosis, source, count in REPORTED_COHORT
                if diagnosis == name
            ),
        )
        for name in DEFAULT
    ]
    everyone = Line("", (_count(sum(count for *_, count in REPORTED_COHORT)), Text(SEQUENCE)))
    return Page(
        "1",
        f"{' and '.join(diagnoses())} datasets",
        "Disease classification",
        "Data source",
        (
            Panel("Ours", columns, (*blocks, Block("All", (total,)))),
            Panel("Reported", columns[:1] + columns[2:3], (*reported, Block("All", (everyone,)))),
        ),
        (
            "Raters: number of lesion masks per scan, then how many scans have that number.",
            f"Reported: {CITATION}.",
        ),
    )


def _sources(scans: pd.DataFrame) -> Iterator[Line]:
    for source, rows in scans.groupby("site"):
        yield Line(str(source), _counts(rows))


def _count(number: int) -> Text:
    return Text(f"{number}", value=int(number))


def _counts(scans: pd.DataFrame) -> tuple[Text, ...]:
    masks = scans["lesion_mask"].map(lambda paths: 0 if pd.isna(paths) else paths.count(";") + 1)
    stripped = (scans["stripped"] == "yes").sum()
    arrival = {"head": len(scans) - stripped, "skull-stripped": stripped}
    return (
        _count(len(scans)),
        _count(scans["subject"].nunique()),
        Text(SEQUENCE),
        Text(", ".join(f"{raters}: {count}" for raters, count in sorted(Counter(masks).items()))),
        Text(", ".join(f"{count} {state}" for state, count in arrival.items() if count)),
    )


@dataclass(frozen=True)
class Acquisition:
    """The acquisition data of one scan: its header and its sidecar."""

    shape: tuple[int, ...]
    voxel_mm: tuple[float, ...]
    sidecar: dict[str, Any]

    @property
    def slice_axis(self) -> int:
        """The axis of the longest voxel side; if equal, the one with fewest voxels."""
        return max(range(3), key=lambda axis: (round(self.voxel_mm[axis], 3), -self.shape[axis]))

    def number(self, field: str, factor: float = 1.0) -> float | None:
        """Return a field of the sidecar that is a plausible number, else None."""
        value = self.sidecar.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value * factor if math.isfinite(value) and 0 < value * factor < MOST else None

    def text(self, field: str) -> str | None:
        """Return a field of the sidecar that is a text, else None."""
        value = self.sidecar.get(field)
        return value.strip() or None if isinstance(value, str) else None


@dataclass(frozen=True)
class Parameter:
    """A row of Table 2: its name, its unit, how it is read, and the paper's value."""

    label: str
    unit: str
    read: Callable[[Acquisition], Value | None]
    reported: str = NOTHING


def _plane(scan: Acquisition) -> tuple[float, ...]:
    return tuple(float(n) for axis, n in enumerate(scan.shape) if axis != scan.slice_axis)


PARAMETERS = (
    Parameter("Slice number", "", lambda scan: float(scan.shape[scan.slice_axis]), "160–192"),
    Parameter("Matrix of a slice", "voxels", _plane),
    Parameter("Voxel size", "mm", lambda scan: scan.voxel_mm),
    Parameter("Slice thickness", "mm", lambda scan: scan.number("SliceThickness"), "1"),
    Parameter("Repetition time", "ms", lambda scan: scan.number("RepetitionTime", 1000), "4,800"),
    Parameter("Echo time", "ms", lambda scan: scan.number("EchoTime", 1000), "279–324"),
    Parameter("Inversion time", "ms", lambda scan: scan.number("InversionTime", 1000), "1,650"),
    Parameter("Flip angle", "°", lambda scan: scan.number("FlipAngle"), "40"),
    Parameter("Field strength", "T", lambda scan: scan.number("MagneticFieldStrength")),
    Parameter("Manufacturer", "", lambda scan: scan.text("Manufacturer")),
    Parameter("Model", "", lambda scan: scan.text("ManufacturersModelName")),
)


def acquisition(cohort: pd.DataFrame) -> Page:
    """Return Table 2: acquisition parameters of each site, beside the paper's.

    Parameters
    ----------
    cohort : DataFrame
        As `read_cohort` returns; the sidecar of ``X.nii.gz`` is ``X.json`` beside it, with the
        fields and units of BIDS.

    Raises
    ------
    InputError
        Names every scan whose header cannot be read.
    """
    scans, unreadable = _read_scans(cohort["flair"])
    columns = {
        str(site): [scans[path] for path in rows["flair"]] for site, rows in cohort.groupby("site")
    }
    if len(columns) > 1:
        columns["All"] = list(scans.values())
    shown = {
        name: [summarise([each.read(scan) for scan in some]) for each in PARAMETERS]
        for name, some in columns.items()
    }
    shown["Reported"] = [each.reported for each in PARAMETERS]
    # the paper's column stands beside each group of sites
    groups = [[*some, "Reported"] for some in batched([*columns], WIDEST - 1)]
    panels = tuple(
        Panel(
            "",
            tuple(some),
            tuple(
                Block(each.label, (Line(each.unit, tuple(Text(shown[name][i]) for name in some)),))
                for i, each in enumerate(PARAMETERS)
            ),
        )
        for some in groups
    )
    notes = [
        "Slices are counted along the longest voxel side. Numbers and sizes come from the image "
        "files, the rest from the JSON sidecars.",
        f"Reported: {CITATION}, for its hospital's scans.",
    ]
    if unreadable:
        notes.insert(1, f"No valid JSON sidecar, so no parameters: {', '.join(unreadable)}.")
    return Page("2", "MRI parameters of the scans", "Parameter type", "Unit", panels, tuple(notes))


def _read_scans(paths: Iterable[str]) -> tuple[dict[str, Acquisition], list[str]]:
    """Return the scans by path, and the names of sidecars that are no JSON object."""
    scans, findings, unreadable = {}, [], []
    for path in paths:
        try:
            header: Any = nib.load(path).header
        except (OSError, nib.filebasedimages.ImageFileError, EOFError, ValueError) as error:
            found = f"{type(error).__name__}: {error}"
            remedy = "replace or re-export the file"
            findings.append(Finding(path, "a readable NIfTI header", found, remedy))
            continue
        sidecar = Path(path.removesuffix(".gz").removesuffix(".nii") + ".json")
        content = _read_sidecar(sidecar)
        if content is None:
            unreadable.append(sidecar.name)
        zooms = tuple(float(size) for size in np.abs(header.get_zooms()[:3]))
        scans[path] = Acquisition(tuple(header.get_data_shape()[:3]), zooms, content or {})
    if findings:
        raise InputError(findings)
    return scans, unreadable


def _read_sidecar(path: Path) -> dict[str, Any] | None:
    """Return a sidecar's fields (none without a sidecar); None if it is not a JSON object."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def summarise(values: Sequence[Value | None]) -> str:
    """Summarise a parameter of several scans: its value, range or values, and gaps.

    Parameters
    ----------
    values : sequence of float, str, tuple of float or None
        All of one kind. A tuple has one number per axis. Its ranges are shown per axis.
    """
    known = [value for value in values if value is not None]
    if not known:
        return MISSING
    names = [value for value in known if isinstance(value, str)]
    axes = [value for value in known if isinstance(value, tuple)]
    numbers = [value for value in known if not isinstance(value, (str, tuple))]
    if names:
        text = _names(sorted(set(names)))
    elif axes:
        text = " x ".join(_range(along) for along in zip(*axes, strict=True))
    else:
        text = _range(numbers)
    gaps = len(values) - len(known)
    return text + (f" (missing in {gaps} of {len(values)})" if gaps else "")


def _range(numbers: Sequence[float]) -> str:
    return "–".join(dict.fromkeys(f"{round(n, 2):,g}" for n in (min(numbers), max(numbers))))


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
