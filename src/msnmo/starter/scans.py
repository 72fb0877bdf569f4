"""Training scans that are drawn when their turn comes, and never twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import torch

from msnmo.core.seeds import derive_seed
from msnmo.demo.lesions import Diagnosis
from msnmo.settings.sections import HeldScans
from msnmo.starter.render import simulate
from msnmo.train.batches import Batch, Cohort, ahead, collate, order
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job

SIMULATION_VERSION = 1
"""Raise it by one when equal seeds are meant to give other scans than before."""


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
    content = {"simulation": str(SIMULATION_VERSION)}
    return [
        TrainingScan(f"simulated-{number:04d}", number % 2, image, lesion, content)
        for number in range(count)
    ]


@dataclass(frozen=True)
class SimulatedCohort(Cohort):
    """Stand-ins of `scans_to_draw`, each drawn anew in every epoch."""

    def batches(self, job: Job, epoch: int, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch; a thread draws the next while one is learned from."""
        chosen = order(job, self.scans, epoch)[done:]
        for scans in ahead(chosen, partial(_draw_all, job, epoch)):
            yield collate(job, scans, epoch, self.device)


def hold_none(
    scans: Sequence[TrainingScan], device: torch.device, _: HeldScans
) -> tuple[Cohort, str]:
    """Return the cohort of stand-ins, and in words where its scans are."""
    return SimulatedCohort(scans, device), "scans are drawn when their turn comes"


def draw(scan: TrainingScan, seed: int) -> TrainingScan:
    """Return a stand-in with the image and the lesions that a seed stands for."""
    diagnosis: Diagnosis = get_args(Diagnosis)[scan.label]
    made = simulate(seed, diagnosis, scan.image.shape[-1])
    return replace(scan, image=made.image, lesion=made.lesion)


def _draw_all(job: Job, epoch: int, scans: Sequence[TrainingScan]) -> list[TrainingScan]:
    return [draw(scan, derive_seed(job.seed, "simulated", epoch, scan.scan)) for scan in scans]
