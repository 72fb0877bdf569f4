"""Check before training whether a network can be trained on its batches.

Normalisation over a batch or a scan has nothing to average if the deepest level is one voxel of one
scan. torch would fail with its own message, for the last batch of an epoch and after hours.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from msnmo.compute.device import is_full
from msnmo.core.errors import bad_input
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job

LARGEST = 32
"""Edge in voxels from which no deepest level is one voxel: no network halves more than five times.
Below it, a trial costs less than a step."""


def refuse_untrainable(job: Job, model: nn.Module, scans: Sequence[TrainingScan]) -> None:
    """Try the batch sizes of an epoch on a network in training mode, which stays unchanged.

    Raises
    ------
    InputError
        Says why a batch of the job's scans cannot be used for training.
    """
    shape = tuple(scans[0].image.shape[1:])
    if max(shape) > LARGEST:
        return
    size = job.settings.train.batch_size
    device = next(model.parameters()).device
    for count in sorted({min(size, len(scans)), len(scans) % size} - {0}):
        devices = [device] if device.type == "cuda" else []
        try:
            with torch.no_grad(), torch.random.fork_rng(devices):
                copy.deepcopy(model)(torch.zeros(count, 1, *shape, device=device))
        except (ValueError, RuntimeError) as error:
            if is_full(error):
                raise
            raise bad_input(
                f"training of {job.method}, {len(scans)} scans in batches of {size}",
                f"a network that learns from {count} scan{'s' if count > 1 else ''} of "
                f"{' x '.join(map(str, shape))} voxels",
                str(error).splitlines()[0],
                "raise resize.size, to 64 64 64 at least; or use another norm "
                f"(method_settings.{job.method}.model.norm, group) or train.batch_size, so that "
                "no scan is left over alone",
            ) from error
