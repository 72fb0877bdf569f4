"""One training step: forward, losses, backward, Adam."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Adam

from msnmo.compute.device import autocast, is_full
from msnmo.networks.losses import joint_loss
from msnmo.networks.recompute import recompute_blocks
from msnmo.settings.methods import LossWeights
from msnmo.train.batches import Batch
from msnmo.train.job import Job, Running


class Step:
    """The work on each batch. Nothing in it makes the CPU wait for a GPU.

    Parameters
    ----------
    job : Job
    model : Module
        On the device, in training mode.
    device : torch.device
        On CUDA, Adam is one kernel for all weights.
    running : Running
    """

    def __init__(self, job: Job, model: nn.Module, device: torch.device, running: Running):
        self.job, self.model, self.device = job, model, device
        # None lets torch choose; False would loop over all weights
        self.fused = True if device.type == "cuda" else None
        self.optimiser = Adam(
            model.parameters(), lr=job.settings.train.learning_rate, fused=self.fused
        )
        if running.gradient_checkpointing:
            recompute_blocks(model)
        self._network: Callable[..., Any] = model
        self._to_compile = running.compile and device.type == "cuda"

    @property
    def learning_rate(self) -> float:
        """Adam's current learning rate, after the plateaus so far."""
        rate: float = self.optimiser.param_groups[0]["lr"]
        return rate

    def losses(self, batch: Batch, weights: LossWeights) -> dict[str, torch.Tensor]:
        """Return the losses of a batch, as `msnmo.networks.losses.joint_loss` does."""
        if self._to_compile:
            self._to_compile = False
            self.compile(batch, weights)
        return self._losses(self._network, batch, weights)

    def learn(self, loss: torch.Tensor) -> None:
        """Take one step of Adam for a batch's total loss."""
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def compile(self, batch: Batch, weights: LossWeights) -> bool:
        """Compile the network for batches of this shape. Return whether this worked.

        It is tried on the batch, forward and backward, as some failures come late. A network that
        cannot be compiled trains uncompiled, with a message on stderr.
        """
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            compiled = torch.compile(self.model, dynamic=False)
            with torch.random.fork_rng(devices):
                self._losses(compiled, batch, weights)["total"].backward()
        except Exception as error:  # torch's compilers raise errors of any kind
            if is_full(error):
                raise
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(f"msnmo: trained uncompiled: torch.compile failed: {reason}", file=sys.stderr)
            return False
        finally:
            self.optimiser.zero_grad()
        self._network = compiled
        return True

    def _losses(
        self, network: Callable[..., Any], batch: Batch, weights: LossWeights
    ) -> dict[str, torch.Tensor]:
        settings = self.job.settings
        with autocast(self.device, settings.train.precision):
            return joint_loss(
                *(network(batch.image), batch.lesion, batch.label, weights),
                settings=settings.loss,
                segmentation=settings.train.segmentation_loss,
            )
