"""The training set of the ISBI 2015 longitudinal MS lesion segmentation challenge, as it is given.

Carass et al. 2017, NeuroImage 148:77: 21 scans of 5 subjects with MS, two raters; layout
``trainingNN/preprocessed/trainingNN_TT_flair_pp.nii``, ``trainingNN/masks/trainingNN_TT_mask1.nii``
and ``_mask2.nii``, ``trainingNN/orig/trainingNN_TT_flair.nii``. NN is the subject, TT the visit.
The preprocessed scans are stripped, bias-corrected (N4) and in MNI space, and so are the masks.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from msnmo.cohort.importing import Import, ImportedScan, LeftOut
from msnmo.core.errors import bad_input
from msnmo.core.paths import path_argument

NAME = "isbi2015"
HELP = "the ISBI 2015 longitudinal MS challenge: 21 scans of 5 subjects with MS"
EXAMPLE = "msnmo cohort isbi2015 training_final_v4 --out isbi/scans.tsv"
SITE = "ISBI2015"
RATERS = (1, 2)
SCANS, SUBJECTS = 21, 5
SUBFOLDER = {"preprocessed": ("preprocessed", "flair_pp"), "raw": ("orig", "flair")}
NAMED = re.compile(r"training(\d{2})_(\d{2})_(flair|flair_pp)\.nii(\.gz)?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "folder", type=path_argument, help="folder that holds training01 to training05"
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
    folder, ending = SUBFOLDER[arguments.state]
    found = sorted(_flairs(arguments.folder, folder, ending))
    if not found:
        expected = f"training01/{folder}/training01_01_{ending}.nii and so on, at any depth"
        remedy = "give the folder that the challenge's training archive unpacks to"
        raise bad_input(arguments.folder, expected, "no such file", remedy)
    labelled = arguments.state == "preprocessed"
    scans, left_out = [], []
    for subject, visit, path in found:
        masks = _masks(path.parents[1] / "masks", subject, visit)
        missing = [f"mask{rater}" for rater in RATERS if rater not in masks]
        if labelled and missing:
            reason = f"without {' and '.join(missing)}: taken for prediction only"
            left_out.append(LeftOut(path, reason))
        whole = labelled and not missing
        scans.append(
            ImportedScan(
                subject,
                "MS" if whole else "",
                path,
                session=visit,
                lesion_masks=tuple(masks[rater] for rater in RATERS) if whole else (),
                stripped=labelled,
                bias_corrected=labelled,
                site=SITE,
            )
        )
    if not labelled:
        reason = "drawn on the preprocessed scans, so of no use for the raw ones"
        left_out.append(LeftOut(arguments.folder / "training*/masks", reason))
    subjects = len({scan.subject for scan in scans})
    if (len(scans), subjects) != (SCANS, SUBJECTS):
        reason = f"{len(scans)} scans of {subjects} subjects; the whole is {SCANS} of {SUBJECTS}"
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)


def _flairs(root: Path, folder: str, ending: str) -> Iterator[tuple[str, str, Path]]:
    """Yield subject, visit and path of each scan; of a file and its compressed twin the first."""
    seen = set()
    for path in sorted(root.rglob(f"{folder}/training*_{ending}.nii*")):
        match = NAMED.fullmatch(path.name)
        if match and path.parents[1].name == f"training{match[1]}":
            if (match[1], match[2]) not in seen:
                yield match[1], match[2], path
            seen.add((match[1], match[2]))


def _masks(folder: Path, subject: str, visit: str) -> dict[int, Path]:
    names = {
        rater: [
            folder / f"training{subject}_{visit}_mask{rater}{end}" for end in (".nii", ".nii.gz")
        ]
        for rater in RATERS
    }
    files = {rater: [path for path in paths if path.is_file()] for rater, paths in names.items()}
    return {rater: paths[0] for rater, paths in files.items() if paths}
