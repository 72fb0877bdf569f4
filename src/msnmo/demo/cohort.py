"""Plan the demo cohort and make each of its scans."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import ndimage

from msnmo.cohort.bids_sidecars import DEMO
from msnmo.cohort.simulated import MANUFACTURER
from msnmo.core.derivative import DESCRIPTION
from msnmo.core.errors import Finding, InputError
from msnmo.core.files import write_json, write_text, write_tsv
from msnmo.core.names import folder_of, name_of_scan
from msnmo.core.saving import save_volume
from msnmo.core.seeds import derive_seed
from msnmo.demo import lesions, scanner
from msnmo.demo.anatomy import BUILD_MM, head_model
from msnmo.demo.subject import Subject, flair_head, true_brain

COLUMNS = (
    "subject",
    "session",
    "diagnosis",
    "flair",
    "lesion_mask",
    "stripped",
    "bias_corrected",
    "site",
    "simulated",
)
ClassFrom = Literal["lesions", "site"]
"""What tells the class."""
ELSEWHERE = 5
"""If the site tells the class, one of this many subjects is at the other class's site."""


@dataclass(frozen=True)
class Plan:
    """What to make. An impossible plan is refused.

    Parameters
    ----------
    seed : int
        Same seed, same files.
    ms, nmosd : int
        Scans per class.
    follow_ups : int
        Subjects per class with a second session (it counts as a scan).
    stripped : int
        Subjects per class whose scans arrive skull-stripped and bias-corrected.
    raters : int
        With n, every n-th subject has masks of two raters instead of one (0: none).
    min_voxel_mm : float
        The shortest side of a voxel.
    class_from : {"lesions", "site"}
        lesions: each class has its own prior of lesions, and both classes have the same sites.
        site: in each class, half of the subjects have lesions from the prior of either class. Most
        subjects of one class are at one site, and most of the other at another. Their scanners
        differ as `scanner.UNLIKE` says.
    """

    seed: int = 0
    ms: int = 12
    nmosd: int = 12
    follow_ups: int = 2
    stripped: int = 1
    raters: int = 2
    min_voxel_mm: float = 1.0
    class_from: ClassFrom = "lesions"

    def __post_init__(self) -> None:
        findings = [
            Finding("demo cohort", f"{option} to be {limit}", str(found), f"change {option}")
            for option, limit, found, fine in self._limits()
            if not fine
        ]
        if findings:
            raise InputError(findings)

    def _limits(self) -> Iterator[tuple[str, str, object, bool]]:
        for option, count in (("--ms", self.ms), ("--nmosd", self.nmosd)):
            least = max(2 * self.follow_ups, self.follow_ups + self.stripped)
            limit = f"0, or at least {least} for the requested follow-ups and stripped scans"
            yield option, limit, count, count == 0 or count >= max(least, 1)
        for name in ("follow_ups", "stripped", "raters"):
            value = getattr(self, name)
            yield f"--{name.replace('_', '-')}", "0 or more", value, value >= 0
        yield "--ms plus --nmosd", "1 or more", self.ms + self.nmosd, self.ms + self.nmosd > 0
        size = self.min_voxel_mm
        yield "--min-voxel-mm", "within 0.5 and 8", size, 0.5 <= size <= 8
        known = get_args(ClassFrom)
        yield "--class-from", " or ".join(known), self.class_from, self.class_from in known

    @property
    def protocols(self) -> dict[str, scanner.Protocol]:
        """The scanners, by name."""
        return scanner.UNLIKE if self.class_from == "site" else scanner.PROTOCOLS


@dataclass(frozen=True)
class PlannedScan:
    """One scan to make: who, when, on which scanner, with lesions of which class's prior."""

    subject: str
    session: str | None
    diagnosis: lesions.Diagnosis
    protocol: str
    two_raters: bool
    lesions_of: lesions.Diagnosis

    @property
    def name(self) -> str:
        """Scan id, ``sub-X`` or ``sub-X_ses-Y``."""
        return name_of_scan(self.subject, self.session or "")

    @property
    def folder(self) -> Path:
        """BIDS folder below the cohort's."""
        return Path(folder_of(self.name), "anat")


def plan_scans(plan: Plan) -> list[PlannedScan]:
    """Return the cohort's scans, MS first."""
    return [*_class_scans(plan, "MS", plan.ms), *_class_scans(plan, "NMOSD", plan.nmosd)]


def _class_scans(plan: Plan, diagnosis: lesions.Diagnosis, count: int) -> Iterator[PlannedScan]:
    subjects = max(count - plan.follow_ups, 0)
    for number in range(1, subjects + 1):
        sessions = ("1", "2") if number <= plan.follow_ups else (None,)
        protocol = _protocol(plan, diagnosis, number)
        if number > subjects - plan.stripped:
            protocol = "research"
        # halved, so that raters and sites vary independently
        two_raters = plan.raters > 0 and number // 2 % plan.raters == 0
        lesions_of = _lesions_of(plan, diagnosis, number)
        for session in sessions:
            subject = f"{diagnosis}{number:02d}"
            yield PlannedScan(subject, session, diagnosis, protocol, two_raters, lesions_of)


def _protocol(plan: Plan, diagnosis: lesions.Diagnosis, number: int) -> str:
    """Return where a class's subjects are scanned: both sites alike, or most of them at one."""
    if plan.class_from == "lesions":
        return ("3d", "2d")[number % 2]
    own, other = ("3d", "2d") if diagnosis == "MS" else ("2d", "3d")
    return own if number % ELSEWHERE else other


def _lesions_of(plan: Plan, diagnosis: lesions.Diagnosis, number: int) -> lesions.Diagnosis:
    """Return whose prior a subject's lesions are drawn from.

    If lesions must not tell the class, a random draw decides for every two subjects of a class and
    site: one has lesions of MS, the other of NMOSD. So lesions tell neither the class nor the site.
    """
    if plan.class_from == "lesions":
        return diagnosis
    at_other = number % ELSEWHERE == 0
    place = number // ELSEWHERE if at_other else number - number // ELSEWHERE
    pair, second = divmod(place - 1, 2)
    coin = derive_seed(plan.seed, "lesions of", diagnosis, int(at_other), pair) % 2
    first, other = lesions.PRIORS
    return other if second ^ coin else first


def make_cohort(out: Path, plan: Plan, workers: int = 1) -> pd.DataFrame:
    """Make the cohort and return its scan table.

    Parameters
    ----------
    out : Path
        Folder of the cohort; made if missing.
    plan : Plan
        What to make.
    workers : int
        Number of processes. The files do not depend on it.
    """
    scans = plan_scans(plan)
    jobs = [(out, plan, scan) for scan in scans]
    if workers > 1:
        # spawn: the same on Linux and macOS, and no inherited thread pools
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            drawn = list(pool.map(_make_job, jobs))
    else:
        drawn = [_make_job(job) for job in jobs]
    table = pd.DataFrame([row for row, _ in drawn], columns=COLUMNS)
    write_json(
        out / "truth" / "drawn.json",
        {scan.name: facts for scan, (_, facts) in zip(scans, drawn, strict=True)},
    )
    write_json(out / DESCRIPTION, _description())
    write_text(out / "README", _README + (_OF_SITE if plan.class_from == "site" else ""))
    write_tsv(out / "scans.tsv", table)
    return table


def _make_job(job: tuple[Path, Plan, PlannedScan]) -> tuple[dict[str, str | None], dict[str, Any]]:
    return make_scan(*job)


def make_scan(
    out: Path, plan: Plan, scan: PlannedScan
) -> tuple[dict[str, str | None], dict[str, Any]]:
    """Make one scan, its masks and its truth; return its table row and what was drawn."""
    protocol = plan.protocols[scan.protocol]
    rng = np.random.default_rng(derive_seed(plan.seed, "scan", scan.name))
    subject, volumes, shown = _head(plan, scan)
    acquisition = scanner.draw_acquisition(protocol, rng, plan.min_voxel_mm)
    flair, lesion_share, brain_share = scanner.sample(subject, acquisition, volumes)
    grid, brain = acquisition.grid, brain_share >= 0.5
    lesion = (lesion_share >= 0.5) & brain
    masks = {"": lesion}
    if scan.two_raters:
        masks = {f"desc-rater{n}_": _rater(lesion_share, brain, rng) for n in (1, 2)}
    acquired, gain, artefacts = scanner.acquire(flair, brain, grid, protocol, rng)

    scanner.save_scan(_scan_path(out, scan, "FLAIR.nii.gz"), acquired, grid, protocol, gain)
    slice_mm = round(float(grid.voxel_mm.max()), 3)
    sidecar = {"Manufacturer": MANUFACTURER, **protocol.sequence, "SliceThickness": slice_mm}
    write_json(_scan_path(out, scan, "FLAIR.json"), sidecar)
    paths = [_scan_path(out, scan, f"label-lesion_{tag}mask.nii.gz") for tag in masks]
    truth = out / "truth"
    truths = {"desc-brain_mask.nii.gz": brain, "label-lesion_mask.nii.gz": lesion}
    paths_of = dict(zip(paths, masks.values(), strict=True))
    paths_of |= {_scan_path(truth, scan, name): mask for name, mask in truths.items()}
    for path, mask in paths_of.items():
        save_volume(path, mask, grid, np.uint8)

    relative = [path.relative_to(out).as_posix() for path in paths]
    facts = {
        "diagnosis": scan.diagnosis,
        "site": protocol.site,
        "lesion_ml": round(float(lesion.sum() * grid.voxel_ml), 3),
        "brain_ml": round(float(brain.sum() * grid.voxel_ml), 1),
        "shape": list(grid.shape),
        "voxel_mm": [round(float(size), 3) for size in grid.voxel_mm],
        "orientation": acquisition.codes,
        "scanner_to_head": acquisition.to_head(subject.size).round(6).tolist(),
        "raters": len(masks),
        **({"lesions_of": scan.lesions_of} if plan.class_from == "site" else {}),
        **artefacts,
        "lesions": [one.to_json() for one in shown],
    }
    return _row(scan, protocol, relative), facts


def _scan_path(folder: Path, scan: PlannedScan, ending: str) -> Path:
    return folder / scan.folder / f"{scan.name}_{ending}"


def _row(scan: PlannedScan, protocol: scanner.Protocol, masks: list[str]) -> dict[str, str | None]:
    arrived = "yes" if protocol.stripped else "no"
    return {
        "subject": scan.subject,
        "session": scan.session,
        "diagnosis": scan.diagnosis,
        "flair": _scan_path(Path(), scan, "FLAIR.nii.gz").as_posix(),
        "lesion_mask": ";".join(masks),
        "stripped": arrived,
        "bias_corrected": arrived,
        "site": protocol.site,
        "simulated": "yes",
    }


def _head(plan: Plan, scan: PlannedScan) -> tuple[Subject, list[np.ndarray], list[lesions.Lesion]]:
    """Return the person, maps of FLAIR, lesion and brain on the model's grid, and the lesions."""
    model = head_model(1 if plan.min_voxel_mm < BUILD_MM else BUILD_MM)
    subject = Subject(model, derive_seed(plan.seed, "subject", scan.subject))
    shown = lesions.draw_lesions(model, scan.lesions_of, subject.rng("lesions"))
    session = 2 if scan.session == "2" else 1
    if session == 2:
        shown = lesions.follow_up(model, scan.lesions_of, shown, subject.rng("follow-up"))
    healthy, tissue = flair_head(subject, plan.protocols[scan.protocol].grey)
    head, share = lesions.paint_lesions(healthy, tissue, model, shown, session)
    return subject, [head, share, true_brain(model)], shown


def _rater(share: np.ndarray, brain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the mask of a simulated reader: an own threshold, an uneven hand, a missed spot."""
    hand = ndimage.gaussian_filter(rng.standard_normal(share.shape, dtype=np.float32), 1.5)
    hand *= 0.12 / hand.std()
    drawn = (share + hand >= rng.uniform(0.35, 0.65)) & (share > 0.15) & brain
    labels, count = ndimage.label(drawn)
    sizes = ndimage.sum_labels(drawn, labels, np.arange(1, count + 1))
    missed = (
        (rng.random(count) < 0.25) & (sizes < np.median(sizes))
        if count > 2
        else np.zeros(count, bool)
    )
    return drawn & ~np.isin(labels, np.flatnonzero(missed) + 1)


def _description() -> dict[str, Any]:
    return {
        "Name": "msnmo demo cohort (simulated)",
        "BIDSVersion": "1.9.0",
        "DatasetType": "raw",
        "GeneratedBy": [{"Name": DEMO}],
        "License": "that of the ICBM 2009a template the anatomy is derived from, see README",
    }


_README = """\
Simulated T2-FLAIR head scans with MS-like and NMOSD-like lesions, made by `python -m msnmo.demo`.
They exist so that the workflow can be tried without patients. Nothing learned from them says
anything about patients.

scans.tsv           the scan table to give to the workflow
sub-*/              scans and lesion masks (one, or those of two simulated raters)
truth/              true brain and lesion masks, and drawn.json: what was drawn for each scan

The brain's anatomy is derived from the ICBM 2009a nonlinear symmetric template, Copyright (C)
1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill
University. Permission to use, copy, modify, and distribute this software and its documentation for
any purpose and without fee is hereby granted, provided that the above copyright notice appear in
all copies. The authors and McGill University make no representations about the suitability of this
software for any purpose. It is provided "as is" without express or implied warranty. The authors
are not responsible for any data loss, equipment damage, property loss, or injury to subjects or
patients resulting from the use or misuse of this software package.
"""

_OF_SITE = """
In this cohort the site tells the class and the lesions do not (--class-from site). Most MS is of
one site and most NMOSD of another, whose scanners differ in contrast and noise. Lesions are those
of MS in one half of each class and those of NMOSD in the other (lesions_of in drawn.json).
"""
