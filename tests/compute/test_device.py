from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from msnmo.compute import device
from msnmo.compute.options import add_arguments
from msnmo.core.errors import InputError, MsnmoError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_then_mps_then_cpu(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(device, "_hold_cuda", lambda per_gpu, job: torch.device("cuda"))
    assert device.pick_device("auto") == torch.device(expected)


def test_a_device_that_is_not_there_is_named_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"(?s)device cuda.*only .*cpu"):
        device.pick_device("cuda")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.\nmore"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried ..."),
        RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)"),
    ],
)
def test_full_memory_is_explained(error: Exception) -> None:
    with (
        pytest.raises(MsnmoError, match="tried:    a lot\n    remedy:   less") as raised,
        device.explain_full_memory(CPU, "a lot", "less"),
    ):
        raise error
    assert raised.value.__cause__ is error


def test_a_real_allocation_that_fails_is_recognised() -> None:
    with (
        pytest.raises(MsnmoError, match="out of memory on cpu"),
        device.explain_full_memory(CPU, "4 EB", "less"),
    ):
        torch.empty(10**18)


def test_other_errors_pass_unchanged() -> None:
    with (
        pytest.raises(RuntimeError, match="shapes differ"),
        device.explain_full_memory(CPU, "", ""),
    ):
        raise RuntimeError("shapes differ")


def test_the_cpu_is_described_and_computes_in_float32() -> None:
    assert device.device_name(CPU)
    assert device.precision(CPU) == "float32"
    assert device.precision(CPU, "bfloat16") == "bfloat16"
    assert device.memory_format(CPU) == torch.contiguous_format
    with device.autocast(CPU, "bfloat16"):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16
    with device.autocast(CPU):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32
    assert 2**20 < device.peak_memory(CPU) < device.total_memory(CPU)


def test_a_network_keeps_the_layout_that_it_was_built_with_on_the_cpu() -> None:
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        network = torch.nn.Conv3d(2, 2, 3).to(memory_format=layout)
        assert device.move(network, CPU).weight.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("threads", ["0", "-1", "1001", "1000000", "²"])
def test_threads_that_no_machine_has_are_a_wrong_command(
    threads: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--threads", threads])
    assert "whole number of 1 to 1000" in capsys.readouterr().err


def test_threads_are_set_for_the_whole_process() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args([]).threads == 1
    before = torch.get_num_threads()
    try:
        device.prepare(CPU, parser.parse_args(["--threads", "2"]).threads)
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.set_num_threads(before)


@pytest.mark.gpu
def test_cuda_trains_in_bfloat16_and_channels_last() -> None:
    cuda = device.pick_device("cuda")
    assert device.precision(cuda) == "bfloat16"
    assert device.precision(cuda, "float32") == "float32"
    with device.autocast(cuda):
        ones = torch.ones(2, 2, device=cuda)
        assert torch.mm(ones, ones).dtype == torch.bfloat16
    assert device.memory_format(cuda) == torch.channels_last_3d
    assert 0 < device.peak_memory(cuda) < device.total_memory(cuda)


def test_jobs_of_one_machine_take_gpus_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two GPUs that are none: what CUDA says is made up, the locks are real."""
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    properties = [SimpleNamespace(uuid=f"GPU-{number}") for number in range(2)]
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(device, "lock_folder", lambda: tmp_path)
    monkeypatch.setattr(device, "HELD", [])
    assert [device.pick_device("auto", per_gpu=2).index for _ in range(4)] == [0, 1, 0, 1]
    assert taken == [0, 1, 0, 1]
    assert len(list(tmp_path.glob("*.lock"))) == 4
