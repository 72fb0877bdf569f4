"""Numbers of things in words: 1 scan, 2 scans."""

from __future__ import annotations


def counted(count: int, noun: str, several: str = "") -> str:
    """Return a number with its noun.

    Parameters
    ----------
    count : int
    noun : str
        In the singular.
    several : str, optional
        In the plural, if it is not the singular with an s.
    """
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"
