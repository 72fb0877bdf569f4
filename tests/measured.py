"""Tables of metrics as evaluation writes them."""

from pathlib import Path

import pandas as pd

from msnmo.core.files import write_tsv
from msnmo.evaluate.aggregate import COLUMNS, RUN


def with_folds(rows) -> pd.DataFrame:
    """Return metrics of scans, rows or a table, and below them each training's means."""
    by_scan = pd.DataFrame(rows, columns=list(COLUMNS))
    key = [*RUN, "metric", "space"]
    of_fold = by_scan.groupby(key, as_index=False)["value"].mean().assign(scan="n/a")
    return pd.concat([by_scan, of_fold], ignore_index=True)


def of_folds(folder: Path) -> list[str]:
    """Options that tell how folds were made, of a cohort of one scan of each class and site."""
    rows = [("sub-1", "1", "MS", "A"), ("sub-2", "2", "NMOSD", "B")]
    cohort = pd.DataFrame(rows, columns=["scan", "subject", "diagnosis", "site"])
    write_tsv(folder / "cohort.tsv", cohort)
    return [f"--cohort={folder / 'cohort.tsv'}", "--split=site", "--k=2"]
