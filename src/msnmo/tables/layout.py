"""The list of tables: number, caption, rows and columns.

Rows and columns are those of the paper (`reported`), then those of any other method of the registry
that names the table. So a method becomes a row by its entry in `msnmo.settings.methods`. The
workflow reads this list at every start, so nothing slow is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msnmo.evaluate.metrics import SUPPLEMENT, TABLE_METRICS, VARIANTS, is_row
from msnmo.settings.methods import JOINT, METHODS, Method
from msnmo.tables.reported import read_reported

WITH_SITE_ALONE = ("4", "6")
"""The tables with a row for the site alone."""
DESCRIBED = ("1", "2")
"""The tables of the cohort itself, which need no method."""
CAPTIONS = {
    "3": "Comparative experimental results of the lesion segmentation method",
    "4": "Comparative experimental results of lesion classification method",
    "5": "The influence of the joint learning strategy on segmentation task",
    "6": "The influence of the joint learning strategy on classification task",
    "7": "The influence of the information-sharing module",
    "8": "The effect of the LGM on classification performance",
    "9": "The effect of cross-task loss function",
    SUPPLEMENT: "Lesions, distances and volumes of every method that segments",
    VARIANTS: "The joint model with changed choices",
}
"""The tables of results, in order: the paper's captions, and ours."""
MAPS = "S2"
"""The table of localisation maps. Its rows are maps, not only methods."""
MAPS_CAPTION = "Localisation of lesions by class evidence"
SITES = "S3"
"""The table whose rows are the sites of each method."""
SITES_CAPTION = "Every metric by site"
LESIONS = "S5"
"""The table of lesions by size and load, whose panels are kinds of lesions and scans."""
LESIONS_CAPTION = "Lesions by size, scans by load, and agreement of raters"
SHORTCUTS = "S6"
"""The table of classifiers with filled lesions. Its columns are not only metrics."""
SHORTCUTS_CAPTION = "Classification without lesions"
TOLD_OF_SHORTCUTS = "4"
"""The paper's table of classifiers. Its notes name those that tell classes without lesions."""
ROBUSTNESS = "S7"
"""The table of perturbed scans, whose panels are perturbations."""
ROBUSTNESS_CAPTION = "Robustness to perturbed scans"
TABLES = (*DESCRIBED, *CAPTIONS, MAPS, SITES, LESIONS, SHORTCUTS, ROBUSTNESS)
"""Every table by its number."""

ROW_HEADINGS = {"8": "Interactive mode"}
"""The paper's heading of the first column, if it is not "Method"."""


@dataclass(frozen=True)
class MethodRow:
    """One row of a table.

    Parameters
    ----------
    label : str
        As in the paper.
    method : str or None
        Its name in the registry; None where the registry has no such method.
    reported : mapping of str to float
        Percent by metric, as the paper reports it; empty for a method of ours.
    """

    label: str
    method: str | None
    reported: Mapping[str, float]


@dataclass(frozen=True)
class Layout:
    """One table of results.

    Parameters
    ----------
    number : str
    caption : str
    heading : str
        Of the first column.
    metrics : tuple of str
        Its other columns.
    rows : tuple of MethodRow
    """

    number: str
    caption: str
    heading: str
    metrics: tuple[str, ...]
    rows: tuple[MethodRow, ...]


def lay_out(methods: Mapping[str, Method] = METHODS) -> dict[str, Layout]:
    """Return every table of results by its number.

    Parameters
    ----------
    methods : mapping of str to Method
        The registry.
    """
    reported = {str(number): rows for number, rows in read_reported().items()}
    return {
        number: Layout(
            *(number, caption, ROW_HEADINGS.get(number, "Method"), TABLE_METRICS[number]),
            tuple(_rows(number, methods, reported.get(number, {}))),
        )
        for number, caption in CAPTIONS.items()
    }


def _rows(
    number: str, methods: Mapping[str, Method], reported: Mapping[str, Mapping[str, float]]
) -> Iterator[MethodRow]:
    """Yield the paper's rows in its order, then ours that it lacks."""
    ours = {each.label: each.name for each in methods.values() if is_row(each, number)}
    for label in dict.fromkeys([*reported, *ours]):
        yield MethodRow(label, ours.get(label), reported.get(label, {}))


def methods_of(table: str, chosen: Sequence[str]) -> list[str]:
    """Return those of the chosen methods that a table shows, in the order they were chosen.

    Parameters
    ----------
    table : str
        One of `TABLES`. Tables of the cohort show none. The supplement and the table of lesions
        show all that segment, the table of maps all with maps, those of sites and of perturbed
        scans all, and that of shortcuts all that classify.
    chosen : sequence of str
        Names of methods.
    """
    if table in DESCRIBED:
        return []
    if table == MAPS:
        return [name for name in chosen if METHODS[name].has_maps]
    if table in (SITES, ROBUSTNESS):
        return list(chosen)
    if table == LESIONS:
        return methods_of(SUPPLEMENT, chosen)
    if table == SHORTCUTS:
        return [name for name in chosen if "classification" in METHODS[name].tasks]
    shown = [name for name in chosen if is_row(METHODS[name], table)]
    # the joint model on its own is no comparison
    return [] if table == VARIANTS and shown == [JOINT] else shown
