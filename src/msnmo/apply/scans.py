"""A bundle applied to scans one by one: the work of `msnmo.apply`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from msnmo.apply.apply_bundle import apply_to_scan, in_words
from msnmo.apply.arrivals import receive
from msnmo.apply.ensemble import Ensemble, load_ensemble
from msnmo.apply.folders import OWN, find_scans
from msnmo.apply.listing import write_listing
from msnmo.apply.mni import register, write_in_mni
from msnmo.apply.naming import name_scans
from msnmo.apply.pages import write_page
from msnmo.apply.parts import Part
from msnmo.apply.preprocess import Arrived, preprocess
from msnmo.apply.records import (
    NOT_FAILED,
    SITE,
    forget_failure,
    keep_record,
    lock_scan,
    made_of,
    note_failures,
    options_of,
    refuse_changed_scan,
    refuse_other,
    start_anew,
    what_differs,
)
from msnmo.apply.remedies import as_options
from msnmo.apply.writable import require_writable
from msnmo.bundle.contents import Bundle, read_bundle
from msnmo.check.check_scan import Files, check_scan
from msnmo.compute.device import pick_device, prepare
from msnmo.core.counts import counted
from msnmo.core.errors import Finding, InputError, MsnmoError
from msnmo.core.files import sha256
from msnmo.core.starter import SHIPPED
from msnmo.core.volumes import load_mask

T = TypeVar("T")


def apply_to_scans(given: argparse.Namespace) -> None:
    """Apply a bundle to scans; what is wrong of one stops no other.

    Parameters
    ----------
    given : Namespace
        The options of `msnmo.apply`.

    Raises
    ------
    MsnmoError
        At the end, with the scans that were not done.
    """
    bundle = read_bundle(given.bundle, signers=given.signers, classes=given.classes)
    tell_of(bundle)
    # of all scans, so that a part names its own as the whole would
    sources = part_of(_sources(given), given.part)
    require_writable(given.out)
    device = pick_device(given.device, given.per_gpu, "apply")
    prepare(device, given.threads)
    with tempfile.TemporaryDirectory(prefix="msnmo-") as scratch:
        arrived, failed = receive(
            *([*sources.values()], [*sources], Path(scratch), given.stripped, given.bias_corrected),
            series=given.series,
            tell=tell,
            nameless=bool(given.ids),
        )
        sound = []
        for scan in arrived:
            try:
                _check(scan, given.out)
                sound.append(scan)
            except MsnmoError as error:
                failed[scan.name] = error
            except OSError as error:
                failed[scan.name] = MsnmoError(f"{scan.name}: {error}")
        _tell_all(failed.values())
        # reading the networks takes seconds, so not for nothing
        if sound:
            failed |= apply_all(load_ensemble(bundle, device), sound, given)
    note_failures(given.out, failed, sources)
    write_listing(given.out)
    tell(f"written: {given.out / 'predictions.tsv'}, {given.out / SITE / 'index.html'}")
    refuse_failed(failed, len(sources))


def _sources(given: argparse.Namespace) -> dict[str, Path]:
    """Return the files and folders of all scans, by their names."""
    if given.input is None:
        names = name_scans(given.scans, given.ids)
        return dict(zip(names, given.scans, strict=True))
    found = find_scans(given.input, given.out)
    for line in found.told:
        tell(line)
    return dict(zip(name_scans(found.scans, (), OWN), found.scans, strict=True))


def tell_of(bundle: Bundle) -> None:
    """Say what is to be known of a bundle before its masks are believed."""
    if bundle.path == SHIPPED:
        tell(
            "the starter is used (--bundle names another bundle). It has learned from simulated "
            f"scans alone. {bundle.content['accuracy']}"
        )
    if bundle.unverified:
        tell(f"warning: {bundle.unverified}")


def part_of(sources: Mapping[str, T], part: Part | None) -> dict[str, T]:
    """Return the scans of a part: of ``3/8`` the third, the eleventh and so on."""
    if part is None:
        return dict(sources)
    return dict(islice(sources.items(), part.place - 1, None, part.parts))


def _tell_all(errors: Iterable[MsnmoError]) -> None:
    """Say what is wrong of scans, of their files under one heading."""
    findings: list[Finding] = []
    for error in errors:
        if isinstance(error, InputError):
            findings += error.findings
        else:
            tell(str(error))
    if findings:
        tell(str(InputError(findings)))


def refuse_failed(failed: Mapping[str, MsnmoError], scans: int) -> None:
    """Raise `MsnmoError` with the names of scans that failed, if any did."""
    if failed:
        names = ", ".join(failed)
        raise MsnmoError(
            f"{len(failed)} of {scans} scans not done: {names}. What is wrong is told above"
        )


def apply_all(
    ensemble: Ensemble, scans: Sequence[Arrived], given: argparse.Namespace
) -> dict[str, MsnmoError]:
    """Apply the networks to each scan, telling what goes wrong of one; return that by its name."""
    failed: dict[str, MsnmoError] = {}
    for place, scan in enumerate(scans, start=1):
        tell(f"{scan.name} ({place} of {len(scans)}): {scan.flair.name}")
        try:
            with lock_scan(given.out, scan.name):
                _apply(ensemble, scan, given)
        except NOT_FAILED as error:
            failed[scan.name] = error
            tell(str(error))
        except (MsnmoError, OSError) as error:
            said = as_options(str(error), bool(given.truth))
            failed[scan.name] = MsnmoError(said)
            tell(said)
    return failed


def _check(scan: Arrived, out: Path) -> None:
    """Refuse a scan that the workflow's check would refuse, or whose place is another's."""
    report = check_scan(scan.name, Files(scan.flair, stripped=scan.stripped))
    for each in report.findings:
        if each.severity == "warning":
            tell(f"warning: {as_options(str(each.finding))}")
    errors = [each.finding for each in report.findings if each.severity == "error"]
    if errors:
        raise InputError(replace(each, remedy=as_options(each.remedy)) for each in errors)
    refuse_other(out, scan.name, sha256(scan.flair))


def _apply(ensemble: Ensemble, scan: Arrived, given: argparse.Namespace) -> None:
    asked = made_of(scan, ensemble.bundle, options_of(scan, given))
    # again, now that nobody else writes there
    refuse_other(given.out, scan.name, asked["input"])
    differs = what_differs(given.out, asked)
    if not differs and not given.again:
        tell(f"{scan.name}: done before with this bundle and these options (--again repeats it)")
        forget_failure(given.out, scan.name)
        return
    refuse_other(given.out, scan.name, asked["input"], replaced=True)
    folder = given.out / scan.folder / "anat"
    if folder.exists():
        tell(f"{scan.name}: made again, as {'; '.join(differs) or '--again asks for it'}")
    with tempfile.TemporaryDirectory(prefix="msnmo-") as scratch:
        settings = ensemble.bundle.preprocessing(given.engine)
        prepared = preprocess(scan, settings, Path(scratch), lambda step: tell(f"  {step}"))
        registered = None
        if given.locations or given.mni:
            tell("  registration to the MNI template")
            registered = register(prepared, Path(scratch), with_transforms=given.mni)
        regions = registered.regions if registered and given.locations else None
        tell(f"  {counted(len(ensemble.models), 'network')}")
        start_anew(given.out, scan.name)
        run = apply_to_scan(ensemble, prepared, folder, regions)
        if given.dicom_seg and scan.dicom and run["lesions"]:
            _write_segmentation(folder / f"{scan.name}_desc-lesion", scan, ensemble.bundle)
        if registered and given.mni and run["lesions"]:
            write_in_mni(folder / scan.name, scan.name, registered)
    write_page(given.out / SITE, folder, scan.name, scan.flair, deface=given.deface)
    refuse_changed_scan(given.out, asked, scan.flair)
    keep_record(given.out, asked)
    forget_failure(given.out, scan.name)
    tell(f"{in_words(run)}")


def _write_segmentation(stem: Path, scan: Arrived, bundle: Bundle) -> None:
    from msnmo.apply.dicom_seg import write_segmentation  # noqa: PLC0415 - for those who have DICOM

    mask = load_mask(Path(f"{stem}_mask.nii.gz"))
    write_segmentation(Path(f"{stem}_seg.dcm"), mask, scan.dicom, bundle.id)


def tell(line: str) -> None:
    """Say something on the terminal at once."""
    print(f"msnmo: {line}", file=sys.stderr, flush=True)
