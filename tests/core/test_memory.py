"""How much memory there is: the least of what machine, process and control group leave."""

import resource

import pytest

from msnmo.core import memory
from msnmo.core.errors import MsnmoError
from msnmo.core.memory import available, claim, explain_little_memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A folder with what Linux tells of memory: 8 GiB are free, no limit is set."""
    write(tmp_path / "proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    write(tmp_path / "proc/self/status", "Name: python\nVmSize:  1048576 kB\n")
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    limit(monkeypatch, resource.RLIM_INFINITY)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def limit(monkeypatch, most):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (most, most))


def test_what_the_machine_has(system):
    assert available() == 8 * 2**30


def test_a_limit_of_the_process_counts_what_it_holds_already(system, monkeypatch):
    limit(monkeypatch, 3 * 2**30)
    assert available() == 2 * 2**30


@pytest.mark.parametrize("limited", ["job", "job/step"])
def test_a_limit_of_a_control_group_or_one_above_it(system, limited):
    write(system / "proc/self/cgroup", "0::/job/step\n")
    write(system / "groups/job/memory.max", "max\n")
    write(system / f"groups/{limited}/memory.max", f"{2**30}\n")
    write(system / f"groups/{limited}/memory.current", f"{2**29}\n")
    write(system / f"groups/{limited}/memory.stat", f"anon 7\ninactive_file {2**28}\n")
    assert available() == 2**29 + 2**28


def test_a_limit_of_a_control_group_of_the_first_kind(system):
    write(system / "proc/self/cgroup", "9:cpu,cpuacct:/a\n4:memory:/job\n1:name=systemd:/\n")
    write(system / "groups/memory/job/memory.limit_in_bytes", f"{2**30}\n")
    write(system / "groups/memory/job/memory.usage_in_bytes", f"{2**29}\n")
    assert available() == 2**29


def test_where_the_system_says_nothing_nothing_is_refused(system, monkeypatch):
    monkeypatch.setattr(memory, "PROC", system / "nowhere")
    assert available() is None
    claim(2**60, "scan.nii")


def test_a_claim_beyond_what_there_is_is_refused_and_explained(system):
    claim(8 * 2**30, "scan.nii")
    with pytest.raises(MsnmoError) as caught, explain_little_memory("a check", "buy more"):
        claim(9 * 2**30, "scan.nii")
    assert str(caught.value).splitlines() == [
        "out of memory",
        "    tried:    a check",
        "    remedy:   buy more",
        "    reported: scan.nii needs 9.0 GiB of memory, 8.0 GiB are free",
    ]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("Failed to allocate memory for x")])
def test_what_libraries_say_of_full_memory_is_explained(error):
    with pytest.raises(MsnmoError, match="out of memory"), explain_little_memory("N4"):
        raise error


def test_any_other_error_is_left_alone():
    with pytest.raises(RuntimeError, match="bug"), explain_little_memory("N4"):
        raise RuntimeError("a bug")
