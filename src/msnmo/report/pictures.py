"""The figures as a page shows them, and the losses that the training curves end with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from msnmo.core.errors import bad_input
from msnmo.core.files import read_tsv
from msnmo.figures.catalogue import FIGURES, left_out_twins
from msnmo.figures.training_curves import HISTORY_COLUMNS, LOSSES
from msnmo.settings.methods import get_method
from msnmo.viewing.pages import Table, table_of

PNG = b"\x89PNG\r\n\x1a\n"
OTHERS = {
    "pathway": "One scan's way through the workflow",
    "robustness": "DSC and class flips of perturbed scans",
}
"""The titles of figures that the catalogue lacks."""
SEEN = {
    "pathway": "Six axial slices of one scan: as it arrived with its brain mask, skull-stripped, "
    "in model space with annotated lesions, lesion probability, map of the class, and both masks "
    "on the scan's own grid",
    "robustness": "A panel for each perturbation, with values against its severity",
}
"""What is seen in them."""
DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


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
            vector = f"{path.stem}.svg" in names
            figures.append(
                {
                    "name": path.stem,
                    "title": _title(path.stem),
                    "seen": FIGURES[path.stem].seen if path.stem in FIGURES else SEEN[path.stem],
                    "caption": _caption(path.with_suffix(".svg")) if vector else "",
                    "width": width,
                    "height": height,
                    "vector": vector,
                }
            )
    return figures


def twins_note(methods: Sequence[str]) -> list[str]:
    """Return a sentence for each figure that is left out, as another shows the same."""
    return [
        f"{_title(name)}: left out, as with these methods it would be the same as "
        f"{_title(twin).partition('.')[0]}."
        for name, twin in left_out_twins(methods).items()
    ]


def _caption(path: Path) -> str:
    """Return what is written below a figure, which its SVG keeps; empty if it keeps nothing."""
    try:
        for _, element in ElementTree.iterparse(path):  # noqa: S314 - our own
            if element.tag == DESCRIPTION:
                return element.text or ""
    except ElementTree.ParseError as error:
        remedy = "delete it and run the workflow again"
        raise bad_input(path, "an SVG", str(error), remedy) from error
    return ""


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
