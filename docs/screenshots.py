"""Make the screenshots of docs/screenshots.md from a finished demo: `make screenshots`.

It needs Chromium, found as `chromium` on the PATH or by CHROMIUM. It is run by hand, as pictures
are not the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

WIDTH, HEIGHT = 1280, 860
PATIENCE = 120_000
"""Milliseconds: a loaded machine is slow, not wrong."""
# WebGL2 on the processor; and nothing that a browser does of its own accord
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
]
SAID = "simulated"
"""What each picture must say of its scans."""


def _viewer(page: Page) -> None:
    page.wait_for_function("window.msnmoViewer")
    page.wait_for_timeout(1500)


def _nothing(page: Page) -> None:
    page.wait_for_timeout(300)


@dataclass(frozen=True)
class Shot:
    """One picture.

    Parameters
    ----------
    name : str
        Of its file.
    page : str
        In the folder of the demo, such as ``results/report/index.html``.
    prepare : callable
        What is done with the page before.
    height : int
        Of the window.
    """

    name: str
    page: str
    prepare: Callable[[Page], None] = _nothing
    height: int = HEIGHT


SHOTS = (
    Shot("overview", "results/report/index.html", height=1250),
    Shot("tables", "results/report/tables.html"),
    Shot("scans", "results/report/scans.html"),
    Shot("scan", "results/report/scans/sub-MS01_ses-1.html", _viewer, 1100),
    Shot("quality", "results/quality/index.html", height=1000),
)


def take(browser: Browser, demo: Path, shot: Shot) -> bytes:
    """Return the PNG of a page.

    Raises
    ------
    SystemExit
        If the page is missing, or says nowhere in the picture that the scans are simulated.
    """
    path = demo / shot.page
    if not path.is_file():
        sys.exit(f"{path}: no such page: run `make demo` first, or name its folder by --demo")
    page = browser.new_page(viewport={"width": WIDTH, "height": shot.height})
    page.set_default_timeout(PATIENCE)
    page.goto(path.resolve().as_uri())
    shot.prepare(page)
    said = page.get_by_text(SAID).first.bounding_box()
    if said is None or said["y"] + said["height"] > shot.height:
        sys.exit(f"{path}: the picture does not say that the scans are {SAID}")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.close()
    small = io.BytesIO()
    picture.save(small, "PNG", optimize=True)
    return small.getvalue()


def main() -> None:
    """Write every picture."""
    parser = argparse.ArgumentParser(
        prog="python docs/screenshots.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--demo", type=Path, required=True, help="folder of the finished demo")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    given = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("no Chromium: install it, or set CHROMIUM")
    given.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for shot in SHOTS:
            content = take(browser, given.demo, shot)
            (given.out / f"{shot.name}.png").write_bytes(content)
            print(f"{shot.name}.png: {len(content) / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
