"""The config, checked whole before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from msnmo.errors import Finding, InputError
from msnmo.methods import METHODS


def check_config(config: Mapping[str, Any], schema: Path) -> None:
    """Check the merged config against its JSON Schema and the list of methods.

    Raises
    ------
    InputError
        With every key that is wrong, what was expected there and what was found.
    """
    rules = yaml.safe_load(schema.read_text(encoding="utf-8"))
    errors = sorted(Draft202012Validator(rules).iter_errors(config), key=lambda e: list(e.path))
    findings = [_finding(error) for error in errors]
    chosen = config.get("methods")
    if isinstance(chosen, list):
        findings += [_unknown_method(name) for name in chosen if name not in METHODS]
    if findings:
        raise InputError(findings)


def _unknown_method(name: object) -> Finding:
    remedy = "correct the name"
    return Finding("config key methods", f"one of {', '.join(METHODS)}", repr(name), remedy)


def _finding(error: ValidationError) -> Finding:
    key = ".".join(str(part) for part in error.absolute_path) or "(top level)"
    described = error.schema.get("description", "")
    remedy = "correct the key in your config file; config.yaml shows every key"
    if error.validator in ("type", "oneOf") and _looks_like_a_number(error.instance):
        remedy = f"write {float(error.instance):.1e}: YAML reads {error.instance} as text"
    expected = f"{described} ({_rule(error)})" if described else _rule(error)
    return Finding(f"config key {key}", expected, _found(error), remedy)


def _rule(error: ValidationError) -> str:
    return (
        f"{error.validator}: {error.validator_value}"
        if error.validator != "additionalProperties"
        else (f"one of {', '.join(error.schema['properties'])}")
    )


def _found(error: ValidationError) -> str:
    return (
        error.message
        if error.validator in ("additionalProperties", "required")
        else repr(error.instance)
    )


def _looks_like_a_number(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True
