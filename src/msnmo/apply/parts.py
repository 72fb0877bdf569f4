"""A part of many scans, for jobs side by side: ``3/8`` is the third of eight."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One of several parts of a list.

    Parameters
    ----------
    place : int
        From 1 to `parts`.
    parts : int
    """

    place: int
    parts: int


def part_argument(text: str) -> Part:
    """Return the part that an option gives, such as ``3/8`` (a `type` of argparse)."""
    if match := re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII):
        part = Part(int(match[1]), int(match[2]))
        if 1 <= part.place <= part.parts:
            return part
    raise argparse.ArgumentTypeError(f"expected a part such as 3/8, from 1/8 to 8/8, found {text}")
