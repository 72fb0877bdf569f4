"""What makes a folder a BIDS derivative: its description, and what holds of all its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msnmo.core.files import write_json, write_text
from msnmo.core.provenance import versions

DESCRIPTION = "dataset_description.json"
"""What every BIDS dataset has, raw or derivative, in its top folder."""
IGNORE = ".bidsignore"
BIDS_VERSION = "1.10.0"
ORIG = "orig"
"""BIDS's word for the grid of the scan as it arrived."""


def describe_derivative(
    folder: Path,
    name: str,
    sidecars: Mapping[str, Mapping[str, Any]],
    ignored: Iterable[str] = (),
    **more: str,
) -> None:
    """Write the description of a BIDS derivative.

    Parameters
    ----------
    folder : Path
        That holds sub-*.
    name : str
        Of the dataset.
    sidecars : mapping of str to mapping
        By the end of a file's name, such as ``desc-brain_mask``: what holds of all files whose
        names end so. BIDS takes it from the top folder. Of each there must be a file.
    ignored : iterable of str
        Patterns of files that BIDS does not know.
    **more
        Further keys of the description.
    """
    content = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "msnmo", "Version": versions()["msnmo"]}],
        **more,
    }
    for ending, told in sidecars.items():
        write_json(folder / f"{ending}.json", dict(told))
    if lines := list(ignored):
        write_text(folder / IGNORE, "\n".join([*lines, ""]))
    write_json(folder / DESCRIPTION, content)
