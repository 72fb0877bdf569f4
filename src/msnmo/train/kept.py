"""Finished trainings kept beside their results: no night is spent twice on the same weights.

A workflow removes the results of a job before it runs it again, whatever made it do so. What is
kept here is no result of a job, so it stays; the files are links and take no second place on disk.
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
"""The last state of the training, of which more epochs go on, if it is kept too."""
SEED_FOLDER = "seed-"
"""What the folders of a fold's trainings begin with, where there are several seeds."""


@dataclass(frozen=True)
class Kept:
    """The results of a training, and the copy of them that is kept.

    Parameters
    ----------
    weights, history, run : Path
        The results, in one folder.
    """

    weights: Path
    history: Path
    run: Path

    def keep(self, state: Path | None = None) -> None:
        """Keep the results that are there now; what was kept before goes.

        Parameters
        ----------
        state : Path, optional
            The training's last checkpoint, which is moved.
        """
        folder = self.weights.parent / FOLDER
        folder.mkdir(exist_ok=True)
        (folder / STATE).unlink(missing_ok=True)  # it may be another's
        if state is not None:
            state.replace(folder / STATE)
        # the weights last: without them nothing is taken up
        for result in (self.history, self.run, self.weights):
            _link(result, folder / result.name)

    def take_up(self, identity: str) -> bool:
        """Put what is kept in the results' place, if it is whole and follows from the same.

        It may have been kept for another number of seeds: a fold's one training, or one of several,
        is the same training wherever it lies.

        Parameters
        ----------
        identity : str
            As `msnmo.train.job.Job.identity` returns.
        """
        for place in self._places():
            if self._take_up_from(place / FOLDER, identity):
                if place != self.weights.parent:
                    self.keep()  # what lies there may be another's one day
                return True
        return False

    def states(self) -> tuple[Path, ...]:
        """Return the last states that trainings of this fold left, of whatever course they are."""
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
            return _leave(folder, "the weights are not those of its run.json")
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
    """Make `target` the same file as `source`; a copy where the disk has no links."""
    with atomic_path(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
