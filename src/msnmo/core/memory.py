"""The machine's memory: how much a job may still take, and what to say where that is too little."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

from msnmo.core.errors import MsnmoError

GIB = 2**30
FULL = (
    "not enough memory",
    "can't allocate memory",
    "mps backend out of memory",
    "failed to allocate memory",
    "bad_alloc",
)
"""How libraries word what Python has `MemoryError` for: torch's CPU and Apple's GPU, ITK, C++."""
MORE_MEMORY = (
    "give the job more memory (mem_mb, or another machine), or run fewer jobs at once (--cores, "
    "--processes)"
)
PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def is_full(error: Exception) -> bool:
    """Whether an error means that memory ran out."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in FULL)


def out_of_memory(where: str, tried: str, remedy: str, error: Exception) -> MsnmoError:
    """Return the message for memory that ran out."""
    reported = (str(error) or type(error).__name__).splitlines()[0]
    return MsnmoError(
        f"out of memory{where}\n    tried:    {tried}\n    remedy:   {remedy}\n"
        f"    reported: {reported}"
    )


@contextlib.contextmanager
def explain_little_memory(
    tried: str,
    remedy: str = MORE_MEMORY,
    is_full: Callable[[Exception], bool] = is_full,
    where: Callable[[], str] = str,
) -> Iterator[None]:
    """Turn an out-of-memory error of the machine into a message that says what to do.

    Parameters
    ----------
    tried : str
        What did not fit, such as ``skull stripping of scan.nii.gz``.
    remedy : str
    is_full : callable
        Whether an error is that of the memory meant: by default the machine's.
    where : callable
        Returns where memory ran out; empty for the machine's own.

    Raises
    ------
    MsnmoError
        If the block ran out of memory; any other error passes unchanged.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_full(error):
            raise
        raise out_of_memory(where(), tried, remedy, error) from error


def claim(needed: int, of: object) -> None:
    """Refuse work before it takes memory, or the system might kill the job without a message.

    Parameters
    ----------
    needed : int
        Bytes.
    of : object
        What needs them: the file.

    Raises
    ------
    MemoryError
        If fewer are free, as far as that is known.
    """
    there = available()
    if there is not None and needed > there:
        raise MemoryError(
            f"{of} needs {needed / GIB:.1f} GiB of memory, {max(there, 0) / GIB:.1f} GiB are free"
        )


def available() -> int | None:
    """Return how many bytes this process may still take; None if the system does not say.

    This is the least of: free memory of the machine, what the limit of the process leaves
    (``ulimit -v``), and what the limit of its control group leaves (Slurm, containers).
    """
    known = [each for each in (_machine(), _limit(), *_groups()) if each is not None]
    return min(known, default=None)


def _machine() -> int | None:
    return _line(PROC / "meminfo", "MemAvailable:", 1024)


def _limit() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _line(PROC / "self/status", "VmSize:", 1024)
    return None if limit == resource.RLIM_INFINITY or taken is None else limit - taken


def _groups() -> Iterator[int]:
    """Yield what the limits of the process's control group, and of those above it, leave."""
    for line in _text(PROC / "self/cgroup").splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            top, most, taken, cache = GROUPS, "memory.max", "memory.current", "inactive_file "
        elif "memory" in controllers.split(","):
            top, most = GROUPS / "memory", "memory.limit_in_bytes"
            taken, cache = "memory.usage_in_bytes", "total_inactive_file "
        else:
            continue
        folder = top / place.lstrip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(top):
                break
            limit, used = _text(group / most).strip(), _text(group / taken).strip()
            if limit.isdigit() and used.isdigit():
                # pages of files that the system drops before it kills anybody
                yield int(limit) - int(used) + (_line(group / "memory.stat", cache, 1) or 0)


def _line(path: Path, name: str, unit: int) -> int | None:
    """Return the number in the line of a name, in bytes."""
    for line in _text(path).splitlines():
        if line.startswith(name):
            return int(line.removeprefix(name).split()[0]) * unit
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:  # another system than Linux, or a container that hides it
        return ""
