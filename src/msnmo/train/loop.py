"""The training loop. `train` reads from top to bottom."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from msnmo.compute.device import move
from msnmo.core.seeds import derive_seed
from msnmo.networks.build import build_network
from msnmo.settings.methods import get_method
from msnmo.train.batches import Held, hold
from msnmo.train.checkpoint import Checkpoint, Keeper
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job, Running, loss_weights
from msnmo.train.progress import NOTHING_DONE, Progress
from msnmo.train.start import Start, Taken
from msnmo.train.step import Step
from msnmo.train.tally import Tally, refuse_non_finite
from msnmo.train.trial import refuse_untrainable

LOSSES = ("total", "segmentation", "classification", "cross")
AS_USUAL = Running()


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Parameters
    ----------
    model : Module
        With the last epoch's weights.
    history : list of dict
        One row per epoch: epoch (from 1), the losses' means over scans (None for a loss that the
        method does not use), lr and seconds.
    resumed_from : list of int
        For each time the training was resumed, the last epoch finished before.
    checkpoint : Checkpoint
        Remove it once the outputs are in place.
    taken : Taken, optional
        The weights it started from, if not random.
    """

    model: nn.Module
    history: list[dict[str, Any]]
    resumed_from: list[int]
    checkpoint: Checkpoint
    taken: Taken | None = None


class Stopped(Exception):  # noqa: N818 - not an error: the user's scheduler asked for it
    """The training was asked to stop and has saved its state."""


def train(
    job: Job,
    scans: Sequence[TrainingScan],
    device: torch.device,
    checkpoint_path: Path,
    stop: Callable[[], bool] = lambda: False,
    *,
    running: Running = AS_USUAL,
    start: Start | None = None,
    held: Held = hold,
) -> Trained:
    """Train a method on the training scans of a fold (paper, section 4.1).

    Parameters
    ----------
    job : Job
    scans : sequence of TrainingScan
        All with the same shape.
    device : torch.device
        Set up by `msnmo.compute.device.prepare`.
    checkpoint_path : Path
        File for the state, saved from time to time. A state of this job is resumed.
    stop : callable
        Called after each batch. If it returns true, the state is saved and training ends.
    running : Running
    start : Start, optional
        Weights to start from, instead of random ones.
    held : callable
        Given scans, device and the precision of images, returns what yields an epoch's batches, and
        in words where the scans are.

    Raises
    ------
    Stopped
        If it was asked to stop. When resumed, it gives the weights of an uninterrupted training.
    MsnmoError
        If the loss or the weights are no longer finite. Names epoch and scans.
    InputError
        If no loss of the method has a weight, or if its network cannot take the shape or learn from
        such batches.
    """
    settings = job.settings.train
    x, y, z = scans[0].image.shape[1:]
    model = fresh_model(job, (x, y, z), [scan.label for scan in scans])
    taken = start.give_to(model) if start else None
    model = move(model, device).train()
    refuse_untrainable(job, model, scans)
    step = Step(job, model, device, running)
    progress = Progress(
        step,
        ReduceLROnPlateau(
            step.optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience
        ),
    )
    checkpoint = Checkpoint(checkpoint_path, job.course(scans, model, start))
    if found := _furthest(checkpoint, running.kept_states, settings.epochs):
        path, state = found
        _log(f"resuming after {progress.restore(state)} from {path}")
    elif taken:
        _log(taken.in_words)
    cohort, where = held(scans, device, running.held_scans)
    if where:
        _log(where)

    history, total = progress.history, -(-len(scans) // settings.batch_size)
    with Keeper(checkpoint, running.checkpoint_minutes) as keeper:
        for epoch in range(len(history) + 1, settings.epochs + 1):
            before, progress.within = progress.within, NOTHING_DONE
            started, lr = time.perf_counter() - before["seconds"], step.learning_rate
            tally, weights = Tally(job, epoch, device, before["sums"]), loss_weights(job, epoch)
            batches = cohort.batches(job, epoch, before["batches"])
            # disable=None: a bar on a terminal, nothing in a log file
            bar = tqdm(batches, f"epoch {epoch}", total, False, disable=None, unit="batch")
            for done, batch in enumerate(bar, before["batches"] + 1):
                losses = step.losses(batch, weights)
                tally.add(losses, batch.scans)
                step.learn(losses["total"])
                del losses  # otherwise they would hold memory during the next forward pass
                if done < total:
                    within = partial(_within, done, tally, started)
                    place = f"in epoch {epoch}, after {done} batches"
                    _keep_if_asked(keeper, progress, stop, within, place)
            sums = tally.sums()
            means = {name: sums[name] / len(scans) if name in sums else None for name in LOSSES}
            refuse_non_finite(model.parameters(), job, epoch, batch.scans)
            progress.plateau.step(sums["total"] / len(scans))
            seconds = round(time.perf_counter() - started, 3)
            history.append({"epoch": epoch, **means, "lr": lr, "seconds": seconds})
            _log(_line(history[-1], settings.epochs))
            if epoch < settings.epochs:
                _keep_if_asked(keeper, progress, stop, lambda: NOTHING_DONE, f"after epoch {epoch}")
        keeper.keep(progress.state())

    return Trained(model.eval(), history, progress.resumed_from, checkpoint, taken)


def _furthest(
    checkpoint: Checkpoint, kept: Sequence[Path], epochs: int
) -> tuple[Path, dict[str, Any]] | None:
    """Return the furthest state of a course that is not beyond `epochs`, with its place.

    An epoch does not depend on how many follow. So the end of a shorter training is the middle of a
    longer one: plateaus, Adam's means and the order of scans continue unchanged.
    """
    places = (checkpoint, *(Checkpoint(path, checkpoint.identity) for path in kept))
    found = []
    for place in places:
        if (state := place.load()) is None:
            continue
        if (done := len(state["history"])) > epochs:
            _log(f"{place.path} has {done} epochs, more than the requested {epochs}: not used")
            continue
        found.append((place.path, state))
    return max(found, key=lambda each: _how_far(each[1]), default=None)


def _how_far(state: Mapping[str, Any]) -> tuple[int, int]:
    return len(state["history"]), state.get("within", NOTHING_DONE)["batches"]


def _within(done: int, tally: Tally, started: float) -> dict[str, Any]:
    """Return the progress within an epoch. Its losses are read, so they must be finite."""
    seconds = time.perf_counter() - started
    return {"batches": done, "sums": tally.sums(), "seconds": seconds}


def _keep_if_asked(
    keeper: Keeper,
    progress: Progress,
    stop: Callable[[], bool],
    within: Callable[[], Mapping[str, Any]],
    place: str,
) -> None:
    """Save the state if it is due. If the training is asked to stop, save it and stop."""
    if stop():
        keeper.keep(progress.state(within()))
        raise Stopped(place)
    if keeper.due():
        keeper.keep_meanwhile(progress.state(within()))


def fresh_model(job: Job, shape: tuple[int, int, int], labels: Sequence[int]) -> nn.Module:
    """Return the method's network with its start weights.

    They follow from seed, fold and the kind of each part, not from the method. So the networks of
    two methods of a fold differ only in their design.
    """
    torch.manual_seed(derive_seed(job.seed, job.fold, "weights"))
    method = get_method(job.method)
    model = build_network(method, job.settings.model, shape)
    if "classification" in method.tasks:
        start_at_class_prior(model.get_parameter("class_bias"), labels)
    return model


def start_at_class_prior(bias: nn.Parameter, labels: Sequence[int]) -> None:
    """Start the class logits at the classes' shares of the training scans.

    One scan is added to the count of each class, so that a class without scans also has a start
    value.
    """
    counts = [1 + labels.count(label) for label in range(len(bias))]
    with torch.no_grad():
        bias.copy_(torch.tensor(counts, dtype=bias.dtype).div(sum(counts)).log())


def _line(row: dict[str, Any], epochs: int) -> str:
    losses = "  ".join(f"{name} {row[name]:.4f}" for name in LOSSES if row[name] is not None)
    return f"epoch {row['epoch']}/{epochs}  {losses}  lr {row['lr']:.3g}  {row['seconds']:.1f} s"


def _log(line: str) -> None:
    print(f"msnmo: {line}", file=sys.stderr, flush=True)
