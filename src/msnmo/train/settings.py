"""The settings of a training (config sections train, augment, loss and model), checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self, get_type_hints

from msnmo.errors import Finding, InputError, bad_input
from msnmo.methods import LossWeights, ModelSettings


def _setting(default: Any, expected: str, allows: Callable[[Any], bool]) -> Any:
    """Return a dataclass field that carries the rule its values must obey."""
    return field(default=default, metadata={"expected": expected, "allows": allows})


def _at_least(least: int, default: int) -> Any:
    return _setting(default, f"a whole number of at least {least}", lambda x: x >= least)


def _between(low: float, high: float, default: float) -> Any:
    return _setting(default, f"a number from {low:g} to {high:g}", lambda x: low <= x <= high)


def _inside(low: float, high: float, default: float) -> Any:
    expected = f"a number above {low:g} and below {high:g}"
    return _setting(default, expected, lambda x: low < x < high)


def _weight(default: float) -> Any:
    return _setting(default, "a number of at least 0", lambda x: 0 <= x < math.inf)


class _Section:
    """A section of the config: refuses unknown keys and values that break their field's rule."""

    section: ClassVar[str]

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        wrong = [
            self._finding(item.name, item.metadata["expected"])
            for item in fields(self)
            if not _obeys(getattr(self, item.name), hints[item.name], item.metadata["allows"])
        ]
        if wrong:
            raise InputError(wrong)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Return the settings of the section; keys left out keep their defaults.

        Raises
        ------
        InputError
            Naming all unknown keys, or every wrong value.
        """
        return cls(**mapping)

    def _finding(self, name: str, expected: str) -> Finding:
        key, value = f"{self.section}.{name}", getattr(self, name)
        remedy = f"change {key}"
        if isinstance(value, str):
            remedy += " (YAML takes 1e-4 for text: write 1.0e-4)"
        return Finding(f"config: {key}", expected, repr(value), remedy)


def _obeys(value: Any, kind: type, allows: Callable[[Any], bool]) -> bool:
    """Whether a value is of its type (an integer is a float too, a boolean is no number)."""
    of_kind = isinstance(value, (int, float) if kind is float else kind)
    return of_kind and not isinstance(value, bool) and allows(value)


def _refuse_unknown(source: str, mapping: Mapping[str, Any], allowed: list[str]) -> None:
    if not isinstance(mapping, Mapping):
        expected = f"a mapping with keys among {', '.join(allowed)}"
        raise bad_input(source, expected, repr(mapping), "correct the config")
    if unknown := sorted(set(mapping) - set(allowed)):
        expected = f"keys among {', '.join(allowed)}"
        raise bad_input(source, expected, ", ".join(unknown), "remove or rename them")


@dataclass(frozen=True)
class OptimiserSettings(_Section):
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
    epochs: int = _at_least(1, 200)
    batch_size: int = _at_least(1, 2)
    learning_rate: float = _inside(0, 1, 1e-4)
    plateau_patience: int = _at_least(0, 10)
    plateau_factor: float = _inside(0, 1, 0.5)


@dataclass(frozen=True)
class AugmentSettings(_Section):
    """How training scans are varied (paper, section 3.1.3; the angle is ours).

    Parameters
    ----------
    flip_probability, rotation_probability : float
        0 to 1.
    rotation_degrees : float
        Angles are drawn uniformly between minus and plus this.
    """

    section: ClassVar[str] = "augment"
    flip_probability: float = _between(0, 1, 0.5)
    rotation_probability: float = _between(0, 1, 0.5)
    rotation_degrees: float = _between(0, 180, 15.0)


@dataclass(frozen=True)
class LossSettings(_Section):
    """Weights of the losses in their sum (paper, equation 14).

    Parameters
    ----------
    segmentation, classification, cross : float
        Of the Dice loss, the cross-entropy and the cross-task loss; 0 leaves a loss out.
    """

    section: ClassVar[str] = "loss"
    segmentation: float = _weight(1.0)
    classification: float = _weight(0.8)
    cross: float = _weight(1.0)

    @property
    def weights(self) -> LossWeights:
        """The weights as the losses take them."""
        return LossWeights(self.segmentation, self.classification, self.cross)


SECTIONS = {
    "train": OptimiserSettings,
    "augment": AugmentSettings,
    "loss": LossSettings,
    "model": ModelSettings,
}


@dataclass(frozen=True)
class Settings:
    """All settings of a training."""

    train: OptimiserSettings = OptimiserSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    model: ModelSettings = field(default_factory=ModelSettings)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return the settings as JSON types; `from_mapping` inverts it."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Settings:
        """Return the settings of the config's sections; what is left out keeps its default.

        Raises
        ------
        InputError
            With the findings of all sections.
        """
        _refuse_unknown("config", mapping, list(SECTIONS))
        sections: dict[str, Any] = {}
        findings: list[Finding] = []
        for name, values in mapping.items():
            try:
                _refuse_unknown(f"config: {name}", values, [x.name for x in fields(SECTIONS[name])])
                sections[name] = SECTIONS[name].from_mapping(values)
            except InputError as error:
                findings += error.findings
        if findings:
            raise InputError(findings)
        return cls(**sections)

    @classmethod
    def parse(cls, text: str) -> Settings:
        """Return the settings of a JSON text, as `from_mapping`."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            remedy = 'give JSON such as {"train": {"epochs": 200}}'
            raise bad_input("--settings", "JSON", f"{error}: {text[:80]}", remedy) from error
        return cls.from_mapping(content)
