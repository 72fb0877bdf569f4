"""Convolutions over maps smaller than their kernel, which are wrong on a CPU in bfloat16.

The gradient of the weights by PyTorch 2.13 then contains uninitialised memory. With a 5 x 5 x 5
kernel over 3 x 3 x 3 voxels, 13 of 25 gradients had NaN. With a 3 x 3 x 3 kernel over 2 x 2 x 2
voxels, 5 had NaN. With kernels that are not larger than their map, none had. So these convolutions
are computed in float32. The cost is too small to measure: these maps are the smallest of a network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SmallMapConv3d(nn.Conv3d):
    """A convolution that runs without autocast on a CPU if its kernel is larger than its map."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002 - torch's name
        if not self._is_small(input):
            return super()._conv_forward(input, weight, bias)
        with torch.autocast("cpu", enabled=False):
            return super()._conv_forward(input.float(), weight, bias)

    def _is_small(self, maps: Tensor) -> bool:
        on_cpu = maps.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        edges = zip(self.kernel_size, maps.shape[2:], strict=True)
        return on_cpu and any(kernel > edge for kernel, edge in edges)


def guard_small_maps(network: nn.Module) -> nn.Module:
    """Make each convolution of a network a `SmallMapConv3d`, in place; the weights stay."""
    for module in network.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = SmallMapConv3d
    return network
