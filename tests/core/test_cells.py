"""Cells that others wrote are shown as they are; no spreadsheet executes them."""

import pandas as pd
import pytest

from msnmo.core.cells import as_cell, show_directions, show_hidden
from msnmo.core.files import read_tsv, write_tsv
from msnmo.core.templates import templates


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x";"y")',
        "+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "-1 (cmd)",
        "-A1",
        "-1+A1",
        "@SUM(1)",
        "\t=1",
        "＝1+1",
        "-",
        "+49 30 x",
    ],
)
def test_what_a_spreadsheet_would_execute_is_text(text):
    assert as_cell(text) == f"'{text}"
    assert as_cell(as_cell(text)) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "MS", "sub-01", "a=b", "1-2", "'=1", "/data/=x.nii", "−0.3", "-0.12", "+1", "-1e-05"),
        *("-.5", "-inf", "-12%", "-0.3 ml", "-0.12 (-0.30 to 0.10)", "-0.1 ± 0.2", "-1, 2"),
    ],
)
def test_numbers_and_other_text_stay(text):
    assert as_cell(text) == text


@pytest.mark.parametrize("code", ["202e", "202a", "2066", "2069", "200f", "061c"])
def test_what_turns_the_direction_of_text_is_named(code):
    text = f"scan{chr(int(code, 16))}iin.exe"
    assert show_directions(text) == as_cell(text) == f"scan[U+{code.upper()}]iin.exe"
    assert show_directions("مرحبا, 患者, שלום") == "مرحبا, 患者, שלום"


@pytest.mark.parametrize("code", ["200b", "feff", "00ad", "2060", "202e", "3164", "2800"])
def test_what_nobody_sees_is_named_in_messages(code):
    assert show_hidden(f"01{chr(int(code, 16))}") == f"01[U+{code.upper()}]"
    assert show_hidden("Köln 患者 a\nb") == "Köln 患者 a\nb"


@pytest.mark.parametrize("code", ["0000", "0007", "001b", "007f", "009b", "2028"])
def test_what_moves_a_terminals_line_is_named_everywhere(code):
    each, named = chr(int(code, 16)), f"[U+{code.upper()}]"
    assert show_hidden(f"a{each}b") == show_directions(f"a{each}b") == f"a{named}b"
    assert as_cell(f"/data/a{each}b") == f"/data/a{named}b"
    assert show_hidden("a\tb\nc\rd") == "a\tb\nc[U+000D]d"


def test_a_path_stays_the_files():
    path = "/data/scan\u200f/a.nii"
    assert as_cell(path) == path
    assert as_cell(f"={path}") == f"'={path}"


def test_every_table_that_is_written_is_harmless_and_numbers_are_as_before(tmp_path):
    table = pd.DataFrame(
        {
            "site": ["=1+1", "A", None],
            "text": ["-0.5", "-1.5", None],
            "number": [-0.5, 1, None],
            "mixed": pd.Series([-1, "@x", None], dtype=object),
            "whole": pd.Series([-1, 2, None], dtype=object),
        }
    )
    write_tsv(tmp_path / "a.tsv", table)
    rows = [line.split("\t") for line in (tmp_path / "a.tsv").read_text().splitlines()]
    assert rows[1:] == [
        ["'=1+1", "-0.5", "-0.5", "-1", "-1"],
        ["A", "-1.5", "1.0", "'@x", "2"],
        ["n/a", "n/a", "n/a", "n/a", "n/a"],
    ]
    assert table["site"][0] == "=1+1"
    read = read_tsv(tmp_path / "a.tsv", {"site": str})
    write_tsv(tmp_path / "b.tsv", read)
    assert read_tsv(tmp_path / "b.tsv", {"site": str})["site"][0] == "'=1+1"


def test_no_page_turns_the_direction_of_what_is_read():
    page = templates("msnmo.tables").from_string("{{ text }} {{ text | upper }} {{ 3 }}")
    assert page.render(text="a\u202eb") == "a[U+202E]b A[U+202E]B 3"
