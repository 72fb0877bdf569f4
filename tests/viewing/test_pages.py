"""Numbers of a column are shown alike, sorted by value, and never as something they are not."""

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.report.pictures import shown_figures
from msnmo.report.scatter import LEFT, RIGHT, WIDTH, draw_strips
from msnmo.viewing.pages import Cell, Column, Table, fill, frame, table_of, to_cells


def texts(values):
    return [cell.text for cell in to_cells(values)]


def test_fractions_of_a_column_have_the_same_decimals():
    assert texts([60.6, 7.0, -0.25]) == ["60.6", "7.0", "−0.2"]
    assert texts([0.5, 0.0061]) == ["0.500", "0.006"]
    assert texts([1e-4, 5e-5]) == ["0.000100", "0.000050"]
    assert texts([1513.2, 980.0]) == ["1513", "980"]
    assert texts([0.0, 0.0]) == ["0", "0"]


def test_counts_text_and_nothing():
    cells = to_cells([3, np.int64(4), "a", None, np.nan, True, Cell("b", 2.0)])
    assert [cell.text for cell in cells] == ["3", "4", "a", "–", "–", "True", "b"]
    assert [cell.value for cell in cells] == [3.0, 4.0, None, None, None, None, 2.0]


def test_columns_of_one_group_stand_together():
    columns = (Column("method"), Column("ours", "DSC"), Column("reported", "DSC"), Column("n"))
    assert Table("", columns, ()).groups == [("", 1), ("DSC", 2), ("", 1)]


def test_an_empty_table_is_a_table():
    table = table_of("Excluded", pd.DataFrame(columns=["scan", "by"]))
    assert table.rows == ()


def test_text_is_escaped():
    content = {"figures": [], "twins": [], "losses": None}
    text = fill("figures.html.jinja", "msnmo.report", **frame("<b>&", "", (), ""), **content)
    assert "<title>&lt;b&gt;&amp;</title>" in text


def test_points_lie_where_their_values_are():
    values = pd.DataFrame({"joint": [0.0, 50.0, 100.0], "unet": np.nan}, index=["a", "b", "c"])
    diagnoses = pd.Series({"a": "MS", "b": "NMOSD", "c": "MS"})
    strips = draw_strips(values, diagnoses, "DSC", "DSC (%)", top=100)
    middle = (LEFT + WIDTH - RIGHT) / 2
    assert [point.x for point in strips.points] == [LEFT, middle, WIDTH - RIGHT]
    ms, nmosd, other_ms = ((point.marker, point.colour) for point in strips.points)
    assert ms == other_ms != nmosd
    assert strips.medians[0][0] == middle
    assert [label for _, label in strips.labels] == ["Joint Model"]
    assert strips.points[1].told == "b (NMOSD), Joint Model: 50"
    assert draw_strips(values[["unet"]], diagnoses, "DSC", "DSC (%)", top=100) is None


def test_a_figure_that_is_no_png_is_named(tmp_path):
    path = tmp_path / "figure-8.png"
    path.write_text("half")
    with pytest.raises(InputError, match=r"figure-8\.png"):
        shown_figures([path])
