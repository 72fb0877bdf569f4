"""Keep finished trainings beside their results, so that the same weights are never trained twice.

A workflow removes the results of a job before it runs it again, for whatever reason. What is kept
here is not a result of a job, so it stays. The files are links and take no extra disk space.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from msnmo.core.errors import InputError
from msnmo.core.files import atomic_path, read_json, sha256
from msnmo.networks.finite import not_finite

FOLDER = ".kept"
STATE = "state.pt"
"""The last state of the training, if kept, from which further epochs continue."""
SEED_FOLDER = "seed-"
"""Prefix of the folders of a fold's trainings, if there are several seeds."""


@dataclass(frozen=True)
class Kept:
    """The results of a training and their kept copy.

    Parameters
    ----------
    weights, history, run : Path
        The results, in one folder.
    """

    weights: Path
    history: Path
    run: Path

    def keep(self, state: Path | None = None) -> None:
        """Keep the current results, in place of those kept before.

        Parameters
        ----------
        state : Path, optional
            The training's last checkpoint. It is moved.
        """
        folder = self.weights.parent / FOLDER
        folder.mkdir(exist_ok=True)
        (folder / STATE).unlink(missing_ok=True)  # it may belong to another training
        if state is not None:
            state.replace(folder / STATE)
        # the weights last: without them nothing is reused
        for result in (self.history, self.run, self.weights):
            _link(result, folder / result.name)

    def take_up(self, identity: str) -> bool:
        """Restore the kept results if they are complete and belong to the same training.

        They may have been kept when the number of seeds was another: a fold's single training and
        one of several are the same training, wherever it lies.

        Parameters
        ----------
        identity : str
            As returned by `msnmo.train.job.Job.identity`.
        """
        for place in self._places():
            if self._take_up_from(place / FOLDER, identity):
                if place != self.weights.parent:
                    self.keep()  # another training may replace those files one day
                return True
        return False

    def states(self) -> tuple[Path, ...]:
        """Return the last states left by trainings of this fold, of any course."""
        states = (place / FOLDER / STATE for place in self._places())
        return tuple(state for state in states if state.is_file())

    def shorter(self, course: str) -> int:
        """Return the epochs of a kept training of this course; 0 if there is none."""
        epochs = [0]
        for place in self._places():
            try:
                run = read_json(place / FOLDER / self.run.name)
            except InputError:
                continue
            if run.get("course") == course:
                epochs.append(run["epochs"])
        return max(epochs)

    def _places(self) -> list[Path]:
        """Return the folders where a training of this fold and seed may have been kept."""
        own = self.weights.parent
        if own.name.startswith(SEED_FOLDER):
            return [own, own.parent]
        return [own, *sorted(own.glob(f"{SEED_FOLDER}*"))]

    def _take_up_from(self, folder: Path, identity: str) -> bool:
        results = (self.history, self.run, self.weights)
        if not all((folder / result.name).is_file() for result in results):
            return False
        try:
            run = read_json(folder / self.run.name)
        except InputError as error:
            return _leave(folder, str(error))
        if run.get("identity") != identity:
            return False
        if sha256(folder / self.weights.name) != run.get("weights_sha256"):
            return _leave(folder, "the weights do not match its run.json")
        if wrong := _not_finite(folder / self.weights.name):
            return _leave(folder, wrong)
        for result in results:
            _link(folder / result.name, result)
        return True


def _not_finite(weights: Path) -> str:
    try:
        return not_finite(load_file(weights))
    except (OSError, SafetensorError) as error:
        return f"{type(error).__name__}: {error}"


def _leave(folder: Path, why: str) -> bool:
    print(f"msnmo: {folder} is damaged, so it is not used: {why}", file=sys.stderr)
    return False


def _link(source: Path, target: Path) -> None:
    """Make `target` a link to `source`, or a copy if the disk has no links."""
    with atomic_path(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
