"""Start a training from another training's weights instead of random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import InputError, bad_input
from msnmo.core.files import read_json, sha256
from msnmo.core.starter import or_the_shipped
from msnmo.settings.starts import COPY_AGAIN

DESCRIPTION = "bundle.json"
REMEDY = (
    "correct train.start_from, set the method and model.base_channels as they were for these "
    "weights, or leave train.start_from empty to start like the paper"
)
UNKNOWN = (
    "whether they learned from scans that are tested here is unknown for a file of weights; for a "
    "bundle it is checked"
)


@dataclass(frozen=True, eq=False)
class Start:
    """The weights that a training starts from.

    Parameters
    ----------
    file : Path
        safetensors.
    sha256 : str
        Digest of the file.
    tensors : dict of str to Tensor
        On the CPU.
    note : str
        A note about it, if any.
    remedy : str
        What to do if it does not fit.
    """

    file: Path
    sha256: str
    tensors: dict[str, torch.Tensor]
    note: str = ""
    remedy: str = REMEDY

    def give_to(self, model: nn.Module) -> Taken:
        """Copy the tensors that match the network's by name and shape into it.

        Raises
        ------
        InputError
            Names the file, if fewer than half of the network's tensors match.
        """
        own = model.state_dict()
        fitting = {
            name: tensor
            for name, tensor in self.tensors.items()
            if name in own
            and own[name].shape == tensor.shape
            and own[name].is_floating_point() == tensor.is_floating_point()
        }
        if 2 * len(fitting) < len(own):
            expected = f"at least half of the network's {len(own)} tensors, by name and shape"
            found = f"{len(self.tensors)} tensors, of which {len(fitting)} fit"
            raise bad_input(self.file, expected, found, self.remedy)
        model.load_state_dict(fitting, strict=False)
        return Taken(self, tuple(sorted(fitting)), tuple(sorted(set(own) - set(fitting))))


@dataclass(frozen=True, eq=False)
class Taken:
    """Which tensors a network took from a start, and which not.

    Parameters
    ----------
    start : Start
    taken, fresh : tuple of str
        Names of its tensors.
    """

    start: Start
    taken: tuple[str, ...]
    fresh: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """A line for the log."""
        total = len(self.taken) + len(self.fresh)
        told = f"{len(self.taken)} of {total} tensors start from {self.start.file}"
        fresh = f"; these start fresh: {', '.join(self.fresh)}" if self.fresh else ""
        return f"{told}{fresh}{self.start.note and f'; {self.start.note}'}"

    def to_json(self) -> dict[str, Any]:
        """Return the entry for run.json. It has no path, as that belongs to this machine."""
        return {
            "file": self.start.file.name,
            "sha256": self.start.sha256,
            "taken": list(self.taken),
            "fresh": list(self.fresh),
        }


def read_start(path: Path, fold: int, remedy: str = REMEDY, note_on_file: str = UNKNOWN) -> Start:
    """Return the weights that a fold's training starts from.

    Parameters
    ----------
    path : Path
        A safetensors file, or the folder of a bundle. A bundle's folds are used in turn: fold k
        starts from the one at place k, and counting starts again when there are no more.
    fold : int
    remedy : str
        What to do if the weights cannot be used; by default, what to change in the config.
    note_on_file : str
        The note on a file of weights that is in no bundle.

    Raises
    ------
    InputError
        Names the file that is missing, damaged or has values that are not finite.
    """
    if not path.is_dir():
        return _read(path, note_on_file, remedy)
    description = path / DESCRIPTION
    if not description.is_file():
        expected = "the folder of a bundle, or a file of weights (safetensors)"
        instead = f"{remedy}{or_the_shipped(path)}"
        raise bad_input(path, expected, f"no {DESCRIPTION} in it", instead)
    content = read_json(description, COPY_AGAIN)
    try:
        folds = content["folds"]
        chosen = folds[fold % len(folds)]
        name, digest = Path(chosen["weights"]).name, chosen["weights_sha256"]
        labels = tuple(content["labels"][each] for each in ("0", "1"))
    except (KeyError, TypeError, IndexError, ZeroDivisionError) as error:
        raise bad_input(description, "the folds of a bundle", repr(error), COPY_AGAIN) from error
    if not all(isinstance(label, str) for label in labels):
        raise bad_input(description, "labels that are text", repr(labels), COPY_AGAIN)
    start = _read(path / name, _told_of(labels), remedy)
    if start.sha256 != digest:
        raise bad_input(start.file, f"SHA-256 {digest}", start.sha256, COPY_AGAIN)
    return start


def _told_of(labels: tuple[str, ...]) -> str:
    if labels == tuple(diagnoses()):
        return ""
    return f"its classes were {' and '.join(labels)}, here they are {' and '.join(diagnoses())}"


def _is_odd(tensor: torch.Tensor) -> bool:
    common = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return tensor.is_complex() or (tensor.is_floating_point() and tensor.dtype not in common)


def _read(file: Path, note: str, remedy: str) -> Start:
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        digest = sha256(file)
    except (OSError, SafetensorError, InputError) as error:
        found = f"{type(error).__name__}: {error}"
        raise bad_input(file, "weights (safetensors) to start from", found, remedy) from error
    odd = [f"{name} ({tensor.dtype})" for name, tensor in tensors.items() if _is_odd(tensor)]
    if odd:
        expected = "tensors of float16, bfloat16, float32 or float64, and whole numbers"
        raise bad_input(file, expected, f"{len(odd)} others, such as {odd[0]}", remedy)
    wrong = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if wrong:
        found = f"{len(wrong)} tensors with others, such as {wrong[0]}"
        raise bad_input(file, "weights that are finite numbers", found, remedy)
    return Start(file, digest, tensors, note, remedy)
