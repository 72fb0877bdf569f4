"""Where the starter lies: the bundle that ships with the package, trained on simulated scans."""

from __future__ import annotations

from pathlib import Path

from msnmo.core.paths import expand, path_argument

NAME = "starter"
"""What it is called where a path of a bundle is asked for."""
SHIPPED = Path(__file__).parents[1] / "bundle" / "starter"
"""Its folder."""


def bundle_of_config(text: str) -> str:
    """Return the path that a key of the config means: of the starter, of a path, or nothing."""
    return str(SHIPPED) if text == NAME else expand(text) if text else ""


def bundle_argument(text: str) -> Path:
    """Return a bundle's path on a command line, ``starter`` being the one that ships."""
    return SHIPPED if text == NAME else path_argument(text)


def or_the_shipped(path: Path) -> str:
    """Return the end of a remedy: how the shipped one is named, where a folder has its name."""
    return f", or write {NAME} alone for the one that ships" if path.name == NAME else ""
