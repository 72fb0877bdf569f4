"""The FLAIRs of a BIDS dataset: which files are FLAIRs, and which one each session uses."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from msnmo.cohort.bids_lesions import DESCRIBING, SUFFIXES
from msnmo.cohort.bids_masks import CONVERT, LeaveOut
from msnmo.cohort.bids_names import Ids, Named, stem_of
from msnmo.cohort.importing import LeftOut
from msnmo.cohort.tree import InTree, is_nifti, other_form, unusable
from msnmo.core.errors import Finding, bad_input

NO_NAME = (
    "not a BIDS name of a FLAIR: sub-X[_ses-Y][_acq-Z...]_FLAIR.nii.gz in that subject's anat/"
)
IGNORED = "read, although .bidsignore lists it: that file is only for validators"
# with these entities, images are not FLAIRs of a whole head
NOT_A_HEAD = re.compile(
    r"spine|spinal|cervic|thorac|lumbar|(?<![a-z])cord|orbit|optic|knee|phantom|projection|subtract"
    r"|phase|locali[sz]er|(?<![a-z])(t1|dir|psir|mip|proj|sub|scout)(?![a-z])",
    re.IGNORECASE,
)
PICTURED = ("acq", "rec", "proc", "bodypart")


def candidates(
    folder: Path,
    files: Iterable[InTree],
    skipped: Iterable[Path],
    ids: Ids,
    leave_out: LeaveOut,
) -> Iterator[Named]:
    """Yield every FLAIR of the dataset. A FLAIR without a BIDS name is reported.

    pybids skips names that BIDS does not know. If only the characters in their ids are unknown to
    BIDS, they are taken all the same.
    """
    known = _known(folder, skipped)
    ignored = _ignored(folder)
    for file in files:
        if file.root.parent != folder or not file.root.name.startswith("sub-"):
            continue
        named = Named.of(file, ids)
        if not (is_nifti(file.path) or other_form(file.path)):
            continue
        is_flair = _speaks_of_flair(named)
        if is_flair and other_form(file.path):
            leave_out(LeftOut(file.path, CONVERT))
        elif str(file.path) in known or _has_other_ids(named):
            if any(_fits(file.path.relative_to(folder), pattern) for pattern in ignored):
                leave_out(LeftOut(file.path, IGNORED))
            yield named
        elif is_flair:
            leave_out(LeftOut(file.path, NO_NAME))


def _ignored(folder: Path) -> list[str]:
    """Return the patterns of ``.bidsignore`` that name files."""
    path = folder / ".bidsignore"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = [line.strip().strip("/") for line in text.splitlines()]
    return [line for line in lines if line and line[0] not in "#!"]


def _fits(path: Path, pattern: str) -> bool:
    """Whether a pattern matches a file or one of the folders above it."""
    return any(each.match(pattern) for each in (path, *path.parents) if each.name)


def _speaks_of_flair(named: Named) -> bool:
    """Whether an image has FLAIR somewhere in its name and is neither a T1 nor a mask."""
    mask = named.suffix in filter(None, SUFFIXES) or any(named.has(name) for name in DESCRIBING)
    return not mask and named.suffix != "T1w" and "flair" in stem_of(named.path).lower()


def _known(folder: Path, skipped: Iterable[Path]) -> set[str]:
    """Return the FLAIRs that pybids finds in the folders that it should read."""
    from bids import BIDSLayout  # noqa: PLC0415 - slow, and needed only here
    from bids.exceptions import BIDSValidationError  # noqa: PLC0415
    from bids.layout import BIDSLayoutIndexer  # noqa: PLC0415

    inside = [path.relative_to(folder) for path in skipped if path.is_relative_to(folder)]
    ignored = [r"^/(?!sub-)", *(f"^/{re.escape(path.as_posix())}(/|$)" for path in inside)]
    indexer = BIDSLayoutIndexer(
        validate=True, index_metadata=False, ignore=[re.compile(each) for each in ignored]
    )
    try:
        layout = BIDSLayout(folder, indexer=indexer)
    except BIDSValidationError as error:
        remedy = "correct dataset_description.json; for data as scanned, DatasetType is raw"
        raise bad_input(folder, "a BIDS dataset", str(error), remedy) from error
    found = layout.get(suffix="FLAIR", datatype="anat", return_type="file")
    return {str(folder / Path(path).relative_to(folder.absolute())) for path in found}


def _has_other_ids(named: Named) -> bool:
    """Whether a FLAIR is where BIDS expects it, apart from unusual characters in its ids."""
    folders = [f"sub-{named.subject}", *([f"ses-{named.session}"] if named.session else []), "anat"]
    ids = f"{named.subject}{named.session}"
    plain = ids.isascii() and ids.isalnum()
    here = named.folders == tuple(folders)
    return here and not plain and named.suffix == "FLAIR" and not named.words


def not_whole(named: Named, wanted: Collection[str]) -> str:
    """Return the entity by which an image is no FLAIR of a whole head; what is wanted is none."""
    for name, value in named.entities.items():
        part = name == "part" and value != "mag"
        odd = part or name == "chunk" or (name in PICTURED and NOT_A_HEAD.search(value))
        if odd and name not in wanted:
            return name
    return ""


def one_a_session(
    found: Iterable[Named],
    wanted: Mapping[str, tuple[str, ...]],
    wrong: list[Finding],
    leave_out: LeaveOut,
) -> list[Named]:
    """Return the one FLAIR of each subject and session. Others are reported, or are errors."""
    visits: dict[tuple[str, str], list[Named]] = defaultdict(list)
    for named in found:
        same_name = [one for one in visits[named.visit] if stem_of(one.path) == stem_of(named.path)]
        if lacking := named.lacks(wanted):
            has = ", ".join(f"{name}={named.has(name) or 'none'}" for name in lacking)
            leave_out(LeftOut(named.path, f"not chosen by --entities: it has {has}"))
        elif odd := not_whole(named, wanted):
            value = named.entities[odd]
            said = f"{odd}-{value} says that it is not a FLAIR of a whole head"
            leave_out(LeftOut(named.path, f"{said}; --entities {odd}={value} takes it"))
        elif same_name:
            leave_out(
                LeftOut(named.path, f"{same_name[0].path.name} is taken, which has the same name")
            )
        elif reason := unusable(named.path):
            leave_out(LeftOut(named.path, reason))
        else:
            visits[named.visit].append(named)
    for several in visits.values():
        if len(several) > 1:
            names = ", ".join(each.path.name for each in several)
            remedy = "choose one: --entities run=1, acq=3d, acq=none or the like"
            expected = "one FLAIR per session"
            wrong.append(Finding(str(several[0].path.parent), expected, names, remedy))
    return [several[0] for _, several in sorted(visits.items()) if several]
