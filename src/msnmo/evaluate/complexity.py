"""Size and cost of every method's network: parameters and forward operations."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from msnmo.core.errors import run_command
from msnmo.core.files import write_tsv
from msnmo.networks.build import build_network
from msnmo.settings.methods import get_method
from msnmo.settings.model import Size


def measure(name: str, settings: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """Return the complexity of a method's network for one scan.

    The pass runs on shapes only (fake tensors), so it takes no memory and little time.

    Parameters
    ----------
    name : str
        Method.
    settings : mapping
        Settings of its network.
    size : (3,) tuple of int
        Input size in voxels.

    Returns
    -------
    dict
        method, label, size, parameters_millions (trainable) and gflop: 10^9 floating-point
        operations of convolutions and matrix products. A multiplication and an addition count as
        two; norms, activations and interpolations are not counted (torch's FlopCounterMode).
    """
    method = get_method(name)
    network = build_network(method, method.settings.from_mapping(settings), size).eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), counter:
        network(torch.empty(1, 1, *size))
    trainable = sum(each.numel() for each in network.parameters() if each.requires_grad)
    return {
        "method": name,
        "label": method.label,
        "size": "x".join(map(str, size)),
        "parameters_millions": f"{trainable / 1e6:.3f}",
        "gflop": f"{counter.get_total_flops() / 1e9:.1f}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one row per method."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.complexity", description=__doc__
    )
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        metavar="JSON",
        help="the settings of each method's network, by method",
    )
    parser.add_argument(
        "--sizes", type=_size, nargs="+", required=True, metavar="XxYxZ", help="in voxels"
    )
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    given = parser.parse_args(arguments)
    rows = [
        measure(name, own, size) for size in given.sizes for name, own in given.settings.items()
    ]
    write_tsv(given.out, pd.DataFrame(rows))


def _size(text: str) -> Size:
    edges = tuple(int(edge) for edge in text.split("x"))
    if len(edges) != 3:
        raise argparse.ArgumentTypeError(f"expected three edges such as 160x160x160, not {text}")
    return edges


if __name__ == "__main__":
    run_command(main)
