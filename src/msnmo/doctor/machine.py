"""The machine: cores, memory, disk space."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msnmo.core.processes import ask
from msnmo.doctor.line import Line

GIB = 2**30
LITTLE_MEMORY, LITTLE_RESULTS, LITTLE_TEMPORARY = 8 * GIB, 20 * GIB, 2 * GIB
SECONDS_FOR_A_DISK = 10
MEMORY = Path("/proc/meminfo")
# what a scheduler or a container leaves to this process: version 2 and 1 of Linux's control groups
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def look_at_machine(results: Path) -> Iterator[Line]:
    """Yield the lines of cores and memory, and of the disks that a run writes to."""
    yield Line("cores", "ok", f"{_cores()} for this process, {os.cpu_count()} in all")
    yield _memory()
    yield from _disks(results)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> Line:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = _available()
    found = f"{total / GIB:.1f} GiB" + (f", {free / GIB:.1f} GiB free" if free else "")
    limit = min((each for each in map(_limit, LIMITS) if each), default=total)
    if limit < total:
        found += f", {limit / GIB:.1f} GiB allowed to this session"
    if min(limit, total) < LITTLE_MEMORY:
        remedy = "skull stripping, N4 and training need 8 GiB: run fewer jobs at once (--cores)"
        return Line("memory", "note", found, remedy)
    return Line("memory", "ok", found)


def _available() -> int:
    """Return the free bytes, as Linux counts them; 0 on other systems."""
    lines = MEMORY.read_text(encoding="ascii").splitlines() if MEMORY.is_file() else []
    kib = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kib[0] * 1024 if kib else 0


def _limit(path: Path) -> int:
    """Return the bytes that a control group may use; 0 without a limit."""
    text = path.read_text(encoding="ascii").strip() if path.is_file() else ""
    return int(text) if text.isdigit() else 0


def _disks(results: Path) -> Iterator[Line]:
    yield _disk("disk of this folder", Path(), LITTLE_RESULTS)
    if results.exists():
        yield _disk("disk of the results", results, LITTLE_RESULTS)
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        yield Line("disk of temporary files", "problem", str(error), "set TMPDIR to a folder")
        return
    yield _disk("disk of temporary files", temporary, LITTLE_TEMPORARY)


def _disk(topic: str, folder: Path, little: int) -> Line:
    """Ask another program for the free space, as a lost disk would block this process."""
    if shutil.which("df") is None:
        return Line(topic, "note", "`df` is not there to ask")
    asked = ask("df", "-Pk", str(folder), seconds=SECONDS_FOR_A_DISK)
    fields = asked.said.splitlines()[-1].split() if asked.said else []
    if asked.wrong or len(fields) < 4 or not fields[3].isdigit():
        remedy = "check that the disk is mounted"
        return Line(topic, "note", f"{folder}: {asked.wrong or 'no answer of df'}", remedy)
    free = int(fields[3]) * 1024
    found = f"{free / GIB:.1f} GiB free in {folder}"
    if free < little:
        return Line(topic, "note", found, f"make room: {little / GIB:.0f} GiB are used up quickly")
    return Line(topic, "ok", found)
