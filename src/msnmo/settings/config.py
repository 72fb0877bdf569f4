"""The config, checked whole before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from msnmo.core.errors import Finding, InputError
from msnmo.settings.methods import BOTH_TASKS, METHODS, ModelSettings
from msnmo.settings.training import Settings

OWN = ("scans", "results", "decisions", "compute")
"""Sections and keys that say where data lie and what runs here, and nothing of a result."""


def check_config(config: Mapping[str, Any], schema: Path) -> None:
    """Check the merged config against its JSON Schema, the list of methods and their settings.

    Raises
    ------
    InputError
        With every key that is wrong, what was expected there and what was found.
    """
    rules = yaml.safe_load(schema.read_text(encoding="utf-8"))
    errors = sorted(Draft202012Validator(rules).iter_errors(config), key=lambda e: list(e.path))
    findings = [_finding(error) for error in errors]
    named = _named_methods(config)
    findings += [_unknown_method(key, name) for key, name in named if name not in METHODS]
    findings = findings or [*_wrong_folds(config["folds"]), *_wrong_settings(config)]
    if findings:
        raise InputError(findings)


def _named_methods(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each place that names a method, and the name; the config may be of any form."""
    for key in ("methods", "method_settings"):
        named = config.get(key)
        if isinstance(named, list | dict):
            yield from ((key, name) for name in named)
    exported = config.get("export")
    if isinstance(exported, dict) and isinstance(exported.get("method"), str):
        yield "export.method", exported["method"]


def shareable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config without what is this site's own: paths and machines."""
    kept = {key: value for key, value in config.items() if key not in OWN}
    kept["predict"] = {key: value for key, value in config["predict"].items() if key != "bundle"}
    return kept


def method_settings(config: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Return the settings that a method is trained with, by section.

    Those of the config's sections train and augment, loss for a method of both tasks, and model
    for the joint model and its ablations; over them what stands under the method's own name. So a
    change retrains the methods that it concerns, and no other.
    """
    method, own = METHODS[name], config["method_settings"].get(name, {})
    sections = ["train", "augment"]
    if method.tasks == BOTH_TASKS:
        sections.append("loss")
    if method.settings is ModelSettings:
        sections.append("model")
    common = {section: config[section] for section in sections}
    return {
        section: {**common.get(section, {}), **own.get(section, {})}
        for section in dict.fromkeys([*sections, "model", *own])
    }


def _wrong_settings(config: Mapping[str, Any]) -> list[Finding]:
    """Find values that a method's sections refuse, each once."""
    findings = {}
    for name in dict.fromkeys([*config["methods"], *config["method_settings"]]):
        own = config["method_settings"].get(name, {})
        if "loss" in own and METHODS[name].tasks != BOTH_TASKS:
            where, expected = f"config: method_settings.{name}.loss", "no such section"
            found = f"weights of losses, of which {name} has one"
            findings[where] = Finding(where, expected, found, "remove the section")
        try:
            Settings.from_mapping(method_settings(config, name), METHODS[name])
        except InputError as error:
            for finding in error.findings:
                section, _, rest = finding.file.removeprefix("config: ").partition(".")
                place = f"method_settings.{name}.{section}" if section in own else section
                where = f"config: {place}" + (f".{rest}" if rest else "")
                findings[where] = replace(finding, file=where)
    return list(findings.values())


def _wrong_folds(folds: Mapping[str, Any]) -> list[Finding]:
    return [
        Finding(
            "config: folds.only",
            f"folds from 0 to {folds['k'] - 1}, as folds.k is {folds['k']}",
            str(fold),
            "correct the list; an empty one means all folds",
        )
        for fold in folds["only"]
        if fold >= folds["k"]
    ]


def _unknown_method(key: str, name: object) -> Finding:
    remedy = "correct the name"
    return Finding(f"config key {key}", f"one of {', '.join(METHODS)}", repr(name), remedy)


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
