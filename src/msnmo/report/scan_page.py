"""Write the page of one scan: the scan, its true lesions, and what the networks made of it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from msnmo.core.diagnoses import score, score_in_words
from msnmo.core.errors import run_command
from msnmo.core.geometry import ModelSpace
from msnmo.core.numbers import fixed
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.evaluate.maps import as_share, has_class_evidence, read_class_evidence
from msnmo.figures.style import method_style
from msnmo.report.results import Results, add_arguments, judged_maps, numbers_of_scan
from msnmo.settings.methods import get_method
from msnmo.viewing.display import brain_alone
from msnmo.viewing.pages import PAGES
from msnmo.viewing.slices import TRUTH
from msnmo.viewing.viewer import Layer, write_scan_page


def layers_of(
    results: Results, scan: str, predictions: str, *, deface: bool = False
) -> list[Layer]:
    """Return the layers of a scan's page, the scan itself first.

    Parameters
    ----------
    results : Results
    scan : str
    predictions : str
        Pattern with {method} and {fold} of the folder of a fold's predictions.
    deface : bool
        Whether the scan is shown within its brain alone.

    Raises
    ------
    InputError
        Naming the file, if one cannot be read.
    """
    files = results.manifest.loc[scan]
    image = load_volume(results.cohort.loc[scan, "flair"])
    label = "scan as it arrived"
    if deface:
        image = brain_alone(image, load_mask(files["native_brain"]))
        label = "scan as it arrived, brain alone"
    layers = [Layer("scan", label, "image", image)]
    if pd.notna(files["native_lesion"]):
        truth = load_mask(files["native_lesion"])
        layers.append(Layer("truth", "true lesions", "mask", truth, TRUTH, truth=True))
    fold = results.fold_of(scan)
    if fold is not None:
        layers += _predicted(results, scan, fold, predictions)
    return layers


def _predicted(results: Results, scan: str, fold: int, predictions: str) -> Iterator[Layer]:
    """Yield what the fold that tested a scan says of it: the reference method first."""
    reference = results.reference
    folder = Path(predictions.format(method=reference, fold=fold))
    segmenting = results.methods_of("segmentation")
    if reference in segmenting:
        mask = load_mask(folder / f"{scan}_desc-lesion_mask.nii.gz")
        told = f"predicted lesions, {get_method(reference).label}"
        yield Layer("prediction", told, "mask", mask)
        probability = load_volume(folder / f"{scan}_desc-lesion_probseg.nii.gz")
        yield Layer("probability", "lesion probability", "probability", probability, visible=False)
    if has_class_evidence(folder, scan):
        yield _localisation(results, scan, folder)
    for method in segmenting:
        if method == reference:
            continue
        folder = Path(predictions.format(method=method, fold=fold))
        mask = load_mask(folder / f"{scan}_desc-lesion_mask.nii.gz")
        told = f"predicted lesions, {get_method(method).label}"
        colour = to_hex(method_style(method)["color"])
        yield Layer(method, told, "mask", mask, colour, visible=False)


def _localisation(results: Results, scan: str, folder: Path) -> Layer:
    """Return the localisation map, within the brain, whose label tells whether it finds lesions."""
    files = results.manifest.loc[scan]
    space = ModelSpace.from_sidecar(files["sidecar"])
    native = space.to_native(read_class_evidence(folder, scan, space.model))
    brain = load_mask(files["native_brain"]).data
    seen = Volume(as_share(np.where(brain, native, 0)), space.native)
    judged = "not measured" if results.verdict is None else results.verdict.in_short
    nothing = "" if seen.data.any() else ": empty, no evidence for the class"
    label = f"localisation map ({judged}){nothing}"
    return Layer("localisation", label, "probability", seen, visible=False)


def facts_of(results: Results, scan: str) -> list[tuple[str, str]]:
    """Return what is said of a scan beside its pictures."""
    row, quality = results.cohort.loc[scan], results.quality.loc[scan]
    known = [(name, row[name]) for name in ("subject", "session", "diagnosis", "site")]
    facts = [(name, str(value)) for name, value in known if pd.notna(value)]
    if named := results.class_named(scan):
        facts.append(("class named", f"{named}{' (wrong)' * results.is_misclassified(scan)}"))
    fold = results.fold_of(scan)
    tested = "by none of the folds that were run"
    if fold is not None:
        tested = f"by fold {fold}, whose networks were trained on other scans"
        facts.append(("probability and maps", f"of {get_method(results.reference).label}"))
        facts += judged_maps(results)
    facts += [
        ("tested", tested),
        ("brain volume", f"{quality['brain_ml']:.0f} ml"),
        ("skull stripping", str(quality["engine"])),
    ]
    if flags := quality["flags"]:
        facts.append(("flags of the quality page", str(flags)))
    return facts


def siblings_of(results: Results, scan: str) -> list[tuple[str, str]]:
    """Return links to the scans before and after this one, relative to its page."""
    scans = list(results.cohort["scan"])
    at = scans.index(scan)
    before = [(f"← {other}", f"{other}.html") for other in scans[max(0, at - 1) : at]]
    after = [(f"{other} →", f"{other}.html") for other in scans[at + 1 : at + 2]]
    return [*before, ("all scans", "../scans.html"), *after, *_by_dsc(results, scan)]


def _by_dsc(results: Results, scan: str) -> list[tuple[str, str]]:
    """Return links to the scans that the reference method segments next worse and next better."""
    dsc = results.of_scans("DSC")[results.reference].dropna().sort_values(kind="stable")
    if scan not in dsc.index:
        return []
    at, scans = dsc.index.get_loc(scan), list(dsc.index)
    worse = [(f"next worse: {other}", f"{other}.html") for other in scans[max(0, at - 1) : at]]
    better = [(f"next better: {other}", f"{other}.html") for other in scans[at + 1 : at + 2]]
    return [*worse, *better]


def warning_of(results: Results, scan: str) -> str:
    """Return a sentence where the class that is named is not the diagnosis; else nothing."""
    if not results.is_misclassified(scan):
        return ""
    value = results.of_scans(score()).loc[scan, results.reference]
    diagnosis = results.cohort.loc[scan, "diagnosis"]
    label = get_method(results.reference).label
    return (
        f"Misclassified: {label} says {results.class_named(scan)}, the diagnosis is {diagnosis} "
        f"({score_in_words()} {fixed(float(value), 3)})."
    )


def elsewhere_of(pages: Mapping[str, Path | None], scan: str, site: Path) -> list[tuple[str, str]]:
    """Return links to the pages of the run, beside the report, that show a scan or its findings.

    Parameters
    ----------
    pages : mapping
        By name, "quality" and "check": where the page is; None where it is not linked to.
    scan : str
    site : Path
    """
    told = {"quality": ("quality of this scan", f"#{quote(scan)}"), "check": ("check", "")}
    links = []
    for name, (label, anchor) in told.items():
        if page := pages.get(name):
            way = Path(os.path.relpath(page, site / "scans")).as_posix()
            links.append((label, f"{quote(way)}{anchor}"))
    return links


def write_page(
    results: Results,
    scan: str,
    predictions: str,
    site: Path,
    pages: Mapping[str, Path | None] | None = None,
    *,
    deface: bool = False,
) -> tuple[Path, Path]:
    """Write a scan's page and volumes; see `msnmo.viewing.viewer.write_scan_page`."""
    brain: np.ndarray = load_mask(results.manifest.loc[scan, "native_brain"]).data
    tested = results.fold_of(scan) is not None
    return write_scan_page(
        site,
        scan,
        scan,
        layers_of(results, scan, predictions, deface=deface),
        facts_of(results, scan),
        numbers_of_scan(results, scan) if tested else [],
        around=brain,
        navigation=PAGES,
        siblings=siblings_of(results, scan),
        elsewhere=elsewhere_of(pages or {}, scan, site),
        banner=results.banner,
        warning=warning_of(results, scan),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page of one scan."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.report.scan_page", description=__doc__)
    parser.add_argument("--scan", required=True, help="its name, sub-X or sub-X_ses-Y")
    parser.add_argument(
        "--predictions", required=True, help="folder of a fold, with {method} and {fold}"
    )
    parser.add_argument("--deface", action="store_true", help="show the brain alone")
    parser.add_argument("--quality-page", type=Path, help="page of all scans' quality, to link to")
    parser.add_argument("--check-page", type=Path, help="page of the check's findings, to link to")
    add_arguments(parser)
    given = parser.parse_args(arguments)

    pages = {"quality": given.quality_page, "check": given.check_page}
    results = Results.read(given)
    written = write_page(
        results, given.scan, given.predictions, given.site, pages, deface=given.deface
    )
    for path in written:
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    run_command(main)
