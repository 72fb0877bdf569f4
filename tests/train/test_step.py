"""A step as it runs on a GPU, as far as a CPU can show it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch

from msnmo.settings.methods import METHODS
from msnmo.settings.training import Settings
from msnmo.train.batches import Batch, collate, hold
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job, Running, loss_weights
from msnmo.train.loop import fresh_model
from msnmo.train.progress import Progress
from msnmo.train.step import Step
from msnmo.train.tally import Tally

CPU = torch.device("cpu")
SIZE = (16, 16, 16)
JOB = Job("joint", 0, 1, Settings.from_mapping({"model": {"base_channels": 4}}, METHODS["joint"]))
WEIGHTS = loss_weights(JOB, 1)


def _step(**running: Any) -> Step:
    return Step(JOB, fresh_model(JOB, SIZE, [0, 1]).train(), CPU, Running(**running))


def _batch() -> Batch:
    image = torch.randn(1, *SIZE, generator=torch.Generator().manual_seed(0))
    scans = [TrainingScan(f"sub-{label}", label, image, image > 1.5, {}) for label in (0, 1)]
    return collate(JOB, scans, 1, CPU)


def _weights_after_two_steps(step: Step) -> list[torch.Tensor]:
    for _ in range(2):
        step.learn(step.losses(_batch(), WEIGHTS)["total"])
    return [each.detach() for each in step.model.parameters()]


def _equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_gradient_checkpointing_gives_equal_weights() -> None:
    plain = _weights_after_two_steps(_step())
    assert _equal(plain, _weights_after_two_steps(_step(gradient_checkpointing=True)))


def test_the_cpu_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", None)
    plain = _weights_after_two_steps(_step())
    assert _equal(plain, _weights_after_two_steps(_step(compile=True)))


def _failing(error: Exception) -> Callable[..., Any]:
    def compile_(model: Any, **_: Any) -> Any:
        def forward(image: torch.Tensor) -> Any:
            raise error

        return forward

    return compile_


def test_what_cannot_be_compiled_trains_as_it_is_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = _weights_after_two_steps(_step())
    step = _step()
    monkeypatch.setattr(torch, "compile", _failing(RuntimeError("no compiler is here\nmore")))
    assert not step.compile(_batch(), WEIGHTS)
    assert capsys.readouterr().err == (
        "msnmo: trained uncompiled: torch.compile failed: no compiler is here\n"
    )
    assert _equal(plain, _weights_after_two_steps(step))


def test_memory_that_runs_out_in_compiling_is_no_reason_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", _failing(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        _step().compile(_batch(), WEIGHTS)


def test_a_compiled_network_is_tried_on_a_batch_that_teaches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def compile_(model: Any, **_: Any) -> Any:
        return lambda image: seen.append(len(image)) or model(image)

    monkeypatch.setattr(torch, "compile", compile_)
    step, random = _step(), torch.get_rng_state()
    assert step.compile(_batch(), WEIGHTS)
    assert torch.equal(random, torch.get_rng_state())
    assert all(each.grad is None for each in step.model.parameters())
    assert _equal(_weights_after_two_steps(_step()), _weights_after_two_steps(step))
    assert seen == [2, 2, 2]


def test_a_state_kept_on_a_gpu_is_gone_on_from_on_a_cpu() -> None:
    """Adam's kind is the device's, not the state's."""
    step = _step()
    step.learn(step.losses(_batch(), WEIGHTS)["total"])
    state = deepcopy(Progress(step, _plateau(step)).state())
    for group in state["optimiser"]["param_groups"]:
        group["fused"] = True
    resumed = _step()
    Progress(resumed, _plateau(resumed)).restore(state)
    assert resumed.optimiser.param_groups[0]["fused"] is None
    for each in (step, resumed):
        each.learn(each.losses(_batch(), WEIGHTS)["total"])
    assert _equal(list(step.model.parameters()), list(resumed.model.parameters()))


def _plateau(step: Step) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(step.optimiser)


@pytest.mark.gpu
@pytest.mark.parametrize("how", ["plain", "gradient_checkpointing"])
def test_a_step_on_a_gpu_is_the_cpus(how: str) -> None:
    """In float32, to what TF32 rounds."""
    cuda = torch.device("cuda", 0)
    job = Job(
        "joint",
        0,
        1,
        Settings.from_mapping(
            {"model": {"base_channels": 4}, "train": {"precision": "float32"}}, METHODS["joint"]
        ),
    )
    running = Running(**({} if how == "plain" else {how: True}))
    step = Step(job, fresh_model(job, SIZE, [0, 1]).to(cuda).train(), cuda, running)
    batch = _batch()
    on_gpu = Batch(batch.scans, batch.image.to(cuda), batch.lesion.to(cuda), batch.label.to(cuda))
    total = step.losses(on_gpu, WEIGHTS)["total"]
    step.learn(total)
    assert step.optimiser.param_groups[0]["fused"]
    assert total.item() == pytest.approx(_step().losses(batch, WEIGHTS)["total"].item(), rel=1e-2)


@pytest.mark.gpu
def test_a_step_on_a_gpu_lets_the_computer_go_on() -> None:
    """From held scans to Adam nothing is read; torch refuses whatever would wait."""
    cuda = torch.device("cuda", 0)
    image = torch.randn(1, *SIZE, generator=torch.Generator().manual_seed(0))
    scans = [TrainingScan(f"sub-{n}", n % 2, image, image > 1.5, {}) for n in range(8)]
    step = Step(JOB, fresh_model(JOB, SIZE, [0, 1]).to(cuda).train(), cuda, Running())
    cohort, _ = hold(scans, cuda)
    tally = Tally(JOB, 1, cuda, {})
    try:
        for batch in cohort.batches(JOB, 1):
            losses = step.losses(batch, WEIGHTS)
            tally.add(losses, batch.scans)
            step.learn(losses["total"])
            # after the first, which lays out weights and states
            torch.cuda.set_sync_debug_mode("error")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert set(tally.sums()) == {"total", "segmentation", "classification", "cross"}
