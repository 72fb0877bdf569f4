"""Which values of a mask are lesion: one, or those of a label map that are named.

Readers and tools write 0 and 1, 0 and 255, or a label for each kind or place of lesion. The
annotated map of LST-AI has labels 1 to 4. In the WMH challenge label 2 is no lesion. No file says
what a label means.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Literal

from msnmo.core.errors import bad_input

ANY: Literal["any"] = "any"
Labels = Literal["any"] | tuple[int, ...]
"""``any`` value above 0; those named; of none, the one value that there is besides 0."""
MOST_SHOWN = 6
NAME_LABELS = (
    "say which values are lesion, such as 1 2, or any (lesion_masks.labels in the config, "
    "--lesion-labels of commands); or give a mask with only lesions"
)


def in_words(values: Sequence[int]) -> str:
    """Return some values in a line: the first few, and how many more there are."""
    shown = ", ".join(map(str, values[:MOST_SHOWN]))
    more = len(values) - MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def add_lesion_labels(parser: argparse.ArgumentParser, note: str = "") -> None:
    """Add the option for commands that read lesion masks."""
    parser.add_argument(
        "--lesion-labels",
        nargs="*",
        default=[],
        metavar="VALUE",
        help=f"{note}values in lesion masks that mean lesion, or any, like the config's "
        "lesion_masks.labels (default: masks have 0 and one other value)",
    )


def labels_given(words: Sequence[str]) -> Labels:
    """Return the labels of the option.

    Raises
    ------
    InputError
        If they are neither ``any`` nor whole numbers above 0.
    """
    if list(words) == [ANY]:
        return ANY
    if not all(word.isascii() and word.isdecimal() and int(word) for word in words):
        expected = f"whole numbers above 0, or {ANY}"
        raise bad_input("--lesion-labels", expected, " ".join(words), "correct the values")
    return tuple(int(word) for word in words)
