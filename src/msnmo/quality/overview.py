"""One page of all scans to scroll through and rate, and their numbers as a table."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msnmo.cohort.decisions import (
    ARTEFACTS,
    GRADES,
    KEEP,
    SEPARATOR,
    no_decisions,
    read_decisions,
)
from msnmo.cohort.simulated import Simulated
from msnmo.core.counts import counted
from msnmo.core.errors import Finding, InputError, bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_json, read_tsv, write_text, write_tsv
from msnmo.core.names import path_of_scan
from msnmo.core.templates import templates
from msnmo.quality.numbers import RULES

# Iglewicz and Hoaglin 1993: a modified z-score beyond 3.5 is an outlier; with few scans there are
# none
OUTLYING, FEWEST = 3.5, 8
COMPARED = {"brain_ml": "brain volume", "contrast": "lesions' contrast"}
"""Numbers that are compared over the cohort, and their names."""
COHORT_COLUMNS = dict.fromkeys(("scan", "diagnosis", "site"), str)
SHOWN = {
    "brain_ml": ("brain", "{:.0f} ml"),
    "brain_apart": ("brain mask outside its largest piece", "{:.1%}"),
    "brain_cut": ("rim of the mask at the slices' edges", "{:.1%}"),
    "bias_range": ("bias field, 99th over 1st centile", "{:.2f}"),
    "z_min": ("smallest z-score", "{:.1f}"),
    "z_max": ("largest z-score", "{:.1f}"),
    "lesion_ml": ("lesions", "{:.2f} ml"),
    "lesion_count": ("number of lesions", "{:.0f}"),
    "lesion_outside_ml": ("lesions outside the brain mask", "{:.2f} ml"),
    "contrast": ("lesions brighter than the brain by", "{:.2f} SD"),
}
"""Names and formats on the page for the numbers of `msnmo.quality.numbers.measure`."""


def list_quality(cohort: pd.DataFrame, contents: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the numbers and flags of every scan.

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, diagnosis, site.
    contents : iterable of dict
        As `msnmo.quality.numbers.to_json` returns, in the cohort's order.

    Returns
    -------
    DataFrame
        Columns scan, diagnosis, site, engine, the numbers, flags (joined with ``; ``).
    """
    contents = list(contents)
    numbers = pd.DataFrame([content["numbers"] for content in contents]).astype(float)
    flags = [list(content["flags"]) for content in contents]
    for name, called in COMPARED.items():
        for place in np.flatnonzero(_outliers(numbers[name].to_numpy())):
            flags[place].append(f"{called} unlike the cohort's")
    head = cohort[list(COHORT_COLUMNS)].reset_index(drop=True)
    head["engine"] = [content["engine"] for content in contents]
    return pd.concat([head, numbers], axis=1).assign(flags=["; ".join(each) for each in flags])


def _outliers(values: np.ndarray) -> np.ndarray:
    """Return which values are outliers, by distance from the median in median distances."""
    known = values[np.isfinite(values)]
    if known.size < FEWEST:
        return np.zeros(values.shape, bool)
    distance = np.abs(values - np.median(known))
    spread = np.median(np.abs(known - np.median(known)))
    return np.isfinite(values) & (0.6745 * distance > OUTLYING * spread) & (spread > 0)


def to_page(
    table: pd.DataFrame, pictures: Iterable[str], decisions: pd.DataFrame, banner: str = ""
) -> str:
    """Return the page.

    Parameters
    ----------
    table : DataFrame
        As `list_quality` returns.
    pictures : iterable of str
        Path of each scan's picture relative to the page.
    decisions : DataFrame
        As `read_decisions` returns; may be empty.
    banner : str
        A sentence above all scans; empty: none.
    """
    decided = decisions.set_index("scan").to_dict("index")
    cards = [
        {
            "scan": row["scan"],
            "about": [row[name] for name in ("diagnosis", "site") if pd.notna(row[name])]
            + [f"skull stripping: {row['engine']}"],
            "numbers": _shown(row),
            "flags": [flag for flag in row["flags"].split("; ") if flag],
            "picture": picture,
            **_shown_decision(decided.get(row["scan"], {})),
        }
        for (_, row), picture in zip(table.iterrows(), pictures, strict=True)
    ]
    others = decisions[~decisions["scan"].isin(table["scan"])].to_dict("records")
    rules = [(rule.name, rule.words) for rule in RULES]
    rules += [
        (
            f"{called} unlike the cohort's",
            "modified z-score (median, MAD) is over 3.5; needs at least 8 scans",
        )
        for called in COMPARED.values()
    ]
    template = templates(__package__).get_template("overview.html.jinja")
    grades = [*((grade, grade) for grade in GRADES), (KEEP, "keep, no grade")]
    return template.render(
        cards=cards,
        rules=rules,
        others=others,
        grades=grades,
        artefacts=ARTEFACTS,
        banner=banner,
    )


def _shown_decision(row: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of a scan's card, also for a scan without a row."""
    names = ("decision", "reason", "grade", "rater", "time")
    shown: dict[str, Any] = {name: row.get(name, "") for name in names}
    return shown | {"artefacts": row.get("artefacts", "").split(SEPARATOR)}


def _shown(row: pd.Series) -> list[tuple[str, str]]:
    return [
        (called, form.format(row[name]))
        for name, (called, form) in SHOWN.items()
        if pd.notna(row[name])
    ]


def _filled(pattern: str, scans: Iterable[str]) -> list[Path]:
    return [path_of_scan(pattern, scan) for scan in scans]


def _read_numbers(paths: list[Path]) -> list[dict[str, Any]]:
    contents, findings = [], []
    for path in paths:
        try:
            content = read_json(path)
            if missing := {"numbers", "flags", "engine"} - set(content):
                found = f"no {', '.join(sorted(missing))}"
                raise bad_input(path, "a scan's numbers and flags", found, MAKE_AGAIN)
            contents.append(content)
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return contents


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table and the page of a cohort."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.quality.overview", description=__doc__)
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    where = "with {scan} and {folder}"
    parser.add_argument("--numbers", required=True, help=f"path of a scan's numbers, {where}")
    parser.add_argument("--pictures", required=True, help=f"path of a scan's picture, {where}")
    parser.add_argument("--decisions", type=Path, help="a rater's earlier decisions")
    parser.add_argument("--out-table", type=Path, required=True, help="TSV")
    parser.add_argument("--out-page", type=Path, required=True, help="HTML")
    given = parser.parse_args(arguments)

    cohort = read_tsv(given.cohort, COHORT_COLUMNS)
    table = list_quality(cohort, _read_numbers(_filled(given.numbers, cohort["scan"])))
    pictures = _filled(given.pictures, cohort["scan"])
    if missing := [path for path in pictures if not path.is_file()]:
        remedy = "run the workflow again"
        raise InputError(
            Finding(str(path), "a picture", "no such file", remedy) for path in missing
        )
    relative = [Path(os.path.relpath(path, given.out_page.parent)).as_posix() for path in pictures]
    known = given.decisions is not None and given.decisions.exists()
    decisions = read_decisions(given.decisions) if known else no_decisions()
    write_tsv(given.out_table, table)
    write_text(given.out_page, to_page(table, relative, decisions, Simulated.among(cohort).note))
    flagged = (table["flags"] != "").sum()
    print(f"{counted(len(table), 'scan')}, {flagged} with flags")


if __name__ == "__main__":
    run_command(main)
