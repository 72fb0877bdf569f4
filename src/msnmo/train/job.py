"""What is trained, what identifies a training, and how it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from msnmo.core.errors import bad_input
from msnmo.settings.methods import BOTH_TASKS, LossWeights, get_method
from msnmo.settings.sections import HeldScans
from msnmo.settings.training import Settings
from msnmo.train.checkpoint import identity
from msnmo.train.data import TrainingScan
from msnmo.train.start import Start

TRAINING_VERSION = 2
"""Raise it by one when trainings of the same job should give other weights than before.

Results and states of trainings with another version are then not reused.
"""


@dataclass(frozen=True)
class Running:
    """How a training is run. This does not make it another training.

    Parameters
    ----------
    checkpoint_minutes : float
        Shortest time between two states that are saved during the training.
    held_scans : {"float32", "float16"}
        How images are held on a CUDA device.
    compile : bool
        Whether the network is compiled (torch.compile) on a CUDA device.
    gradient_checkpointing : bool
        Whether activations are computed twice, so that a step needs less memory.
    kept_states : tuple of Path
        States left by finished trainings. Training continues from the furthest of this course.
    """

    checkpoint_minutes: float = 5.0
    held_scans: HeldScans = "float32"
    compile: bool = False
    gradient_checkpointing: bool = False
    kept_states: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Job:
    """One training.

    Parameters
    ----------
    method : str
        Name in `msnmo.settings.methods.METHODS`.
    fold : int
        The fold that is left out.
    seed : int
        The user's seed. All other seeds follow from it.
    settings : Settings
    """

    method: str
    fold: int
    seed: int
    settings: Settings

    def identity(
        self, scans: Sequence[TrainingScan], model: nn.Module, start: Start | None = None
    ) -> str:
        """Return a hash of all that determines the weights, including the network's form."""
        return identity(self._parts(scans, model, start))

    def course(
        self, scans: Sequence[TrainingScan], model: nn.Module, start: Start | None = None
    ) -> str:
        """Return a hash of all inputs except the number of epochs.

        No epoch depends on how many follow. So of two trainings of one course, the shorter is the
        beginning of the longer.
        """
        parts = self._parts(scans, model, start)
        del parts["settings"]["train"]["epochs"]
        return identity(parts)

    def _parts(
        self, scans: Sequence[TrainingScan], model: nn.Module, start: Start | None
    ) -> dict[str, Any]:
        parts = {
            "version": TRAINING_VERSION,
            "method": self.method,
            "fold": self.fold,
            "seed": self.seed,
            "settings": self._settings_that_matter(),
            "scans": {scan.scan: [scan.label, scan.content] for scan in scans},
            "network": {name: list(x.shape) for name, x in model.state_dict().items()},
        }
        # a training without start weights keeps the hash of older versions
        return parts if start is None else parts | {"start": start.sha256}

    def _settings_that_matter(self) -> dict[str, Any]:
        """Return the settings without losses that the method does not use."""
        settings = self.settings.to_json()
        if self.settings.train.precision == "auto":
            del settings["train"]["precision"]  # like the device, it may differ from run to run
        method = get_method(self.method)
        if method.tasks != BOTH_TASKS:
            return settings | {"loss": {}}
        if not method.loss_weights(self.settings.loss.weights).cross:
            kept = ("segmentation", "classification")
            return settings | {"loss": {name: settings["loss"][name] for name in kept}}
        return settings


def loss_weights(job: Job, epoch: int) -> LossWeights:
    """Return the loss weights of the job in an epoch, counted from 1."""
    method = get_method(job.method)
    weights = method.loss_weights(job.settings.loss.weights)
    if not any(getattr(weights, task) for task in method.tasks):
        keys = " or ".join(f"loss.{task}" for task in sorted(method.tasks))
        expected = f"a weight above 0 for a task of method {job.method}"
        raise bad_input("config: loss", expected, "0", f"raise {keys}")
    if ramp := job.settings.loss.cross_ramp_epochs:
        return replace(weights, cross=weights.cross * min(1, (epoch - 1) / ramp))
    return weights
