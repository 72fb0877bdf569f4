"""Jinja's environment, one for all rooms that have templates."""

from __future__ import annotations

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape


def templates(*rooms: str, **settings: Any) -> Environment:
    """Return the environment of the templates of some rooms.

    Text is escaped in templates whose name ends in ``html.jinja``. A name that a template uses and
    nobody gives is an error.

    Parameters
    ----------
    *rooms : str
        Packages of msnmo, such as ``tables``; the first that has a template gives it.
    **settings
        Of Jinja's environment, beside those of the house.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(f"msnmo.{room}", "") for room in rooms]),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **settings,
    )
