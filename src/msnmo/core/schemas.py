"""JSON Schemas: what is wrong of a file's content, in the words of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from msnmo.core.errors import Finding, InputError

MOST_LETTERS = 200
"""Longest quote of content in a message: it may hold anything."""


def read_schema(path: Path) -> dict[str, Any]:
    """Return a schema that is written in YAML."""
    schema: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return schema


def refuse_misfit(file: Path | str, content: Any, schema: Mapping[str, Any], remedy: str) -> None:
    """Refuse content that does not fit a schema.

    Parameters
    ----------
    file : Path or str
        Where the content is from, for the message.
    content : Any
        As of JSON.
    schema : mapping
        Its descriptions are what is told as expected.
    remedy : str

    Raises
    ------
    InputError
        Names every place.
    """
    errors = sorted(Draft202012Validator(schema).iter_errors(content), key=lambda e: list(e.path))
    if errors:
        raise InputError(
            Finding(
                f"{file}, {'.'.join(map(str, each.absolute_path)) or 'top level'}",
                each.schema.get("description", f"{each.validator}: {each.validator_value}"),
                shorten(each.message, MOST_LETTERS),
                remedy,
            )
            for each in errors
        )


def shorten(text: str, letters: int) -> str:
    """Return a text shortened to at most this many letters."""
    return text if len(text) <= letters else f"{text[: letters - 3]}..."
