"""The check's verdict: which scans go on, whether folds are possible, and what a run takes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.check.costs import tell_of_cohort
from msnmo.cohort.balance import classes_of, learned, named_sites
from msnmo.cohort.classes import left_out_note, trainable
from msnmo.cohort.folds import refuse_one_class, split_folds
from msnmo.core.counts import counted
from msnmo.core.diagnoses import diagnoses, use_diagnoses
from msnmo.core.errors import DataLeakageError, Finding, InputError, bad_input, run_command
from msnmo.core.files import read_tsv, write_text
from msnmo.settings.config import complete_config
from msnmo.settings.methods import get_method

MOST_SITES = 8
"""Up to this many sites are listed; for more, only their number is given."""
COLUMNS = ("scan", "subject", "diagnosis", "flair", "lesion_mask", "site")


@dataclass(frozen=True)
class Verdict:
    """The verdict on a cohort at the end of its check.

    Parameters
    ----------
    lines : tuple of str
    problems : tuple of Finding
        Why a full run would stop after the check; empty if it would not.
    """

    lines: tuple[str, ...]
    problems: tuple[Finding, ...]

    @property
    def text(self) -> str:
        """The paragraph."""
        end = (
            f"A run of everything would stop: {counted(len(self.problems), 'problem')}."
            if self.problems
            else "A run of everything can go on."
        )
        return "\n".join([*self.lines, end])


def judge(config: Mapping[str, Any], cohort: pd.DataFrame) -> Verdict:
    """Return the verdict on the scans that go on.

    Parameters
    ----------
    config : mapping
        The config with all its keys.
    cohort : DataFrame
        Columns scan, subject, diagnosis, flair, lesion_mask, site; unknown values are empty texts.
    """
    in_folds = learned(cohort)
    lines = [*_scans(cohort, in_folds), *_sites(in_folds)]
    if in_folds.empty:
        return Verdict((*lines, "Nothing can be trained."), (_nothing_to_learn(),))
    classes = [name for name in classes_of(in_folds) if name in diagnoses()]
    methods, left_out = trainable(config["methods"], classes)
    told, problems = _folds(config, cohort, methods)
    lines += [told, f"Methods that can be trained: {', '.join(methods) or 'none'}."]
    if note := left_out_note(left_out, classes):
        lines.append(note)
    return Verdict((*lines, *tell_of_cohort(config, methods, cohort)), tuple(problems))


def _scans(cohort: pd.DataFrame, in_folds: pd.DataFrame) -> Iterator[str]:
    subjects = counted(cohort["subject"].nunique(), "subject")
    yield f"{counted(len(cohort), 'scan')} of {subjects} can be used."
    rows = in_folds.groupby("diagnosis", sort=True)
    told = [
        f"{name}: {counted(len(each), 'scan')} of {counted(each['subject'].nunique(), 'subject')}"
        for name, each in rows
    ]
    if alone := len(cohort) - len(in_folds):
        told.append(f"for prediction only: {counted(alone, 'scan')}")
    if told:
        yield f"{'; '.join(told)}."


def _sites(in_folds: pd.DataFrame) -> Iterator[str]:
    sites = in_folds.assign(site=named_sites(in_folds["site"]))
    count = sites["site"].nunique()
    if count > MOST_SITES:
        yield f"Sites: {count}."
    elif count:
        subjects = sites.drop_duplicates(["site", "subject"])
        told = [
            f"{site} ({', '.join(_counts(rows))})"
            for site, rows in subjects.groupby("site")["diagnosis"]
        ]
        yield f"Subjects by site: {', '.join(told)}."


def _counts(diagnosis: pd.Series) -> list[str]:
    return [f"{count} {name}" for name, count in diagnosis.value_counts().sort_index().items()]


def _folds(
    config: Mapping[str, Any], cohort: pd.DataFrame, methods: Sequence[str]
) -> tuple[str, list[Finding]]:
    """Return the sentence on folds, and the reasons if they cannot be made."""
    settings = config["folds"]
    try:
        folds = split_folds(cohort, settings["k"], settings["split"], config["seed"])
        numbers = sorted(folds["fold"].unique())
        if any("classification" in get_method(name).tasks for name in methods):
            for fold in settings["only"] or numbers:
                refuse_one_class(folds, int(fold), cohort)
    except InputError as error:
        return "The folds of the config cannot be made.", error.findings
    except DataLeakageError as error:
        remedy = "set folds.split: grouped"
        return "The folds of the config leak.", [
            Finding("config: folds", "no subject on both sides", str(error), remedy)
        ]
    return f"{counted(len(numbers), 'fold')} can be made ({settings['split']}).", []


def _nothing_to_learn() -> Finding:
    return Finding(
        "scan table",
        "scans with a diagnosis and a lesion mask to train on",
        "none",
        "add them, or apply a trained bundle to these scans: msnmo apply --help",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print and write the verdict on the scans that go on.

    Raises
    ------
    InputError
        Lists every reason why a full run would stop.
    """
    parser = argparse.ArgumentParser(prog="python -m msnmo.check.verdict", description=__doc__)
    parser.add_argument("--cohort", type=Path, required=True, help="the scans that go on (TSV)")
    parser.add_argument("--config", required=True, metavar="JSON", help="the whole config")
    parser.add_argument("--page", type=Path, required=True, help="the check's page")
    parser.add_argument("--out", type=Path, required=True, help="text to write")
    given = parser.parse_args(arguments)
    try:
        config = complete_config(json.loads(given.config))
    except json.JSONDecodeError as error:
        raise bad_input("--config", "JSON", str(error), "give a JSON object") from error
    use_diagnoses(config["diagnoses"])
    cohort = read_tsv(given.cohort, dict.fromkeys(COLUMNS, str)).fillna("")
    verdict = judge(config, cohort)
    text = f"{verdict.text}\nEvery finding: {given.page}\n"
    print(text, end="")
    if verdict.problems:
        raise InputError(verdict.problems)
    write_text(given.out, text)


if __name__ == "__main__":
    run_command(main)
