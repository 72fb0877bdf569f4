"""Parts of msnmo that need more packages than its core: the extras of pyproject.toml."""

from __future__ import annotations

from importlib.util import find_spec

from msnmo.core.errors import MsnmoError

EXTRAS = {"bids": ("bids",), "dicom": ("highdicom", "pydicom"), "locations": ("nilearn",)}
"""What of each extra we import. Engines of skull stripping say themselves what they lack."""


def require_extra(extra: str, command: str) -> None:
    """Stop a command before it does any work if its extra is not installed.

    Parameters
    ----------
    extra : str
        A key of `EXTRAS`.
    command : str
        What the user asked for, as it is called in our documentation.

    Raises
    ------
    MsnmoError
        Naming the command, the extra and the line that installs it.
    """
    missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if missing:
        raise MsnmoError(
            f"{command} needs the extra {extra}: pip install 'msnmo[{extra}]'"
            f" (missing: {', '.join(missing)})"
        )
