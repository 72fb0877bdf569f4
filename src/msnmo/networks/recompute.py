"""Gradient checkpointing: activations are computed twice, so training takes less memory."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

CONVOLUTIONS = (nn.Conv3d, nn.ConvTranspose3d)
LISTS = (nn.ModuleList, nn.ModuleDict)
"""They hold modules and have no forward pass of their own."""


def recompute_blocks(network: nn.Module) -> list[str]:
    """Make a network keep only the inputs of its blocks during training, in place.

    A block is a module with two or more convolutions that contains no other block. The backward
    pass computes the activations within a block again. The numbers are the same, and a step takes a
    third more time. Names and weights stay the same.

    Returns
    -------
    list of str
        The names of the blocks.
    """
    blocks = [(name, module) for name, module in network.named_modules() if _is_block(module)]
    for _, module in blocks:
        # an attribute hides the method; a wrapper would rename the weights
        module.forward = partial(checkpoint, module.forward, use_reentrant=False)
    return [name for name, _ in blocks]


def _is_block(module: nn.Module) -> bool:
    if isinstance(module, LISTS) or _convolutions(module) < 2:
        return False
    within = (each for each in module.modules() if each is not module)
    return not any(_is_block(each) for each in within)


def _convolutions(module: nn.Module) -> int:
    return sum(isinstance(each, CONVOLUTIONS) for each in module.modules())
