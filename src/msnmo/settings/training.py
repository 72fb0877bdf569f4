"""The settings of a training (config sections train, augment, loss and model), checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, get_args

from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.settings.methods import LossWeights, Method, ModelSettings
from msnmo.settings.model import Normalisation
from msnmo.settings.section import (
    Section,
    at_least,
    between,
    inside,
    one_of,
    refuse_unknown,
    weight,
)


@dataclass(frozen=True)
class OptimiserSettings(Section):
    """How the weights are fitted (paper, section 4.2).

    Parameters
    ----------
    epochs : int
        Passes over the training scans; the weights of the last are kept.
    batch_size : int
        Scans in one step. The last step of an epoch takes those that are left, so that every scan
        is seen in every epoch.
    learning_rate : float
        Adam's, at the start.
    plateau_patience : int
        Epochs without a fall of the epoch's mean loss that are let pass; after one more the
        learning rate is lowered (as in PyTorch's `ReduceLROnPlateau`).
    plateau_factor : float
        What the learning rate is multiplied with then.
    """

    section: ClassVar[str] = "train"
    epochs: int = at_least(1, 200)
    batch_size: int = at_least(1, 2)
    learning_rate: float = inside(0, 1, 1e-4)
    plateau_patience: int = at_least(0, 10)
    plateau_factor: float = inside(0, 1, 0.5)


@dataclass(frozen=True)
class AugmentSettings(Section):
    """How training scans are varied (paper, section 3.1.3; the angle is ours).

    Parameters
    ----------
    flip_probability, rotation_probability : float
        0 to 1.
    rotation_degrees : float
        Angles are drawn uniformly between minus and plus this.
    """

    section: ClassVar[str] = "augment"
    flip_probability: float = between(0, 1, 0.5)
    rotation_probability: float = between(0, 1, 0.5)
    rotation_degrees: float = between(0, 180, 15.0)


@dataclass(frozen=True)
class LossSettings(Section):
    """Weights of the losses in their sum (paper, equation 14), for methods of both tasks.

    Parameters
    ----------
    segmentation, classification, cross : float
        Of the Dice loss, the cross-entropy and the cross-task loss; 0 leaves a loss out.
    cam_normalisation : {"relu_max", "sigmoid"}
        How localisation maps are scaled to 0..1 before they meet segmentation maps (equation 11).
    """

    section: ClassVar[str] = "loss"
    segmentation: float = weight(1.0)
    classification: float = weight(0.8)
    cross: float = weight(1.0)
    cam_normalisation: Normalisation = one_of(get_args(Normalisation), "relu_max")

    @property
    def weights(self) -> LossWeights:
        """The weights as the losses take them."""
        return LossWeights(self.segmentation, self.classification, self.cross)


@dataclass(frozen=True)
class Settings:
    """All settings of a training.

    Parameters
    ----------
    train, augment, loss : Section
    model : Section
        Of the class that the method names as its own.
    """

    train: OptimiserSettings = OptimiserSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    model: Section = field(default_factory=ModelSettings)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return the settings as JSON types; `from_mapping` inverts it."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], method: Method) -> Settings:
        """Return a method's settings of the config's sections; defaults where left out.

        Raises
        ------
        InputError
            With the findings of all sections.
        """
        kinds = {
            "train": OptimiserSettings,
            "augment": AugmentSettings,
            "loss": LossSettings,
            "model": method.settings,
        }
        refuse_unknown("config", mapping, list(kinds))
        sections: dict[str, Section] = {"model": method.settings()}
        findings: list[Finding] = []
        for name, values in mapping.items():
            try:
                sections[name] = kinds[name].from_mapping(values)
            except InputError as error:
                findings += error.findings
        if findings:
            raise InputError(findings)
        return cls(**sections)

    @classmethod
    def parse(cls, text: str, method: Method) -> Settings:
        """Return the settings of a JSON text, as `from_mapping`."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            remedy = 'give JSON such as {"train": {"epochs": 200}}'
            raise bad_input("--settings", "JSON", f"{error}: {text[:80]}", remedy) from error
        return cls.from_mapping(content, method)
