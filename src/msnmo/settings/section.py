"""Sections of the config as dataclasses whose fields carry the rules for their values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
from typing import Any, ClassVar, Self, get_type_hints

from msnmo.core.errors import Finding, InputError, bad_input


def setting(default: Any, expected: str, allows: Callable[[Any], bool]) -> Any:
    """Return a dataclass field with the rule for its values: in words and as a test."""
    return field(default=default, metadata={"expected": expected, "allows": allows})


def at_least(least: int, default: int) -> Any:
    """Return the field of a whole number from `least`."""
    return setting(default, f"a whole number of at least {least}", lambda x: x >= least)


def between(low: float, high: float, default: float) -> Any:
    """Return the field of a number from `low` to `high`."""
    return setting(default, f"a number from {low:g} to {high:g}", lambda x: low <= x <= high)


def inside(low: float, high: float, default: float) -> Any:
    """Return the field of a number above `low` and below `high`."""
    expected = f"a number above {low:g} and below {high:g}"
    return setting(default, expected, lambda x: low < x < high)


def weight(default: float) -> Any:
    """Return the field of a finite number from 0."""
    return setting(default, "a number of at least 0", lambda x: 0 <= x < math.inf)


def number(default: float) -> Any:
    """Return the field of any finite number."""
    return setting(default, "a number", math.isfinite)


def one_of(choices: Iterable[str], default: str) -> Any:
    """Return the field of a text among `choices`."""
    allowed = tuple(choices)
    return setting(default, f"one of {', '.join(allowed)}", lambda x: x in allowed)


def counts(least: int, default: tuple[int, ...]) -> Any:
    """Return the field of a list of at least two whole numbers from `least`."""
    return setting(
        default,
        f"a list of two or more whole numbers of at least {least}",
        lambda x: len(x) > 1 and all(type(each) is int and each >= least for each in x),
    )


class Section:
    """A section of the config: refuses unknown keys and values that break their field's rule.

    Subclasses are frozen dataclasses whose fields are made by the functions above; `section` is
    their place in the config, for messages.
    """

    section: ClassVar[str]

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        wrong = [
            self.finding(item.name, item.metadata["expected"])
            for item in fields(self)
            if not _obeys(getattr(self, item.name), hints[item.name], item.metadata["allows"])
        ]
        if wrong := wrong or self.wrong_combinations():
            raise InputError(wrong)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Return the settings of a section as read from YAML or JSON; defaults where left out.

        Raises
        ------
        InputError
            Naming all unknown keys, or every wrong value.
        """
        refuse_unknown(f"config: {cls.section}", mapping, [item.name for item in fields(cls)])
        # frozen values: JSON and YAML have lists, the settings tuples
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in mapping.items()})

    def wrong_combinations(self) -> list[Finding]:
        """Return what is wrong of values that are each right by themselves."""
        return []

    def finding(self, name: str, expected: str) -> Finding:
        """Return the finding for the value of a field."""
        key, value = f"{self.section}.{name}", getattr(self, name)
        remedy = f"change {key}"
        if isinstance(value, str) and _is_number(value):
            remedy += " (YAML takes 1e-4 for text: write 1.0e-4)"
        return Finding(f"config: {key}", expected, repr(value), remedy)


def refuse_unknown(source: str, mapping: Mapping[str, Any], allowed: list[str]) -> None:
    """Stop at what is no mapping, or at its keys that are not `allowed`, all at once."""
    if not isinstance(mapping, Mapping):
        expected = f"a mapping with keys among {', '.join(allowed)}"
        raise bad_input(source, expected, repr(mapping), "correct the config")
    if unknown := sorted(set(mapping) - set(allowed)):
        expected = f"keys among {', '.join(allowed)}"
        raise bad_input(source, expected, ", ".join(unknown), "remove or rename them")


def _obeys(value: Any, kind: Any, allows: Callable[[Any], bool]) -> bool:
    """Whether a value is of its type (an integer is a float too, a boolean is no number)."""
    if isinstance(kind, type) and kind is not bool and isinstance(value, bool):
        return False
    plain = {float: (int, float), int: int, bool: bool}.get(kind)
    if plain is None:  # a choice of texts, or a tuple
        plain = tuple if "tuple" in str(kind) else str
    return isinstance(value, plain) and allows(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
