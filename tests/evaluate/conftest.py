from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.files import write_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume

MODEL = Grid.from_affine((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0]))
OBLIQUE = np.array([[-0.9, 0.2, 0.0, 50], [0.2, 0.9, 0.1, -40], [0.0, 0.1, 3.0, 9], [0, 0, 0, 1]])
NATIVE = Grid.from_affine((9, 8, 5), OBLIQUE)
GRIDS = {"space-model_desc": MODEL, "desc": NATIVE}


@dataclass
class Study:
    """Six scans of two folds, and the predictions for fold 0 on disk."""

    root: Path
    folds: pd.DataFrame
    manifest: pd.DataFrame
    predictions: pd.DataFrame
    truths: dict[tuple[str, str], np.ndarray]
    masks: dict[tuple[str, str], np.ndarray]

    @property
    def directory(self) -> Path:
        return self.root / "fold-0"

    @property
    def tests(self) -> pd.DataFrame:
        return self.folds.loc[self.folds["fold"] == 0, ["scan", "diagnosis"]]

    def mask_path(self, scan: str, space: str) -> Path:
        return self.directory / f"{scan}_{space}-lesion_mask.nii.gz"

    def write(self) -> None:
        """Write the two tables, as changed by a test."""
        tested = self.folds[self.folds["fold"] == 0]
        write_tsv(self.root / "truth.tsv", tested.merge(self.manifest, on="scan"))
        write_tsv(self.directory / "predictions.tsv", self.predictions)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    # neither table is in the order of the other
    folds = pd.DataFrame(
        {
            "scan": ["sub-D", "sub-B", "sub-C", "sub-A", "sub-E", "sub-F"],
            "subject": ["D", "B", "C", "A", "E", "F"],
            "diagnosis": ["NMOSD", "NMOSD", "MS", "MS", "MS", "NMOSD"],
            "fold": [0, 0, 0, 0, 1, 1],
        }
    )
    predictions = pd.DataFrame(
        {
            "scan": ["sub-A", "sub-D", "sub-C", "sub-B"],
            "diagnosis": ["MS", "NMOSD", "MS", "NMOSD"],
            "p_ms": [0.9, 0.2, 0.45, 0.7],
            "p_nmosd": [0.1, 0.8, 0.55, 0.3],
        }
    )
    rng = np.random.default_rng(7)
    truths, masks, rows = {}, {}, []
    for scan in reversed(folds["scan"].tolist()):
        for space, grid in GRIDS.items():
            truths[scan, space] = rng.random(grid.shape) < 0.3
            masks[scan, space] = truths[scan, space] ^ (rng.random(grid.shape) < 0.1)
            truth = tmp_path / "truth" / f"{scan}_{space}.nii.gz"
            save_volume(truth, truths[scan, space], grid, np.uint8)
            if scan in set(predictions["scan"]):
                path = tmp_path / "fold-0" / f"{scan}_{space}-lesion_mask.nii.gz"
                save_volume(path, masks[scan, space], grid, np.uint8)
        paths = [str(tmp_path / "truth" / f"{scan}_{space}.nii.gz") for space in GRIDS]
        rows.append((scan, *paths))
    manifest = pd.DataFrame(rows, columns=["scan", "lesion", "native_lesion"])
    made = Study(tmp_path, folds, manifest, predictions, truths, masks)
    made.write()
    return made
