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
        The folder that holds sub-*.
    name : str
        Name of the dataset.
    sidecars : mapping of str to mapping
        Metadata of all files whose names have one ending, such as ``desc-brain_mask``. BIDS reads
        it from the top folder. There must be a file with each ending.
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
