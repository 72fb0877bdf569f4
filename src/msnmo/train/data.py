"""The training scans of one fold, checked and held in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from msnmo.core.diagnoses import diagnoses, in_words
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.files import sha256
from msnmo.core.same_grid import check_same_grid
from msnmo.core.volumes import load_mask, load_volume

UNLABELLED = -1
"""The label of a scan with only a lesion mask, used to train segmentation."""


@dataclass(frozen=True)
class TrainingScan:
    """One scan in the form used for training.

    Parameters
    ----------
    scan : str
        Scan id.
    label : int
        The class: 0 or 1 in the order of the labels (MS, NMOSD), or `UNLABELLED`.
    image : (1, X, Y, Z) tensor of float32
        Z-scored, in model space.
    lesion : (1, X, Y, Z) tensor of bool
        Lesion mask. All False if the method is not trained on lesions.
    content : dict
        SHA-256 of each file read.
    """

    scan: str
    label: int
    image: torch.Tensor
    lesion: torch.Tensor
    content: dict[str, str]


def load_training_scans(scans: pd.DataFrame, with_lesions: bool) -> list[TrainingScan]:
    """Read all training scans into memory: 5 bytes per voxel, 20 MB per scan at 160³.

    Parameters
    ----------
    scans : DataFrame
        Columns scan, diagnosis, image and, with lesions, lesion.
    with_lesions : bool
        Whether the method is trained on lesion masks.

    Raises
    ------
    InputError
        Names every file that is missing, damaged or on another grid than its scan, every scan
        without a needed lesion mask, and every scan of another size than the rest.
    """
    loaded: list[TrainingScan] = []
    findings: list[Finding] = []
    for row in scans.itertuples():
        try:
            lesion = row.lesion if with_lesions else None
            loaded.append(_load(row.scan, row.diagnosis, row.image, lesion))
        except InputError as error:
            findings += error.findings
    findings += _odd_shapes(loaded)
    if findings:
        raise InputError(findings)
    return loaded


def _load(scan: str, diagnosis: str, image_path: str, lesion_path: object) -> TrainingScan:
    """Return a scan. Without the path of a lesion mask, it has none."""
    image = load_volume(image_path)
    lesion = np.zeros(image.grid.shape, dtype=bool)
    content = {"image": sha256(image_path)}
    if lesion_path is not None:
        # a missing value in a table is not a text
        if not isinstance(lesion_path, str):
            remedy = "give the scan a lesion mask in the scan table, or leave it out of training"
            raise bad_input(f"scan {scan}", "a lesion mask to train on", "none", remedy)
        mask = load_mask(lesion_path)
        check_same_grid(Path(lesion_path), mask, Path(image_path), image)
        lesion, content["lesion"] = mask.data, sha256(lesion_path)
    labels = diagnoses()
    label = labels.index(diagnosis) if diagnosis in labels else UNLABELLED
    return TrainingScan(scan, label, _as_tensor(image.data), _as_tensor(lesion), content)


def refuse_unlabelled(scans: Sequence[TrainingScan]) -> None:
    """Stop the training of a method that classifies if a scan has no class.

    Raises
    ------
    InputError
        Names every such scan.
    """
    if unlabelled := [scan.scan for scan in scans if scan.label == UNLABELLED]:
        expected = f"a diagnosis {in_words()} for every training scan, as the method classifies"
        remedy = "give it in the scan table, or train methods that only segment"
        raise bad_input("training scans", expected, f"none of {', '.join(unlabelled)}", remedy)


def _as_tensor(data: np.ndarray) -> torch.Tensor:
    """Return (X, Y, Z) data as a (1, X, Y, Z) tensor; NIfTI files are read in Fortran order."""
    return torch.from_numpy(np.ascontiguousarray(data))[None]


def _odd_shapes(scans: Sequence[TrainingScan]) -> list[Finding]:
    """Return a finding for each scan with another shape than most."""
    shapes = Counter(tuple(scan.image.shape[1:]) for scan in scans)
    if not shapes:
        return []
    usual = shapes.most_common(1)[0][0]
    remedy = "delete the preprocessed scans and run the workflow again"
    return [
        Finding(f"scan {scan.scan}", f"shape {usual}, as most scans", f"shape {shape}", remedy)
        for scan in scans
        if (shape := tuple(scan.image.shape[1:])) != usual
    ]
