"""Describe what is wrong with a config: key, expected and why, found, remedy."""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import ValidationError

from msnmo.core.errors import Finding

REFERENCE = "docs/reference-config.md describes every key"
SHORT = reprlib.Repr()
"""Shows of a value no more than a line may take, however much YAML's aliases make of it."""
SHORT.maxlevel = 3
SHORT.maxlist = SHORT.maxtuple = SHORT.maxset = SHORT.maxdict = 30
SHORT.maxstring = SHORT.maxlong = SHORT.maxother = 1000
COUNTS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}

Schema = Mapping[str, Any]


def findings_of(
    error: ValidationError,
    rules: Schema,
    place: str = "",
    notes: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> list[Finding]:
    """Return the findings of a validation error, one per key.

    Parameters
    ----------
    error : ValidationError
    rules : mapping
        JSON Schema of the checked model.
    place : str
        The model's place in the config: a dotted key, or empty for the whole config.
    notes : mapping
        Special texts (found, remedy) for some unknown keys, by dotted key.
    """
    lines = [_of_whole_list(line) for line in error.errors(include_url=False)]
    keys = {line["loc"] for line in lines}
    findings: dict[str, Finding] = {}
    for line in lines:
        path = line["loc"]
        # pydantic reports a list with a wrong item as too short as well
        if line["type"] == "too_short" and any(other[:-1] == path for other in keys):
            continue
        finding = _finding(line, rules, place, notes)
        findings.setdefault(finding.file, finding)
    return list(findings.values())


def _of_whole_list(line: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the error of a missing list item into an error of the list."""
    path = line["loc"]
    return {**line, "loc": path[:-1] if line["type"] == "missing" else path}


def _finding(
    line: Mapping[str, Any], rules: Schema, place: str, notes: Mapping[str, tuple[str, str]]
) -> Finding:
    path, value = line["loc"], line["input"]
    name = ".".join(str(part) for part in (*([place] if place else []), *path))
    where = f"config: {name}" if name else "config"
    if line["type"] in ("extra_forbidden", "invalid_key"):
        return _unknown_key(where, path, rules, notes.get(name))
    node = _node(rules, path)
    # our own validators provide their texts
    own = line["ctx"]["error"] if line["type"] == "value_error" else None
    rule = getattr(own, "expected", "") or in_words(node)
    described = node.get("description", "") if name else ""
    expected = f"{described} ({rule})" if described else rule
    found = getattr(own, "found", "") or _found(value, node)
    remedy = getattr(own, "remedy", "") or _remedy(name, value, node)
    return Finding(where, expected, found, remedy)


def _unknown_key(
    where: str, path: tuple[int | str, ...], rules: Schema, note: tuple[str, str] | None
) -> Finding:
    *section, name = path
    known = list(_node(rules, tuple(section)).get("properties", {}))
    found, remedy = note or _meant(str(name), known, rules)
    return Finding(where, f"keys among {', '.join(known)}", found, remedy)


def _meant(name: str, known: list[str], rules: Schema) -> tuple[str, str]:
    """Return the texts for an unknown key: the key that was probably meant, and the remedy."""
    found = f'unknown key "{name}"'
    if close := nearest(name, known):
        return f'{found}; did you mean "{close}"?', f"write {close}"
    if section := _section_with(name, rules):
        remedy = f"move it to the section {section}"
        return f'{found}; did you mean "{section}.{name}"?', remedy
    return found, f"remove it; {REFERENCE}"


def nearest(given: str, known: list[str]) -> str:
    """Return the known name that was probably meant, or nothing."""
    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(given.lower(), by_lower_case, n=1)
    return by_lower_case[close[0]] if close else ""


def _section_with(name: str, rules: Schema) -> str:
    """Return the section of the config that has this key, or nothing."""
    for section, schema in rules.get("properties", {}).items():
        if name in _resolved(rules, schema).get("properties", {}):
            return section
    return ""


def _choice_meant(value: object, node: Schema) -> str:
    """Return the choice that was probably meant, or nothing."""
    choices = [str(choice) for choice in node.get("enum", [])]
    return nearest(value, choices) if isinstance(value, str) else ""


def _found(value: object, node: Schema) -> str:
    if value is None:
        return "nothing"
    text = SHORT.repr(value)
    text = text if len(text) <= 80 else f"{text[:77]}..."
    meant = _choice_meant(value, node)
    return f'{text}; did you mean "{meant}"?' if meant else text


def _remedy(name: str, value: object, node: Schema) -> str:
    if value is None:
        return "give a value, or remove the key to use its default"
    if isinstance(value, str):
        if meant := _choice_meant(value, node):
            return f"write {meant}"
        if node.get("type") == "boolean" and value.strip().lower() in ("true", "false"):
            return _unquoted(value)
        if node.get("type") in ("integer", "number") and (number := _as_number(value)):
            return number
    return f"change {name}; {REFERENCE}" if name else f"correct the config; {REFERENCE}"


def _unquoted(text: str) -> str:
    plain = f"write {text.strip()} without quotes"
    return f"{plain}, in a config file: --config turns values within a section into text"


def _as_number(text: str) -> str:
    """Return the remedy for text that was meant as a number, or nothing."""
    try:
        value = float(text)
    except ValueError:
        return ""
    if not math.isfinite(value):
        return ""
    if isinstance(yaml.safe_load(text), int | float):
        return _unquoted(text)
    number = f"{value:.0f}" if value.is_integer() else f"{value:.1e}"
    return f"write {number}: YAML reads {text} as text"


def _node(rules: Schema, path: tuple[int | str, ...]) -> Schema:
    """Return the schema of a key, with references resolved."""
    node = _resolved(rules, rules)
    for part in path:
        if isinstance(part, int):
            node = node.get("items") or node["prefixItems"][part]
        else:
            node = node["properties"][part]
        node = _resolved(rules, node)
    return node


def _resolved(rules: Schema, node: Schema) -> dict[str, Any]:
    name = node.get("$ref", "").removeprefix("#/$defs/")
    return {**(rules["$defs"][name] if name else {}), **node}


def keys_of(rules: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield every key of a schema as a dotted name, with the schema of its value."""
    for name, given in _resolved(rules, rules).get("properties", {}).items():
        node = _resolved(rules, given)
        if "properties" not in node:
            yield name, node
            continue
        for key, inner in keys_of({**node, "$defs": rules.get("$defs", {})}):
            yield f"{name}.{key}", inner


def in_words(node: Schema, plural: bool = False) -> str:
    """Return a schema's rule for a value in words, such as "a number from 0 to 1"."""
    if "properties" in node:
        return f"keys among {', '.join(node['properties'])}"
    if "anyOf" in node:
        return ", or ".join(in_words(each, plural) for each in node["anyOf"])
    choices = node.get("enum", [node["const"]] if "const" in node else [])
    if choices:
        return f"{'' if plural else 'one of '}{', '.join(map(str, choices))}"
    kind = node.get("type")
    if kind == "array":
        return _list_in_words(node)
    if kind in ("integer", "number"):
        return _number_in_words(node, plural)
    text = "a path" if node.get("format") == "path" else "texts" if plural else "text"
    return {"boolean": "true or false", "string": text}[str(kind)]


def _list_in_words(node: Schema) -> str:
    items = node.get("items") or node["prefixItems"][0]
    least, most = node.get("minItems", 0), node.get("maxItems")
    if node.get("uniqueItems") and "enum" in items:
        most = None  # choices that come once are no more than there are
    few = COUNTS.get(least, str(least))
    count = {None: f"{few} or more " if least else "", least: f"{few} "}
    upper = COUNTS.get(most or 0, str(most))
    many = count.get(most, f"{few} to {upper} " if least else f"at most {upper} ")
    once = ", each once" if node.get("uniqueItems") else ""
    return f"a list of {many}{in_words(items, plural=True)}{once}"


def _number_in_words(node: Schema, plural: bool) -> str:
    factor = node.get("multipleOf")
    noun = {"integer": "whole number", "number": "number"}[node["type"]]
    if factor:
        noun = "even number" if factor == 2 else f"multiple of {factor}"
    article = "" if plural else "an " if noun.startswith("even") else "a "
    if plural:
        noun = noun.replace("multiple", "multiples") if "multiple" in noun else f"{noun}s"
    return f"{article}{noun}{_range_in_words(node)}"


def _range_in_words(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {_plain(low)} to {_plain(high)}"
    if low == node.get("multipleOf"):
        low = None
    parts = [
        f"{word} {_plain(bound)}"
        for word, bound in (
            ("of at least", low),
            ("above", above),
            ("of at most", high),
            ("below", below),
        )
        if bound is not None
    ]
    return f" {' and '.join(parts)}" if parts else ""


def _plain(bound: float) -> str:
    """Return a bound without an exponent where it is whole."""
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"
