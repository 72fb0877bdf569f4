"""The predictions of a fold: the whole job compared with the network alone.

network: one pass of the network for one scan, as `msnmo.predict.fold` runs it.
fold: the job of a fold, from reading files to writing files, per scan.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from msnmo.benchmark.sheet import (
    Clock,
    OutOfTime,
    Sheet,
    add_arguments,
    add_methods,
    seconds_each,
    table,
)
from msnmo.benchmark.train import about
from msnmo.compute.device import move, pick_device, prepare
from msnmo.compute.options import add_arguments as add_device
from msnmo.core.command import program
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import run_command
from msnmo.core.files import write_json, write_tsv
from msnmo.core.geometry import Crop, ModelSpace, Resize
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.predict import fold
from msnmo.settings.config import complete_config, method_settings
from msnmo.settings.methods import JOINT, get_method
from msnmo.settings.training import Settings
from msnmo.train.__main__ import serialise
from msnmo.train.job import Job
from msnmo.train.loop import fresh_model

HEAD = (176, 232, 159)
"""Voxels of the made-up scan as it arrived, 1 mm wide."""
SHARES = 99
"""Jobs that may share the GPU: each fold needs a place, and this process keeps its own."""


class Trained:
    """An untrained network in the form of a trained one, and scans for it, in a folder.

    Parameters
    ----------
    name : str
        Method.
    size : int
        Voxels a side.
    scans : int
    folder : Path
    """

    def __init__(self, name: str, size: int, scans: int, folder: Path):
        self.folder, self.size, self.count = folder, size, scans
        settings = Settings.from_mapping(
            method_settings(complete_config({}), name), get_method(name)
        )
        self.job = Job(name, 0, 0, settings)
        self.model = fresh_model(self.job, (size,) * 3, [0, 1])
        generator = np.random.default_rng(0)
        self.image = generator.normal(size=(size,) * 3).astype(np.float32)
        self._write(self.model)

    def predict(self, device: str, threads: int) -> None:
        """Run the job of the fold."""
        words = {
            "scans": self.folder / "test.tsv",
            "method": self.job.method,
            "fold": self.job.fold,
            "weights": self.folder / "weights.safetensors",
            "run": self.folder / "run.json",
            "device": device,
            "threads": threads,
            "per-gpu": SHARES,
            "out": self.folder / "out",
        }
        fold.main([word for name, value in words.items() for word in (f"--{name}", str(value))])

    def _write(self, model: nn.Module) -> None:
        weights = serialise(self.job, model)
        (self.folder / "weights.safetensors").write_bytes(weights)
        run: dict[str, Any] = {
            "method": self.job.method,
            "fold": self.job.fold,
            "seed": self.job.seed,
            "settings": self.job.settings.to_json(),
            "size": [self.size] * 3,
            "training_scans": [],
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }
        write_json(self.folder / "run.json", run)
        write_tsv(
            self.folder / "test.tsv", pd.DataFrame([self._scan(i) for i in range(self.count)])
        )

    def _scan(self, index: int) -> dict[str, str]:
        """Write the files of a scan. Return its row."""
        grid = Grid.from_affine(HEAD, np.eye(4))
        brain = np.zeros(HEAD, dtype=bool)
        brain[15:-15, 20:-20, 15:-15] = True
        crop = Crop.around(brain, grid)
        resize = Resize.fit(crop.shape, crop.grid.voxel_mm, (self.size,) * 3, "stretch")
        space = ModelSpace(crop, resize)
        scan = f"sub-{index}"
        files = {
            "image": self.folder / f"{scan}_FLAIR.nii.gz",
            "brain": self.folder / f"{scan}_brain.nii.gz",
            "sidecar": self.folder / f"{scan}.json",
        }
        save_volume(files["image"], self.image, space.model)
        save_volume(files["brain"], np.ones_like(self.image), space.model, np.uint8)
        write_json(files["sidecar"], {"geometry": space.to_json()})
        row = {"scan": scan, "subject": scan, "diagnosis": diagnoses()[index % 2], "fold": "0"}
        return row | {name: str(path) for name, path in files.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure methods until all are done or the time is over."""
    given = _parse(arguments)
    device = pick_device(given.device, given.per_gpu, "benchmark predict")
    prepare(device, given.threads)
    clock = Clock(given.seconds)
    sheet = Sheet(given.out, about(device, given.size, 1))
    with suppress(OutOfTime):
        for name in given.methods:
            with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
                trained = Trained(name, given.size, given.scans, Path(folder))
                measure(trained, sheet, device, given.threads, clock)
    print(f"\n{table(sheet.figures)}")


def measure(
    trained: Trained, sheet: Sheet, device: torch.device, threads: int, clock: Clock
) -> None:
    """Measure a method's network and its fold, and report both."""
    model = move(trained.model, device).eval()
    network, first = seconds_each(
        lambda: fold.predict_scan(model, trained.image, device), clock, times=1, before=1
    )
    name = trained.job.method
    sheet.add("predict", name, "network", s_per_scan=network, s_first=first)
    clock.check()
    job = partial(trained.predict, device.type, threads)
    whole, _ = seconds_each(job, clock, times=1, rounds=1, before=1)
    each = whole / trained.count
    sheet.add("predict", name, "fold", s_per_scan=each, of_networks_s=each / network)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.benchmark.predict"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_methods(parser, [JOINT], "the joint model")
    parser.add_argument("--scans", type=int, default=4, help="scans in the fold (default: 4)")
    add_arguments(parser)
    add_device(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
