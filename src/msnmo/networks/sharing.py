"""Information-sharing subnetwork: a local and a global branch, crossed over (section 3.2.2)."""

from __future__ import annotations

from typing import Literal

import torch
from monai.networks.nets.swin_unetr import BasicLayer
from torch import Tensor, nn
from torch.nn import functional as F

from msnmo.networks.blocks import conv_block
from msnmo.settings.model import TOKEN, ModelSettings, Size

Sharing = Literal["crossover", "none", "local", "global"]


class LocalBranch(nn.Sequential):
    """CTX_local = Conv(LN(I)): three 3x3x3 convolutions, strides 2, 1, 1 (equation 3).

    (B, 1, X, Y, Z) becomes (B, `channels`, X/2, Y/2, Z/2). LN over the channels of an image that
    has one channel would be 0 everywhere, so it is taken over the volume (group norm, one group).
    """

    def __init__(self, channels: int):
        super().__init__(
            nn.GroupNorm(num_groups=1, num_channels=1),
            conv_block(1, channels, stride=2),
            conv_block(channels, channels),
            conv_block(channels, channels),
        )


class PatchEmbedding(nn.Sequential):
    """E = PE(I): convolution of 8x8x8 at stride 8, then average pooling of 2x2x2 (equation 2).

    (B, 1, X, Y, Z) becomes (B, `embedding`, X/16, Y/16, Z/16): a token is 16 voxels wide.
    """

    def __init__(self, embedding: int):
        super().__init__(nn.Conv3d(1, embedding, kernel_size=8, stride=8), nn.AvgPool3d(2))


class GlobalBranch(nn.Module):
    """CTX_global = UP(ST(LN(PE(I)))) (equations 1 and 2).

    ST is two Swin transformer layers, the second with shifted and masked windows. Where the token
    grid is smaller than a window, the window is the grid and nothing is left to shift.

    Parameters
    ----------
    settings : ModelSettings
        Embedding, heads, perceptron ratio and window.
    size : (3,) tuple of int
        Input size in voxels, divisible by 16.
    """

    def __init__(self, settings: ModelSettings, size: Size):
        super().__init__()
        self.patch_embedding = PatchEmbedding(settings.embedding)
        self.norm = nn.LayerNorm(settings.embedding)
        self.transformer = BasicLayer(
            dim=settings.embedding,
            depth=2,
            num_heads=settings.heads,
            # clamped here: left to the layer, the position bias would keep the full window's
            # geometry and no longer tell neighbours apart
            window_size=tuple(min(settings.window, edge // TOKEN) for edge in size),
            drop_path=[0.0, 0.0],
            mlp_ratio=settings.mlp_ratio,
            qkv_bias=True,
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return (B, embedding, X/2, Y/2, Z/2) for an image of (B, 1, X, Y, Z)."""
        tokens = self.patch_embedding(image)
        tokens = self.norm(tokens.movedim(1, -1)).movedim(-1, 1)
        context = self.transformer(tokens)
        return F.interpolate(context, scale_factor=TOKEN // 2, mode="trilinear")


class Crossover(nn.Module):
    """Mix two branches by four learnable scalars (equation 4).

    `weight` is [[w_seg1, w_seg2], [w_cls2, w_cls1]]; its diagonal starts at `start`, the rest at
    1 - `start`.
    """

    def __init__(self, start: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[start, 1 - start], [1 - start, start]]))

    def forward(self, local: Tensor, global_: Tensor) -> tuple[Tensor, Tensor]:
        """Return f_seg and f_cls, each of the branches' shape."""
        (seg_local, seg_global), (cls_local, cls_global) = self.weight
        f_seg = seg_local * local + seg_global * global_
        f_cls = cls_local * local + cls_global * global_
        return f_seg, f_cls


class InformationSharing(nn.Module):
    """Both branches and their crossover: an image becomes f_seg and f_cls."""

    def __init__(self, settings: ModelSettings, size: Size):
        super().__init__()
        self.local_branch = LocalBranch(settings.base_channels)
        self.global_branch = GlobalBranch(settings, size)
        self.crossover = Crossover(settings.crossover_start)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return f_seg and f_cls, (B, C, X/2, Y/2, Z/2), for an image of (B, 1, X, Y, Z)."""
        return self.crossover(self.local_branch(image), self.global_branch(image))


class HardSharing(nn.Module):
    """One branch whose features serve both tasks ("Only local", "Only global").

    Parameters
    ----------
    branch : Module
        `LocalBranch` or `GlobalBranch`.
    """

    def __init__(self, branch: nn.Module):
        super().__init__()
        self.branch = branch

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return f_seg and f_cls, which are one tensor."""
        shared = self.branch(image)
        return shared, shared


class SeparateStems(nn.Module):
    """A stem for each task and nothing shared ("w/o share"); a stem is like the local branch."""

    def __init__(self, channels: int):
        super().__init__()
        self.segmentation_stem = LocalBranch(channels)
        self.classification_stem = LocalBranch(channels)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return f_seg and f_cls."""
        return self.segmentation_stem(image), self.classification_stem(image)


def build_sharing(settings: ModelSettings, size: Size, sharing: Sharing) -> nn.Module:
    """Return the information-sharing subnetwork or a variant of it (Table 7).

    Parameters
    ----------
    settings : ModelSettings
    size : (3,) tuple of int
        Input size in voxels, divisible by 16.
    sharing : {"crossover", "none", "local", "global"}
    """
    match sharing:
        case "crossover":
            return InformationSharing(settings, size)
        case "none":
            return SeparateStems(settings.base_channels)
        case "local":
            return HardSharing(LocalBranch(settings.base_channels))
        case "global":
            return HardSharing(GlobalBranch(settings, size))
