"""Numbers on a command line: what is no number, or out of its range, is a wrong command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def finite(text: str) -> float:
    """Return a finite number. NaN and infinity are refused."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a finite number, found {text}")
    return value


def between_0_and_1(text: str) -> float:
    """Return a number above 0 and below 1, such as a threshold or confidence level."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, found {text}")
    return value


def from_half_to_1(text: str) -> float:
    """Return the mean probability of the named one of two classes, 0.5 to 1."""
    value = float(text)
    if not 0.5 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0.5 to 1, found {text}")
    return value


def at_least(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number of at least so much, and at most so much if given."""

    def read(text: str) -> int:
        # int() also reads the digits of other scripts, which nobody means here
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number < least or (most is not None and number > most):
            range_ = f"at least {least}" if most is None else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"expected a whole number of {range_}, found {text}")
        return number

    return read
