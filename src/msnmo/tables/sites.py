"""Table S3: every metric by site, and the AUC within sites beside that of all pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.cohort.balance import NO_SITE
from msnmo.core.diagnoses import diagnoses
from msnmo.core.files import read_tsv
from msnmo.core.numbers import FEWEST_FOR_CORRELATION, fixed
from msnmo.evaluate.metrics import EXACT, METRICS, NOT_APPLICABLE
from msnmo.evaluate.statistics.sites import NUMBERS, columns, counts, of_classes
from msnmo.evaluate.verdict import CHANCE
from msnmo.settings.methods import get_method
from msnmo.tables.content import (
    ABOUT_METRICS,
    EXACT_WHERE_ALL_ARE_EQUAL,
    WIDEST,
    batched,
    interval_text,
    percent,
    text_of,
)
from msnmo.tables.layout import SITES, SITES_CAPTION
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text

ALL, WITHIN = "all sites", "within sites"
"""Names of lines."""
EXPLAINED = (
    "A number is the mean over scans, and over seeds if there are several. It is not a mean over "
    "folds, so the row of all sites differs from the other tables."
)


def _types() -> dict[str, type]:
    whole = (each for each in counts() if each != "n_pairs")
    return {
        **dict.fromkeys(columns(), str),
        **dict.fromkeys((*NUMBERS, "n_pairs"), float),
        **dict.fromkeys(whole, int),
    }


def _about_auc() -> str:
    first, second = diagnoses()
    return (
        f"AUC: pairs of one {second} and one {first} scan of the same fold and seed, as scores of "
        "different networks are not comparable; within sites: also of the same site. A network "
        "that tells sites but no disease has 50 % there."
    )


def read_sites(path: Path) -> pd.DataFrame:
    """Return every metric by site, as `msnmo.evaluate.statistics.sites` writes it, with labels.

    Returns
    -------
    DataFrame
        Columns table, label, then those of the file.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    table = read_tsv(path, _types())[list(columns())]
    # "n/a" is a space here, not a missing value
    table = table.fillna({"space": NOT_APPLICABLE})
    table.insert(0, "table", SITES)
    table.insert(1, "label", [get_method(name).label for name in table["method"]])
    return table


def page_of_sites(table: pd.DataFrame) -> Page:
    """Return Table S3 as its readers see it.

    Parameters
    ----------
    table : DataFrame
        As `read_sites` returns.
    """
    level = percent(float(table["confidence"].iloc[0]))
    table = _in_lines(table)
    return Page(
        SITES,
        SITES_CAPTION,
        "Method",
        "Scans",
        tuple(_panels(table, level)),
        tuple(_notes(table, level)),
        Panel(
            "Intervals",
            (
                "value",
                "interval from",
                "to",
                "interval by",
                "scans",
                *diagnoses(),
                "pairs",
                "subjects",
            ),
            tuple(_details(table)),
        ),
    )


def _in_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by method and then by line: all sites, within sites, each site."""
    names = "site " + table["site"].astype(str)
    names = names.where(table["site"] != NO_SITE, NO_SITE)
    line = names.where(table["scope"] == "site", table["scope"].map({"all": ALL, "within": WITHIN}))
    methods = {name: place for place, name in enumerate(table["method"].unique())}
    order = table["scope"].map({"all": 0, "within": 1, "site": 2}) + 3 * table["method"].map(
        methods
    )
    return table.assign(line=line, order=order).sort_values("order", kind="stable")


def _panels(table: pd.DataFrame, level: str) -> Iterator[Panel]:
    """Yield the metrics of each task, at most `WIDEST` side by side, with their scan counts."""
    there = [name for name in METRICS if name in set(table["metric"])]
    for task in dict.fromkeys(METRICS[name].task for name in there):
        for metrics in batched([name for name in there if METRICS[name].task == task], WIDEST):
            rows = table[table["metric"].isin(metrics)]
            shown = (_heading(table), *(("pairs",) if "AUC" in metrics else ()))
            yield Panel(
                task.capitalize(),
                (*(f"{name} ({METRICS[name].unit})" for name in metrics), *shown),
                tuple(
                    Block(str(label), tuple(_lines(part, metrics, shown, level)))
                    for label, part in rows.groupby("label", sort=False)
                ),
            )


def _heading(table: pd.DataFrame) -> str:
    """Return the heading of how many scans there are: of each class, if any has one."""
    return " / ".join(diagnoses()) if table[list(of_classes())].any(axis=None) else "scans"


def _lines(
    rows: pd.DataFrame, metrics: Sequence[str], shown: Sequence[str], level: str
) -> Iterator[Line]:
    """Yield a method's lines: all scans, pairs within sites, and each site."""
    for (scope, name), part in rows.groupby(["scope", "line"], sort=False):
        cells = {row.metric: row for row in part.itertuples()}
        of = [cells.get(metric) for metric in metrics]
        told = _counts(list(cells.values()))
        yield Line(name, (*map(_value, of), *(told[each] for each in shown)))
        if scope != "site":
            nothing = tuple(Text("") for _ in shown)
            yield Line(f"{name}, {level} CI", (*map(_interval, of), *nothing))


def _value(cell: Any) -> Text:
    if cell is None:
        return Text(NOTHING)
    return Text(NOT_APPLICABLE) if math.isnan(cell.value) else text_of(cell.value)


def _interval(cell: Any) -> Text:
    return Text(NOTHING if cell is None else interval_text(cell.ci_low, cell.ci_high))


def _counts(cells: Iterable[Any]) -> dict[str, Text]:
    """Return the largest scan counts by class among a line's numbers, and its pairs."""
    first, second, scans = (
        max(getattr(each, name) for each in cells) for name in (*of_classes(), "n_scans")
    )
    (pairs,) = [each.n_pairs for each in cells if each.metric == "AUC"] or [math.nan]
    shown = Text(NOTHING) if math.isnan(pairs) else Text(fixed(pairs, 0), value=pairs)
    return {
        " / ".join(diagnoses()): Text(f"{first} / {second}"),
        "scans": Text(f"{scans}", value=scans),
        "pairs": shown,
    }


def _details(table: pd.DataFrame) -> Iterator[Block]:
    for (label, line), rows in table.groupby(["label", "line"], sort=False):
        yield Block(
            f"{label}, {line}", tuple(Line(row.metric, _detail(row)) for row in rows.itertuples())
        )


def _detail(row: Any) -> tuple[Text, ...]:
    of_class = (getattr(row, name) for name in of_classes())
    scans = (row.n_scans, *of_class, row.n_pairs, row.n_subjects)
    return (
        *map(text_of, (row.value, row.ci_low, row.ci_high)),
        Text(NOTHING if pd.isna(row.interval) else row.interval),
        *(
            Text(NOTHING) if math.isnan(each) else Text(fixed(each, 0), value=each)
            for each in scans
        ),
    )


def _notes(table: pd.DataFrame, level: str) -> Iterator[str]:
    yield EXPLAINED
    if "AUC" in set(table["metric"]):
        yield _about_auc()
        yield from _told_of_sites(table[table["metric"] == "AUC"])
    of_all = table[table["scope"] == "all"]
    subjects, seeds = of_all["n_subjects"].max(), of_all["n_seeds"].max()
    trained = ", for the networks as trained" if seeds == 1 else f" and {seeds} seeds"
    yield f"{level} CI: bootstrap of {subjects} subjects of all sites{trained}."
    if (table["interval"] == EXACT).any():
        yield EXACT_WHERE_ALL_ARE_EQUAL
    if _few_volumes(table):
        yield f"VC: n/a for fewer than {FEWEST_FOR_CORRELATION} scans."
    first = table[table["scope"] == "site"].drop_duplicates("site")
    if len(first) == 1:
        yield f"All scans are from one site: {first['line'].iloc[0]}."
    of_auc = table[(table["metric"] == "AUC") & (table["scope"] == "site")]
    first_class, second_class = of_classes()
    without = of_auc[first_class] * of_auc[second_class] == 0
    if alone := list(of_auc.loc[without, "line"].unique()):
        yield f"Only one class, so no AUC: {', '.join(alone)}."
    gaps = of_all[of_all["n_undefined_scans"] > 0].groupby("n_undefined_scans")["metric"]
    for count, metrics in gaps:
        scans = f"{count} scan{'' if count == 1 else 's'}"
        yield f"Undefined for {scans} without a true lesion, left out: {_each(metrics)}."
    if lowest := [name for name in _ordered(table["metric"]) if METRICS[name].best == "lowest"]:
        yield f"{', '.join(lowest)}: lower is better."
    yield from (note for name, note in ABOUT_METRICS.items() if name in set(table["metric"]))


def _told_of_sites(of_auc: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each method whose AUC is above chance only over all sites."""
    for label, rows in of_auc.groupby("label", sort=False):
        scopes = {row.scope: row for row in rows.itertuples()}
        overall, within = scopes["all"], scopes["within"]
        if not _above_chance(overall) or _above_chance(within):
            continue
        if within.n_pairs:
            found = f"within sites it is not shown to be ({_with_interval(within)})"
        else:
            found = "there is no pair within a site"
        yield (
            f"{label}: the AUC of all sites is above 50 % ({_with_interval(overall)}); {found}. "
            "It may tell sites but no disease."
        )


def _above_chance(row: Any) -> bool:
    """Return whether the interval is above chance; of an AUC without one, whether it is."""
    low = row.value if math.isnan(row.ci_low) else row.ci_low
    return bool(low > METRICS["AUC"].scale * CHANCE)


def _with_interval(row: Any) -> str:
    pairs = f"{row.n_pairs:.0f} pair{'' if row.n_pairs == 1 else 's'}"
    if math.isnan(row.ci_low):
        return f"{fixed(row.value, 2)} %, {pairs}"
    level = percent(float(row.confidence))
    return f"{fixed(row.value, 2)} %, {level} CI {interval_text(row.ci_low, row.ci_high)}, {pairs}"


def _few_volumes(table: pd.DataFrame) -> bool:
    of_volumes = table[table["metric"] == "VC"]
    return bool((of_volumes["n_scans"] < FEWEST_FOR_CORRELATION).any())


def _ordered(metrics: pd.Series) -> list[str]:
    return [name for name in METRICS if name in set(metrics)]


def _each(metrics: pd.Series) -> str:
    return ", ".join(_ordered(metrics))
