"""Fresh weights that depend on what a part is, and not on the method that it belongs to.

If a part is left out or is another variant, all other parts still start with the same weights. So
an ablation differs from the joint model in that part only, and not by other random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from msnmo.core.seeds import derive_seed

Part = TypeVar("Part", bound=nn.Module)


def draw_apart(name: str, make: Callable[[], Part]) -> Part:
    """Make a part with random numbers of its own.

    Parameters
    ----------
    name : str
        What the part is. Parts of the same name and shape start with the same weights in every
        network. If a part is made within the `make` of another, its weights depend on both names.
    make : callable
        Builds the part with torch's global generator, whose state is restored afterwards.

    Returns
    -------
    Module
        Its weights depend on torch's seed (`torch.manual_seed`) and the name.
    """
    seed = derive_seed(torch.initial_seed(), name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()
