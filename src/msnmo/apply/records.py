"""What the results of a scan were made of, so that "done" means done with these inputs and options.

A record of each scan lies beside the results, written when all of them are, its page too. Results
are believed if the record tells of the same scan, bundle and options, and of the bytes that are
there. Nothing but the scan that a folder is of replaces what lies in it.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msnmo.apply.pages import RUN_ENDING
from msnmo.bundle.contents import DESCRIPTION, Bundle
from msnmo.core.errors import Finding, InputError, MsnmoError, bad_input
from msnmo.core.files import read_json, sha256, write_json
from msnmo.core.lock import InUseError, hold
from msnmo.core.names import folder_of
from msnmo.core.provenance import versions

if TYPE_CHECKING:
    # it names every step, and the list of scans would depend on all that they import
    from msnmo.apply.preprocess import Arrived

NAME = "Lesions and class of T2-FLAIR scans, by msnmo"
"""Of the results, in their dataset_description.json."""
KEPT = ".msnmo"
"""The folder of records and locks, within that of the results."""
SITE = "report"
PATIENCE_OF_LISTING = 600.0
"""Seconds: others list thousands of scans in less."""
OURS = r"(space-[A-Za-z0-9]+_)?desc-(brain|lesion|localisation)_[A-Za-z0-9]+\..+"
LONGEST_REASON = 400


class NotOursError(InputError):
    """What is not a result of this very scan lies where its results would."""


NOT_FAILED = (NotOursError, InUseError)
"""What says nothing of the scan whose results lie there, or will when another process has ended."""


def options_of(scan: Arrived, given: argparse.Namespace) -> dict[str, Any]:
    """Return all that is asked for of a scan and changes what is written of it."""
    return {
        "--stripped": scan.stripped,
        "--bias-corrected": scan.bias_corrected,
        "--engine": given.engine,
        "--locations": given.locations,
        "--mni": given.mni,
        "--dicom-seg": bool(given.dicom_seg and scan.dicom),
        "--deface": given.deface,
        "--class": given.classes,
        "brain mask": [sha256(path) for path in scan.brain],
    }


def made_of(scan: Arrived, bundle: Bundle, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the results of a scan follow from."""
    return {
        "scan": scan.name,
        "input": sha256(scan.flair),
        "bundle": sha256(bundle.path / DESCRIPTION),
        "msnmo": versions()["msnmo"],
        "options": dict(options),
    }


def lock_scan(out: Path, scan: str) -> AbstractContextManager[None]:
    """Hold what is written of a scan, or raise `InUseError`: one process makes it at a time."""
    return hold(out / KEPT / "locks" / f"{scan.lower()}.lock", f"msnmo apply to {scan}")


def lock_listing(out: Path) -> AbstractContextManager[None]:
    """Hold the list of all scans, after whoever has it: the last one lists what all have made."""
    path = out / KEPT / "locks" / "listing.lock"
    return hold(path, "the list of the scans of msnmo apply", PATIENCE_OF_LISTING)


def what_differs(out: Path, asked: Mapping[str, Any]) -> list[str]:
    """Return why the results of a scan are not those asked for, in words; nothing if they are.

    Parameters
    ----------
    out : Path
        That holds sub-*.
    asked : mapping
        Of `made_of`.
    """
    record = _read_record(out, asked["scan"])
    if record is None:
        there = _anat(out, asked["scan"]).exists()
        return ["no record tells that all of it was written"] if there else ["nothing is there"]
    differs = [
        f"{name} was {_short(record.get(name))}, is {_short(asked[name])}"
        for name in ("scan", "input", "bundle", "msnmo")
        if record.get(name) != asked[name]
    ]
    before, now = record["options"], asked["options"]
    differs += [
        f"{name} was {_short(before.get(name))}, is {_short(now.get(name))}"
        for name in dict.fromkeys((*before, *now))
        if before.get(name) != now.get(name)
    ]
    return differs + _changed(out, record["outputs"])


def _short(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "given", False: "not given", None: "not known"}[value]
    if isinstance(value, list):
        return ", ".join(_short(each) for each in value) or "none"
    return value[:12] if re.fullmatch("[0-9a-f]{64}", str(value)) else str(value)


def _changed(out: Path, outputs: Mapping[str, str]) -> list[str]:
    differs = [] if outputs else ["no output is told of"]
    for name, digest in outputs.items():
        path = out / name
        if not path.is_file():
            differs.append(f"{path.name} is gone")
        elif sha256(path) != digest:
            differs.append(f"{path.name} is not as it was written")
    return differs


def refuse_other(out: Path, scan: str, digest: str, replaced: bool = False) -> None:
    """Refuse to replace what is not a result of this very scan.

    Parameters
    ----------
    out : Path
        That holds sub-*.
    scan : str
    digest : str
        SHA-256 of the scan.
    replaced : bool
        Whether the folder is about to be replaced, with all that anybody added to it.

    Raises
    ------
    NotOursError
        If results of another scan, or files of the user's, lie where this scan's would.
    """
    folder = _anat(out, scan)
    record = _read_record(out, scan) or {}
    remedy = "give this scan its own id with --ids, or another --out"
    namesake = record.get("scan", scan)
    if namesake != scan and _anat(out, namesake).exists():
        found = f"results of {namesake}, which some disks hold for the same"
        raise _not_ours(folder, f"nothing, or results of {scan}", found, remedy)
    if not folder.exists():
        return
    strange = _strange(folder, scan, record) if replaced or not record else []
    if strange:
        found = f"{', '.join(strange[:3])}{' and others' if len(strange) > 3 else ''}"
        remedy = "give another --out: the folder would be replaced as a whole"
        raise _not_ours(folder, "nothing but results of msnmo apply", found, remedy)
    source = record.get("input") or _input_of(folder / f"{scan}{RUN_ENDING}")
    if source != digest:
        found = f"results of a scan with SHA-256 {_short(source)}, not {_short(digest)}"
        remedy += f"; if it is the same scan made anew, delete {folder} first"
        raise _not_ours(folder, "nothing, or results of this very scan", found, remedy)


def _not_ours(folder: Path, expected: str, found: str, remedy: str) -> NotOursError:
    return NotOursError([Finding(str(folder), expected, found, remedy)])


def _strange(folder: Path, scan: str, record: Mapping[str, Any]) -> list[str]:
    """Return the files of a folder that no result is called."""
    if not folder.is_dir():
        return [folder.name]
    ours = re.compile(rf"{scan}(_{OURS}|{re.escape(RUN_ENDING)})")
    written = {Path(name).name for name in record.get("outputs", {})}
    names = sorted(path.name for path in folder.iterdir())
    return [name for name in names if name not in written and not ours.fullmatch(name)]


def _input_of(run: Path) -> str | None:
    source = (_read(run) or {}).get("input")
    return source.get("sha256") if isinstance(source, dict) else None


def start_anew(out: Path, scan: str) -> None:
    """Remove record and page of a scan before its results are replaced.

    Should the process be killed before there is a page of the new ones, none is left of the old.
    """
    for path in (_record(out, scan), *_pages(out, scan)):
        path.unlink(missing_ok=True)


def refuse_changed_scan(out: Path, made: Mapping[str, Any], flair: Path) -> None:
    """Remove what was made of a scan while its file became another.

    Raises
    ------
    InputError
        If its bytes are not those that it had when it was begun.
    """
    if (found := sha256(flair)) != made["input"]:
        start_anew(out, made["scan"])
        shutil.rmtree(_anat(out, made["scan"]))
        remedy = "wait until its copy is complete, and run the command again"
        expected = f"the scan that was begun, with SHA-256 {_short(made['input'])}"
        raise bad_input(flair, expected, f"another, with SHA-256 {_short(found)}", remedy)


def keep_record(out: Path, made: Mapping[str, Any]) -> None:
    """Write what the results of a scan were made of, when all of them are there."""
    scan = made["scan"]
    files = [*sorted(_anat(out, scan).iterdir()), *_pages(out, scan)]
    outputs = {path.relative_to(out).as_posix(): sha256(path) for path in files}
    write_json(_record(out, scan), {**made, "outputs": outputs})


def note_failures(out: Path, failed: Mapping[str, MsnmoError], sources: Mapping[str, Path]) -> None:
    """Write why scans could not be applied to, for the list of all scans.

    Parameters
    ----------
    out : Path
        That holds sub-*.
    failed : mapping of str to MsnmoError
        By the scan's name.
    sources : mapping of str to Path
        Files or folders of the scans, which reasons are not to name: they may be called as people.
    """
    for scan, error in failed.items():
        if not isinstance(error, NOT_FAILED):
            reason = without_path(str(error), sources[scan])
            write_json(_failure(out, scan), {"scan": scan, "reason": reason})


def without_path(reason: str, source: Path) -> str:
    """Return a reason in one line, without the name of the scan's file and its folders."""
    for known in (str(source.absolute()), str(source), source.name):
        reason = reason.replace(known, "the scan")
    line = " ".join(reason.split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."


def forget_failure(out: Path, scan: str) -> None:
    """Remove the note of an earlier failure: the scan is done."""
    _failure(out, scan).unlink(missing_ok=True)


def read_failures(out: Path) -> dict[str, str]:
    """Return why scans could not be applied to, by name."""
    notes = [_read(path) or {} for path in sorted((out / KEPT / "failed").glob("*.json"))]
    return {note["scan"]: str(note["reason"]) for note in notes if {"scan", "reason"} <= set(note)}


def _record(out: Path, scan: str) -> Path:
    # one of names that differ by capitals alone: some disks hold them for the same
    return out / KEPT / "records" / f"{scan.lower()}.json"


def _read_record(out: Path, scan: str) -> dict[str, Any] | None:
    """Return the record of a scan; None if it is missing, or not as `keep_record` writes it."""
    record = _read(_record(out, scan)) or {}
    texts = all(isinstance(record.get(name), str) for name in ("scan", "input"))
    tables = all(isinstance(record.get(name), dict) for name in ("options", "outputs"))
    return record if texts and tables else None


def _failure(out: Path, scan: str) -> Path:
    return out / KEPT / "failed" / f"{scan}.json"


def _anat(out: Path, scan: str) -> Path:
    return out / folder_of(scan) / "anat"


def _pages(out: Path, scan: str) -> list[Path]:
    return [out / SITE / "scans" / f"{scan}{ending}" for ending in (".html", ".js")]


def _read(path: Path) -> dict[str, Any] | None:
    """Return the contents of a record; None if it is missing or damaged."""
    try:
        return read_json(path) if path.is_file() else None
    except InputError:
        return None
