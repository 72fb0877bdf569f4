"""The options of commands that run networks. They are apart from the device, which needs torch."""

from __future__ import annotations

import argparse
import os
from typing import Literal, get_args

from msnmo.compute.gpu_lock import PER_GPU
from msnmo.core.arguments import at_least

Choice = Literal["auto", "cpu", "cuda", "mps"]
threads_argument = at_least(1, 1000)
"""Reads what compute.threads takes in a config. With a million threads, torch ends the process."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a command the options ``--device`` and ``--threads``."""
    parser.add_argument(
        "--device",
        choices=get_args(Choice),
        default="auto",
        help="where the networks run; auto: cuda, else mps, else cpu",
    )
    parser.add_argument(
        "--per-gpu",
        type=at_least(1),
        default=os.environ.get(PER_GPU, "1"),
        help=f"number of jobs that may share a GPU (default: the variable {PER_GPU}, or 1)",
    )
    parser.add_argument(
        "--threads",
        type=threads_argument,
        default=1,
        help="CPU threads; equal numbers give equal bytes on the CPU (default: %(default)s)",
    )
