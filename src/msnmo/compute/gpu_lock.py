"""Choose a GPU of this machine that no other job of ours holds."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from msnmo.core.errors import bad_input
from msnmo.core.files import NO_LOCKS
from msnmo.core.paths import make_own, of_user

PER_GPU = "MSNMO_JOBS_PER_GPU"
"""The variable with the number of jobs that may share a GPU. It does not affect results."""
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_BETWEEN_WORDS = 600.0
LOCK, NOTE = ".lock", ".json"
SOFT = ".held"
"""Suffix of a lock by the existence of a file, for disks without locks."""


@dataclass(frozen=True)
class Held:
    """A GPU held by this process.

    Parameters
    ----------
    index : int
        Index among the devices that the process sees.
    lock : BaseFileLock
        Held as long as this object exists. The system releases it when the process ends in any way.
    """

    index: int
    lock: BaseFileLock


def lock_folder() -> Path:
    """Return the folder of the locks: one for each user and machine.

    If each job has its own /tmp, it is the scheduler that gives a GPU to each job.
    """
    return of_user("gpus")


def hold_gpu(devices: Sequence[str], per_gpu: int, folder: Path, job: str = "") -> Held:
    """Take a GPU that fewer than `per_gpu` jobs hold. Wait for one if there is none.

    A GPU gets a second job only when each GPU has one.

    Parameters
    ----------
    devices : sequence of str
        A name of each device that the process sees, the same in all processes. It is the UUID,
        because each process numbers the devices of ``CUDA_VISIBLE_DEVICES`` itself.
    per_gpu : int
        Jobs that may share a GPU, at least 1.
    folder : Path
        Where the locks are; made if it is missing.
    job : str
        What this process does with the GPU, for the message to jobs that wait for it.

    Raises
    ------
    InputError
        If the folder is another user's or open to others, is no folder, or has a link in it.
    """
    if not devices:
        raise ValueError("there is no GPU to hold")
    _own(folder)
    kind = _kind(folder)
    stems = [[_stem(folder, name, share) for name in devices] for share in range(per_gpu)]
    spoken = -SECONDS_BETWEEN_WORDS
    while True:
        for share in stems:
            for index, stem in enumerate(share):
                if lock := _try(stem, job, kind):
                    return Held(index, lock)
        if time.monotonic() - spoken >= SECONDS_BETWEEN_WORDS:
            spoken = time.monotonic()
            _tell(devices, per_gpu, stems)
        time.sleep(SECONDS_BETWEEN_TRIES)


def held_gpus(folder: Path) -> Iterator[str]:
    """Yield a line for each lock of the folder that a living process holds."""
    for path in sorted([*folder.glob(f"*{LOCK}"), *folder.glob(f"*{SOFT}")]):
        if path.is_symlink():
            continue
        lock = FileLock(path) if path.suffix == LOCK else SoftFileLock(path)
        try:
            lock.acquire(timeout=0)
            lock.release()
        except Timeout:
            yield f"{path.stem}: {_holder(path.with_suffix(''))}"
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise


def _kind(folder: Path) -> type[BaseFileLock]:
    """Return the kind of locks that the folder's disk has. Report it if they are only files."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            print(
                f"msnmo: the disk of {folder} has no locks ({error.strerror}): the existence of a "
                "file marks a GPU as held instead. If a file stays behind after a crash, remove "
                f"{folder}/*{SOFT}",
                file=sys.stderr,
                flush=True,
            )
            return SoftFileLock
    return FileLock


def _own(folder: Path) -> None:
    """Make the folder, or refuse one in which other users could block our GPUs."""
    if not make_own(folder):
        expected, remedy = "your own folder for GPU locks", "have it removed"
        raise bad_input(folder, expected, "a file, a link or another user's folder", remedy)
    if (mode := stat.S_IMODE(folder.lstat().st_mode)) & 0o022:
        told = f"one that others can write to, mode {mode:04o}"
        raise bad_input(folder, "your own folder for GPU locks", told, "have it removed")
    if links := [path for path in sorted(folder.iterdir()) if path.is_symlink()]:
        expected = "GPU locks that are regular files"
        raise bad_input(
            links[0], expected, "a link, whose target would be overwritten", "remove it"
        )


def _stem(folder: Path, name: str, share: int) -> Path:
    safe = "".join(letter if letter.isalnum() else "-" for letter in name)
    return folder / f"{safe}-{share}"


def _try(stem: Path, job: str, kind: type[BaseFileLock]) -> BaseFileLock | None:
    """Take a free lock, and record its holder beside it."""
    lock = kind(stem.with_suffix(LOCK if kind is FileLock else SOFT), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    since = datetime.now(UTC).astimezone().isoformat(" ", timespec="minutes")
    note = json.dumps({"pid": os.getpid(), "job": job, "since": since})
    with contextlib.suppress(OSError):  # a full disk is no reason not to compute: the lock is held
        stem.with_suffix(NOTE).write_text(note, encoding="utf-8")
    return lock


def _tell(devices: Sequence[str], per_gpu: int, stems: Sequence[Sequence[Path]]) -> None:
    jobs = f"{per_gpu} job{'s' if per_gpu > 1 else ''} each"
    lines = [f"waiting for a GPU: each of {len(devices)} is held by {jobs}"]
    for share in stems:
        lines += [f"  GPU {index}: {_holder(stem)}" for index, stem in enumerate(share)]
    print(f"msnmo: {chr(10).join(lines)}", file=sys.stderr, flush=True)


def _holder(stem: Path) -> str:
    """Return the holder of a lock, by the record beside it."""
    try:
        note = json.loads(stem.with_suffix(NOTE).read_text(encoding="utf-8"))
        return f"process {note['pid']}{note['job'] and ', ' + note['job']}, since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "an unknown process"  # killed between the lock and the record
