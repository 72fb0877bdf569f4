"""Measure what msnmo costs on this machine, compared with what it could cost: JSON and a table.

train: a training step, compared with plain PyTorch and MONAI's loop.
predict: the predictions of a fold, compared with the network alone.
preprocess: one head, compared with skull strip and N4 alone.
dag: a dry run, compared with one of plain Snakemake with the same number of jobs.

Example: msnmo benchmark train --methods joint unet --size 96 --seconds 300 --out figures.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

from msnmo.core.command import CALLED, program
from msnmo.core.errors import run_command

PARTS = ("train", "predict", "preprocess", "dag")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one part, which has its own options."""
    parser = argparse.ArgumentParser(
        prog=program("msnmo.benchmark"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=PARTS, help="PART --help lists its options")
    parser.add_argument("options", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    module = f"msnmo.benchmark.{given.part}"
    CALLED[module] = f"{parser.prog} {given.part}"
    import_module(module).main(given.options)


if __name__ == "__main__":
    run_command(main)
