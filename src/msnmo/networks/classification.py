"""Disease classification subnetwork: three residual blocks, pooled and joined (section 3.2.4)."""

from __future__ import annotations

import torch
from monai.networks.nets.resnet import ResNetBlock
from torch import Tensor, nn

from msnmo.networks.blocks import ACTIVATION, NORM
from msnmo.networks.norm import with_own_norm

CLASSES = 2
"""MS = 0, NMOSD = 1."""


def residual_block(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return a residual block of two 3x3x3 convolutions.

    The shortcut is a plain 1x1x1 convolution. An instance norm there as well would remove the mean
    of every channel, and global average pooling reads these means.
    """
    shortcut = nn.Conv3d(in_channels, out_channels, kernel_size=1, stride=stride)
    return with_own_norm(
        ResNetBlock(
            in_channels, out_channels, stride=stride, downsample=shortcut, act=ACTIVATION, norm=NORM
        )
    )


class Classification(nn.Module):
    """Compute the logits of MS and NMOSD from the joint features J (equation 6).

    Parameters
    ----------
    channels : int
        Channels of J; the blocks have 2, 4 and 8 times as many.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.widths = (2 * channels, 4 * channels, 8 * channels)
        self.block_1 = residual_block(channels, self.widths[0], stride=1)
        self.block_2 = residual_block(self.widths[0], self.widths[1], stride=2)
        self.block_3 = residual_block(self.widths[1], self.widths[2], stride=2)
        self.fully_connected = nn.Linear(sum(self.widths), CLASSES)

    @property
    def class_weights(self) -> tuple[Tensor, ...]:
        """The fully connected layer's (2, C_i) slices, one for each of F_1 to F_3."""
        return self.fully_connected.weight.split(self.widths, dim=1)

    def forward(self, joint: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the class logits and F_1 to F_3.

        Parameters
        ----------
        joint : (B, channels, X/2, Y/2, Z/2) Tensor

        Returns
        -------
        class_logits : (B, 2) Tensor of float32
        features : tuple of (B, C_i, x, y, z) Tensor
            At 1/2, 1/4 and 1/8 of the input's size.
        """
        first = self.block_1(joint)
        second = self.block_2(first)
        features = (first, second, self.block_3(second))
        # float32 also under autocast, so that logits are the means of the localisation maps
        pooled = [each.mean(dim=(2, 3, 4), dtype=torch.float32) for each in features]
        with torch.autocast(joint.device.type, enabled=False):
            return self.fully_connected(torch.cat(pooled, dim=1)), features
