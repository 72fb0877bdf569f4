"""Seeds that follow from what is computed, never from the order in which it is computed."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *parts: int | str) -> int:
    """Return a 32-bit seed for one piece of work.

    Parameters
    ----------
    seed : int
        The user's seed (config key ``seed``).
    *parts : int or str
        What the work is, such as fold and method, or epoch and scan.

    Returns
    -------
    int
        Value in [0, 2**32), the same on every machine and in every process.
    """
    if odd := [part for part in (seed, *parts) if type(part) not in (int, str)]:
        # numpy's integers print differently from Python's, and would seed differently
        raise TypeError(f"seeds derive from plain int and str, not from {odd[0]!r}")
    text = repr((seed, *parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "little")
