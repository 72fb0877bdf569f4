"""Pages of new scans: what the folds say of each, shown over the scan, without a network."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.apply.classes import labels_of, names_of
from msnmo.apply.loads import of_all_folds, of_single_folds
from msnmo.bundle.contents import NOT_FOR_DIAGNOSIS
from msnmo.core.diagnoses import score_in_words
from msnmo.core.errors import run_command
from msnmo.core.files import read_json, read_tsv, write_text
from msnmo.core.volumes import load_mask, load_volume
from msnmo.evaluate.verdict import Verdict
from msnmo.viewing.assets import write_assets
from msnmo.viewing.display import Kind, brain_alone
from msnmo.viewing.pages import METHODS_TEXT, Cell, fill, frame, table_of
from msnmo.viewing.viewer import Layer, write_scan_page

RUN_ENDING = "_run.json"
NAVIGATION = (("Scans", "index.html"),)
LESION_COLUMNS = {"lesion": int, "volume_ml": float}
LABELS = {
    "folds_agreeing": "folds agreeing",
    "of_folds": "by single folds",
    "doubts": "why",
    "load_ml": "load, ml",
    "volume_ml": "volume, ml",
    "x_mm": "x, mm",
    "y_mm": "y, mm",
    "z_mm": "z, mm",
    "longest_axis_mm": "longest axis, mm",
}
"""Columns of tables in words."""
CAPTION_OF_LESIONS = (
    "Lesions: a click on a row shows it above; x, y, z are scanner mm to the right, front and top"
)
PLACE = ["x_mm", "y_mm", "z_mm"]
NO_CLASS = "not named, as the networks segment alone"
OF_CLASS = ("folds_agreeing", "uncertain", "doubts")
OF_LESIONS = ("lesions", "load_ml")


def write_page(
    site: Path, folder: Path, scan: str, flair: Path, *, deface: bool = False
) -> tuple[Path, Path]:
    """Write the page of one scan.

    Parameters
    ----------
    site : Path
    folder : Path
        With what `msnmo.apply.apply_bundle` wrote of it.
    scan : str
    flair : Path
        The scan as it arrived.
    deface : bool
        Whether the page holds the brain alone.

    Returns
    -------
    page, volumes : Path

    Raises
    ------
    InputError
        Naming a file that cannot be read.
    """
    stem = folder / scan
    run = read_json(Path(f"{stem}{RUN_ENDING}"))
    brain = load_mask(Path(f"{stem}_desc-brain_mask.nii.gz"))
    image = load_volume(flair)
    shown = brain_alone(image, brain) if deface else image
    layers = [Layer("scan", "T2-FLAIR", "image", shown)]
    drawn: tuple[tuple[str, str, Kind, str, bool], ...] = (
        ("probability", "lesion probability", "probability", "lesion_probseg", False),
        ("localisation", _label_of_map(run), "probability", "localisation_map", False),
        ("mask", "lesions found", "mask", "lesion_mask", True),
    )
    for name, label, kind, ending, visible in drawn:
        path = Path(f"{stem}_desc-{ending}.nii.gz")
        if path.is_file():
            layers.append(Layer(name, label, kind, load_volume(path), visible=visible))
    tables = [("Each fold alone", _of_folds(run))]
    if run["lesions"]:
        lesions = read_tsv(f"{stem}_desc-lesion_table.tsv", LESION_COLUMNS)
        tables.insert(0, (CAPTION_OF_LESIONS, _listed(lesions)))
    return write_scan_page(
        site,
        scan,
        scan,
        layers,
        facts(run),
        tables,
        around=brain.data,
        navigation=NAVIGATION,
        banner=banner_of([run]),
    )


def banner_of(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the banner on networks that learned from simulated scans; empty if there are none.

    Parameters
    ----------
    runs : sequence of dict
        Contents of the scans' run.json.
    """
    told = {run["bundle"].get("simulated", "") for run in runs}
    return " ".join(sorted(told - {""}))


def facts(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is said of a scan, in words."""
    said, lesions, source = run["class"], run["lesions"], run["input"]
    told = [("use", NOT_FOR_DIAGNOSIS)]
    if said:
        _, score, _ = names_of(labels_of(run))
        spread = f" ({_range(said[f'{score}_of_folds'])} by single folds)" * (said["folds"] > 1)
        told += [
            ("class", f"{said['named']}, by {said['folds_agreeing']} of {said['folds']} folds"),
            (score_in_words(labels_of(run)), f"{said[score]:.2f}{spread}"),
            ("certain", "; ".join(["no", *said["doubts"]]) if said["uncertain"] else "yes"),
            ("rule", said["rule"]),
        ]
    if lesions:
        told.append(("lesions", f"{lesions['count']}, {lesions['load_ml']:.2f} ml"))
        told += _loads_in_model_space(lesions)
        told += [
            (name, f"{part['count']}, {part['load_ml']:.2f} ml")
            for name, part in lesions.get("locations", {}).items()
        ]
        if "location_rule" in lesions:
            told.append(("locations", lesions["location_rule"]))
    if judged := run.get("localisation"):
        told.append(("localisation map", judged["told"]))
    sides = " x ".join(f"{size:.3g}" for size in source["voxel_mm"])
    strip = run["skullstrip"]
    told += [
        ("scan", f"{' x '.join(map(str, source['shape']))} voxels of {sides} mm"),
        ("skull strip", " ".join(str(strip.get(key, "")) for key in ("engine", "version"))),
        ("bundle", f"{run['bundle']['method']}, {run['bundle']['id']}"),
    ]
    doubts = [
        *strip.get("flags", []),
        *([source["form_conflict"]] if source["form_conflict"] else []),
    ]
    return [*told, *(("look at", doubt) for doubt in doubts)]


def _loads_in_model_space(lesions: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how far the folds agree on the volume; of one fold alone there is nothing to tell."""
    of_folds = of_single_folds(lesions)
    if len(of_folds) < 2:
        return []
    together = of_all_folds(lesions)
    begin = "" if together is None else f"{together:.2f} ml by all folds together, "
    return [("lesions in model space", f"{begin}{_range(of_folds)} ml by single folds")]


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def _listed(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return a row a lesion, that the viewer goes to when it is clicked."""
    listed = lesions.rename(columns=LABELS)
    places = lesions[PLACE].astype(float).itertuples(index=False, name=None)
    listed["lesion"] = [
        Cell(str(number), float(number), place=place)
        for number, place in zip(lesions["lesion"], places, strict=True)
    ]
    return listed


def _named(run: Mapping[str, Any]) -> str:
    return run["class"]["named"] if run["class"] else "the class"


def _label_of_map(run: Mapping[str, Any]) -> str:
    label = f"localisation map of {_named(run)}"
    measured = (run.get("localisation") or {}).get("measured")
    return f"{label}: {Verdict.from_json(measured).in_short}" if measured else label


def _of_folds(run: Mapping[str, Any]) -> pd.DataFrame:
    columns = {}
    if run["class"]:
        _, score, _ = names_of(labels_of(run))
        columns[score_in_words(labels_of(run))] = run["class"][f"{score}_of_folds"]
    if run["lesions"]:
        columns["lesions, ml (model space)"] = of_single_folds(run["lesions"])
    table = pd.DataFrame(columns)
    table.insert(0, "network", range(1, len(table) + 1))
    return table


def write_index(site: Path, runs: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> Path:
    """Write the site's first page, the list of all scans, and what all pages load.

    Parameters
    ----------
    site : Path
    runs : sequence of dict
        Contents of the scans' run.json.
    table : DataFrame
        A row a scan, of `msnmo.apply.listing`.
    """
    write_assets(site)
    named = _headings(runs, table)
    shown = table.assign(of_folds=_ranges(runs, table))[list(named)].rename(columns=named)
    shown["scan"] = [_linked(site, name) for name in shown["scan"]]
    bundles = sorted({run["bundle"]["id"] for run in runs})
    rules = sorted({run["class"]["rule"] for run in runs if run["class"]})
    nameless = bool(runs) and not rules
    unnamed = sorted({run["bundle"].get("class_unasked") or NO_CLASS for run in runs})
    judged = sorted({run["localisation"]["told"] for run in runs if run.get("localisation")})
    told = [
        ("use", NOT_FOR_DIAGNOSIS),
        ("scans", str(len(runs))),
        ("bundles", ", ".join(bundles)),
        *(("a class is", rule) for rule in (unnamed if nameless else rules)),
        *(("localisation maps", said) for said in judged),
    ]
    title = f"Lesions{'' if nameless else ' and class'} of new scans"
    page = site / "index.html"
    text = fill(
        "listing.html.jinja",
        **frame(title, "Scans", NAVIGATION, "", banner_of(runs)),
        facts=told,
        methods_text=METHODS_TEXT,
        tables=[table_of("Scans", shown)],
    )
    write_text(page, text)
    return page


def _linked(site: Path, scan: str) -> Cell:
    """Return the name of a scan, as a link where it has a page: one that failed has none."""
    page = f"scans/{scan}.html"
    return Cell(scan, href=page) if (site / page).is_file() else Cell(scan)


def _headings(runs: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> dict[str, str]:
    """Return the columns that the list of scans shows, those that have anything, in words."""
    pairs = dict.fromkeys(labels_of(run) for run in runs if run["class"])
    scores = {}
    for labels in pairs:
        _, score, _ = names_of(labels)
        scores[score] = score_in_words(labels)
    several = [] if all(each is None for each in _ranges(runs, table)) else ["of_folds"]
    names = ["scan", "class", *scores, *several, *OF_CLASS, *OF_LESIONS, "failed"]
    there = [
        name
        for name in names
        if name in {"scan", "of_folds"} or (name in table and table[name].notna().any())
    ]
    in_words = LABELS | scores
    return {name: in_words.get(name, name) for name in there}


def _ranges(runs: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> list[str | None]:
    """Return each row's lowest and highest probability of class 1 by a fold alone."""
    told = {}
    for run in runs:
        said = run["class"]
        if said and said["folds"] > 1:
            _, score, _ = names_of(labels_of(run))
            told[run["scan"]] = _range(said[f"{score}_of_folds"])
    return [told.get(scan) for scan in table["scan"]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page of one scan that a bundle was applied to."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.apply.pages", description=__doc__)
    parser.add_argument("--site", type=Path, required=True, help="folder of the pages")
    parser.add_argument("--applied", type=Path, required=True, help="the scan's folder of results")
    parser.add_argument("--scan", required=True, help="its name, sub-X or sub-X_ses-Y")
    parser.add_argument("--flair", type=Path, required=True, help="as it arrived")
    parser.add_argument("--deface", action="store_true", help="show the brain alone")
    given = parser.parse_args(arguments)
    for path in write_page(given.site, given.applied, given.scan, given.flair, deface=given.deface):
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    run_command(main)
