"""Write one of the paper's tables, our numbers beside the reported ones, or one of ours."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pandas as pd

from msnmo.cohort.balance import COHORT_COLUMNS, Split, folds_note
from msnmo.cohort.classes import note_of
from msnmo.cohort.excluded import exclusion_note, read_excluded
from msnmo.cohort.simulated import Simulated
from msnmo.core.arguments import between_0_and_1, finite
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_text, write_tsv
from msnmo.evaluate.aggregate import across_folds, read_metrics
from msnmo.evaluate.metrics import SUPPLEMENT, TABLE_METRICS, Space
from msnmo.evaluate.statistics.site_alone import COUNTS, NUMBERS
from msnmo.tables.cohort import acquisition, composition, read_cohort
from msnmo.tables.compare import ComparedRow, compare, reference_row
from msnmo.tables.content import counted_note, page
from msnmo.tables.layout import (
    DESCRIBED,
    LESIONS,
    MAPS,
    ROBUSTNESS,
    SHORTCUTS,
    SITES,
    TABLES,
    WITH_SITE_ALONE,
    lay_out,
)
from msnmo.tables.lesions import page_of_lesions, read_described
from msnmo.tables.maps import page_of_maps, read_judged
from msnmo.tables.model import Page, write_page
from msnmo.tables.render import FORMATS, SECOND, page_to_tsv, to_tsv
from msnmo.tables.robustness import page_of_robustness
from msnmo.tables.robustness import read_judged as read_robustness
from msnmo.tables.shortcuts import page_of_shortcuts, told_of_shortcuts
from msnmo.tables.shortcuts import read_judged as read_shortcuts
from msnmo.tables.sites import page_of_sites, read_sites

STATISTICS_COLUMNS = {
    **dict.fromkeys(("table", "metric", "space", "method", "interval", "test"), str),
    **dict.fromkeys(("n_scans", "n_subjects"), int),
    **dict.fromkeys(("ci_low", "ci_high", "p", "p_holm"), float),
}


SITE_ALONE_COLUMNS = {
    **dict.fromkeys(("metric", "interval"), str),
    **dict.fromkeys(NUMBERS, float),
    **dict.fromkeys(COUNTS, int),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one table in each of the requested formats."""
    given = _parse(arguments)
    table, pages = MADE_BY[_kind(given.table)](given)
    notes = tuple(_notes(given))
    write_tsv(given.out_tsv, table)
    made_of = Simulated.among(read_tsv(given.cohort, {"scan": str}))
    whole = {name: _whole(each, made_of, notes) for name, each in pages.items()}
    write_page(given.out_json, whole["html"])
    for name, render in FORMATS.items():
        write_text(getattr(given, f"out_{name}"), render(whole[name]))


def _whole(page: Page, made_of: Simulated, notes: Sequence[str]) -> Page:
    """Return a table with the notes of its run. A caption stays with its table when copied."""
    first = (made_of.note,) if made_of else ()
    caption = f"{page.caption} ({made_of.short})" if made_of else page.caption
    return replace(page, caption=caption, notes=(*first, *page.notes, *notes))


KINDS = {
    **dict.fromkeys(DESCRIBED, "described"),
    MAPS: "maps",
    SITES: "sites",
    LESIONS: "lesions",
    SHORTCUTS: "shortcuts",
    ROBUSTNESS: "robustness",
}
"""Kinds of tables that do not compare metrics."""


def _notes(given: argparse.Namespace) -> Iterator[str]:
    """Yield the notes on the run under each of its tables. Tables of the cohort have no folds."""
    if _kind(given.table) != "described":
        cohort = read_tsv(given.cohort, COHORT_COLUMNS)
        yield folds_note(cohort, given.k, given.split, given.repeats)
        if given.left_out:
            yield note_of(cohort, given.left_out)
    yield exclusion_note(read_excluded(given.excluded))


def _kind(table: str) -> str:
    return KINDS.get(table, "compared")


def _described(given: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, Page]]:
    cohort = read_cohort(given.cohort)
    made = composition(cohort) if given.table == "1" else acquisition(cohort)
    return page_to_tsv(made), dict.fromkeys(FORMATS, made)


def _of_maps(given: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, Page]]:
    table = read_judged(given.localisation)
    return table, dict.fromkeys(FORMATS, page_of_maps(table))


def _of_lesions(given: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, Page]]:
    table = read_described(given.lesions)
    return table, dict.fromkeys(FORMATS, page_of_lesions(table, given.smallest_lesion_mm3))


def _of_shortcuts(given: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, Page]]:
    table = read_shortcuts(given.shortcuts)
    return table, dict.fromkeys(FORMATS, page_of_shortcuts(table, given.split))


def _of_robustness(given: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, Page]]:
    table = read_robustness(given.robustness)
    return table, dict.fromkeys(FORMATS, page_of_robustness(table))


def _compared(given: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, Page]]:
    table = lay_out()[given.table]
    summary = across_folds(read_metrics(given.metrics))
    statistics = read_tsv(given.statistics, STATISTICS_COLUMNS)
    # "n/a" is a space here, not a missing value
    statistics = statistics.fillna({"space": "n/a"})
    rows = compare(table, summary, statistics, given.space)
    _refuse_missing(given.statistics, rows)
    if given.table in WITH_SITE_ALONE:
        rows.append(reference_row(table, read_tsv(given.site_alone, SITE_ALONE_COLUMNS)))
    pages = {name: page(table, rows, given.confidence, SECOND[name]) for name in FORMATS}
    if LESION_WISE in table.metrics:
        note = counted_note(given.smallest_lesion_mm3)
        pages = {name: replace(each, notes=(*each.notes, note)) for name, each in pages.items()}
    judged = read_shortcuts(given.shortcuts) if given.shortcuts else None
    told = [] if judged is None else told_of_shortcuts(judged, given.split)
    pages = {name: replace(each, notes=(*each.notes, *told)) for name, each in pages.items()}
    return to_tsv(table, rows), pages


def _of_sites(given: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, Page]]:
    table = read_sites(given.sites)
    return table, dict.fromkeys(FORMATS, page_of_sites(table))


LESION_WISE = "LTPR"
"""A table with this option says which lesions are counted."""
MADE_BY = {
    "described": _described,
    "maps": _of_maps,
    "sites": _of_sites,
    "lesions": _of_lesions,
    "shortcuts": _of_shortcuts,
    "robustness": _of_robustness,
    "compared": _compared,
}
NEEDED = {
    "described": ("cohort",),
    "maps": ("localisation", "cohort", "split", "k"),
    "sites": ("sites", "cohort", "split", "k"),
    "lesions": ("lesions", "smallest-lesion-mm3", "cohort", "split", "k"),
    "shortcuts": ("shortcuts", "cohort", "split", "k"),
    "robustness": ("robustness", "cohort", "split", "k"),
    "compared": ("metrics", "statistics", "cohort", "split", "k"),
}
"""For each kind of table, the function that makes it and the options that it needs."""


def _refuse_missing(statistics: Path, rows: list[ComparedRow]) -> None:
    lacking = [
        f"{cell.metric} of {row.method}"
        for row in rows
        for cell in row.cells
        if cell.ours and not cell.sureness
    ]
    if lacking:
        expected, found = "a row for each number of the table", f"none of {', '.join(lacking)}"
        raise bad_input(statistics, expected, found, MAKE_AGAIN)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.tables", description=__doc__)
    parser.add_argument("--table", choices=TABLES, required=True, help="the table's number")
    parser.add_argument("--cohort", type=Path, help="cohort.tsv")
    parser.add_argument("--split", choices=get_args(Split), help="how folds were made")
    parser.add_argument("--k", type=int, help="number of folds in the config")
    parser.add_argument("--repeats", type=int, default=1, help="repeats of the cross-validation")
    parser.add_argument(
        "--left-out",
        action="append",
        default=[],
        metavar="METHOD",
        help="a method that classifies and was left out, as the cohort has one class",
    )
    parser.add_argument(
        "--excluded",
        type=Path,
        required=True,
        help="excluded.tsv, with who excluded a scan and why",
    )
    parser.add_argument("--metrics", type=Path, help="table of metrics, for results")
    parser.add_argument("--statistics", type=Path, help="statistics.tsv, for results")
    parser.add_argument(
        "--site-alone",
        type=Path,
        help=f"table of msnmo.evaluate.statistics.site_alone, for {' and '.join(WITH_SITE_ALONE)}",
    )
    parser.add_argument(
        "--localisation",
        type=Path,
        nargs="+",
        help=f"tables of msnmo.evaluate.statistics.maps, one per method, for {MAPS}",
    )
    parser.add_argument(
        "--sites", type=Path, help=f"table of msnmo.evaluate.statistics.sites, for {SITES}"
    )
    parser.add_argument(
        "--lesions", type=Path, help=f"table of msnmo.evaluate.statistics.lesions, for {LESIONS}"
    )
    parser.add_argument(
        "--robustness",
        type=Path,
        nargs="+",
        help=f"tables of msnmo.robustness.statistics, one per method, for {ROBUSTNESS}",
    )
    parser.add_argument(
        "--smallest-lesion-mm3",
        type=finite,
        help=f"smallest counted lesion, for {SUPPLEMENT} and {LESIONS}",
    )
    parser.add_argument(
        "--shortcuts",
        type=Path,
        nargs="*",
        help=f"tables of msnmo.evaluate.statistics.shortcuts, one per method, for {SHORTCUTS}; or "
        "for the methods of another table, to note below it which ones tell classes without "
        "lesions",
    )
    parser.add_argument(
        "--space", choices=get_args(Space), default="model", help="where masks are compared"
    )
    parser.add_argument(
        "--confidence", type=between_0_and_1, default=0.95, help="of the given intervals"
    )
    parser.add_argument("--out-tsv", type=Path, required=True, help="TSV")
    parser.add_argument("--out-json", type=Path, required=True, help="input of the report")
    for name in FORMATS:
        parser.add_argument(f"--out-{name}", type=Path, required=True, help=name)
    given = parser.parse_args(arguments)
    needed = NEEDED[_kind(given.table)]
    needed += ("site-alone",) if given.table in WITH_SITE_ALONE else ()
    if LESION_WISE in TABLE_METRICS.get(given.table, ()):
        needed = (*needed, "smallest-lesion-mm3")
    values = {name: getattr(given, name.replace("-", "_")) for name in needed}
    if missing := [name for name, value in values.items() if value in (None, [])]:
        parser.error(f"table {given.table} needs --{' and --'.join(missing)}")
    return given


if __name__ == "__main__":
    run_command(main)
