"""Lesion segmentation subnetwork: contraction, expansion and multi-scale heads (section 3.2.3)."""

from __future__ import annotations

from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msnmo.networks.blocks import conv_block, double_conv
from msnmo.networks.draw import draw_apart

SCALE_WEIGHTS = (0.25, 0.25, 0.5, 1.0)
"""alpha_i of equation 5, coarse to fine."""


class Expansion(nn.Module):
    """One step of the expansion path: up-sample by 2, concatenate the skip, decode."""

    def __init__(self, in_channels: int, out_channels: int, skip_channels: int):
        super().__init__()
        self.up = nn.ConvTranspose3d(in_channels, out_channels, kernel_size=2, stride=2)
        # drawn before the first block, which a skip makes wider: so this one starts with the same
        # weights with and without a skip
        second = conv_block(out_channels, out_channels)
        self.decode = nn.Sequential(conv_block(out_channels + skip_channels, out_channels), second)

    def forward(self, features: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return features of twice the edge length."""
        raised = self.up(features)
        return self.decode(raised if skip is None else torch.cat([skip, raised], dim=1))


class Segmentation(nn.Module):
    """Compute the lesion map from f_seg, and the maps of four scales that it is made of.

    Parameters
    ----------
    channels : int
        Channels of f_seg. The paths have 1, 2 and 4 times as many, the full-size map has half.
    prior_logit : float
        Initial bias of the heads, so that the lesion map starts at the lesion prior.
    image_skip : bool
        Whether the last decoding block sees the image itself, at full size. The paper's skips come
        from the contraction path alone, which starts at half the size.
    """

    def __init__(self, channels: int, prior_logit: float, image_skip: bool = False):
        super().__init__()
        self.image_skip = image_skip
        half, single, double, fourfold = channels // 2, channels, 2 * channels, 4 * channels
        self.encode_1 = double_conv(single, single)
        self.encode_2 = nn.Sequential(conv_block(single, double, 2), double_conv(double, double))
        self.encode_3 = nn.Sequential(
            conv_block(double, fourfold, 2), double_conv(fourfold, fourfold)
        )
        self.expand_1 = Expansion(fourfold, double, skip_channels=double)
        self.expand_2 = Expansion(double, single, skip_channels=single)
        self.expand_3 = draw_apart(
            "expand_3", lambda: Expansion(single, half, skip_channels=int(image_skip))
        )
        widths = (fourfold, double, single, half)
        self.heads = nn.ModuleList(nn.Conv3d(width, 1, kernel_size=1) for width in widths)
        for head in self.heads:
            nn.init.constant_(head.get_parameter("bias"), prior_logit)

    def forward(self, f_seg: Tensor, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the lesion logits and S_1 to S_4.

        Parameters
        ----------
        f_seg : (B, channels, X/2, Y/2, Z/2) Tensor
        image : (B, 1, X, Y, Z) Tensor
            The image that f_seg was made of. It is used only if `image_skip` is set.

        Returns
        -------
        lesion_logits : (B, 1, X, Y, Z) Tensor of float32
        scale_logits : tuple of (B, 1, x, y, z) Tensor of float32
            At 1/8, 1/4, 1/2 and 1/1 of the input's size.
        """
        encoded_1 = self.encode_1(f_seg)
        encoded_2 = self.encode_2(encoded_1)
        eighth = self.encode_3(encoded_2)
        quarter = self.expand_1(eighth, encoded_2)
        half = self.expand_2(quarter, encoded_1)
        full = self.expand_3(half, image if self.image_skip else None)
        maps = (eighth, quarter, half, full)
        # float32 also under autocast: one channel costs little, and probabilities near 0 need it
        scales = tuple(head(each).float() for head, each in zip(self.heads, maps, strict=True))
        return combine_scales(scales), scales


def combine_scales(scale_logits: tuple[Tensor, ...]) -> Tensor:
    """Return sum_i alpha_i Up(S_i), the lesion map before its sigmoid (equation 5).

    Parameters
    ----------
    scale_logits : tuple of four (B, 1, x, y, z) Tensor
        S_1 to S_4, coarse to fine; the last has the input's size.
    """
    size = scale_logits[-1].shape[2:]
    raised = (F.interpolate(each, size=size, mode="nearest") for each in scale_logits)
    return reduce(add, (weight * each for weight, each in zip(SCALE_WEIGHTS, raised, strict=True)))
