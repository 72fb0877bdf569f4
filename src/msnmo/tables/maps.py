"""Table S2: how well each method's maps find lesions, beside intensity and chance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.core.errors import bad_input
from msnmo.core.files import MAKE_AGAIN, read_tsv
from msnmo.core.numbers import fixed
from msnmo.evaluate.maps import AUROC, CAM, ENERGY, GRADCAM_MAP, INTENSITY, PEAK, RANDOM
from msnmo.evaluate.metrics import EXACT, NOT_APPLICABLE
from msnmo.evaluate.statistics.maps import COLUMNS
from msnmo.settings.methods import get_method
from msnmo.tables.content import EXACT_WHERE_ALL_ARE_EQUAL, SEEDS
from msnmo.tables.layout import MAPS, MAPS_CAPTION
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text

SHOWN = {
    AUROC: ("AUROC", 1),
    PEAK: ("peak in a lesion (%)", 100),
    ENERGY: ("energy in lesions (%)", 100),
}
"""By metric, its heading and the factor of its values."""
VERDICT = "beats chance"
UNTRAINED = {INTENSITY: "Image intensity", RANDOM: "Random map"}
"""Maps of no network, the same for every method."""
NUMBERS = ("mean", "sd", "sd_seeds", "ci_low", "ci_high", "chance", "confidence")
COUNTS = (
    *("n_folds", "n_undefined_folds", "n_scans", "n_undefined_scans", "n_subjects"),
    *("n_maps", "n_flat"),
)
TYPES = {
    **dict.fromkeys(COLUMNS, str),
    **dict.fromkeys(NUMBERS, float),
    **dict.fromkeys(COUNTS, int),
}
EXPLAINED = (
    "Maps of methods: the sum of the class activation maps of three scales, for the predicted "
    "class; Grad-CAM of the first residual block. Intensity: the z-scored image. Random map: "
    "uniform noise.",
    "AUROC: lesion voxels against the others. Peak: share of scans whose highest value is in a "
    "lesion. Energy: share of the positive values' sum that is in lesions. Chance is an AUROC of "
    "0.5; for peak and energy it is the random map's row.",
)


def read_judged(paths: Sequence[Path]) -> pd.DataFrame:
    """Return one table of the maps of all methods, a row per map and metric.

    Parameters
    ----------
    paths : sequence of Path
        As written by `msnmo.evaluate.statistics.maps`, one per method, in the wanted order.

    Returns
    -------
    DataFrame
        Columns table, label, then those of the files: the methods' own maps in their order, then
        Grad-CAM, then intensity and the random map once.

    Raises
    ------
    InputError
        If a file cannot be read, or if intensity or random map differ between files, which means
        that the methods were tested on other scans.
    """
    tables = {path: read_tsv(path, TYPES)[list(COLUMNS)] for path in paths}
    first, *others = tables
    common = {path: _untrained(table) for path, table in tables.items()}
    for path in others:
        # sums may differ in the last digit between processors
        if not common[path].round(9).equals(common[first].round(9)):
            expected = f"the intensity and random map of {first}: the same test scans"
            raise bad_input(path, expected, "others", MAKE_AGAIN)
    own = pd.concat([table[~table["map"].isin(UNTRAINED)] for table in tables.values()])
    own = own.sort_values("map", key=lambda names: names == GRADCAM_MAP, kind="stable")
    table = pd.concat([own, common[first]], ignore_index=True)
    table.insert(0, "table", MAPS)
    labels = [_label(row.method, row.map) for row in table.itertuples()]
    table.insert(1, "label", labels)
    return table


def _untrained(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["map"].isin(UNTRAINED)]
    return rows.assign(method=None).reset_index(drop=True)


def _label(method: str | None, name: str) -> str:
    if name in UNTRAINED:
        return UNTRAINED[name]
    label = get_method(str(method)).label
    return label if name == CAM else f"{label}, Grad-CAM"


def page_of_maps(table: pd.DataFrame) -> Page:
    """Return Table S2 as its readers see it.

    Parameters
    ----------
    table : DataFrame
        As `read_judged` returns.
    """
    level = f"{100 * float(table['confidence'].iloc[0]):g} % CI"
    rows = {label: list(part.itertuples()) for label, part in table.groupby("label", sort=False)}
    verdicts = {label: _verdict(cells) for label, cells in rows.items()}
    blocks = tuple(
        Block(label, tuple(_lines(cells, verdicts[label], level))) for label, cells in rows.items()
    )
    columns = (*(heading for heading, _ in SHOWN.values()), VERDICT)
    return Page(
        MAPS,
        MAPS_CAPTION,
        "Map",
        "Value",
        (Panel("Localisation", columns, blocks),),
        tuple(_notes(table, verdicts, level)),
        beats_chance=verdicts,
    )


def _verdict(cells: Iterable[Any]) -> bool | None:
    (said,) = [cell.beats_chance for cell in cells if cell.metric == AUROC]
    return None if pd.isna(said) else said == "yes"


def _lines(cells: Sequence[Any], verdict: bool | None, level: str) -> Iterator[Line]:
    by_metric = {cell.metric: cell for cell in cells}
    ordered = [(by_metric[metric], scale) for metric, (_, scale) in SHOWN.items()]
    said = NOTHING if verdict is None else "yes" if verdict else "no"
    means = [_mean(cell, scale) for cell, scale in ordered]
    yield Line("mean ± SD", (*means, Text(said)))
    if not math.isnan(ordered[0][0].sd_seeds):
        spreads = (Text(number(scale * cell.sd_seeds, scale)) for cell, scale in ordered)
        yield Line(SEEDS, (*spreads, Text("")))
    yield Line(level, (*(_interval(cell, scale) for cell, scale in ordered), Text("")))


def _mean(cell: Any, scale: int) -> Text:
    if math.isnan(cell.mean):
        return Text(NOT_APPLICABLE)
    mean = scale * cell.mean
    sd = NOT_APPLICABLE if math.isnan(cell.sd) else number(scale * cell.sd, scale)
    return Text(f"{number(mean, scale)} ± {sd}", value=mean)


def _interval(cell: Any, scale: int) -> Text:
    if math.isnan(cell.ci_low):
        return Text(NOTHING)
    return Text(f"{number(scale * cell.ci_low, scale)}–{number(scale * cell.ci_high, scale)}")


def number(value: float, scale: int) -> str:
    """Return a number of the table, as `SHOWN` scales its metric, with fixed decimals."""
    return fixed(value, 3 if scale == 1 else 1)


def _notes(table: pd.DataFrame, verdicts: dict[str, bool | None], level: str) -> Iterator[str]:
    first = table.iloc[0]
    folds = first["n_folds"] + first["n_undefined_folds"]
    yield f"Mean ± sample standard deviation of the values of {folds} folds."
    seeds = first["n_maps"] // first["n_scans"]
    drawn = f"{level}: bootstrap of {first['n_subjects']} subjects"
    if seeds == 1:
        yield f"{drawn}, for the networks as trained."
    else:
        yield f"{drawn} and {seeds} seeds. A fold's value is the mean of its seeds'."
        if GRADCAM_MAP in set(table["map"]):
            yield "Grad-CAM is only for the trainings of the first seed."
    if (table["interval"] == EXACT).any():
        yield EXACT_WHERE_ALL_ARE_EQUAL
    yield f"{first['n_scans']} test scans in model space, only voxels of the brain."
    if without := first["n_undefined_scans"]:
        scans = f"{without} scan{'' if without == 1 else 's'}"
        yield f"Undefined for {scans} without a lesion voxel in the brain, left out."
    if worse := [label for label, better in verdicts.items() if better is False]:
        verb = "does not" if len(worse) == 1 else "do not"
        yield f"{'; '.join(worse)}: {verb} beat chance: the AUROC's interval reaches 0.5 or less."
    for label, rows in table.groupby("label", sort=False):
        count, maps = rows[["n_flat", "n_maps"]].iloc[0]
        if count:
            yield f"{label}: flat or without a positive value in {count} of {maps} maps."
    yield from EXPLAINED
