"""The network of a method, built by the module that the list of methods names.

That module alone is imported, and the versions of code that rerun a rule follow it: a change of one
network predicts no other method again.
"""

from __future__ import annotations

from importlib import import_module

import torch
from torch import nn

from msnmo.networks.small_maps import guard_small_maps
from msnmo.settings.keys import Section
from msnmo.settings.methods import Method
from msnmo.settings.model import Size


def build_network(method: Method, settings: Section, size: Size) -> nn.Module:
    """Return a method's network with fresh weights, drawn from torch's global generator.

    Parameters
    ----------
    method : Method
    settings : Section
        Of the method's own kind, `Method.settings`.
    size : (3,) tuple of int
        Input size in voxels.

    Returns
    -------
    Module
        From (B, 1, X, Y, Z) to `Outputs`; one that classifies has its last layer's bias as
        `class_bias`. Its channels lie as a CPU computes them fastest.

    Raises
    ------
    InputError
        If the network cannot take the size.
    """
    module = import_module(f"msnmo.networks.{method.module}")
    network: nn.Module = getattr(module, method.function)(settings, size, **method.variant)
    guard_small_maps(network)
    if method.channels_last:
        # torch's stub leaves the layout out
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network
