"""What a user may choose of the networks compared with the joint model; imports no torch.

The paper names its baselines and gives none of their settings; the defaults here are those of the
published networks, and what differs says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from msnmo.core.errors import Finding
from msnmo.settings.section import Section, at_least, between, counts, number, one_of

Norm = Literal["batch", "instance", "group"]
"""Normalisation layers; the statistics of a batch of two scans are poor, hence no batch norm."""

LESION_PRIOR_LOGIT = -4.6
"""Start of the last layer's bias: a lesion probability of 0.01, where the joint model starts."""


@dataclass(frozen=True)
class SegmentationSettings(Section):
    """What the networks that segment have in common.

    Parameters
    ----------
    norm : {"batch", "instance", "group"}
    lesion_prior_logit : float
        Bias that the last convolution starts with.
    """

    section: ClassVar[str] = "model"
    norm: Norm = one_of(get_args(Norm), "instance")
    lesion_prior_logit: float = number(LESION_PRIOR_LOGIT)


@dataclass(frozen=True)
class _EncoderDecoder(SegmentationSettings):
    channels: tuple[int, ...] = counts(1, (32, 64, 128, 256, 512))

    def wrong_combinations(self) -> list[Finding]:
        """Return more levels than a scan can be halved: its edges are multiples of 16."""
        if len(self.channels) <= 5:
            return []
        return [self.finding("channels", "at most five levels, four halvings of the scan")]


@dataclass(frozen=True)
class UNetSettings(_EncoderDecoder):
    """3D UNet (Cicek et al. 2016) as MONAI's `UNet`.

    Parameters
    ----------
    norm : {"batch", "instance", "group"}
    lesion_prior_logit : float
        Bias that the last convolution starts with.
    channels : tuple of int
        Of each level; each halves the one above.
    residual_units : int
        Convolutions of a level; 2 as in the 3D UNet, which MONAI joins by a shortcut.
    """

    residual_units: int = at_least(0, 2)


@dataclass(frozen=True)
class AttentionUNetSettings(_EncoderDecoder):
    """Attention U-Net (Oktay et al. 2018) as MONAI's `AttentionUnet`.

    Parameters
    ----------
    norm, lesion_prior_logit, channels
        As of `UNetSettings`; half the widths, because its first level works at full size, on
        eight times the voxels.
    dropout : float
    """

    channels: tuple[int, ...] = counts(1, (16, 32, 64, 128, 256))
    dropout: float = between(0, 0.9, 0.0)


@dataclass(frozen=True)
class VNetSettings(SegmentationSettings):
    """V-Net (Milletari et al. 2016) as MONAI's `VNet`; its widths are fixed there.

    Parameters
    ----------
    norm, lesion_prior_logit
        As of `UNetSettings`.
    dropout : float
        Of whole channels. The published network has none, MONAI's default is 0.5.
    """

    dropout: float = between(0, 0.9, 0.0)


@dataclass(frozen=True)
class DynUNetSettings(_EncoderDecoder):
    """An nnU-Net-like network (Isensee et al. 2021) as MONAI's `DynUNet`.

    Parameters
    ----------
    norm, lesion_prior_logit, channels
        As of `UNetSettings`; nnU-Net's widths, 320 at most.
    supervised_levels : int
        Levels below the full size whose maps are trained too (deep supervision).
    """

    channels: tuple[int, ...] = counts(1, (32, 64, 128, 256, 320))
    supervised_levels: int = at_least(1, 2)

    def wrong_combinations(self) -> list[Finding]:
        """Return levels to supervise that the network does not have, too."""
        wrong = super().wrong_combinations()
        if self.supervised_levels > len(self.channels) - 2:
            expected = f"at most {len(self.channels) - 2}, two fewer than there are levels"
            wrong.append(self.finding("supervised_levels", expected))
        return wrong


@dataclass(frozen=True)
class SwinUNETRSettings(Section):
    """Swin UNETR (Hatamizadeh et al. 2022) as MONAI's `SwinUNETR`.

    Parameters
    ----------
    feature_size : int
        Width of the first level, a multiple of 12 (of the attention heads).
    lesion_prior_logit : float
        Bias that the last convolution starts with.
    """

    section: ClassVar[str] = "model"
    feature_size: int = at_least(12, 24)
    lesion_prior_logit: float = number(LESION_PRIOR_LOGIT)

    def wrong_combinations(self) -> list[Finding]:
        """Return a width that the attention heads cannot share."""
        return [self.finding("feature_size", "a multiple of 12")] if self.feature_size % 12 else []


@dataclass(frozen=True)
class ClassifierSettings(Section):
    """A classification network of MONAI: ResNet, DenseNet or SE-ResNet.

    Parameters
    ----------
    norm : {"batch", "instance", "group"}
        Instance norm would take from each channel the mean that pooling reads: groups of
        channels instead.
    """

    section: ClassVar[str] = "model"
    norm: Norm = one_of(get_args(Norm), "group")
