"""One training step: forward, losses, backward, Adam."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Adam

from msnmo.compute.device import autocast
from msnmo.networks.losses import joint_loss
from msnmo.settings.methods import LossWeights
from msnmo.train.batches import Batch
from msnmo.train.job import Job


class Step:
    """What is done with each batch; nothing in it makes the computer wait for a GPU.

    Parameters
    ----------
    job : Job
    model : Module
        On the device, in training mode.
    device : torch.device
    """

    def __init__(self, job: Job, model: nn.Module, device: torch.device):
        self.job, self.model, self.device = job, model, device
        self.optimiser = Adam(model.parameters(), lr=job.settings.train.learning_rate)

    @property
    def learning_rate(self) -> float:
        """Adam's, as the plateaus so far have left it."""
        rate: float = self.optimiser.param_groups[0]["lr"]
        return rate

    def losses(self, batch: Batch, weights: LossWeights) -> dict[str, torch.Tensor]:
        """Return the losses of a batch, as `msnmo.networks.losses.joint_loss` does."""
        settings = self.job.settings
        with autocast(self.device, settings.train.precision):
            return joint_loss(
                *(self.model(batch.image), batch.lesion, batch.label, weights),
                settings=settings.loss,
                segmentation=settings.train.segmentation_loss,
            )

    def learn(self, loss: torch.Tensor) -> None:
        """Take the step of Adam that a batch's total loss asks for."""
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
