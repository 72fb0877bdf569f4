"""Draw one figure of the catalogue as PNG and SVG."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.cohort.folds import read_folds
from msnmo.cohort.simulated import Simulated
from msnmo.core.errors import Finding, InputError, bad_input, run_command
from msnmo.core.files import read_tsv
from msnmo.evaluate.aggregate import read_metrics
from msnmo.evaluate.verdict import read_verdicts
from msnmo.figures.catalogue import Figure, get_figure, methods_of
from msnmo.figures.inputs import Inputs
from msnmo.settings.methods import get_method
from msnmo.viewing.slices import save

MANIFEST_FILES = ("image", "lesion", "sidecar", "native_brain")
MANIFEST_COLUMNS = {"scan": str} | dict.fromkeys(MANIFEST_FILES, str)
COHORT_COLUMNS = {"scan": str, "diagnosis": str}


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw a figure."""
    given = _parse(arguments)
    shown = get_figure(given.figure)
    _refuse_missing(shown, given)
    metrics = None if given.metrics is None else read_metrics(given.metrics)
    inputs = Inputs(
        methods=chosen_methods(shown, given.methods, metrics),
        metrics=metrics,
        manifest=read_tsv(given.manifest, MANIFEST_COLUMNS, files=MANIFEST_FILES),
        cohort=read_tsv(given.cohort, COHORT_COLUMNS),
        folds=read_folds(given.folds),
        predictions=given.predictions or "",
        history=given.history or "",
        gradcam=given.gradcam or "",
        verdicts={} if given.localisation is None else read_verdicts(given.localisation),
        augment=_augment(given.augment),
        seed=given.seed,
    )
    # a figure's module is imported only when it is drawn, as one of them needs torch
    figure = import_module(f"msnmo.figures.{shown.module}").draw(inputs)
    stamp = Simulated.among(inputs.cohort).note
    save(figure, given.out_png, stamp)
    save(figure, given.out_svg, stamp)


def chosen_methods(
    shown: Figure, named: Sequence[str] | None, metrics: pd.DataFrame | None
) -> tuple[str, ...]:
    """Return the methods that a figure shows, in its order.

    Parameters
    ----------
    shown : Figure
    named : sequence of str, optional
        Names given by the user; without them, those of the metrics.
    metrics : DataFrame or None
        Column method.

    Raises
    ------
    InputError
        If a name is unknown, or if the figure shows none of the methods.
    """
    if named is None:
        named = [] if metrics is None else list(metrics["method"].unique())
    for name in named:
        get_method(name)
    methods = methods_of(shown.name, named)
    if shown.methods and (not methods or not shown.needed <= set(methods)):
        expected = (
            f"methods that {shown.name} shows: {', '.join(sorted(shown.needed) or shown.methods)}"
        )
        raise bad_input("--methods", expected, ", ".join(named) or "none", "run such a method")
    return tuple(methods)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.figures", description=__doc__)
    parser.add_argument("--figure", required=True, help="name in the catalogue, such as figure-8")
    parser.add_argument("--methods", nargs="+", help="methods to show (default: the metrics')")
    parser.add_argument("--manifest", type=Path, required=True, help="scans in model space (TSV)")
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument("--folds", type=Path, required=True, help="folds.tsv")
    parser.add_argument("--metrics", type=Path, help="long table of metrics")
    parser.add_argument("--predictions", help="folder of a fold, with {method} and {fold}")
    parser.add_argument("--history", help="history.tsv of a training, with {method} and {fold}")
    parser.add_argument("--gradcam", help="folder of a fold of msnmo.predict.gradcam, with {fold}")
    parser.add_argument(
        "--localisation",
        type=Path,
        help="table of msnmo.evaluate.statistics.maps: whether maps find lesions",
    )
    parser.add_argument("--augment", required=True, help="the config's section (JSON)")
    parser.add_argument("--seed", type=int, required=True, help="seed of the bootstrap")
    parser.add_argument("--out-png", type=Path, required=True, help="PNG")
    parser.add_argument("--out-svg", type=Path, required=True, help="SVG")
    return parser.parse_args(arguments)


def _refuse_missing(shown: Figure, given: argparse.Namespace) -> None:
    findings = [
        Finding(f"--{source}", f"the input of {shown.name}", "nothing", "give the option")
        for source in sorted(shown.reads)
        if getattr(given, source) is None
    ]
    if findings:
        raise InputError(findings)


def _augment(text: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        remedy = 'give JSON such as {"rotation_degrees": 15}'
        raise bad_input("--augment", "JSON", f"{error}: {text[:80]}", remedy) from error
    if not isinstance(content, dict):
        raise bad_input("--augment", "a JSON object", type(content).__name__, "give an object")
    return content


if __name__ == "__main__":
    run_command(main)
