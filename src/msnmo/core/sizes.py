"""Sizes that the networks can take: the one place that says of what edges are multiples."""

from __future__ import annotations

from collections.abc import Sequence

from msnmo.core.errors import bad_input

Size = tuple[int, int, int]

TOKEN = 16
"""Edge of a global-branch token in voxels; also the least common multiple of all down-samplings."""


def check_size(size: Sequence[int], multiple: int = TOKEN, least: int = TOKEN) -> Size:
    """Return an input size, if a network can halve it often enough.

    Raises
    ------
    InputError
        If an edge is not a multiple of `multiple` or is shorter than `least`.
    """
    if len(size) != 3 or any(edge < least or edge % multiple for edge in size):
        found = " x ".join(str(edge) for edge in size)
        expected = f"three edges of at least {least}, each divisible by {multiple}"
        remedy = "set the size to which scans are resized, such as 160 160 160 or 64 64 64"
        raise bad_input("config: resize.size", expected, found, remedy)
    x, y, z = size
    return x, y, z
