"""Jobs spread over the GPUs there are, and none gets more than it may."""

import fcntl
import os
import subprocess
import sys
import threading
from collections import Counter

import pytest

from msnmo.compute import gpu_lock
from msnmo.compute.gpu_lock import held_gpus, hold_gpu, lock_folder
from msnmo.core.errors import InputError

HOLDER = """
import sys
from pathlib import Path
from msnmo.compute.gpu_lock import hold_gpu
held = hold_gpu({devices!r}, {per_gpu}, Path({folder!r}), "train joint fold 3")
print(held.index, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def job(tmp_path):
    """A function that starts a process that holds a GPU until it is let go."""
    processes = []

    def start(count=2, per_gpu=1):
        devices = [str(number) for number in range(count)]
        code = HOLDER.format(devices=devices, per_gpu=per_gpu, folder=str(tmp_path / "locks"))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def index_of(process):
    return int(process.stdout.readline())


def test_each_job_has_a_gpu_of_its_own(job):
    assert sorted(index_of(job(count=4)) for _ in range(4)) == [0, 1, 2, 3]


def test_a_job_too_many_waits_until_one_is_free(job):
    first, second = job(), job()
    held = [index_of(first), index_of(second)]
    assert sorted(held) == [0, 1]
    third = job()
    assert "waiting for a GPU: each of 2 is held by 1 job each" in third.stderr.readline()
    holders = dict(zip(held, (first, second), strict=True))
    for index in (0, 1):
        told = f"GPU {index}: process {holders[index].pid}, train joint fold 3, since 20"
        assert told in third.stderr.readline()
    answers = []
    reader = threading.Thread(target=lambda: answers.append(index_of(third)))
    reader.start()
    reader.join(timeout=1.5)
    assert answers == [], "both GPUs are held"
    second.kill()  # even a killed job's GPU is free again
    reader.join(timeout=60)
    assert answers == [held[1]]


def test_jobs_share_a_gpu_only_where_that_is_asked_for_and_last(job):
    indices = [index_of(job(per_gpu=2)) for _ in range(4)]
    assert sorted(indices[:2]) == [0, 1]
    assert Counter(indices) == {0: 2, 1: 2}


def test_the_lock_lasts_as_long_as_it_is_held(tmp_path, monkeypatch):
    held = hold_gpu(["a"], 1, tmp_path)
    monkeypatch.setattr(gpu_lock.time, "sleep", lambda seconds: held.lock.release())
    assert hold_gpu(["a"], 1, tmp_path).index == 0
    assert not held.lock.is_locked, "it was taken only after it had been let go"


def test_who_holds_a_gpu_is_told_even_where_it_left_no_word(tmp_path):
    held = hold_gpu(["a"], 1, tmp_path, "apply")
    (line,) = held_gpus(tmp_path)
    assert line.startswith(f"a-0: process {os.getpid()}, apply, since ")
    for damaged in ("", "{}", "[]", "{"):
        (tmp_path / "a-0.json").write_text(damaged)
        assert list(held_gpus(tmp_path)) == ["a-0: an unknown process"]
    held.lock.release()
    assert list(held_gpus(tmp_path)) == []


def test_all_jobs_of_a_user_meet_in_one_folder_whatever_their_environment(monkeypatch):
    folder = lock_folder()
    for name in ("TMPDIR", "XDG_RUNTIME_DIR", "HOME"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setattr("tempfile.tempdir", None)
    assert lock_folder() == folder
    assert str(os.getuid()) in folder.name


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, mode):
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(InputError, match="others can write"):
        hold_gpu(["a"], 1, folder)


@pytest.mark.parametrize("name", ["a-0.lock", "a-0.json", "a-0.held", "other"])
def test_a_link_in_the_folder_is_refused_and_not_followed(tmp_path, name):
    folder, aim = tmp_path / "locks", tmp_path / "thesis.txt"
    folder.mkdir(mode=0o700)
    aim.write_text("years of work")
    (folder / name).symlink_to(aim)
    with pytest.raises(InputError, match=rf"(?s){name}.*a link") as error:
        hold_gpu(["a"], 1, folder)
    assert error.value.findings[0].file == str(folder / name)
    assert aim.read_text() == "years of work"
    assert list(held_gpus(folder)) == []


@pytest.mark.parametrize("number", [37, 38, 95])
def test_a_disk_without_locks_is_told_of_and_holds_by_files(tmp_path, monkeypatch, capsys, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = tmp_path / "locks"
    first = hold_gpu(["a", "b"], 1, folder, "train")
    second = hold_gpu(["a", "b"], 1, folder, "predict")
    assert (first.index, second.index) == (0, 1)
    said = capsys.readouterr().err
    assert "has no locks" in said
    assert os.strerror(number) in said
    assert len(list(held_gpus(folder))) == 2
    first.lock.release()
    assert hold_gpu(["a", "b"], 1, folder, "train").index == 0


def test_another_error_of_the_disk_is_no_lack_of_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"):
        hold_gpu(["a"], 1, tmp_path / "locks")


def test_a_folder_that_is_not_ours_is_refused(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    for name in ("link", "broken", "file"):
        with pytest.raises(InputError, match=rf"(?s){name}.*your own folder"):
            hold_gpu(["a"], 1, tmp_path / name)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(InputError, match=r"(?s)real.*your own folder"):
        hold_gpu(["a"], 1, tmp_path / "real")
