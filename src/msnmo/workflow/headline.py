"""The numbers at the end of a run: DSC and AUC, with intervals, and the page to open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from msnmo.cohort.simulated import Simulated
from msnmo.core.files import read_tsv
from msnmo.core.numbers import fixed
from msnmo.evaluate.metrics import NOT_APPLICABLE
from msnmo.settings.methods import JOINT, get_method
from msnmo.tables.compare import DECIMALS

COLUMNS = {
    **dict.fromkeys(("metric", "space", "method"), str),
    **dict.fromkeys(("estimate", "ci_low", "ci_high"), float),
    **dict.fromkeys(("n_scans", "n_folds"), int),
}
METRICS = {"DSC": "model", "AUC": NOT_APPLICABLE}
"""For each headline metric, its space."""
PAGES = (
    "report/index.html",
    "applied/report/evaluation.html",
    "applied/report/index.html",
    "quality/index.html",
)
"""Pages that a run may have made. The first that exists is the one to open."""
BUNDLE, CARD = "bundle", "MODEL_CARD.md"
"""The folder of a bundle, and the page in it that describes it."""
FINDINGS = "check/findings.html"
"""The page of every run, to open after only a check."""


def headline(statistics: Iterable[Path], confidence: float) -> str:
    """Return the DSC and AUC of the joint model, or of the first method that has them.

    Parameters
    ----------
    statistics : iterable of Path
        Statistics of tables, written by `msnmo.evaluate.statistics`. Files with other columns hold
        no results of methods over all scans and are skipped.
    confidence : float
        Of the intervals, in (0, 1).

    Returns
    -------
    str
        One line; empty if there is no such number.
    """
    tables = [table for path in statistics if (table := _read(path)) is not None]
    if not tables:
        return ""
    rows = pd.concat(tables).fillna({"space": NOT_APPLICABLE})
    rows = rows.drop_duplicates(["metric", "space", "method"])
    level = f"{100 * confidence:g} % interval"
    parts: dict[str, list[str]] = {}
    counted = ""
    for metric, space in METRICS.items():
        of_metric = rows[(rows["metric"] == metric) & (rows["space"] == space)]
        of_metric = of_metric.dropna(subset="estimate")
        # the joint model first, then the config's order
        chosen = [*of_metric[of_metric["method"] == JOINT].itertuples(), *of_metric.itertuples()]
        for row in chosen[:1]:
            interval = _interval(row.ci_low, row.ci_high, "" if parts else f"{level} ")
            label = get_method(str(row.method)).label
            parts.setdefault(label, []).append(
                f"{metric} {fixed(row.estimate, DECIMALS)} %{interval}"
            )
            counted = counted or f", {row.n_folds} folds, {row.n_scans} scans"
    told = "; ".join(f"{label}: {', '.join(texts)}" for label, texts in parts.items())
    return f"{told}{counted}" if told else ""


def _interval(low: float, high: float, level: str) -> str:
    if pd.isna(low) or pd.isna(high):
        return ""
    return f" ({level}{fixed(low, DECIMALS)} to {fixed(high, DECIMALS)})"


def _read(path: Path) -> pd.DataFrame | None:
    with path.open(encoding="utf-8") as file:
        names = file.readline().rstrip("\n").split("\t")
    return read_tsv(path, COLUMNS)[list(COLUMNS)] if set(COLUMNS) <= set(names) else None


def page_to_open(results: Path, made: Sequence[Path]) -> Path | None:
    """Return the page that shows most of a run's results, or a table; None without either."""
    pages = [page for name in PAGES if (page := results / name) in made]
    tables = [path for path in made if path.parent == results / "tables" and path.suffix == ".html"]
    figures = [path for path in made if path.suffix == ".png"]
    cards = [path / CARD for path in made if path == results / BUNDLE]
    findings = [path for path in made if path == results / FINDINGS]
    return next(iter([*pages, *tables, *figures, *cards, *findings]), None)


def simulated_note(cohort: Path) -> str:
    """Return what must be known about a run's scans; empty if nothing."""
    if not cohort.is_file():
        return ""
    return Simulated.among(read_tsv(cohort, {"scan": str})).note
