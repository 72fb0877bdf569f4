"""What the overview, the list of scans and the provenance page say in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from msnmo.cohort.classes import note_of
from msnmo.core.diagnoses import (
    NO_DIAGNOSIS,
    diagnoses,
    positive,
    score,
    score_in_words,
)
from msnmo.core.errors import Finding, InputError
from msnmo.core.numbers import duration, fixed
from msnmo.evaluate.metrics import SUPPLEMENT
from msnmo.figures.catalogue import drawable, get_figure
from msnmo.report.results import VOLUMES, Results, judged_maps
from msnmo.report.scatter import Strips, draw_strips
from msnmo.report.tables import reference_row
from msnmo.settings.methods import get_method
from msnmo.tables.layout import (
    DESCRIBED,
    LESIONS,
    MAPS,
    ROBUSTNESS,
    SHORTCUTS,
    SITES,
    TABLES,
    methods_of,
)
from msnmo.tables.model import Page, read_page
from msnmo.viewing.pages import NOTHING, Cell, Table, table_of

MEGABYTE = 1e6
COST_HEADINGS = {
    "jobs": "jobs",
    "total_s": "time of all",
    "median_s": "median time",
    "longest_s": "longest",
    "max_rss_mb": "most memory (MB)",
}

COST_NOTES = (
    "From Snakemake's benchmarks: time by the clock, and the largest resident memory of a job.",
    "The job that wrote this page is not among them.",
)


def overview_facts(results: Results) -> list[tuple[str, str]]:
    """Return what the cohort is and what was run on it."""
    cohort = results.cohort
    subjects = cohort.groupby("subject")["diagnosis"].first()
    facts = [("scans", f"{len(cohort)} of {cohort['subject'].nunique()} subjects")]
    for name in (name for name in diagnoses() if name in set(cohort["diagnosis"])):
        scans, people = (cohort["diagnosis"] == name).sum(), (subjects == name).sum()
        facts.append((name, f"{scans} scans of {people} subjects"))
    if unknown := int(cohort["diagnosis"].isna().sum()):
        facts.append((NO_DIAGNOSIS, f"{unknown} scans"))
    return [
        *facts,
        ("sites", ", ".join(map(str, cohort["site"].dropna().unique())) or NOTHING),
        ("folds that were run", str(results.metrics["fold"].nunique())),
        *_seeds(results),
        ("methods", ", ".join(get_method(name).label for name in results.methods)),
        *judged_maps(results),
    ]


def lead(left_out: Sequence[str]) -> str:
    """Return what was done, in a few words."""
    if left_out:
        return "Lesion segmentation"
    return f"Joint lesion segmentation and classification of {' and '.join(diagnoses())}"


def left_out_facts(results: Results, left_out: Sequence[str]) -> list[tuple[str, str]]:
    """Return which methods, tables and figures are left out of a cohort of one class, and why."""
    if not left_out:
        return []
    wanted = [*results.methods, *left_out]
    tables = [n for n in TABLES if methods_of(n, wanted) and not methods_of(n, results.methods)]
    done = drawable(results.methods)
    figures = [get_figure(name).title for name in drawable(wanted) if name not in done]
    return [
        ("left out", note_of(results.cohort, left_out)),
        ("tables left out with them", ", ".join(tables) or NOTHING),
        ("figures left out with them", "; ".join(figures) or NOTHING),
    ]


def _seeds(results: Results) -> list[tuple[str, str]]:
    """Return which training of a fold is shown, where there are several."""
    if len(results.seeds) < 2:
        return []
    first, *_ = results.seeds
    listed = ", ".join(map(str, results.seeds))
    return [("seeds", f"{listed}: tables are of all, scans and figures of the first, {first}")]


def reference_table(results: Results, tables: Sequence[Path]) -> Table | None:
    """Return the reference method's metrics, of the first table that has them; None if none has."""
    label = get_method(results.reference).label
    parts = [reference_row(page, label) for page in results_tables(tables)]
    if not any(len(part) for part in parts):
        return None
    rows = pd.concat(part for part in parts if len(part)).drop_duplicates("metric")
    return table_of(f"{label}, mean ± standard deviation of the folds", rows)


def results_tables(tables: Sequence[Path]) -> list[Page]:
    """Return the tables that compare methods, as the paper's do."""
    beyond = (*DESCRIBED, SUPPLEMENT, MAPS, SITES, LESIONS, SHORTCUTS, ROBUSTNESS)
    return [page for page in map(read_page, tables) if page.number not in beyond]


def excluded_table(excluded: pd.DataFrame) -> Table:
    """Return the scans that were excluded, by whom and why."""
    return table_of("Excluded scans", excluded[["scan", "by", "reason"]])


def scan_bytes(site: Path, scans: Sequence[str]) -> dict[str, int]:
    """Return the bytes of each scan's page and volumes.

    Raises
    ------
    InputError
        With every scan whose page is not there.
    """
    sizes, findings = {}, []
    for scan in scans:
        paths = [site / "scans" / f"{scan}{ending}" for ending in (".html", ".js")]
        if missing := [path for path in paths if not path.is_file()]:
            remedy = "run python -m msnmo.report.scan_page for it first"
            findings.append(Finding(str(missing[0]), f"the page of {scan}", "no such file", remedy))
        else:
            sizes[scan] = sum(path.stat().st_size for path in paths)
    if findings:
        raise InputError(findings)
    return sizes


def size_facts(sizes: dict[str, int]) -> list[tuple[str, str]]:
    """Return how large the pages of scans are."""
    total = sum(sizes.values())
    return [
        ("pages of scans", f"{len(sizes)}, {total / MEGABYTE:.1f} MB"),
        (
            "size of a scan's page",
            f"{total / max(1, len(sizes)) / MEGABYTE:.1f} MB on average, "
            f"{max(sizes.values()) / MEGABYTE:.1f} MB at most",
        ),
    ]


def dsc_strips(results: Results, methods: Sequence[str]) -> Strips | None:
    """Return the picture of the DSC of each scan; None where none of the methods segments."""
    classes = results.cohort["diagnosis"].fillna(NO_DIAGNOSIS)
    values = results.of_scans("DSC")[list(methods)]
    return draw_strips(values, classes, "DSC of each scan", "DSC in model space (%)", top=100)


def strips_of(results: Results) -> list[Strips]:
    """Return the pictures of the list of scans: DSC, and the probability of class 1."""
    classes = results.cohort["diagnosis"].fillna(NO_DIAGNOSIS)
    wanted = [
        dsc_strips(results, results.methods),
        draw_strips(
            results.of_scans(score()),
            classes,
            f"Probability of {positive()} of each scan",
            f"predicted probability of {positive()}; right of the line the class is {positive()}",
            top=1,
            threshold=0.5,
        ),
    ]
    return [strips for strips in wanted if strips is not None]


def scans_tables(results: Results) -> list[Table]:
    """Return the list of scans, and every method's DSC and probability of each."""
    cohort, quality = results.cohort, results.quality
    links = [Cell(scan, href=f"scans/{scan}.html") for scan in cohort["scan"]]
    truth = results.of_scans("V_TRUE").bfill(axis="columns").iloc[:, 0]
    folds = [results.fold_of(scan) for scan in cohort["scan"]]
    listed = pd.DataFrame(
        {
            "scan": links,
            **_by_reference(results),
            "diagnosis": cohort["diagnosis"].to_list(),
            "site": cohort["site"].to_list(),
            "tested by fold": [Cell(NOTHING) if n is None else Cell(str(n), n) for n in folds],
            VOLUMES["V_TRUE"]: truth.to_list(),
            **_volumes(results),
            "brain (ml)": quality["brain_ml"].reindex(cohort["scan"]).to_list(),
            "brain mask by": quality["engine"].reindex(cohort["scan"]).to_list(),
        }
    )
    tables = [table_of("All scans", listed)]
    for metric, caption in (("DSC", "DSC in model space (%)"), (score(), score_in_words())):
        values = results.of_scans(metric).dropna(axis="columns", how="all")
        if len(values.columns):
            named = values.rename(columns=lambda name: get_method(name).label)
            named.insert(0, "scan", links)
            named.insert(1, "diagnosis", cohort["diagnosis"])
            tables.append(table_of(f"{caption} of every method", named))
    return tables


def _by_reference(results: Results) -> dict[str, list[object]]:
    """Return the reference method's DSC and class of each scan, where it gives them."""
    columns: dict[str, list[object]] = {}
    dsc = results.of_scans("DSC")[results.reference]
    if dsc.notna().any():
        columns["DSC (%)"] = dsc.to_list()
    if results.of_scans(score())[results.reference].notna().any():
        columns["class named"] = [_named(results, str(scan)) for scan in results.cohort["scan"]]
    return columns


def _named(results: Results, scan: str) -> Cell:
    """Return the class that is named, marked where it is not the diagnosis."""
    named = results.class_named(scan)
    return Cell(f"{named} (wrong)" if results.is_misclassified(scan) else named or NOTHING)


def _volumes(results: Results) -> dict[str, list[object]]:
    found = results.of_scans("V_PRED")[results.reference]
    return {VOLUMES["V_PRED"]: found.to_list()} if found.notna().any() else {}


def costs_table(costs: pd.DataFrame) -> Table:
    """Return the costs of every rule, most expensive first."""
    ordered = costs.sort_values("total_s", ascending=False, kind="stable")
    frame = ordered[list(COST_HEADINGS)].rename(columns=COST_HEADINGS)
    for name in ("time of all", "median time", "longest"):
        frame[name] = [Cell(duration(float(value)), float(value)) for value in frame[name]]
    frame["most memory (MB)"] = [
        Cell(NOTHING) if pd.isna(value) else Cell(fixed(value, 0), float(value))
        for value in frame["most memory (MB)"]
    ]
    frame["jobs"] = [int(value) for value in frame["jobs"]]
    frame.insert(0, "rule", [Cell(str(rule), name=f"rule-{rule}") for rule in frame.index])
    return table_of("Costs of the rules", frame, COST_NOTES)
