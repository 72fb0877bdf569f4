"""What an evaluation says: a table in every format, a page of the report of new scans, a figure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.apply.evaluation import ALL_SITES, NUMBERS, Evaluation, shown_metrics
from msnmo.apply.overlap import NO_SEALS
from msnmo.apply.pages import NAVIGATION
from msnmo.bundle.contents import NOT_FOR_DIAGNOSIS
from msnmo.cohort.excluded import exclusion_note
from msnmo.core.diagnoses import score, score_in_words
from msnmo.core.files import write_text, write_tsv
from msnmo.core.numbers import as_text, fixed
from msnmo.evaluate.metrics import EXACT, METRICS, tasks_of
from msnmo.figures.outside import draw_outside
from msnmo.report.tables import caption_of, shown_tables
from msnmo.tables.compare import DECIMALS
from msnmo.tables.content import (
    ABOUT_METRICS,
    EXACT_WHERE_ALL_ARE_EQUAL,
    WIDEST,
    batched,
    counted_note,
)
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text, write_page
from msnmo.tables.render import FORMATS
from msnmo.viewing.pages import Cell, Table, fill, frame, table_of
from msnmo.viewing.slices import save

NUMBER = "E1"
"""Of the table: it is of one bundle and one cohort, and in no list of a run's tables."""
FOLDER, SITE = "evaluation", "report"
PAGE, PICTURE = "evaluation.html", "evaluation.png"
HERE = "Evaluation"
OVERALL = "All sites"
SHOWN = ("DSC", "LF1", "AVD")
"""Metrics of single scans that the page lists."""


def write_evaluation(applied: Path, evaluation: Evaluation) -> None:
    """Write all of it beside the scans that the bundle was applied to.

    Parameters
    ----------
    applied : Path
        The folder that holds sub-*; its report, with the scans' pages, is there.
    evaluation : Evaluation
    """
    folder, page = applied / FOLDER, page_of(evaluation)
    write_tsv(folder / "scans.tsv", _scans_as_text(evaluation.scans))
    write_tsv(folder / "metrics.tsv", _metrics_as_text(evaluation))
    write_tsv(folder / "table.tsv", _statistics_as_text(evaluation.statistics))
    write_page(folder / "table.json", page)
    for name, render in FORMATS.items():
        write_text(folder / f"table.{name}", render(page))
    figure = draw_outside(*_wide(evaluation))
    simulated = _of_simulated(evaluation)
    for path in (folder / "figure.png", folder / "figure.svg", applied / SITE / PICTURE):
        # one line is all that there is room for: what is said of the scans comes first
        save(figure, path, "".join(simulated[:1]))
    width, height = (round(side * figure.dpi) for side in figure.get_size_inches())
    text = fill(
        "evaluation.html.jinja",
        __package__,
        **frame(
            *("A bundle on an outside cohort", HERE, (*NAVIGATION, (HERE, PAGE)), ""),
            " ".join(simulated),
        ),
        facts=_facts(evaluation),
        caption=caption_of(page),
        tables=shown_tables(page),
        scans=_scan_table(evaluation),
        picture={"file": PICTURE, "width": width, "height": height},
    )
    write_text(applied / SITE / PAGE, text)


def _scans_as_text(scans: pd.DataFrame) -> pd.DataFrame:
    """Return a row per scan: what it is judged by, or why by nothing."""
    words = {True: "yes", False: "no"}
    judged = {name: scans[name].map(words) for name in ("segmentation", "classification")}
    return scans.assign(**judged).replace("", None)


def _metrics_as_text(evaluation: Evaluation) -> pd.DataFrame:
    """Return the metrics of single scans as they are written."""
    about = evaluation.scans.set_index("scan")["site"]
    table = as_text(evaluation.metrics, ["value"])
    table.insert(1, "site", evaluation.metrics["scan"].map(about))
    return table


def _statistics_as_text(statistics: pd.DataFrame) -> pd.DataFrame:
    table = as_text(statistics, NUMBERS)
    table.insert(3, "unit", [METRICS[metric].unit for metric in statistics["metric"]])
    return table


def page_of(evaluation: Evaluation) -> Page:
    """Return the table: a block for all sites and one for each, lines of estimate, interval, n."""
    rows = {(row.site, row.metric): row for row in evaluation.statistics.itertuples()}
    sites = list(dict.fromkeys(evaluation.statistics["site"])) or [ALL_SITES]
    level = f"{100 * evaluation.settings.confidence:g} %"
    metrics = shown_metrics(evaluation.bundle.tasks)
    panels = [
        Panel(
            task.capitalize(),
            tuple(f"{metric} ({METRICS[metric].unit})" for metric in some),
            tuple(
                Block(_label(site), tuple(_lines([rows.get((site, each)) for each in some], level)))
                for site in sites
            ),
        )
        for task in tasks_of(metrics)
        for some in batched([each for each in metrics if METRICS[each].task == task], WIDEST)
    ]
    caption = f"{evaluation.bundle.method.label} on an outside cohort: the mean of its folds"
    if evaluation.made_of:
        caption = f"{caption} ({evaluation.made_of.short})"
    notes = (*_of_simulated(evaluation), *_notes(evaluation))
    return Page(NUMBER, caption, "Site", "statistic", tuple(panels), notes)


def _of_simulated(evaluation: Evaluation) -> list[str]:
    """Return the notes on simulated scans: those of the cohort, and those learned from."""
    return [note for note in (evaluation.made_of.note, evaluation.bundle.simulated) if note]


def _label(site: str) -> str:
    return OVERALL if site == ALL_SITES else site


def _lines(cells: Sequence[Any], level: str) -> Iterator[Line]:
    yield Line("estimate", tuple(_text(cell, "estimate") for cell in cells))
    yield Line(f"{level} CI", tuple(Text(_interval(cell)) for cell in cells))
    yield Line("scans (subjects)", tuple(Text(_counts(cell)) for cell in cells))


def _text(row: Any, name: str) -> Text:
    value = getattr(row, name, math.nan)
    return Text(NOTHING) if math.isnan(value) else Text(fixed(value, DECIMALS), value=value)


def _interval(row: Any) -> str:
    low, high = (getattr(row, name, math.nan) for name in ("ci_low", "ci_high"))
    if math.isnan(low):
        return NOTHING
    # a dash before a minus sign cannot be read
    dash = " to " if low < 0 else "–"
    return f"{fixed(low, DECIMALS)}{dash}{fixed(high, DECIMALS)}"


def _counts(row: Any) -> str:
    if row is None:
        return "0"
    return f"{row.n_scans - row.n_undefined} ({row.n_subjects})"


def _notes(evaluation: Evaluation) -> Iterator[str]:
    bundle, settings = evaluation.bundle, evaluation.settings
    yield (
        f"Bundle {bundle.id}, {len(bundle.runs)} folds, applied as it is. Nothing was trained, "
        "chosen or calibrated on these scans."
    )
    yield in_words(evaluation)
    if bundle.training_seals is None:
        yield f"The bundle was {NO_SEALS}."
    else:
        yield (
            "Subjects that the folds learned from are known by the very voxels of a scan. One that "
            "was resampled, defaced or stripped since is not recognised, nor is another visit."
        )
    if "segmentation" in bundle.tasks:
        yield (
            "Masks are compared in native space: the ensemble has no mask in model space. Raters' "
            f"masks were combined by {settings.combine}."
        )
    level = f"{100 * settings.confidence:g} %"
    yield (
        f"{level} CI: {settings.replicates} bootstrap samples of the subjects within each "
        "diagnosis, of the networks as trained; none where no diagnosis has two subjects."
    )
    if (evaluation.statistics["interval"] == EXACT).any():
        yield EXACT_WHERE_ALL_ARE_EQUAL
    undefined = evaluation.statistics.query("site == @ALL_SITES and n_undefined > 0")
    if len(undefined):
        told = ", ".join(f"{row.metric} {row.n_undefined}" for row in undefined.itertuples())
        yield f"Undefined for single scans (an empty mask), and left out: {told}."
    metrics = shown_metrics(bundle.tasks)
    lowest = [name for name in metrics if METRICS[name].best == "lowest"]
    if lowest:
        yield f"{', '.join(lowest)}: lower is better."
    yield from (note for name, note in ABOUT_METRICS.items() if name in metrics)
    if "segmentation" in bundle.tasks:
        yield counted_note(settings.smallest_mm3)
    yield exclusion_note(evaluation.excluded)


def in_words(evaluation: Evaluation) -> str:
    """Return how many scans are judged by what, and why the others are not."""
    scans = evaluation.scans
    parts = [
        f"{int(scans[task].sum())} {by}"
        for task, by in (("segmentation", "by their mask"), ("classification", "by their class"))
        if task in evaluation.bundle.tasks
    ]
    kinds = Counter(
        reason if reason.startswith("no truth") else "subject that the folds learned from"
        for reason in scans["reason"]
        if reason
    )
    left = "".join(f"; {count} not ({reason})" for reason, count in sorted(kinds.items()))
    return f"{len(scans)} scans, judged: {', '.join(parts)}{left}."


def _wide(evaluation: Evaluation) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row per scan judged by its mask, and one per scan judged by its class."""
    scans = evaluation.scans.join(_by_scan(evaluation), on="scan")
    return scans[scans["segmentation"]], scans[scans["classification"]]


def _by_scan(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row per scan that is judged, a column per metric."""
    return evaluation.metrics.pivot_table(
        index="scan", columns="metric", values="value", dropna=False
    )


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    bundle = evaluation.bundle
    facts = [
        ("use", NOT_FOR_DIAGNOSIS),
        ("bundle", f"{bundle.method.label}, {len(bundle.runs)} folds, {bundle.id}"),
        ("scans", in_words(evaluation)),
    ]
    if bundle.training_seals is None:
        facts.append(("overlap", f"not known: the bundle was {NO_SEALS}."))
    return facts


def _scan_table(evaluation: Evaluation) -> Table:
    scans, values = evaluation.scans, _by_scan(evaluation)
    shown = scans[["scan", "site", "diagnosis"]].assign(
        scan=[Cell(name, href=f"scans/{name}.html") for name in scans["scan"]],
        diagnosis=scans["diagnosis"].replace("", None),
    )
    for metric in (*SHOWN, score()):
        if metric in values:
            unit = f", {METRICS[metric].unit}" if metric in METRICS else ""
            scale = METRICS[metric].scale if metric in METRICS else 1.0
            name = score_in_words() if metric == score() else f"{metric}{unit}"
            shown[name] = (scale * values[metric].reindex(scans["scan"])).to_numpy()
    shown["left out, because"] = scans["reason"].replace("", None)
    return table_of("Scans", shown)
