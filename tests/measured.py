"""Tables of metrics as evaluation writes them."""

import pandas as pd

from msnmo.evaluate.aggregate import COLUMNS, RUN


def with_folds(rows) -> pd.DataFrame:
    """Return metrics of scans, rows or a table, and below them each training's means."""
    by_scan = pd.DataFrame(rows, columns=list(COLUMNS))
    key = [*RUN, "metric", "space"]
    of_fold = by_scan.groupby(key, as_index=False)["value"].mean().assign(scan="n/a")
    return pd.concat([by_scan, of_fold], ignore_index=True)
