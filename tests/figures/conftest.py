"""The results of a small run, as the figures of scans read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.files import write_json, write_tsv
from msnmo.core.geometry import Crop, ModelSpace, Resize
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.evaluate.verdict import Verdict
from msnmo.figures.inputs import Inputs
from tests.measured import with_folds

SHAPE = (12, 16, 10)
GRID = Grid.from_affine(SHAPE, np.diag([2.0, 1.0, 3.0, 1.0]))
# at the patient's left (low x) and front (high y), largest in slice 6
LESION = np.zeros(SHAPE, dtype=bool)
LESION[2:4, 10:13, 5] = True
LESION[2:5, 10:13, 6] = True
MASKS = {
    "joint": np.roll(LESION, 1, axis=1),  # one row too far to the front
    "unet": LESION,
    "only_seg": np.zeros_like(LESION),
}
DSC = {"joint": 2 / 3, "unet": 1.0, "only_seg": 0.0}
SCANS = {"sub-M1": "MS", "sub-M2": "MS", "sub-N1": "NMOSD", "sub-N2": "NMOSD"}

BETTER = Verdict(0.87, 0.83, 0.91, 0.95, 4, 4)
CHANCE = Verdict(0.51, 0.46, 0.57, 0.95, 4, 4)
# of `msnmo.evaluate.statistics.maps` what is read of it
JUDGED = pd.DataFrame(
    [
        ("joint", name, "auroc", each.auroc, each.ci_low, each.ci_high, 0.95, 4, 0, 4)
        for name, each in (("cam", BETTER), ("gradcam", CHANCE))
    ],
    columns=[
        *("method", "map", "metric", "mean", "ci_low", "ci_high", "confidence"),
        *("n_scans", "n_undefined_scans", "n_subjects"),
    ],
)


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Inputs]:
    """Write scans in model space of no cubic shape, and what methods made of them."""

    def write(
        methods: tuple[str, ...] = tuple(MASKS), scans: dict[str, str] | None = None
    ) -> Inputs:
        scans = scans or SCANS
        for place, scan in enumerate(scans):
            _write_scan(tmp_path, scan, place)
            for method in methods:
                folder = tmp_path / f"predictions/{method}/fold-{place % 2}"
                _write_prediction(folder, scan, method)
        for method in methods:
            for fold in (0, 1):
                _write_classes(tmp_path / f"predictions/{method}/fold-{fold}", scans)
        return _inputs(tmp_path, methods, scans)

    return write


def _inputs(folder: Path, methods: tuple[str, ...], scans: dict[str, str]) -> Inputs:
    table = pd.DataFrame({"scan": list(scans), "diagnosis": list(scans.values())})
    manifest = table.assign(
        image=[str(folder / f"{scan}.nii.gz") for scan in scans],
        lesion=[str(folder / f"{scan}_lesion.nii.gz") for scan in scans],
        sidecar=str(folder / "space.json"),
        native_brain=str(folder / "brain.nii.gz"),
    )
    box = Crop(GRID, (0, 1, 2), (False, False, False), (0, 0, 0), SHAPE)
    space = ModelSpace(box, Resize(SHAPE, SHAPE, (0, 0, 0), SHAPE))
    write_json(folder / "space.json", {"geometry": space.to_json()})
    save_volume(folder / "brain.nii.gz", np.ones(SHAPE), GRID, np.uint8)
    folds = table.assign(subject=table["scan"], fold=[n % 2 for n in range(len(scans))])
    rows = [
        (method, place % 2, 1, scan, "DSC", DSC[method] - 0.01 * place, "model")
        for method in methods
        for place, scan in enumerate(scans)
    ]
    inputs = Inputs(
        methods=methods,
        metrics=with_folds(rows),
        manifest=manifest,
        cohort=table,
        folds=folds,
        predictions=str(folder / "predictions/{method}/fold-{fold}"),
        history="",
        gradcam=str(folder / "gradcam/fold-{fold}"),
        verdicts=dict.fromkeys([("joint", "cam")], BETTER)
        | dict.fromkeys([("joint", "gradcam")], CHANCE),
        augment={"rotation_degrees": 10},
        seed=1,
    )
    for name in ("metrics", "manifest", "cohort", "folds"):
        write_tsv(folder / f"{name}.tsv", getattr(inputs, name))
    write_tsv(folder / "localisation.tsv", JUDGED)
    return inputs


def _write_scan(folder: Path, scan: str, place: int) -> None:
    image = np.zeros(SHAPE, dtype=np.float32)
    image[1:-1, 1:-1, 1:-1] = np.random.default_rng(place).normal(0, 0.3, (10, 14, 8))
    save_volume(folder / f"{scan}.nii.gz", image + 2 * LESION, GRID)
    lesion = LESION.copy()
    lesion[8, 4, 2 : 2 + place] = True  # the later the scan, the larger its lesions
    save_volume(folder / f"{scan}_lesion.nii.gz", lesion, GRID, np.uint8)
    gradcam = folder / f"gradcam/fold-{place % 2}/{scan}_space-model_desc-gradcam_map.nii.gz"
    save_volume(gradcam, image, GRID)


def _write_prediction(folder: Path, scan: str, method: str) -> None:
    stem = folder / f"{scan}_space-model_desc"
    save_volume(f"{stem}-lesion_mask.nii.gz", MASKS[method], GRID, np.uint8)
    for number in (1, 2, 3):
        values = np.where(MASKS[method], float(number), -1.0)
        save_volume(f"{stem}-localisation{number}_map.nii.gz", values, GRID)


def _write_classes(folder: Path, scans: dict[str, str]) -> None:
    table = pd.DataFrame({"scan": list(scans), "p_nmosd": [0.25] * len(scans)})
    write_tsv(folder / "predictions.tsv", table)
