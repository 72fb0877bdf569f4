"""A lock is one process's at a time, and what a killed one left stops nobody of its machine."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from msnmo.core import lock
from msnmo.core.errors import DiskError
from msnmo.core.lock import Holder, InUseError, hold, release, take

COUNT = """
import errno, os, sys, time
from pathlib import Path
from msnmo.core.lock import hold
if sys.argv[2] == "no links":
    def link(*_):
        raise OSError(errno.EOPNOTSUPP, "no links")
    os.link = link
folder = Path(sys.argv[1])
for _ in range(10):
    with hold(folder / "the.lock", "counting", patience=300):
        count = int((folder / "count").read_text())
        time.sleep(0.002)
        (folder / "count").write_text(str(count + 1))
"""
HOLD = """
import sys, time
from pathlib import Path
from msnmo.core.lock import hold
with hold(Path(sys.argv[1]), "holding"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def sealed(monkeypatch):
    """A function after which no file can be removed: as on a disk that turned read-only."""

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    return lambda: monkeypatch.setattr(lock.Path, "unlink", refuse)


def fail_on(disk, path):
    with hold(path, "listing"):
        disk()
        raise ValueError("no table")


def test_a_disk_that_keeps_the_lock_does_not_hide_what_went_wrong(tmp_path, sealed):
    with pytest.raises(ValueError, match="no table"):
        fail_on(sealed, tmp_path / "the.lock")


def test_a_disk_that_keeps_the_lock_is_told_of(tmp_path, sealed):
    refused = pytest.raises(DiskError, match=r"the\.lock: Read-only file system")
    with refused, hold(tmp_path / "the.lock", "listing"):
        sealed()


def holding(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def left(tmp_path):
    """A lock whose process was killed with SIGKILL, and is not even waited for."""
    path = tmp_path / "the.lock"
    process = holding(path)
    process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not Holder(**json.loads(path.read_text())).is_gone:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield path
    process.communicate()


@pytest.mark.parametrize("disk", ["links", "no links"])
def test_eight_processes_that_take_turns_lose_nothing_even_after_a_kill(left, disk):
    folder = left.parent
    (folder / "count").write_text("0")
    command = [sys.executable, "-c", COUNT, str(folder), disk]
    processes = [subprocess.Popen(command) for _ in range(8)]
    assert [process.wait() for process in processes] == [0] * 8
    assert (folder / "count").read_text() == "80"
    assert [path.name for path in folder.iterdir()] == ["count"]


def test_a_lock_of_a_living_process_is_refused_and_its_holder_named(tmp_path):
    path = tmp_path / "the.lock"
    with holding(path) as process:
        with pytest.raises(InUseError, match=rf"holding, process {process.pid} of .* since"):
            take(path, "mine")
        process.kill()
    with hold(path, "mine"):
        assert json.loads(path.read_text())["what"] == "mine"
    assert list(tmp_path.iterdir()) == []


def test_who_waits_gets_a_lock_when_it_is_let_go_of(tmp_path):
    path = tmp_path / "the.lock"
    with holding(path) as process:
        process.kill()
        with hold(path, "mine", patience=60):
            assert path.exists()


@pytest.mark.parametrize("part", ["host", "namespace"])
def test_of_another_machines_lock_the_user_is_told_whose_it_is_and_what_to_delete(tmp_path, part):
    """Its process id says nothing here."""
    path = tmp_path / "the.lock"
    other = replace(Holder.this_process("a run"), **{part: "elsewhere"}, pid=2**22 + 1)
    path.write_text(json.dumps(asdict(other)))
    with pytest.raises(InUseError) as caught:
        take(path, "mine", patience=0.1)
    assert f"on {other.host} since {other.since}" in str(caught.value)
    assert f"delete {path}" in str(caught.value)
    assert path.exists()


def test_a_later_process_of_the_same_id_is_not_the_holder():
    mine = Holder.this_process("mine")
    assert mine.started, "Linux says when a process started"
    assert not mine.is_gone
    assert replace(mine, started="1").is_gone


@pytest.mark.parametrize(("age", "taken"), [(0, False), (3600, True)])
def test_a_lock_without_a_word_is_left_until_nobody_can_be_writing_it(tmp_path, age, taken):
    path = tmp_path / "the.lock"
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    if taken:
        release(path, take(path, "mine"))
        return
    with pytest.raises(InUseError, match=re.escape(f"delete {path}")):
        take(path, "mine")


@pytest.mark.parametrize(
    "strange", [{"pid": 2**70}, {"pid": -1}, {"pid": "1"}, {"user": "\x1b]0;"}, {"host": None}]
)
def test_a_word_that_no_process_of_ours_wrote_is_none(tmp_path, strange):
    path = tmp_path / "the.lock"
    path.write_text(json.dumps(asdict(Holder.this_process("x")) | strange))
    with pytest.raises(InUseError, match="an unknown process"):
        take(path, "mine")


def test_a_pipe_in_a_locks_place_does_not_hold_us_up(tmp_path):
    path = tmp_path / "the.lock"
    os.mkfifo(path)
    with pytest.raises(InUseError, match=re.escape(f"delete {path}")):
        take(path, "mine")


def test_who_was_killed_while_it_removed_a_lock_is_told_of_too(left):
    guard = left.with_name("the.lock.removing")
    guard.touch()
    with pytest.raises(InUseError, match=re.escape(f"delete {left} and {guard}")):
        take(left, "mine")


def test_nobody_lets_go_of_anothers_lock(tmp_path, monkeypatch):
    path = tmp_path / "the.lock"
    holder = take(path, "mine")
    release(path, replace(holder, **{"token": "another"}))
    assert path.exists()
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: holder.pid + 1)
        release(path, holder)
    assert path.exists()
    release(path, holder)
    assert not path.exists()


def test_a_network_disk_that_denies_the_link_it_made_is_understood(tmp_path, monkeypatch):
    link = os.link

    def link_and_deny(source, target):
        link(source, target)
        raise FileExistsError(errno.EEXIST, "a request was sent twice")

    monkeypatch.setattr(lock.os, "link", link_and_deny)
    path = tmp_path / "the.lock"
    with hold(path, "mine"):
        assert path.exists()
    assert list(tmp_path.iterdir()) == []
