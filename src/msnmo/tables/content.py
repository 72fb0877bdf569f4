"""What a table of results says, cell by cell and note by note."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from msnmo.core.diagnoses import positive
from msnmo.evaluate.metrics import METRICS, NOT_APPLICABLE, tasks_of
from msnmo.settings.methods import Task
from msnmo.tables.compare import (
    DECIMALS,
    SITE_ALONE,
    ComparedCell,
    ComparedRow,
    Ours,
    Sureness,
)
from msnmo.tables.layout import Layout
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text
from msnmo.tables.reported import CITATION

NOT_RUN = "not run"
OURS, REPORTED, DIFFERENCE = "ours", "reported", "difference"
SEEDS = "between seeds"
"""Names of lines."""
DETAILS = (OURS, "interval from", "to", "test", "p", "p (Holm)", "scans", "subjects")
"""Columns of the intervals and tests, a line for each metric of each method."""
WIDEST = 4
"""Columns that stand side by side."""
TESTS = {
    "wilcoxon": "Wilcoxon's signed rank",
    "mcnemar": "McNemar's exact test",
    "bootstrap": "bootstrap of the difference",
}
ABOUT_METRICS = {
    "LTPR": "LTPR, LFPR: lesions found and wrongly found (26-connected, touched by one voxel); "
    "LF1: their harmonic mean.",
    "HD95": "HD95, ASD: 95th centile and mean of surface distances; AVD: volume difference; VC: "
    "Pearson's r of the volumes.",
    "LL": "LL: log loss, minus the natural logarithm of the true class's probability.",
}
"""By the first metric that they are about."""


def about_site_alone() -> str:
    """Return what the row of sites alone is."""
    return (
        f"{SITE_ALONE}: no network; a scan's score is the share of {positive()} among the fold's "
        "training scans of its site, or among all of them where none is of its site. A method that "
        "is no better may have learned the site."
    )


def page(table: Layout, rows: list[ComparedRow], confidence: float, second: str) -> Page:
    """Return a table of results.

    Parameters
    ----------
    table : Layout
    rows : list of ComparedRow
    confidence : float
        Of the intervals, within 0 and 1.
    second : str
        How the format marks the second best.
    """
    return Page(
        table.number,
        table.caption,
        table.heading,
        "",
        tuple(_panels(table, rows, percent(confidence))),
        tuple(_notes(table, rows, percent(confidence), second)),
        _details(rows),
    )


def percent(confidence: float) -> str:
    """Return the level of an interval as shown."""
    return f"{100 * confidence:g} %"


def _panels(table: Layout, rows: list[ComparedRow], level: str) -> Iterator[Panel]:
    """Yield the columns of each task, at most `WIDEST` side by side, with every row."""
    for task in tasks_of(table.metrics):
        metrics = [metric for metric in table.metrics if METRICS[metric].task == task]
        for some in batched(metrics, WIDEST):
            shown = [[cell for cell in row.cells if cell.metric in some] for row in rows]
            yield Panel(
                task.capitalize(),
                tuple(f"{metric} ({METRICS[metric].unit})" for metric in some),
                tuple(
                    Block(row.label, tuple(_lines(cells, level)))
                    for row, cells in zip(rows, shown, strict=True)
                ),
            )


def batched(values: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """Yield the values in groups of at most `most`."""
    for start in range(0, len(values), most):
        yield values[start : start + most]


def _lines(cells: list[ComparedCell], level: str) -> Iterator[Line]:
    """Yield the lines that say something: a method that was not run has no interval."""
    yield Line(OURS, tuple(_ours(cell) for cell in cells))
    if any(cell.ours is not None and cell.ours.n_seeds > 1 for cell in cells):
        yield Line(SEEDS, tuple(_sd_of_seeds(cell.ours) for cell in cells))
    if any(cell.sureness is not None for cell in cells):
        yield Line(f"{level} CI", tuple(Text(_interval(cell.sureness)) for cell in cells))
    if any(cell.sureness is not None and cell.sureness.test for cell in cells):
        yield Line("p (Holm)", tuple(Text(_p(cell.sureness)) for cell in cells))
    if any(cell.reported is not None for cell in cells):
        yield Line(REPORTED, tuple(text_of(cell.reported) for cell in cells))
    if any(cell.difference is not None for cell in cells):
        yield Line(DIFFERENCE, tuple(text_of(cell.difference, "+") for cell in cells))


def _sd_of_seeds(ours: Ours | None) -> Text:
    known = None if ours is None else _known(ours.sd_seeds)
    return Text(NOTHING if known is None else f"± {_number(known)}", value=known)


def _ours(cell: ComparedCell) -> Text:
    mean = None if cell.ours is None else cell.ours.mean
    return Text(ours_text(cell.ours), cell.rank, _known(mean))


def text_of(value: float | None, sign: str = "") -> Text:
    """Return the cell of a number; nothing for None or NaN."""
    known = _known(value)
    return Text(_number(known, sign), value=known)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _details(rows: list[ComparedRow]) -> Panel | None:
    """Return the interval and test of each number; None if no method was run."""
    blocks = [Block(row.label, lines) for row in rows if (lines := tuple(_sureness_lines(row)))]
    return Panel("Intervals and tests", DETAILS, tuple(blocks)) if blocks else None


def _sureness_lines(row: ComparedRow) -> Iterator[Line]:
    for cell in row.cells:
        if cell.ours is not None and cell.sureness is not None:
            yield Line(cell.metric, _sureness_cells(cell.ours, cell.sureness))


def _sureness_cells(ours: Ours, sure: Sureness) -> tuple[Text, ...]:
    return (
        *map(text_of, (ours.mean, sure.low, sure.high)),
        Text(sure.test or NOTHING),
        *(Text(_probability(each), value=_known(each)) for each in (sure.p, sure.p_holm)),
        *(Text(f"{each}", value=each) for each in (ours.n_scans, sure.n_subjects)),
    )


def ours_text(ours: Ours | None) -> str:
    """Return our number as shown: mean ± sd, or why there is none."""
    if ours is None:
        return NOT_RUN
    if math.isnan(ours.mean):
        return NOT_APPLICABLE
    sd = NOT_APPLICABLE if math.isnan(ours.sd) else _number(ours.sd)
    return f"{_number(ours.mean)} ± {sd}"


def _interval(sureness: Sureness | None) -> str:
    return NOTHING if sureness is None else interval_text(sureness.low, sureness.high)


def interval_text(low: float, high: float) -> str:
    """Return an interval as shown; nothing for NaN."""
    if math.isnan(low):
        return NOTHING
    # a dash before a minus sign cannot be read
    dash = " to " if low < 0 else "–"
    return f"{_number(low)}{dash}{_number(high)}"


def _p(sureness: Sureness | None) -> str:
    return _probability(math.nan if sureness is None else sureness.p_holm)


def _probability(p: float) -> str:
    if math.isnan(p):
        return NOTHING
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return NOTHING
    plus = sign if value > 0 else ""
    return f"{plus}{value:.{DECIMALS}f}".replace("-", "−")


def _notes(table: Layout, rows: list[ComparedRow], level: str, second: str) -> list[str]:
    """Return the sentences below a table: what its numbers are and what is in no mean."""
    cells = [cell for row in rows for cell in row.cells if cell.ours is not None]
    sentences = _ours_notes(cells) if cells else ["None of these methods was run."]
    sentences += [*_gap_notes(rows), *_sureness_notes(cells, level), *_seed_notes(cells)]
    if any(row.label == SITE_ALONE for row in rows):
        sentences.append(about_site_alone())
    if any(cell.rank for cell in cells):
        sentences.append(f"Of ours, the best is bold and the second best {second}.")
    if lowest := [name for name in table.metrics if METRICS[name].best == "lowest"]:
        sentences.append(f"{', '.join(lowest)}: lower is better.")
    if not any(cell.reported is not None for row in rows for cell in row.cells):
        about = [note for name, note in ABOUT_METRICS.items() if name in table.metrics]
        return [*sentences, *about]
    return [
        *sentences,
        f"Reported: {CITATION}; measured on the paper's own cohort.",
        "Difference: ours minus reported, in percentage points; it is no test.",
    ]


def _sureness_notes(cells: list[ComparedCell], level: str) -> Iterator[str]:
    sure = [(cell.metric, cell.sureness) for cell in cells if cell.sureness is not None]
    if sure:
        subjects = max(sureness.n_subjects for _, sureness in sure)
        seeds = max((cell.ours.n_seeds for cell in cells if cell.ours is not None), default=1)
        drawn = f"{subjects} subjects"
        trained = ", of the networks as trained" if seeds == 1 else f" and {seeds} seeds"
        yield f"{level} CI: bootstrap of {drawn}{trained}."
    tests: dict[str, list[str]] = {}
    for metric, sureness in sure:
        if sureness.test:
            tests.setdefault(sureness.test, []).append(metric)
    if tests:
        named = "; ".join(
            f"{', '.join(dict.fromkeys(metrics))} by {TESTS[test]}"
            for test, metrics in tests.items()
        )
        yield (
            f"p: two-sided, against the joint model on the same scans: {named}; Holm's correction "
            "over the methods of the table, for each metric."
        )
    if tests.keys() - {"bootstrap"}:
        yield "The paired tests take scans as independent, also those of one subject."


def _seed_notes(cells: list[ComparedCell]) -> Iterator[str]:
    """Yield how much another seed moves the numbers, where methods are compared."""
    ours = [(cell.metric, cell.ours) for cell in cells if cell.ours is not None]
    if not ours:
        return
    if max(each.n_seeds for _, each in ours) == 1:
        yield (
            "One seed was trained (config key seeds): by how much another would move these numbers "
            "is not known, and a small difference may be the seed's."
        )
        return
    moved: dict[str, list[float]] = {}
    for metric, each in ours:
        if not math.isnan(each.sd_seeds):
            moved.setdefault(metric, []).append(each.sd_seeds)
    typical = ", ".join(f"{name} {_number(median(values))}" for name, values in moved.items())
    if typical:
        yield f"Another seed moves a number by about (median standard deviation): {typical}."


def _ours_notes(cells: list[ComparedCell]) -> list[str]:
    first: dict[Task, tuple[ComparedCell, Ours]] = {}
    for cell in cells:
        if cell.ours is not None:
            first.setdefault(_task(cell), (cell, cell.ours))
    _, any_of_them = next(iter(first.values()))
    folds = any_of_them.n_folds + any_of_them.n_undefined_folds
    texts = [f"Ours: mean ± sample standard deviation of the values of {folds} folds."]
    if any_of_them.n_seeds > 1:
        texts[0] = (
            f"Ours: mean over {folds} folds and {any_of_them.n_seeds} seeds ± sample standard "
            f"deviation of the folds' values; {SEEDS}: that of the seeds' values."
        )
    for task, (cell, ours) in first.items():
        where = "" if cell.space == NOT_APPLICABLE else f", masks compared in {cell.space} space"
        texts.append(f"{task.capitalize()}: {ours.n_scans} test scans{where}.")
    return texts


def _gap_notes(rows: list[ComparedRow]) -> list[str]:
    """Return what is in no mean: a sentence per reason, with methods and metrics."""
    gaps: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for cell in row.cells:
            for reason in _gaps(cell.ours):
                gaps.setdefault(reason, {}).setdefault(row.label, []).append(cell.metric)
    return [
        f"Undefined {reason}, left out: "
        + "; ".join(f"{label} {', '.join(metrics)}" for label, metrics in where.items())
        + "."
        for reason, where in gaps.items()
    ]


def _gaps(ours: Ours | None) -> Iterator[str]:
    if ours is not None and ours.n_undefined_scans:
        count = ours.n_undefined_scans
        yield f"for {count} scan{'' if count == 1 else 's'} without a true lesion"
    if ours is not None and ours.n_undefined_folds:
        yield f"in {ours.n_undefined_folds} of {ours.n_folds + ours.n_undefined_folds} folds"


def _task(cell: ComparedCell) -> Task:
    return METRICS[cell.metric].task


def counted_note(smallest_mm3: float) -> str:
    """Return the sentence that says which lesions are counted."""
    if not smallest_mm3:
        return "Lesions of every size are counted (metrics.smallest_lesion_mm3: 0)."
    return (
        f"Lesions under {smallest_mm3:g} mm3 on the scan's own grid are not counted "
        "(config key metrics.smallest_lesion_mm3)."
    )
