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
# What turns a terminal's line about, or colours it: all but the tab and the ends of lines
CONTROLS = {
    code: f"[U+{code:04X}]"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
    if code not in (0x09, 0x0A, 0x0D)
}
MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$])")
# a line's beginning can be written over by what follows it alone
HIDDEN = re.compile(r"[^ -~\t\n]")


def show_directions(text: str) -> str:
    """Return text with visible names for characters that change its direction, such as [U+202E]."""
    return text.translate(DIRECTIONS | CONTROLS)


def show_hidden(text: str) -> str:
    """Return text with visible names for all invisible characters, such as ``[U+200B]``.

    With such a character between its letters, an id or a word looks like another one. Some scripts
    need these characters. They are named there too, so this is for messages and not for tables. All
    control characters but tab and line end are named, because they move and colour the text of a
    terminal.
    """
    return HIDDEN.sub(_named_if_hidden, text)


def _named_if_hidden(match: re.Match[str]) -> str:
    each = match[0]
    hidden = category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") or each in FILLERS
    return f"[U+{ord(each):04X}]" if hidden else each


def as_cell(text: str) -> str:
    """Return text as a cell that a spreadsheet shows but does not compute.

    A formula gets an apostrophe before it, which spreadsheets read as "this is text". Numbers and
    safe text do not change, nor does what this function returned before. Text with a slash may be a
    path. It keeps its characters, or the file would not be found; only control characters are
    replaced, because no path with them is accepted.
    """
    text = text.translate(CONTROLS)
    text = text if "/" in text else show_directions(text)
    return f"'{text}" if FORMULA.match(text) and not SIGNED.fullmatch(text) else text


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows unchanged."""
    return MARKDOWN_SPECIAL.sub(r"\\\1", text)
