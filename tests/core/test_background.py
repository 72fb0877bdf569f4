"""Writing goes on beside the caller: in bounds, whole, and no error is lost."""

import os
import threading
import time

import pytest

from msnmo.core.background import in_background
from msnmo.core.errors import DiskError
from msnmo.core.files import _umask, atomic_folder, write_text


def test_calls_run_beside_the_caller_and_are_done_at_the_end():
    reached, done = threading.Event(), []

    def work(number):
        assert reached.wait(10), "the caller waits for its calls"
        done.append(number)

    with in_background(threads=2, waiting=3) as call:
        for number in range(5):
            call(work, number)
        assert done == []
        reached.set()
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_no_more_calls_wait_than_may():
    held, lock = [0, 0], threading.Lock()

    def work():
        with lock:
            held[0] -= 1

    with in_background(threads=1, waiting=2) as call:
        for _ in range(50):
            with lock:
                held[0] += 1
                held[1] = max(held)
            call(work)
    # the caller may hold one more, which it is about to hand over
    assert held[0] == 0
    assert held[1] <= 4


def fail():
    raise OSError(28, "No space left on device")


def test_an_error_stops_the_caller_at_a_later_call():
    begun = []

    def run():
        with in_background(1, 1) as call:
            for number in range(50):
                call(fail)
                begun.append(number)

    with pytest.raises(OSError, match="No space left"):
        run()
    assert len(begun) < 4


def test_an_error_of_the_last_call_is_raised_at_the_end():
    with pytest.raises(OSError, match="No space left"), in_background() as call:
        call(fail)


@pytest.mark.parametrize("by", ["a call", "the caller"])
def test_after_a_failure_nothing_is_left_and_nobody_writes(tmp_path, by):
    slow = threading.Event()

    def write(path):
        slow.wait(0.2)
        write_text(path, "x")

    def run():
        with atomic_folder(tmp_path / "out") as folder, in_background(2, 4) as call:
            for number in range(4):
                call(write, folder / f"{number}")
            if by == "the caller":
                raise RuntimeError("network")
            call(fail)

    with pytest.raises((DiskError, RuntimeError)):
        run()
    assert list(tmp_path.iterdir()) == []
    assert not [each for each in threading.enumerate() if each.name.startswith("background")]


def test_the_umask_survives_writers_side_by_side(monkeypatch):
    """A thread that asks for it while another does would find 0, and leave it."""
    asked, umask = [], os.umask

    def slow(mask):
        found = umask(mask)
        time.sleep(0.001)
        return found

    monkeypatch.setattr(os, "umask", slow)
    before = umask(0o027)
    try:
        with in_background(threads=4) as call:
            for _ in range(40):
                call(lambda: asked.append(_umask()))
    finally:
        after = umask(before)
    assert (set(asked), after) == ({0o027}, 0o027)
