"""What a user may choose of the model (config section ``model``); imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, Literal, get_args

from msnmo.errors import Finding, InputError, bad_input

Activation = Literal["sigmoid", "softmax_spatial"]
GuidanceStart = Literal["lesion_map", "random"]
Normalisation = Literal["relu_max", "sigmoid"]
Size = tuple[int, int, int]

TOKEN = 16
"""Edge of a global-branch token in voxels; also the least common multiple of all down-samplings."""


@dataclass(frozen=True)
class ModelSettings:
    """Sizes and choices of the joint model.

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
    cam_normalisation : {"relu_max", "sigmoid"}
        How localisation maps are scaled to 0..1 before they meet segmentation maps (equation 11).
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

    base_channels: int = 32
    heads: int = 4
    mlp_ratio: int = 4
    window: int = 5
    guidance_activation: Activation = "sigmoid"
    guidance_start: GuidanceStart = "lesion_map"
    cam_normalisation: Normalisation = "relu_max"
    lesion_prior_logit: float = -2.3
    crossover_start: float = 0.9

    def __post_init__(self) -> None:
        if findings := [*self._wrong_values()] or [*self._wrong_combinations()]:
            raise InputError(findings)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> ModelSettings:
        """Return the settings of the config's ``model`` section; keys left out keep defaults.

        Raises
        ------
        InputError
            If there is an unknown key or a wrong value; all unknown keys are named at once.
        """
        allowed = [field.name for field in fields(cls)]
        if unknown := sorted(set(mapping) - set(allowed)):
            expected = f"keys among {', '.join(allowed)}"
            raise bad_input("config: model", expected, ", ".join(unknown), "remove or rename them")
        return cls(**mapping)

    @property
    def embedding(self) -> int:
        """Channels of a token of the global branch: equation 4 adds it to the local one's."""
        return self.base_channels

    def _wrong_values(self) -> list[Finding]:
        counts = ("base_channels", "heads", "mlp_ratio", "window")
        choices = {
            "guidance_activation": Activation,
            "guidance_start": GuidanceStart,
            "cam_normalisation": Normalisation,
        }
        wrong = [
            self._finding(name, "a whole number of at least 1")
            for name in counts
            if not _is_count(getattr(self, name))
        ]
        wrong += [
            self._finding(name, f"one of {', '.join(get_args(kind))}")
            for name, kind in choices.items()
            if getattr(self, name) not in get_args(kind)
        ]
        wrong += [
            self._finding(name, "a number")
            for name in ("lesion_prior_logit", "crossover_start")
            if not _is_number(getattr(self, name))
        ]
        return wrong

    def _wrong_combinations(self) -> list[Finding]:
        wrong = []
        if self.base_channels % 2:
            wrong.append(self._finding("base_channels", "an even number"))
        if self.base_channels % self.heads:
            expected = f"a divisor of base_channels ({self.base_channels})"
            wrong.append(self._finding("heads", expected))
        return wrong

    def _finding(self, name: str, expected: str) -> Finding:
        found = repr(getattr(self, name))
        return Finding(f"config: model.{name}", expected, found, f"change model.{name}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


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


def check_size(size: Size) -> None:
    """Refuse an input size that the networks cannot halve often enough.

    Raises
    ------
    InputError
        If an edge is not a positive multiple of 16.
    """
    if len(size) != 3 or any(edge < TOKEN or edge % TOKEN for edge in size):
        found = " x ".join(str(edge) for edge in size)
        expected = f"three edges, each divisible by {TOKEN} (a token of the global branch)"
        remedy = "set the size that scans are resized to, such as 160 160 160 or 48 48 48"
        raise bad_input("model input size", expected, found, remedy)
