"""A training on a CUDA device: precision, going on after a stop, memory that runs out."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from msnmo.compute.device import explain_full_memory, prepare
from msnmo.core.errors import MsnmoError
from msnmo.settings.methods import METHODS
from msnmo.settings.training import Settings
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job, Running
from msnmo.train.loop import Stopped, Trained, train

pytestmark = pytest.mark.gpu
DEVICE = "cuda:0"
EDGE, SCANS = 32, 6


def _scans() -> list[TrainingScan]:
    """Noisy scans with a bright lesion each, at one of two places."""
    generator = torch.Generator().manual_seed(0)
    scans = []
    for index in range(SCANS):
        lesion = torch.zeros(1, EDGE, EDGE, EDGE, dtype=torch.bool)
        low = 6 if index % 2 else 18
        lesion[:, low : low + 6, low : low + 6, 10:18] = True
        image = 0.5 * torch.randn(lesion.shape, generator=generator) + 3 * lesion
        scans.append(TrainingScan(f"sub-{index}", index % 2, image, lesion, {}))
    return scans


def _train(path: Path, epochs: int = 4, stop: Any = lambda: False, **given: Any) -> Trained:
    settings = {
        "train": {"epochs": epochs, "learning_rate": 1e-3, **given},
        "model": {"base_channels": 8},
    }
    job = Job("joint", 0, 1, Settings.from_mapping(settings, METHODS["joint"]))
    device = torch.device(DEVICE)
    prepare(device, threads=1)
    running = Running(checkpoint_minutes=0)
    return train(job, _scans(), device, path / "checkpoint.pt", stop, running=running)


def _totals(trained: Trained) -> list[float]:
    return [row["total"] for row in trained.history]


def test_losses_of_60_steps_in_bfloat16_follow_those_in_float32(tmp_path: Path) -> None:
    half, single = (
        _totals(_train(tmp_path / precision, epochs=20, precision=precision))
        for precision in ("bfloat16", "float32")
    )
    assert half == pytest.approx(single, rel=0.1, abs=0.1)
    assert half[-1] < 0.8 * half[0]


def test_a_stopped_training_goes_on_to_the_losses_of_a_whole_one(tmp_path: Path) -> None:
    """Not to its bytes: CUDA adds up in an order of its own."""
    whole = _train(tmp_path / "whole")
    asked = itertools.count(1)
    with pytest.raises(Stopped, match="in epoch 2, after 2 batches"):
        _train(tmp_path / "parts", stop=lambda: next(asked) == 5)
    resumed = _train(tmp_path / "parts")
    assert resumed.resumed_from == [1]
    assert _totals(resumed) == pytest.approx(_totals(whole), rel=0.05)


def test_a_loss_that_is_not_finite_is_named_when_the_epoch_is_read(tmp_path: Path) -> None:
    scans = _scans()
    scans[3].image[0, 3, 3, 3] = float("inf")
    settings = Settings.from_mapping({"model": {"base_channels": 8}}, METHODS["joint"])
    job = Job("joint", 0, 1, settings)
    with pytest.raises(MsnmoError, match=r"not finite in epoch 1, at scans .*sub-3"):
        train(job, scans, torch.device(DEVICE), tmp_path / "checkpoint.pt")


def test_memory_that_runs_out_is_explained() -> None:
    device = torch.device(DEVICE)
    with (
        pytest.raises(MsnmoError, match="out of memory on cuda"),
        explain_full_memory(device, "4 PB", "less"),
    ):
        torch.empty(10**15, device=device)
