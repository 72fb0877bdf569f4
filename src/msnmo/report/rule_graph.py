"""The picture of the rules and of what each waits for, layer by layer.

``rules.csv`` holds Snakemake's own rule graph, of a run of everything. It is written by

    snakemake --rulegraph | python -m msnmo.report.rule_graph > src/msnmo/report/rules.csv

when rules change (a test compares them), so that a report needs no Snakemake and takes no lock.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise

Needs = Mapping[str, frozenset[str]]

CHARACTER, PADDING, BOX, GAP, STEP = 7.2, 18, 28, 18, 62
"""Pixels: of a letter, beside a name, a box's height, between boxes, between layers."""
BEND = 6
"""Pixels that a line takes up where it passes a layer."""
SWEEPS = 12
TARGETS = frozenset({"all", "report"})
"""Rules that only name files."""


@dataclass(frozen=True)
class Box:
    """A rule: its name, and the middle and the width of its box."""

    rule: str
    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Drawing:
    """The rules as boxes and what waits for what as lines, in pixels."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[str, ...]


def parse_rulegraph(text: str) -> dict[str, frozenset[str]]:
    """Return what each rule waits for, of the text that ``snakemake --rulegraph`` prints."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', text, re.MULTILINE))
    needs: dict[str, set[str]] = {
        name: set() for name in sorted(names.values()) if name not in TARGETS
    }
    for first, then in re.findall(r"^\s*(\d+) -> (\d+)", text, re.MULTILINE):
        if names[then] in needs and names[first] in needs:
            needs[names[then]].add(names[first])
    return {name: frozenset(each) for name, each in needs.items()}


def to_csv(needs: Needs) -> str:
    """Return the graph as ``rules.csv``."""
    rows = [f"{name},{' '.join(sorted(needs[name]))}\n" for name in sorted(needs)]
    return "".join(["rule,needs\n", *rows])


def read_rules() -> dict[str, frozenset[str]]:
    """Return what each rule of the workflow waits for."""
    text = resources.files("msnmo.report").joinpath("rules.csv").read_text("utf-8")
    return {
        row["rule"]: frozenset(row["needs"].split()) for row in csv.DictReader(text.split("\n"))
    }


def without_shortcuts(needs: Needs) -> dict[str, frozenset[str]]:
    """Return the graph without what follows from the rest."""

    def reached(rule: str) -> set[str]:
        return set(needs[rule]).union(*(reached(other) for other in needs[rule]))

    return {
        rule: direct - set().union(*(reached(other) for other in direct))
        for rule, direct in needs.items()
    }


def draw(needs: Needs) -> Drawing:
    """Return the rules in layers, each below all that it waits for (Sugiyama's scheme)."""
    needs = without_shortcuts(needs)
    depth: dict[str, int] = {}

    def settle(rule: str) -> int:
        if rule not in depth:
            depth[rule] = 1 + max((settle(other) for other in needs[rule]), default=-1)
        return depth[rule]

    layers: list[list[str]] = [[] for _ in range(1 + max(map(settle, sorted(needs))))]
    for rule in sorted(needs):
        layers[depth[rule]].append(rule)
    chains = [
        _chain(first, rule, depth, layers)
        for rule in sorted(needs)
        for first in sorted(needs[rule])
    ]
    links = {link for chain in chains for link in pairwise(chain)}
    _order(layers, links)
    places = _place(layers, links)
    return _drawing(layers, places, chains)


def _chain(first: str, then: str, depth: Mapping[str, int], layers: list[list[str]]) -> list[str]:
    """Return the way of a line; where it passes a layer it is given a place there."""
    bends = [f"{first}>{then}@{layer}" for layer in range(depth[first] + 1, depth[then])]
    for layer, bend in enumerate(bends, start=depth[first] + 1):
        layers[layer].append(bend)
    return [first, *bends, then]


def _neighbours(links: set[tuple[str, str]], down: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for above, below in sorted(links):
        first, other = (below, above) if down else (above, below)
        found.setdefault(first, []).append(other)
    return found


def _order(layers: list[list[str]], links: set[tuple[str, str]]) -> None:
    """Order each layer by the mean place of the neighbours, down and up in turn."""
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = _neighbours(links, down)
        at = {name: place / len(layer) for layer in layers for place, name in enumerate(layer)}
        for layer in layers if down else reversed(layers):
            weight = {
                name: sum(at[other] for other in near[name]) / len(near[name])
                if name in near
                else at[name]
                for name in layer
            }
            layer[:] = [name for _, name in sorted((weight[name], name) for name in layer)]
            at |= {name: place / len(layer) for place, name in enumerate(layer)}


def _width(name: str) -> float:
    return BEND if "@" in name else len(name) * CHARACTER + PADDING


def _place(layers: list[list[str]], links: set[tuple[str, str]]) -> dict[str, float]:
    """Return the middle of every box: near its neighbours', in order, without overlap."""
    places: dict[str, float] = {}
    for layer in layers:
        left = 0.0
        for name in layer:
            places[name] = left + _width(name) / 2
            left += _width(name) + GAP
        for name in layer:
            places[name] -= (left - GAP) / 2
    for sweep in range(2 * SWEEPS):
        near = _neighbours(links, sweep % 2 == 0)
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = [
                sum(places[other] for other in near[name]) / len(near[name])
                if name in near
                else places[name]
                for name in layer
            ]
            places |= dict(zip(layer, _apart(layer, wanted), strict=True))
    least = min(places[name] - _width(name) / 2 for name in places)
    return {name: round(x - least, 1) for name, x in places.items()}


def _apart(layer: list[str], wanted: list[float]) -> list[float]:
    """Return places as wanted but for what is needed to keep boxes apart."""
    gaps = [(_width(a) + _width(b)) / 2 + GAP for a, b in pairwise(layer)]
    right, left = list(wanted), list(wanted)
    for index, gap in enumerate(gaps):
        right[index + 1] = max(right[index + 1], right[index] + gap)
    for index, gap in reversed(list(enumerate(gaps))):
        left[index] = min(left[index], left[index + 1] - gap)
    return [(a + b) / 2 for a, b in zip(left, right, strict=True)]


def _drawing(
    layers: list[list[str]], places: Mapping[str, float], chains: list[list[str]]
) -> Drawing:
    heights = {
        name: BOX / 2 + 2 + STEP * layer for layer, names in enumerate(layers) for name in names
    }
    boxes = [
        Box(name, places[name], heights[name], _width(name))
        for names in layers
        for name in names
        if "@" not in name
    ]
    lines = [_line([(places[name], heights[name]) for name in chain], BOX / 2) for chain in chains]
    width = max(box.x + box.width / 2 for box in boxes)
    return Drawing(width, heights[layers[-1][0]] + BOX / 2 + 2, tuple(boxes), tuple(lines))


def _line(points: list[tuple[float, float]], half: float) -> str:
    """Return a smooth path from the foot of the first box to the head of the last."""
    (x, y), *rest = points
    path = [f"M{x:g} {y + half:g}"]
    start = y + half
    for index, (then_x, then_y) in enumerate(rest):
        stop = then_y - half
        middle = (start + stop) / 2
        path.append(f"C{x:g} {middle:g} {then_x:g} {middle:g} {then_x:g} {stop:g}")
        if index < len(rest) - 1:
            path.append(f"V{then_y + half:g}")
        x, start = then_x, then_y + half
    return " ".join(path)


if __name__ == "__main__":
    print(to_csv(parse_rulegraph(sys.stdin.read())), end="")
