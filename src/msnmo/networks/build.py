"""The network of a method, built by the module that the list of methods names.

Only that module is imported. Whether a rule runs again follows from the code that it imports. So a
change of one network does not make other methods run again.
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
        From (B, 1, X, Y, Z) to `Outputs`. A network that classifies has the bias of its last layer
        as `class_bias`. Weights are in the order of channels in which a CPU is fastest.

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
