"""Check one scan and its masks. Each file is opened once, in full, and every doubt is reported."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msnmo.check.findings import Reported, ScanReport
from msnmo.check.images import Doubt, doubts_of_scan, orientation
from msnmo.check.masks import brain_doubts, label_doubts, lesion_doubts, rater_doubts
from msnmo.core.contents import record
from msnmo.core.errors import Finding, InputError, run_command
from msnmo.core.fingerprint import fingerprint
from msnmo.core.geometry import resample_to_grid
from msnmo.core.lesion_labels import ANY, Labels, add_lesion_labels, labels_given
from msnmo.core.lesions import load_lesions
from msnmo.core.memory import MORE_MEMORY, explain_little_memory
from msnmo.core.reservations import reserve
from msnmo.core.same_grid import check_placed, check_same_grid
from msnmo.core.volumes import ARRAYS, Volume, load_mask, load_volume, voxels_claimed

FLOAT = 4
"""Bytes per voxel of a scan. A mask has one byte per voxel."""
LESS_OR_MORE = f"{MORE_MEMORY}; if the file is not a scan of a head, remove it from the scan table"


@dataclass(frozen=True)
class Files:
    """The files of one scan and what the scan table says about them.

    Parameters
    ----------
    flair : Path
    lesion_masks : tuple of Path
        One per rater.
    brain_mask : Path or None
    stripped : bool
        Whether the scan table says that the scan has no skull.
    """

    flair: Path
    lesion_masks: tuple[Path, ...] = ()
    brain_mask: Path | None = None
    stripped: bool = False

    @property
    def all(self) -> list[Path]:
        """The scan and its masks, in this order."""
        return [self.flair, *self.lesion_masks, *([self.brain_mask] if self.brain_mask else [])]

    def bytes_at_once(self) -> int:
        """Return the memory that a check needs: one file being opened plus those kept."""
        voxels = [voxels_claimed(path) for path in self.all]
        opened = ARRAYS * FLOAT * max(voxels)
        return opened + FLOAT * voxels[0] + sum(voxels[1:])

    def contents(self) -> dict[str, dict[str, Any]]:
        """Return a record of the content of each existing file, by path."""
        return {str(path): record(path) for path in self.all if path.is_file()}


@dataclass(frozen=True)
class _Reading:
    """How lesion masks are read: arguments of `check_scan`."""

    resample: bool
    labels: Labels

    def lacking(self, values: Collection[int]) -> list[int]:
        """Return the labels that are not among the values of a mask."""
        return [] if self.labels == ANY else sorted(set(self.labels) - set(values))


def check_scan(name: str, files: Files, resample: bool = False, labels: Labels = ()) -> ScanReport:
    """Open every file of a scan in full and report its problems. A bad file never raises.

    Parameters
    ----------
    name : str
        The scan's name, ``sub-X`` or ``sub-X_ses-Y``.
    files : Files
    resample : bool
        Whether lesion masks on another grid are resampled to the scan's grid.
    labels : "any" or tuple of int
        The values that mean lesion.

    Raises
    ------
    MsnmoError
        If there is too little memory to open a file. This is no fault of the scan.
    """
    what = f"the check of {files.flair} and its masks"
    with explain_little_memory(what, LESS_OR_MORE), reserve(files.bytes_at_once(), what):
        return _check_scan(name, files, _Reading(resample, labels))


def _check_scan(name: str, files: Files, how: _Reading) -> ScanReport:
    findings: list[Reported] = []
    scan = _open_scan(name, files, findings)
    brain = _open_brain(name, files, scan, findings)
    lesions: dict[str, Volume] = {}
    lacking: dict[str, list[int]] = {}
    for path in files.lesion_masks:
        mask, values, wrong = _open_lesions(name, path, files.flair, scan, how)
        findings += wrong
        if mask is None:
            continue
        doubts = list(label_doubts(values, how.labels))
        if mask.data.any() or not doubts:  # report an empty mask only once
            same = scan is not None and mask.grid.matches(scan.grid)
            doubts += lesion_doubts(mask, scan if same else None, brain if same else None)
        findings += _reported(name, path, doubts)
        lesions[str(path)] = mask
        lacking[str(path)] = how.lacking(values)
    if len({mask.data.shape for mask in lesions.values()}) == 1:
        together = rater_doubts({path: mask.data for path, mask in lesions.items()})
        findings += [each for path, doubt in together for each in _reported(name, path, [doubt])]
    return ScanReport(name, findings, _facts(scan, lesions, lacking), files.contents())


def _open_scan(name: str, files: Files, findings: list[Reported]) -> Volume | None:
    try:
        scan = load_volume(files.flair)
    except InputError as error:
        findings += _errors(name, error)
        return None
    findings += _reported(name, files.flair, _behind(scan))
    findings += _reported(name, files.flair, doubts_of_scan(scan, files.stripped))
    return scan


def _open_brain(
    name: str, files: Files, scan: Volume | None, findings: list[Reported]
) -> Volume | None:
    path = files.brain_mask
    if path is None:
        return None
    try:
        brain = load_mask(path)
        if scan is not None:
            check_same_grid(path, brain, files.flair, scan)
    except InputError as error:
        findings += _errors(name, error)
        return None
    findings += _reported(name, path, _behind(brain))
    findings += _reported(name, path, brain_doubts(brain))
    return brain


def _open_lesions(
    name: str, path: Path, flair: Path, scan: Volume | None, how: _Reading
) -> tuple[Volume | None, tuple[int, ...], list[Reported]]:
    """Return a lesion mask, the values in its file, and its problems.

    The mask is on the scan's grid if there is a scan, or None. Values are given if labels are asked
    for.
    """
    try:
        read = load_lesions(path, how.labels)
        mask, values = read.volume, read.values
        if scan is None or mask.grid.matches(scan.grid):
            return mask, values, _reported(name, path, _behind(mask))
        if not how.resample:
            check_same_grid(path, mask, flair, scan)
        check_placed(path, mask, flair, scan)
    except InputError as error:
        return None, (), _errors(name, error)
    moved = resample_to_grid(mask, scan.grid)
    if mask.data.any() and not moved.data.any():
        remedy = "give the mask of this scan: this one lies elsewhere in the scanner"
        doubt = Doubt("error", f"lesions within {flair}", "none after resampling", remedy)
        return None, (), _reported(name, path, [doubt])
    remedy = "compare it with the scan: small lesions may be lost (lesion_masks.other_grid)"
    before, after = (each.data.sum() * each.grid.voxel_ml for each in (mask, moved))
    found = f"another grid; resampled, {before:.2f} ml of lesions became {after:.2f} ml"
    doubts = [*_behind(mask), Doubt("warning", f"the grid of {flair}", found, remedy)]
    if conflict := mask.grid.form_conflict:
        remedy = "check in a viewer that lesions are in place; if not, export the mask again"
        doubts.append(Doubt("warning", "one orientation in sform and qform", conflict, remedy))
    return moved, values, _reported(name, path, doubts)


def _behind(volume: Volume) -> Iterator[Doubt]:
    """Report bytes after the voxels, as when two files were joined."""
    if volume.behind:
        remedy = "check that this is the right file; saving it again removes these bytes"
        found = f"{volume.behind} bytes after the voxels, which are not read"
        yield Doubt("warning", "a file that ends with its voxels", found, remedy)


def _facts(
    scan: Volume | None, lesions: dict[str, Volume], lacking: dict[str, list[int]]
) -> dict[str, Any]:
    masks = {
        path: {
            "ml": round(float(mask.data.sum() * mask.grid.voxel_ml), 3),
            "voxels": fingerprint(mask),
            "labels_lacking": lacking[path],
        }
        for path, mask in lesions.items()
    }
    if scan is None:
        return {"lesion_masks": masks}
    return {
        "shape": list(scan.grid.shape),
        "voxel_mm": [round(float(size), 3) for size in scan.grid.voxel_mm],
        "orientation": orientation(scan),
        "voxels": fingerprint(scan),
        "lesion_masks": masks,
    }


def _reported(name: str, file: object, doubts: Iterable[Doubt]) -> list[Reported]:
    return [
        Reported(each.severity, name, Finding(str(file), each.expected, each.found, each.remedy))
        for each in doubts
    ]


def _errors(name: str, error: InputError) -> list[Reported]:
    return [Reported("error", name, finding) for finding in error.findings]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the report of one scan. A bad scan is a finding in it, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.check.check_scan", description=__doc__)
    parser.add_argument("--scan", required=True, help="its name, sub-X or sub-X_ses-Y")
    parser.add_argument("--flair", type=Path, required=True, help="the scan, NIfTI")
    parser.add_argument("--lesion-masks", type=Path, nargs="*", default=[], help="one per rater")
    parser.add_argument("--brain-mask", type=Path, help="its brain mask, on the scan's grid")
    parser.add_argument(
        "--stripped",
        choices=("yes", "no"),
        default="no",
        help="yes: the scan has no skull, says the scan table",
    )
    parser.add_argument(
        "--other-grid",
        choices=("error", "resample"),
        default="error",
        help="what to do with a lesion mask on another grid than the scan",
    )
    add_lesion_labels(parser)
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    given = parser.parse_args(arguments)

    files = Files(
        given.flair,
        tuple(given.lesion_masks),
        given.brain_mask,
        given.stripped == "yes",
    )
    labels = labels_given(given.lesion_labels)
    report = check_scan(given.scan, files, given.other_grid == "resample", labels)
    report.write(given.out)
    for each in report.findings:
        print(f"{each.severity}: {each.finding}")


if __name__ == "__main__":
    run_command(main)
