"""The quality page in a real browser: what a rater does is kept, through reload and restart."""

import os
import shutil
import threading

import pytest

from msnmo.cohort.decisions import read_decisions
from msnmo.quality.rating import Rating
from msnmo.quality.server import Server

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
PATIENCE = 60_000
"""Milliseconds: a loaded machine is slow, not wrong."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it or set CHROMIUM"),
]


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """A function that opens an address in a browser that remembers; with all it complains of."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)

    def open_address(address):
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_address
    context.close()


def count(page, words):
    """Wait for what the page counts."""
    expect(page.locator("#count")).to_have_text(words)


def said(page, words):
    """Wait for what the page says."""
    expect(page.locator("#state")).to_contain_text(words)


def card(page, scan):
    return page.locator(f"article[data-scan='{scan}']")


def focused(page):
    return page.evaluate("document.activeElement.closest('article')?.dataset.scan ?? null")


def rows(server):
    return read_decisions(server.rating.decisions).set_index("scan")


def test_what_was_decided_survives_reload_and_restart(server, open_page):
    page = open_page(server.address)
    count(page, "0 of 3 decided, 0 excluded.")
    assert page.url.endswith(f":{server.server_address[1]}{server.folder}"), "no secret in it"
    page.get_by_label("Your name").fill("Ann")
    page.keyboard.press("Tab")
    one, two = card(page, "sub-1"), card(page, "sub-2")
    one.get_by_label("motion").check()
    said(page, "Choose a grade")
    one.get_by_label("poor", exact=True).check()
    said(page, "Saved.")
    two.get_by_label("Reason or note on sub-2").fill("wrapped")
    two.get_by_label("exclude", exact=True).check()
    count(page, "2 of 3 decided, 1 excluded.")
    said(page, "Saved.")
    page.get_by_role("button", name="excluded").click()
    two.get_by_label("wrap-around").check()
    said(page, "Saved.")
    assert rows(server)[
        ["decision", "grade", "artefacts", "reason", "rater"]
    ].to_numpy().tolist() == [
        ["keep", "poor", "motion", "", "Ann"],
        ["exclude", "exclude", "wrap-around", "wrapped", "Ann"],
    ]

    def check(page):
        count(page, "2 of 3 decided, 1 excluded.")
        assert card(page, "sub-1").get_by_label("motion").is_checked()
        assert card(page, "sub-1").get_by_label("poor", exact=True).is_checked()
        assert (
            card(page, "sub-2").get_by_label("Reason or note on sub-2").input_value() == "wrapped"
        )
        assert card(page, "sub-2").locator(".told").inner_text().startswith("Decided by Ann, 20")
        assert page.get_by_label("Your name").input_value() == "Ann"
        assert page.get_by_role("button", name="excluded").get_attribute("aria-pressed") == "true"
        assert not card(page, "sub-1").is_visible()
        assert focused(page) == "sub-2"
        assert page.complaints == []

    page.reload()
    check(page)
    page.close()
    # as after Ctrl-C and a start: another secret, the same port and so the same browser's memory
    port = server.server_address[1]
    server.shutdown()
    server.server_close()
    again = Server(port, Rating(server.rating.page, server.rating.decisions))
    thread = threading.Thread(target=again.serve_forever, args=[0.05])
    thread.start()
    try:
        check(open_page(again.address))
    finally:
        again.shutdown()
        thread.join()
        again.server_close()


def test_all_is_done_by_keys(server, open_page):
    page = open_page(server.address)
    count(page, "0 of 3 decided, 0 excluded.")
    for key, scan in (("j", "sub-1"), ("j", "sub-2"), ("k", "sub-1"), ("k", "sub-1")):
        page.keyboard.press(key)
        assert focused(page) == scan
    for key, grade in (
        ("1", "exclude"),
        ("2", "poor"),
        ("3", "fair"),
        ("4", "good"),
        ("e", "exclude"),
    ):
        page.keyboard.press(key)
        said(page, "Saved.")
        assert rows(server).loc["sub-1", "grade"] == grade
    page.keyboard.press("w")
    said(page, "Saved.")
    assert rows(server).loc["sub-1", ["decision", "grade"]].tolist() == ["keep", ""]
    page.keyboard.press("c")
    count(page, "0 of 3 decided, 0 excluded.")
    said(page, "Saved.")
    assert rows(server).empty
    # what is typed as a note is no command
    card(page, "sub-1").get_by_label("Reason or note on sub-1").focus()
    page.keyboard.type("jewel 4")
    assert card(page, "sub-1").get_by_label("Reason or note on sub-1").input_value() == "jewel 4"
    assert not card(page, "sub-1").locator("input[type=radio]:checked").count()


def test_a_decided_scan_stays_until_it_is_left(server, open_page):
    page = open_page(server.address)
    count(page, "0 of 3 decided, 0 excluded.")
    page.get_by_role("button", name="undecided").click()
    page.keyboard.press("j")
    page.keyboard.press("4")
    count(page, "1 of 3 decided, 0 excluded.")
    assert card(page, "sub-1").is_visible()
    page.keyboard.press("j")
    assert focused(page) == "sub-2"
    assert not card(page, "sub-1").is_visible()


def test_an_error_is_shown_and_tried_again(server, open_page):
    page = open_page(server.address)
    count(page, "0 of 3 decided, 0 excluded.")
    table = server.rating.decisions
    table.mkdir(parents=True)
    card(page, "sub-1").get_by_label("good", exact=True).check()
    said(page, "NOT SAVED: ")
    assert "as it was before" in page.locator("#state").inner_text()
    assert card(page, "sub-1").locator(".told").inner_text().startswith("Not saved: ")
    card(page, "sub-2").get_by_label("good", exact=True).check()
    expect(page.locator(".told.failed")).to_have_count(2)
    table.rmdir()
    page.get_by_role("button", name="Try again to save").click()
    expect(page.locator(".failed:visible")).to_have_count(0)
    assert rows(server)["grade"].tolist() == ["good", "good"]
    assert not page.get_by_role("button", name="Try again to save").is_visible()


def test_an_exclusion_of_a_run_before_is_taken_back(make_page, open_page, tmp_path):
    table = "scan\tdecision\treason\nsub-7\texclude\told\nsub-8\texclude\tn/a\n"
    page_path, path = make_page(table), tmp_path / "decisions.tsv"
    server = Server(0, Rating(page_path, path))
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        page = open_page(server.address)
        page.get_by_role("button", name="Take back the decision on sub-7").click()
        said(page, "The decision on sub-7 is removed")
        assert read_decisions(path)["scan"].tolist() == ["sub-8"]
        page.reload()
        expect(page.locator(".other")).to_have_count(1)
        assert page.complaints == []
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_page_that_cannot_read_the_table_takes_no_decision(server, open_page):
    table = server.rating.decisions
    table.parent.mkdir()
    table.write_text("a\tb\n")
    page = open_page(server.address)
    said(page, "Earlier decisions cannot be read")
    assert page.locator("input:enabled").count() == 0


def test_from_disk_decisions_stay_in_the_browser_and_are_downloaded(make_page, open_page, tmp_path):
    path = make_page("scan\tdecision\treason\nsub-1\texclude\told\nsub-7\tkeep\tn/a\n")
    page = open_page(path.as_uri())
    count(page, "1 of 3 decided, 1 excluded.")
    card(page, "sub-1").get_by_role("button", name="Clear the decision on sub-1").click()
    card(page, "sub-3").get_by_label("fair", exact=True).check()
    card(page, "sub-3").get_by_label("noise").check()
    card(page, "sub-3").get_by_label("Reason or note on sub-3").fill('a "b"')
    page.reload()
    count(page, "1 of 3 decided, 0 excluded.")
    assert card(page, "sub-3").get_by_label("noise").is_checked()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download decisions.tsv").click()
    download.value.save_as(tmp_path / "downloaded.tsv")
    table = read_decisions(tmp_path / "downloaded.tsv")
    assert table[["scan", "decision", "grade", "artefacts"]].to_numpy().tolist() == [
        ["sub-3", "keep", "fair", "noise"],
        ["sub-7", "keep", "", ""],
    ]
    assert page.complaints == []


def test_labels_are_names_and_nothing_is_wider_than_a_phone(server, open_page):
    page = open_page(server.address)
    page.set_viewport_size({"width": 390, "height": 800})
    count(page, "0 of 3 decided, 0 excluded.")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    names = page.evaluate(
        "[...document.querySelectorAll('input')].map(each => each.labels[0]?.innerText.trim())"
    )
    assert all(names)
    for role, name in (
        ("group", "Grade of sub-1"),
        ("group", "Artefacts of sub-1"),
        ("article", "sub-1"),
    ):
        assert page.get_by_role(role, name=name, exact=True).count() == 1
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == (
        page.locator("[id]").count()
    )
