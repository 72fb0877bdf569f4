"""A BIDS dataset: FLAIRs under anat/, diagnoses in participants.tsv, lesion masks by their names.

Masks are looked for in the dataset itself and in every folder of its derivatives (or in the folders
that you name). These need no dataset_description.json. A mask is taken if its name, folder and JSON
all fit a mask of all lesions of the FLAIR. This means: ``lesion``, WMH, WML or LST in ``label-``,
``desc-``, ``seg-`` or ``lesion-``; other words only for tools and raters; and the suffix ``mask``,
``roi``, ``seg`` or ``dseg``, or none. All masks that fit count as raters' masks. If there is a
consensus mask, only that is taken. Other files about lesions are left out and listed with the
option that takes them. Diagnoses are in participants.tsv; those of a single session may also be in
sub-X_sessions.tsv or in rows with a column session_id. The layout is BIDS 1.10, read by pybids. Ids
lose characters other than letters and digits (``sub-MS_02``, ``ses-2019-05-01``).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from msnmo.cohort.archives import is_archive, packed_yet
from msnmo.cohort.bids_flairs import candidates, one_a_session
from msnmo.cohort.bids_masks import LeaveOut, Masks, sources
from msnmo.cohort.bids_names import Ids, Named, wanted_entities
from msnmo.cohort.bids_people import ABSENT, Stated, Tables
from msnmo.cohort.importing import Import, ImportedScan, LeftOut, clean_id, packed
from msnmo.cohort.merge import parse_labels
from msnmo.cohort.tree import InTree, files_below, is_nifti, other_form, unusable
from msnmo.core.derivative import DESCRIPTION
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.fetched import not_fetched
from msnmo.core.paths import path_argument

NAME = "bids"
HELP = "a BIDS dataset with diagnoses in participants.tsv"
FOR_PREDICTION = "taken for prediction only"
EXAMPLE = (
    "msnmo cohort bids my_bids --diagnosis-column group "
    "--diagnosis MS=RRMS,SPMS NMOSD=NMO --out scans.tsv"
)
AGENT = "taken, although it was acquired after a contrast agent"
REQUIRED = {"Name": "a text", "BIDSVersion": "1.8.0"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "folder", type=path_argument, help="the dataset's folder, with dataset_description.json"
    )
    parser.add_argument(
        "--diagnosis-column",
        help="column of participants.tsv or sub-X_sessions.tsv; without it, no scan has a "
        "diagnosis, and only segmentation is learned from the lesion masks",
    )
    parser.add_argument(
        "--diagnosis",
        nargs="+",
        default=[],
        metavar="MS|NMOSD=LABEL[,LABEL]",
        help="words of that column for the two classes besides their labels (--diagnoses); "
        "subjects with other words are left out",
    )
    parser.add_argument(
        "--entities",
        nargs="+",
        default=[],
        metavar="ENTITY=VALUE",
        help="which FLAIR to take if a session has several: run=1 acq=3d, or acq=none",
    )
    parser.add_argument(
        "--masks",
        nargs="+",
        type=path_argument,
        help="folders of lesion masks (default: all of derivatives/)",
    )
    parser.add_argument(
        "--mask",
        nargs="+",
        default=[],
        metavar="ENTITY=VALUE[,VALUE]",
        help="names of the lesion masks, if not as above: suffix=mask desc=rater1,rater2; "
        "desc=none for names without desc; space=, contrast=T1w or folder= takes masks of "
        "another image or folder",
    )
    parser.add_argument("--site-column", help="column of participants.tsv")
    for name in ("stripped", "bias-corrected"):
        parser.add_argument(
            f"--{name}", choices=("yes", "no"), default="no", help="state of all the FLAIRs"
        )


def collect(arguments: argparse.Namespace) -> Import:
    """Return the dataset's scans.

    Raises
    ------
    Lists all problems: no dataset, a missing column, a subject that participants.tsv does not list
    or lists with contradictions, several FLAIRs of one session.
    """
    labels = parse_labels(arguments.diagnosis)
    wrong: list[Finding] = []
    left_out: list[LeftOut] = []
    _check_description(arguments.folder)
    _check_folders(arguments)
    ids = Ids.of(arguments.folder)
    files, skipped = _files(arguments, left_out.append)
    found = list(candidates(arguments.folder, files, skipped, ids, left_out.append))
    flairs = one_a_session(found, wanted_entities(arguments.entities), wrong, left_out.append)
    diagnosis_of, site_of = _people(arguments, labels, found, wrong, left_out.append)
    wanted = wanted_entities(arguments.mask)
    masks = Masks.find(arguments.folder, files, wanted, ids, left_out.append)
    classless = arguments.diagnosis_column is None
    by_visit: dict[tuple[str, str], list[Named]] = defaultdict(list)
    for flair in found:
        by_visit[flair.visit].append(flair)
    scans, combined = [], set()
    for flair, subject, session in _with_ids(flairs, wrong, left_out.append):
        diagnosis = "" if classless else diagnosis_of(flair)
        if diagnosis is None:
            continue
        chosen: tuple[Path, ...] = ()
        if diagnosis or classless:
            beside = [other for other in by_visit[flair.visit] if other is not flair]
            chosen = _masks_of(flair, masks, beside, diagnosis, left_out.append)
        combined.add(tuple(sources(chosen, arguments.folder)))
        scans.append(
            ImportedScan(
                subject,
                diagnosis if chosen else "",
                flair.path,
                session=session,
                lesion_masks=chosen,
                stripped=arguments.stripped == "yes",
                bias_corrected=arguments.bias_corrected == "yes",
                site=site_of(flair),
            )
        )
    masks.without_flair(by_visit, left_out.append)
    for names in sorted(combined):
        if len(names) > 1:
            told = f"masks of {' and '.join(names)} are taken as raters of one scan"
            reason = f"{told}; --masks and --mask choose"
            left_out.append(LeftOut(arguments.folder / "derivatives", reason))
    if wrong:
        raise InputError(wrong)
    return Import(scans, left_out)


def _masks_of(
    flair: Named,
    masks: Masks,
    beside: Iterable[Named],
    diagnosis: str,
    leave_out: LeaveOut,
) -> tuple[Path, ...]:
    """Return a scan's masks. If there is none, report it with a file that might be one."""
    chosen = masks.of(flair, beside, leave_out)
    if not chosen:
        has = f"diagnosis {diagnosis}, but no" if diagnosis else "no"
        reason = f"{has} lesion mask: {FOR_PREDICTION}{masks.hint(flair)}"
        leave_out(LeftOut(flair.path, reason))
    return chosen


def _check_description(folder: Path) -> None:
    """Check that the folder is a dataset, with the description that pybids needs."""
    path = folder / DESCRIPTION
    if not path.is_file():
        expected = "a BIDS dataset: a folder with dataset_description.json"
        found = not_fetched(path) or "no such file in it"
        below = sorted(each.parent for each in folder.glob(f"*/{DESCRIPTION}"))
        remedy = f"give {below[0]}" if len(below) == 1 else "give the dataset's top folder"
        files = _at_top(folder) + [file.path for file in _walk(folder, (), lambda *_: None)]
        raise bad_input(folder, expected, _with_packed(found, files), remedy)
    expected = "a JSON object with " + " and ".join(f'"{name}"' for name in REQUIRED)
    if reason := not_fetched(path):
        raise bad_input(path, expected, reason, "fetch it first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        remedy = 'correct the file; {"Name": "x", "BIDSVersion": "1.8.0"} is enough'
        raise bad_input(path, expected, f"no JSON: {error}", remedy) from error
    missing = [name for name in REQUIRED if not isinstance(content, dict) or name not in content]
    if missing:
        remedy = "add " + ", ".join(f'"{name}": "{REQUIRED[name]}"' for name in missing)
        raise bad_input(path, expected, f"no {' and no '.join(missing)}", remedy)


def _check_folders(arguments: argparse.Namespace) -> None:
    """Check that every folder of masks that the user names exists."""
    wrong: list[Finding] = []
    for folder in arguments.masks or ():
        if not folder.is_dir():
            found = unusable(folder) or ("a file" if folder.is_file() else "no such folder")
            inside = arguments.folder / folder
            remedy = f"give {inside}" if inside.is_dir() else "correct --masks"
            named = folder.parent.glob("*") if folder.parent.is_dir() else ()
            packed_as = [path for path in named if f"{path.name}.".startswith(f"{folder.name}.")]
            for _, kind, command in packed_yet(sorted(packed_as)):
                found, remedy = f"{found}, but an archive ({kind})", f"unpack it: {command}"
            wrong.append(Finding(str(folder), "a folder of lesion masks", found, remedy))
    if wrong:
        raise InputError(wrong)


def _files(arguments: argparse.Namespace, leave_out: LeaveOut) -> tuple[list[InTree], list[Path]]:
    """Return the files of subjects and of mask folders, and the folders that are not read.

    Only this function reports archives.

    Raises
    ------
    InputError
        If the mask folders that the user names hold no images of subjects.
    """
    skipped = []

    def tell(folder: Path, reason: str) -> None:
        skipped.append(folder)
        leave_out(LeftOut(folder, reason))

    files = _walk(arguments.folder, arguments.masks or (), tell)
    paths = [file.path for file in files]
    if arguments.masks and not any(_is_of_someone(file, arguments.masks) for file in files):
        expected = "images of subjects, sub-X..._mask.nii.gz and the like, at any depth"
        folders = ", ".join(map(str, arguments.masks))
        raise bad_input(folders, expected, _with_packed("none", paths), "correct --masks")
    for each in packed(sorted({*_at_top(arguments.folder), *paths})):
        leave_out(each)
    return [file for file in files if not is_archive(file.path)], skipped


def _walk(
    dataset: Path, masks: Collection[Path], tell: Callable[[Path, str], None]
) -> list[InTree]:
    """Return the files of the subjects and of the mask folders (default: the derivatives)."""
    derivatives = dataset / "derivatives"
    folders = masks or ([derivatives] if derivatives.is_dir() else [])
    subjects = [path for path in dataset.glob("sub-*") if path.is_dir()]
    return files_below([*subjects, *folders], tell)


def _at_top(folder: Path) -> list[Path]:
    """Return the files beside the subjects' folders: whole subjects may be packed there."""
    return [path for path in folder.glob("[!.]*") if path.is_file()]


def _with_packed(found: str, paths: Iterable[Path]) -> str:
    """Return what was found, with the commands that unpack archives among it."""
    told = [f"{each.file}: {each.reason}" for each in packed(sorted({*paths}))]
    return "; ".join([found, *told])


def _is_of_someone(file: InTree, folders: Iterable[Path]) -> bool:
    image = file.path.name.startswith("sub-") and (is_nifti(file.path) or other_form(file.path))
    return bool(image) and any(file.path.is_relative_to(folder) for folder in folders)


def _with_ids(
    flairs: list[Named], wrong: list[Finding], leave_out: LeaveOut
) -> Iterator[tuple[Named, str, str]]:
    """Yield each FLAIR with ids that fit the scan table. Report ids that become equal."""
    owners: dict[str, str] = {}
    sessions: dict[tuple[str, str], Path] = {}
    for flair in flairs:
        try:
            subject = clean_id(flair.subject)
            session = clean_id(flair.session) if flair.session else ""
        except ValueError as error:
            leave_out(LeftOut(flair.path, str(error)))
            continue
        if (subject, session) != flair.visit:
            ids = f"sub-{subject}" + (f" ses-{session}" if session else "")
            leave_out(
                LeftOut(flair.path, f"taken as {ids}, as ids may only have letters and digits")
            )
        if agent := flair.has("ce"):
            leave_out(LeftOut(flair.path, f"{AGENT} (ce-{agent})"))
        owner = owners.setdefault(subject, flair.subject)
        if owner != flair.subject:
            found = f"sub-{owner} and sub-{flair.subject}, both {subject}"
            remedy = "rename one of them"
            wrong.append(Finding(str(flair.path), "subjects of different ids", found, remedy))
            continue
        first = sessions.setdefault((subject, session), flair.path)
        if first != flair.path:
            found = f"{first} also becomes ses-{session}, with only letters and digits"
            wrong.append(
                Finding(str(flair.path), "sessions of different ids", found, "rename one of them")
            )
        yield flair, subject, session


def _people(
    arguments: argparse.Namespace,
    labels: Mapping[str, str],
    found: Iterable[Named],
    wrong: list[Finding],
    leave_out: LeaveOut,
) -> tuple[Callable[[Named], str | None], Callable[[Named], str]]:
    """Return what the tables say about a FLAIR: its diagnosis (None: leave it out) and its site."""
    columns = [arguments.diagnosis_column, arguments.site_column]
    tables = Tables.read(arguments.folder, filter(None, columns))
    if any(columns) and not tables.columns:
        leave_out(LeftOut(tables.participants, ABSENT))
    told = tables.stated(columns[0], lambda word: labels.get(word.lower(), word.lower()))
    sites = tables.stated(columns[1])
    for row in tables.without({each.subject for each in found}):
        leave_out(LeftOut(row.where, f"no FLAIR of sub-{row.subject}: in no row"))
    contradicted = told.contradictions(classes=True)
    wrong += [*contradicted.values(), *sites.contradictions().values()]

    def diagnosis(flair: Named) -> str | None:
        if flair.subject in contradicted:
            return None
        return _diagnosis(flair, told, labels, wrong, leave_out)

    def site(flair: Named) -> str:
        return sites.of(*flair.visit) or ""

    return diagnosis, site


def _diagnosis(
    flair: Named,
    told: Stated,
    labels: Mapping[str, str],
    wrong: list[Finding],
    leave_out: LeaveOut,
) -> str | None:
    """Return the label of a class; empty if it is unknown, or None for a scan to leave out."""
    label = told.of(*flair.visit)
    if label is None:
        expected, remedy = f"a row of sub-{flair.subject}", "add the subject's row"
        found = "none"
        if told.by_subject.get(flair.subject):
            expected += f" and of its session {flair.session or '(none)'}"
            found, remedy = (
                "rows of other sessions that differ from each other",
                "add the session's row",
            )
        finding = Finding(str(told.path), expected, found, remedy)
        if finding not in wrong:
            wrong.append(finding)
        return None
    if label and label.lower() not in labels:
        reason = f"diagnosis {label!r}, which is neither {' nor '.join(diagnoses())} by --diagnosis"
        leave_out(LeftOut(flair.path, reason))
        return None
    if not label:
        leave_out(LeftOut(flair.path, f"no diagnosis: {FOR_PREDICTION}"))
    return labels[label.lower()] if label else ""
