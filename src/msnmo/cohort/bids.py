"""A BIDS dataset: FLAIRs under anat/, diagnoses in participants.tsv, lesion masks by their names.

Masks are looked for in the dataset itself and in every folder of its derivatives (or those named),
whether or not these hold a dataset_description.json. All that fit a scan are taken as its raters'.
By default a mask has the suffix ``mask`` or ``roi`` and says ``lesion`` in ``label-`` or ``desc-``
(or WMH, WML in ``label-``). Layout: BIDS 1.10, read by pybids.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msnmo.cohort.delimited import read_rows
from msnmo.cohort.importing import Import, ImportedScan, LeftOut
from msnmo.cohort.merge import parse_labels
from msnmo.cohort.table import MISSING
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.paths import path_argument

NAME = "bids"
HELP = "a BIDS dataset with diagnoses in participants.tsv"
FOR_PREDICTION = "taken for prediction only"
EXAMPLE = (
    "msnmo cohort bids my_bids --diagnosis-column group "
    "--diagnosis MS=RRMS,SPMS NMOSD=NMO --out scans.tsv"
)
ENDINGS = (".nii", ".nii.gz")
MASK_SUFFIXES = ("mask", "roi")
LESION_LABELS = ("wmh", "wml")
# what tells apart scans of one session
PICTURE = ("acq", "ce", "rec", "run", "part", "echo")
ENTITY = re.compile(r"([A-Za-z0-9]+)-([^_]+)")
FETCH = "not fetched (a link without its file): datalad get or git annex get fetches it"


@dataclass(frozen=True)
class Named:
    """A file with what its BIDS name says."""

    path: Path
    entities: Mapping[str, str]
    suffix: str

    @classmethod
    def from_path(cls, path: Path) -> Named:
        """Return the file's entities, any of them, and its suffix."""
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        return cls(path, dict(ENTITY.findall(stem)), stem.rpartition("_")[2])

    @property
    def visit(self) -> tuple[str, str]:
        """Subject and session, empty where there is none."""
        return self.entities.get("sub", ""), self.entities.get("ses", "")

    def fits(self, wanted: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether each entity wanted (or the suffix) has one of its values."""
        has = {**self.entities, "suffix": self.suffix}
        return all(has.get(name) in values for name, values in wanted.items())


@dataclass
class _Findings:
    """What is wrong, and what is left out, gathered along the way."""

    wrong: list[Finding] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "folder", type=path_argument, help="the dataset: holds dataset_description.json"
    )
    parser.add_argument(
        "--diagnosis-column",
        help="column of participants.tsv; without it no scan has a diagnosis, and segmentation is "
        "learned from the lesion masks alone",
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
        help="which FLAIR, where a session has several: run=1 acq=3d",
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
        help="how lesion masks are named, if not as above: suffix=mask desc=rater1,rater2",
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
        not list, several FLAIRs of one session.
    """
    labels = parse_labels(arguments.diagnosis)
    found = _Findings()
    flairs = _flairs(arguments.folder, _wanted(arguments.entities), found)
    people = _Participants.read(arguments)
    masks = _Masks.find(arguments)
    classless = arguments.diagnosis_column is None
    scans = []
    for visit, flair in sorted(flairs.items()):
        diagnosis = "" if classless else _diagnosis(flair, people, labels, found)
        if diagnosis is None:
            continue
        chosen = masks.of(flair, found) if diagnosis or classless else ()
        if (diagnosis or classless) and not chosen:
            has = f"diagnosis {diagnosis}, but no" if diagnosis else "no"
            found.left_out.append(LeftOut(flair.path, f"{has} lesion mask: {FOR_PREDICTION}"))
        scans.append(
            ImportedScan(
                visit[0],
                diagnosis if chosen else "",
                flair.path,
                session=visit[1],
                lesion_masks=tuple(mask.path for mask in chosen),
                stripped=arguments.stripped == "yes",
                bias_corrected=arguments.bias_corrected == "yes",
                site=people.sites.get(visit[0], ""),
            )
        )
    if found.wrong:
        raise InputError(found.wrong)
    return Import(scans, found.left_out)


def _wanted(arguments: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the values allowed of each entity, of ``run=1`` or ``desc=a,b`` arguments."""
    wanted, wrong = {}, []
    for argument in arguments:
        name, _, values = argument.partition("=")
        words = tuple(word for word in values.split(",") if word)
        if not name or not words:
            wrong.append(Finding("command line", "ENTITY=VALUE", argument, "write run=1"))
        wanted[name] = words
    if wrong:
        raise InputError(wrong)
    return wanted


def _flairs(
    folder: Path, wanted: Mapping[str, tuple[str, ...]], found: _Findings
) -> dict[tuple[str, str], Named]:
    """Return the one FLAIR of each subject and session."""
    if not (folder / "dataset_description.json").is_file():
        expected = "a BIDS dataset: a folder with dataset_description.json"
        raise bad_input(folder, expected, "no such file in it", "give the dataset's top folder")
    from bids import BIDSLayout  # noqa: PLC0415 - slow, and needed here alone
    from bids.layout import BIDSLayoutIndexer  # noqa: PLC0415

    indexer = BIDSLayoutIndexer(validate=True, index_metadata=False)
    layout = BIDSLayout(folder, indexer=indexer)
    paths = layout.get(suffix="FLAIR", datatype="anat", extension=list(ENDINGS), return_type="file")
    visits = defaultdict(list)
    for path in sorted(map(Path, paths)):
        named = Named.from_path(path)
        if named.fits(wanted):
            visits[named.visit].append(named)
    for several in visits.values():
        if len(several) > 1:
            names = ", ".join(each.path.name for each in several)
            remedy = "choose one: --entities run=1, acq=3d or the like"
            expected = "one FLAIR a session"
            found.wrong.append(Finding(str(several[0].path.parent), expected, names, remedy))
    return {visit: several[0] for visit, several in visits.items() if _is_there(several[0], found)}


def _is_there(named: Named, found: _Findings) -> bool:
    if named.path.is_file():
        return True
    found.left_out.append(LeftOut(named.path, FETCH))
    return False


@dataclass(frozen=True)
class _Participants:
    """What participants.tsv says of each subject."""

    path: Path
    labels: dict[str, str]
    sites: dict[str, str]

    @classmethod
    def read(cls, arguments: argparse.Namespace) -> _Participants:
        path = arguments.folder / "participants.tsv"
        columns = [arguments.diagnosis_column, arguments.site_column]
        if not any(columns):
            return cls(path, {}, {})
        header, *rows = read_rows(path)
        missing = [
            name for name in ("participant_id", *columns) if name and name not in header.cells
        ]
        if missing:
            expected = f"columns {', '.join(missing)}"
            remedy = "name another with --diagnosis-column or --site-column"
            raise bad_input(path, expected, f"columns {', '.join(header.cells)}", remedy)
        people = [dict(zip(header.cells, row.cells, strict=False)) for row in rows]
        by_id = {person["participant_id"].removeprefix("sub-"): person for person in people}
        given = [
            {name: _known(person.get(column)) for name, person in by_id.items()} if column else {}
            for column in columns
        ]
        return cls(path, *given)


def _known(cell: str | None) -> str:
    return "" if cell is None or cell.strip() == MISSING else cell.strip()


def _diagnosis(
    flair: Named, people: _Participants, labels: Mapping[str, str], found: _Findings
) -> str | None:
    """Return the label of a class, empty where it is not known, or None for a scan to leave out."""
    subject = flair.visit[0]
    if subject not in people.labels:
        remedy = "add the subject's row"
        finding = Finding(str(people.path), f"a row of sub-{subject}", "none", remedy)
        if finding not in found.wrong:
            found.wrong.append(finding)
        return None
    label = people.labels[subject]
    if label and label.lower() not in labels:
        reason = f"diagnosis {label!r}, which is neither {' nor '.join(diagnoses())} by --diagnosis"
        found.left_out.append(LeftOut(flair.path, reason))
        return None
    if not label:
        found.left_out.append(LeftOut(flair.path, f"no diagnosis: {FOR_PREDICTION}"))
    return labels[label.lower()] if label else ""


@dataclass(frozen=True)
class _Masks:
    """The lesion masks by subject and session."""

    by_visit: Mapping[tuple[str, str], list[Named]]

    @classmethod
    def find(cls, arguments: argparse.Namespace) -> _Masks:
        folders = arguments.masks or sorted((arguments.folder / "derivatives").glob("*"))
        wanted = _wanted(arguments.mask)
        by_visit = defaultdict(list)
        for path in _niftis([*arguments.folder.glob("sub-*"), *folders]):
            named = Named.from_path(path)
            if named.fits(wanted) if wanted else _is_lesion_mask(named):
                by_visit[named.visit].append(named)
        return cls(by_visit)

    def of(self, flair: Named, found: _Findings) -> tuple[Named, ...]:
        """Return a scan's masks, by name; those of another picture or space are told of."""
        chosen = []
        for mask in self.by_visit.get(flair.visit, []):
            other = [name for name in PICTURE if _differs(mask, flair, name)]
            space = mask.entities.get("space")
            if other or space not in (None, "orig", "native", "FLAIR", flair.entities.get("space")):
                what = f"{', '.join(other)} of another scan" if other else f"space-{space}"
                reason = f"a lesion mask with {what}, so not on the grid of {flair.path.name}"
                found.left_out.append(LeftOut(mask.path, reason))
            elif _is_there(mask, found):
                chosen.append(mask)
        return tuple(chosen)


def _differs(mask: Named, flair: Named, entity: str) -> bool:
    """Whether a mask names another value of an entity; one that names none fits all."""
    return mask.entities.get(entity, flair.entities.get(entity)) != flair.entities.get(entity)


def _niftis(folders: Iterable[Path]) -> Iterator[Path]:
    paths = {path for folder in folders for path in folder.rglob("sub-*.nii*")}
    return iter(sorted(path for path in paths if path.name.endswith(ENDINGS)))


def _is_lesion_mask(named: Named) -> bool:
    label = named.entities.get("label", "").lower()
    says = "lesion" in label or "lesion" in named.entities.get("desc", "").lower()
    return named.suffix in MASK_SUFFIXES and (says or label in LESION_LABELS)
