"""Where networks run: choose a device, make results repeatable, explain full memory."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

# Apple's backend lacks a few 3D operations; with this, those run on the CPU instead of failing.
# It must be set before torch is imported.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

import torch

from msnmo.compute.gpu_lock import Held, hold_gpu, lock_folder
from msnmo.compute.options import Choice
from msnmo.core.errors import bad_input
from msnmo.core.memory import GIB, explain_little_memory
from msnmo.core.memory import is_full as machine_is_full
from msnmo.settings.training import Precision

HELD: list[Held] = []
"""The GPU of this process. Its lock is held as long as it is kept here."""


def pick_device(choice: Choice, per_gpu: int = 1, job: str = "") -> torch.device:
    """Return the device to run on; ``auto`` takes cuda, else mps, else the CPU.

    Of several CUDA devices it is one that at most `per_gpu` jobs of this user hold, this job
    included. It is held until the process ends. Jobs that wait for it are told `job`.

    Raises
    ------
    InputError
        If the device asked for is not there.
    """
    available: dict[Choice, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if choice == "auto":
        choice = next(name for name, there in available.items() if there)
    if not available[choice]:
        there = ", ".join(name for name in available if available[name])
        remedy = "use device auto, or install a torch build and driver for that device"
        raise bad_input(f"device {choice}", "a device of this machine", f"only {there}", remedy)
    return _hold_cuda(per_gpu, job) if choice == "cuda" else torch.device(choice)


def _hold_cuda(per_gpu: int, job: str) -> torch.device:
    count = torch.cuda.device_count()
    names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(count)]
    held = hold_gpu(names, per_gpu, lock_folder(), job)
    HELD.append(held)
    torch.cuda.set_device(held.index)
    return torch.device("cuda", held.index)


def prepare(device: torch.device, threads: int) -> None:
    """Make this process's results repeatable as far as the device allows.

    On the CPU equal inputs give equal bytes with the same number of threads (sums over other parts
    differ in the last bit) and the same kind of processor. CUDA has no deterministic form of some
    3D operations, so it may choose the fastest. cuDNN tries its convolutions once for each shape,
    and all scans have the same shape.

    Parameters
    ----------
    device : torch.device
    threads : int
        CPU threads for one operation, at least 1.
    """
    torch.set_num_threads(threads)
    # the same switch as use_deterministic_algorithms, which loads torch's compiler for a second
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "default")
    torch.backends.cudnn.benchmark = device.type == "cuda"


def device_name(device: torch.device) -> str:
    """Return the device's model name, such as ``NVIDIA GeForce RTX 3090``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor_name()


def _processor_name() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout of a network's input. With one channel, it is the CPU's in any case."""
    return torch.channels_last_3d if device.type == "cuda" else torch.contiguous_format


def move(model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Move a network to a device: with channels last to CUDA, as it was built to the CPU."""
    if device.type == "cpu":
        return model.to(device)
    layout = memory_format(device)
    # torch takes both at once, and its stub leaves the layout out
    return model.to(device, memory_format=layout)  # type: ignore[call-overload]


def precision(device: torch.device, wanted: Precision = "auto") -> Literal["bfloat16", "float32"]:
    """Return the precision of training; ``auto`` is bfloat16 where the GPU computes in it."""
    if wanted != "auto":
        return wanted
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if fast else "float32"


def autocast(device: torch.device, wanted: Precision = "auto") -> AbstractContextManager[object]:
    """Return the context that a training step's forward pass runs in."""
    if precision(device, wanted) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def total_memory(device: torch.device) -> int:
    """Return the device's memory in bytes; for the CPU and Apple's GPU the machine's."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory(device: torch.device) -> int:
    """Return the free bytes of a CUDA device."""
    return torch.cuda.mem_get_info(device)[0]


def peak_memory(device: torch.device) -> int:
    """Return the most memory used so far, in bytes: allocated on CUDA, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextlib.contextmanager
def explain_full_memory(device: torch.device, tried: str, remedy: str) -> Iterator[None]:
    """Turn running out of memory into a message that says what was tried and what to do.

    Parameters
    ----------
    device : torch.device
    tried : str
        What did not fit, such as ``batch_size 2 at size 160``.
    remedy : str
        Which settings to lower.

    Raises
    ------
    MsnmoError
        If the block ran out of memory; any other error passes unchanged.
    """

    def where() -> str:
        gib = total_memory(device) / GIB
        return f" on {device.type} ({device_name(device)}, {gib:.1f} GiB)"

    with explain_little_memory(tried, remedy, is_full, where):
        yield


def is_full(error: Exception) -> bool:
    """Whether an error means that memory ran out, on any device."""
    return isinstance(error, torch.OutOfMemoryError) or machine_is_full(error)
