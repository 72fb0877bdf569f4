"""A page of one scan needs nothing but volumes; it says what it shows and obeys no text."""

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.viewing.assets import FOLDER, NAMES, write_assets
from msnmo.viewing.pages import Cell
from msnmo.viewing.viewer import Layer, write_scan_page

GRID = Grid.from_affine((30, 36, 20), np.diag([-1.5, 1.0, 2.0, 1.0]))
HOSTILE = '"><script>alert(1)</script>'


def layers(mask=True):
    generator = np.random.default_rng(0)
    marked = np.zeros(GRID.shape, bool)
    if mask:
        marked[10:14, 20:25, 8:11] = True
    return [
        Layer("scan", "scan", "image", Volume(generator.normal(100, 9, GRID.shape), GRID)),
        Layer("prediction", HOSTILE, "mask", Volume(marked, GRID)),
        Layer("probability", "p", "probability", Volume(generator.uniform(size=GRID.shape), GRID)),
    ]


def read_layers(volumes):
    text = volumes.read_text(encoding="utf-8")
    return json.loads(text.removeprefix("var msnmoLayers = ").removesuffix(";\n"))


def write(site, **changed):
    table = pd.DataFrame({"method": [HOSTILE, "b"], "DSC (%)": [71.234567, np.nan]})
    arguments = {
        "name": "sub-é 1",
        "title": HOSTILE,
        "layers": layers(),
        "facts": [("site", HOSTILE)],
        "tables": [("Numbers", table)],
    }
    return write_scan_page(site, **(arguments | changed))


def test_a_page_stands_without_any_result(tmp_path):
    site = tmp_path / "a site é"
    page, volumes = write(site)
    text = page.read_text(encoding="utf-8")
    assert page == site / "scans/sub-é 1.html"
    assert "not for diagnosis" in text
    assert "<nav" not in text
    assert "http" not in text
    assert 'src="sub-%C3%A9%201.js"' in text
    assert HOSTILE not in text
    assert "71.23" in text
    assert [layer["name"] for layer in read_layers(volumes)] == [
        "scan",
        "prediction",
        "probability",
    ]
    assert {path.name for path in write_assets(site)} == set(NAMES)
    assert "BSD-2-Clause" in (site / "assets/niivue-LICENSES.txt").read_text(encoding="utf-8")


def test_navigation_is_as_given(tmp_path):
    page, _ = write(tmp_path, navigation=[("Overview", "index.html"), ("Scans", "scans.html")])
    text = page.read_text(encoding="utf-8")
    assert '<a href="../index.html">Overview</a>' in text
    assert '<a href="../scans.html" aria-current="page">' in text


def test_the_crosshair_starts_in_the_lesions_or_in_the_middle(tmp_path):
    def starts(text):
        return re.findall(r'max="\d+" value="(\d+)" data-axis', text)

    marked = write(tmp_path, name="a")[0].read_text(encoding="utf-8")
    # right-handed i is mirrored: 10 to 13 of 30 are 16 to 19 in RAS+ order
    i, j, k = map(int, starts(marked))
    assert 16 * 1.5 - 1 <= i * 1.5 <= 19 * 1.5 + 1
    assert 20 <= j < 25
    assert 8 <= k < 11
    empty = write(tmp_path, name="b", layers=layers(mask=False))[0].read_text(encoding="utf-8")
    assert starts(empty) == ["15", "18", "10"]


def test_equal_arguments_give_equal_bytes(tmp_path):
    one, other = write(tmp_path / "a"), write(tmp_path / "b")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_cells_may_link(tmp_path):
    frame = pd.DataFrame({"scan": [Cell("a", href="b%20c.html")]})
    text = write(tmp_path, tables=[("T", frame)])[0].read_text(encoding="utf-8")
    assert '<a href="b%20c.html">a</a>' in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "../out"}, "cannot be a file name"),
        ({"layers": []}, "first layer"),
        ({"layers": layers()[1:]}, "first layer"),
        ({"layers": [layers()[0], layers()[0]]}, "twice"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, changed, said):
    with pytest.raises(ValueError, match=said):
        write(tmp_path, **changed)
    assert not list(tmp_path.iterdir())


def test_the_viewer_is_the_published_one():
    licences = FOLDER.joinpath("niivue-LICENSES.txt").read_text(encoding="utf-8")
    library = FOLDER.joinpath("niivue.umd.js").read_bytes()
    assert f"sha256 {hashlib.sha256(library).hexdigest()}" in licences
