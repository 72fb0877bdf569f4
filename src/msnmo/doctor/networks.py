"""Where networks run: GPUs, their holders, and whether a training step works."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msnmo.core.processes import Answer, ask
from msnmo.doctor.line import Line
from msnmo.doctor.software import INSTALL

GIB = 2**30
# of the paper's model at batch size 2 and 160 voxels a side
ENOUGH = 20 * GIB
SECONDS_FOR_A_DRIVER, SECONDS_FOR_A_STEP = 20, 300
QUERY = "--query-gpu=name,memory.total,driver_version"
SMALLER = "lower train.batch_size, resize.size or model.base_channels for the paper's model"
ON_THE_CPU = "networks train on the CPU: a look at one fold, yes; the paper's schedule, no"


def look_at_networks(seconds: float = SECONDS_FOR_A_STEP) -> Iterator[Line]:
    """Yield the lines of GPUs and their locks, and of a training step.

    Parameters
    ----------
    seconds : float
        How long the training step may take.
    """
    tried = ask(sys.executable, "-P", "-m", "msnmo.doctor.training_step", seconds=seconds)
    seen, step = _read(tried)
    yield from _gpus(seen)
    yield from _locks()
    yield _step(tried, step)


def _read(tried: Answer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what torch sees and the step's time; empty if the process did not get that far."""
    read: list[dict[str, Any]] = []
    for line in tried.said.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue  # a library's own words
        if isinstance(content, dict):
            read.append(content)
    empty: dict[str, Any] = {}
    seen, step, *_ = [*read, empty, empty]
    return seen, step


def _gpus(seen: Mapping[str, Any]) -> Iterator[Line]:
    driver = _driver()
    if not seen.get("gpus"):
        yield _no_gpu(seen, driver)
        return
    for gpu in seen["gpus"]:
        memory = gpu["memory_bytes"]
        found = f"{gpu['name']}, {memory / GIB:.1f} GiB, compute capability {gpu['capability']}"
        found += f", CUDA {seen['cuda_build']}, driver {driver.said.rpartition(', ')[2] or 'n/a'}"
        if memory < ENOUGH:
            yield Line("GPU", "note", found, SMALLER)
        else:
            yield Line("GPU", "ok", found)


def _driver() -> Answer:
    """Return the GPUs that NVIDIA's driver lists, with its version last."""
    return ask("nvidia-smi", QUERY, "--format=csv,noheader", seconds=SECONDS_FOR_A_DRIVER)


def _no_gpu(seen: Mapping[str, Any], driver: Answer) -> Line:
    """Say why there is no GPU, or why an existing one is not used."""
    if seen.get("mps"):
        return Line("GPU", "ok", "Apple's, by MPS")
    if not seen:
        return Line("GPU", "note", f"unknown, as torch does not start; {_drivers_word(driver)}")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = driver.code == 0 and driver.said
    if not there:
        return Line("GPU", "note", f"none: {_drivers_word(driver)}", ON_THE_CPU)
    if seen["cuda_build"] is None:
        found = f"{driver.said}, not used: torch {seen['torch']} is built without CUDA"
        remedy = "install torch's CUDA build: https://pytorch.org/get-started/locally"
    elif hidden is not None:
        found = f"{driver.said}, not used: CUDA_VISIBLE_DEVICES is '{hidden}'"
        remedy = "unset the variable, or ask the scheduler for a GPU"
    else:
        found = f"{driver.said}, not used: CUDA {seen['cuda_build']} of torch does not see it"
        remedy = "install a driver that is new enough for that CUDA, or an older build of torch"
    return Line("GPU", "note", found, remedy)


def _drivers_word(driver: Answer) -> str:
    if shutil.which("nvidia-smi") is None:
        return "no NVIDIA driver (no `nvidia-smi` on the PATH)"
    return f"`nvidia-smi`: {driver.wrong or driver.said or 'lists none'}"


def _locks() -> Iterator[Line]:
    try:
        from msnmo.compute.gpu_lock import held_gpus, lock_folder  # noqa: PLC0415 - filelock
    except ModuleNotFoundError as error:
        yield Line("GPU locks", "problem", f"{error.name} is not installed", INSTALL)
        return
    try:
        held = list(held_gpus(Path(lock_folder())))
    except OSError as error:
        remedy = "have the folder removed"
        yield Line("GPU locks", "problem", f"{error.filename}: {error.strerror}", remedy)
        return
    found = "; ".join(held) or "no job of yours holds a GPU"
    yield Line("GPU locks", "note" if held else "ok", found)


def _step(tried: Answer, step: Mapping[str, Any]) -> Line:
    topic = "training step"
    if tried.code == 0 and step:
        memory = step["peak_memory_bytes"] / GIB
        took = f"{step['seconds']:.2f} s (the first: {step['seconds_in_all']:.1f} s in all)"
        took = f"{took}, at most {memory:.2f} GiB"
        where = f"on {step['device']} ({step['name']})"
        return Line(topic, "ok", f"{where}: {took}; {step['tried']}")
    if tried.code == -9:
        remedy = "give it more memory; the system kills programs when memory runs out"
        return Line(topic, "problem", "ended by the system (SIGKILL)", remedy)
    remedy = "check the package torch above, its build, the driver, and who else uses the device"
    return Line(topic, "problem", tried.wrong or "no output", remedy)
