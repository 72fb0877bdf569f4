"""Options that every command with intervals of the bootstrap has."""

from __future__ import annotations

import argparse
from pathlib import Path

from msnmo.core.arguments import between_0_and_1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a command ``--folds``, ``--seed``, ``--replicates``, ``--confidence`` and ``--out``."""
    parser.add_argument("--folds", type=Path, required=True, help="folds.tsv")
    parser.add_argument("--seed", type=int, required=True, help="of the bootstrap")
    parser.add_argument("--replicates", type=int, default=2000, help="bootstrap samples")
    parser.add_argument("--confidence", type=between_0_and_1, default=0.95, help="of the intervals")
    parser.add_argument("--out", type=Path, required=True, help="TSV")
