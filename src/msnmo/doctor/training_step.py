"""Train a small joint model for two steps, on the device of `auto`, and print JSON.

It runs in a separate process. If a driver is broken or memory is full, only this process ends.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from msnmo.compute.device import device_name, peak_memory, prepare
from msnmo.core.errors import run_command
from msnmo.settings.methods import get_method
from msnmo.settings.training import Settings
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job
from msnmo.train.loop import train

SIZE, CHANNELS, STEPS = 48, 16, 2
SETTINGS = {"model": {"base_channels": CHANNELS}, "train": {"epochs": STEPS, "batch_size": 2}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what torch sees, then the time of a training step."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.doctor.training_step", description=__doc__
    )
    parser.parse_args(arguments)
    seen = {
        "torch": torch.__version__,
        "cuda_build": torch.version.cuda,
        "gpus": [_describe(index) for index in range(torch.cuda.device_count())],
        "mps": torch.backends.mps.is_available(),
    }
    print(json.dumps(seen), flush=True)
    print(json.dumps(take_steps(_device())))


def _describe(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    capability = f"{properties.major}.{properties.minor}"
    memory = properties.total_memory
    return {"name": properties.name, "memory_bytes": memory, "capability": capability}


def _device() -> torch.device:
    """Return the device that `auto` means.

    No GPU is locked. If a job holds the GPU, this is reported, and nothing waits for it.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def take_steps(device: torch.device) -> dict[str, Any]:
    """Return seconds and peak memory of the last of a few training steps."""
    prepare(device, threads=1)
    torch.manual_seed(0)
    shape = (1, SIZE, SIZE, SIZE)
    scans = [
        TrainingScan(f"sub-{label}", label, torch.randn(shape), torch.rand(shape) > 0.99, {})
        for label in (0, 1)
    ]
    method = get_method("joint")
    job = Job(method.name, 0, 0, Settings.parse(json.dumps(SETTINGS), method))
    before = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
        trained = train(job, scans, device, Path(folder) / "checkpoint.pt")
    return {
        "device": device.type,
        "name": device_name(device),
        "seconds": round(trained.history[-1]["seconds"], 3),
        "seconds_in_all": round(time.monotonic() - before, 3),
        "peak_memory_bytes": peak_memory(device),
        "tried": f"joint model, {CHANNELS} channels, two scans of {SIZE}x{SIZE}x{SIZE}",
    }


if __name__ == "__main__":
    run_command(main)
