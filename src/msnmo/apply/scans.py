"""A bundle applied to scans one by one: the work of `msnmo.apply`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msnmo.apply.apply_bundle import apply_to_scan, in_words
from msnmo.apply.arrivals import name_scans, receive
from msnmo.apply.ensemble import Ensemble, load_ensemble
from msnmo.apply.listing import write_listing
from msnmo.apply.pages import RUN_ENDING, write_page
from msnmo.apply.prepared import Prepared
from msnmo.apply.preprocess import Arrived, preprocess, run_module
from msnmo.bundle.contents import Bundle, read_bundle
from msnmo.check.check_scan import Files, check_scan
from msnmo.compute.device import pick_device, prepare
from msnmo.core.errors import Finding, InputError, MsnmoError
from msnmo.core.files import read_json, sha256
from msnmo.core.volumes import load_mask

SITE = "report"


def apply_to_scans(given: argparse.Namespace) -> None:
    """Apply a bundle to scans; what is wrong of one stops no other.

    Parameters
    ----------
    given : Namespace
        The options of `msnmo.apply`.

    Raises
    ------
    MsnmoError
        At the end, with all that went wrong.
    """
    bundle = read_bundle(given.bundle)
    if bundle.unverified:
        tell(f"warning: {bundle.unverified}")
    names = name_scans(given.scans, given.ids)
    device = pick_device(given.device, given.per_gpu, "apply")
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
            tell(str(InputError(findings)))
        # reading the networks takes seconds, so not for nothing
        done = apply_all(load_ensemble(bundle, device), sound, given) if sound else 0
    write_listing(given.out)
    tell(f"done: {given.out / 'predictions.tsv'}, {given.out / SITE / 'index.html'}")
    if left := len(names) - done:
        raise MsnmoError(f"{left} of {len(names)} scans not done: what is wrong is told above")


def apply_all(ensemble: Ensemble, scans: Sequence[Arrived], given: argparse.Namespace) -> int:
    """Apply the networks to each scan, telling what goes wrong of one; return how many are done."""
    done = 0
    for place, scan in enumerate(scans, start=1):
        tell(f"{scan.name} ({place} of {len(scans)}): {scan.flair.name}")
        try:
            _apply(ensemble, scan, given)
            done += 1
        except MsnmoError as error:
            tell(str(error))
    return done


def _check(scan: Arrived) -> list[Finding]:
    """Return what keeps a scan out, as the workflow's check does."""
    for doubt in scan.doubts:
        tell(f"warning: {scan.name}: {doubt}")
    report = check_scan(scan.name, Files(scan.flair, stripped=scan.stripped))
    for each in report.findings:
        if each.severity == "warning":
            tell(f"warning: {each.finding}")
    return [each.finding for each in report.findings if each.severity == "error"]


def _apply(ensemble: Ensemble, scan: Arrived, given: argparse.Namespace) -> None:
    folder = given.out / scan.folder / "anat"
    if not given.again and _is_done(folder, scan, ensemble.bundle, given):
        tell(f"{scan.name}: done before with this bundle (--again repeats it)")
        return
    with tempfile.TemporaryDirectory(prefix="msnmo-") as scratch:
        settings = ensemble.bundle.preprocessing(given.engine)
        prepared = preprocess(scan, settings, Path(scratch), lambda step: tell(f"  {step}"))
        regions = _find_regions(prepared, Path(scratch)) if given.locations else None
        tell(f"  {len(ensemble.models)} networks")
        run = apply_to_scan(ensemble, prepared, folder, regions)
        if given.dicom_seg and scan.dicom and run["lesions"]:
            _write_segmentation(folder / f"{scan.name}_desc-lesion", scan, ensemble.bundle)
    write_page(given.out / SITE, folder, scan.name, scan.flair)
    tell(f"{in_words(run)}")


def _find_regions(prepared: Prepared, folder: Path) -> Path:
    """Return the scan's regions, by a registration to the MNI template."""
    tell("  registration to the MNI template")
    regions = folder / f"{prepared.name}_desc-regions_dseg.nii.gz"
    arguments = ["--image", prepared.n4, "--brain", prepared.brain, "--out", regions]
    run_module(prepared.name, ["-m", "msnmo.apply.location", *map(str, arguments)])
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


def tell(line: str) -> None:
    """Say something on the terminal at once."""
    print(f"msnmo: {line}", file=sys.stderr, flush=True)
