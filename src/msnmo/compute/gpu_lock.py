"""Which GPU of this machine a job takes: one that no other job of ours holds."""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PER_GPU = "MSNMO_JOBS_PER_GPU"
"""The variable that tells jobs how many of them may share a GPU: no setting of what they make."""
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_BETWEEN_WORDS = 600.0


@dataclass(frozen=True)
class Held:
    """A GPU held by this process.

    Parameters
    ----------
    index : int
        Among the devices that the process sees.
    lock : file
        Open as long as the GPU is held; the system lets go of it when the process ends, however.
    """

    index: int
    lock: IO[bytes]


def lock_folder() -> Path:
    """Return the folder of the locks: one for each user and machine."""
    return Path(tempfile.gettempdir()) / f"msnmo-gpus-{os.getuid()}"


def hold_gpu(devices: Sequence[str], per_gpu: int, folder: Path) -> Held:
    """Take a GPU that fewer than `per_gpu` jobs hold; wait for one if there is none.

    A GPU gets its second job only when each has its first.

    Parameters
    ----------
    devices : sequence of str
        A name of each device that the process sees, the same in all processes: its UUID, as CUDA
        numbers the devices of ``CUDA_VISIBLE_DEVICES`` anew in each.
    per_gpu : int
        Jobs that may share a GPU, at least 1.
    folder : Path
        Where the locks are; made if it is missing.
    """
    if not devices:
        raise ValueError("there is no GPU to hold")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    spoken = -SECONDS_BETWEEN_WORDS
    while True:
        for share in range(per_gpu):
            for index, name in enumerate(devices):
                safe = "".join(letter if letter.isalnum() else "-" for letter in name)
                if lock := _try(folder / f"{safe}.{share}.lock"):
                    return Held(index, lock)
        if time.monotonic() - spoken >= SECONDS_BETWEEN_WORDS:
            spoken = time.monotonic()
            jobs = f"{per_gpu} job{'s' if per_gpu > 1 else ''} each"
            told = f"waiting for a GPU: each of {len(devices)} is held by {jobs} (locks: {folder})"
            print(f"msnmo: {told}", file=sys.stderr, flush=True)
        time.sleep(SECONDS_BETWEEN_TRIES)


def _try(path: Path) -> IO[bytes] | None:
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
