"""Lesion guidance module: the lesion map guides classification (section 3.3.1, Table 8)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from msnmo.settings.model import Activation, GuidanceStart

GUIDANCE_LOGIT = 4.0

Variant = Literal["none", "dot", "concat", "add", "full"]


class LesionGuidance(nn.Module):
    """Compute the joint features J from the lesion map P and f_cls = D (equations 7 to 9).

    With P' = f_P(P), alpha = activation(P') and D' = alpha * D, the variants of Table 8 are

    =========  ========================================================
    none       J = D
    dot        J = D'
    add        J = D + P'
    concat     J = f_1x1(concat(f_3x3(P'), f_3x3(D)))
    full       J = f_1x1(concat(f_3x3(P'), f_3x3(D')))
    =========  ========================================================

    The paper gives f_3x3 a stride of 2, but says that J has the size of D. Here the stride is 1.

    Parameters
    ----------
    channels : int
        Channels of D and J.
    variant : {"none", "dot", "concat", "add", "full"}
    activation : {"sigmoid", "softmax_spatial"}
        Equation 7 has softmax, but the sentence about it says sigmoid. The choice is ours. P' has
        one channel, over which softmax is constant. ``softmax_spatial`` takes it over the volume.
    start : {"lesion_map", "random"}
        How f_P starts (`start_as_lesion_map`).
    """

    def __init__(
        self,
        channels: int,
        variant: Variant,
        activation: Activation,
        start: GuidanceStart = "lesion_map",
    ):
        super().__init__()
        self.attends = variant in ("dot", "full")
        self.adds = variant == "add"
        self.activation = activation
        self.lesion = (
            None if variant == "none" else nn.Conv3d(1, 1, kernel_size=3, stride=2, padding=1)
        )
        self.fusion = Fusion(channels) if variant in ("concat", "full") else None
        if self.lesion is not None and start == "lesion_map":
            start_as_lesion_map(self.lesion)

    def forward(self, lesion_probability: Tensor, f_cls: Tensor) -> Tensor:
        """Return J.

        Parameters
        ----------
        lesion_probability : (B, 1, X, Y, Z) Tensor
            M_lesion, 0 to 1.
        f_cls : (B, channels, X/2, Y/2, Z/2) Tensor

        Returns
        -------
        (B, channels, X/2, Y/2, Z/2) Tensor
        """
        if self.lesion is None:
            return f_cls
        lesion = self.lesion(lesion_probability)
        features = attention(lesion, self.activation) * f_cls if self.attends else f_cls
        if self.adds:
            features = features + lesion
        return features if self.fusion is None else self.fusion(lesion, features)


def start_as_lesion_map(convolution: nn.Conv3d) -> None:
    """Make f_P start as the mean of P over its kernel, so that alpha starts as the lesion map.

    P' starts at -`GUIDANCE_LOGIT` outside lesions and at +`GUIDANCE_LOGIT` within them. Alpha
    is then 0.02 and 0.98. With a random start alpha is about 0.5 everywhere. On small cohorts
    classification then memorises the anatomy of the training scans instead of using their lesions.
    """
    nn.init.constant_(convolution.weight, 2 * GUIDANCE_LOGIT / convolution.weight.numel())
    nn.init.constant_(convolution.get_parameter("bias"), -GUIDANCE_LOGIT)


class Fusion(nn.Module):
    """f_1x1(concat(f_3x3(P'), f_3x3(D'))) (equation 9)."""

    def __init__(self, channels: int):
        super().__init__()
        self.lesion = nn.Conv3d(1, channels, kernel_size=3, padding=1)
        self.features = nn.Conv3d(channels, channels, kernel_size=3, padding=1)
        self.join = nn.Conv3d(2 * channels, channels, kernel_size=1)

    def forward(self, lesion: Tensor, features: Tensor) -> Tensor:
        """Return J for P' (B, 1, x, y, z) and D or D' (B, channels, x, y, z)."""
        return self.join(torch.cat([self.lesion(lesion), self.features(features)], dim=1))


def attention(lesion: Tensor, activation: Activation) -> Tensor:
    """Return the lesion attention map alpha of P' (equation 7), of the same shape."""
    if activation == "sigmoid":
        return lesion.sigmoid()
    return lesion.flatten(1).softmax(dim=1).view_as(lesion)
