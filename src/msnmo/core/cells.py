"""Text that others wrote, in tables for people: shown as it is, and executed by nobody."""

from __future__ import annotations

import re
from unicodedata import category

# A cell that begins so is a formula to a spreadsheet, in wide letters too (OWASP, CSV injection)
FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")
_NUMBER = r"[-+](?:\d[\d.]*|\.\d+)(?:[eE][-+]?\d+)?"
# A number with a sign is none: alone, with its unit, its interval or its spread
SIGNED = re.compile(
    rf"[-+](?:inf|nan)|{_NUMBER}(?:%| ml| mm)?(?:[ ,;](?:[\d.,;%±()\s–−-]|to|ml|mm)*)?"
)
# What turns the direction of text: the end of a name is then read as its beginning
TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
# Letters by their class, and blank all the same
FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
DIRECTIONS = {code: f"[U+{code:04X}]" for code in TURNING}


def show_directions(text: str) -> str:
    """Return text in which characters that turn its direction are named, such as ``[U+202E]``."""
    return text.translate(DIRECTIONS)


def show_hidden(text: str) -> str:
    """Return text in which every character that nobody sees is named, such as ``[U+200B]``.

    Two ids, or a word and its misspelling, look alike with one of them between their letters. In
    the scripts that need some of them they are named too: for messages, not for tables.
    """
    if text.isascii():
        return text
    return "".join(
        f"[U+{ord(each):04X}]" if category(each) == "Cf" or each in FILLERS else each
        for each in text
    )


def as_cell(text: str) -> str:
    """Return text as a cell that a spreadsheet shows and does not compute.

    What would be a formula is given an apostrophe before it, which spreadsheets read as "this is
    text". Numbers, and text that is safe, stay as they are; so does what was returned before. Text
    with a slash may be a path: its characters stay, or the file would not be found.
    """
    text = text if "/" in text else show_directions(text)
    return f"'{text}" if FORMULA.match(text) and not SIGNED.fullmatch(text) else text
