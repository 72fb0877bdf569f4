"""The sets of the ISBI 2015 longitudinal MS lesion segmentation challenge.

Carass et al. 2017, NeuroImage 148:77: 21 scans of 5 subjects with MS, two raters; layout
``trainingNN/preprocessed/trainingNN_TT_flair_pp.nii``, ``trainingNN/masks/trainingNN_TT_mask1.nii``
and ``_mask2.nii``, ``trainingNN/orig/trainingNN_TT_flair.nii``. NN is the subject, TT the visit.
The preprocessed scans are stripped, bias-corrected (N4) and in MNI space, and so are the masks.
The test set, ``testNN_TT_flair_pp.nii`` in similar folders or in one folder, has 61 scans of 14
other subjects and no masks. It is for prediction only; its ids are ``testNN``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from msnmo.cohort.importing import (
    Import,
    ImportedScan,
    LeftOut,
    all_files,
    fetched,
    first_file,
    refuse_none,
    tell_untaken,
)
from msnmo.core.counts import counted
from msnmo.core.paths import path_argument

NAME = "isbi2015"
HELP = "the ISBI 2015 longitudinal MS challenge: 21 scans of 5 subjects with MS"
EXAMPLE = "msnmo cohort isbi2015 training_final_v4 --out isbi/scans.tsv"
SITE = "ISBI2015"
RATERS = (1, 2)
SIZES = {"training": (21, 5), "test": (61, 14)}
SUBFOLDER = {"preprocessed": ("preprocessed", "flair_pp"), "raw": ("orig", "flair")}
NAMED = re.compile(r"(training|test)(\d{2})_(\d{2})_(flair|flair_pp)\.nii(\.gz)?")
MASK = re.compile(r"training(\d{2})_(\d{2})_mask([12])\.nii(\.gz)?")
LOOKS = re.compile("flair|mask", re.IGNORECASE)
TAKEN = "{} is taken, which has the same name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "folder",
        type=path_argument,
        help="folder with training01 to training05, or with the test set",
    )
    parser.add_argument(
        "--set",
        choices=tuple(SIZES),
        default="training",
        help="training (default), or test: without masks, for prediction only",
    )
    parser.add_argument(
        "--state",
        choices=tuple(SUBFOLDER),
        default="preprocessed",
        help="preprocessed (default): stripped, with masks; raw: heads, for prediction only, as "
        "the masks are drawn on the preprocessed scans",
    )


def collect(arguments: argparse.Namespace) -> Import:
    """Return the challenge's scans.

    Raises
    ------
    InputError
        If no scan in the folder has a name of the challenge.
    """
    of_set, state = arguments.set, arguments.state
    folder, ending = SUBFOLDER[state]
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    files = all_files(arguments.folder, left_out)
    found = _flairs(files, of_set, folder, ending, left_out)
    labelled = state == "preprocessed" and of_set == "training"
    for (subject, visit), path in sorted(found.items()):
        masks = _masks(path.parents[1] / "masks", subject, visit, left_out) if labelled else {}
        missing = [f"mask{rater}" for rater in RATERS if rater not in masks]
        if labelled and missing:
            reason = f"without {' and '.join(missing)}: taken for prediction only"
            left_out.append(LeftOut(path, reason))
        whole = labelled and not missing
        scans.append(
            ImportedScan(
                subject if of_set == "training" else f"test{subject}",
                "MS" if whole else "",
                path,
                session=visit,
                lesion_masks=tuple(masks[rater] for rater in RATERS) if whole else (),
                stripped=state == "preprocessed",
                bias_corrected=state == "preprocessed",
                site=SITE,
            )
        )
    tell_untaken(files, scans, left_out, LOOKS, lambda path: _is_known(path, found, of_set, ending))
    expected = f"{of_set}01/{folder}/{of_set}01_01_{ending}.nii and so on, at any depth"
    remedy = f"give the folder that the challenge's {of_set} archive unpacks to"
    refuse_none(arguments.folder, scans, left_out, expected, remedy)
    if state == "raw" and of_set == "training":
        reason = "drawn on the preprocessed scans, so not usable for the raw ones"
        left_out.append(LeftOut(arguments.folder / "training*/masks", reason))
    count, subjects = len(scans), len({scan.subject for scan in scans})
    if (count, subjects) != SIZES[of_set]:
        whole_set = "{} of {}".format(*SIZES[of_set])
        reason = (
            f"{counted(count, 'scan')} of {counted(subjects, 'subject')}; the complete set has "
            f"{whole_set}"
        )
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)


def _flairs(
    files: Iterable[Path], of_set: str, folder: str, ending: str, left_out: list[LeftOut]
) -> dict[tuple[str, str], Path]:
    """Return the scan of each subject and visit. Of several, the first by path."""
    found: dict[tuple[str, str], Path] = {}
    for path in files:
        match = NAMED.fullmatch(path.name)
        if match is None or (match[1], match[4]) != (of_set, ending) or not _in_place(path, folder):
            continue
        visit = (match[2], match[3])
        if first := found.get(visit):
            left_out.append(LeftOut(path, TAKEN.format(first)))
        elif fetched(path, left_out):
            found[visit] = path
    return found


def _in_place(path: Path, folder: str) -> bool:
    """Whether a scan or mask is in the right place. Test scans may be anywhere."""
    set_and_subject = path.name.partition("_")[0]
    placed = path.parent.name == folder and path.parents[1].name == set_and_subject
    return placed or set_and_subject.startswith("test")


def _is_known(path: Path, visits: Collection[tuple[str, str]], of_set: str, ending: str) -> bool:
    """Whether a file is in the layout: of another set or state, or a mask of these visits."""
    if mask := MASK.fullmatch(path.name):
        return _in_place(path, "masks") and (of_set == "test" or (mask[1], mask[2]) in visits)
    match = NAMED.fullmatch(path.name)
    if match is None or (match[1], match[4]) == (of_set, ending):
        return False
    if match[1] == of_set and (match[2], match[3]) not in visits:
        return False
    return any(_in_place(path, folder) for folder, _ in SUBFOLDER.values())


def _masks(folder: Path, subject: str, visit: str, left_out: list[LeftOut]) -> dict[int, Path]:
    names = {rater: f"training{subject}_{visit}_mask{rater}" for rater in RATERS}
    files = {rater: fetched(first_file(folder, name), left_out) for rater, name in names.items()}
    return {rater: path for rater, path in files.items() if path}
