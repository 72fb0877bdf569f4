"""What a table says is kept whole, and all that shows it says the same."""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape

import pytest

from msnmo.core.errors import InputError
from msnmo.evaluate.aggregate import across_folds
from msnmo.report.tables import details_of, reference_row, shown_tables
from msnmo.tables.compare import compare
from msnmo.tables.content import page
from msnmo.tables.layout import lay_out
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text, read_page, write_page
from msnmo.tables.render import to_html
from tests.tables.conftest import metrics_table


@pytest.fixture(params=["3", "7", "S1"])
def made(request, statistics):
    """A table of the joint model and one or two others, some of whose metrics are lacking."""
    values = {
        "joint": {
            "DSC": [0.70, 0.72],
            "TPR": [0.7, 0.9],
            "AUC": [0.8, 0.9],
            "ACC": [0.8, 0.9],
            "HD95": [3, 5],
        }
    }
    other = {"DSC": [0.60, 0.62], "AUC": [0.7, 0.9], "ACC": [0.7, 0.9]}
    values |= dict.fromkeys(("only_local", "unet"), other)
    summary = across_folds(metrics_table(values))
    table = lay_out()[request.param]
    rows = compare(table, summary, statistics(summary), "model")
    whole = page(table, rows, 0.95, "underlined")
    return replace(whole, notes=(*whole.notes, "Excluded: 1 scan & more."))


def test_it_is_read_as_it_was_written(made, tmp_path):
    path = tmp_path / "table.json"
    write_page(path, made)
    assert read_page(path) == made


@pytest.mark.parametrize(
    "change",
    [
        {"panels": 3},
        {"panels": [{"title": "", "columns": ["a"], "blocks": [{"label": "b"}]}]},
        {"details": {"title": "", "columns": []}},
        {"notes": None},
    ],
)
def test_what_is_no_table_is_named(made, change, tmp_path):
    path = tmp_path / "table.json"
    write_page(path, made)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=r"table\.json"):
        read_page(path)


def test_a_line_of_another_length_is_named(tmp_path):
    lines = (Line("l", (Text("1"), Text("2"))),)
    page = Page("1", "c", "h", "l", (Panel("", ("a",), (Block("b", lines),)),), ())
    write_page(tmp_path / "table.json", page)
    with pytest.raises(InputError, match="2 cells for 1 columns"):
        read_page(tmp_path / "table.json")


def test_page_and_file_show_the_same_cells_and_notes(made):
    html = unescape(to_html(made)).replace("\u00a0", " ")
    tables = shown_tables(made)
    texts = {cell.text for table in tables for row in table.rows for cell in row}
    assert "71.00 ± 1.41" in texts or "3.99 ± 1.41" in texts
    assert not [text for text in texts - {NOTHING} if text not in html]
    assert tables[-1].notes == made.notes
    ranked = [
        cell.text for table in tables for row in table.rows for cell in row if cell.rank is not None
    ]
    assert sorted(ranked) == sorted(
        cell.text
        for panel in made.panels
        for block in panel.blocks
        for line in block.lines
        for cell in line.cells
        if cell.rank is not None
    )


def test_details_have_a_row_for_each_number_that_was_made(made):
    (table,) = details_of(made)
    shown = [tuple(cell.text for cell in row) for row in table.rows]
    assert len(shown) == sum(len(block.lines) for block in made.details.blocks)
    assert len({row[:2] for row in shown}) == len(shown)
    assert [column.label for column in table.columns][:3] == ["method", "metric", "ours"]


def test_the_reference_row_is_that_of_the_table(made):
    label = made.panels[0].blocks[0].label
    rows = reference_row(made, label)
    assert list(rows["metric"]) == [name for panel in made.panels for name in panel.columns]
    assert set(rows["from"]) == {f"Table {made.number}"}
    assert reference_row(made, "none").empty


def test_panels_of_one_title_stand_side_by_side_and_repeat_no_column():
    def panel(*columns: str) -> Panel:
        cells = tuple(Text(each, value=None if each == "x" else 1) for each in columns)
        return Panel("", columns, (Block("TE", (Line("ms", cells),)),))

    page = Page("2", "c", "type", "unit", (panel("A", "B", "x"), panel("C", "x")), ("note",))
    (table,) = shown_tables(page)
    assert [column.label for column in table.columns] == ["type", "unit", "A", "B", "x", "C"]
    assert [column.number for column in table.columns] == [False, False, True, True, False, True]
    assert [[cell.text for cell in row] for row in table.rows] == [["TE", "ms", "A", "B", "x", "C"]]
    assert table.caption == "Ours and reported"
    assert table.notes == ("note",)
