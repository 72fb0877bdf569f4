"""Compare the lesions of two visits of one person: new, enlarged, shrunk, gone, stable.

Give both T2-FLAIR scans, first visit first, and their lesion and brain masks: the folder that
`msnmo apply` wrote of them, or masks of your own. The second visit is registered to the first.
Research output, not for diagnosis: how well it finds new lesions of patients was not measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msnmo.apply.naming import name_scans
from msnmo.apply.pages import RUN_ENDING, banner_of
from msnmo.apply.visits import (
    OUTSIDE,
    STATUSES,
    TOO_SMALL,
    Comparison,
    Rules,
    Visit,
    compare_lesions,
    in_space_of,
    moved,
)
from msnmo.apply.visits_registration import LIKELY_CORRELATION, REMEDY, Rigid, register_visits
from msnmo.bundle.contents import NOT_FOR_DIAGNOSIS
from msnmo.check.masks import brain_doubts, lesion_doubts
from msnmo.core.command import program
from msnmo.core.errors import Finding, InputError, bad_input, run_command
from msnmo.core.files import atomic_folder, read_json, sha256, write_json, write_tsv
from msnmo.core.geometry import sample_on_grid
from msnmo.core.names import folder_of
from msnmo.core.paths import path_argument
from msnmo.core.provenance import git_state, versions
from msnmo.core.same_grid import check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.viewing.assets import write_assets
from msnmo.viewing.pages import Cell
from msnmo.viewing.viewer import Layer, write_scan_page

TABLE, RUN, SITE, PAGE = "visits.tsv", "visits.json", "report", "visits"
VISITS = ("first", "second")
NOT_VALIDATED = (
    "Not validated on patients: only simulated visits were tested. If a mask misses a lesion at "
    "one visit, the lesion is called new or gone. Look at both scans."
)
COLOURS = {"new": "#D55E00", "gone": "#56B4E9", "enlarged": "#E69F00", "shrunk": "#009E73"}
LABELS = {
    "place": "row",
    "volume_first_ml": "first visit, ml",
    "volume_second_ml": "second visit, ml",
    "change_ml": "change, ml",
    "change_percent": "change, %",
    "x_mm": "x, mm",
    "y_mm": "y, mm",
    "z_mm": "z, mm",
    "lesions_first": "lesions, first",
    "lesions_second": "lesions, second",
}
CAPTION = (
    "Lesions: a click on a row shows its place above; x, y, z are scanner mm of the first visit, "
    "to the right, front and top"
)
DECIMALS = {"change_percent": 1, "x_mm": 3, "y_mm": 3, "z_mm": 3}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write table, masks and page of two visits."""
    given = _parse(arguments)
    rules = Rules(given.smallest_mm3, given.growth, given.tolerance)
    _refuse_foreign(given.out)
    lesion_files, brain_files = _masks(given)
    scans = [load_volume(path) for path in given.scans]
    if sha256(given.scans[0]) == sha256(given.scans[1]):
        raise bad_input(given.scans[1], "another visit", "the very file of the first", "correct it")
    lesions, brains = (
        [_mask(*each) for each in zip(files, given.scans, scans, strict=True)]
        for files in (lesion_files, brain_files)
    )
    doubts = _judge(given, scans, (lesion_files, lesions), (brain_files, brains))
    first, second = scans
    rigid = register_visits(first, brains[0].data, second, brains[1].data, given.scans[1])
    doubts += _judge_heads(rigid, given.scans[1])
    found = compare_lesions(Visit.of(lesions[0]), Visit.of(lesions[1], rigid.to_first), rules)
    with atomic_folder(given.out) as folder:
        table = found.table.round(
            {name: DECIMALS.get(name, 6) for name in found.table.select_dtypes("number").columns}
        ).replace("", None)
        write_tsv(folder / TABLE, table)
        _write_masks(folder, found, scans, rigid)
        run = _describe(given, scans, rigid, found, rules) | {"doubts": doubts}
        run |= _told_by_apply(given)
        write_json(folder / RUN, run)
        _write_page(folder / SITE, found, scans, rigid, brains[0].data, run, table)
    counts = ", ".join(f"{number} {name}" for name, number in run["lesions"].items() if number)
    print(f"{given.out / TABLE}: {counts or 'no lesions'}. {NOT_FOR_DIAGNOSIS}")


def _mask(path: Path, scan_path: Path, scan: Volume) -> Volume:
    mask = load_mask(path)
    check_same_grid(path, mask, scan_path, scan)
    return mask


def _stems(given: argparse.Namespace) -> list[Path]:
    """Return how the files of both scans begin in the folder that msnmo apply wrote."""
    names = name_scans(given.scans, given.ids)
    return [given.applied / folder_of(name) / "anat" / name for name in names]


def _told_by_apply(given: argparse.Namespace) -> dict[str, Any]:
    """Return the names of both scans, and the note on networks that learned from simulated scans.

    Nothing is known of masks of the user's own.
    """
    stems = _stems(given) if given.applied else []
    runs = [path for stem in stems if (path := Path(f"{stem}{RUN_ENDING}")).is_file()]
    return {
        "scans": [stem.name for stem in stems],
        "simulated": banner_of([read_json(path) for path in runs]),
    }


def _masks(given: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Return the files of lesion and brain masks."""
    if not given.applied:
        return given.masks, given.brains
    stems = _stems(given)
    masks, brains = (
        [Path(f"{stem}_desc-{each}_mask.nii.gz") for stem in stems] for each in ("lesion", "brain")
    )
    for path in masks:
        if not path.is_file():
            remedy = "run msnmo apply on both scans, and give the same --ids here"
            raise bad_input(path, "the lesion mask that msnmo apply wrote", "no such file", remedy)
    return masks, brains


def _judge(
    given: argparse.Namespace,
    scans: Sequence[Volume],
    lesions: tuple[Sequence[Path], Sequence[Volume]],
    brains: tuple[Sequence[Path], Sequence[Volume]],
) -> list[str]:
    """Return what the check warns of masks, by visit, and tell it with their files; refuse errors.

    Of a brain mask that `msnmo apply` wrote its user may have taken another volume; never an empty
    one.
    """
    findings, warnings = [], []
    for place, visit in enumerate(VISITS):
        scan, lesion, brain = scans[place], lesions[1][place], brains[1][place]
        # without a brain, what lies outside it says nothing
        inside = brain if brain.data.any() else None
        judged = [(lesions[0][place], each) for each in lesion_doubts(lesion, scan, inside)]
        judged += [(brains[0][place], each) for each in brain_doubts(brain)]
        for path, doubt in judged:
            taken = given.applied and path == brains[0][place] and inside
            finding = Finding(str(path), doubt.expected, doubt.found, doubt.remedy)
            if doubt.severity == "error" and not taken:
                findings.append(finding)
            else:
                print(f"msnmo: warning: {finding}", file=sys.stderr)
                warnings.append(f"{visit}: expected {doubt.expected}, found {doubt.found}")
    if findings:
        raise InputError(findings)
    return warnings


def _judge_heads(rigid: Rigid, file: Path) -> list[str]:
    """Return, and tell with the second scan's file, that two visits look like two people's."""
    if not rigid.doubtful:
        return []
    expected = f"the same person: intensities of correlation at least {LIKELY_CORRELATION:g}"
    found = f"{rigid.correlation:.2f}"
    print(f"msnmo: warning: {Finding(str(file), expected, found, REMEDY)}", file=sys.stderr)
    return [f"second: expected {expected}, found {found}"]


def _refuse_foreign(out: Path) -> None:
    """Refuse a folder that would be replaced and is not of this command."""
    if out.exists() and not (out / TABLE).is_file() and (not out.is_dir() or any(out.iterdir())):
        remedy = "give another --out: the folder would be replaced as a whole"
        raise bad_input(out, "nothing, or results of compare-visits", "something else", remedy)


def _write_masks(folder: Path, found: Comparison, scans: Sequence[Volume], rigid: Rigid) -> None:
    """Write the masks of new and of gone lesions, in both visits' own spaces."""
    grids = (found.first.grid, moved(scans[1].grid, rigid.to_first))
    for status, own in (("new", 1), ("gone", 0)):
        mask = found.mask(VISITS[own], status)
        other = in_space_of(mask, grids[own], grids[1 - own])
        for place, data in ((own, mask), (1 - own, other)):
            path = folder / f"space-{VISITS[place]}_desc-{status}_mask.nii.gz"
            save_volume(path, data, scans[place].grid, np.uint8)


def _describe(
    given: argparse.Namespace,
    scans: Sequence[Volume],
    rigid: Rigid,
    found: Comparison,
    rules: Rules,
) -> dict[str, Any]:
    counts = found.table["status"].value_counts()
    loads = [float(visit.volumes_ml.sum()) for visit in (found.first, found.second)]
    return {
        "warning": NOT_FOR_DIAGNOSIS,
        "validated": NOT_VALIDATED,
        "inputs": {name: sha256(path) for name, path in zip(VISITS, given.scans, strict=True)},
        "voxel_mm": {
            name: [round(float(side), 4) for side in scan.grid.voxel_mm]
            for name, scan in zip(VISITS, scans, strict=True)
        },
        "rules": {
            "smallest_mm3": rules.smallest_mm3,
            "growth_percent": rules.growth_percent,
            "tolerance_voxels": rules.tolerance_voxels,
            "told": rules.in_words,
        },
        "registration": {
            "second_to_first": rigid.to_first.round(6).tolist(),
            "turned_degrees": round(rigid.turned_degrees, 3),
            "brain_overlap": round(rigid.brain_overlap, 4),
            "correlation": round(rigid.correlation, 4),
        },
        "lesions": {name: int(counts.get(name, 0)) for name in (*STATUSES, TOO_SMALL, OUTSIDE)},
        "load_ml": {name: round(load, 4) for name, load in zip(VISITS, loads, strict=True)},
        "versions": versions(),
        "git": git_state(),
    }


def _write_page(  # noqa: PLR0917 - what a page shows
    site: Path,
    found: Comparison,
    scans: Sequence[Volume],
    rigid: Rigid,
    brain: np.ndarray,
    run: dict[str, Any],
    table: pd.DataFrame,
) -> None:
    """Write the page: both scans and what became of the lesions, in the first visit's space."""
    first, second = scans
    there = moved(second.grid, rigid.to_first)

    def layer(name: str, label: str, data: np.ndarray, **options: Any) -> Layer:
        return Layer(name, label, "mask", Volume(data, first.grid), **options)

    image = Volume(sample_on_grid(second.data, there, first.grid), first.grid)
    layers = [
        Layer("first", "first visit", "image", first),
        Layer("second", "second visit, registered", "image", image, visible=False),
    ]
    for status, colour in COLOURS.items():
        mask = found.mask("first", status)
        if status != "gone":
            mask = in_space_of(found.mask("second", status), there, first.grid)
        if mask.any():
            layers.append(layer(status, status, mask, colour=colour))
    stable = found.mask("first", "stable")
    if stable.any():
        layers.append(layer("stable", "stable", stable, colour="#F0E442", visible=False))
    counts = ", ".join(f"{number} {name}" for name, number in run["lesions"].items() if number)
    told = run["registration"]
    facts = [
        ("use", NOT_FOR_DIAGNOSIS),
        ("validated", NOT_VALIDATED),
        *(("scans", ", then ".join(run["scans"])) for _ in run["scans"][:1]),
        *(("doubts", "; ".join(run["doubts"])) for _ in run["doubts"][:1]),
        ("lesions", counts or "none"),
        ("load", " and ".join(f"{load:.2f} ml ({name})" for name, load in run["load_ml"].items())),
        ("rules", run["rules"]["told"]),
        ("volumes", "counted on each visit's own grid; masks are resampled for this page only"),
        (
            "registration",
            f"rigid, turned by {told['turned_degrees']:.2f}°; Dice of brains "
            f"{told['brain_overlap']:.3f}, correlation {told['correlation']:.3f}",
        ),
    ]
    write_assets(site)
    shown = [(CAPTION, _listed(table))]
    banner = run["simulated"]
    write_scan_page(site, PAGE, "Two visits", layers, facts, shown, around=brain, banner=banner)


def _listed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in words; a click on the number of a row shows its place in the viewer."""
    listed = table.rename(columns=LABELS)
    places = table[["x_mm", "y_mm", "z_mm"]].astype(float).itertuples(index=False, name=None)
    listed["row"] = [
        Cell(str(number), float(number), place=place)
        for number, place in zip(table["place"], places, strict=True)
    ]
    return listed


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    default = Rules()
    parser = argparse.ArgumentParser(
        prog=program("msnmo.apply.compare_visits"),
        description=__doc__,
        epilog="Examples:\n  msnmo apply --bundle results/bundle --out new v1.nii.gz v2.nii.gz "
        "--ids P_ses-1 P_ses-2\n  msnmo compare-visits --applied new --ids P_ses-1 P_ses-2 "
        "--out visits v1.nii.gz v2.nii.gz\n  msnmo compare-visits --masks m1.nii.gz m2.nii.gz "
        "--brains b1.nii.gz b2.nii.gz --out visits v1.nii.gz v2.nii.gz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scans", type=path_argument, nargs=2, help="T2-FLAIR of the first and of the second visit"
    )
    parser.add_argument("--applied", type=path_argument, help="folder that msnmo apply wrote")
    parser.add_argument(
        "--ids", nargs=2, default=[], metavar="ID", help="as they were given to msnmo apply"
    )
    parser.add_argument("--masks", type=path_argument, nargs=2, help="lesion masks instead")
    parser.add_argument("--brains", type=path_argument, nargs=2, help="brain masks, with --masks")
    parser.add_argument("--out", type=path_argument, required=True, help="folder of the results")
    parser.add_argument(
        "--smallest-mm3",
        type=_at_least_zero,
        default=default.smallest_mm3,
        help="volume from which a lesion at one visit alone is new or gone (default: "
        "%(default)g, as in MSSEG-2)",
    )
    parser.add_argument(
        "--growth",
        type=_at_least_zero,
        default=default.growth_percent,
        metavar="PERCENT",
        help="change of volume beyond which a lesion is enlarged or shrunk (default: %(default)g)",
    )
    parser.add_argument(
        "--tolerance",
        type=int,
        choices=range(4),
        default=default.tolerance_voxels,
        help="voxels by which the registration may be wrong (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    if bool(given.applied) == bool(given.masks) or bool(given.masks) != bool(given.brains):
        parser.error("give --applied, or --masks with --brains")
    if given.ids and not given.applied:
        parser.error("--ids is for --applied; --masks and --brains are taken as they are given")
    return given


def _at_least_zero(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, found {text}")
    return value


if __name__ == "__main__":
    run_command(main)
