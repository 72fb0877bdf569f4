"""What a command calls itself: `msnmo apply`, or `python -m msnmo.apply` where it was called so."""

from __future__ import annotations

CALLED: dict[str, str] = {}
"""The words by which the user called a module, where they were not its own name."""


def program(module: str) -> str:
    """Return what a module's help calls the command.

    Parameters
    ----------
    module : str
        Dotted name, such as ``msnmo.apply``.
    """
    return CALLED.get(module, f"python -m {module}")
