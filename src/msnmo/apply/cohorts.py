"""A bundle applied to a labelled cohort and evaluated on it: the work of `msnmo apply --truth`.

Table and scans are checked as the workflow checks them, and refused with every error at once,
before anything is computed: an evaluation of those scans that happen to be sound would be another.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from msnmo.apply.ensemble import load_ensemble
from msnmo.apply.evaluation import Settings, evaluate
from msnmo.apply.evaluation_page import FOLDER, PAGE, in_words, write_evaluation
from msnmo.apply.listing import write_listing
from msnmo.apply.overlap import NO_SEALS, find_overlap, findings_of, fingerprints_of
from msnmo.apply.preprocess import Arrived
from msnmo.apply.records import SITE, note_failures
from msnmo.apply.remedies import as_options
from msnmo.apply.scans import apply_all, part_of, tell
from msnmo.apply.writable import require_writable
from msnmo.bundle.contents import Bundle, read_bundle
from msnmo.check.check_cohort import check_row
from msnmo.check.findings import findings_in
from msnmo.check.listing import list_findings
from msnmo.cohort.excluded import COLUMNS as EXCLUDED_COLUMNS
from msnmo.cohort.table import survey_scan_table
from msnmo.compute.device import pick_device, prepare
from msnmo.core.errors import InputError, MsnmoError
from msnmo.core.files import write_tsv
from msnmo.core.lesion_labels import Labels, labels_given
from msnmo.core.saving import save_volume
from msnmo.preprocess.raters import combine_masks, load_raters
from msnmo.settings.config import Config


def apply_to_cohort(given: argparse.Namespace) -> None:
    """Apply a bundle to the scans of a table and evaluate it on those whose truth is known.

    Parameters
    ----------
    given : Namespace
        The options of `msnmo.apply`.

    Raises
    ------
    InputError
        With all that is wrong of the table and its files, and every scan of a subject that the
        bundle's folds learned from.
    MsnmoError
        If a scan could not be applied to: nothing is evaluated then.
    """
    bundle = read_bundle(given.bundle, signers=given.signers, classes=given.classes)
    if bundle.unverified:
        tell(f"warning: {bundle.unverified}")
    cohort, overlap = _receive(given, bundle)
    require_writable(given.out)
    device = pick_device(given.device, given.per_gpu, "apply")
    prepare(device, given.threads)
    everything = {row["scan"]: _arrived(row) for row in cohort.to_dict("records")}
    arrived = part_of(everything, given.part)
    failed: dict[str, MsnmoError] = {}
    if arrived:
        failed = apply_all(load_ensemble(bundle, device), [*arrived.values()], given)
    note_failures(given.out, failed, {name: scan.flair for name, scan in arrived.items()})
    write_listing(given.out)
    if failed:
        raise MsnmoError(
            f"{len(failed)} of {len(arrived)} scans not done, so that nothing was evaluated: "
            f"{', '.join(failed)}. What is wrong is told above. Mend these scans, or remove them "
            "from the table"
        )
    if given.part:
        tell("this part is done; the same command without --part evaluates, when all parts are")
        return
    write_tsv(given.out / FOLDER / "overlap.tsv", overlap)
    # the workflow's own defaults: equal bytes
    config = Config()
    statistics = config.statistics
    settings = Settings(
        *(config.seed, statistics.replicates, statistics.confidence, given.combine),
        smallest_mm3=config.metrics.smallest_lesion_mm3,
    )
    nobody = pd.DataFrame(columns=list(EXCLUDED_COLUMNS))
    with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
        truth = f"{folder}/{{scan}}_desc-lesion_mask.nii.gz"
        for row in cohort[cohort["lesion_mask"] != ""].itertuples():
            grid, masks = load_raters(
                row.flair, row.lesion_mask.split(";"), _resamples(given), _labels(given)
            )
            combined = combine_masks(masks, given.combine)
            save_volume(truth.format(scan=row.scan), combined, grid, dtype=np.uint8)
        evaluation = evaluate(
            *(bundle, cohort, overlap),
            applied=given.out,
            truth=truth,
            settings=settings,
            excluded=nobody,
        )
    write_evaluation(given.out, evaluation)
    tell(in_words(evaluation))
    tell(f"written: {given.out / FOLDER / 'table.tsv'}, {given.out / SITE / PAGE}")


def _resamples(given: argparse.Namespace) -> bool:
    return given.other_grid == "resample"


def _labels(given: argparse.Namespace) -> Labels:
    return labels_given(given.lesion_labels)


def _receive(given: argparse.Namespace, bundle: Bundle) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cohort and its scans that overlap, after a check of all that there is."""
    survey = survey_scan_table(given.truth, diagnosis_alone=True)
    cohort = survey.cohort
    with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
        pattern = f"{folder}/{{scan}}.json"
        reports = [
            check_row(row, _resamples(given), _labels(given))
            for row in survey.opened.to_dict("records")
        ]
        for report in reports:
            report.write(Path(pattern.format(scan=report.scan)))
        table, *_ = list_findings(given.truth, None, pattern, diagnosis_alone=True)
    for finding in findings_in(table, "warning"):
        tell(f"warning: {as_options(str(finding), has_table=True)}")
    overlap = find_overlap(bundle, cohort, fingerprints_of(reports))
    if bundle.training_seals is None:
        tell(f"warning: {bundle.path}: {NO_SEALS}")
    errors = findings_in(table, "error")
    errors += [] if given.leave_out_overlap else findings_of(overlap, cohort)
    if errors:
        raise InputError(errors)
    return cohort, overlap


def _arrived(row: dict[str, str]) -> Arrived:
    return Arrived(
        row["scan"],
        Path(row["flair"]),
        row["stripped"] == "yes",
        row["bias_corrected"] == "yes",
        brain=(Path(row["brain_mask"]),) if row["brain_mask"] else (),
    )
