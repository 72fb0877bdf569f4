"""What a bundle is worth on a labelled cohort that it never saw: metrics, intervals, by site.

Masks are compared in native space alone: the ensemble's mask is made there, and no mask of it in
model space is kept. Intervals are bootstrapped over the subjects, within each diagnosis.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msnmo.apply.pages import RUN_ENDING
from msnmo.bundle.contents import Bundle
from msnmo.cohort.simulated import Simulated
from msnmo.core.diagnoses import diagnoses, probabilities, score
from msnmo.core.errors import Finding, InputError
from msnmo.core.files import read_json
from msnmo.core.names import path_of_scan
from msnmo.evaluate.fold import classification_rows, mask_metrics
from msnmo.evaluate.inputs import MASK_NAMES, MaskPair
from msnmo.evaluate.metrics import BOOTSTRAP, PROPORTIONS, metrics_of, space_of
from msnmo.evaluate.statistics.bootstrap import Drawn
from msnmo.evaluate.statistics.compare import by_method, compare_metric
from msnmo.settings.methods import Task

ALL_SITES, NO_SITE = "all", "not stated"
COHORT_COLUMNS = dict.fromkeys(
    ("scan", "subject", "diagnosis", "lesion_mask", "site", "flair"), str
)
RUN_AGAIN = "delete the scan's folder and apply the bundle again"


@dataclass(frozen=True)
class Settings:
    """How a cohort is evaluated, as the config says it.

    Parameters
    ----------
    seed : int
        Of the bootstrap.
    replicates : int
        Bootstrap samples of the subjects.
    confidence : float
        Of the intervals, within 0 and 1.
    combine : str
        How raters' masks were combined; told of, not done here.
    smallest_mm3 : float
        Volume from which lesions are counted.
    """

    seed: int
    replicates: int
    confidence: float
    combine: str
    smallest_mm3: float


@dataclass(frozen=True)
class Evaluation:
    """What was found of a cohort.

    Parameters
    ----------
    bundle : Bundle
    settings : Settings
    scans : DataFrame
        A row per scan of the cohort: scan, subject, site, diagnosis (empty where not known),
        segmentation and classification (whether it is judged by its mask and by its diagnosis),
        reason (why by neither, else empty).
    metrics : DataFrame
        A row per judged scan and metric: scan, metric, value (fractions, mm or ml; NaN where
        undefined), space.
    statistics : DataFrame
        A row per site (and `ALL_SITES`) and metric: site, metric, space, n_scans, n_undefined,
        n_subjects, estimate, ci_low, ci_high, interval (bootstrap or exact), in the metric's unit.
    excluded : DataFrame
        As `msnmo.cohort.excluded.read_excluded` returns.
    made_of : Simulated
        How many scans of the cohort are simulated.
    """

    bundle: Bundle
    settings: Settings
    scans: pd.DataFrame
    metrics: pd.DataFrame
    statistics: pd.DataFrame
    excluded: pd.DataFrame
    made_of: Simulated


def evaluate(
    bundle: Bundle,
    cohort: pd.DataFrame,
    overlap: pd.DataFrame,
    *,
    applied: Path,
    truth: str,
    settings: Settings,
    excluded: pd.DataFrame,
) -> Evaluation:
    """Return what the bundle's ensemble is worth on the scans whose truth is known.

    Parameters
    ----------
    bundle : Bundle
    cohort : DataFrame
        Columns of `COHORT_COLUMNS`, missing or empty where nothing is known; maybe simulated.
    overlap : DataFrame
        Of `msnmo.apply.overlap`: scans to leave out.
    applied : Path
        The folder that the bundle's results were written to.
    truth : str
        Path of a scan's lesion mask, the raters' combined, with ``{scan}`` and ``{folder}``.
    settings : Settings
    excluded : DataFrame
        As of `Evaluation`.

    Raises
    ------
    InputError
        With everything that is missing, damaged or on another grid.
    """
    scans = judged_scans(cohort, overlap, bundle.tasks)
    folders = {scan: path_of_scan(f"{applied}/{{folder}}/anat", scan) for scan in scans["scan"]}
    rows, findings = [], []
    for scan in scans.loc[scans["segmentation"], "scan"]:
        prediction = folders[scan] / MASK_NAMES["native"].format(scan=scan)
        pair = MaskPair(scan, "native", prediction, path_of_scan(truth, scan))
        try:
            measured = mask_metrics(pair, settings.smallest_mm3)
        except InputError as error:
            findings += [Finding(f.file, f.expected, f.found, RUN_AGAIN) for f in error.findings]
            continue
        rows += [(scan, name, value, "native") for name, value in measured.items()]
    tests = scans[scans["classification"]]
    chances = {}
    for scan in tests["scan"]:
        path = folders[scan] / f"{scan}{RUN_ENDING}"
        try:
            chances[scan] = float(read_json(path)["class"][probabilities()[1]])
        except InputError as error:
            findings += error.findings
        except (KeyError, TypeError, ValueError) as error:
            findings.append(Finding(str(path), "the run of a scan", repr(error), RUN_AGAIN))
    if findings:
        raise InputError(findings)
    if len(tests):
        told = pd.DataFrame({"scan": list(chances), probabilities()[1]: list(chances.values())})
        rows += classification_rows(tests, told)[0]
    metrics = pd.DataFrame(rows, columns=["scan", "metric", "value", "space"])
    metrics = metrics.sort_values("scan", kind="stable", ignore_index=True)
    statistics = statistics_of(metrics, scans, bundle, settings)
    made_of = Simulated.among(cohort)
    return Evaluation(bundle, settings, scans, metrics, statistics, excluded, made_of)


def judged_scans(
    cohort: pd.DataFrame, overlap: pd.DataFrame, tasks: frozenset[Task]
) -> pd.DataFrame:
    """Return which scans are judged by what, as of `Evaluation.scans`, sorted by scan."""
    scans = cohort[list(COHORT_COLUMNS)].fillna("").sort_values("scan", ignore_index=True)
    reasons = dict(zip(overlap["scan"], overlap["reason"], strict=True))
    reason = scans["scan"].map(reasons).fillna("")
    new = reason == ""
    by_mask = new & (scans["lesion_mask"] != "") & ("segmentation" in tasks)
    by_class = new & (scans["diagnosis"] != "") & ("classification" in tasks)
    without = "no truth" if len(tasks) > 1 else f"no truth for {', '.join(tasks)}"
    return pd.DataFrame(
        {
            "scan": scans["scan"],
            "subject": scans["subject"],
            "site": scans["site"].replace("", NO_SITE),
            "diagnosis": scans["diagnosis"],
            "segmentation": by_mask,
            "classification": by_class,
            "reason": reason.where(~new | by_mask | by_class, without),
        }
    )


def statistics_of(
    metrics: pd.DataFrame, scans: pd.DataFrame, bundle: Bundle, settings: Settings
) -> pd.DataFrame:
    """Return the statistics of all sites together, then of each site where there are several.

    The whole cohort is what a fold is in cross-validation: SN, SP, AUC and VC are of all its scans.
    """
    about = metrics.merge(scans[["scan", "subject", "site", "diagnosis"]], on="scan")
    # what the comparison of methods tells apart: here one method, tested once
    about = about.assign(method=bundle.method.name, fold=0, seed=0)
    sites = sorted(about["site"].unique())
    groups = {ALL_SITES: about}
    if len(sites) > 1:
        groups |= {site: about[about["site"] == site] for site in sites}
    rows = [
        {"site": site} | row
        for site, group in groups.items()
        for row in _statistics_of_group(group, bundle, settings)
    ]
    return pd.DataFrame(rows, columns=list(STATISTICS_COLUMNS))


NUMBERS = ("estimate", "ci_low", "ci_high")
STATISTICS_COLUMNS = (
    *("site", "metric", "space", "n_scans", "n_undefined", "n_subjects"),
    *NUMBERS,
    "interval",
)


def _statistics_of_group(
    group: pd.DataFrame, bundle: Bundle, settings: Settings
) -> list[dict[str, Any]]:
    about = group.drop_duplicates("scan")
    measured = by_method(group.drop(columns=["subject", "site", "diagnosis"]), about)
    name = bundle.method.name
    rows = []
    for task, always in each_has().items():
        # drawn are those who have this truth: others would leave draws with fewer scans
        known = group[group["metric"] == always].drop_duplicates("scan")
        if known.empty:
            continue
        drawn = Drawn.draw(known, [0], settings.replicates, settings.seed)
        for metric in shown_metrics(bundle.tasks & {task}):
            space = space_of(metric, "native")
            (row,) = compare_metric(
                *(metric, [name], measured, drawn), confidence=settings.confidence, space=space
            )
            if not row["n_scans"]:
                continue
            if row["interval"] == BOOTSTRAP and not _can_vary(metric, known):
                row |= {"ci_low": np.nan, "ci_high": np.nan, "interval": None}
            values = group.loc[(group["metric"] == metric) & (group["space"] == space), "value"]
            row |= {"metric": metric, "space": space, "n_undefined": int(values.isna().sum())}
            rows.append(row)
    return rows


def each_has() -> dict[Task, str]:
    """Return what each scan has that is judged of a task."""
    return {"segmentation": "V_TRUE", "classification": score()}


def _can_vary(metric: str, known: pd.DataFrame) -> bool:
    """Whether the bootstrap has a choice: it draws as many subjects of a diagnosis as there are."""
    rows = known
    if metric in PROPORTIONS:
        counted = [diagnoses()[number] for number in PROPORTIONS[metric]]
        rows = known[known["diagnosis"].isin(counted)]
    return bool(rows.groupby("diagnosis")["subject"].nunique().gt(1).any())


def shown_metrics(tasks: frozenset[Task]) -> list[str]:
    """Return the metrics that are shown, those of the tables of results, in their order."""
    return [
        *(metrics_of("segmentation") if "segmentation" in tasks else []),
        *(metrics_of("segmentation", paper=False) if "segmentation" in tasks else []),
        *(metrics_of("classification") if "classification" in tasks else []),
    ]
