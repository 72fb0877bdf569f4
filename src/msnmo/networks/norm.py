"""Instance norm that keeps the channels-last order, in which convolutions are fastest.

torch's own copies its input to channels first, so the next convolution copies it back. This was a
fifth of a forward pass on a CPU. On a GPU it also gives each channel to one block of threads, so
most of the GPU waits: a training step took 1.7 times as long. Batch norm of a single scan is
instance norm, and its kernels take channels last. But on a CPU they add up a channel's voxels in
one float32, which loses four digits of a million voxels. So there, mean and variance are computed
from parts, in float64.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

VOXELS = 512
"""About the largest number of voxels of a channel that are summed in float32."""
BY_SCAN = {"cpu", "cuda"}
"""Types of device on which each scan is normalised by itself, with channels last."""


class InstanceNorm(nn.InstanceNorm3d):
    """Instance norm of (B, C, X, Y, Z) with affine weights, equal to torch's and with its names."""

    def __init__(self, channels: int):
        super().__init__(channels, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised features, with the input's order of channels."""
        kind = features.device.type
        if kind not in BY_SCAN or not _channels_lie_last(features):
            return super().forward(features)
        one = _norm_on_cpu if kind == "cpu" else _norm
        # torch's own backward pass is wrong on a CPU for one scan whose gradient has channels last,
        # so half precision is computed in this way too
        exact = features.float() if kind == "cpu" else features
        scans = [one(scan, self.weight, self.bias, self.eps) for scan in exact.split(1)]
        return (scans[0] if len(scans) == 1 else torch.cat(scans)).to(features.dtype)


class VolumeNorm(nn.GroupNorm):
    """Layer norm of (B, 1, X, Y, Z) over a scan's voxels: group norm of one group and one channel.

    On a GPU torch's own gives a whole scan to one block of threads. At 160^3 this took 7 ms a step,
    of 88.
    """

    def __init__(self) -> None:
        super().__init__(num_groups=1, num_channels=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return each scan with mean 0 and variance 1, times weight, plus bias."""
        if image.device.type != "cuda":
            return super().forward(image)
        return over_volume(image, self.eps) * self.weight + self.bias


def over_volume(image: Tensor, eps: float) -> Tensor:
    """Return (B, C, X, Y, Z) scans as float32, each less its mean, over its standard deviation."""
    voxels = (1, 2, 3, 4)
    centred = image.float() - image.mean(voxels, keepdim=True, dtype=torch.float32)
    return centred * (centred.square().mean(voxels, keepdim=True) + eps).rsqrt()


def with_own_norm(block: nn.Module) -> nn.Module:
    """Return a block of MONAI's with torch's instance norms replaced, in place."""
    for module in list(block.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.InstanceNorm3d:
                setattr(module, name, InstanceNorm(child.num_features))
    return block


def _channels_lie_last(features: Tensor) -> bool:
    last, first = torch.channels_last_3d, torch.contiguous_format
    # with one channel, or one voxel, both are true
    return features.is_contiguous(memory_format=last) and not features.is_contiguous(
        memory_format=first
    )


def _norm(scan: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.batch_norm(scan, None, None, weight, bias, training=True, momentum=0.0, eps=eps)


def _norm_on_cpu(scan: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    normed: Tensor = _NormOfScan.apply(scan, weight, bias, eps)  # type: ignore[no-untyped-call]
    return normed


class _NormOfScan(torch.autograd.Function):
    """Norm of one scan (1, C, X, Y, Z), channels last, on the CPU."""

    @staticmethod
    def forward(ctx: Any, scan: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean, variance = moments(scan)
        ctx.save_for_backward(scan, weight, mean, (variance + eps).rsqrt())
        ctx.eps = eps
        return F.batch_norm(scan, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        scan, weight, mean, inverse = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
        of_scan, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            *(gradient, scan, weight, None, None, mean, inverse, True, ctx.eps, [True] * 3)
        )
        return of_scan, of_weight, of_bias, None


def moments(scan: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and (biased) variance of each channel of a scan with channels last.

    Parameters
    ----------
    scan : (1, C, X, Y, Z) Tensor

    Returns
    -------
    mean, variance : (C,) Tensor
    """
    channels = scan.shape[1]
    voxels = scan.numel() // channels
    parts = 1
    while voxels % (2 * parts) == 0 and voxels // parts > VOXELS:
        parts *= 2
    # a part is every parts-th voxel, so that a row of the table holds a value of each
    rows = scan.permute(0, 2, 3, 4, 1).reshape(voxels // parts, parts * channels)
    of_parts = torch.batch_norm_update_stats(rows, None, None, 0.0)
    means, variances = (each.view(parts, channels).double() for each in of_parts)
    mean = means.mean(dim=0)
    variance = variances.mean(dim=0) + means.var(dim=0, correction=0)
    return mean.to(scan.dtype), variance.to(scan.dtype)
