"""How Sphinx builds this site: `make docs`. Nothing here needs a network."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402

project = "msnmo"
author = "The msnmo developers"
copyright = "The msnmo developers, Apache-2.0"  # noqa: A001 - the name is Sphinx's
release = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"msnmo {release}"
html_show_sphinx = False
html_copy_source = False

linkcheck_timeout = 30
linkcheck_retries = 2
# DOIs lead to publishers that turn programs away
linkcheck_allowed_redirects = {r"https://doi\.org/.*": r".*"}


def setup(app):
    """Write the pages that are made at build time, before Sphinx looks for pages."""
    app.connect("config-inited", lambda *_: generate.write_built_pages(HERE))
