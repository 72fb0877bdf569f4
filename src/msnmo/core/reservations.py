"""Reservations of memory by jobs of msnmo that run at the same time.

Free memory is known, but not how much a job that has just started will take. If two jobs start at
once, each of them sees enough memory for itself. So each job states what it needs. It waits while
this and the reserved memory that others have not yet taken is more than there is. A single job
never waits: `msnmo.core.memory.claim` refuses what is too much for the machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from msnmo.core import memory
from msnmo.core.paths import make_own, of_user

SECONDS_BETWEEN_TRIES = 0.2
SECONDS_BETWEEN_WORDS = 60.0
NOTE = ".json"


def folder() -> Path:
    """Return where reservations are kept: one place for each user and machine."""
    return of_user("memory")


@contextlib.contextmanager
def reserve(needed: int, of: object, kept: Path | None = None) -> Iterator[None]:
    """Wait for free memory and reserve it. If no reservation can be kept, continue without.

    Parameters
    ----------
    needed : int
        Bytes that the block takes at most.
    of : object
        What needs them, for the message if it has to wait.
    kept : Path, optional
        The folder of reservations; `folder` unless given.
    """
    kept = kept or folder()
    # no number of a process, which two containers may have in common
    note = kept / f"{uuid.uuid4().hex}{NOTE}"
    try:
        # in another user's folder, somebody else could have us wait
        held = _wait(needed, of, kept, note) if make_own(kept) else None
    except OSError:  # a full disk, or one without locks
        held = None
    try:
        yield
    finally:
        if held:
            note.unlink(missing_ok=True)
            held.close()


def _wait(needed: int, of: object, kept: Path, note: Path) -> TextIO:
    """Return the file of the reservation, which is held as long as it is open."""
    told = -SECONDS_BETWEEN_WORDS
    while True:
        with (kept / "all.lock").open("w") as one_at_a_time:
            fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
            others = list(_others(kept))
            there = memory.available()
            if not others or there is None or needed + sum(others) <= there:
                held = note.open("w", encoding="utf-8")
                fcntl.flock(held, fcntl.LOCK_EX)
                process = os.getpid()
                before = _resident(process)
                json.dump({"bytes": needed, "process": process, "before": before}, held)
                held.flush()
                return held
        if time.monotonic() - told >= SECONDS_BETWEEN_WORDS:
            told = time.monotonic()
            gib = needed / memory.GIB
            print(f"waiting for {gib:.1f} GiB of memory that other jobs hold: {of}", flush=True)
        time.sleep(SECONDS_BETWEEN_TRIES)


def _others(kept: Path) -> Iterator[int]:
    """Yield what each other living process has reserved but not yet used."""
    for note in sorted(kept.glob(f"*{NOTE}")):
        with contextlib.suppress(OSError, ValueError, KeyError):  # it has just ended
            if not _is_held(note):
                note.unlink()  # of a process that was killed
                continue
            said = json.loads(note.read_text(encoding="utf-8"))
            filled = _resident(said["process"]) - said["before"]
            yield max(0, said["bytes"] - max(0, filled))


def _is_held(note: Path) -> bool:
    with note.open(encoding="utf-8") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _resident(process: int) -> int:
    """Return how many bytes a process holds in memory; 0 if the system does not say."""
    try:
        pages = (memory.PROC / str(process) / "statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
