"""Skull-strip one scan: brain image, brain mask and a sidecar that says how they were made."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from msnmo.core.arguments import finite
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import sha256, write_json
from msnmo.core.memory import explain_little_memory
from msnmo.core.plausibility import background_doubts, volume_doubts
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_volume
from msnmo.preprocess.skullstrip import strip
from msnmo.preprocess.skullstrip.arrival import arrived_mask, given_mask
from msnmo.preprocess.skullstrip.extraction import Extraction
from msnmo.settings.skullstrip import Engine, Implausible


def main(arguments: Sequence[str] | None = None) -> None:
    """Skull-strip one scan. It stays on its own grid."""
    given = _parser().parse_args(arguments)
    with explain_little_memory(f"skull stripping of {given.flair}, engine {given.engine}"):
        _strip(given)


def _strip(given: argparse.Namespace) -> None:
    scan = load_volume(given.flair)
    brain, doubts = _brain_and_doubts(scan, given)
    flags = [*brain.flags, *_accepted(doubts, brain, given)]
    sidecar = _sidecar(scan, brain, flags, given.flair)
    save_volume(given.out_mask, brain.mask, scan.grid, np.uint8)
    save_volume(given.out_image, np.where(brain.mask, scan.data, np.float32(0)), scan.grid)
    write_json(given.out_sidecar, sidecar)
    report = sidecar["skullstrip"]
    print(
        f"{given.flair.name}: engine {brain.engine} {brain.version}, "
        f"brain {report['brain_ml']:.0f} ml" + "".join(f"; {flag}" for flag in flags)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.preprocess.skullstrip", description=__doc__
    )
    parser.add_argument("--flair", type=Path, required=True, help="head scan, NIfTI")
    parser.add_argument("--out-image", type=Path, required=True, help="scan, 0 outside the brain")
    parser.add_argument("--out-mask", type=Path, required=True, help="brain mask, uint8")
    parser.add_argument("--out-sidecar", type=Path, required=True, help="JSON: how it was made")
    parser.add_argument(
        "--engine",
        choices=get_args(Engine),
        default="auto",
        help="auto: fsl if found, else surface",
    )
    parser.add_argument(
        "--stripped",
        choices=("yes", "no"),
        default="no",
        help="yes: the scan arrived skull-stripped",
    )
    parser.add_argument(
        "--brain", type=Path, help="a brain mask of the scan; with it, no engine is run"
    )
    parser.add_argument("--frac", type=finite, default=0.4, help="0 to 1; larger = smaller brain")
    parser.add_argument("--robust", action="store_true", help="for scans with much neck")
    parser.add_argument(
        "--implausible",
        choices=get_args(Implausible),
        default="error",
        help="what to do with a mask outside 0.5 to 2.5 litres: an error, or a flag in the sidecar",
    )
    return parser


def _brain_and_doubts(scan: Volume, arguments: argparse.Namespace) -> tuple[Extraction, list[str]]:
    if arguments.brain is not None:
        brain = given_mask(scan, arguments.flair, arguments.brain)
        return brain, volume_doubts(brain.mask, scan.grid)
    if arguments.stripped == "yes":
        brain = arrived_mask(scan)
        return brain, [*volume_doubts(brain.mask, scan.grid), *background_doubts(scan)]
    brain = strip(scan, arguments.flair, arguments.engine, arguments.frac, arguments.robust)
    return brain, volume_doubts(brain.mask, scan.grid)


def _accepted(doubts: list[str], brain: Extraction, arguments: argparse.Namespace) -> list[str]:
    """Return doubts as flags if the user accepts them. An empty mask is never accepted."""
    if not doubts or (arguments.implausible == "flag" and brain.mask.any()):
        return doubts
    if arguments.brain is not None:
        expected = f"a brain mask of 0.5 to 2.5 litres in {arguments.brain}"
        remedy = "correct the mask, or leave the scan table's column `brain_mask` empty"
    elif arguments.stripped == "yes":
        expected = "a skull-stripped brain of 0.5 to 2.5 litres on a background of zeros"
        remedy = "the scan table's column `stripped` may be wrong: write `no` if this is a head"
    else:
        expected = f"a brain of 0.5 to 2.5 litres from the engine {brain.engine}"
        remedy = (
            "look at the scan; try another engine, `frac` (larger = smaller brain) or `robust`, "
            "or set `implausible: flag` to go on with this mask; if the scan arrived without its "
            "skull, write `yes` in the scan table's column `stripped`"
        )
    raise bad_input(arguments.flair, expected, "; ".join(doubts), remedy)


def _sidecar(scan: Volume, brain: Extraction, flags: list[str], file: Path) -> dict[str, Any]:
    return {
        "skullstrip": {
            "engine": brain.engine,
            "version": brain.version,
            "settings": brain.settings,
            "brain_ml": round(int(brain.mask.sum()) * scan.grid.voxel_ml, 3),
            "flags": flags,
            "form_conflict": scan.grid.form_conflict,
            "input_sha256": sha256(file),
        }
    }


if __name__ == "__main__":
    run_command(main)
