"""The files that a site's pages load: style, scripts, the viewer's library and its licences."""

from importlib import resources
from pathlib import Path

from msnmo.core.files import atomic_path

FOLDER = resources.files(__package__)
NAMES = ("report.css", "report.js", "viewer.js", "niivue.umd.js", "niivue-LICENSES.txt")


def write_assets(site: Path) -> list[Path]:
    """Write all files that a site's pages load, including the licences, to ``site/assets``."""
    written = []
    for name in NAMES:
        path = site / "assets" / name
        with atomic_path(path) as temporary:
            temporary.write_bytes(FOLDER.joinpath(name).read_bytes())
        written.append(path)
    return written
