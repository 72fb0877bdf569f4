"""The progress of a training, and all that it needs to continue from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from msnmo.train.checkpoint import restore_rng, rng_state
from msnmo.train.step import Step

NOTHING_DONE: Mapping[str, Any] = {"batches": 0, "sums": {}, "seconds": 0.0}
"""Progress within an epoch: finished batches, sums of losses over their scans, and seconds."""


@dataclass
class Progress:
    """The progress of a training.

    Parameters
    ----------
    step : Step
        Its network and Adam.
    plateau : ReduceLROnPlateau
    history : list of dict
        A row for each finished epoch.
    resumed_from : list of int
        For each time the training was resumed, the last epoch finished before.
    within : mapping
        Like `NOTHING_DONE`, for the interrupted epoch.
    """

    step: Step
    plateau: ReduceLROnPlateau
    history: list[dict[str, Any]] = field(default_factory=list)
    resumed_from: list[int] = field(default_factory=list)
    within: Mapping[str, Any] = field(default_factory=lambda: NOTHING_DONE)

    def state(self, within: Mapping[str, Any] = NOTHING_DONE) -> dict[str, Any]:
        """Return the content of a checkpoint. Its tensors are the ones in use, not copies."""
        return {
            "model": self.step.model.state_dict(),
            "optimiser": self.step.optimiser.state_dict(),
            "plateau": self.plateau.state_dict(),
            "rng": rng_state(self.step.device),
            "history": self.history,
            "resumed_from": self.resumed_from,
            "within": dict(within),
        }

    def restore(self, state: Mapping[str, Any]) -> str:
        """Restore a state, and return in words when it was saved."""
        self.step.model.load_state_dict(state["model"])
        # for the device that the state was saved on
        for group in state["optimiser"]["param_groups"]:
            group["fused"] = self.step.fused
        self.step.optimiser.load_state_dict(state["optimiser"])
        self.plateau.load_state_dict(state["plateau"])
        restore_rng(state["rng"], self.step.device)
        self.history, self.within = state["history"], state.get("within", NOTHING_DONE)
        self.resumed_from = [*state["resumed_from"], len(self.history)]
        batches = self.within["batches"]
        place = f"epoch {len(self.history)}/{self.step.job.settings.train.epochs}"
        return f"{place} and {batches} batches" if batches else place
