"""Perturb one scan in every condition, and take each to model space by the steps of preprocessing.

Steps run within this process, with the options that the workflow's rules give them. So an
unperturbed scan has exactly the bytes of the workflow.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch

from msnmo.core.errors import InputError, bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, atomic_folder, read_json, write_json, write_tsv
from msnmo.core.same_grid import check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.seeds import derive_seed
from msnmo.core.volumes import load_mask, load_volume
from msnmo.preprocess import crop, n4, resize, zscore
from msnmo.preprocess.steps import STEPS
from msnmo.robustness.conditions import COLUMNS, LIES_ON, TABLE, Condition, conditions_of
from msnmo.robustness.perturbations import Head, LeftOut, perturb

RUN: Mapping[str, Callable[[Sequence[str]], None]] = MappingProxyType(
    {"n4": n4.main, "crop": crop.main, "resize": resize.main, "zscore": zscore.main}
)
"""The steps after skull stripping, in order."""


def prepare(
    head: Head, stem: Path, settings: Mapping[str, Any], bias_corrected: str
) -> dict[str, Path]:
    """Take a head to model space.

    Parameters
    ----------
    head : Head
    stem : Path
        Start of the names of its files.
    settings : mapping
        The steps' sections of the config.
    bias_corrected : {"yes", "no"}
        Whether the scan arrived corrected.

    Returns
    -------
    dict of str to Path
        image, sidecar and brain, in model space.

    Raises
    ------
    InputError
        If a step cannot go on.
    """
    made = {
        "image": Path(f"{stem}_FLAIR.nii.gz"),
        "sidecar": Path(f"{stem}_FLAIR.json"),
        "brain": Path(f"{stem}_mask.nii.gz"),
    }
    known = {"bias_corrected": bias_corrected}
    with tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder), made)
        grid, brain = head.scan.grid, head.brain
        save_volume(files["n4"]["image"], np.where(brain, head.scan.data, np.float32(0)), grid)
        save_volume(files["n4"]["brain"], brain, grid, np.uint8)
        for name, run in RUN.items():
            step = STEPS[name]
            words = step.command(files[name], step.options(settings, known))
            run(words[words.index("-m") + 2 :])
    sidecar = read_json(made["sidecar"]) | {LIES_ON: head.lies_on.to_json()}
    write_json(made["sidecar"], sidecar)
    return made


def _files(folder: Path, made: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Return the files of each step. Intermediate files are neither compressed nor kept."""
    stripped, brain = folder / "stripped.nii", folder / "brain.nii"
    corrected, cropped, resized = (folder / f"{name}.nii" for name in ("n4", "crop", "resize"))
    small = folder / "crop-brain.nii"
    return {
        "n4": {
            **{"image": stripped, "brain": brain},
            **{"out_image": corrected, "out_sidecar": folder / "n4.json"},
        },
        "crop": {
            **{"image": corrected, "brain": brain, "out_image": cropped, "out_brain": small},
            "out_sidecar": folder / "crop.json",
        },
        "resize": {
            **{"image": cropped, "brain": small, "sidecar": folder / "crop.json"},
            **{"out_image": resized, "out_brain": made["brain"]},
            "out_sidecar": folder / "resize.json",
        },
        "zscore": {
            **{"image": resized, "brain": made["brain"], "sidecar": folder / "resize.json"},
            **{"out_image": made["image"], "out_sidecar": made["sidecar"]},
        },
    }


def perturb_all(
    head: Head,
    seed_of: Callable[[Condition], int],
    folder: Path,
    settings: Mapping[str, Any],
    bias_corrected: str,
) -> pd.DataFrame:
    """Write a head in model space in every condition that is possible for it.

    Parameters
    ----------
    head : Head
        As it arrived.
    seed_of : callable
        Returns the seed of a condition's random numbers.
    folder : Path
    settings : mapping
        The config's sections `robustness` and of preprocessing.
    bias_corrected : {"yes", "no"}

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. File names are relative to the folder.
    """
    rows = []
    for condition in conditions_of(settings["robustness"]):
        row: dict[str, object] = {
            "perturbation": condition.perturbation,
            "severity": condition.severity,
        }
        try:
            changed = perturb(head, condition, seed_of(condition), settings["skull_strip"])
            files = prepare(changed, folder / condition.name, settings, bias_corrected)
            row |= {name: path.name for name, path in files.items()}
        except LeftOut as why:
            row["left_out"] = str(why)
        except InputError as error:
            # what a step refuses is a result, too: this pipeline makes nothing of such a scan
            row["left_out"] = f"preprocessing failed: {error.findings[0].found}"
        print(f"{condition.perturbation} {condition.severity}: {row.get('left_out', 'made')}")
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder of one scan's conditions."""
    given = _parse(arguments)
    # sums of floats over several threads differ in the last digits
    torch.set_num_threads(1)
    settings = _read_settings(given.settings)
    scan, brain = load_volume(given.flair), load_mask(given.brain)
    check_same_grid(given.brain, brain, given.flair, scan)
    sidecar = read_json(given.sidecar)
    if "engine" not in sidecar.get("skullstrip", {}):
        raise bad_input(given.sidecar, "the engine of a brain mask", "none", MAKE_AGAIN)
    head = Head(
        *(scan, brain.data, scan.grid, given.flair),
        stripped=given.stripped == "yes",
        engine=sidecar["skullstrip"]["engine"],
    )

    def seed_of(condition: Condition) -> int:
        return derive_seed(given.seed, given.scan, condition.perturbation, condition.severity)

    with atomic_folder(given.out) as folder:
        table = perturb_all(head, seed_of, folder, settings, given.bias_corrected)
        write_tsv(folder / TABLE, table)


def _read_settings(text: str) -> dict[str, Any]:
    """Return the config's sections on perturbing and preprocessing, already checked."""
    content = json.loads(text)
    needed = ("robustness", "skull_strip", "n4", "resize", "zscore")
    if missing := [name for name in needed if name not in content]:
        remedy = "give these sections of the config as JSON"
        raise bad_input(
            "--settings", f"sections {', '.join(needed)}", f"no {', '.join(missing)}", remedy
        )
    return dict(content)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.robustness.perturb", description=__doc__)
    parser.add_argument("--scan", required=True, help="its name, which determines the seeds")
    parser.add_argument("--flair", type=Path, required=True, help="the scan as it arrived")
    parser.add_argument("--brain", type=Path, required=True, help="its brain mask")
    parser.add_argument("--sidecar", type=Path, required=True, help="JSON on how the mask was made")
    parser.add_argument(
        "--stripped", choices=("yes", "no"), required=True, help="yes: it arrived stripped"
    )
    parser.add_argument(
        "--bias-corrected", choices=("yes", "no"), required=True, help="yes: it arrived corrected"
    )
    parser.add_argument(
        "--settings", required=True, help="sections robustness, skull_strip, n4, resize, zscore"
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the config")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
