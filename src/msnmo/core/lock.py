"""One writer at a time: a lock is a file in the results, which all machines with this disk see.

The process that creates the file has the lock, and the file says which process that is. Locks of
the operating system are not used, because some network disks lack them. A lock that a killed
process of this machine left is taken over. Nobody here knows whether a process of another machine
still runs, so the user is told whose lock it is.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from msnmo.core.errors import DiskError, MsnmoError, explain_refusal

SECONDS_BETWEEN_TRIES = (0.02, 1.0)
"""Of the first two tries, and the most that it grows to."""
SECONDS_FOR_A_WORD = 60.0
"""A lock without a word is of a process killed while it wrote it, when it is older than this."""
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES}
"""What disks without hard links say."""


class InUseError(MsnmoError):
    """Another process writes there."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Parameters
    ----------
    what : str
        What it does, for messages.
    user, host : str
    namespace : str
        Namespace of the process ids: two containers of one name have separate ids.
    pid : int
    started : str
        Distinguishes the process from a later one of the same id; empty if it is not known.
    since : str
    token : str
        Distinguishes this lock from all others.
    """

    what: str
    user: str
    host: str
    namespace: str
    pid: int
    started: str
    since: str
    token: str

    @classmethod
    def this_process(cls, what: str) -> Holder:
        """Return this process as a holder."""
        since = datetime.now(UTC).astimezone().isoformat(" ", timespec="seconds")
        host, namespace = _machine()
        pid = os.getpid()
        return cls(what, _user(), host, namespace, pid, _started(pid), since, secrets.token_hex(8))

    @property
    def is_sound(self) -> bool:
        """Whether its file has valid content, as `this_process` writes it.

        Others may write there.
        """
        texts = [value for name, value in asdict(self).items() if name != "pid"]
        printable = all(isinstance(text, str) and text.isprintable() for text in texts)
        return printable and isinstance(self.pid, int) and 0 < self.pid < 2**31

    @property
    def is_here(self) -> bool:
        """Whether its process id is one of this machine's."""
        return (self.host, self.namespace) == _machine()

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended."""
        return self.is_here and _is_gone(self.pid, self.started)

    def __str__(self) -> str:
        return f"{self.what}, process {self.pid} of {self.user} on {self.host} since {self.since}"


@contextlib.contextmanager
def hold(path: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock while the block runs.

    Parameters
    ----------
    path : Path
        The lock's file; its folder is made if it is missing.
    what : str
        What this process does, for the message to others that wait for the lock.
    patience : float
        Seconds to wait for it.

    Raises
    ------
    InUseError
        Names who has it, and what to do if that process is gone.
    DiskError
        If the folder cannot be written.
    """
    holder = take(path, what, patience)
    try:
        yield
    except BaseException:
        # a disk that refused the block's file may keep the lock: what the block says is told, and
        # the next one clears the lock of a process that has ended
        with contextlib.suppress(DiskError):
            release(path, holder)
        raise
    release(path, holder)


def take(path: Path, what: str, patience: float = 0.0) -> Holder:
    """Take a lock until `release`, like `hold`."""
    holder = Holder.this_process(what)
    last = time.monotonic() + patience
    pause, longest = SECONDS_BETWEEN_TRIES
    with explain_refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _create(path, holder):
            if _clear_if_left(path):
                continue
            if time.monotonic() >= last:
                raise InUseError(_told(path))
            time.sleep(pause)
            pause = min(2 * pause, longest)
    return holder


def release(path: Path, holder: Holder) -> None:
    """Release a lock if this holder still has it. A fork of its process has none.

    Raises
    ------
    DiskError
        If the disk keeps the lock's file, as one that has become read-only does.
    """
    if holder.pid != os.getpid():
        return
    found = _read(path)
    if found is not None and found.token == holder.token:
        with explain_refusal(path):
            path.unlink(missing_ok=True)


def _create(path: Path, holder: Holder) -> bool:
    """Create a lock file with its holder in it, or return False if there is one."""
    word = json.dumps(asdict(holder), ensure_ascii=True).encode()
    own = path.with_name(f"{path.name}.{holder.token}")
    try:
        own.write_bytes(word)
        try:
            os.link(own, path)
        except FileExistsError:
            # a network disk may say so of the link that it has just made for us
            found = _read(path)
            return found is not None and found.token == holder.token
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return _create_empty(path, word)
    finally:
        own.unlink(missing_ok=True)
    return True


def _create_empty(path: Path, word: bytes) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as stream:
        stream.write(word)
    return True


def _read(path: Path) -> Holder | None:
    """Return the holder of a lock; None if there is none, or its file is incomplete."""
    try:
        if not path.is_file():  # a pipe would never end
            return None
        holder = Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return holder if holder.is_sound else None


def _clear_if_left(path: Path) -> bool:
    """Remove a lock whose process was killed. Return whether to try again at once.

    If several processes find it, only one may remove it. Else one could remove a newer lock.
    """
    holder = _read(path)
    if not (_is_wordless(path) if holder is None else holder.is_gone):
        return False
    guard = _guard(path)
    mine = Holder.this_process(f"removing {path.name}")
    if not _create(guard, mine):
        return False
    try:
        # what was judged, and not the lock of who came first
        if _read(path) == holder:
            path.unlink(missing_ok=True)
    finally:
        guard.unlink(missing_ok=True)
    return True


def _is_wordless(path: Path) -> bool:
    """Whether a lock has existed for long without naming its holder."""
    try:
        # by the clock of this machine: another's may differ by minutes, not by more
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    return age > SECONDS_FOR_A_WORD


def _guard(path: Path) -> Path:
    return path.with_name(f"{path.name}.removing")


def _told(path: Path) -> str:
    holder = _read(path)
    files = " and ".join(str(each) for each in (path, _guard(path)) if each.exists())
    if holder is None:
        who, check = "an unknown process", "if nothing writes there any more"
    else:
        who = str(holder)
        check = f"if that process no longer runs (`ps -p {holder.pid}` on {holder.host})"
    return (
        f"{path}: held by {who}\n"
        f"    remedy:   wait until it has ended; {check}, delete {files or path}"
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        return str(os.getuid())


def _machine() -> tuple[str, str]:
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no path, a text
    except OSError:
        namespace = ""
    return socket.gethostname(), namespace


def _is_gone(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return bool(started) and _started(pid) not in ("", started)
    now = _started(pid)
    return bool(started) and now != started


def _started(pid: int) -> str:
    """Return the start time of a process by the kernel; empty if it is dead or without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # the command, in brackets, may hold anything
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return "" if state in "ZX" else started
