"""Write a report's pages: overview, tables, figures, list of scans, provenance; and its assets."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from msnmo.cohort.excluded import read_excluded
from msnmo.core.diagnoses import NO_DIAGNOSIS
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import atomic_path, write_text
from msnmo.core.names import path_of_scan
from msnmo.evaluate.aggregate import read_metrics
from msnmo.figures.style import diagnosis_style
from msnmo.report.costs import OWN, read_costs
from msnmo.report.methods_of_run import methods_of_run
from msnmo.report.overview import (
    ACROSS,
    LABELS,
    MARGIN,
    SIDE,
    draw_curve,
    draw_forest,
    draw_worst,
)
from msnmo.report.pictures import losses_of, shown_figures, twins_note
from msnmo.report.records import (
    engines_table,
    read_runs,
    trainings_table,
    versions_table,
)
from msnmo.report.results import Results, add_arguments
from msnmo.report.rule_graph import draw, read_rules
from msnmo.report.scatter import LEFT, TOP, WIDTH
from msnmo.report.summary import (
    costs_table,
    dsc_strips,
    excluded_table,
    lead,
    left_out_facts,
    overview_facts,
    reference_table,
    results_tables,
    scan_bytes,
    scans_tables,
    size_facts,
    strips_of,
)
from msnmo.report.tables import caption_of, details_of, shown_tables
from msnmo.settings.methods import get_method
from msnmo.tables.model import read_page
from msnmo.viewing.assets import write_assets
from msnmo.viewing.pages import METHODS_TEXT, PAGES, fill, frame


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pages that are not a scan's own."""
    given = _parse(arguments)
    results = Results.read(given)
    sizes = scan_bytes(given.site, list(results.cohort["scan"]))
    _remove_strays(given.site / "scans", set(sizes))
    write_assets(given.site)
    for path in given.figures:
        with atomic_path(given.site / "figures" / path.name) as temporary:
            shutil.copyfile(path, temporary)
    (given.site / "figures").mkdir(exist_ok=True)
    (given.site / "tables").mkdir(exist_ok=True)
    for path in given.tables:
        if path.suffix != ".json":
            with atomic_path(given.site / "tables" / path.name) as temporary:
                shutil.copyfile(path, temporary)
    worst = draw_worst(results, given.predictions, given.site / "figures", deface=given.deface)
    _write(given.site, results.banner, "index", "Overview", **_index(given, results), worst=worst)
    _write(given.site, results.banner, "tables", "Tables", **_tables(given))
    _write(given.site, results.banner, "figures", "Figures", **_figures(given, results))
    _write(given.site, results.banner, "scans", "Scans", **_scans(results))
    write_text(given.site / METHODS_TEXT, _methods(given, results))
    _write(
        given.site, results.banner, "provenance", "Provenance", **_provenance(given, results, sizes)
    )
    for term, detail in size_facts(sizes):
        print(f"{term}: {detail}")


def _remove_strays(folder: Path, scans: set[str]) -> None:
    """Remove pages of scans that are no longer in the cohort: the folder is copied whole."""
    for path in folder.iterdir():
        if path.stem not in scans:
            path.unlink()


def _write(site: Path, banner: str, name: str, title: str, **content: object) -> None:
    around = frame(title, title, PAGES, "", banner)
    text = fill(f"{name}.html.jinja", __package__, **around, **content)
    write_text(site / f"{name}.html", text)


def _index(given: argparse.Namespace, results: Results) -> dict[str, object]:
    excluded = read_excluded(given.excluded)
    runs = read_runs(given.runs, results.methods, given.evaluated)
    return {
        "lead": lead(given.left_out),
        "methods_text": METHODS_TEXT,
        "facts": [*overview_facts(results), *left_out_facts(results, given.left_out)],
        "reference": reference_table(results, _pages_of(given.tables)),
        "forest": draw_forest(
            results_tables(_pages_of(given.tables)), get_method(results.reference).label
        ),
        "curve": draw_curve(results),
        "sizes": {
            "forest": {"width": ACROSS, "left": LABELS},
            "curve": {"side": SIDE, "margin": MARGIN, "top": TOP},
        },
        "strips": dsc_strips(results, [results.reference]),
        **_drawn(results),
        "excluded": excluded_table(excluded),
        "engines": engines_table(
            [path_of_scan(given.sidecars, scan) for scan in results.cohort.index]
        ),
        "versions": versions_table(runs),
    }


def _methods(given: argparse.Namespace, results: Results) -> str:
    """Return the methods text of the run."""
    return methods_of_run(
        results,
        read_metrics(given.metrics),
        read_runs(given.runs, results.methods, given.evaluated),
        sidecars=(given.sidecars, given.bias_sidecars),
        pages=results_tables(_pages_of(given.tables)),
        config=_read_config(given.config),
        excluded=len(read_excluded(given.excluded)),
        snakemake=given.snakemake,
    )


def _tables(given: argparse.Namespace) -> dict[str, object]:
    entries = []
    for path in _pages_of(given.tables):
        page = read_page(path)
        entries.append(
            {
                "anchor": f"table-{page.number}",
                "files": [
                    (each.suffix[1:], f"tables/{each.name}")
                    for each in given.tables
                    if each.stem == path.stem and each.suffix != ".json"
                ],
                "caption": caption_of(page),
                "shown": shown_tables(page),
                "more": details_of(page),
            }
        )
    return {"tables": entries}


def _pages_of(tables: Sequence[Path]) -> list[Path]:
    """Return what is read of the tables; their other files are for download."""
    return [path for path in tables if path.suffix == ".json"]


def _figures(given: argparse.Namespace, results: Results) -> dict[str, object]:
    losses = losses_of(given.histories, results.methods, given.evaluated)
    return {
        "figures": shown_figures(given.figures),
        "twins": twins_note(results.methods),
        "losses": losses,
    }


def _drawn(results: Results) -> dict[str, object]:
    """Return what templates of drawings need: the legend of classes, and sizes in pixels."""
    classes = results.cohort["diagnosis"].fillna(NO_DIAGNOSIS)
    styles = diagnosis_style(classes[classes.index.isin(results.folds.index)])
    legend = [(name, style["color"], style["marker"]) for name, style in styles.items()]
    return {"legend": legend, "width": WIDTH, "left": LEFT}


def _scans(results: Results) -> dict[str, object]:
    return {"pictures": strips_of(results), "tables": scans_tables(results), **_drawn(results)}


def _provenance(
    given: argparse.Namespace, results: Results, sizes: dict[str, int]
) -> dict[str, object]:
    runs = read_runs(given.runs, results.methods, given.evaluated)
    costs = read_costs(given.benchmarks)
    return {
        "facts": size_facts(sizes),
        "drawing": draw(read_rules()),
        "known": set(costs.index),
        # its own benchmark is written when it ends
        "ran": {*costs.index, OWN},
        "costs": costs_table(costs),
        "trainings": trainings_table(runs),
        "versions": versions_table(runs),
        "config": _config(given.config),
    }


def _config(text: str) -> str:
    content = _read_config(text)
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=True, width=100)


def _read_config(text: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise bad_input(
            "--config", "JSON", f"{error}: {text[:80]}", "give a JSON object"
        ) from error
    return content


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.report", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--excluded", type=Path, required=True, help="excluded.tsv")
    parser.add_argument(
        "--tables",
        type=Path,
        nargs="*",
        default=[],
        help="table-N.json, in the order wanted; beside them any table-N.tsv and .tex, to download",
    )
    parser.add_argument(
        "--figures", type=Path, nargs="*", default=[], help="PNG and SVG of each figure"
    )
    parser.add_argument("--deface", action="store_true", help="show the brain alone")
    where = "with {method} and {fold}"
    parser.add_argument("--predictions", required=True, help=f"folder of a fold, {where}")
    parser.add_argument("--runs", required=True, help=f"run.json of a training, {where}")
    parser.add_argument("--histories", required=True, help=f"history.tsv of a training, {where}")
    parser.add_argument(
        "--evaluated", type=int, nargs="+", required=True, help="folds that were run"
    )
    parser.add_argument(
        "--sidecars", required=True, help="JSON of a brain mask, with {folder} and {scan}"
    )
    parser.add_argument(
        "--bias-sidecars",
        required=True,
        help="JSON of a bias correction, with {folder} and {scan}",
    )
    parser.add_argument("--snakemake", default="", help="version that ran the workflow")
    parser.add_argument(
        "--left-out",
        action="append",
        default=[],
        metavar="METHOD",
        help="a method that classifies, which a cohort of one class has no use of",
    )
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of the benchmarks")
    parser.add_argument("--config", required=True, help="the merged config, JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
