"""The figures as a page shows them, and the losses that the training curves end with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from msnmo.core.errors import bad_input
from msnmo.core.files import read_tsv
from msnmo.figures.catalogue import FIGURES
from msnmo.figures.training_curves import HISTORY_COLUMNS, LOSSES
from msnmo.settings.methods import get_method
from msnmo.viewing.pages import Table, table_of

PNG = b"\x89PNG\r\n\x1a\n"
OTHERS = {
    "pathway": "One scan's way through the workflow",
    "robustness": "DSC and class flips of perturbed scans",
}
"""The titles of figures that the catalogue lacks."""


def shown_figures(paths: Sequence[Path]) -> list[dict[str, object]]:
    """Return what the page says of each figure: name, title, size in pixels, whether SVG is there.

    Raises
    ------
    InputError
        Naming the file, if one is no PNG.
    """
    names = {path.name for path in paths}
    figures = []
    for path in paths:
        if path.suffix == ".png":
            width, height = _size(path)
            figures.append(
                {
                    "name": path.stem,
                    "title": _title(path.stem),
                    "width": width,
                    "height": height,
                    "vector": f"{path.stem}.svg" in names,
                }
            )
    return figures


def _title(name: str) -> str:
    title = FIGURES[name].title if name in FIGURES else OTHERS[name]
    number = name.removeprefix("figure-")
    return f"Figure {number}. {title}" if number != name else title


def _size(path: Path) -> tuple[int, int]:
    """Return a PNG's width and height, so that a page does not move while it loads."""
    head = path.read_bytes()[:24]
    if not head.startswith(PNG) or len(head) < 24:
        raise bad_input(path, "a PNG", "another file", "delete it and run the workflow again")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def losses_of(pattern: str, methods: Sequence[str], folds: Sequence[int]) -> Table:
    """Return each training's losses of its last epoch."""
    rows = []
    for method in methods:
        for fold in folds:
            path = Path(pattern.format(method=method, fold=fold))
            last = read_tsv(path, HISTORY_COLUMNS).iloc[-1]
            rows.append(
                {
                    "method": get_method(method).label,
                    "fold": fold,
                    "epochs": int(last["epoch"]),
                    **{name: float(last[name]) for name in ("total", *LOSSES)},
                    "learning rate": float(last["lr"]),
                }
            )
    return table_of("Losses of the last epoch", pd.DataFrame(rows))
