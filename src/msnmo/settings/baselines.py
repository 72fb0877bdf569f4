"""What a user may choose for the networks compared with the joint model. Imports no torch.

The paper names its baselines but gives none of their settings. The defaults here are those of the
published networks. Where a default differs, its text says why.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from msnmo.settings.keys import AS_WRITTEN, Number, Refusal, Section, key

Norm = Literal["batch", "instance", "group"]
"""Normalisation layers. Batch norm is left out: a batch of two scans gives poor statistics."""
Channels = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(strict=False)]
Dropout = Annotated[float, Field(ge=0, le=0.9), AS_WRITTEN]

LESION_PRIOR_LOGIT = -4.6
"""Start value of the last layer's bias.

It gives a lesion probability of 0.01, as in the joint model.
"""


def _channels(default: tuple[int, ...], whose: str) -> tuple[int, ...]:
    """Return the field for the widths of the levels."""
    meaning = f"channels of each level, at most five levels: four halvings of the scan ({whose})"
    return key(default, meaning, "ours", min_length=2, max_length=5)


def _dropout(meaning: str) -> float:
    return key(0.0, meaning, "ours")


class SegmentationSettings(Section):
    """Settings that all segmentation networks have."""

    section: ClassVar[str] = "model"
    norm: Norm = key(
        "instance", "normalisation layers; batches of two scans are too small for batch", "ours"
    )
    lesion_prior_logit: Number = key(
        LESION_PRIOR_LOGIT, "bias that the last convolution starts with", "ours", ge=-50, le=50
    )


class UNetSettings(SegmentationSettings):
    """3D UNet (Cicek et al. 2016) as MONAI's `BasicUNet`: two convolutions a level, five levels."""

    channels: Channels = key(
        (32, 32, 64, 128, 256),
        "channels of each of the five levels, the first at full size (MONAI's default; the "
        "published network has four levels, of 64 to 512 channels)",
        "ours",
        min_length=5,
        max_length=5,
    )


class AttentionUNetSettings(SegmentationSettings):
    """Attention U-Net (Oktay et al. 2018) as MONAI's `AttentionUnet`."""

    channels: Channels = _channels(
        (16, 32, 64, 128, 256),
        "half of the UNet's, as the first level works at full size, on eight times the voxels",
    )
    dropout: Dropout = _dropout("share of activations that training drops")


class VNetSettings(SegmentationSettings):
    """V-Net (Milletari et al. 2016) as MONAI's `VNet`, which fixes its widths."""

    dropout: Dropout = _dropout(
        "share of whole channels that training drops; 0 as published (MONAI's default is 0.5)"
    )
    output_activation: Literal["none", "elu"] = key(
        "none",
        "activation between the last two convolutions. MONAI's network has ELU there; with one "
        "channel, it then learns only if the random first value of one weight is positive",
        "ours",
    )


class DynUNetSettings(SegmentationSettings):
    """An nnU-Net-like network (Isensee et al. 2021) as MONAI's `DynUNet`."""

    channels: Channels = _channels((32, 64, 128, 256, 320), "as in nnU-Net, at most 320")
    supervised_levels: int = key(
        2,
        "number of levels below full size whose outputs are trained too (deep supervision)",
        "ours",
        ge=1,
        le=3,
        validate_default=True,
    )

    @field_validator("supervised_levels")
    @classmethod
    def _are_there(cls, levels: int, info: ValidationInfo) -> int:
        most = len(info.data.get("channels", range(levels + 2))) - 2
        if levels > most:
            raise Refusal(f"at most {most}, which is the number of levels minus two")
        return levels


class SwinUNETRSettings(Section):
    """Swin UNETR (Hatamizadeh et al. 2022) as MONAI's `SwinUNETR`; scans in multiples of 32."""

    section: ClassVar[str] = "model"
    feature_size: int = key(
        24,
        "width of the first level; the attention heads share it",
        "ours",
        ge=12,
        le=768,
        multiple_of=12,
    )
    lesion_prior_logit: Number = key(
        LESION_PRIOR_LOGIT, "bias that the last convolution starts with", "ours", ge=-50, le=50
    )


class ClassifierSettings(Section):
    """A classification network of MONAI: ResNet, DenseNet or SE-ResNet."""

    section: ClassVar[str] = "model"
    norm: Norm = key(
        "group",
        "normalisation layers; instance norm would remove the channel means that pooling reads",
        "ours",
    )
