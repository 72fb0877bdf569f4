"""Apply a bundle to new scans: lesion masks in each scan's own space, class, lesions, pages.

Give NIfTI files, or folders of DICOM with --ids. Research output, not for diagnosis.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from msnmo.apply.apply_bundle import apply_to_scan, in_words
from msnmo.apply.arrivals import name_scans, receive
from msnmo.apply.ensemble import Ensemble, load_ensemble
from msnmo.apply.listing import write_listing
from msnmo.apply.pages import RUN_ENDING, write_page
from msnmo.apply.preprocess import Arrived, Prepared, preprocess, run_step
from msnmo.bundle.contents import Bundle, read_bundle
from msnmo.check.check_scan import Files, check_scan
from msnmo.compute.device import add_arguments, pick_device, prepare
from msnmo.core.errors import Finding, InputError, MsnmoError, run_command
from msnmo.core.extras import require_extra
from msnmo.core.files import read_json, sha256
from msnmo.core.volumes import load_mask
from msnmo.preprocess.skullstrip import Engine

SITE = "report"


def main(arguments: Sequence[str] | None = None) -> None:
    """Apply a bundle to scans; what is wrong of one stops no other.

    Raises
    ------
    MsnmoError
        At the end, with all that went wrong.
    """
    given = _parse(arguments)
    _require_extras(given)
    bundle = read_bundle(given.bundle)
    names = name_scans(given.scans, given.ids)
    device = pick_device(given.device, given.per_gpu)
    prepare(device, given.threads)
    with tempfile.TemporaryDirectory(prefix="msnmo-") as scratch:
        arrived, findings = receive(
            given.scans, names, Path(scratch), given.stripped, given.bias_corrected
        )
        sound = []
        for scan in arrived:
            errors = _check(scan)
            findings += errors
            if not errors:
                sound.append(scan)
        if findings:
            _tell(str(InputError(findings)))
        # reading the networks takes seconds, so not for nothing
        done = _apply_all(load_ensemble(bundle, device), sound, given) if sound else 0
    write_listing(given.out)
    _tell(f"done: {given.out / 'predictions.tsv'}, {given.out / SITE / 'index.html'}")
    if left := len(names) - done:
        raise MsnmoError(f"{left} of {len(names)} scans not done: what is wrong is told above")


def _require_extras(given: argparse.Namespace) -> None:
    if given.dicom_seg or any(path.is_dir() for path in given.scans):
        require_extra("dicom", "msnmo apply to DICOM")
    if given.locations:
        require_extra("locations", "msnmo apply --locations")


def _apply_all(ensemble: Ensemble, scans: Sequence[Arrived], given: argparse.Namespace) -> int:
    """Apply the networks to each scan, telling what goes wrong of one; return how many are done."""
    done = 0
    for place, scan in enumerate(scans, start=1):
        _tell(f"{scan.name} ({place} of {len(scans)}): {scan.flair.name}")
        try:
            _apply(ensemble, scan, given)
            done += 1
        except MsnmoError as error:
            _tell(str(error))
    return done


def _check(scan: Arrived) -> list[Finding]:
    """Return what keeps a scan out, as the workflow's check does."""
    report = check_scan(scan.name, Files(scan.flair, stripped=scan.stripped))
    for each in report.findings:
        if each.severity == "warning":
            _tell(f"warning: {each.finding}")
    return [each.finding for each in report.findings if each.severity == "error"]


def _apply(ensemble: Ensemble, scan: Arrived, given: argparse.Namespace) -> None:
    folder = given.out / scan.folder / "anat"
    if not given.again and _is_done(folder, scan, ensemble.bundle, given):
        _tell(f"{scan.name}: done before with this bundle (--again repeats it)")
        return
    with tempfile.TemporaryDirectory(prefix="msnmo-") as scratch:
        settings = ensemble.bundle.preprocessing(given.engine)
        prepared = preprocess(scan, settings, Path(scratch), lambda step: _tell(f"  {step}"))
        regions = _find_regions(prepared, Path(scratch)) if given.locations else None
        _tell(f"  {len(ensemble.models)} networks")
        run = apply_to_scan(ensemble, prepared, folder, regions)
        if given.dicom_seg and scan.dicom and run["lesions"]:
            _write_segmentation(folder / f"{scan.name}_desc-lesion", scan, ensemble.bundle)
    write_page(given.out / SITE, folder, scan.name, scan.flair)
    _tell(f"{in_words(run)}")


def _find_regions(prepared: Prepared, folder: Path) -> Path:
    """Return the scan's regions, by a registration to the MNI template."""
    _tell("  registration to the MNI template")
    regions = folder / f"{prepared.name}_desc-regions_dseg.nii.gz"
    arguments = ["--image", prepared.n4, "--brain", prepared.brain, "--out", regions]
    run_step(prepared.name, "apply.location", arguments)
    return regions


def _write_segmentation(stem: Path, scan: Arrived, bundle: Bundle) -> None:
    from msnmo.apply.dicom_seg import write_segmentation  # noqa: PLC0415 - for those who have DICOM

    mask = load_mask(Path(f"{stem}_mask.nii.gz"))
    write_segmentation(Path(f"{stem}_seg.dcm"), mask, scan.dicom, bundle.id)


def _is_done(folder: Path, scan: Arrived, bundle: Bundle, given: argparse.Namespace) -> bool:
    """Whether this bundle was applied to this very scan, and all that is asked for written."""
    run = folder / f"{scan.name}{RUN_ENDING}"
    if not run.is_file():
        return False
    try:
        content = read_json(run)
    except InputError:
        return False  # damaged: it is made again
    if not (given.out / SITE / f"scans/{scan.name}.html").is_file():
        return False
    same = content.get("input", {}).get("sha256") == sha256(scan.flair)
    same = same and content.get("bundle", {}).get("id") == bundle.id
    lesions = content.get("lesions") or {}
    if lesions and given.locations and "locations" not in lesions:
        return False
    segmented = (folder / f"{scan.name}_desc-lesion_seg.dcm").is_file()
    return same and (segmented or not (lesions and given.dicom_seg and scan.dicom))


def _tell(line: str) -> None:
    print(f"msnmo: {line}", file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.apply",
        description=__doc__,
        epilog="Example:\n  python -m msnmo.apply --bundle results/bundle --out new scan.nii.gz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scans", type=Path, nargs="+", help="NIfTI files, or folders of DICOM")
    parser.add_argument("--bundle", type=Path, required=True, help="of `snakemake export_model`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--ids", nargs="+", default=[], metavar="ID", help="of each scan: X or X_ses-Y"
    )
    parser.add_argument("--stripped", action="store_true", help="the scans have no skull")
    parser.add_argument("--bias-corrected", action="store_true", help="skip N4")
    parser.add_argument(
        "--engine",
        choices=get_args(Engine),
        default="auto",
        help="of skull stripping; auto: the one that the bundle's scans were stripped with",
    )
    parser.add_argument(
        "--locations",
        action="store_true",
        help="say where each lesion lies, by a registration to the MNI template",
    )
    parser.add_argument(
        "--dicom-seg", action="store_true", help="write masks of DICOM scans as DICOM too"
    )
    parser.add_argument("--again", action="store_true", help="repeat scans that are done")
    add_arguments(parser)
    parser.set_defaults(threads=len(os.sched_getaffinity(0)))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
