"""The command as a whole: its files, its refusals, and training that is killed and goes on."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from msnmo.core.errors import InputError, MsnmoError
from msnmo.core.files import sha256, write_json, write_tsv
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_volume
from msnmo.networks.joint import JointModel
from msnmo.train.__main__ import main
from msnmo.train.kept import Kept

SETTINGS: dict[str, Any] = {
    "train": {"epochs": 6, "learning_rate": 0.003, "plateau_patience": 0},
    "model": {"base_channels": 4},
}
OUTPUTS = ["history.tsv", "run.json", "weights.safetensors"]


def _command(cohort: Path, out: Path, **changed: str) -> list[str]:
    options = {
        "scans": str(cohort / "train-0.tsv"),
        "method": "joint",
        "fold": "0",
        "settings": json.dumps(SETTINGS),
        "seed": "5",
        "out-weights": str(out / "weights.safetensors"),
        "out-history": str(out / "history.tsv"),
        "out-run": str(out / "run.json"),
        "checkpoint": str(out / "checkpoint.pt"),
        "device": "cpu",
    }
    options |= {name.replace("_", "-"): value for name, value in changed.items()}
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _brief(**train_settings: Any) -> str:
    section = {"epochs": 1, **train_settings}
    return json.dumps({"train": section, "model": {"base_channels": 4}})


@pytest.fixture(scope="module")
def whole(blob_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a training that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    main(_command(blob_cohort, out))
    return out


def test_outputs_say_how_they_were_made(blob_cohort: Path, whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == [".kept", *OUTPUTS]
    run = json.loads((whole / "run.json").read_text())
    assert (run["method"], run["fold"], run["seed"]) == ("joint", 0, 5)
    assert run["settings"]["train"]["epochs"] == run["epochs"] == 6
    assert run["settings"]["loss"]["classification"] == 0.8
    assert run["training_scans"] == [
        f"sub-{name}{n}" for name in ("MS", "NMOSD") for n in (1, 2, 4, 5)
    ]
    assert run["resumed_from"] == []
    assert (run["device"], run["threads"], run["size"]) == ("cpu", 1, [32, 32, 32])
    assert run["weights_sha256"] == sha256(whole / "weights.safetensors")
    assert run["versions"]["torch"] == torch.__version__
    assert 1e8 < run["peak_memory_bytes"] < 1e11
    assert run["seconds"] > 0

    with safe_open(whole / "weights.safetensors", framework="pt") as file:
        shapes = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
        assert json.loads(file.metadata()["msnmo"]) == {"method": "joint", "fold": 0, "seed": 5}
    assert 0 < run["parameters"] <= sum(tensor.numel() for tensor in shapes)

    history = pd.read_csv(whole / "history.tsv", sep="\t")
    assert list(history["epoch"]) == list(range(1, 7))
    assert history["total"].iloc[-1] < history["total"].iloc[0]


def test_a_killed_training_goes_on_to_the_same_bytes(
    blob_cohort: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM in one epoch, SIGKILL in a later one, then to the end."""
    command = _command(blob_cohort, tmp_path, checkpoint_minutes="0")
    stopped, said = _run_until(command, "epoch 1/6", signal.SIGTERM)
    assert stopped == 143
    assert "stopped by SIGTERM in epoch" in said
    assert "all work is saved" in said
    killed, said = _run_until(command, "epoch 4/6", signal.SIGKILL)
    assert killed == -signal.SIGKILL
    assert "resuming after epoch" in said
    assert (tmp_path / "checkpoint.pt").exists()
    assert not any((tmp_path / name).exists() for name in OUTPUTS)

    main(_command(blob_cohort, tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kept", *OUTPUTS]
    weights = "weights.safetensors"
    assert (tmp_path / weights).read_bytes() == (whole / weights).read_bytes()
    one, other = (pd.read_csv(out / "history.tsv", sep="\t") for out in (tmp_path, whole))
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))
    first, second = json.loads((tmp_path / "run.json").read_text())["resumed_from"]
    assert 1 <= first < second
    assert 3 <= second < 6
    assert f"resuming after epoch {second}/6" in capsys.readouterr().err


SIGNALS_ITSELF = """
import os, runpy, signal, sys

line, number = sys.argv.pop(1), int(sys.argv.pop(1))
tell = sys.stderr.write

def write(text):
    if line in text:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.05)
    return tell(text)

sys.stderr.write = write
signal.signal(signal.SIGVTALRM, lambda *_: os.kill(os.getpid(), number))
runpy.run_module("msnmo.train", run_name="__main__", alter_sys=True)
"""
"""Sends a training a signal 0.05 s of its own time after a line: another process may be late."""


def _run_until(command: list[str], line: str, stop: signal.Signals) -> tuple[int, str]:
    """Run the command, send it a signal in the epoch after a line, return exit code and stderr."""
    training = [sys.executable, "-c", SIGNALS_ITSELF, line, str(int(stop)), *command]
    done = subprocess.run(training, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


def _finished(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def test_weights_of_the_same_training_are_taken_up(
    blob_cohort: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a workflow starts it again: on other threads, its results removed, the table rewritten."""
    out = tmp_path / "model"
    shutil.copytree(whole, out)
    for name in OUTPUTS:
        (out / name).unlink()
    (out / "checkpoint.pt").write_bytes(b"of another training")
    table = pd.read_csv(blob_cohort / "train-0.tsv", sep="\t").assign(subject="renamed")
    write_tsv(tmp_path / "train.tsv", table)

    def never(*_: object) -> None:
        raise AssertionError("it was trained again")

    monkeypatch.setattr("msnmo.train.__main__.train", never)
    main(_command(blob_cohort, out, scans=str(tmp_path / "train.tsv"), threads="2"))
    assert _finished(out) == _finished(whole)
    assert not (out / "checkpoint.pt").exists()


@pytest.mark.parametrize("changed", ["seed", "settings", "a lesion mask"])
def test_weights_of_another_training_are_not_taken_up(
    blob_cohort: Path, whole: Path, tmp_path: Path, changed: str
) -> None:
    out = tmp_path / "model"
    shutil.copytree(whole, out)
    options = {"settings": _brief()}
    if changed == "seed":
        options |= {"seed": "6"}
    if changed == "a lesion mask":
        table = pd.read_csv(blob_cohort / "train-0.tsv", sep="\t")
        mask = load_volume(table["lesion"][0])
        save_volume(tmp_path / "mask.nii.gz", np.roll(mask.data, 1, 0), mask.grid, np.uint8)
        table.loc[0, "lesion"] = str(tmp_path / "mask.nii.gz")
        write_tsv(tmp_path / "train.tsv", table)
        options = {"scans": str(tmp_path / "train.tsv"), "settings": _brief()}
    main(_command(blob_cohort, out, **options))
    assert json.loads((out / "run.json").read_text())["epochs"] == 1
    assert (out / "weights.safetensors").read_bytes() != (whole / OUTPUTS[-1]).read_bytes()
    assert _finished(out / ".kept") == _finished(out)


def test_kept_weights_of_no_numbers_are_named_and_trained_again(
    blob_cohort: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(whole, tmp_path / "model")
    weights, run = out / ".kept" / OUTPUTS[-1], out / ".kept" / "run.json"
    tensors = load_file(weights)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].fill_(float("nan"))
    for path in (weights, run):  # what is kept is the results' own file
        path.unlink()
    save_file(tensors, weights, {"msnmo": "{}"})
    content = json.loads((whole / "run.json").read_text()) | {"weights_sha256": sha256(weights)}
    write_json(run, content)
    assert not _kept(out).take_up(_identity(whole))
    assert f"numbers of {name}" in capsys.readouterr().err


ONE, SEVERAL = "fold-0", "fold-0/seed-5"
"""Where a training lies that is a fold's only one, and where it does as one of several."""


@pytest.mark.parametrize(("before", "now"), [(ONE, SEVERAL), (SEVERAL, ONE)])
def test_weights_are_taken_up_from_a_run_of_another_number_of_seeds(
    blob_cohort: Path, whole: Path, tmp_path: Path, before: str, now: str
) -> None:
    shutil.copytree(whole / ".kept", tmp_path / before / ".kept")
    (tmp_path / now).mkdir(exist_ok=True)
    main(_command(blob_cohort, tmp_path / now))
    # also of run.json, which has seconds
    assert _finished(tmp_path / now) == _finished(whole)
    # and kept there too, so that they stay when another seed is trained in the place of before
    assert _finished(tmp_path / now / ".kept") == _finished(whole)
    shutil.rmtree(tmp_path / before / ".kept")
    for name in OUTPUTS:
        (tmp_path / now / name).unlink()
    assert _kept(tmp_path / now).take_up(_identity(whole))


@pytest.mark.parametrize(("before", "now"), [(ONE, SEVERAL), (SEVERAL, ONE)])
def test_weights_of_another_identity_or_of_the_seed_beside_are_not_taken_up(
    whole: Path, tmp_path: Path, before: str, now: str
) -> None:
    shutil.copytree(whole / ".kept", tmp_path / before / ".kept")
    (tmp_path / now).mkdir(exist_ok=True)
    assert not _kept(tmp_path / now).take_up("another")
    assert not _kept(tmp_path / "fold-1").take_up(_identity(whole))
    assert not any((tmp_path / now / name).exists() for name in OUTPUTS)


def test_the_seed_that_is_the_same_is_found_among_several(whole: Path, tmp_path: Path) -> None:
    for seed in (1, 5, 9):
        folder = tmp_path / f"fold-0/seed-{seed}/.kept"
        shutil.copytree(whole / ".kept", folder)
        if seed != 5:
            run = json.loads((folder / "run.json").read_text()) | {"identity": f"of seed {seed}"}
            (folder / "run.json").write_text(json.dumps(run))
    assert _kept(tmp_path / ONE).take_up(_identity(whole))
    assert _finished(tmp_path / ONE) == _finished(whole)


def _kept(folder: Path) -> Kept:
    return Kept(*(folder / each for each in ("weights.safetensors", "history.tsv", "run.json")))


def _identity(folder: Path) -> str:
    return json.loads((folder / "run.json").read_text())["identity"]


@pytest.mark.parametrize("name", ["run.json", "weights.safetensors"])
def test_damaged_weights_are_not_taken_up(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    shutil.copytree(whole / ".kept", tmp_path / ".kept")
    damaged = tmp_path / ".kept" / name
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[:-9])
    assert not _kept(tmp_path).take_up(_identity(whole))
    assert "damaged" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [".kept"]


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
        MemoryError(),
    ],
)
def test_full_memory_says_what_was_tried_and_what_to_lower(
    blob_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(JointModel, "forward", full)
    with pytest.raises(MsnmoError, match="out of memory on cpu") as raised:
        main(_command(blob_cohort, tmp_path, settings=_brief(batch_size=3)))
    tried, lower = str(raised.value).split("remedy")
    assert 'train.batch_size 3 at size 32x32x32, model {"base_channels": 4' in tried
    assert "GiB" in tried
    assert all(key in lower for key in ("train.batch_size", "base_channels or channels", "size"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"method": "unet3d"}, "joint"),
        ({"settings": '{"train": {"epoch": 3}}'}, "epochs"),
        ({"scans": "/nowhere/train.tsv"}, "/nowhere/train.tsv"),
    ],
)
def test_wrong_arguments_are_named(
    blob_cohort: Path, tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        main(_command(blob_cohort, tmp_path, **changed))


def test_threads_that_make_no_sense_are_a_wrong_command_line(
    blob_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*_command(blob_cohort, tmp_path), "--threads", "0"])
    assert stop.value.code == 2
    assert "a whole number of 1 to 1000, found 0" in capsys.readouterr().err


@pytest.mark.gpu
def test_training_runs_on_cuda(blob_cohort: Path, tmp_path: Path) -> None:
    main(_command(blob_cohort, tmp_path, device="cuda"))
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["device"] == "cuda"
    assert torch.cuda.get_device_name() == run["device_name"]
    history = pd.read_csv(tmp_path / "history.tsv", sep="\t")
    assert history["total"].iloc[-1] < 0.8 * history["total"].iloc[0]
