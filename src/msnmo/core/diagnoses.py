"""The labels of the two classes: MS and NMOSD, or what the config says (`diagnoses`).

All processes of a run have the same two labels, so they are no option of a command. The workflow
sets a variable of the environment for its jobs. Names of columns and metrics follow from them.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence

from msnmo.core.errors import bad_input

VARIABLE = "MSNMO_DIAGNOSES"
"""Of the environment: the labels, with a comma between them."""
DEFAULT = ("MS", "NMOSD")
"""Of the paper: class 0, and class 1, the positive one of SN, SP and AUC."""
NO_DIAGNOSIS = "no diagnosis"
"""Stands for the label where scans to learn from have none: no label has a space."""
LABEL = re.compile("[A-Za-z][A-Za-z0-9]*")


def diagnoses() -> tuple[str, str]:
    """Return the labels of class 0 and of class 1."""
    first, second = os.environ.get(VARIABLE, ",".join(DEFAULT)).split(",")
    return first, second


def use_diagnoses(labels: Sequence[str]) -> None:
    """Set the labels for this process and all processes that it starts."""
    os.environ[VARIABLE] = ",".join(labels)


def add_diagnoses(parser: argparse.ArgumentParser) -> None:
    """Add the option for commands that are used without a config."""
    parser.add_argument(
        "--diagnoses",
        nargs=2,
        metavar=("FIRST", "SECOND"),
        default=DEFAULT,
        help=f"labels of the two classes, like the config's key (default: {' '.join(DEFAULT)}",
    )


def use_given(labels: Sequence[str]) -> None:
    """Set the labels of the command line for this process.

    Raises
    ------
    InputError
        If one is no label, or both are the same.
    """
    first, second = labels
    if not all(map(LABEL.fullmatch, labels)) or first.lower() == second.lower():
        expected = "two labels of letters and digits that start with a letter"
        raise bad_input("--diagnoses", expected, f"{first} {second}", "correct the labels")
    use_diagnoses(labels)


def in_words(labels: Sequence[str] | None = None) -> str:
    """Return both labels, such as MS or NMOSD."""
    return " or ".join(labels or diagnoses())


def positive() -> str:
    """Return the label of class 1."""
    return diagnoses()[1]


def probabilities(labels: Sequence[str] | None = None) -> tuple[str, str]:
    """Return the names of the columns of the classes' probabilities: p_ms and p_nmosd."""
    first, second = (f"p_{label.lower()}" for label in labels or diagnoses())
    return first, second


def score() -> str:
    """Return the name of a scan's probability of class 1 among the metrics: P_NMOSD."""
    return f"P_{positive().upper()}"


def score_in_words(labels: Sequence[str] | None = None) -> str:
    """Return the name of class 1's probability in tables and pages: P(NMOSD)."""
    _, second = labels or diagnoses()
    return f"P({second})"
