"""Jinja's environment, one for all rooms that have templates."""

from __future__ import annotations

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from msnmo.core.cells import show_directions


def _shown(value: Any) -> Any:
    return show_directions(value) if isinstance(value, str) else value


def templates(*packages: str, **settings: Any) -> Environment:
    """Return the environment of the templates of some packages.

    Text is escaped in templates whose name ends in ``html.jinja``. In all templates, characters
    that would change the direction of text are named. A name that a template uses and nobody gives
    is an error.

    Parameters
    ----------
    *packages : str
        Such as ``msnmo.tables``. A template is taken from the first package that has it.
    **settings
        Further settings of Jinja's environment.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, "") for package in packages]),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        **settings,
    )
