"""Training scans that are drawn when their turn comes, and replaced after a few epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from msnmo.core.seeds import derive_seed
from msnmo.demo.lesions import Diagnosis
from msnmo.settings.sections import HeldScans
from msnmo.starter.render import SIMULATION_VERSION
from msnmo.starter.store import Drawing, drawn
from msnmo.train.batches import Batch, Cohort, ahead, collate, order
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job

PASSES = 4
"""Epochs that learn from a drawn scan. One in so many is replaced after each epoch."""


def scans_to_draw(count: int, size: int) -> list[TrainingScan]:
    """Return stand-ins of an epoch's scans, both classes in turn: they hold no image yet.

    Parameters
    ----------
    count : int
        Scans in an epoch.
    size : int
        Edge of model space in voxels.
    """
    shape = (1, size, size, size)
    image, lesion = torch.zeros(1).expand(shape), torch.zeros(1, dtype=torch.bool).expand(shape)
    content = {"simulation": str(SIMULATION_VERSION), "passes": str(PASSES)}
    return [
        TrainingScan(f"simulated-{number:04d}", number % 2, image, lesion, content)
        for number in range(count)
    ]


@dataclass(frozen=True)
class SimulatedCohort(Cohort):
    """Stand-ins of `scans_to_draw`, which are drawn when an epoch needs them.

    Parameters
    ----------
    store : Path, optional
        Folder that drawn scans are looked for in, and kept in.
    """

    store: Path | None = None

    def batches(self, job: Job, epoch: int, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch; a thread draws the next while one is learned from."""
        chosen = order(job, self.scans, epoch)[done:]
        for scans in ahead(chosen, partial(self._draw, job, epoch)):
            yield collate(job, scans, epoch, self.device)

    def _draw(self, job: Job, epoch: int, scans: Sequence[TrainingScan]) -> list[TrainingScan]:
        made = [drawn(drawing(job, epoch, scan), self.store) for scan in scans]
        return [
            replace(scan, image=image, lesion=lesion)
            for scan, (image, lesion) in zip(scans, made, strict=True)
        ]


@dataclass(frozen=True)
class HoldNone:
    """Says where the scans are: nowhere, until they are drawn.

    Parameters
    ----------
    store : Path, optional
        Folder that drawn scans are looked for in, and kept in.
    """

    store: Path | None = None

    def __call__(
        self, scans: Sequence[TrainingScan], device: torch.device, _: HeldScans
    ) -> tuple[Cohort, str]:
        """Return the cohort of stand-ins, and in words where its scans are."""
        cohort = SimulatedCohort(scans, device, store=self.store)
        return cohort, "scans are drawn when their turn comes"


def drawing(job: Job, epoch: int, scan: TrainingScan) -> Drawing:
    """Return what a stand-in stands for in an epoch, counted from 1."""
    number = int(scan.scan.rpartition("-")[2])
    # another quarter of the scans is replaced after each epoch
    seed = derive_seed(job.seed, "simulated", (epoch + number) // PASSES, scan.scan)
    diagnosis: Diagnosis = get_args(Diagnosis)[scan.label]
    return Drawing(seed, diagnosis, scan.image.shape[-1])


def drawings(job: Job, scans: Sequence[TrainingScan]) -> list[Drawing]:
    """Return all that a training draws, once each, in the order that it needs them in."""
    epochs = range(1, job.settings.train.epochs + 1)
    needed = (
        drawing(job, epoch, scan)
        for epoch in epochs
        for batch in order(job, scans, epoch)
        for scan in batch
    )
    return list(dict.fromkeys(needed))
