"""The ISBI 2015 longitudinal MS lesion segmentation challenge, its sets as they are given.

Carass et al. 2017, NeuroImage 148:77: 21 scans of 5 subjects with MS, two raters; layout
``trainingNN/preprocessed/trainingNN_TT_flair_pp.nii``, ``trainingNN/masks/trainingNN_TT_mask1.nii``
and ``_mask2.nii``, ``trainingNN/orig/trainingNN_TT_flair.nii``. NN is the subject, TT the visit.
The preprocessed scans are stripped, bias-corrected (N4) and in MNI space, and so are the masks.
The test set, ``testNN_TT_flair_pp.nii`` in like folders or in one, has 61 scans of 14 other
subjects and no masks: for prediction, its ids are ``testNN``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from msnmo.cohort.importing import Import, ImportedScan, LeftOut
from msnmo.core.counts import counted
from msnmo.core.errors import bad_input
from msnmo.core.paths import path_argument

NAME = "isbi2015"
HELP = "the ISBI 2015 longitudinal MS challenge: 21 scans of 5 subjects with MS"
EXAMPLE = "msnmo cohort isbi2015 training_final_v4 --out isbi/scans.tsv"
SITE = "ISBI2015"
RATERS = (1, 2)
SIZES = {"training": (21, 5), "test": (61, 14)}
SUBFOLDER = {"preprocessed": ("preprocessed", "flair_pp"), "raw": ("orig", "flair")}
NAMED = re.compile(r"(training|test)(\d{2})_(\d{2})_(flair|flair_pp)\.nii(\.gz)?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "folder",
        type=path_argument,
        help="folder that holds training01 to training05, or the test set",
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
        help="preprocessed (default): stripped, with masks; raw: heads, for prediction only, "
        "because the masks are drawn on the preprocessed scans",
    )


def collect(arguments: argparse.Namespace) -> Import:
    """Return the challenge's scans.

    Raises
    ------
    InputError
        If the folder holds no scan by the challenge's names.
    """
    of_set, state = arguments.set, arguments.state
    folder, ending = SUBFOLDER[state]
    found = sorted(_flairs(arguments.folder, of_set, folder, ending))
    if not found:
        expected = f"{of_set}01/{folder}/{of_set}01_01_{ending}.nii and so on, at any depth"
        remedy = f"give the folder that the challenge's {of_set} archive unpacks to"
        raise bad_input(arguments.folder, expected, "no such file", remedy)
    labelled = state == "preprocessed" and of_set == "training"
    scans, left_out = [], []
    for subject, visit, path in found:
        masks = _masks(path.parents[1] / "masks", subject, visit) if labelled else {}
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
    if state == "raw" and of_set == "training":
        reason = "drawn on the preprocessed scans, so of no use for the raw ones"
        left_out.append(LeftOut(arguments.folder / "training*/masks", reason))
    count, subjects = len(scans), len({scan.subject for scan in scans})
    if (count, subjects) != SIZES[of_set]:
        whole_set = "{} of {}".format(*SIZES[of_set])
        reason = (
            f"{counted(count, 'scan')} of {counted(subjects, 'subject')}; the whole is {whole_set}"
        )
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)


def _flairs(root: Path, of_set: str, folder: str, ending: str) -> Iterator[tuple[str, str, Path]]:
    """Yield subject, visit and path of each scan; of a file and its compressed twin the first."""
    seen = set()
    for path in sorted(root.rglob(f"{of_set}*_{ending}.nii*")):
        match = NAMED.fullmatch(path.name)
        if match is None or (of_set == "training" and not _in_place(path, match[2], folder)):
            continue
        if (match[2], match[3]) not in seen:
            yield match[2], match[3], path
        seen.add((match[2], match[3]))


def _in_place(path: Path, subject: str, folder: str) -> bool:
    """Whether a training scan lies where its masks are found from."""
    return path.parent.name == folder and path.parents[1].name == f"training{subject}"


def _masks(folder: Path, subject: str, visit: str) -> dict[int, Path]:
    names = {
        rater: [
            folder / f"training{subject}_{visit}_mask{rater}{end}" for end in (".nii", ".nii.gz")
        ]
        for rater in RATERS
    }
    files = {rater: [path for path in paths if path.is_file()] for rater, paths in names.items()}
    return {rater: paths[0] for rater, paths in files.items() if paths}
