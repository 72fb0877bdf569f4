"""What a user may choose of the model (config section ``model``); imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from msnmo.core.errors import Finding, bad_input
from msnmo.settings.section import Section, at_least, number, one_of

Activation = Literal["sigmoid", "softmax_spatial"]
GuidanceStart = Literal["lesion_map", "random"]
Normalisation = Literal["relu_max", "sigmoid"]
Size = tuple[int, int, int]

TOKEN = 16
"""Edge of a global-branch token in voxels; also the least common multiple of all down-samplings."""


@dataclass(frozen=True)
class ModelSettings(Section):
    """Sizes and choices of the joint model and its ablations.

    Parameters
    ----------
    base_channels : int
        Channels of the shared features; every other width is proportional to it. Even.
    heads : int
        Attention heads; a divisor of `base_channels`.
    mlp_ratio : int
        Hidden width of a transformer layer's perceptron, in multiples of `base_channels`.
    window : int
        Edge of an attention window, in tokens.
    guidance_activation : {"sigmoid", "softmax_spatial"}
        How the lesion guidance module makes its attention map (equation 7).
    guidance_start : {"lesion_map", "random"}
        How the convolution f_P of the lesion guidance module starts: such that its attention map
        is the lesion map, or at random.
    lesion_prior_logit : float
        Bias that the segmentation heads start with. Their weights add up to 2, so -2.3 starts
        the lesion probability at sigmoid(-4.6) = 0.01.
    crossover_start : float
        Start of the crossover's own-branch weights; the other branch starts at 1 minus this.

    Raises
    ------
    InputError
        If a value has another type or range, or the values do not fit one another.
    """

    section: ClassVar[str] = "model"
    base_channels: int = at_least(1, 32)
    heads: int = at_least(1, 4)
    mlp_ratio: int = at_least(1, 4)
    window: int = at_least(1, 5)
    guidance_activation: Activation = one_of(get_args(Activation), "sigmoid")
    guidance_start: GuidanceStart = one_of(get_args(GuidanceStart), "lesion_map")
    lesion_prior_logit: float = number(-2.3)
    crossover_start: float = number(0.9)

    @property
    def embedding(self) -> int:
        """Channels of a token of the global branch: equation 4 adds it to the local one's."""
        return self.base_channels

    def wrong_combinations(self) -> list[Finding]:
        """Return widths that cannot be halved or shared out among the heads."""
        wrong = []
        if self.base_channels % 2:
            wrong.append(self.finding("base_channels", "an even number"))
        if self.base_channels % self.heads:
            expected = f"a divisor of base_channels ({self.base_channels})"
            wrong.append(self.finding("heads", expected))
        return wrong


@dataclass(frozen=True)
class LossWeights:
    """Weights of equation 14 and of its cross-task term (paper, sections 3.3.2 and 3.4).

    Parameters
    ----------
    segmentation, classification, cross : float
        beta_1, beta_2 and beta_3 of equation 14. A loss of weight 0 is not computed.
    eta : (3,) tuple of float
        Weights of the cross-task loss (equation 11), coarse to fine: the maps of 1/8, 1/4 and 1/2
        of the input's size.
    """

    segmentation: float = 1.0
    classification: float = 0.8
    cross: float = 1.0
    eta: tuple[float, float, float] = (0.25, 0.25, 0.5)


PAPER_WEIGHTS = LossWeights()


def check_size(size: Size, multiple: int = TOKEN, least: int = TOKEN) -> None:
    """Refuse an input size that a network cannot halve often enough.

    Raises
    ------
    InputError
        If an edge is not a multiple of `multiple` or is shorter than `least`.
    """
    if len(size) != 3 or any(edge < least or edge % multiple for edge in size):
        found = " x ".join(str(edge) for edge in size)
        expected = f"three edges of at least {least}, each divisible by {multiple}"
        remedy = "set the size that scans are resized to, such as 160 160 160 or 64 64 64"
        raise bad_input("model input size", expected, found, remedy)
