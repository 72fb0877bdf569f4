"""How far a training has come, and all that it needs to go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from msnmo.train.checkpoint import restore_rng, rng_state
from msnmo.train.step import Step

NOTHING_DONE: Mapping[str, Any] = {"batches": 0, "sums": {}, "seconds": 0.0}
"""Of an epoch: its batches done, the losses' sums over their scans, and seconds."""


@dataclass
class Progress:
    """How far a training has come.

    Parameters
    ----------
    step : Step
        Its network and Adam.
    plateau : ReduceLROnPlateau
    history : list of dict
        A row for each finished epoch.
    resumed_from : list of int
        For each time the training was taken up again, the last epoch that was finished before.
    within : mapping
        As `NOTHING_DONE`, of the epoch that was interrupted.
    """

    step: Step
    plateau: ReduceLROnPlateau
    history: list[dict[str, Any]] = field(default_factory=list)
    resumed_from: list[int] = field(default_factory=list)
    within: Mapping[str, Any] = field(default_factory=lambda: NOTHING_DONE)

    def state(self, within: Mapping[str, Any] = NOTHING_DONE) -> dict[str, Any]:
        """Return what a checkpoint keeps; the tensors are those that the training goes on with."""
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
        """Go back to a state, and return in words after what it was kept."""
        self.step.model.load_state_dict(state["model"])
        # of the device that the state was kept on
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
