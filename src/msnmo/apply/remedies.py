"""What the workflow's steps and checks advise, in the words of a command that has no config."""

from __future__ import annotations

WITHOUT_CONFIG = {
    "try another engine, `frac` (larger = smaller brain) or `robust`, or set `implausible: flag` "
    "to go on with this mask": "try another --engine",
    "small lesions may be lost (lesion_masks.other_grid)": (
        "small lesions may be lost (--other-grid)"
    ),
}
WITHOUT_TABLE = {
    "if the scan arrived without its skull, write `yes` in the scan table's column `stripped`": (
        "if the scan arrived without its skull, give --stripped"
    ),
    "write `yes` in the scan table's column `stripped` if the skull is gone": (
        "give --stripped if the skull is gone"
    ),
    "the scan table's column `stripped` may be wrong: write `no` if this is a head": (
        "leave --stripped away if this is a head"
    ),
    "write `no` in the scan table's column `stripped` if this is a head": (
        "leave --stripped away if this is a head"
    ),
}
"""What is said, and what is said in its place."""


def as_options(text: str, has_table: bool = False) -> str:
    """Return a message with options in the place of config keys and of columns of no table.

    Parameters
    ----------
    text : str
    has_table : bool
        Whether the scans are a scan table's, whose columns can be corrected.
    """
    for said, instead in (WITHOUT_CONFIG if has_table else WITHOUT_CONFIG | WITHOUT_TABLE).items():
        text = text.replace(said, instead)
    return text
