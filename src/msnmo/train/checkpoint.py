"""The state of an unfinished training on disk, so that a killed training can continue.

The newest state and the one before it are kept. If a state turns out to be damaged, only the work
since the earlier state is lost.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from msnmo.core.errors import explain_refusal
from msnmo.core.files import flush_to_disk
from msnmo.networks.finite import not_finite


def identity(parts: Mapping[str, Any]) -> str:
    """Return a hash of all inputs of a training. A state with another hash is not used.

    Parameters
    ----------
    parts : mapping of JSON types
        Such as method, fold, seed, settings, and the scans with the hashes of their files.
    """
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def rng_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the state of torch's generators: the CPU's and the device's."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def restore_rng(states: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Restore what `rng_state` returned, as far as it is for this kind of device."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type])


class Checkpoint:
    """The state of one training, beside its outputs.

    Parameters
    ----------
    path : Path
        File of the newest state. The one before is beside it as ``<stem>.previous<suffix>``.
    identity : str
        Hash of the training, from `identity`.
    """

    def __init__(self, path: Path, identity: str):
        self.path = path
        self.previous = path.with_name(f"{path.stem}.previous{path.suffix}")
        self.identity = identity

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state (tensors, numbers, strings and containers of them) atomically.

        After a kill at any moment there is the newest state, the one before, or both.

        Raises
        ------
        DiskError
            If the disk is full, read-only or not writable for us.
        """
        # A fixed name: the next write overwrites the remains of a killed one.
        temporary = self._temporary
        with explain_refusal(self.path):
            temporary.parent.mkdir(parents=True, exist_ok=True)
            if temporary.is_fifo():  # writing would wait for a reader
                temporary.unlink()
            try:
                _write({"identity": self.identity, "state": dict(state)}, temporary)
                flush_to_disk(temporary)
                if self.path.exists():
                    self.path.replace(self.previous)
                temporary.replace(self.path)
            except BaseException:
                temporary.unlink(missing_ok=True)  # of a full disk it would take what is left
                raise

    def load(self) -> dict[str, Any] | None:
        """Return the newest state that is complete and belongs to this training, or None.

        States that cannot be used are named on stderr.
        """
        for path in (self.path, self.previous):
            if (path.exists() or path.is_symlink()) and (state := self._read(path)) is not None:
                return state
        return None

    def remove(self) -> None:
        """Delete the states, once the training's outputs are in place."""
        for path in (self.path, self.previous, self._temporary):
            path.unlink(missing_ok=True)

    @property
    def _temporary(self) -> Path:
        return self.path.with_name(f".tmp-{self.path.name}")

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            _refuse_damaged(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
            owner, state = content["identity"], content["state"]
            _refuse_not_finite(state)
        except Exception as error:  # zipfile, pickle and torch each raise their own kinds
            # torch's own words tell how to load it all the same, which nobody should
            unsafe = isinstance(error, pickle.UnpicklingError)
            found = "it holds more than tensors and plain data" if unsafe else error
            print(
                f"msnmo: checkpoint {path} is damaged, so it is not used: {found}", file=sys.stderr
            )
            return None
        if owner != self.identity:
            print(
                f"msnmo: checkpoint {path} belongs to another training (its settings, seed or "
                "scans differ), so it is not used",
                file=sys.stderr,
            )
            return None
        return state


def _refuse_damaged(path: Path) -> None:
    """Refuse files that block, unpack beyond their size, or have a wrong checksum.

    torch does not compress, so its files cannot unpack to more bytes than they hold.
    """
    if not path.is_file():
        raise zipfile.BadZipFile("not a file but a folder, a pipe or a dead link")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        if packed or unpacked > path.stat().st_size:
            raise zipfile.BadZipFile(
                f"it would unpack to {unpacked} bytes, but torch does not compress"
            )
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"checksum of {damaged} does not match")


def _refuse_not_finite(state: Mapping[str, Any]) -> None:
    """Refuse weights or moments of Adam with NaN or infinity: training cannot continue."""
    moments = state.get("optimiser", {}).get("state", {})
    named = {
        f"optimiser {place} {name}": value
        for place, of_weight in moments.items()
        for name, value in of_weight.items()
        if isinstance(value, torch.Tensor)
    }
    if wrong := not_finite({**state.get("model", {}), **named}):
        raise ValueError(wrong)


class Keeper:
    """Saves a training's state from time to time, while the training continues.

    A state is copied, and a thread writes the copy. Later changes of the training are not in it. As
    a context, it ends when the last state is on disk.

    Parameters
    ----------
    checkpoint : Checkpoint
    minutes : float
        Shortest time between two states that are saved during the training.

    Raises
    ------
    DiskError
        Raised by the next call, if the thread could not write.
    """

    def __init__(self, checkpoint: Checkpoint, minutes: float):
        self._checkpoint, self._seconds = checkpoint, 60 * minutes
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next state, and the last one is on disk."""
        if self._writing is not None:
            if not self._writing.done():
                return False
            self._finish()
        return time.monotonic() - self._last >= self._seconds

    def keep_meanwhile(self, state: Mapping[str, Any]) -> None:
        """Copy a state and write it while the training continues."""
        self._finish()
        self._last = time.monotonic()
        self._writing = self._thread.submit(self._checkpoint.save, copy_of(state))

    def keep(self, state: Mapping[str, Any]) -> None:
        """Write a state. When this returns, it is on disk."""
        self._finish()
        self._checkpoint.save(state)

    def _finish(self) -> None:
        """Wait for the current write and raise its error, if any."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        if error is None:  # the first error is the one to report
            self._finish()


def copy_of(state: Any) -> Any:
    """Return a copy of a state on the CPU that shares no tensors, dicts or lists."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {name: copy_of(value) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(copy_of(each) for each in state)
    return state


def _write(content: dict[str, Any], path: Path) -> None:
    try:
        with path.open("wb") as stream:
            torch.save(content, stream)
    except RuntimeError as error:
        # torch's own error hides why the stream took no more
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
