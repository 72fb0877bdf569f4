"""The page of `msnmo doctor`, on machines that lack this or that: programs are small scripts."""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
import torch

from msnmo.core.processes import Answer
from msnmo.doctor import __main__ as doctor
from msnmo.doctor import machine, networks, software, tools
from msnmo.doctor.line import Line
from msnmo.doctor.training_step import take_steps

A_STEP = {
    "device": "cuda",
    "name": "NVIDIA X",
    "seconds": 0.5,
    "seconds_in_all": 3.0,
    "peak_memory_bytes": 2**30,
    "tried": "joint model",
}
A_GPU = {"name": "NVIDIA X", "memory_bytes": 80 * 2**30, "capability": "9.0"}
CUDA = {"torch": "2.13.0", "cuda_build": "12.8", "gpus": [A_GPU], "mps": False}
NO_CUDA = CUDA | {"torch": "2.13.0+cpu", "cuda_build": None, "gpus": []}


@pytest.fixture
def step(monkeypatch):
    """A function that says what the process of the training step answers."""

    def answer(*printed, code=0, complaint=""):
        said = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in printed)
        asked = networks.ask

        def ask(*command, seconds):
            if command[0] == sys.executable:
                return Answer(code, said, complaint)
            return asked(*command, seconds=seconds)

        monkeypatch.setattr(networks, "ask", ask)
        return {line.topic: line for line in networks.look_at_networks()}

    return answer


@pytest.fixture
def all_well(monkeypatch):
    """Only the rest is looked at: each of these probes has tests of its own."""
    for name in ("look_at_packages", "look_at_tools", "look_at_networks"):
        monkeypatch.setattr(doctor, name, lambda *_: iter(()))
    monkeypatch.setattr(doctor, "look_at_machine", lambda _: iter([Line("a", "note", "b", "c")]))


def by_topic(lines):
    return {line.topic: line for line in lines}


def test_a_page_without_a_problem_ends_with_0(all_well, capsys):
    doctor.main([])
    page = capsys.readouterr().out
    assert "note     a " in page
    assert "remedy: c" in page
    assert "msnmo works here: 0 problems, 1 note\n" in page
    doctor.main(["--json"])
    content = json.loads(capsys.readouterr().out)
    assert content["works"] is True
    assert content["lines"][-1] == {"topic": "a", "state": "note", "found": "b", "remedy": "c"}


def test_a_problem_ends_with_1_on_the_page_and_as_json(all_well, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "look_at_tools", lambda: iter([Line("x", "problem", "y", "z")]))
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as left:
            doctor.main(arguments)
        assert left.value.code == 1
    page = capsys.readouterr().out
    assert "problem  x " in page
    assert '"works": false' in page


def test_neither_home_nor_name_are_on_the_page(all_well, monkeypatch):
    monkeypatch.setenv("HOME", "/home/jo")
    monkeypatch.setattr(doctor.getpass, "getuser", lambda: "jo")
    told = "/home/jo/a and /home/jo, /scratch/jo/b, but /home/jonas, /opt/jo.d and jo-jo"
    monkeypatch.setattr(doctor, "look_at_tools", lambda: iter([Line("x", "note", told, told)]))
    line = list(doctor.examine(Path("results"), 1))[-1]
    assert line.found == line.remedy
    assert line.found == "~/a and ~, /scratch/USER/b, but /home/jonas, /opt/jo.d and jo-jo"


@pytest.mark.parametrize("home", ["/", ""])
def test_a_home_that_is_none_hides_nothing(all_well, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(doctor.getpass, "getuser", lambda: "jo")
    monkeypatch.setattr(doctor, "look_at_tools", lambda: iter([Line("x", "ok", "/a/b")]))
    assert list(doctor.examine(Path("results"), 1))[-1].found == "/a/b"


def test_packages_that_are_missing_or_broken_are_problems(monkeypatch):
    real = metadata.version

    def version(package):
        if package in ("torch", "nipype"):
            raise metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(software.metadata, "version", version)
    monkeypatch.setattr(software, "NEEDED", {"numpy": "numpy", "antspyx": "no_such_module"})
    lines = by_topic(software.look_at_packages())
    assert (lines["torch"].state, lines["torch"].found) == ("problem", "not installed")
    assert lines["numpy"].state == "ok"
    assert lines["antspyx"].state == "problem"
    assert "cannot be imported" in lines["antspyx"].found
    assert "no_such_module" in lines["antspyx"].found
    assert lines["nipype"].state == "ok"
    assert "fsl does not work" in lines["nipype"].found


def test_msnmo_itself_is_told_without_git(on_path):
    lines = by_topic(software.look_at_msnmo())
    assert lines["msnmo"].found.endswith("commit n/a")
    assert lines["Python"].state == lines["system"].state == "ok"


def test_a_machine_with_no_program_beside_python_is_sound(on_path, monkeypatch):
    for name in ("FSLDIR", "CHROMIUM"):
        monkeypatch.delenv(name, raising=False)
    lines = by_topic(tools.look_at_tools())
    assert {line.state for line in lines.values()} == {"ok"}
    assert "auto takes `surface`" in lines["FSL"].found
    monkeypatch.setenv("FSLDIR", "/opt/fsl")
    assert by_topic(tools.look_at_tools())["FSL"].state == "note"


def test_programs_that_are_there_are_asked_for_their_version(on_path, monkeypatch):
    monkeypatch.setenv("FSLDIR", "/opt/fsl")
    monkeypatch.delenv("CHROMIUM", raising=False)
    on_path("bet", "")
    on_path("sbatch", "echo slurm 23.11")
    on_path("sinfo", "echo 'gpu* up 1-00:00:00 2 gpu:1'")
    on_path("conda", "echo broken >&2; exit 7")
    on_path("dcm2niix", "echo v1; exit 3")
    lines = by_topic(tools.look_at_tools())
    assert "FSLDIR=/opt/fsl" in lines["FSL"].found
    assert "auto takes `fsl`" in lines["FSL"].found
    assert lines["Slurm"].found == "sbatch: slurm 23.11"
    assert lines["partitions"].found == "gpu* up 1-00:00:00 2 gpu:1"
    assert lines["dcm2niix"].state == "ok"
    assert lines["conda"].state == "note"
    assert lines["conda"].found.endswith("exit code 7: broken")


def test_a_slurm_that_hangs_holds_nothing_up(on_path, monkeypatch):
    monkeypatch.setattr(tools, "SECONDS_TO_ANSWER", 0.3)
    for name in ("sbatch", "sinfo"):
        on_path(name, "/bin/sleep 100 & /bin/sleep 100")
    before = time.monotonic()
    lines = by_topic(tools.look_at_tools())
    assert time.monotonic() - before < 30
    assert lines["Slurm"].found == "sbatch: no answer in 0.3 s"
    assert lines["partitions"].state == "note"


def test_the_machine_is_described(tmp_path, monkeypatch):
    lines = by_topic(machine.look_at_machine(tmp_path))
    assert "GiB" in lines["memory"].found
    assert "disk of the results" in lines
    assert "disk of the results" not in by_topic(machine.look_at_machine(tmp_path / "none"))
    (tmp_path / "max").write_text(f"{2**30}\n")
    monkeypatch.setattr(machine, "LIMITS", (tmp_path / "max", tmp_path / "none"))
    line = by_topic(machine.look_at_machine(tmp_path))["memory"]
    assert line.state == "note"
    assert "1.0 GiB allowed" in line.found
    (tmp_path / "max").write_text("max\n")
    assert "allowed" not in by_topic(machine.look_at_machine(tmp_path))["memory"].found


def test_a_disk_that_is_full_or_does_not_answer_is_noted(on_path, monkeypatch, tmp_path):
    assert by_topic(machine.look_at_machine(tmp_path))["disk of the results"].state == "note"
    on_path("df", "echo Filesystem 1024-blocks Used Available; echo /dev/a 9 8 1024 9% /")
    line = by_topic(machine.look_at_machine(tmp_path))["disk of the results"]
    assert (line.state, line.found) == ("note", f"0.0 GiB free in {tmp_path}")
    monkeypatch.setattr(machine, "SECONDS_FOR_A_DISK", 0.3)
    on_path("df", "/bin/sleep 100")
    line = by_topic(machine.look_at_machine(tmp_path))["disk of the results"]
    assert "no answer in 0.3 s" in line.found


def test_a_gpu_that_works_is_described(step, on_path):
    on_path("nvidia-smi", "echo 'NVIDIA X, 81559 MiB, 570.86'")
    lines = step("a library's words", CUDA, A_STEP)
    assert lines["GPU"] == Line(
        "GPU", "ok", "NVIDIA X, 80.0 GiB, compute capability 9.0, CUDA 12.8, driver 570.86"
    )
    assert lines["training step"].state == "ok"
    assert "on cuda (NVIDIA X): 0.50 s" in lines["training step"].found
    small = CUDA | {"gpus": [A_GPU | {"memory_bytes": 8 * 2**30}]}
    assert step(small, A_STEP)["GPU"].state == "note"


def test_why_there_is_no_gpu_is_said(step, on_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "no NVIDIA driver" in step(NO_CUDA, A_STEP)["GPU"].found
    on_path("nvidia-smi", "echo 'Failed to initialize NVML: version mismatch' >&2; exit 18")
    assert "exit code 18: Failed to initialize NVML" in step(NO_CUDA, A_STEP)["GPU"].found
    on_path("nvidia-smi", "echo 'NVIDIA X, 81559 MiB, 570.86'")
    assert "torch 2.13.0+cpu is built without CUDA" in step(NO_CUDA, A_STEP)["GPU"].found
    unseen = CUDA | {"gpus": []}
    assert "CUDA 12.8 of torch does not see it" in step(unseen, A_STEP)["GPU"].found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES is ''" in step(unseen, A_STEP)["GPU"].found
    assert step(NO_CUDA | {"mps": True}, A_STEP)["GPU"].state == "ok"


@pytest.mark.parametrize(
    ("code", "complaint", "found"),
    [
        (1, "Traceback ...\nModuleNotFoundError: No module named 'torch'", "No module named"),
        (1, "torch.OutOfMemoryError: CUDA out of memory.", "CUDA out of memory"),
        (-9, "", "ended by the system"),
        (-11, "", "exit code -11"),
        (None, "no answer in 300 s", "no answer in 300 s"),
        (0, "", "no output"),
    ],
)
def test_a_training_step_that_does_not_work_is_a_problem(step, on_path, code, complaint, found):
    line = step(code=code, complaint=complaint)["training step"]
    assert line.state == "problem"
    assert found in line.found


def test_who_holds_a_gpu_is_told(step, on_path, monkeypatch, tmp_path):
    monkeypatch.setattr("msnmo.compute.gpu_lock.lock_folder", lambda: tmp_path / "none")
    assert step(NO_CUDA, A_STEP)["GPU locks"].state == "ok"
    monkeypatch.setattr("msnmo.compute.gpu_lock.held_gpus", lambda folder: ["GPU-1: process 7"])
    assert step(NO_CUDA, A_STEP)["GPU locks"].found == "GPU-1: process 7"
    monkeypatch.setitem(sys.modules, "msnmo.compute.gpu_lock", None)
    assert step(NO_CUDA, A_STEP)["GPU locks"].state == "problem"


def test_the_training_step_trains():
    threads = torch.get_num_threads()
    try:
        took = take_steps(torch.device("cpu"))
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.set_num_threads(threads)
    assert took["device"] == "cpu"
    assert 0 < took["seconds"] < took["seconds_in_all"]
    assert took["peak_memory_bytes"] > 2**20
