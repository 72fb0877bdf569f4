"""Table S6: whether classifiers tell classes without lesions; and the note on it for Table 4."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.cohort.balance import Split
from msnmo.core.errors import bad_input
from msnmo.core.files import MAKE_AGAIN, read_tsv
from msnmo.core.numbers import fixed
from msnmo.evaluate.metrics import NOT_APPLICABLE
from msnmo.evaluate.statistics.shortcuts import (
    COLUMNS,
    DIFFERENCE,
    EVALUATED,
    FEATURES,
    FILLED,
    NUMBERS,
)
from msnmo.evaluate.verdict import CHANCE
from msnmo.settings.methods import get_method
from msnmo.tables.content import SEEDS
from msnmo.tables.layout import SHORTCUTS, SHORTCUTS_CAPTION
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text

SHOWN = {
    EVALUATED: "AUC (%)",
    FILLED: "lesions filled (%)",
    DIFFERENCE: "difference",
}
"""Headings of the kinds of AUC. The features' AUC is in the column without lesions."""
VERDICT = "above chance without lesions"
FEATURES_LABEL = "Image features"
COUNTS = (*("n_folds", "n_undefined_folds", "n_seeds", "n_scans", "n_without_mask", "n_subjects"),)
TYPES = {
    **dict.fromkeys(COLUMNS, str),
    **dict.fromkeys((*NUMBERS, "confidence"), float),
    **dict.fromkeys(COUNTS, int),
}
EXPLAINED = (
    "Lesions filled: the same networks on the same scans, with the lesions and a rim of one "
    "voxel filled from their surroundings.",
    "Image features: a logistic regression on intensities, sharpness and voxel size of brain "
    "outside lesions, with the same folds.",
    "An AUC above 50 % without lesions can come from scanner or site, from lesions that the masks "
    "lack, from atrophy, or from the filling itself.",
)


def read_judged(paths: Sequence[Path]) -> pd.DataFrame:
    """Return one table of all methods, a row per method and what its AUC is of.

    Parameters
    ----------
    paths : sequence of Path
        As written by `msnmo.evaluate.statistics.shortcuts`, one per method, in the wanted order.

    Returns
    -------
    DataFrame
        Columns table, label, then those of the files; the features' row once, last.

    Raises
    ------
    InputError
        If a file cannot be read, or if the features' row differs between files, which means that
        the methods were tested on other scans.
    """
    tables = {path: read_tsv(path, TYPES)[list(COLUMNS)] for path in paths}
    first, *others = tables
    common = {path: _of_features(table) for path, table in tables.items()}
    for path in others:
        # sums may differ in the last digit between processors
        if not common[path].round(9).equals(common[first].round(9)):
            expected = f"the image features of {first}: the same test scans"
            raise bad_input(path, expected, "others", MAKE_AGAIN)
    own = [table[table["images"] != FEATURES] for table in tables.values()]
    table = pd.concat([*own, common[first]], ignore_index=True)
    table.insert(0, "table", SHORTCUTS)
    labels = [
        FEATURES_LABEL if row.images == FEATURES else get_method(str(row.method)).label
        for row in table.itertuples()
    ]
    table.insert(1, "label", labels)
    return table


def _of_features(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["images"] == FEATURES]
    return rows.assign(method=None).reset_index(drop=True)


def page_of_shortcuts(table: pd.DataFrame, split: Split) -> Page:
    """Return Table S6 as its readers see it.

    Parameters
    ----------
    table : DataFrame
        As `read_judged` returns.
    split : {"grouped", "site", "random"}
        How folds were made.
    """
    blocks = tuple(
        Block(str(label), tuple(_lines({row.images: row for row in part.itertuples()})))
        for label, part in table.groupby("label", sort=False)
    )
    return Page(
        SHORTCUTS,
        SHORTCUTS_CAPTION,
        "Method",
        "Value",
        (Panel("Classification", (*SHOWN.values(), VERDICT), blocks),),
        tuple(_notes(table, split)),
    )


def _lines(cells: dict[str, Any]) -> Iterator[Line]:
    without = cells[FILLED if FILLED in cells else FEATURES]
    shown = [cells.get(EVALUATED), without, cells.get(DIFFERENCE)]
    said = NOTHING if pd.isna(without.above_chance) else without.above_chance
    yield Line("mean", (*map(_mean, shown), Text(str(said))))
    if any(cell is not None and not math.isnan(cell.sd_seeds) for cell in shown):
        yield Line(SEEDS, (*map(_spread, shown), Text("")))
    yield Line(_level(without), (*map(_interval, shown), Text("")))


def _level(cell: Any) -> str:
    return f"{100 * float(cell.confidence):g} % CI"


def _mean(cell: Any) -> Text:
    if cell is None:
        return Text(NOTHING)
    if math.isnan(cell.auc):
        return Text(NOT_APPLICABLE)
    return Text(number(cell.auc), value=100 * cell.auc)


def _spread(cell: Any) -> Text:
    unknown = cell is None or math.isnan(cell.sd_seeds)
    return Text(NOTHING if unknown else f"± {number(cell.sd_seeds)}")


def _interval(cell: Any) -> Text:
    if cell is None or math.isnan(cell.ci_low):
        return Text(NOTHING)
    # a dash before a minus sign cannot be read
    dash = " to " if cell.ci_low < 0 else "–"
    return Text(f"{number(cell.ci_low)}{dash}{number(cell.ci_high)}")


def number(value: float) -> str:
    """Return a share in percent, with the decimals of the other tables."""
    return fixed(100 * value, 2)


def _notes(table: pd.DataFrame, split: Split) -> Iterator[str]:
    first = table.iloc[0]
    folds = first["n_folds"] + first["n_undefined_folds"]
    subjects, seeds = first["n_subjects"], first["n_seeds"]
    over = f"{folds} folds" if seeds < 2 else f"{folds} folds and {seeds} seeds"
    drawn = f"{_level(first)}: bootstrap of {subjects} subjects"
    yield f"Mean over {over}: {first['n_scans']} test scans with a lesion mask."
    yield f"{drawn}, for the networks as trained." if seeds < 2 else f"{drawn} and {seeds} seeds."
    if without := first["n_without_mask"]:
        one = without == 1
        yield (
            f"{without} test scan{'' if one else 's'} without a lesion mask "
            f"{'is' if one else 'are'} left out, so the AUC differs from that of Table 4."
        )
    certain = table["ci_low"].isna() & table["auc"].isin((0, 1))
    if certain.any():
        yield f"No {_level(first)} for an AUC of 0 or 100 %, as the bootstrap's has no width."
    if first["n_undefined_folds"]:
        yield f"Undefined in {first['n_undefined_folds']} of {folds} folds, left out."
    yield from told_of_shortcuts(table, split)
    yield from _turned_round(table[table["images"] == FILLED])
    yield from EXPLAINED


def _turned_round(filled: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence on the methods below chance without lesions, if there are any."""
    below = filled[filled["ci_high"] < CHANCE]
    if len(below):
        yield (
            f"{_named(below)}: below 50 % without lesions, so scores are reversed. Something in "
            "filled scans still goes with the class, such as traces of the filling."
        )


def told_of_shortcuts(table: pd.DataFrame, split: Split) -> list[str]:
    """Return the notes on classifiers that tell classes without lesions.

    Parameters
    ----------
    table : DataFrame
        As `read_judged` returns.
    split : {"grouped", "site", "random"}
        How folds were made. If each fold tests a site that its networks have not seen, knowledge of
        that site cannot tell a class.
    """
    found = table[table["above_chance"] == "yes"]
    methods, features = found[found["images"] == FILLED], found[found["images"] == FEATURES]
    unseen = split == "site"
    sentences = []
    if len(methods):
        tells, they = ("tells", "it") if len(methods) == 1 else ("tell", "they")
        means = "at sites not seen in training" if unseen else f"{they} may use scanner or site"
        sentences.append(f"{_named(methods)}: {tells} classes without lesions, {means}.")
    means = "at sites not seen" if unseen else "site and class go together in these scans"
    sentences += [
        f"Intensities, sharpness and voxel size alone also tell classes ({_auc(row)}): {means}."
        for row in features.itertuples()
    ]
    return sentences


def _named(rows: pd.DataFrame) -> str:
    return "; ".join(f"{row.label} ({_auc(row)})" for row in rows.itertuples())


def _auc(row: Any) -> str:
    level = "" if math.isnan(row.ci_low) else f", {_level(row)} {_interval(row).text}"
    return f"AUC {number(row.auc)} %{level}"
