"""Sections of the config as pydantic models. Each key is one line with its rule and meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WrapValidator, model_validator
from pydantic.json_schema import GenerateJsonSchema

from msnmo.core.errors import InputError
from msnmo.settings.findings import findings_of

Origin = Literal["", "paper", "ours"]
"""Where a default comes from. "ours" marks what the paper leaves open."""

TOGETHER = {"explain": "together"}
"""Context of a check of several sections: errors are collected from all before one is raised."""


class Section(BaseModel):
    """A section of the config. It is immutable, refuses unknown keys and is strict about types.

    Where a number is expected, a whole number is accepted and stays whole. Text, booleans, NaN and
    infinity are refused.

    Raises
    ------
    InputError
        Lists every wrong key, however the section is made.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
    section: ClassVar[str] = ""

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Return the section as read from YAML or JSON; defaults where keys are left out.

        Raises
        ------
        InputError
            Names every unknown key and every wrong value, including those of inner sections.
        """
        try:
            return cls.model_validate(mapping, context=TOGETHER)
        except ValidationError as error:
            raise InputError(findings_of(error, cls.rules(), cls.section)) from None

    @classmethod
    def rules(cls) -> dict[str, Any]:
        """Return the JSON Schema of the section."""
        return cls.model_json_schema(schema_generator=_Plain)

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, given: Any, check: Callable[[Any], Self], info: Any) -> Self:
        try:
            return check(given)
        except ValidationError as error:
            if info.context == TOGETHER:
                raise
            raise InputError(findings_of(error, cls.rules(), cls.section)) from None


class _Plain(GenerateJsonSchema):
    """JSON Schema without titles, as they would repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _as_written(value: Any, check: Callable[[Any], float]) -> Any:
    check(value)
    return value


AS_WRITTEN = WrapValidator(_as_written)
"""Keeps a number as written: 1 stays 1, because trainings are told apart by their JSON."""
MOST = 1_000_000
"""Of a number that has no bound of its own: what is larger is a slip, and would run for ever."""
Number = Annotated[float, AS_WRITTEN]
Probability = Annotated[float, Field(ge=0, le=1), AS_WRITTEN]
Share = Annotated[float, Field(gt=0, lt=1), AS_WRITTEN]
Weight = Annotated[float, Field(ge=0, le=MOST), AS_WRITTEN]


class Refusal(ValueError):  # noqa: N818 - it describes a value
    """A broken rule that no field states. Texts left out are made from the field and the value.

    Parameters
    ----------
    expected, found, remedy : str
        As in `msnmo.core.errors.Finding`.
    """

    def __init__(self, expected: str = "", found: str = "", remedy: str = ""):
        super().__init__(f"expected {expected}")
        self.expected, self.found, self.remedy = expected, found, remedy


def whole_choice(value: Any) -> Any:
    """Refuse values that equal a whole number in Python but are none, such as true and 1.0."""
    if type(value) is not int:
        raise Refusal()
    return value


def key(default: Any, meaning: str, origin: Origin = "", **rules: Any) -> Any:
    """Return the field of a key.

    Parameters
    ----------
    default : object
        Its value if nobody sets it.
    meaning : str
        Its meaning, as messages and the reference page show it.
    origin : {"", "paper", "ours"}
        Where the default comes from.
    **rules
        As of `pydantic.Field`: ge, le, gt, lt, multiple_of, min_length, max_length. Every number
        has bounds on both sides, here or by its type; every list a greatest length, or choices
        that each come once.
    """
    if origin:
        rules["json_schema_extra"] = {"origin": origin}
    return Field(default, description=meaning, **rules)


def within(section: Any, meaning: str) -> Any:
    """Return the field of an inner section. `section` makes it with its defaults."""
    return Field(default_factory=section, description=meaning)
