"""A BIDS dataset: FLAIRs under anat/, diagnoses in participants.tsv, lesion masks by their names.

Masks are looked for in the dataset itself and in every folder of its derivatives (or those named),
whether or not these hold a dataset_description.json. All that fit a scan are taken as its raters';
one whose name tells of another image (T1w), run, acquisition or space is left out. By default a
mask says ``lesion`` in ``label-``, ``desc-``, ``seg-`` or ``lesion-`` (or is of WMH, WML or LST-AI)
and has the suffix ``mask``, ``roi``, ``seg`` or ``dseg``, or none; maps of regions (LST-AI's
``desc-annotated``) are none. A diagnosis stands in participants.tsv, for one session also in
sub-X_sessions.tsv or a column session_id. Layout: BIDS 1.10, read by pybids; ids of other letters
(``sub-MS_02``, ``ses-2019-05-01``) lose them.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msnmo.cohort.archives import OF_FOLDERS, archive_kind, in_its_place
from msnmo.cohort.bids_masks import LeaveOut, Masks, sources
from msnmo.cohort.bids_names import Ids, Named, niftis, stem_of, wanted_entities
from msnmo.cohort.bids_people import ABSENT, Stated, Tables
from msnmo.cohort.importing import Import, ImportedScan, LeftOut, clean_id
from msnmo.cohort.merge import parse_labels
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
NO_NAME = "no BIDS name of a FLAIR: sub-X[_ses-Y][_acq-Z...]_FLAIR.nii.gz in that subject's anat/"
REQUIRED = {"Name": "a text", "BIDSVersion": "1.8.0"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "folder", type=path_argument, help="the dataset: holds dataset_description.json"
    )
    parser.add_argument(
        "--diagnosis-column",
        help="column of participants.tsv or sub-X_sessions.tsv; without it no scan has a "
        "diagnosis, and segmentation is learned from the lesion masks alone",
    )
    parser.add_argument(
        "--diagnosis",
        nargs="+",
        default=[],
        metavar="MS|NMOSD=LABEL[,LABEL]",
        help="what the column calls the two classes besides their labels (--diagnoses); others are "
        "left out",
    )
    parser.add_argument(
        "--entities",
        nargs="+",
        default=[],
        metavar="ENTITY=VALUE",
        help="which FLAIR, where a session has several: run=1 acq=3d, or acq=none",
    )
    parser.add_argument(
        "--masks",
        nargs="+",
        type=path_argument,
        help="folders of lesion masks, if not derivatives/*",
    )
    parser.add_argument(
        "--mask",
        nargs="+",
        default=[],
        metavar="ENTITY=VALUE[,VALUE]",
        help="how lesion masks are named, if not as above: suffix=mask desc=rater1,rater2; "
        "desc=none for names without desc; space= or contrast=T1w takes those of another image",
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
    InputError
        With all that is wrong: no dataset, a missing column, a subject that participants.tsv does
        not list or of whom it says two things, several FLAIRs of one session.
    """
    labels = parse_labels(arguments.diagnosis)
    wrong: list[Finding] = []
    left_out: list[LeftOut] = []
    _check_description(arguments.folder)
    left_out += _packed(arguments.folder)
    ids = Ids.of(arguments.folder)
    candidates = list(_candidates(arguments.folder, ids, left_out.append))
    flairs = _chosen(candidates, wanted_entities(arguments.entities), wrong, left_out.append)
    diagnosis_of, site_of = _people(arguments, labels, wrong, left_out.append)
    folders = arguments.masks or sorted((arguments.folder / "derivatives").glob("*"))
    wanted = wanted_entities(arguments.mask)
    masks = Masks.find(arguments.folder, folders, wanted, ids, left_out.append)
    classless = arguments.diagnosis_column is None
    by_visit: dict[tuple[str, str], list[Named]] = defaultdict(list)
    for flair in candidates:
        by_visit[flair.visit].append(flair)
    scans, combined = [], set()
    for flair, subject, session in _with_ids(flairs, wrong, left_out.append):
        diagnosis = "" if classless else diagnosis_of(flair)
        if diagnosis is None:
            continue
        beside = [other for other in by_visit[flair.visit] if other is not flair]
        chosen = masks.of(flair, beside, left_out.append) if diagnosis or classless else ()
        if (diagnosis or classless) and not chosen:
            has = f"diagnosis {diagnosis}, but no" if diagnosis else "no"
            reason = f"{has} lesion mask: {FOR_PREDICTION}{masks.hint(flair)}"
            left_out.append(LeftOut(flair.path, reason))
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


def _check_description(folder: Path) -> None:
    """See that the folder is a dataset: what pybids asks of its description, with a remedy."""
    path = folder / "dataset_description.json"
    if not path.is_file():
        expected = "a BIDS dataset: a folder with dataset_description.json"
        found = not_fetched(path) or "no such file in it"
        below = sorted(each.parent for each in folder.glob("*/dataset_description.json"))
        remedy = f"give {below[0]}" if len(below) == 1 else "give the dataset's top folder"
        packed = [f"{each.file}: {each.reason}" for each in _packed(folder)]
        found = "; ".join([found, *packed])
        raise bad_input(folder, expected, found, remedy)
    expected = "a JSON object with " + " and ".join(f'"{name}"' for name in REQUIRED)
    if reason := not_fetched(path):
        raise bad_input(path, expected, reason, "fetch it first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        remedy = 'correct it there; {"Name": "x", "BIDSVersion": "1.8.0"} is enough'
        raise bad_input(path, expected, f"no JSON: {error}", remedy) from error
    missing = [name for name in REQUIRED if not isinstance(content, dict) or name not in content]
    if missing:
        remedy = "add " + ", ".join(f'"{name}": "{REQUIRED[name]}"' for name in missing)
        raise bad_input(path, expected, f"no {' and no '.join(missing)}", remedy)


def _packed(folder: Path) -> list[LeftOut]:
    """Tell of archives at the top of a dataset, among its subjects and its derivatives."""
    files = sorted(
        {*folder.glob("*"), *folder.glob("sub-*/**/*"), *folder.glob("derivatives/**/*")}
    )
    # BIDS itself packs tables of recordings (.tsv.gz)
    archives = [path for path in files if path.name.lower().endswith(OF_FOLDERS) and path.is_file()]
    told = (
        (path, kind, in_its_place(path, kind)) for path in archives if (kind := archive_kind(path))
    )
    return [
        LeftOut(path, f"packed ({kind}) and not opened: {command}")
        for path, kind, command in told
        if command
    ]


def _candidates(folder: Path, ids: Ids, leave_out: LeaveOut) -> Iterator[Named]:
    """Yield every FLAIR of the dataset; one by no BIDS name is told of.

    pybids passes over names that BIDS does not know. Of those, ids of other letters alone are
    taken all the same.
    """
    from bids import BIDSLayout  # noqa: PLC0415 - slow, and needed here alone
    from bids.exceptions import BIDSValidationError  # noqa: PLC0415
    from bids.layout import BIDSLayoutIndexer  # noqa: PLC0415

    indexer = BIDSLayoutIndexer(validate=True, index_metadata=False)
    try:
        layout = BIDSLayout(folder, indexer=indexer)
    except BIDSValidationError as error:
        remedy = "correct dataset_description.json; of data as scanned, DatasetType is raw"
        raise bad_input(folder, "a BIDS dataset", str(error), remedy) from error
    known = {*layout.get(suffix="FLAIR", datatype="anat", return_type="file")}
    for path in niftis(folder.glob("sub-*")):
        named = Named.from_path(path, ids)
        if str(path) in known or str(path.absolute()) in known or _has_other_ids(named, folder):
            yield named
        elif "flair" in named.suffix.lower():
            leave_out(LeftOut(path, NO_NAME))


def _has_other_ids(named: Named, dataset: Path) -> bool:
    """Whether a FLAIR lies where BIDS has it, but for ids of other letters."""
    folders = [f"sub-{named.subject}", *([f"ses-{named.session}"] if named.session else []), "anat"]
    here = named.path.parent.relative_to(dataset).parts == tuple(folders)
    plain = named.subject.isalnum() and (not named.session or named.session.isalnum())
    return here and not plain and named.suffix == "FLAIR" and not named.words


def _chosen(
    candidates: list[Named],
    wanted: Mapping[str, tuple[str, ...]],
    wrong: list[Finding],
    leave_out: LeaveOut,
) -> list[Named]:
    """Return the one FLAIR of each subject and session."""
    visits: dict[tuple[str, str], list[Named]] = defaultdict(list)
    for named in candidates:
        same_name = [one for one in visits[named.visit] if stem_of(one.path) == stem_of(named.path)]
        if lacking := named.lacks(wanted):
            has = ", ".join(f"{name}={named.has(name) or 'none'}" for name in lacking)
            leave_out(LeftOut(named.path, f"not chosen by --entities: it has {has}"))
        elif same_name:
            leave_out(LeftOut(named.path, f"{same_name[0].path.name} is taken, of the same name"))
        elif reason := not_fetched(named.path):
            leave_out(LeftOut(named.path, reason))
        else:
            visits[named.visit].append(named)
    for several in visits.values():
        if len(several) > 1:
            names = ", ".join(each.path.name for each in several)
            remedy = "choose one: --entities run=1, acq=3d, acq=none or the like"
            expected = "one FLAIR a session"
            wrong.append(Finding(str(several[0].path.parent), expected, names, remedy))
    return [several[0] for _, several in sorted(visits.items()) if several]


def _with_ids(
    flairs: list[Named], wrong: list[Finding], leave_out: LeaveOut
) -> Iterator[tuple[Named, str, str]]:
    """Yield each FLAIR with ids that the scan table can hold; two that become one are wrong."""
    owners: dict[str, str] = {}
    for flair in flairs:
        try:
            subject = clean_id(flair.subject)
            session = clean_id(flair.session) if flair.session else ""
        except ValueError as error:
            leave_out(LeftOut(flair.path, str(error)))
            continue
        if (subject, session) != flair.visit:
            ids = f"sub-{subject}" + (f" ses-{session}" if session else "")
            leave_out(LeftOut(flair.path, f"taken as {ids}: ids are letters and digits alone"))
        owner = owners.setdefault(subject, flair.subject)
        if owner != flair.subject:
            found = f"sub-{owner} and sub-{flair.subject}, both {subject}"
            remedy = "rename one of them"
            wrong.append(Finding(str(flair.path), "subjects of different ids", found, remedy))
        yield flair, subject, session


def _people(
    arguments: argparse.Namespace,
    labels: Mapping[str, str],
    wrong: list[Finding],
    leave_out: LeaveOut,
) -> tuple[Callable[[Named], str | None], Callable[[Named], str]]:
    """Return what the tables say of a FLAIR: its diagnosis, None to leave it out, and its site."""
    columns = [arguments.diagnosis_column, arguments.site_column]
    tables = Tables.read(arguments.folder, filter(None, columns))
    if any(columns) and not tables.columns:
        leave_out(LeftOut(tables.participants, ABSENT))
    told = tables.stated(columns[0], lambda word: labels.get(word.lower(), word.lower()))
    sites = tables.stated(columns[1])
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
    """Return the label of a class, empty where it is not known, or None for a scan to leave out."""
    label = told.of(*flair.visit)
    if label is None:
        expected, remedy = f"a row of sub-{flair.subject}", "add the subject's row"
        found = "none"
        if told.by_subject.get(flair.subject):
            expected += f" and of its session {flair.session or '(none)'}"
            found, remedy = "rows of other sessions, which differ", "add the session's row"
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
