"""Write a page on a study: its methods side by side, and the verdicts on the paper's claims.

A claim belongs to a row of the paper's Tables 5 to 9: the joint model is better than without one of
its parts. It holds if the joint model is better in the study and the corrected p is below 0.05. It
is refuted if the joint model is worse with such a p, and otherwise stays open. P-values come from
the bootstrap over subjects and seeds, with Holm's correction over all claims.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from statsmodels.stats.multitest import multipletests
from tabulate import tabulate

from msnmo.cohort.folds import read_folds
from msnmo.core.arguments import between_0_and_1
from msnmo.core.errors import run_command
from msnmo.core.files import write_text
from msnmo.core.numbers import fixed
from msnmo.core.templates import templates
from msnmo.evaluate.aggregate import across_folds, read_metrics
from msnmo.evaluate.metrics import METRICS, space_of
from msnmo.evaluate.statistics.bootstrap import Drawn
from msnmo.evaluate.statistics.compare import Measured, by_method, compare_metric
from msnmo.settings.methods import JOINT, METHODS, get_method
from msnmo.tables.maps import SHOWN as OF_MAPS
from msnmo.tables.maps import number, read_judged
from msnmo.tables.model import NOTHING

SHOWN = ("DSC", "AUC", "LL")
CLAIMS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "5": (("only_seg",), ("DSC",)),
    "6": (("only_cls",), ("AUC",)),
    "7": (("without_sharing", "only_local", "only_global"), ("DSC", "AUC")),
    "8": (("lgm_none", "lgm_dot", "lgm_concat", "lgm_add"), ("AUC",)),
    "9": (("without_cross_loss",), ("DSC", "AUC")),
}
"""By table: the methods that the joint model should beat, and the metric."""
SIGNIFICANT = 0.05
PLUS = "joint_plus"
"""The joint model with the choices that helped, beyond the paper."""
CONFIG = "workflow/configs/study.yaml"


@dataclass(frozen=True)
class Study:
    """The metrics of a finished study and what the bootstrap draws from them."""

    metrics: pd.DataFrame
    folds: pd.DataFrame
    drawn: Drawn
    confidence: float
    maps: pd.DataFrame | None

    @classmethod
    def read(cls, results: Path, replicates: int, confidence: float, seed: int) -> Study:
        """Read the results of a finished run."""
        metrics = read_metrics(results / "metrics/all.tsv")
        folds = read_folds(results / "folds.tsv")
        drawn = Drawn.draw(folds, metrics["seed"], replicates, seed)
        judged = [
            results / f"localisation/{name}.tsv"
            for name in _in_order(metrics)
            if METHODS[name].has_maps
        ]
        maps = read_judged(judged) if judged else None
        tested = folds[folds["scan"].isin(metrics["scan"])]
        return cls(metrics, tested, drawn, confidence, maps)

    @property
    def methods(self) -> list[str]:
        """The methods that were run, in the registry's order."""
        return _in_order(self.metrics)

    @cached_property
    def compared(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The statistics of each metric that is shown, by method."""
        return {metric: self._compare(metric) for metric in SHOWN}

    def best_known(self) -> dict[str, dict[str, Any]]:
        """Return the DSC of each segmenting method against `PLUS`, by method."""
        return self._compare("DSC", PLUS)

    @cached_property
    def _measured(self) -> dict[str, Measured]:
        return by_method(self.metrics, self.folds)

    def _compare(self, metric: str, against: str = JOINT) -> dict[str, dict[str, Any]]:
        rows = compare_metric(
            *(metric, self.methods, self._measured, self.drawn),
            confidence=self.confidence,
            space=space_of(metric, "model"),
            against=against,
        )
        return {str(row["method"]): row for row in rows}


def _in_order(metrics: pd.DataFrame) -> list[str]:
    return [name for name in METHODS if name in set(metrics["method"])]


def methods_table(study: Study) -> str:
    """Return a row per method: each metric's mean, spreads, and difference to the joint model."""
    summary = across_folds(study.metrics).set_index(["method", "metric", "space"])
    lines = [
        [METHODS[name].label, f"`{name}`", *_cells(name, study.compared, summary)]
        for name in study.methods
    ]
    heads = [head for metric in SHOWN for head in (_heading(metric), "to joint")]
    return tabulate(lines, headers=["Method", "Name", *heads], tablefmt="github")


def _heading(metric: str) -> str:
    return f"{metric} ({METRICS[metric].unit})"


def _cells(
    name: str, compared: Mapping[str, Mapping[str, Mapping[str, Any]]], summary: pd.DataFrame
) -> Iterator[str]:
    for metric, rows in compared.items():
        row = rows.get(name)
        if row is None:
            yield from ("", "")
            continue
        spread = summary.loc[(name, metric, space_of(metric, "model"))]
        scale, digits = METRICS[metric].scale, 1 if METRICS[metric].unit == "%" else 3
        sds = (_number(scale * spread[each], digits) for each in ("sd", "sd_seeds"))
        yield f"{_number(row['estimate'], digits)} ({', '.join(sds)})"
        yield _difference(row, digits)


def _difference(row: Mapping[str, Any], digits: int) -> str:
    if "difference" not in row:
        return ""
    numbers = (row[each] for each in ("difference", "difference_low", "difference_high"))
    own, low, high = (_number(each, digits, "+") for each in numbers)
    return f"{own} ({low} to {high}), p {fixed(row['p_holm'], 3)}"


def _number(value: float, digits: int, sign: str = "") -> str:
    return NOTHING if math.isnan(value) else fixed(value, digits, sign)


def without_a_lesion(study: Study) -> str:
    """Return how many trainings of which methods found no lesion in any held-out scan."""
    metrics = study.metrics
    shown = (metrics["metric"] == "DSC") & (metrics["space"] == "model")
    best = metrics[shown].groupby(["method", "fold", "seed"])["value"].max()
    nothing = (best == 0).groupby("method").sum()
    trained = best.groupby("method").size()
    told = [f"`{name}` {nothing[name]} of {trained[name]}" for name in nothing.index[nothing > 0]]
    return ", ".join(told)


def maps_table(study: Study) -> str:
    """Return a row per map: how it lies on lesions, with intervals (Table S2)."""
    if study.maps is None:
        return "No method that has maps was run."
    lines = []
    for label, rows in study.maps.groupby("label", sort=False):
        cells = {row.metric: row for row in rows.itertuples()}
        shown = [_on_lesions(cells[metric], scale) for metric, (_, scale) in OF_MAPS.items()]
        lines.append([label, *shown])
    heads = ["Map", *(heading for heading, _ in OF_MAPS.values())]
    return tabulate(lines, headers=heads, tablefmt="github")


def _on_lesions(cell: Any, scale: int) -> str:
    values = (scale * each for each in (cell.mean, cell.ci_low, cell.ci_high))
    mean, low, high = (number(each, scale) for each in values)
    return f"{mean} ({low} to {high})"


def claims_table(study: Study) -> str:
    """Return a row per tested claim of the paper, with its verdict."""
    tried = [
        {"table": table, "metric": metric} | dict(rows[name])
        for table, (methods, metrics) in CLAIMS.items()
        for metric in metrics
        for rows in [study.compared[metric]]
        for name in methods
        if name in rows and JOINT in rows
    ]
    if not tried:
        return "No method of a claim was run."
    corrected = multipletests([row["p"] for row in tried], method="holm")[1]
    lines = [_claim(row, float(p)) for row, p in zip(tried, corrected, strict=True)]
    heads = ["Table", "The joint model is better than", "in", "by", "p (Holm)", "Verdict"]
    return tabulate(lines, headers=heads, tablefmt="github", disable_numparse=True)


def _claim(row: Mapping[str, Any], p: float) -> list[str]:
    """Return the cells of a claim; the difference is the joint model's to the method."""
    better = -row["difference"] if METRICS[row["metric"]].best == "highest" else row["difference"]
    verdict = "open" if p >= SIGNIFICANT else "holds" if better > 0 else "refuted"
    ends = sorted((-row["difference_low"], -row["difference_high"]))
    own, low, high = (_number(each, 1, "+") for each in (-row["difference"], *ends))
    size = f"{own} ({low} to {high})"
    return [row["table"], str(row["label"]), row["metric"], size, fixed(p, 3), verdict]


def plus_table(study: Study) -> str:
    """Return a row per segmenting method: the difference of its DSC to that of `PLUS`."""
    if PLUS not in study.methods:
        return f"`{PLUS}` was not run."
    lines = []
    for name, row in study.best_known().items():
        if "difference" in row:
            lines.append([METHODS[name].label, f"`{name}`", _difference(row, 1)])
    heads = ["Method", "Name", f"DSC (%), difference to {METHODS[PLUS].label}"]
    return tabulate(lines, headers=heads, tablefmt="github", disable_numparse=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.tables.study", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="of the study")
    parser.add_argument("--replicates", type=int, default=2000, help="bootstrap samples")
    parser.add_argument("--confidence", type=between_0_and_1, default=0.95, help="of the intervals")
    parser.add_argument("--seed", type=int, default=2024, help="of the bootstrap")
    parser.add_argument(
        "--planned", nargs="+", default=[], help="methods of the config; those not run are named"
    )
    parser.add_argument(
        "--configs", nargs="+", default=[CONFIG], help="config files of the run, for its recipe"
    )
    parser.add_argument("--out", type=Path, required=True, help="Markdown")
    given = parser.parse_args(arguments)
    study = Study.read(given.results, given.replicates, given.confidence, given.seed)
    missing = [name for name in given.planned if get_method(name).name not in study.methods]
    page = templates(__package__).get_template("study.md.jinja")
    metrics = study.metrics
    write_text(
        given.out,
        page.render(
            methods=methods_table(study),
            without_a_lesion=without_a_lesion(study),
            maps=maps_table(study),
            claims=claims_table(study),
            plus=plus_table(study),
            scans=study.folds["scan"].nunique(),
            subjects=study.folds["subject"].nunique(),
            folds=metrics["fold"].nunique(),
            seeds=", ".join(map(str, sorted(metrics["seed"].unique()))),
            configs=given.configs,
            results=given.results,
            out=given.out,
            replicates=given.replicates,
            missing=", ".join(f"`{name}`" for name in missing),
        ),
    )


if __name__ == "__main__":
    run_command(main)
