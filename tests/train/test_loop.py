from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from msnmo.compute.device import prepare
from msnmo.core.errors import InputError, MsnmoError
from msnmo.settings.methods import METHODS, ModelSettings
from msnmo.settings.training import AugmentSettings, LossSettings, Settings
from msnmo.train import loop, step
from msnmo.train.checkpoint import Checkpoint
from msnmo.train.data import TrainingScan
from msnmo.train.job import TRAINING_VERSION, Job, Running, loss_weights
from msnmo.train.loop import Trained, fresh_model, train
from msnmo.train.trial import refuse_untrainable

JOINT = METHODS["joint"]

CPU = torch.device("cpu")


def _job(seed: int = 1, **train_settings: Any) -> Job:
    given = {
        "train": {"epochs": 2, "learning_rate": 1e-3} | train_settings,
        "model": {"base_channels": 4},
    }
    return Job("joint", 0, seed, Settings.from_mapping(given, JOINT))


def _with_loss(job: Job, **values: Any) -> Job:
    return replace(job, settings=replace(job.settings, loss=LossSettings(**values)))


def _scans(count: int = 5) -> list[TrainingScan]:
    generator = torch.Generator().manual_seed(0)
    scans = []
    for index in range(count):
        image = torch.randn(1, 16, 16, 16, generator=generator)
        content = {"image": f"sha of image {index}", "lesion": f"sha of lesion {index}"}
        scans.append(TrainingScan(f"sub-{index}", index % 2, image, image > 1.5, content))
    return scans


def _train(job: Job, folder: Path, scans: list[TrainingScan] | None = None) -> Trained:
    prepare(CPU, threads=1)
    return train(job, scans or _scans(), CPU, folder / "checkpoint.pt")


SMALLEST = {"channels": (4, 4, 4, 4, 64)}
"""Of a U-Net: at 16 x 16 x 16 its deepest level is one voxel."""


def _unet(norm: str, batch_size: int) -> Job:
    given = {
        "train": {"epochs": 1, "batch_size": batch_size},
        "model": {"norm": norm, **SMALLEST},
    }
    return Job("unet", 0, 1, Settings.from_mapping(given, METHODS["unet"]))


@pytest.mark.parametrize(
    ("job", "count", "alone"),
    [(_unet("batch", 2), 5, 1), (_unet("batch", 1), 4, 1), (_unet("instance", 2), 4, 2)],
)
def test_what_cannot_be_trained_is_refused_before_the_first_step_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Job, count: int, alone: int
) -> None:
    monkeypatch.setattr(loop, "Step", None)  # nothing is trained
    with pytest.raises(InputError) as error:
        _train(job, tmp_path, _scans(count))
    (finding,) = error.value.findings
    assert f"from {alone} scan" in finding.expected
    assert "Expected more than 1" in finding.found
    assert "method_settings.unet.model.norm" in finding.remedy


@pytest.mark.parametrize(("norm", "count"), [("batch", 4), ("group", 5)])
def test_what_can_be_trained_is_trained(tmp_path: Path, norm: str, count: int) -> None:
    assert len(_train(_unet(norm, 2), tmp_path, _scans(count)).history) == 1


def test_a_trial_leaves_network_and_generator_as_they_were() -> None:
    job = _unet("batch", 2)
    scans = _scans(4)
    model = fresh_model(job, (16, 16, 16), [0, 1, 0, 1]).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    refuse_untrainable(job, model, scans)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def _losses(trained: Trained) -> list[tuple[Any, ...]]:
    return [tuple(v for k, v in row.items() if k != "seconds") for row in trained.history]


def _same_weights(one: Trained, other: Trained) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_first_weights_follow_from_seed_and_fold() -> None:
    def weights(job: Job) -> torch.Tensor:
        torch.rand(3)
        return torch.cat([x.flatten() for x in fresh_model(job, (16, 16, 16), [0, 1]).parameters()])

    assert torch.equal(weights(_job()), weights(_job()))
    assert not torch.equal(weights(_job()), weights(_job(seed=2)))
    assert not torch.equal(weights(_job()), weights(replace(_job(), fold=1)))


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    one, other = (_train(_job(), tmp_path / name) for name in "ab")
    assert _same_weights(one, other)
    assert _losses(one) == _losses(other)


def test_history_holds_the_mean_over_scans_of_each_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five scans at batch 2: the scan left over counts as much as the others, not twice."""
    seen = []

    def recording(
        outputs: Any, lesion: torch.Tensor, *rest: Any, **chosen: Any
    ) -> dict[str, torch.Tensor]:
        losses = joint_loss(outputs, lesion, *rest, **chosen)
        seen.append((len(lesion), losses["total"].item(), losses["cross"].item()))
        return losses

    joint_loss = step.joint_loss
    monkeypatch.setattr(step, "joint_loss", recording)
    row = _train(_job(epochs=1), tmp_path).history[0]
    assert row["total"] == pytest.approx(sum(n * total for n, total, _ in seen) / 5)
    assert row["cross"] == pytest.approx(sum(n * cross for n, _, cross in seen) / 5)
    assert row["total"] == pytest.approx(
        row["segmentation"] + 0.8 * row["classification"] + row["cross"]
    )


def test_the_rate_halves_after_a_plateau_also_across_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weights that stand still the loss is level: 1 best epoch, then patience + 1 more."""
    monkeypatch.setattr(step.Adam, "step", lambda self: None)
    job = _job(epochs=8, learning_rate=0.1, plateau_patience=2)
    job = replace(job, settings=replace(job.settings, augment=_no_augmentation()))
    whole = _train(job, tmp_path / "whole")
    rates = [row["lr"] / 0.1 for row in whole.history]
    assert rates == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25])

    asked = itertools.count(1)
    with pytest.raises(loop.Stopped, match="after epoch 3"):
        # three times an epoch
        train(job, _scans(), CPU, tmp_path / "halves/checkpoint.pt", lambda: next(asked) == 9)
    resumed = _train(job, tmp_path / "halves")
    assert resumed.resumed_from == [3]
    assert _losses(resumed) == _losses(whole)


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 5])
def test_a_training_that_is_asked_to_stop_keeps_each_batch(tmp_path: Path, batches: int) -> None:
    """Of 3 batches an epoch; asked again and again, it still comes to the same weights."""
    job = _job()
    whole = _train(job, tmp_path / "whole")
    asked = itertools.count(1)
    folder = tmp_path / "parts"
    stops = 0
    while True:
        try:
            stop = lambda: next(asked) % batches == 0  # noqa: E731
            resumed = train(job, _scans(), CPU, folder / "checkpoint.pt", stop)
        except loop.Stopped:
            stops += 1
        else:
            break
    assert stops == 5 // batches
    assert len(resumed.resumed_from) == stops
    assert _same_weights(resumed, whole)
    assert _losses(resumed) == _losses(whole)


def _no_augmentation() -> Any:
    return AugmentSettings(flip_probability=0, rotation_probability=0)


@pytest.mark.parametrize("batches", [2, 3, 5])
def test_a_training_that_breaks_off_goes_on_from_the_state_kept_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    """Of 3 batches an epoch; states are written by a thread, which is asked to after each batch."""
    job = _job()
    whole = _train(job, tmp_path / "whole")
    losses, counter = step.Step.losses, itertools.count(1)

    def break_off(self: Any, *given: Any) -> Any:
        if next(counter) > batches:
            raise KeyboardInterrupt
        return losses(self, *given)

    path, often = tmp_path / "parts/checkpoint.pt", Running(checkpoint_minutes=0)
    with monkeypatch.context() as patch:
        patch.setattr(step.Step, "losses", break_off)
        with pytest.raises(KeyboardInterrupt):
            train(job, _scans(), CPU, path, running=often)
    assert [each.name for each in path.parent.glob(".tmp-*")] == []
    resumed = train(job, _scans(), CPU, path, running=often)
    assert len(resumed.resumed_from) == 1
    assert _same_weights(resumed, whole)
    assert _losses(resumed) == _losses(whole)


def test_between_its_minutes_a_training_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, save = [], Checkpoint.save

    def counting(self: Checkpoint, state: dict[str, Any]) -> None:
        saved.append(len(state["history"]))
        save(self, state)

    monkeypatch.setattr(Checkpoint, "save", counting)
    _train(_job(epochs=3), tmp_path)
    assert saved == [3], "the end alone"


def test_a_state_that_cannot_be_written_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Checkpoint, state: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoint, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train(_job(), _scans(), CPU, tmp_path / "c.pt", running=Running(checkpoint_minutes=0))


@pytest.mark.parametrize(
    "change", ["seed", "fold", "setting", "loss", "file", "scan", "code", "version"]
)
def test_a_checkpoint_of_another_job_is_not_gone_on_from(
    tmp_path: Path,
    change: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _train(_job(epochs=1), tmp_path)
    job, scans = _job(epochs=1), _scans()
    if change == "setting":
        job = _job(epochs=1, plateau_patience=3)
    elif change == "loss":
        job = _with_loss(job, cam_normalisation="sigmoid")
    elif change == "version":
        monkeypatch.setattr("msnmo.train.job.TRAINING_VERSION", TRAINING_VERSION + 1)
    elif change == "file":
        scans[0] = replace(scans[0], content={"image": "another sha", "lesion": "another sha"})
    elif change == "scan":
        scans = scans[:-1]
    elif change == "code":
        monkeypatch.setattr(loop, "fresh_model", _network_of_another_release)
    else:
        job = replace(job, **{change: 7})
    capsys.readouterr()
    assert _train(job, tmp_path, scans).resumed_from == []
    assert "another training" in capsys.readouterr().err


def _identity(method: str, train: Mapping[str, Any] = MappingProxyType({}), **loss: Any) -> str:
    model = {"base_channels": 4} if METHODS[method].settings is ModelSettings else {}
    given = {"train": dict(train), "loss": loss, "model": model}
    settings = Settings.from_mapping(given, METHODS[method])
    job = Job(method, 0, 1, settings)
    return job.identity(_scans(1), torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    "changed", [{"cam_class": "predicted"}, {"cross": 0.5}, {"eta": [1, 0, 0]}]
)
def test_a_training_is_told_apart_by_the_losses_that_it_has(changed: dict[str, Any]) -> None:
    """What weighs a loss that a method has not is none of its business."""
    assert _identity("joint", **changed) != _identity("joint")
    for method in ("without_cross_loss", "only_seg", "only_cls", "unet", "resnet50"):
        assert _identity(method, **changed) == _identity(method)


def test_weights_of_the_tasks_tell_apart_the_trainings_of_both() -> None:
    for method in ("joint", "without_cross_loss"):
        assert _identity(method, classification=0.5) != _identity(method)
    assert _identity("only_cls", classification=0.5) == _identity("only_cls")


def test_a_precision_tells_trainings_apart_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One chosen by the device does not: what an earlier release trained is taken up."""
    assert _identity("joint", {"precision": "bfloat16"}) != _identity("joint")
    assert _identity("joint", {"precision": "auto"}) == _identity("joint")
    monkeypatch.setattr("msnmo.train.job.identity", json.dumps)
    assert "precision" not in _identity("joint")


def _network_of_another_release(*arguments: Any) -> torch.nn.Module:
    model = fresh_model(*arguments)
    model.register_buffer("release", torch.tensor(2))
    return model


def test_one_line_an_epoch_and_no_bar_off_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _train(_job(), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"msnmo: epoch {n}/2  total ") for n, line in enumerate(lines, 1))


def test_a_loss_that_is_not_finite_names_epoch_scans_and_remedy(tmp_path: Path) -> None:
    scans = _scans(2)
    scans[1].image[0, 3, 3, 3] = float("inf")
    with pytest.raises(MsnmoError, match="epoch 1") as error:
        _train(_job(), tmp_path, scans)
    for words in ("sub-0", "sub-1", "train.learning_rate (0.001)", "joint"):
        assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_never_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step of the last epoch can overflow when no loss is left to show it."""

    def overflow(self: torch.optim.Adam) -> None:
        for weight in self.param_groups[0]["params"]:
            weight.data.fill_(float("nan"))

    monkeypatch.setattr(step.Adam, "step", overflow)
    with pytest.raises(MsnmoError, match="not finite in epoch 1"):
        _train(_job(epochs=1), tmp_path, _scans(2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["joint", "lgm_add", "without_sharing"])
def test_the_weight_of_the_cross_task_loss_rises_over_the_epochs_of_its_ramp(method: str) -> None:
    """From 0 in the first epoch to its full size in the epoch after the last of the ramp."""
    job = _with_loss(replace(_job(), method=method), cross=2.0, cross_ramp_epochs=4)
    weights = [loss_weights(job, epoch) for epoch in (1, 2, 3, 4, 5, 6, 200)]
    assert [each.cross for each in weights] == [0, 0.5, 1, 1.5, 2, 2, 2]
    assert {(each.segmentation, each.classification) for each in weights} == {(1, 0.8)}


def test_without_a_ramp_the_cross_task_loss_has_its_weight_from_the_first_epoch_on() -> None:
    job = _with_loss(_job(), cross=2.0)
    assert [loss_weights(job, epoch).cross for epoch in (1, 2, 200)] == [2, 2, 2]


@pytest.mark.parametrize("method", ["without_cross_loss", "only_seg", "unet"])
def test_a_ramp_gives_no_cross_task_loss_to_a_method_without(method: str) -> None:
    job = _with_loss(replace(_job(), method=method), cross_ramp_epochs=4)
    assert [loss_weights(job, epoch).cross for epoch in (1, 3, 9)] == [0, 0, 0]


def test_a_ramp_is_trained_with(tmp_path: Path) -> None:
    """In the first epoch the loss has no weight, so it is not computed."""
    rows = _train(_with_loss(_job(epochs=3), cross_ramp_epochs=2), tmp_path).history
    assert rows[0]["cross"] is None
    for row, weight in zip(rows, (0, 0.5, 1), strict=True):
        expected = row["segmentation"] + 0.8 * row["classification"] + weight * (row["cross"] or 0)
        assert row["total"] == pytest.approx(expected)


def test_a_training_takes_the_losses_that_its_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the cross-task loss and of the segmentation, with the weights of the epoch."""
    seen, joint_loss = [], step.joint_loss

    def recording(
        outputs: Any, lesion: Any, label: Any, weights: Any, **losses: Any
    ) -> dict[str, torch.Tensor]:
        seen.append((weights, losses))
        return joint_loss(outputs, lesion, label, weights, **losses)

    monkeypatch.setattr(step, "joint_loss", recording)
    chosen = {"cam_normalisation": "none", "cross_segmentation": "logits", "cross_ramp_epochs": 1}
    job = _with_loss(_job(segmentation_loss="dice_ce"), **chosen)
    _train(job, tmp_path, _scans(2))
    for epoch, (weights, losses) in enumerate(seen, start=1):
        assert weights == loss_weights(job, epoch)
        assert losses == {"settings": LossSettings(**chosen), "segmentation": "dice_ce"}
    assert len(seen) == 2


def test_a_job_without_any_loss_is_refused(tmp_path: Path) -> None:
    job = _job()
    loss = LossSettings(segmentation=0, classification=0)
    with pytest.raises(InputError, match=r"loss\.classification or loss\.segmentation"):
        _train(replace(job, settings=replace(job.settings, loss=loss)), tmp_path)


def test_classification_starts_at_the_classes_shares_of_the_training_scans() -> None:
    for method in ("joint", "only_cls", "densenet121"):
        job = replace(_job(), method=method, settings=Settings.from_mapping({}, METHODS[method]))
        bias = fresh_model(job, (32, 32, 32), [0, 0, 0, 0, 0, 1]).class_bias
        torch.testing.assert_close(bias.softmax(0), torch.tensor([6 / 8, 2 / 8]))
