"""The training loop; `train` reads from top to bottom."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from msnmo.compute.device import autocast, memory_format, move
from msnmo.core.errors import MsnmoError, bad_input
from msnmo.core.seeds import derive_seed
from msnmo.networks.build import build_network
from msnmo.networks.losses import joint_loss
from msnmo.settings.methods import BOTH_TASKS, LossWeights, get_method
from msnmo.settings.training import Settings
from msnmo.train.augment import augment, draw
from msnmo.train.checkpoint import Checkpoint, identity, restore_rng, rng_state
from msnmo.train.data import TrainingScan

TRAINING_VERSION = 2
"""Raise it by one when a training of the same job is meant to give other weights than before.

What was trained by another version, or half trained, is then not taken up.
"""
LOSSES = ("total", "segmentation", "classification", "cross")
NOTHING_DONE: Mapping[str, Any] = {"batches": 0, "sums": {}, "seconds": 0.0}
"""Of an epoch: its batches done, the losses' sums over their scans, and seconds."""


@dataclass(frozen=True)
class Job:
    """What is trained.

    Parameters
    ----------
    method : str
        Name in `msnmo.settings.methods.METHODS`.
    fold : int
        The fold left out.
    seed : int
        The user's seed; all others follow from it.
    settings : Settings
    """

    method: str
    fold: int
    seed: int
    settings: Settings

    def identity(self, scans: Sequence[TrainingScan], model: nn.Module) -> str:
        """Return a hash of all that the weights follow from, the network's form included."""
        return identity(
            {
                "version": TRAINING_VERSION,
                "method": self.method,
                "fold": self.fold,
                "seed": self.seed,
                "settings": self._settings_that_matter(),
                "scans": {scan.scan: [scan.label, scan.content] for scan in scans},
                "network": {name: list(x.shape) for name, x in model.state_dict().items()},
            }
        )

    def _settings_that_matter(self) -> dict[str, Any]:
        """Return the settings without those of losses that the method is not trained with."""
        settings = self.settings.to_json()
        if self.settings.train.precision == "auto":
            del settings["train"]["precision"]  # as the device, it may differ from run to run
        method = get_method(self.method)
        if method.tasks != BOTH_TASKS:
            return settings | {"loss": {}}
        if not method.loss_weights(self.settings.loss.weights).cross:
            kept = ("segmentation", "classification")
            return settings | {"loss": {name: settings["loss"][name] for name in kept}}
        return settings


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Parameters
    ----------
    model : Module
        With the last epoch's weights.
    history : list of dict
        A row an epoch: epoch (from 1), the losses' means over scans (None where a loss does not
        apply to the method), lr and seconds.
    resumed_from : list of int
        For each time the training was taken up again, the last epoch that was finished before.
    checkpoint : Checkpoint
        To be removed once the outputs are in place.
    """

    model: nn.Module
    history: list[dict[str, Any]]
    resumed_from: list[int]
    checkpoint: Checkpoint


class Stopped(Exception):  # noqa: N818 - no error: the user's scheduler asked for it
    """The training was asked to stop and has written its state."""


def train(
    job: Job,
    scans: Sequence[TrainingScan],
    device: torch.device,
    checkpoint_path: Path,
    stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train a method on the training scans of a fold (paper, section 4.1).

    Parameters
    ----------
    job : Job
    scans : sequence of TrainingScan
        All of one shape.
    device : torch.device
        As set up by `msnmo.compute.device.prepare`.
    checkpoint_path : Path
        Where the state is kept after each epoch. A state of this very job is gone on from.
    stop : callable
        Asked after each batch; if true, the state is kept there and then, and the training ends.

    Raises
    ------
    Stopped
        If it was asked to stop. Taken up again, it gives the weights of an uninterrupted one.
    MsnmoError
        If the loss or the weights are no longer finite: epoch and scans are named.
    InputError
        If no loss that applies to the method has a weight, or its network cannot take the shape.
    """
    settings = job.settings.train
    x, y, z = scans[0].image.shape[1:]
    model = move(fresh_model(job, (x, y, z), [scan.label for scan in scans]), device).train()
    optimiser = Adam(model.parameters(), lr=settings.learning_rate)
    plateau = ReduceLROnPlateau(
        optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience
    )
    history: list[dict[str, Any]] = []
    resumed_from: list[int] = []
    within = NOTHING_DONE

    checkpoint = Checkpoint(checkpoint_path, job.identity(scans, model))
    if state := checkpoint.load():
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        plateau.load_state_dict(state["plateau"])
        restore_rng(state["rng"], device)
        history, within = state["history"], state.get("within", NOTHING_DONE)
        resumed_from = [*state["resumed_from"], len(history)]
        place = f"epoch {len(history)}/{settings.epochs}"
        place += f" and {within['batches']} batches" if within["batches"] else ""
        _log(f"resuming after {place} from {checkpoint_path}")

    def keep(within: Mapping[str, Any]) -> None:
        checkpoint.save(
            {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "plateau": plateau.state_dict(),
                "rng": rng_state(device),
                "history": history,
                "resumed_from": resumed_from,
                "within": dict(within),
            }
        )

    for epoch in range(len(history) + 1, settings.epochs + 1):
        started, lr = time.perf_counter() - within["seconds"], optimiser.param_groups[0]["lr"]
        sums: defaultdict[str, float] = defaultdict(float, within["sums"])
        batches, weights = _batches(job, scans, epoch), loss_weights(job, epoch)
        for done, batch in islice(enumerate(batches, start=1), within["batches"], None):
            image, lesion, label = _collate(job, batch, epoch, device)
            with autocast(device, settings.precision):
                outputs = model(image)
                losses = joint_loss(
                    *(outputs, lesion, label, weights),
                    settings=job.settings.loss,
                    segmentation=settings.segmentation_loss,
                )
            _refuse_non_finite([losses["total"]], job, epoch, batch)
            optimiser.zero_grad()
            losses["total"].backward()
            optimiser.step()
            for name, loss in losses.items():
                sums[name] += loss.item() * len(batch)
            del outputs, losses  # or they would hold memory throughout the next forward pass
            if done * settings.batch_size < len(scans) and stop():
                seconds = time.perf_counter() - started
                keep({"batches": done, "sums": dict(sums), "seconds": seconds})
                raise Stopped(f"in epoch {epoch}, after {done} batches")
        means = {name: sums[name] / len(scans) if name in sums else None for name in LOSSES}
        _refuse_non_finite(model.parameters(), job, epoch, batch)
        plateau.step(sums["total"] / len(scans))
        seconds = time.perf_counter() - started
        history.append({"epoch": epoch, **means, "lr": lr, "seconds": round(seconds, 3)})
        within = NOTHING_DONE
        keep(within)
        _log(_line(history[-1], settings.epochs))
        if epoch < settings.epochs and stop():
            raise Stopped(f"after epoch {epoch}")

    return Trained(model.eval(), history, resumed_from, checkpoint)


def fresh_model(job: Job, shape: tuple[int, int, int], labels: Sequence[int]) -> nn.Module:
    """Return the method's network with the weights that its training starts from.

    They follow from seed and fold and from what each part is, not from the method: what differs
    between two methods of a fold is what their networks differ in.
    """
    torch.manual_seed(derive_seed(job.seed, job.fold, "weights"))
    method = get_method(job.method)
    model = build_network(method, job.settings.model, shape)
    if "classification" in method.tasks:
        start_at_class_prior(model.get_parameter("class_bias"), labels)
    return model


def start_at_class_prior(bias: nn.Parameter, labels: Sequence[int]) -> None:
    """Let the class logits start at the classes' shares of the training scans.

    A scan of each class is added to the count, so that a class without a scan has a start too.
    """
    counts = [1 + labels.count(label) for label in range(len(bias))]
    with torch.no_grad():
        bias.copy_(torch.tensor(counts, dtype=bias.dtype).div(sum(counts)).log())


def loss_weights(job: Job, epoch: int) -> LossWeights:
    """Return the weights of the losses that the job is trained with in an epoch, from 1."""
    method = get_method(job.method)
    weights = method.loss_weights(job.settings.loss.weights)
    if not any(getattr(weights, task) for task in method.tasks):
        keys = " or ".join(f"loss.{task}" for task in sorted(method.tasks))
        expected = f"a weight above 0 of a task of method {job.method}"
        raise bad_input("config: loss", expected, "0", f"raise {keys}")
    if ramp := job.settings.loss.cross_ramp_epochs:
        return replace(weights, cross=weights.cross * min(1, (epoch - 1) / ramp))
    return weights


def _batches(
    job: Job, scans: Sequence[TrainingScan], epoch: int
) -> Iterator[Sequence[TrainingScan]]:
    """Yield the epoch's batches, in an order of its own; the last holds what is left."""
    seed = derive_seed(job.seed, job.fold, "order", epoch)
    order = torch.randperm(len(scans), generator=torch.Generator().manual_seed(seed)).tolist()
    size = job.settings.train.batch_size
    starts = range(0, len(order), size)
    # disable=None: a bar on a terminal, nothing in a log file
    for start in tqdm(starts, f"epoch {epoch}", leave=False, disable=None, unit="batch"):
        yield [scans[index] for index in order[start : start + size]]


def _collate(
    job: Job, batch: Sequence[TrainingScan], epoch: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return image and lesion mask (B, 1, X, Y, Z), augmented, and label (B,), on the device."""
    # Apple's GPU has no nearest-neighbour sampling of volumes
    where = torch.device("cpu") if device.type == "mps" else device
    pairs = [
        augment(
            scan.image.to(where),
            scan.lesion.to(where, torch.float32),
            draw(
                job.settings.augment, derive_seed(job.seed, job.fold, "augment", epoch, scan.scan)
            ),
        )
        for scan in batch
    ]
    image, lesion = (torch.stack(each).to(device) for each in zip(*pairs, strict=True))
    label = torch.tensor([scan.label for scan in batch], device=device)
    return image.contiguous(memory_format=memory_format(device)), lesion, label


def _refuse_non_finite(
    values: Iterable[torch.Tensor], job: Job, epoch: int, batch: Sequence[TrainingScan]
) -> None:
    if all(torch.isfinite(value).all() for value in values):
        return
    names = ", ".join(scan.scan for scan in batch)
    raise MsnmoError(
        f"training of {job.method} came to a value that is not finite in epoch {epoch}, "
        f"at scan{'s' if len(batch) > 1 else ''} {names}\n"
        f"    remedy:   lower train.learning_rate ({job.settings.train.learning_rate:g}); if it "
        "happens in epoch 1, look at the preprocessed images of these scans"
    )


def _line(row: dict[str, Any], epochs: int) -> str:
    losses = "  ".join(f"{name} {row[name]:.4f}" for name in LOSSES if row[name] is not None)
    return f"epoch {row['epoch']}/{epochs}  {losses}  lr {row['lr']:.3g}  {row['seconds']:.1f} s"


def _log(line: str) -> None:
    print(f"msnmo: {line}", file=sys.stderr, flush=True)
