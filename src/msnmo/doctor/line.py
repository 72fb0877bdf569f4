"""A line of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Line:
    """One checked item.

    Parameters
    ----------
    topic : str
        What was looked at.
    state : {"ok", "note", "problem"}
        A problem keeps msnmo from working; a note is worth knowing.
    found : str
    remedy : str
        What to do about a note or problem, if anything.
    """

    topic: str
    state: State
    found: str
    remedy: str = ""
