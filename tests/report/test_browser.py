"""The report in a real browser, opened from disk: no network, no error, and the viewer draws."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from msnmo.check.listing import to_page
from msnmo.core.volumes import Volume
from msnmo.viewing.assets import write_assets
from msnmo.viewing.pages import NOTHING, PAGES, Cell
from msnmo.viewing.slices import OUTCOMES
from msnmo.viewing.viewer import Layer, write_scan_page
from tests.report.small_run import AFFINE, BRAIN, GRID, LESION, SCANS

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
# WebGL2 on the processor; and nothing that a browser does of its own accord
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
]
SCAN = "sub-N1"
PATIENCE = 120_000
"""Milliseconds: a loaded machine is slow, not wrong."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it or set CHROMIUM"),
]


class Opened:
    """A page and all that it complained of or asked the network for."""

    def __init__(self, context, path: Path):
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(path.resolve().as_uri())

    def _note(self, request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(request.url)

    def wait_for_viewer(self) -> None:
        self.page.wait_for_function("window.msnmoViewer")

    def pixels(self, selector: str = "#viewer") -> np.ndarray:
        """Return what an element looks like, (height, width, 3)."""
        picture = Image.open(io.BytesIO(self.page.locator(selector).screenshot()))
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, site):
    """A function that opens a page of the report at a width."""
    contexts = []

    def open_page(name: str, width: int = 1280, **options) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        return Opened(context, site / name)

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def viewer(browser, site):
    """The page of a scan with its viewer; tests leave the layers as they found them."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = Opened(context, site / f"scans/{SCAN}.html")
    opened.wait_for_viewer()
    yield opened
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_load_quietly_and_fit(opened, width):
    for _, address in PAGES:
        page = opened(address, width)
        assert page.complaints == []
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        smallest = page.page.evaluate(
            "Math.min(...[...document.querySelectorAll('main *')].filter(each => each.innerText)"
            ".map(each => parseFloat(getComputedStyle(each).fontSize)))"
        )
        assert smallest >= 12, address


def test_on_a_phone_the_checks_remedies_are_seen(browser, tmp_path):
    """Each finding is a block there, and a row of a table on a screen."""
    path = "/data/cohort/sub-MS01/ses-1/anat/sub-MS01_ses-1_FLAIR.nii.gz"
    rows = [("error", "sub-MS01_ses-1", path, "a whole image", "a file cut short", "copy it again")]
    names = ["severity", "scan", "file", "expected", "found", "remedy"]
    page = tmp_path / "findings.html"
    page.write_text(to_page(pd.DataFrame(rows, columns=names), 1), encoding="utf-8")
    for width in (390, 1400):
        context = browser.new_context(viewport={"width": width, "height": 900})
        opened = Opened(context, page)
        box = opened.page.get_by_role("cell", name="copy it again").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width, width
        assert (box["width"] > width / 2) == (width == 390)
        opened.page.get_by_label("1 error").uncheck()
        assert opened.page.get_by_text("copy it again").is_hidden()
        assert opened.complaints == []
        context.close()


def test_a_table_is_sorted_by_click_and_by_key(opened):
    page = opened("tables.html").page
    table = page.locator("#table-3 ~ .scroll table").first
    heading = table.locator("th", has_text="reported").first

    def column():
        return table.locator("tbody tr td:nth-child(3)").all_inner_texts()

    numbers = sorted((text for text in column() if text != NOTHING), key=float)
    nothing = [NOTHING] * column().count(NOTHING)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column() == [*numbers, *nothing]
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert column() == [*reversed(numbers), *nothing]
    # what was not run has no number: it comes last, whichever way
    ours = table.locator("th", has_text="ours").first
    for _ in range(2):
        ours.locator("button").focus()
        page.keyboard.press("Space")
        assert table.locator("tbody tr:last-child td").first.inner_text() == "not run"
    assert table.locator("th[aria-sort]").count() == 1


def test_tables_fit_a_desk_and_paper_and_say_so_where_they_go_on(opened):
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    for _, address in PAGES:
        page = opened(address, 1400).page
        assert page.evaluate(f"{cut}.length") == 0, address
        assert page.locator(".scroll.wide").count() == 0
        page.set_viewport_size({"width": 390, "height": 900})
        page.wait_for_function(f"{cut}.every(e => e.classList.contains('wide'))")
        # A4 less its margins
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 703, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    page = opened("tables.html", 390).page
    assert page.locator(".scroll.wide").count() > 0
    hint = "getComputedStyle(document.querySelector('.scroll.wide'), '::before').content"
    assert "Goes on to the right" in page.evaluate(hint)


def test_a_search_shows_the_scans_that_have_its_words(opened):
    page = opened("scans.html").page
    rows = page.locator("tbody tr:visible th")
    everything = rows.count()
    page.get_by_label("Search").fill("nmosd n1")
    assert set(rows.all_inner_texts()) == {"sub-N1"}
    assert rows.count() == everything / len(SCANS), "in each table"
    assert page.locator(".search [role=status]").inner_text() == "1 scan"
    page.get_by_label("Search").fill("nowhere")
    assert rows.count() == 0
    page.get_by_label("Search").fill("")
    assert rows.count() == everything
    bare = opened("scans.html", java_script_enabled=False).page
    assert not bare.get_by_label("Search").is_visible()


def test_a_point_leads_to_its_scan_by_click(opened):
    page = opened("scans.html").page
    point = page.locator("svg a", has=page.locator("circle")).last
    scan = point.locator("title").text_content().split()[0]
    point.locator("circle").click()
    page.wait_for_load_state()
    assert page.locator("h1").inner_text() == scan


def test_every_page_is_reached_by_keyboard(opened):
    page = opened("index.html").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = []
    for _ in PAGES:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent"))
    assert seen == [label for label, _ in PAGES]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    # the pictures' points are no stops: the table beside them has the same links
    page = opened("scans.html").page
    assert page.locator("svg a:not([tabindex='-1'])").count() == 0
    for scan in SCANS:
        assert page.locator(f"table a[href='scans/{scan}.html']").count() >= 1


def test_the_viewer_draws_the_scan(viewer):
    assert viewer.complaints == []
    assert viewer.page.locator("#viewer-state").inner_text() == ""
    pixels = viewer.pixels(".canvas")
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    grey = (np.ptp(pixels, axis=2) < 8) & (pixels[..., 0] > 60)
    assert grey.mean() > 0.1, "the brain is grey"


def _choose(viewer, way: str) -> None:
    viewer.page.locator(f"input[name=drawn][value={way}]").check()
    viewer.page.wait_for_timeout(300)


def _near(pixels: np.ndarray, colour: str, reach: int = 40) -> int:
    """Return how many pixels have about a colour."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.abs(pixels - wanted).max(axis=2) < reach).sum())


def test_lesions_are_contours_until_they_are_filled(viewer):
    contours = viewer.pixels(".canvas")
    _choose(viewer, "filled")
    filled = viewer.pixels(".canvas")
    assert _colour(filled, "blue") > 2 * _colour(contours, "blue") > 0
    _choose(viewer, "contours")
    assert (viewer.pixels(".canvas") == contours).all()


def test_right_and_wrong_voxels_have_colours_of_their_own_and_a_legend(viewer):
    legend = viewer.page.locator("#viewer-legend")
    assert legend.inner_text().split("\n") == ["true lesions", "predicted lesions, Joint Model"]
    truth, found = viewer.page.evaluate(
        "[l => l.truth, l => !l.truth].map(of => msnmoLayers.find(l => l.mask && of(l)).mask)"
        ".map(mask => mask.map(value => value > 0 ? 1 : 0)).map(mask => [...mask])"
    )
    both = np.logical_and(truth, found)
    assert both.any()
    _choose(viewer, "outcomes")
    assert legend.inner_text().split("\n")[:3] == list(OUTCOMES)
    swatches = legend.locator(".box").evaluate_all(
        "all => all.map(each => getComputedStyle(each).backgroundColor)"
    )
    wanted = [tuple(int(c[at : at + 2], 16) for at in (1, 3, 5)) for c in OUTCOMES.values()]
    assert swatches == [f"rgb({red}, {green}, {blue})" for red, green, blue in wanted]
    yellow = _near(viewer.pixels(".canvas"), OUTCOMES["true positive"], 70)
    _choose(viewer, "contours")
    assert yellow > _near(viewer.pixels(".canvas"), OUTCOMES["true positive"], 70)


def test_marks_lie_where_the_viewer_puts_their_voxels(viewer):
    """The middle of each edge of a tile is the edge of the volume, as the contours take it."""
    apart = viewer.page.evaluate(
        "msnmoViewer.screenSlices.filter(each => each.axCorSag < 3).map(each => {"
        " const [left, top, width, height] = each.leftTopWidthHeight;"
        " const at = msnmoViewer.canvasPos2frac([left + width / 4, top + height / 4]);"
        " const [across, up] = [[0, 1], [0, 2], [1, 2]][each.axCorSag];"
        " return Math.max(Math.abs(at[across] - 0.75), Math.abs(at[up] - 0.75)); })"
    )
    assert len(apart) == 3
    assert max(apart) < 0.01


def test_contrast_is_chosen_told_and_reset(viewer):
    page, told = viewer.page, viewer.page.locator("#viewer-contrast")
    opened, start = told.inner_text(), viewer.pixels(".canvas")
    page.get_by_role("button", name="bright lesions").click()
    page.wait_for_timeout(300)
    assert told.inner_text() != opened
    assert viewer.pixels(".canvas").mean() < start.mean()
    pressed = page.locator("[data-low][aria-pressed=true]")
    assert pressed.all_inner_texts() == ["bright lesions"]
    page.get_by_label("foot to head").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Reset contrast and place").click()
    page.wait_for_timeout(300)
    assert told.inner_text() == opened
    assert (viewer.pixels(".canvas") == start).all()


def test_letters_are_read_on_white_as_on_black(viewer):
    """White letters have a dark rim, at the side of each slice."""
    left, top, _, height = viewer.page.evaluate(
        "msnmoViewer.screenSlices.find(each => each.axCorSag === 0).leftTopWidthHeight"
    )
    letter = viewer.page.evaluate(
        "([x, y, w, h]) => [...document.getElementById('viewer-marks').getContext('2d')"
        ".getImageData(x, y, w, h).data]",
        [int(left), int(top + height / 2 - 12), 24, 24],
    )
    drawn = np.array(letter).reshape(-1, 4)
    opaque = drawn[drawn[:, 3] > 250, :3].mean(axis=1)
    assert (opaque > 250).sum() > 10
    assert (opaque < 5).sum() > 10


def test_paper_shows_the_picture(viewer):
    """WebGL is not printed: the scene is copied below the marks, which are."""
    marks = "document.getElementById('viewer-marks')"
    bare = f"{marks}.getContext('2d').getImageData(0, 0, 640, 300).data.filter(v => !v).length"
    before = viewer.page.evaluate(bare)
    copied = viewer.page.evaluate(
        "dispatchEvent(new Event('beforeprint')),"
        f"[...{marks}.getContext('2d').getImageData(0, 0, 640, 300).data]"
    )
    grey = np.array(copied).reshape(-1, 4)
    assert (grey[:, 3] == 255).all()
    assert ((np.ptp(grey[:, :3], axis=1) < 8) & (grey[:, 0] > 60)).mean() > 0.1, "the brain"
    viewer.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert viewer.page.evaluate(bare) > 0.9 * before > 0


def _colour(pixels: np.ndarray, kind: str) -> int:
    """Return how many pixels are bluish (true lesions) or reddish (predicted lesions)."""
    red, blue = pixels[..., 0], pixels[..., 2]
    return int(((blue - red if kind == "blue" else red - blue) > 40).sum())


def test_toggles_and_opacity_change_the_picture(viewer):
    page = viewer.page
    both = viewer.pixels(".canvas")
    page.get_by_label("predicted lesions, Joint Model", exact=True).uncheck()
    page.wait_for_timeout(300)
    truth = viewer.pixels(".canvas")
    assert _colour(truth, "blue") > 200
    page.get_by_label("true lesions", exact=True).uncheck()
    page.wait_for_timeout(300)
    neither = viewer.pixels(".canvas")
    assert _colour(neither, "blue") == 0
    assert _colour(both, "red") > _colour(neither, "red") + 200, "all but the crosshair"
    slider = page.get_by_label("Opacity of predicted lesions, Joint Model")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("End")
    page.wait_for_timeout(300)
    assert page.get_by_label("predicted lesions, Joint Model", exact=True).is_checked()
    assert _colour(viewer.pixels(".canvas"), "red") > _colour(both, "red") / 2
    page.get_by_label("localisation map (not better than chance)", exact=True).check()
    page.wait_for_timeout(1000)
    with_map = viewer.pixels(".canvas")
    assert np.abs(with_map - both).sum() > 10_000
    page.get_by_label("localisation map (not better than chance)", exact=True).uncheck()
    page.get_by_label("true lesions", exact=True).check()
    page.wait_for_timeout(300)


def test_left_is_on_the_right_and_the_front_above(viewer):
    x, y, width, height = viewer.page.evaluate(
        "msnmoViewer.screenSlices.find(each => each.axCorSag === 0).leftTopWidthHeight"
    )
    axial = viewer.pixels(".canvas")[int(y) : int(y + height), int(x) : int(x + width)]
    rows, columns = np.nonzero(axial[..., 2] - axial[..., 0] > 40)
    # the box is around the brain, so that its middle is the brain's
    brain, lesion = (AFFINE[:3] @ [*middle, 1] for middle in (BRAIN, LESION))
    assert lesion[0] < brain[0], "the lesion is left of the brain's middle"
    assert lesion[1] > brain[1], "and in front of it"
    assert columns.mean() > width / 2
    assert rows.mean() < height / 2


def test_arrows_move_as_the_picture_does(viewer):
    page = viewer.page
    place = page.locator("#viewer-place")

    def millimetres():
        sides = [part.split() for part in place.inner_text().partition(" mm")[0].split(", ")]
        return np.array([float(n) * (1 if side in "RAS" else -1) for n, side in sides])

    page.locator("#viewer").focus()
    for there, back, axis, sign in (
        ("ArrowRight", "ArrowLeft", 0, -1),
        ("ArrowUp", "ArrowDown", 1, 1),
        ("PageUp", "PageDown", 2, 1),
    ):
        before = millimetres()
        page.keyboard.press(there)
        page.wait_for_timeout(200)
        assert sign * (millimetres() - before)[axis] > 0.9, there
        page.keyboard.press(back)
        page.wait_for_timeout(200)
        assert (millimetres() == before).all(), back


def test_slices_move_by_sliders(viewer):
    page = viewer.page
    place = page.locator("#viewer-place")
    start = place.inner_text()
    assert "true lesions: yes" in start, "it starts in the lesion"
    page.get_by_label("foot to head").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert place.inner_text() != start
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(200)
    assert place.inner_text() == start


def test_a_click_on_a_lesion_s_row_goes_to_the_lesion(browser, tmp_path):
    """Its middle may lie outside of it: then to its voxel nearest there."""
    mask = np.zeros(GRID.shape, bool)
    mask[10:13, 10:13, 5] = True
    mask[30:35, 30, 15] = mask[30, 30:35, 15] = True  # an angle
    generator = np.random.default_rng(0)
    layers = [
        Layer("scan", "scan", "image", Volume(generator.normal(9, 1, GRID.shape), GRID)),
        Layer("mask", "lesions found", "mask", Volume(mask, GRID)),
    ]
    middles = [(11.0, 11.0, 5.0), (31.5, 31.5, 15.0)]
    places = [tuple((GRID.affine[:3] @ [*middle, 1]).tolist()) for middle in middles]
    cells = [Cell(str(n), n, place=place) for n, place in enumerate(places, start=1)]
    table = pd.DataFrame({"lesion": cells, "volume, ml": [0.1, 0.2]})
    write_assets(tmp_path)
    page, _ = write_scan_page(tmp_path, "a", "a", layers, [], [("Lesions", table)])
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = Opened(context, page)
    opened.wait_for_viewer()
    place = opened.page.locator("#viewer-place")
    assert opened.page.locator("input[name=drawn]").count() == 2, "nothing to compare with"
    for row, wanted in enumerate(places):
        opened.page.locator("tbody tr").nth(row).locator("td").click()
        opened.page.wait_for_timeout(200)
        assert "lesions found: yes" in place.inner_text()
        sides = [part.split() for part in place.inner_text().partition(" mm")[0].split(", ")]
        at = np.array([float(n) * (1 if side in "RAS" else -1) for n, side in sides])
        assert np.linalg.norm(at - wanted) < 6, "within two voxels"
    second = place.inner_text()
    opened.page.locator("button[data-mm]").first.focus()
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_timeout(200)
    assert place.inner_text() != second
    assert "lesions found: yes" in place.inner_text()
    assert opened.complaints == []
    context.close()


def test_a_click_on_a_row_goes_to_a_lesion_of_a_mask_that_is_not_shown(browser, tmp_path):
    new, stable = np.zeros((2, *GRID.shape), bool)
    new[10:13, 10:13, 5] = True
    stable[30:33, 30:33, 15] = True
    generator = np.random.default_rng(0)
    layers = [
        Layer("scan", "scan", "image", Volume(generator.normal(9, 1, GRID.shape), GRID)),
        Layer("new", "new", "mask", Volume(new, GRID)),
        Layer("stable", "stable", "mask", Volume(stable, GRID), visible=False),
    ]
    wanted = GRID.affine[:3] @ [31.0, 31.0, 15.0, 1.0]
    table = pd.DataFrame({"row": [Cell("1", 1.0, place=tuple(wanted.tolist()))], "ml": [0.1]})
    write_assets(tmp_path)
    page, _ = write_scan_page(tmp_path, "a", "a", layers, [], [("Lesions", table)])
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = Opened(context, page)
    opened.wait_for_viewer()
    place = opened.page.locator("#viewer-place")
    assert "new: yes" in place.inner_text(), "it starts at what is shown"
    opened.page.locator("tbody tr td").first.click()
    opened.page.wait_for_timeout(200)
    sides = [part.split() for part in place.inner_text().partition(" mm")[0].split(", ")]
    at = np.array([float(n) * (1 if side in "RAS" else -1) for n, side in sides])
    assert np.linalg.norm(at - wanted) < 6, "within two voxels"
    assert "new: no" in place.inner_text()
    assert opened.complaints == []
    context.close()


def test_the_wheel_scrolls_the_page_until_the_picture_is_clicked(viewer):
    page, place = viewer.page, viewer.page.locator("#viewer-place")
    page.locator("h1").click()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    start = place.inner_text()
    page.mouse.move(300, 300)
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 0")
    assert place.inner_text() == start
    page.evaluate("scrollTo(0, 0)")
    page.locator("#viewer").focus()
    page.mouse.wheel(0, 100)
    page.wait_for_function(
        "before => document.getElementById('viewer-place').innerText !== before", arg=start
    )
    assert page.evaluate("scrollY") == 0


def test_the_viewer_fits_a_phone(opened):
    phone = opened(f"scans/{SCAN}.html", 390)
    phone.wait_for_viewer()
    assert phone.complaints == []
    assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert len(np.unique(phone.pixels(".canvas").reshape(-1, 3), axis=0)) > 100


def test_a_scan_without_masks_is_shown(opened):
    bare = opened("scans/sub-X1.html")
    bare.wait_for_viewer()
    assert bare.complaints == []
    assert len(np.unique(bare.pixels(".canvas").reshape(-1, 3), axis=0)) > 50


def test_without_webgl_the_page_says_so(opened, site):
    page = opened("index.html").page
    page.add_init_script(
        "const known = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...others) {"
        " return kind === 'webgl2' ? null : known.call(this, kind, ...others); };"
    )
    page.goto((site / f"scans/{SCAN}.html").resolve().as_uri())
    assert "no WebGL2" in page.locator("#viewer-state").inner_text()
    assert not page.locator("#viewer").is_visible()
    assert page.locator("table").first.is_visible()


def test_without_javascript_the_numbers_are_there(opened):
    page = opened(f"scans/{SCAN}.html", java_script_enabled=False).page
    assert "needs JavaScript" in page.locator("noscript").inner_text()
    assert page.locator("table").first.is_visible()
