"""List what the pages of scans are made of: tables of all scans, and a digest of each."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from msnmo.core.errors import run_command
from msnmo.core.files import sha256, write_json


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the digests of tables, which change when a table does, and only then."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.report.made_of", description=__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="TSV")
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    given = parser.parse_args(arguments)
    # the list lies in the folder that is handed on: no path of this machine
    named = {os.path.relpath(path, given.out.parent): sha256(path) for path in given.tables}
    write_json(given.out, {"tables": named})


if __name__ == "__main__":
    run_command(main)
