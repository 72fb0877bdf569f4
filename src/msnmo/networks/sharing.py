"""Information-sharing subnetwork: a local and a global branch, crossed over (section 3.2.2)."""

from __future__ import annotations

from typing import Literal

import torch
from monai.networks.nets.swin_unetr import BasicLayer
from torch import Tensor, nn
from torch.nn import functional as F

from msnmo.networks.blocks import conv_block
from msnmo.networks.draw import draw_apart
from msnmo.networks.norm import VolumeNorm
from msnmo.settings.model import TOKEN, ModelSettings, Size

Sharing = Literal["crossover", "none", "local", "global"]


class LocalBranch(nn.Sequential):
    """CTX_local = Conv(LN(I)): three 3x3x3 convolutions, strides 2, 1, 1 (equation 3).

    (B, 1, X, Y, Z) becomes (B, `channels`, X/2, Y/2, Z/2). The image has one channel, so LN over
    channels would be 0 everywhere. It is taken over the volume.
    """

    def __init__(self, channels: int):
        super().__init__(
            VolumeNorm(),
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

    ST is two Swin transformer layers, the second with shifted and masked windows. If the token grid
    is smaller than a window, the window is the whole grid and nothing is shifted.

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
            # clamped here: if the layer did it, the position bias would keep the geometry of the
            # full window, and could not tell neighbours apart
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
        self.local_branch = draw_local_branch(settings)
        self.global_branch = draw_global_branch(settings, size)
        self.crossover = Crossover(settings.crossover_start)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return f_seg and f_cls, (B, C, X/2, Y/2, Z/2), for an image of (B, 1, X, Y, Z)."""
        return self.crossover(self.local_branch(image), self.global_branch(image))


class LocalSharing(nn.Module):
    """The local branch, whose features serve both tasks ("Only local")."""

    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.local_branch = draw_local_branch(settings)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return f_seg and f_cls, which are one tensor."""
        shared = self.local_branch(image)
        return shared, shared


class SeparateStems(nn.Module):
    """A stem for each task and nothing shared ("w/o share"); a stem is like the local branch."""

    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.segmentation_stem = draw_local_branch(settings)
        self.classification_stem = draw_local_branch(settings)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return f_seg and f_cls."""
        return self.segmentation_stem(image), self.classification_stem(image)


class GlobalSharing(nn.Module):
    """The global branch is all that is shared, beside a stem for each task ("Only global").

    The stems replace the local branch of the joint model. The crossover mixes each of them with the
    global branch. Without stems no mask could be made, because tokens are 16 voxels wide.
    """

    def __init__(self, settings: ModelSettings, size: Size):
        super().__init__()
        self.stems = SeparateStems(settings)
        self.global_branch = draw_global_branch(settings, size)
        self.crossover = Crossover(settings.crossover_start)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return f_seg and f_cls."""
        shared = self.global_branch(image)
        of_segmentation, of_classification = self.stems(image)
        f_seg, _ = self.crossover(of_segmentation, shared)
        _, f_cls = self.crossover(of_classification, shared)
        return f_seg, f_cls


def draw_local_branch(settings: ModelSettings) -> LocalBranch:
    """Return a local branch or a task's stem; all of a fold and seed start with equal weights."""
    return draw_apart("local branch", lambda: LocalBranch(settings.base_channels))


def draw_global_branch(settings: ModelSettings, size: Size) -> GlobalBranch:
    """Return a global branch; all of a fold and seed start with equal weights."""
    return draw_apart("global branch", lambda: GlobalBranch(settings, size))


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
            return SeparateStems(settings)
        case "local":
            return LocalSharing(settings)
        case "global":
            return GlobalSharing(settings, size)
