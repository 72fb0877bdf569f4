"""Compare two raters' tables of decisions: agreement beyond chance, and differences."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.inter_rater import cohens_kappa

from msnmo.cohort.decisions import (
    ARTEFACTS,
    EXCLUDE,
    GRADES,
    KEEP,
    SEPARATOR,
    read_decisions,
)
from msnmo.core.command import program
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import write_tsv
from msnmo.core.paths import path_argument

COMPARED = ("decision", "grade", "artefacts")
WEIGHTS = ("quadratic", "linear")


@dataclass(frozen=True)
class Agreement:
    """The agreement of two raters on one question.

    Parameters
    ----------
    counts : (n, n) DataFrame
        Scans by the answers of the first rater (rows) and the second (columns).
    kappa : float
        Cohen's kappa; NaN if both give the same answer for all scans.
    low, high : float
        Its asymptotic 95 % interval (Fleiss, Cohen and Everitt 1969); NaN if there is none.
    """

    counts: pd.DataFrame
    kappa: float
    low: float
    high: float

    @property
    def alike(self) -> int:
        """Number of scans with the same answer."""
        return int(np.trace(self.counts))

    @property
    def scans(self) -> int:
        """Number of scans with answers of both."""
        return int(self.counts.to_numpy().sum())

    def __str__(self) -> str:
        told = f"the same answer for {self.alike} of {self.scans} scans"
        if np.isnan(self.kappa):
            return f"kappa is undefined, as both give one answer for all scans; {told}"
        interval = ""
        if np.isfinite([self.low, self.high]).all():
            interval = f" (95 % interval {self.low:.2f} to {self.high:.2f})"
        return f"kappa {self.kappa:.2f}{interval}; {told}"


def agree(
    first: Sequence[str], second: Sequence[str], labels: Sequence[str], weights: str | None = None
) -> Agreement:
    """Return the agreement of two raters.

    Parameters
    ----------
    first, second : sequence of str
        The answers of each for the same scans, at least one.
    labels : sequence of str
        The possible answers, in order.
    weights : {"linear", "quadratic"}, optional
        Weights of a disagreement by distance between labels; None: all equal.
    """
    counts = confusion_matrix(first, second, labels=list(labels))
    table = pd.DataFrame(counts, index=list(labels), columns=list(labels))
    if len({*first, *second}) < 2:
        return Agreement(table, np.nan, np.nan, np.nan)
    kappa = cohen_kappa_score(first, second, labels=list(labels), weights=weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        interval = cohens_kappa(counts, wt=weights)
    if not interval.std_kappa > 0:  # with few scans, the error is unknown, not 0
        return Agreement(table, float(kappa), np.nan, np.nan)
    # kappa is at most 1, but its normal distribution is unlimited
    return Agreement(table, float(kappa), interval.kappa_low, min(interval.kappa_upp, 1.0))


def compare(first: pd.DataFrame, second: pd.DataFrame, weights: str) -> dict[str, Agreement]:
    """Return the agreement on decisions, on grades, and on each artefact that one rater saw.

    Parameters
    ----------
    first, second : DataFrame
        As returned by `read_decisions`, with common scans.
    weights : {"linear", "quadratic"}
        Weights of grades. A scan excluded without a grade counts as exclude. A scan kept without a
        grade has no grade.
    """
    both = _joined(first, second)
    agreed = {"decision": agree(both["decision_1"], both["decision_2"], (EXCLUDE, KEEP))}
    graded = both[(both["grade_1"] != "") & (both["grade_2"] != "")]
    if len(graded):
        agreed["grade"] = agree(graded["grade_1"], graded["grade_2"], GRADES, weights)
    for name in ARTEFACTS:
        saw = [_saw(both[f"artefacts_{n}"], name) for n in (1, 2)]
        if "yes" in {*saw[0], *saw[1]}:
            agreed[name] = agree(saw[0], saw[1], ("no", "yes"))
    return agreed


def _saw(cells: pd.Series, name: str) -> list[str]:
    """Return for each scan whether a rater saw an artefact: yes or no."""
    return ["yes" if name in cell.split(SEPARATOR) else "no" for cell in cells]


def disagreements(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return the scans on which two raters differ.

    Returns
    -------
    DataFrame
        Columns scan, then decision, grade, artefacts and reason of the first (``_1``) and the
        second (``_2``), in the scans' order. Two grades differ only if both were given.
    """
    both = _joined(first, second)
    graded = (both["grade_1"] != "") & (both["grade_2"] != "")
    differ = both["decision_1"] != both["decision_2"]
    differ |= graded & (both["grade_1"] != both["grade_2"])
    differ |= both["artefacts_1"] != both["artefacts_2"]
    names = [f"{name}_{n}" for name in (*COMPARED, "reason") for n in (1, 2)]
    return both.loc[differ, ["scan", *names]].reset_index(drop=True)


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    columns = ["scan", *COMPARED, "reason"]
    tables = [
        table[columns].assign(
            grade=table["grade"].mask(table["decision"] == EXCLUDE, EXCLUDE),
        )
        for table in (first, second)
    ]
    both = tables[0].merge(tables[1], on="scan", suffixes=("_1", "_2"), validate="one_to_one")
    return both.sort_values("scan", ignore_index=True)


def _name(table: pd.DataFrame, path: Path) -> str:
    """Return the rater: the only name in the table, or the file's name."""
    raters = set(table["rater"])
    return raters.pop() if len(raters) == 1 and "" not in raters else str(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the agreement and the disagreements of two tables."""
    given = _parse(arguments)
    first, second = read_decisions(given.first), read_decisions(given.second)
    shared = set(first["scan"]) & set(second["scan"])
    if not shared:
        found = f"none: {len(first)} scans in {given.first}, and {len(second)} other scans here"
        remedy = "give the tables of two raters for the same cohort"
        raise bad_input(given.second, "scans that are also in the other table", found, remedy)
    names = [_name(first, given.first), _name(second, given.second)]
    alone = [len(table) - len(shared) for table in (first, second)]
    print(f"1: {names[0]}\n2: {names[1]}")
    print(f"{len(shared)} scans rated by both, {alone[0]} only by 1, {alone[1]} only by 2")
    agreed = compare(first, second, given.weights)
    for name, agreement in agreed.items():
        note = f" ({given.weights} weights)" if name == "grade" else ""
        print(f"{name}{note}: {agreement}")
    if "grade" in agreed:
        print("\nGrades by 1 (rows) and 2 (columns)")
        print(agreed["grade"].counts.to_string())
    table = disagreements(first, second)
    if given.out:
        write_tsv(given.out, table.mask(table == ""))
    print(f"\n{len(table)} scans on which they differ")
    if len(table):
        print(table.replace("", "-").to_string(index=False))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.quality.agreement"),
        description=__doc__,
        epilog="Example:\n  msnmo agreement anna.tsv ben.tsv --out differ.tsv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("first", type=path_argument, help="a rater's table of decisions")
    parser.add_argument("second", type=path_argument, help="another rater's table")
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        default=WEIGHTS[0],
        help="weights of grades by their distance (default: %(default)s)",
    )
    parser.add_argument("--out", type=path_argument, help="TSV of the scans on which they differ")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
