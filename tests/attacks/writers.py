"""Writers that are killed, meet each other, or find no disk: a file is whole, old or new."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from msnmo.cohort.decisions import change_decision, read_decisions
from msnmo.core.errors import run_command
from msnmo.core.files import atomic_folder, read_json, read_tsv, write_json, write_text, write_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_volume
from msnmo.train.checkpoint import Checkpoint
from tests.attacks.attack import Attack, Place, refused

FILL = "x" * 200_000
GRID = Grid.from_affine((32, 32, 32), np.eye(4))


@dataclass(frozen=True)
class Writer:
    """Something that is written again and again.

    Parameters
    ----------
    name : str
        Of the file or folder.
    write : callable
        Writes a version, by its number.
    read : callable
        Returns the number of a version that is whole; fails where it is not.
    once : bool
        Whether no two processes ever write it.
    """

    name: str
    write: Callable[[Path, int], None]
    read: Callable[[Path], int]
    once: bool = False


def _read_json(path: Path) -> int:
    content = read_json(path)
    assert content["fill"] == FILL
    return content["number"]


def _write_table(path: Path, number: int) -> None:
    write_tsv(path, pd.DataFrame({"number": [number] * 2000, "text": "y" * 50}))


def _read_table(path: Path) -> int:
    table = read_tsv(path, {"number": int, "text": str})
    assert len(table) == 2000
    assert table["number"].nunique() == 1
    return int(table["number"][0])


def _write_folder(path: Path, number: int) -> None:
    with atomic_folder(path) as new:
        for each in range(5):
            (new / f"{each}.txt").write_text(f"{number} {FILL}")


def _read_folder(path: Path) -> int:
    """Read a folder's files; as missing if it was replaced while they were read one by one."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        files = sorted(os.listdir(folder))  # noqa: PTH208 - of this folder, not of its name
        texts = {_read_within(folder, file) for file in files}
        if not os.path.samestat(os.fstat(folder), path.stat()):
            raise FileNotFoundError(path)
    finally:
        os.close(folder)
    assert files == [f"{each}.txt" for each in range(5)]
    (text,) = texts
    number, fill = text.split(" ")
    assert fill == FILL
    return int(number)


def _read_within(folder: int, file: str) -> str:
    with open(file, encoding="utf-8", opener=partial(os.open, dir_fd=folder)) as stream:
        return stream.read()


def _write_volume(path: Path, number: int) -> None:
    generator = np.random.default_rng(number)
    save_volume(path, number + generator.random((32, 32, 32)).astype(np.float32) / 2, GRID)


def _read_volume(path: Path) -> int:
    data = load_volume(path).data
    assert np.array_equal(np.floor(data), np.full_like(data, np.floor(data.flat[0])))
    return int(data.flat[0])


def _write_state(path: Path, number: int) -> None:
    model = {"w": torch.full((50_000,), float(number))}
    Checkpoint(path, "this").save({"model": model, "history": [{"epoch": number}]})


def _read_state(path: Path) -> int:
    state = Checkpoint(path, "this").load()
    assert state is not None
    number = state["history"][0]["epoch"]
    assert bool((state["model"]["w"] == number).all())
    return number


def _decide(path: Path, number: int) -> None:
    told = {"decision": "exclude", "reason": f"{number} " + "z" * 20_000}
    change_decision(path, f"sub-{number % 20}", told)


def _read_table_of_decisions(path: Path) -> int:
    table = read_decisions(path)
    assert all(len(reason) > 20_000 for reason in table["reason"])
    assert table["scan"].is_unique
    return max(int(reason.split(" ")[0]) for reason in table["reason"])


def _write_page(path: Path, number: int) -> None:
    write_text(path, f"<html>{number} {FILL}</html>")


def _read_page(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<html>")
    assert text.endswith(f"{FILL}</html>")
    return int(text[6:].split(" ")[0])


WRITERS = (
    Writer(
        "sidecar.json", lambda path, n: write_json(path, {"number": n, "fill": FILL}), _read_json
    ),
    Writer("table.tsv", _write_table, _read_table),
    Writer("page.html", _write_page, _read_page),
    Writer("folder", _write_folder, _read_folder),
    Writer("map.nii.gz", _write_volume, _read_volume),
    Writer("decisions.tsv", _decide, _read_table_of_decisions),
    Writer("checkpoint.pt", _write_state, _read_state, once=True),
)
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
DELAYS = (0.02, 0.05, 0.11, 0.23)


def _forked(work: Callable[[], None], log: Path) -> int:
    """Run a command in a child, and return its process id once it is at work."""
    told, tells = os.pipe()
    child = os.fork()
    if child:
        os.close(tells)
        assert os.read(told, 1) == b"x", log.read_text()
        os.close(told)
        return child
    code = 70

    def main() -> None:
        os.write(tells, b"x")
        work()

    try:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run_command(main)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    finally:
        os._exit(code)


def _killed(writer: Writer, number: signal.Signals, delay: float) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        place.out.mkdir()
        path, log = place.out / writer.name, place.folder / "log"
        writer.write(path, 1)

        def work() -> None:
            for version in range(2, 1_000_000):
                writer.write(path, version)

        child = _forked(work, log)
        time.sleep(delay)
        os.kill(child, number)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        killed = number == signal.SIGKILL
        assert code == (-number if killed else 128 + number), (code, log.read_text())
        assert "Traceback" not in log.read_text(), log.read_text()
        # SIGKILL between two names of a folder leaves the old version in the scratch folder
        if not (killed and writer.name == "folder" and not path.exists()):
            assert writer.read(path) >= 1
        if not killed:
            _see_that_nothing_is_left(place)
        _age(place)
        writer.write(path, 1_000_001)
        assert writer.read(path) == 1_000_001
        _see_that_nothing_is_left(place)

    return run


def _age(place: Place) -> None:
    """Make what a kill left as old as it must be where it came before its lock."""
    for each in place.out.glob(".tmp-*"):
        os.utime(each, (0, 0))


def _see_that_nothing_is_left(place: Place) -> None:
    left = [path.name for path in place.out.rglob(".tmp-*")]
    assert not left, left


def _at_once(writer: Writer, count: int) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        place.out.mkdir()
        path = place.out / writer.name
        writer.write(path, 1)
        context = multiprocessing.get_context("fork")

        def work(number: int) -> None:
            for each in range(6):
                writer.write(path, 10 * number + each + 2)

        processes = [context.Process(target=work, args=(number,)) for number in range(count)]
        for each in processes:
            each.start()
        while any(each.is_alive() for each in processes):
            # of a folder that is just replaced there may be nothing for a moment, never a part
            with contextlib.suppress(*([FileNotFoundError] if writer.name == "folder" else [])):
                writer.read(path)
            time.sleep(0.005)
        assert [each.exitcode for each in processes] == [0] * count
        writer.read(path)
        _see_that_nothing_is_left(place)

    return run


def _no_row_lost(count: int) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        path = place.out / "decisions.tsv"
        context = multiprocessing.get_context("fork")

        def work(number: int) -> None:
            for each in range(10):
                told = {"decision": "keep", "reason": "seen"}
                change_decision(path, f"sub-{number}x{each}", told)

        processes = [context.Process(target=work, args=(number,)) for number in range(count)]
        for each in processes:
            each.start()
        for each in processes:
            each.join()
        assert [each.exitcode for each in processes] == [0] * count
        assert len(read_decisions(path)) == 10 * count

    return run


def _as_command(writer: Writer, path: Path) -> Callable[[list[str]], None]:
    def main(_: list[str]) -> None:
        writer.write(path, 2)

    return main


def _full(writer: Writer, kilobytes: int) -> Callable[[Place], None]:
    """A disk with so little room; the old version, on the same disk, stays."""

    def run(place: Place) -> None:
        with _Disk(place.out, 4096) as disk:
            path = place.out / writer.name
            writer.write(path, 1)
            disk.fill(kilobytes)
            before = _bytes_of(path)
            ended = place.run(_as_command(writer, path))
            refused(ended, writer.name, "No space left", "remedy")
            assert _bytes_of(path) == before
            assert writer.read(path) == 1

    return run


def _read_only(writer: Writer) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        with _Disk(place.out, 4096) as disk:
            path = place.out / writer.name
            writer.write(path, 1)
            disk.mount("remount,ro")
            refused(place.run(_as_command(writer, path)), writer.name, "Read-only", "remedy")
            assert writer.read(path) == 1

    return run


class _Disk:
    """A small disk; where mounting is not allowed there is none, and the attack is not tried."""

    def __init__(self, folder: Path, kilobytes: int):
        self.folder, self.kilobytes = folder, kilobytes

    def __enter__(self) -> _Disk:
        self.folder.mkdir()
        if not self.mount(f"size={self.kilobytes}k"):
            pytest.skip("needs to mount a disk")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", self.folder]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def fill(self, kilobytes: int) -> None:
        """Leave so much room."""
        free = shutil.disk_usage(self.folder).free
        (self.folder / "other").write_bytes(bytes(free - 1024 * kilobytes))


def _bytes_of(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {each.name: each.read_bytes() for each in files}


def _not_ours(writer: Writer) -> Callable[[Place], None]:
    """A folder in which this user may not write."""

    def run(place: Place) -> None:
        # pytest's own folders let nobody else in
        folder = Path(tempfile.mkdtemp(prefix="msnmo-attack-"))
        try:
            folder.chmod(0o755)
            inside = folder / "theirs"
            inside.mkdir()
            path = inside / writer.name
            writer.write(path, 1)
            inside.chmod(0o555)
            ended = place.run(_as_command(writer, path), before=_be_nobody)
            refused(ended, writer.name, "ermission denied", "remedy")
            assert writer.read(path) == 1
        finally:
            inside.chmod(0o755)
            shutil.rmtree(folder)

    return run


def _be_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


ATTACKS = [
    *(
        Attack(
            "kills",
            f"{number.name} after {delay} s of writing {writer.name}",
            _killed(writer, number, delay),
        )
        for writer in WRITERS
        for number in SIGNALS
        for delay in DELAYS
    ),
    *(
        Attack("concurrency", f"{count} processes write {writer.name}", _at_once(writer, count))
        for writer in WRITERS
        if not writer.once
        for count in (2, 8)
    ),
    *(
        Attack("concurrency", f"{count} processes decide on other scans", _no_row_lost(count))
        for count in (2, 4, 8)
    ),
    *(
        Attack("full disks", f"room for {room} kB and {writer.name}", _full(writer, room))
        for writer in WRITERS
        for room in (0, 4, 16)
    ),
    *(
        Attack("full disks", f"a read-only disk and {writer.name}", _read_only(writer))
        for writer in WRITERS
    ),
    *(
        Attack("full disks", f"another user's folder and {writer.name}", _not_ours(writer))
        for writer in WRITERS
    ),
]
