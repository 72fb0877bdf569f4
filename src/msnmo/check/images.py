"""The rules for a T2-FLAIR. Each rule looks at one scan and says in words what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from msnmo.check.findings import Severity
from msnmo.core.counts import counted
from msnmo.core.nifti import nib
from msnmo.core.plausibility import (
    FEWEST_VALUES,
    LARGEST_VIEW_MM,
    LARGEST_VOXEL_MM,
    SMALLEST_VIEW_MM,
    SMALLEST_VOXEL_MM,
    share_on_faces,
)
from msnmo.core.volumes import Volume

# A head has at least 3.5 litres, a brain rarely over 2: a smaller non-zero volume is no head
LARGEST_BRAIN_LITRES = 2.2
MOST_NEGATIVE = 0.01
MOST_SATURATED = 0.02
OBLIQUE_DEGREES = 1.0
SHEAR_DEGREES = 0.5
# NIfTI's codes for units of length
UNITS = {0: "unknown", 1: "metres", 2: "millimetres", 3: "micrometres"}


@dataclass(frozen=True)
class Doubt:
    """One problem of a volume."""

    severity: Severity
    expected: str
    found: str
    remedy: str


Rule = Callable[[Volume, bool], Iterator[Doubt]]


def doubts_of_scan(scan: Volume, stripped: bool) -> list[Doubt]:
    """Return all problems of a scan.

    This table decides on orientation (`Grid.from_header` uses it too):

    ======== ======== ============== ======== =========================================
    sform    qform    they differ by severity orientation used
    ======== ======== ============== ======== =========================================
    code > 0 code > 0 over 0.1 mm    warning  sform
    code > 0 code > 0 less           none     sform
    code > 0 code = 0                none     sform
    code = 0 code > 0                none     qform
    code = 0 code = 0                warning  voxel sizes alone: left and right are a guess
    ======== ======== ============== ======== =========================================

    Parameters
    ----------
    scan : Volume
        Readable, three-dimensional, finite.
    stripped : bool
        What the scan table says about its skull.
    """
    if scan.data.min() == scan.data.max():
        found = f"{scan.data.max():g} in every voxel"
        remedy = "export the scan again; it contains no image"
        return [*_grid_doubts(scan), Doubt("error", "an image with varied values", found, remedy)]
    return [*_grid_doubts(scan), *(doubt for rule in RULES for doubt in rule(scan, stripped))]


def orientation(scan: Volume) -> str:
    """Return the directions of the axes, such as LPS."""
    return "".join(nib.aff2axcodes(scan.grid.affine))


def _grid_doubts(scan: Volume) -> Iterator[Doubt]:
    yield from _units(scan)
    yield from _voxels(scan)
    yield from _forms(scan)


def _units(scan: Volume) -> Iterator[Doubt]:
    code = scan.grid.xyzt_units & 7
    if code == 2:
        return
    name = UNITS.get(code, f"code {code}, which does not exist")
    if code == 0:
        remedy = "nothing to do if the voxel sizes are right: they are read as millimetres"
        yield Doubt("note", "a header in millimetres", f"units {name}", remedy)
    else:
        remedy = "convert the scan again, or set the header's units (nibabel: set_xyzt_units('mm'))"
        yield Doubt("error", "a header in millimetres", f"units {name}", remedy)


def _voxels(scan: Volume) -> Iterator[Doubt]:
    sizes = scan.grid.voxel_mm
    remedy = "convert the scan again from DICOM; its header is wrong, or it shows no head"
    if sizes.min() < SMALLEST_VOXEL_MM or sizes.max() > LARGEST_VOXEL_MM:
        expected = f"voxels of {SMALLEST_VOXEL_MM:g} to {LARGEST_VOXEL_MM:g} mm"
        yield Doubt("error", expected, f"{_by(sizes)} mm", remedy)
    view = sizes * scan.grid.shape
    if view.min() < SMALLEST_VIEW_MM or view.max() > LARGEST_VIEW_MM:
        expected = f"a field of view of {SMALLEST_VIEW_MM:g} to {LARGEST_VIEW_MM:g} mm per side"
        found = f"{_by(view)} mm ({_by(np.array(scan.grid.shape))} voxels)"
        yield Doubt("error", expected, found, remedy)


def _forms(scan: Volume) -> Iterator[Doubt]:
    if conflict := scan.grid.form_conflict:
        remedy = "check in a viewer that left is left; if not, convert the scan again"
        yield Doubt("warning", "one orientation in sform and qform", conflict, remedy)
    shear = _shear_degrees(scan.grid.affine)
    if shear > SHEAR_DEGREES:
        remedy = "resample the scan and its masks to a grid with right angles"
        found = f"axes that are {shear:.1f} degrees off a right angle"
        yield Doubt("warning", "axes at right angles", found, remedy)
    tilt = float(np.degrees(nib.affines.obliquity(scan.grid.affine)).max())
    codes = orientation(scan)
    done = (
        "nothing to do: axes are reordered to RAS+, and masks are returned on the scan's own grid"
    )
    if tilt > OBLIQUE_DEGREES:
        found = f"tilted by up to {tilt:.1f} degrees, stored as {codes}"
        yield Doubt("note", "axes along those of the scanner", found, done)
    elif codes != "RAS":
        yield Doubt("note", "axes stored in RAS+ order", f"stored as {codes}", done)


def _shear_degrees(affine: np.ndarray) -> float:
    """Return the largest deviation of the voxel axes from right angles with each other."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.abs((axes.T @ axes)[np.triu_indices(3, 1)])
    return float(np.degrees(np.arcsin(np.clip(cosines, 0, 1))).max())


def _few_values(scan: Volume, stripped: bool) -> Iterator[Doubt]:
    # try a sample first: sorting ten million values takes a second
    if np.unique(scan.data[::3, ::3, ::3]).size >= FEWEST_VALUES:
        return
    values = np.unique(scan.data)
    if values.size < FEWEST_VALUES:
        found = f"{counted(values.size, 'value')}: {', '.join(f'{value:g}' for value in values)}"
        remedy = "give the scan here; this looks like a mask or a label map"
        yield Doubt("error", "a scan in grey values", found, remedy)


def _negative(scan: Volume, stripped: bool) -> Iterator[Doubt]:
    share = float((scan.data < 0).mean())
    if share > MOST_NEGATIVE:
        remedy = (
            "check that it is a magnitude image; phase images and z-scored scans cannot be used"
        )
        yield Doubt("warning", "no grey values below 0", f"{share:.0%} of them negative", remedy)


def _saturated(scan: Volume, stripped: bool) -> Iterator[Doubt]:
    lit = scan.data[scan.data > 0]
    share = float((lit == lit.max()).mean()) if lit.size else 0.0
    if share > MOST_SATURATED:
        remedy = "export the scan again without windowing, which cuts off bright lesions"
        found = f"{share:.0%} of the positive voxels at the largest value, {lit.max():g}"
        yield Doubt("warning", "few voxels at the largest value", found, remedy)


def _blank_slices(scan: Volume, stripped: bool) -> Iterator[Doubt]:
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        varied = np.flatnonzero(scan.data.max(axis=others) != scan.data.min(axis=others))
        blank = int(varied[-1] - varied[0] + 1 - varied.size)
        if blank:
            found = f"{blank} with a single value between other slices, along axis {'ijk'[axis]}"
            remedy = "check whether slices were lost in the export; export the scan again"
            yield Doubt("warning", "an image in every slice of the head", found, remedy)


def _skull(scan: Volume, stripped: bool) -> Iterator[Doubt]:
    outside = share_on_faces(scan.data)
    litres = np.count_nonzero(scan.data) * scan.grid.voxel_ml / 1000.0
    if stripped and outside > 0.5:
        found = f"{outside:.0%} of the voxels on the volume's faces are not zero"
        remedy = "write `no` in the scan table's column `stripped` if this is a head"
        yield Doubt("error", "zeros around a skull-stripped brain", found, remedy)
    if not stripped and outside == 0 and litres < LARGEST_BRAIN_LITRES:
        found = f"{litres:.1f} litres of non-zero voxels, none on the volume's faces"
        remedy = "write `yes` in the scan table's column `stripped` if the skull is gone"
        yield Doubt("warning", "a head with its skull", found, remedy)


RULES: tuple[Rule, ...] = (_few_values, _negative, _saturated, _blank_slices, _skull)


def _by(numbers: np.ndarray) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
