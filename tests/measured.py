"""Tables of metrics as evaluation writes them."""

import pandas as pd

COLUMNS = ["method", "fold", "scan", "metric", "value", "space"]


def with_folds(rows) -> pd.DataFrame:
    """Return metrics of scans, given as rows or as a table, and below them each fold's means."""
    by_scan = pd.DataFrame(rows, columns=COLUMNS)
    key = ["method", "fold", "metric", "space"]
    of_fold = by_scan.groupby(key, as_index=False)["value"].mean().assign(scan="n/a")
    return pd.concat([by_scan, of_fold], ignore_index=True)
