"""Write one of the paper's tables, our numbers beside the reported ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from msnmo.aggregate import across_folds, read_metrics
from msnmo.errors import run_command
from msnmo.evaluate.metrics import Space
from msnmo.files import write_text, write_tsv
from msnmo.tables.compare import compare
from msnmo.tables.layout import lay_out
from msnmo.tables.render import to_html, to_md, to_tex, to_tsv


def main() -> None:
    """Write one table in each of the formats asked for."""
    tables = lay_out()
    parser = argparse.ArgumentParser(prog="python -m msnmo.tables", description=__doc__)
    parser.add_argument("--table", type=int, choices=tables, required=True, help="its number")
    parser.add_argument("--metrics", type=Path, required=True, help="table of all metrics")
    parser.add_argument(
        "--space", choices=get_args(Space), default="model", help="where masks are compared"
    )
    parser.add_argument("--out-tsv", type=Path, required=True)
    parser.add_argument("--out-md", type=Path, required=True)
    parser.add_argument("--out-tex", type=Path, required=True)
    parser.add_argument("--out-html", type=Path, required=True)
    arguments = parser.parse_args()

    table = tables[arguments.table]
    rows = compare(table, across_folds(read_metrics(arguments.metrics)), arguments.space)
    write_tsv(arguments.out_tsv, to_tsv(table, rows))
    write_text(arguments.out_md, to_md(table, rows))
    write_text(arguments.out_tex, to_tex(table, rows))
    write_text(arguments.out_html, to_html(table, rows))


if __name__ == "__main__":
    run_command(main)
