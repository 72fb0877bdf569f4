"""The batches of an epoch: which scans, in which order, how augmented, and where they come from.

On CUDA, a copy from the CPU's memory would delay every step. So the scans are held on the device if
a share of its free memory is enough. Otherwise a thread loads the next batch during the current
step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from msnmo.compute.device import free_memory, memory_format
from msnmo.core.memory import GIB
from msnmo.core.seeds import derive_seed
from msnmo.settings.sections import HeldScans
from msnmo.train.augment import augment, draw
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job

HELD_SHARE = 0.25
"""Share of a device's free memory for the scans. The rest is for the step."""

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Batch:
    """The scans of one step on the device.

    Parameters
    ----------
    scans : sequence of TrainingScan
    image : (B, 1, X, Y, Z) tensor of float32
        Augmented.
    lesion : (B, 1, X, Y, Z) tensor of float32
        0 or 1, augmented like the image.
    label : (B,) tensor of int64
    """

    scans: Sequence[TrainingScan]
    image: torch.Tensor
    lesion: torch.Tensor
    label: torch.Tensor


@dataclass(frozen=True)
class Cohort:
    """The training scans and where they are held.

    Parameters
    ----------
    scans : sequence of TrainingScan
        On the device, or in the CPU's memory.
    device : torch.device
        The device that trains.
    fetched : bool
        Whether a thread loads each batch to the device ahead of its step.
    """

    scans: Sequence[TrainingScan]
    device: torch.device
    fetched: bool = False

    def batches(self, job: Job, epoch: int, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch on the device, without the first `done` of them."""
        chosen: Iterable[Sequence[TrainingScan]] = order(job, self.scans, epoch)[done:]
        if self.fetched:
            fetch = _Fetch(self.device)
            chosen = (fetch.wait(each) for each in ahead(chosen, fetch))
        for scans in chosen:
            yield collate(job, scans, epoch, self.device)


def hold(
    scans: Sequence[TrainingScan], device: torch.device, precision: HeldScans = "float32"
) -> tuple[Cohort, str]:
    """Place the scans where access is fastest. Return them, and in words their place.

    Parameters
    ----------
    scans : sequence of TrainingScan
    device : torch.device
        Devices other than CUDA take the scans from the CPU's memory, unchanged.
    precision : {"float32", "float16"}
        Precision of the images held on the device. float16 keeps three digits.
    """
    if device.type != "cuda":
        return Cohort(scans, device), ""
    dtype = getattr(torch, precision)
    needed = sum(scan.image.numel() * dtype.itemsize + scan.lesion.nbytes for scan in scans)
    free = free_memory(device)
    sizes = f"{needed / GIB:.2f} GiB of {free / GIB:.1f} GiB free"
    if needed > HELD_SHARE * free:
        return Cohort(scans, device, fetched=True), f"scans are fetched ahead of each step: {sizes}"
    held = [
        replace(scan, image=scan.image.to(device, dtype), lesion=scan.lesion.to(device))
        for scan in scans
    ]
    return Cohort(held, device), f"scans are held on the GPU: {sizes}"


Held = Callable[[Sequence[TrainingScan], torch.device, HeldScans], tuple[Cohort, str]]
"""Where scans are held while a network is trained on them, as `hold` says it."""


def order(job: Job, scans: Sequence[TrainingScan], epoch: int) -> list[Sequence[TrainingScan]]:
    """Return the epoch's batches, in an order of its own. The last one holds the rest."""
    seed = derive_seed(job.seed, job.fold, "order", epoch)
    indices = torch.randperm(len(scans), generator=torch.Generator().manual_seed(seed)).tolist()
    size = job.settings.train.batch_size
    return [
        [scans[index] for index in indices[start : start + size]]
        for start in range(0, len(indices), size)
    ]


def collate(job: Job, scans: Sequence[TrainingScan], epoch: int, device: torch.device) -> Batch:
    """Return scans as a batch on the device, each augmented for this epoch."""
    # Apple's GPU has no nearest-neighbour sampling of volumes
    where = torch.device("cpu") if device.type == "mps" else device
    pairs = [
        augment(
            scan.image.to(where, torch.float32),
            scan.lesion.to(where, torch.float32),
            draw(
                job.settings.augment, derive_seed(job.seed, job.fold, "augment", epoch, scan.scan)
            ),
        )
        for scan in scans
    ]
    image, lesion = (torch.stack(each).to(device) for each in zip(*pairs, strict=True))
    label = torch.tensor([scan.label for scan in scans]).to(device, non_blocking=True)
    return Batch(scans, image.contiguous(memory_format=memory_format(device)), lesion, label)


def ahead(items: Iterable[Item], make: Callable[[Item], Made]) -> Iterator[Made]:
    """Yield the result for each item, in order. A thread makes the next one meanwhile.

    An error of `make` is raised where its result would be yielded.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[Made]] = deque()
        for item in items:
            waiting.append(thread.submit(make, item))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class _OnItsWay:
    """Scans whose tensors a separate stream copies to the device."""

    scans: Sequence[TrainingScan]
    arrived: torch.cuda.Event


class _Fetch:
    """Copies scans to a CUDA device through pinned memory, beside the computing stream."""

    def __init__(self, device: torch.device):
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def __call__(self, scans: Sequence[TrainingScan]) -> _OnItsWay:
        with torch.cuda.stream(self.stream):
            moved = [
                replace(scan, image=self._move(scan.image), lesion=self._move(scan.lesion))
                for scan in scans
            ]
            return _OnItsWay(moved, self.stream.record_event())

    def wait(self, moved: _OnItsWay) -> Sequence[TrainingScan]:
        """Make the computing stream wait for the scans, and return them."""
        computing = torch.cuda.current_stream(self.device)
        computing.wait_event(moved.arrived)
        for scan in moved.scans:
            # otherwise the copying stream could reuse their memory before they are used
            scan.image.record_stream(computing)
            scan.lesion.record_stream(computing)
        return moved.scans

    def _move(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.pin_memory().to(self.device, non_blocking=True)
