"""All methods of a fold start alike: equal weights where they have equal parts, equal batches.

So what tells an ablation from the joint model is the part that it is named after, and no other
draw of random numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from msnmo.compute.device import prepare
from msnmo.settings.methods import JOINT, METHODS, ModelSettings
from msnmo.settings.training import Settings
from msnmo.train import step
from msnmo.train.batches import collate, order
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job
from msnmo.train.loop import fresh_model, train

CPU = torch.device("cpu")
SIZE = (32, 32, 32)
LABELS = [0, 0, 1]
OF_THE_JOINT_MODEL = [name for name, each in METHODS.items() if each.settings is ModelSettings]
STEMS = re.compile(
    r"^(sharing\.)?(stems\.)?(segmentation_stem|classification_stem|stem|local_branch)\."
)

TENSORS = {
    "local branch": 11,
    "global branch": 32,
    "crossover": 1,
    "segmentation": 56,
    "lesion convolution": 2,
    "fusion": 6,
    "classification": 26,
}
"""Of each part: weights and buffers."""
PREFIXES = {
    "local branch.": "local branch",
    "sharing.global_branch.": "global branch",
    "sharing.crossover.": "crossover",
    "segmentation.": "segmentation",
    "guidance.lesion.": "lesion convolution",
    "guidance.fusion.": "fusion",
    "classification.": "classification",
}
GUIDED = ["segmentation", "classification", "lesion convolution", "fusion"]
UNGUIDED = ["local branch", "global branch", "crossover", "segmentation", "classification"]
WHOLE = ["local branch", "global branch", "crossover", *GUIDED]
PARTS = {
    "joint": WHOLE,
    "without_cross_loss": WHOLE,
    "lgm_concat": WHOLE,
    "lgm_none": UNGUIDED,
    "lgm_dot": [*UNGUIDED, "lesion convolution"],
    "lgm_add": [*UNGUIDED, "lesion convolution"],
    "without_sharing": ["local branch", "local branch", *GUIDED],
    "only_local": ["local branch", *GUIDED],
    "only_global": ["local branch", "local branch", "global branch", "crossover", *GUIDED],
    "only_seg": ["local branch", "segmentation"],
    "only_cls": ["local branch", "classification"],
    "cross_literal": WHOLE,
    "cross_relu_max": WHOLE,
    "cross_sigmoid": WHOLE,
    "cross_two_way": WHOLE,
    "cross_scales": WHOLE,
    "cross_balanced": WHOLE,
    "cross_ramp": WHOLE,
    "image_skip": WHOLE,
    "lgm_through": WHOLE,
    "dice_ce": WHOLE,
    "joint_plus": WHOLE,
}
"""What each method is made of; stems are local branches."""
WIDENED = {
    name: {"segmentation.expand_3.decode.0.conv.weight"} for name in ("image_skip", "joint_plus")
}
"""Tensors of another shape than the joint model's: their convolution sees the image as well."""
NOT_DRAWN = ("crossover", "lesion convolution")
"""They start at values that the settings name."""


def _job(method: str, seed: int = 1, fold: int = 0) -> Job:
    small = {"base_channels": 4} if METHODS[method].settings is ModelSettings else {}
    given: dict[str, dict[str, Any]] = {"train": {"epochs": 1}, "loss": {}, "model": small}
    for section, values in METHODS[method].own.items():
        given[section] = given[section] | values
    return Job(method, fold, seed, Settings.from_mapping(given, METHODS[method]))


def _part(name: str) -> str:
    (part,) = (part for prefix, part in PREFIXES.items() if name.startswith(prefix))
    return part


def _start(method: str, seed: int = 1, fold: int = 0) -> list[tuple[str, torch.Tensor]]:
    """Return the first weights of a method, each by its name in the joint model, stems aside."""
    model = fresh_model(_job(method, seed, fold), SIZE, LABELS)
    return [(STEMS.sub("local branch.", name), x) for name, x in model.state_dict().items()]


def _drawn(start: list[tuple[str, torch.Tensor]]) -> list[tuple[str, torch.Tensor]]:
    """Return the kernels and matrices that are drawn at random."""
    return [
        (name, x)
        for name, x in start
        if x.dim() > 1 and x.is_floating_point() and _part(name) not in NOT_DRAWN
    ]


def test_every_method_with_the_joint_models_settings_is_looked_at() -> None:
    assert sorted(PARTS) == sorted(OF_THE_JOINT_MODEL)
    assert len(PARTS) == 22


def test_the_joint_model_is_made_of_the_parts_that_are_counted() -> None:
    start = _start(JOINT)
    assert Counter(_part(name) for name, _ in start) == TENSORS
    assert len(dict(start)) == len(start) == 134


@pytest.mark.parametrize(("seed", "fold"), [(1, 0), (2024, 3)])
@pytest.mark.parametrize("method", PARTS)
def test_parts_that_a_method_shares_with_the_joint_model_start_alike(
    method: str, seed: int, fold: int
) -> None:
    """To the last bit, and all of them: an ablation has no tensor that the joint model has not."""
    joint, start = dict(_start(JOINT, seed, fold)), _start(method, seed, fold)
    assert [name for name, _ in start if name not in joint] == []
    widened = {name for name, x in start if joint[name].shape != x.shape}
    assert widened == WIDENED.get(method, set())
    shared = [(name, x) for name, x in start if name not in widened]
    assert len(shared) == len(start) - len(widened)
    assert [name for name, x in shared if not torch.equal(joint[name], x)] == []
    counted = Counter(_part(name) for name, _ in start)
    expected = Counter({part: n * TENSORS[part] for part, n in Counter(PARTS[method]).items()})
    assert counted == expected


@pytest.mark.parametrize("other", [{"seed": 2}, {"fold": 1}])
@pytest.mark.parametrize("method", PARTS)
def test_another_seed_or_fold_draws_every_part_anew(method: str, other: dict[str, int]) -> None:
    first, second = _drawn(_start(method)), dict(_drawn(_start(method, **other)))
    assert {_part(name) for name, _ in first} == set(PARTS[method]) - set(NOT_DRAWN)
    assert [name for name, x in first if torch.equal(second[name], x)] == []


@pytest.mark.parametrize("method", [*PARTS, "unet", "resnet50"])
def test_what_was_drawn_before_does_not_matter(method: str) -> None:
    starts = []
    for before in (0, 1):
        torch.manual_seed(before)
        torch.rand(before + 1)
        starts.append(fresh_model(_job(method), SIZE, LABELS).state_dict())
    assert all(torch.equal(x, starts[1][name]) for name, x in starts[0].items())


@pytest.mark.parametrize("method", PARTS)
def test_different_parts_do_not_start_alike(method: str) -> None:
    """Kernels of one shape differ, unless they are the two stems of the tasks."""
    unlike = {name: x.numpy().tobytes() for name, x in _drawn(_start(method))}
    assert len(set(unlike.values())) == len(unlike)


def _scans(count: int = 12) -> list[TrainingScan]:
    generator = torch.Generator().manual_seed(0)
    scans = []
    for index in range(count):
        image = torch.randn(1, 16, 16, 16, generator=generator)
        scans.append(TrainingScan(f"sub-{index}", index % 2, image, image > 1.5, {}))
    return scans


def _order(job: Job, epoch: int = 1) -> list[list[str]]:
    return [[scan.scan for scan in batch] for batch in order(job, _scans(), epoch)]


def _augmented(job: Job, epoch: int = 1) -> bytes:
    batch = collate(job, _scans(), epoch, CPU)
    return torch.cat([batch.image, batch.lesion]).numpy().tobytes()


@pytest.mark.parametrize("looked_at", [_order, _augmented])
def test_scans_come_in_one_order_and_form_for_all_methods(looked_at: Any) -> None:
    for epoch in (1, 2):
        found = [looked_at(_job(method), epoch) for method in METHODS]
        assert len(found) == len(METHODS)
        assert all(each == found[0] for each in found)


@pytest.mark.parametrize("looked_at", [_order, _augmented])
def test_scans_come_in_another_order_and_form_in_another_epoch_fold_or_seed(looked_at: Any) -> None:
    job = _job(JOINT)
    first, again = looked_at(job), looked_at(job)
    assert first == again
    assert first != looked_at(job, epoch=2)
    assert first != looked_at(replace(job, fold=1))
    assert first != looked_at(replace(job, seed=2))


def _first_losses(
    method: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, torch.Tensor]:
    """Return the losses of a training's first batch."""
    seen, joint_loss = [], step.joint_loss

    def recording(*given: Any, **chosen: Any) -> dict[str, torch.Tensor]:
        losses = joint_loss(*given, **chosen)
        seen.append({name: loss.detach() for name, loss in losses.items()})
        return losses

    prepare(CPU, threads=1)
    with monkeypatch.context() as patch:
        patch.setattr(step, "joint_loss", recording)
        train(_job(method), _scans(4), CPU, folder / f"{method}.pt")
    assert len(seen) == 2
    return seen[0]


def test_the_first_batch_of_a_training_has_equal_losses_but_for_what_the_ablation_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = _first_losses(JOINT, tmp_path, monkeypatch)
    without = _first_losses("without_cross_loss", tmp_path, monkeypatch)
    assert set(joint) == {"total", "segmentation", "classification", "cross"}
    assert set(without) == {"total", "segmentation", "classification"}
    for task in ("segmentation", "classification"):
        assert torch.equal(joint[task], without[task])
        assert joint[task] > 0
    torch.testing.assert_close(joint["total"] - joint["cross"], without["total"])


FORMS = [name for name in PARTS if name.startswith("cross_") and name != "cross_ramp"]


@pytest.mark.parametrize("method", [*FORMS, "lgm_through"])
def test_another_form_of_the_cross_task_loss_leaves_the_first_losses_of_the_tasks_as_they_are(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = _first_losses(JOINT, tmp_path, monkeypatch)
    other = _first_losses(method, tmp_path, monkeypatch)
    for task in ("segmentation", "classification"):
        assert torch.equal(joint[task], other[task])
    # what a loss is like at the start does not show who learns from it
    alike = method in ("cross_two_way", "lgm_through")
    assert torch.equal(joint["cross"], other["cross"]) == alike


def test_a_ramp_starts_without_the_cross_task_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = _first_losses("cross_ramp", tmp_path, monkeypatch)
    without = _first_losses("without_cross_loss", tmp_path, monkeypatch)
    assert ramp.keys() == without.keys()
    assert torch.equal(ramp["total"], without["total"])


@pytest.mark.parametrize("method", ["lgm_none", "lgm_dot", "lgm_add", "lgm_concat"])
def test_without_guidance_the_first_batch_has_the_joint_models_segmentation_loss(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = _first_losses(JOINT, tmp_path, monkeypatch)
    ablated = _first_losses(method, tmp_path, monkeypatch)
    assert torch.equal(joint["segmentation"], ablated["segmentation"])
    assert not torch.equal(joint["classification"], ablated["classification"])


def test_one_task_alone_and_the_shared_local_branch_give_one_first_segmentation_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three segment from a local branch that nothing is mixed with."""
    methods = ("only_seg", "only_local", "without_sharing")
    losses = [_first_losses(method, tmp_path, monkeypatch)["segmentation"] for method in methods]
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(losses[0], losses[2])
