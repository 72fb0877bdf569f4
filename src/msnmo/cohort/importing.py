"""What every importer returns, and how this becomes a scan table that the workflow accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from msnmo.cohort.archives import is_archive, packed_yet
from msnmo.cohort.table import read_scan_table
from msnmo.cohort.table_rows import COLUMNS
from msnmo.cohort.tree import NIFTI, files_below, is_nifti, other_form, unusable
from msnmo.core.cells import as_cell
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.files import atomic_path, write_tsv
from msnmo.core.names import name_of_scan

LEFT_OUT_COLUMNS = ("file", "reason")
OF_NO_LAYOUT = "not one of the data set's files by its name and folder: in no row"
# Bytes. The header of a scan table has about a hundred
LONGEST_HEADER = 10_000


@dataclass(frozen=True)
class ImportedScan:
    """One row of the future scan table.

    Parameters
    ----------
    subject, session : str
        Ids of letters and digits. The session is empty if a subject has one scan.
    diagnosis : str
        The label of a class. Empty for a scan that is only predicted, which then has no lesion mask
        either, and in a cohort of one class or none.
    flair : Path
    lesion_masks : tuple of Path
        One per rater.
    brain_mask : Path or None
        On the scan's grid. With it, no skull stripping is done.
    stripped, bias_corrected : bool
        The state in which the scan arrives.
    site : str
    simulated : bool
    extra : mapping of str to str
        Columns of the user's own, which are carried along.
    """

    subject: str
    diagnosis: str
    flair: Path
    session: str = ""
    lesion_masks: tuple[Path, ...] = ()
    brain_mask: Path | None = None
    stripped: bool = False
    bias_corrected: bool = False
    site: str = ""
    simulated: bool = False
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is in no row, or in one but not as expected, and why."""

    file: Path | str
    reason: str


@dataclass(frozen=True)
class Import:
    """The scans that an importer found, and what it left out."""

    scans: list[ImportedScan]
    left_out: list[LeftOut] = field(default_factory=list)


def clean_id(text: str) -> str:
    """Return a text as an id of the scan table: only its letters and digits, without accents.

    Raises
    ------
    ValueError
        If no character is left.
    """
    cleaned = "".join(letter for letter in text if letter.isascii() and letter.isalnum())
    if not cleaned:
        raise ValueError(f"no letter or digit of a to z, 0 to 9 in {text!r}")
    return cleaned


def first_file(folder: Path, stem: str) -> Path | None:
    """Find a NIfTI file by its name without ending, compressed or not. A dead link counts."""
    paths = [folder / f"{stem}{ending}" for ending in NIFTI]
    return next((path for path in paths if path.is_file() or path.is_symlink()), None)


def all_files(folder: Path, left_out: list[LeftOut]) -> list[Path]:
    """Return every file below a folder, by name. Folders that are not read are reported.

    So is the compressed twin of a NIfTI file, which is skipped.
    """
    found = files_below([folder], lambda path, reason: left_out.append(LeftOut(path, reason)))
    paths = {each.path: None for each in found}
    twins = [path for path in paths if path.suffix == ".gz" and path.with_suffix("") in paths]
    for path in twins:
        left_out.append(
            LeftOut(path, f"{path.with_suffix('').name} is taken, which has the same name")
        )
        del paths[path]
    return list(paths)


def fetched(path: Path | None, left_out: list[LeftOut]) -> Path | None:
    """Return the file if it exists. If it was not fetched or is no file, report it, return None."""
    if path is not None and (reason := unusable(path)):
        left_out.append(LeftOut(path, reason))
        return None
    return path


def tell_untaken(
    files: Iterable[Path],
    scans: Iterable[ImportedScan],
    left_out: list[LeftOut],
    looks: re.Pattern[str],
    is_known: Callable[[Path], bool],
) -> None:
    """Report every image that may be a scan or mask by its name but is in no row.

    Archives are reported separately (`packed`).

    Parameters
    ----------
    files, scans, left_out
        All files of a data set, the scans made from them, and the reports on them.
    looks : Pattern
        Pattern in the names of scans and masks.
    is_known : callable
        Whether a file is part of the layout but belongs in no row.
    """
    told: set[Path | str | None] = {*(each.file for each in left_out)}
    for scan in scans:
        told |= {scan.flair, scan.brain_mask}
        told.update(scan.lesion_masks)
    for path in files:
        image = is_nifti(path) or (other_form(path) and not is_archive(path))
        if image and looks.search(path.name) and path not in told and not is_known(path):
            left_out.append(LeftOut(path, OF_NO_LAYOUT))


def packed(paths: Iterable[Path]) -> list[LeftOut]:
    """Return each archive that is not unpacked yet, with the command that unpacks it."""
    return [
        LeftOut(path, f"packed ({kind}) and not opened: {command}")
        for path, kind, command in packed_yet(paths)
    ]


def refuse_none(  # noqa: PLR0917 - the order of `bad_input`
    folder: Path,
    scans: Sequence[ImportedScan],
    left_out: Sequence[LeftOut],
    expected: str,
    remedy: str,
    missing: str = "no such file",
) -> None:
    """Refuse a data set without a usable scan. List every file that was left out and why.

    Raises
    ------
    InputError
        Names the folder.
    """
    if not scans:
        raise bad_input(folder, expected, _listed(left_out) if left_out else missing, remedy)


def refuse_to_replace(path: Path) -> None:
    """Refuse to write a scan table over another kind of file: participants, a map, a key.

    Raises
    ------
    InputError
        Names the file.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as stream:
        names = stream.readline(LONGEST_HEADER).decode("utf-8-sig", "replace")
    if not {"subject", "flair"} <= {name.strip(' "\r\n') for name in names.split("\t")}:
        remedy = "give another name to --out, or remove the file if you do not need it"
        raise bad_input(path, "a new file, or a scan table to replace", "another file", remedy)


def write_scan_table(path: Path, imported: Import) -> pd.DataFrame:
    """Write the scan table, and beside it ``{stem}_left-out.tsv``. Return the checked cohort.

    Paths within the table's folder are written relative to it, so that the folder can be moved.
    Other paths are absolute. Nothing is written unless the workflow would accept the table.

    Raises
    ------
    InputError
        If there is no scan, or with all errors of the table.
    """
    if not imported.scans:
        found = _listed(imported.left_out) if imported.left_out else "none"
        remedy = "compare the given folder with the layout that --help describes"
        raise bad_input(path, "at least one T2-FLAIR scan", found, remedy)
    folder = path.absolute().parent
    scans = sorted(imported.scans, key=lambda scan: (scan.subject, scan.session))
    _refuse_repeated(scans)
    rows = [_row(scan, folder) for scan in scans]
    extra = dict.fromkeys(name for scan in scans for name in scan.extra)
    table = pd.DataFrame(rows, columns=[*COLUMNS, *extra], dtype=object).fillna("")
    with atomic_path(path) as temporary:
        table.mask(table == "").to_csv(
            temporary, sep="\t", index=False, na_rep="n/a", lineterminator="\n"
        )
        try:
            cohort = read_scan_table(temporary)
        except InputError as error:
            raise InputError(
                _named(finding, temporary, path, scans) for finding in error.findings
            ) from None
    left_out = [(str(each.file), each.reason) for each in imported.left_out]
    write_tsv(left_out_path(path), pd.DataFrame(left_out, columns=list(LEFT_OUT_COLUMNS)))
    return cohort


def _listed(left_out: Sequence[LeftOut]) -> str:
    told = "".join(f"\n              {each.file}: {each.reason}" for each in left_out)
    return f"none; left out:{told}"


def left_out_path(path: Path) -> Path:
    """Return the path of the list of what was left out, beside a scan table."""
    return path.with_name(f"{path.stem}_left-out.tsv")


def _row(scan: ImportedScan, folder: Path) -> dict[str, str]:
    return {
        "subject": scan.subject,
        "session": scan.session,
        "diagnosis": scan.diagnosis,
        "flair": _written(scan.flair, folder),
        "lesion_mask": ";".join(_written(mask, folder) for mask in scan.lesion_masks),
        "brain_mask": _written(scan.brain_mask, folder) if scan.brain_mask else "",
        "stripped": "yes" if scan.stripped else "no",
        "bias_corrected": "yes" if scan.bias_corrected else "no",
        "site": as_cell(scan.site),
        "simulated": "yes" if scan.simulated else "no",
        **{name: as_cell(value) for name, value in scan.extra.items()},
    }


def _written(path: Path, folder: Path) -> str:
    absolute = path.absolute()
    if not absolute.is_relative_to(folder):
        return str(absolute)
    written = str(absolute.relative_to(folder))
    # spreadsheets read @scans/1.nii as a formula; ./@scans/1.nii is the same path
    return written if as_cell(written) == written else f"./{written}"


def _refuse_repeated(scans: Iterable[ImportedScan]) -> None:
    """Check that no two scans have one name, as the table can hold only one of them."""
    first: dict[str, Path] = {}
    wrong = []
    for scan in scans:
        name = name_of_scan(scan.subject, scan.session)
        if first.setdefault(name, scan.flair) != scan.flair:
            found = f"{name}, like {first[name]}"
            remedy = "move one of them out of the data set, or rename it"
            wrong.append(Finding(str(scan.flair), "each scan once", found, remedy))
    if wrong:
        raise InputError(wrong)


def _named(finding: Finding, temporary: Path, path: Path, scans: Sequence[ImportedScan]) -> Finding:
    """Rewrite a finding on the temporary file as one on the future table, with the scan's file."""
    where = finding.file.replace(str(temporary), str(path))
    if match := re.search(r", row (\d+)", where):
        # the header is row 1; the table is not written, so the row number alone does not help
        where += f" (to be of {scans[int(match[1]) - 2].flair})"
    return Finding(where, finding.expected, finding.found, finding.remedy)
