"""List all findings of a cohort: those of its scan table and of every scan."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msnmo.check.findings import SEVERITIES
from msnmo.check.listing import list_findings, to_page
from msnmo.core.counts import counted
from msnmo.core.errors import run_command
from msnmo.core.files import write_text, write_tsv


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the findings. `msnmo.check.accept` decides whether the run may go on."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.check", description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="the scan table")
    parser.add_argument("--decisions", type=Path, help="a rater's decisions")
    parser.add_argument(
        "--reports", required=True, help="path of a scan's report, with {scan} and {folder}"
    )
    parser.add_argument(
        "--diagnosis-alone",
        action="store_true",
        help="a scan with a diagnosis needs no lesion mask, as no training uses it",
    )
    parser.add_argument("--out-table", type=Path, required=True, help="TSV")
    parser.add_argument("--out-page", type=Path, required=True, help="HTML")
    given = parser.parse_args(arguments)
    table, count, simulated = list_findings(
        given.scans, given.decisions, given.reports, given.diagnosis_alone
    )
    write_tsv(given.out_table, table)
    write_text(given.out_page, to_page(table, count, simulated))
    counts = Counter(table["severity"])
    told = ", ".join(counted(counts[severity], severity) for severity in SEVERITIES)
    print(f"{counted(count, 'scan')} opened: {told}")


if __name__ == "__main__":
    run_command(main)
