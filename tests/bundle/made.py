"""A bundle of three folds with fresh weights, as `snakemake bundle` makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file

from msnmo.bundle.__main__ import main as pack
from msnmo.check.findings import ScanReport
from msnmo.core.files import sha256, write_json, write_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.evaluate.aggregate import COLUMNS
from msnmo.evaluate.metrics import METRICS, metrics_of
from msnmo.networks.build import build_network
from msnmo.settings.config import shareable
from msnmo.settings.methods import get_method
from msnmo.settings.training import Settings

ROOT = Path(__file__).parents[2]
SIZE = 32
LEARNED = {"sub-secret1": "01" * 32, "sub-secret2": "02" * 32}
"""Scans that the folds learned from, and the fingerprints that the check wrote of them."""
SCANS = {"sub-A": "MS", "sub-B_ses-1": "MS", "sub-B_ses-2": "MS", "sub-C": "NMOSD"}


@pytest.fixture(scope="session")
def config() -> dict:
    """The default config, small."""
    content = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    content["resize"]["size"] = [SIZE] * 3
    content["model"]["base_channels"] = 8
    content["n4"]["iterations"] = [5]
    return content


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory, config: dict) -> Path:
    """A folder with what a cross-validation of three folds leaves."""
    folder = tmp_path_factory.mktemp("training é")
    method = get_method("joint")
    model_settings = {"model": config["model"]}
    settings = Settings.from_mapping(model_settings, method)
    for fold in range(3):
        torch.manual_seed(fold)
        model = build_network(method, settings.model, (SIZE,) * 3)
        weights = folder / f"weights-{fold}.safetensors"
        origin = json.dumps({"method": "joint", "fold": fold, "seed": 1})
        tensors = {name: each.contiguous() for name, each in model.state_dict().items()}
        save_file(tensors, weights, metadata={"msnmo": origin})
        run = {
            "method": "joint",
            "fold": fold,
            "seed": 1,
            "settings": settings.to_json(),
            "size": [SIZE] * 3,
            "training_scans": list(LEARNED),
            "epochs": 2,
            "weights_sha256": sha256(weights),
        }
        write_json(folder / f"run-{fold}.json", run)
        write_tsv(folder / f"metrics-{fold}.tsv", _metrics(fold))
        predictions = folder / f"predictions-{fold}"
        predictions.mkdir()
        # modest where right, and hardly wrong once
        nmosd = (0.2, 0.2, 0.55, 0.8)
        rows = [(*item, 1 - p, p) for item, p in zip(SCANS.items(), nmosd, strict=True)]
        table = pd.DataFrame(rows, columns=["scan", "diagnosis", "p_ms", "p_nmosd"])
        write_tsv(predictions / "predictions.tsv", table)
    _write_cohort(folder)
    for scan, digest in LEARNED.items():
        ScanReport(scan, [], {"voxels": digest}).write(folder / f"{scan}_check.json")
    return folder


def _metrics(fold: int) -> pd.DataFrame:
    scans = [scan for place, scan in enumerate(SCANS) if place % 3 == fold]
    rows = []
    for task, spaces in (("segmentation", ("model", "native")), ("classification", (None,))):
        for name in metrics_of(task):
            of_scans = [] if METRICS[name].of_fold else scans
            rows += [
                ("joint", fold, 1, scan, name, 0.6, space)
                for space in spaces
                for scan in (None, *of_scans)
            ]
    rows += [
        ("joint", fold, 1, scan, "V_TRUE", 1.0 + [*SCANS].index(scan), "native") for scan in scans
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _write_cohort(folder: Path) -> None:
    rows = []
    for place, (scan, diagnosis) in enumerate(SCANS.items()):
        flair = folder / f"{scan}_FLAIR.nii.gz"
        grid = Grid.from_affine((4, 4, 4), torch.diag(torch.tensor([1.0, 1.0, 3.0, 1.0])).numpy())
        save_volume(flair, torch.arange(64.0).reshape(4, 4, 4).numpy(), grid)
        write_json(folder / f"{scan}_brain.json", {"skullstrip": {"engine": "surface"}})
        subject, _, session = scan.removeprefix("sub-").partition("_ses-")
        site = ("Klinikum Zwieselbach", None)[place % 2]
        told = (diagnosis, str(flair), "mask.nii.gz", site, "yes")
        rows.append((scan, subject, session or None, *told))
    rows.append(("sub-New", "New", None, None, "new.nii.gz", None, None))
    names = ["scan", "subject", "session", "diagnosis", "flair", "lesion_mask", "site", "simulated"]
    write_tsv(folder / "cohort.tsv", pd.DataFrame(rows, columns=names))


@pytest.fixture(scope="session")
def make_bundle(training: Path, config: dict) -> Callable[..., None]:
    """A function that packs the folds, with options changed or added."""

    def run(out: Path, *more: str, **changed: str) -> None:
        options = {
            "method": "joint",
            "cohort": str(training / "cohort.tsv"),
            "brain-sidecar": f"{training}/{{scan}}_brain.json",
            "check-reports": f"{training}/{{scan}}_check.json",
            "config": json.dumps(shareable(config)),
            "out": str(out),
        } | changed
        files = {
            "weights": "weights-{}.safetensors",
            "runs": "run-{}.json",
            "metrics": "metrics-{}.tsv",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        for name, file in files.items():
            arguments += [f"--{name}", *(str(training / file.format(fold)) for fold in range(3))]
        pack([*arguments, *more])

    return run


@pytest.fixture(scope="session")
def bundle(make_bundle: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle; read-only: tests that break something copy it."""
    out = tmp_path_factory.mktemp("bundles") / "bundle"
    make_bundle(out)
    return out
