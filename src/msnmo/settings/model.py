"""What a user may choose for the model (config section ``model``). Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ValidationInfo, field_validator

from msnmo.core.sizes import TOKEN, Size, check_size
from msnmo.settings.keys import Number, Refusal, Section, key

__all__ = ["PAPER_WEIGHTS", "TOKEN", "LossWeights", "ModelSettings", "Size", "check_size"]

Activation = Literal["sigmoid", "softmax_spatial"]
GuidanceStart = Literal["lesion_map", "random"]
GuidanceGradient = Literal["through", "detached"]


class ModelSettings(Section):
    """Sizes and choices of the joint model and its ablations."""

    section: ClassVar[str] = "model"
    base_channels: int = key(
        32,
        "channels of the shared features; all other widths are proportional to it",
        "paper",
        ge=4,
        le=512,
        multiple_of=2,
    )
    heads: int = key(
        4,
        "attention heads of the Swin transformer; must divide base_channels",
        "ours",
        ge=1,
        le=512,
        validate_default=True,
    )
    mlp_ratio: int = key(
        4,
        "hidden width of the transformer's MLP, as a multiple of base_channels",
        "ours",
        ge=1,
        le=64,
    )
    window: int = key(5, "edge of an attention window, in tokens", "paper", ge=2, le=64)
    guidance_activation: Activation = key(
        "sigmoid",
        "how the lesion guidance module makes its attention map: as the paper's sentence says, "
        "or close to its equation 7 (softmax_spatial); the two contradict each other",
        "ours",
    )
    guidance_start: GuidanceStart = key(
        "lesion_map",
        "start weights of the convolution f_P in the lesion guidance module: chosen so that its "
        "attention map is the lesion map, or random",
        "ours",
    )
    guidance_gradient: GuidanceGradient = key(
        "detached",
        "whether the classification loss also trains the segmentation through the lesion map, or "
        "the map only guides (detached)",
        "ours",
    )
    image_skip: bool = key(
        False,
        "whether the last decoding block of the segmentation also gets the image at full size; "
        "the paper's skips come from the contraction path, which starts at half of it",
        "paper",
    )
    lesion_prior_logit: Number = key(
        -2.3,
        "start value of the segmentation heads' bias; their weights add up to 2, so -2.3 gives a "
        "lesion probability of sigmoid(-4.6) = 0.01",
        "ours",
        ge=-50,
        le=50,
    )
    crossover_start: Number = key(
        0.9,
        "start value of the crossover's weight for the own branch; the other starts at 1 minus "
        "this",
        "ours",
        ge=0,
        le=1,
    )

    @field_validator("heads")
    @classmethod
    def _share_the_channels(cls, heads: int, info: ValidationInfo) -> int:
        channels = info.data.get("base_channels", heads)
        if channels % heads:
            raise Refusal(f"a divisor of base_channels ({channels})")
        return heads

    @property
    def embedding(self) -> int:
        """Channels of a token of the global branch. Equation 4 adds it to the local branch."""
        return self.base_channels


@dataclass(frozen=True)
class LossWeights:
    """beta_1, beta_2 and beta_3 of equation 14. A loss with weight 0 is not computed.

    Parameters
    ----------
    segmentation, classification, cross : float
    """

    segmentation: float = 1.0
    classification: float = 0.8
    cross: float = 1.0


PAPER_WEIGHTS = LossWeights()
