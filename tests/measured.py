"""Tables of metrics as evaluation writes them."""

from pathlib import Path

import pandas as pd

from msnmo.core.files import write_tsv
from msnmo.evaluate.aggregate import COLUMNS, RUN
from msnmo.evaluate.classification import classification_metrics
from msnmo.evaluate.lesion_detection import volume_correlation
from msnmo.evaluate.metrics import METRICS


def with_folds(rows, diagnoses=None) -> pd.DataFrame:
    """Return metrics of scans, rows or a table, and below them each training's means.

    With diagnoses, a column by scan, also what a fold has of all its scans together.
    """
    by_scan = pd.DataFrame(rows, columns=list(COLUMNS))
    key = [*RUN, "metric", "space"]
    judged = by_scan[by_scan["metric"].isin(METRICS)]
    of_fold = judged.groupby(key, as_index=False)["value"].mean().assign(scan="n/a")
    together = [] if diagnoses is None else list(_together(by_scan, diagnoses))
    return pd.concat(
        [by_scan, of_fold, *([pd.DataFrame(together)] if together else [])], ignore_index=True
    )[list(COLUMNS)]


def _together(by_scan, diagnoses):
    for run, rows in by_scan.groupby(RUN):
        wide = rows.pivot_table(index="scan", columns="metric", values="value", sort=False)
        found = {}
        if "P_NMOSD" in wide:
            nmosd = (diagnoses[wide.index] == "NMOSD").to_numpy()
            values = classification_metrics(nmosd, wide["P_NMOSD"].to_numpy())
            found = {(name, "n/a"): values[name] for name in ("SN", "SP", "AUC")}
        if "V_TRUE" in wide:
            found["VC", "native"] = volume_correlation(wide["V_TRUE"], wide["V_PRED"])
        for (metric, space), value in found.items():
            yield dict(zip(RUN, run, strict=True)) | {
                "scan": "n/a",
                "metric": metric,
                "value": value,
                "space": space,
            }


def of_folds(folder: Path) -> list[str]:
    """Options that tell how folds were made, of a cohort of one scan of each class and site."""
    rows = [("sub-1", "1", "MS", "A"), ("sub-2", "2", "NMOSD", "B")]
    cohort = pd.DataFrame(rows, columns=["scan", "subject", "diagnosis", "site"])
    write_tsv(folder / "cohort.tsv", cohort)
    return [f"--cohort={folder / 'cohort.tsv'}", "--split=site", "--k=2"]
