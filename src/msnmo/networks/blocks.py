"""The convolution blocks that every sub-network is made of."""

from __future__ import annotations

from monai.networks.blocks.convolutions import Convolution
from torch import nn

from msnmo.networks.norm import with_own_norm

NORM = ("instance", {"affine": True})
"""Instance norm, because a batch holds two scans (the paper does not name its norm)."""
ACTIVATION = ("relu", {"inplace": True})


def conv_block(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """Return a 3x3x3 convolution, instance norm and ReLU.

    The convolution has no bias, because the norm would remove it.
    """
    return with_own_norm(
        Convolution(
            3, in_channels, out_channels, strides=stride, act=ACTIVATION, norm=NORM, bias=False
        )
    )


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return two convolution blocks: an encoding or decoding module."""
    return nn.Sequential(
        conv_block(in_channels, out_channels), conv_block(out_channels, out_channels)
    )
