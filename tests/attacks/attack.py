"""What an attack is, and what holding means: no hang, no traceback, nothing where nothing belongs.

A command under attack runs in a forked child: libraries are loaded already, so that an attack takes
milliseconds, and whatever becomes of the child, the suite goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import signal
import stat
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msnmo.core.errors import run_command

SECONDS = 90.0
"""An attack is over by then, on a loaded machine too; else it hangs."""
BYTES = 4 * 2**30
"""Of memory that a command may take, beyond what is mapped when it starts."""
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What would turn a terminal's line about; tab and line end are no attack."""
MOST_HASHED = 2**28
"""Bytes of a file that is compared by what it holds; a larger one by its size and time."""
MOST_LETTERS = 150_000
"""Of all that a command may say of one hostile file."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, None if it hung, and what it said."""

    code: int | None
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Place:
    """The folders of one attack, and the things that all share.

    Parameters
    ----------
    folder : Path
        Of this attack alone: ``given`` (what the attacker wrote), ``out`` (what a command may
        write), ``here`` (the working folder), ``tmp`` and ``home``.
    get : callable
        Returns a fixture by its name.
    """

    folder: Path
    get: Callable[[str], Any]

    @classmethod
    def make(cls, folder: Path, get: Callable[[str], Any]) -> Place:
        for name in ("given", "here", "tmp", "home"):
            (folder / name).mkdir()
        return cls(folder, get)

    @property
    def given(self) -> Path:
        return self.folder / "given"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def run(
        self,
        main: Callable[[list[str]], None],
        *arguments: object,
        before: Callable[[], None] = lambda: None,
        seconds: float = SECONDS,
    ) -> Ended:
        """Run a module's `main` in a child, and see that it wrote nowhere but in ``out``.

        Parameters
        ----------
        before : callable
            Called in the child first, such as to limit what it may write.
        """
        with self.watched():
            words = [str(each) for each in arguments]
            return _in_child(self.folder, main, words, before, seconds)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """See that what runs within wrote nowhere but in ``out``, and nothing by halves."""
        was = _contents(self.folder)
        yield
        now = _contents(self.folder)
        changed = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
        assert not changed, f"written outside of the output folder: {changed[:5]}"
        assert not _scratch(self.out), f"half-written: {_scratch(self.out)[:5]}"


@dataclass(frozen=True)
class Attack:
    """One attack.

    Parameters
    ----------
    kind, name : str
    run : callable
        Does it, and fails where it does not hold.
    known : str
        Why it does not hold, as SECURITY.md says; empty: it holds.
    heavy : bool
        Whether its kind takes minutes.
    """

    kind: str
    name: str
    run: Callable[[Place], None]
    known: str = ""
    heavy: bool = False


def refused(ended: Ended, *names: str) -> None:
    """Hold if a command was refused in words that name these, such as the file."""
    _in_order(ended)
    assert ended.code in (1, 2), f"exit code {ended.code}, not refused: {ended.said[-2000:]}"
    for name in names:
        assert name in ended.said, f"{name} is not named: {ended.said[-2000:]}"


def done(ended: Ended) -> None:
    """Hold if a command did its work as if nothing were."""
    _in_order(ended)
    assert ended.code == 0, f"exit code {ended.code}: {ended.said[-2000:]}"


def refused_or_done(ended: Ended, *names: str) -> None:
    """Hold if a command was refused in words that name these, or did its work."""
    if ended.code == 0:
        done(ended)
    else:
        refused(ended, *names)


def _in_order(ended: Ended) -> None:
    assert ended.code is not None, f"hung: {ended.said[-2000:]}"
    assert "Traceback" not in ended.said, ended.said[-3000:]
    assert not UNSEEN.search(ended.said), f"raw control characters: {ended.said[:2000]!r}"
    assert len(ended.said) < MOST_LETTERS, f"{len(ended.said)} letters: {ended.said[:1000]}"


def _in_child(
    folder: Path,
    main: Callable[[list[str]], None],
    arguments: list[str],
    before: Callable[[], None],
    seconds: float,
) -> Ended:
    child = begin(folder, main, arguments, before)
    code = _wait(child, seconds)
    with contextlib.suppress(ProcessLookupError):  # whatever it started
        os.killpg(child, signal.SIGKILL)
    return Ended(code, *said_of(folder))


def begin(
    folder: Path,
    main: Callable[[list[str]], None],
    arguments: list[str],
    before: Callable[[], None] = lambda: None,
) -> int:
    """Begin a module's `main` in a child of the folders of an attack; return its process id."""
    files = _files(folder)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _become(folder, files)
        os._exit(_exit_code(main, arguments, before))
    return child


def said_of(folder: Path) -> tuple[str, str]:
    """Return what the last child of an attack's folders said, to both streams."""
    out, err = (file.read_text("utf-8", "backslashreplace") for file in _files(folder))
    return out, err


def _files(folder: Path) -> list[Path]:
    # beside the folders whose contents are compared
    return [folder.with_name(f"{folder.name}.{name}") for name in ("stdout", "stderr")]


def _become(folder: Path, files: Sequence[Path]) -> None:
    """Make this child a process of its own: its output, folders, memory and signals."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    os.chdir(folder / "here")
    os.environ |= {"TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home")}
    sys.modules["tempfile"].tempdir = None
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit_code(
    main: Callable[[list[str]], None], arguments: list[str], before: Callable[[], None]
) -> int:
    code = 70
    try:
        before()
        run_command(lambda: main(arguments))
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _wait(child: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    pause = 0.001
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _contents(folder: Path) -> dict[str, str]:
    """Return what each file is and holds, but for those that a command may write."""
    found = {}
    for base, folders, files in os.walk(folder):
        if Path(base) == folder:
            folders[:] = [name for name in folders if name != "out"]
        for name in [*folders, *files]:
            path = Path(base) / name
            found[str(path.relative_to(folder))] = _content(path)
    return found


def _content(path: Path) -> str:
    status = path.lstat()
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if stat.S_ISREG(mode) and status.st_size > MOST_HASHED:
        return f"{status.st_size} bytes of {status.st_mtime_ns}"
    if stat.S_ISREG(mode):
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    return oct(stat.S_IFMT(mode))


def _scratch(out: Path) -> list[str]:
    return [str(path) for path in out.rglob(".tmp-*")] if out.is_dir() else []
