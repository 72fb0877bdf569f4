"""Jobs side by side take no memory that another has said it will fill."""

import json
import multiprocessing
import os
import time

import pytest

from msnmo.core import memory, reservations
from msnmo.core.reservations import reserve

FREE = 8 * 2**30


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """8 GiB are free, and nothing fills what it reserves."""
    monkeypatch.setattr(memory, "available", lambda: FREE)
    monkeypatch.setattr(reservations, "_resident", lambda _: 0)
    monkeypatch.setattr(reservations, "SECONDS_BETWEEN_TRIES", 0.01)
    monkeypatch.setattr(reservations, "folder", lambda: tmp_path / "kept")
    return tmp_path / "kept"


def hold(needed, began, ended, seconds=0.0):
    with reserve(needed, "a scan"):
        began.set()
        time.sleep(seconds)
        ended.wait(60)


@pytest.fixture
def other():
    """A function that reserves in another process, which it returns with its two events."""
    context = multiprocessing.get_context("fork")
    started = []

    def start(needed):
        began, ended = context.Event(), context.Event()
        process = context.Process(target=hold, args=(needed, began, ended))
        process.start()
        started.append((process, ended))
        return process, began, ended

    yield start
    for process, ended in started:
        # of a process that was killed while it waited, an event waits for ever to be heard
        if process.is_alive():
            ended.set()
        process.join(60)


def test_what_does_not_fit_beside_another_waits_for_it(other, capfd):
    _, began, ended = other(5 * 2**30)
    assert began.wait(60)
    process, second, last = other(4 * 2**30)
    assert not second.wait(0.3)
    _, third, _ = other(3 * 2**30)  # this does
    assert third.wait(60)
    ended.set()
    assert second.wait(60)
    last.set()
    process.join(60)
    assert "waiting for 4.0 GiB of memory that other jobs hold: a scan" in capfd.readouterr().out


def test_one_alone_goes_on_whatever_it_needs(machine):
    with reserve(100 * FREE, "a bomb"):
        (note,) = machine.glob("*.json")
        assert json.loads(note.read_text())["bytes"] == 100 * FREE
    assert not list(machine.glob("*.json"))


def test_a_killed_job_holds_nothing(other, machine):
    process, began, _ = other(FREE)
    assert began.wait(60)
    process.kill()
    process.join(60)
    assert list(machine.glob("*.json"))
    with reserve(FREE, "a scan"):
        (note,) = machine.glob("*.json")
        assert json.loads(note.read_text())["process"] == os.getpid()


def test_what_another_has_filled_is_not_counted_twice(other, monkeypatch):
    monkeypatch.setattr(reservations, "_resident", lambda pid: 0 if pid == os.getpid() else 2**32)
    _, began, _ = other(4 * 2**30)
    assert began.wait(60)
    # the other has filled its 4 GiB, which are no longer among those that are free
    begun = time.monotonic()
    with reserve(FREE, "a scan"):
        assert time.monotonic() - begun < 30


def test_where_nothing_can_be_kept_work_goes_on(machine):
    machine.write_text("a file")
    with reserve(FREE, "a scan"):
        pass
    assert machine.read_text() == "a file"


def test_an_error_within_lets_go(machine):
    with pytest.raises(MemoryError), reserve(1, "a scan"):
        raise MemoryError
    assert not list(machine.glob("*.json"))
