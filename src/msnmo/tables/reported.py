"""The numbers that the paper reports in its Tables 3 to 9.

``reported_results.csv`` beside this module was taken from the tables of

    Huang L, Shao Y, Yang H, Guo C, Wang Y, Zhao Z, Gong Y (2024). A joint model for lesion
    segmentation and classification of MS and NMOSD. Front. Neurosci. 18:1351387.
    doi:10.3389/fnins.2024.1351387

Copyright 2024 the authors, distributed under the Creative Commons Attribution licence (CC BY 4.0,
https://creativecommons.org/licenses/by/4.0/). Changed: brought into one long table (table, method
as labelled there, metric, percent). Values are the paper's, unaltered; it states no spread. Where
its abstract gives an ACC of 92.36 %, every table gives 92.16 %, and the tables count.
"""

from __future__ import annotations

import csv
from importlib import resources

CITATION = (
    "Huang et al. 2024, Front. Neurosci. 18:1351387, doi:10.3389/fnins.2024.1351387 (CC BY 4.0)"
)


def read_reported() -> dict[int, dict[str, dict[str, float]]]:
    """Return the reported percentages by table, row label and metric, in the paper's order."""
    text = resources.files(__package__).joinpath("reported_results.csv").read_text("utf-8")
    tables: dict[int, dict[str, dict[str, float]]] = {}
    for record in csv.DictReader(text.splitlines()):
        rows = tables.setdefault(int(record["table"]), {})
        rows.setdefault(record["method"], {})[record["metric"]] = float(record["percent"])
    return tables
