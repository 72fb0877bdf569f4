"""The list of methods: what can be trained, how it is called, which tables it is a row of.

This is the only place that knows the list; a new method is one entry. Importing this module imports
no torch, so that the workflow may read names and labels quickly: a network is imported when it is
built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from msnmo.errors import bad_input
from msnmo.networks.settings import PAPER_WEIGHTS, LossWeights, ModelSettings, Size

if TYPE_CHECKING:
    from torch import nn

__all__ = ["METHODS", "LossWeights", "Method", "ModelSettings", "get_method"]

Task = Literal["segmentation", "classification"]
Build = Callable[[ModelSettings, Size], "nn.Module"]

BOTH_TASKS: frozenset[Task] = frozenset({"segmentation", "classification"})


@dataclass(frozen=True)
class Method:
    """One row of the paper's tables: a network and how it is trained.

    Parameters
    ----------
    name : str
        Its name in the config and in paths.
    label : str
        Its name in the paper's tables.
    tasks : frozenset of {"segmentation", "classification"}
        What it predicts.
    tables : tuple of int
        The paper's tables that it is a row of.
    build : callable
        From the model's settings and the input size to a network with fresh weights, drawn from
        torch's global generator, that turns (B, 1, X, Y, Z) into `Outputs`.
    cross_task_loss : bool
        Whether it is trained with the cross-task loss, where its network allows one.
    """

    name: str
    label: str
    tasks: frozenset[Task]
    tables: tuple[int, ...]
    build: Build
    cross_task_loss: bool = True

    def loss_weights(self, weights: LossWeights = PAPER_WEIGHTS) -> LossWeights:
        """Return the weights of equation 14 that this method is trained with."""
        return weights if self.cross_task_loss else replace(weights, cross=0.0)


def _joint_model(**parts: str) -> Build:
    """Return a builder of the joint model, `parts` naming the variants that are not the paper's."""

    def build(settings: ModelSettings, size: Size) -> nn.Module:
        from msnmo.networks.joint import build_joint_model  # noqa: PLC0415 - imports torch

        return build_joint_model(settings, size, **parts)

    return build


_ALL = (Method("joint", "Joint Model", BOTH_TASKS, (3, 4, 5, 6, 7, 8, 9), _joint_model()),)

METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
"""Every method by name; the order is that of a table's rows."""


def get_method(name: str) -> Method:
    """Return the method of that name.

    Raises
    ------
    InputError
        If there is none; the known names are listed.
    """
    if name not in METHODS:
        known = ", ".join(METHODS)
        raise bad_input("config: methods", f"one of {known}", name, "correct the method's name")
    return METHODS[name]
