"""Fresh weights that follow from what a part is, never from the method that it is a part of.

So a variant of one part, or its absence, leaves the start of all others as it is: an ablation
differs from the joint model in that part alone, and not by another draw of random numbers.
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
        What the part is. Parts of one name and shape start with the same weights, in whichever
        network they are; a part that is made within another's `make` has a name within that one's.
    make : callable
        Builds the part from torch's global generator, which is afterwards as it was before.

    Returns
    -------
    Module
        Its weights follow from torch's seed (`torch.manual_seed`) and the name.
    """
    seed = derive_seed(torch.initial_seed(), name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()
