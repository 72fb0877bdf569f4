"""The content of a table of results: its cells and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from msnmo.core.diagnoses import diagnoses, positive
from msnmo.core.numbers import fixed
from msnmo.evaluate.metrics import (
    EXACT,
    METRICS,
    NOT_APPLICABLE,
    PROPORTIONS,
    primary_first,
    tasks_of,
)
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
LOW, HIGH = "interval from", "to"
"""Names of lines."""
DETAILS = (
    *(OURS, "endpoint", LOW, HIGH, "interval by"),
    *("test", "p", "p (Holm)", "scans", "subjects"),
)
"""Columns of the intervals and tests, a line for each metric of each method."""
WIDEST = 4
"""Columns that stand side by side."""
TESTS = {
    "signed_rank": "Wilcoxon's signed rank of subjects' means",
    "sign_flip": "permutation of subjects' signs (mid-p; McNemar's where each has one scan)",
    "bootstrap": "bootstrap of the difference",
}
ABOUT_METRICS = {
    "LTPR": "LTPR: share of true lesions found; LFPR: share of predicted lesions that are false "
    "(26-connected, touched by one voxel); LF1: harmonic mean of LTPR and 1 - LFPR.",
    "HD95": "HD95, ASD: 95th centile and mean of surface distances; they are the diagonal of the "
    "scan's grid if only one mask is empty, and 0 if both are; AVD: volume difference; VC: "
    "Pearson's r of the volumes.",
    "LL": "LL: log loss, minus the natural logarithm of the true class's probability.",
}
"""By the first metric that they are about."""
EXACT_WHERE_ALL_ARE_EQUAL = (
    "If every value is 0, or every value is 100 %, the CI is exact (Clopper and Pearson), for the "
    "number of subjects."
)
"""For tables whose intervals are too many to name those."""


def about_site_alone() -> str:
    """Return the note on the row for the site alone."""
    return (
        f"{SITE_ALONE}: no network. A scan's score is the share of {positive()} among the fold's "
        "training scans of its site, or among all of them if none is from its site. A method that "
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
                tuple(map(_heading, some)),
                tuple(
                    Block(row.label, tuple(_lines(cells, level)))
                    for row, cells in zip(rows, shown, strict=True)
                ),
            )


def _heading(metric: str) -> str:
    """Return a column's heading: the paper's order stays, so the primary endpoint is marked."""
    mark = ", primary" if METRICS[metric].endpoint == "primary" else ""
    return f"{metric} ({METRICS[metric].unit}){mark}"


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
    """Yield a line for each number that was made, those of primary endpoints first."""
    made = {cell.metric: cell for cell in row.cells}
    for metric in primary_first(made):
        cell = made[metric]
        if cell.ours is not None and cell.sureness is not None:
            yield Line(metric, _sureness_cells(metric, cell.ours, cell.sureness))


def _sureness_cells(metric: str, ours: Ours, sure: Sureness) -> tuple[Text, ...]:
    return (
        text_of(ours.mean),
        Text(METRICS[metric].endpoint),
        *map(text_of, (sure.low, sure.high)),
        Text(sure.interval or NOTHING),
        Text(NOTHING if sure.test is None else sure.test.replace("_", " ")),
        *(Text(_probability(each), value=_known(each)) for each in (sure.p, sure.p_holm)),
        *(Text(f"{each}", value=each) for each in (sure.n_scans, sure.n_subjects)),
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
    return fixed(p, 3) if p >= 0.001 else "<0.001"


def _number(value: float | None, sign: str = "") -> str:
    return NOTHING if value is None else fixed(value, DECIMALS, sign)


def _notes(table: Layout, rows: list[ComparedRow], level: str, second: str) -> list[str]:
    """Return the sentences below a table: what its numbers are and what is in no mean."""
    cells = [cell for row in rows for cell in row.cells if cell.ours is not None]
    sentences = _ours_notes(cells) if cells else ["None of these methods was run."]
    sentences += [*_endpoint_notes(table), *_gap_notes(rows)]
    sentences += [*_sureness_notes(cells, level), *_exact_notes(rows, level), *_seed_notes(cells)]
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
        f"Reported: {CITATION}; measured on the paper's own cohort. Numbers from two cohorts do "
        "not rank methods: a reported number is not a score to beat.",
        "Difference: ours minus reported, in percentage points; it is not a test.",
    ]


def _sureness_notes(cells: list[ComparedCell], level: str) -> Iterator[str]:
    sure = [(cell.metric, cell.sureness) for cell in cells if cell.sureness is not None]
    if sure:
        subjects = max(sureness.n_subjects for _, sureness in sure)
        seeds = max((cell.ours.n_seeds for cell in cells if cell.ours is not None), default=1)
        drawn = f"{subjects} subjects"
        trained = ", for the networks as trained" if seeds == 1 else f" and {seeds} seeds"
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
            "p: two-sided, against the joint model on the same scans, with subjects as units: "
            f"{named}; Holm's correction over the methods of the table, for each metric."
        )


def _exact_notes(rows: list[ComparedRow], level: str) -> Iterator[str]:
    """Yield notes on numbers without a bootstrap interval, as all replicates are equal."""
    exact: dict[str, list[str]] = {}
    without: dict[str, list[str]] = {}
    for row in rows:
        for cell in row.cells:
            if cell.sureness is not None and cell.sureness.interval == EXACT:
                told = f"{cell.metric} ({cell.sureness.n_subjects})"
                exact.setdefault(row.label, []).append(told)
            elif _is_bound(cell) and cell.sureness is not None and not cell.sureness.interval:
                without.setdefault(row.label, []).append(cell.metric)
    if exact:
        yield (
            f"{level} CI of a share of 0 or 100 %: exact (Clopper and Pearson), for the number of "
            f"subjects: {_by_label(exact)}."
        )
    if without:
        yield f"No {level} CI, as the bootstrap's has no width at 0 or 100 %: {_by_label(without)}."


def _is_bound(cell: ComparedCell) -> bool:
    return METRICS[cell.metric].unit == "%" and cell.ours is not None and cell.ours.mean in (0, 100)


def _by_label(where: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{label} {', '.join(told)}" for label, told in where.items())


def _endpoint_notes(table: Layout) -> Iterator[str]:
    primary = [name for name in table.metrics if METRICS[name].endpoint == "primary"]
    if primary:
        verb = "are" if len(primary) > 1 else "is"
        yield (
            f"{' and '.join(primary)} {verb} primary. The other metrics are secondary: they are "
            "descriptive, and their p-values are not corrected for the number of metrics."
        )
    else:
        yield (
            "All metrics of this table are secondary: they are descriptive, and their p-values "
            "are not corrected for the number of metrics."
        )


def _seed_notes(cells: list[ComparedCell]) -> Iterator[str]:
    """Yield a note on the variation between seeds, if methods are compared."""
    ours = [(cell.metric, cell.ours) for cell in cells if cell.ours is not None]
    if not ours:
        return
    if max(each.n_seeds for _, each in ours) == 1:
        yield (
            "One seed was trained (config key seeds). How much the numbers vary between seeds is "
            "unknown, and a small difference may come from the seed."
        )
        return
    moved: dict[str, list[float]] = {}
    for metric, each in ours:
        if not math.isnan(each.sd_seeds):
            moved.setdefault(metric, []).append(each.sd_seeds)
    typical = ", ".join(f"{name} {_number(median(values))}" for name, values in moved.items())
    if typical:
        yield f"Typical variation between seeds (median standard deviation): {typical}."


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
        counted = _counted(cells) if task == "classification" else ""
        texts.append(f"{task.capitalize()}: {ours.n_scans} test scans{where}{counted}.")
    return texts


def _counted(cells: list[ComparedCell]) -> str:
    """Return the note on which scans the metrics of one class count."""
    counts = {cell.metric: cell.sureness.n_scans for cell in cells if cell.sureness is not None}
    told = [
        f"{metric} counts the {counts[metric]} of {diagnoses()[classes[0]]}"
        for metric, classes in PROPORTIONS.items()
        if len(classes) == 1 and metric in counts
    ]
    return "".join(f"; {each}" for each in told)


def _gap_notes(rows: list[ComparedRow]) -> list[str]:
    """Return notes on values left out of means, or set by a rule: one per reason, with methods."""
    gaps: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for cell in row.cells:
            for reason in _gaps(cell.ours):
                gaps.setdefault(reason, {}).setdefault(row.label, []).append(cell.metric)
    return [f"{reason}: {_by_label(where)}." for reason, where in gaps.items()]


def _gaps(ours: Ours | None) -> Iterator[str]:
    if ours is not None and ours.n_undefined_scans:
        yield f"Undefined for {_scans(ours.n_undefined_scans)} without a true lesion, left out"
    if ours is not None and ours.n_undefined_folds:
        folds = ours.n_folds + ours.n_undefined_folds
        yield f"Undefined in {ours.n_undefined_folds} of {folds} folds, left out"
    if ours is not None and ours.n_penalised_scans:
        scans = _scans(ours.n_penalised_scans)
        yield f"Set to the diagonal of the grid for {scans} with one empty mask"


def _scans(count: int) -> str:
    return f"{count} scan{'' if count == 1 else 's'}"


def _task(cell: ComparedCell) -> Task:
    return METRICS[cell.metric].task


def counted_note(smallest_mm3: float) -> str:
    """Return the sentence on which lesions are counted."""
    if not smallest_mm3:
        return "Lesions of every size are counted (metrics.smallest_lesion_mm3: 0)."
    return (
        f"Lesions smaller than {smallest_mm3:g} mm3 on the scan's own grid are not counted (config "
        "key metrics.smallest_lesion_mm3)."
    )
