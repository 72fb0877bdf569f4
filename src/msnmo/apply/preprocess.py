"""A new scan from head to model space: the workflow's own steps, run one after the other.

Each step is the command that the workflow's rule runs, in a process of its own: the two give the
same bytes, and a step's memory is free again when it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msnmo.apply.prepared import Prepared
from msnmo.core.errors import MsnmoError

SOURCE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Arrived:
    """A scan as it arrives.

    Parameters
    ----------
    name : str
        ``sub-X`` or ``sub-X_ses-Y``.
    flair : Path
        Its NIfTI file.
    stripped, bias_corrected : bool
        What was done before it arrived.
    dicom : tuple of Path
        The DICOM files that the NIfTI file was made of, if it was.
    """

    name: str
    flair: Path
    stripped: bool = False
    bias_corrected: bool = False
    dicom: tuple[Path, ...] = ()

    @property
    def folder(self) -> str:
        """``sub-X`` or ``sub-X/ses-Y``."""
        return self.name.replace("_", "/")


def preprocess(
    scan: Arrived, settings: Mapping[str, Mapping[str, Any]], folder: Path, tell: Callable
) -> Prepared:
    """Run skull strip, N4, crop, resize and z-score on one scan.

    Parameters
    ----------
    scan : Arrived
    settings : mapping
        The config's sections skull_strip, n4, resize and zscore.
    folder : Path
        Where the files go.
    tell : callable
        Told the name of each step before it starts.

    Raises
    ------
    MsnmoError
        With the message of the step that failed.
    """
    stem = folder / scan.name
    prepared = Prepared(
        scan.name,
        scan.flair,
        brain=Path(f"{stem}_desc-brain_mask.nii.gz"),
        brain_sidecar=Path(f"{stem}_desc-brain_FLAIR.json"),
        n4=Path(f"{stem}_desc-n4_FLAIR.nii.gz"),
        image=Path(f"{stem}_space-model_desc-zscore_FLAIR.nii.gz"),
        sidecar=Path(f"{stem}_space-model_desc-zscore_FLAIR.json"),
    )
    for step, arguments in _commands(scan, prepared, settings, stem):
        tell(step)
        started = time.perf_counter()
        run_step(scan.name, step, arguments)
        prepared.seconds[step] = round(time.perf_counter() - started, 2)
    return prepared


def _commands(
    scan: Arrived, prepared: Prepared, settings: Mapping[str, Mapping[str, Any]], stem: Path
) -> list[tuple[str, list[object]]]:
    """Return each step's module and arguments, as in workflow/rules (preprocess, model_space)."""
    strip, n4, resize = settings["skull_strip"], settings["n4"], settings["resize"]
    crop, resized = f"{stem}_desc-crop", f"{stem}_space-model_desc-resize"
    stripped, model_brain = f"{stem}_desc-brain_FLAIR.nii.gz", f"{stem}_space-model_mask.nii.gz"
    return [
        (
            "skullstrip",
            [
                *("--flair", scan.flair, "--stripped", "yes" if scan.stripped else "no"),
                *("--engine", strip["engine"], "--frac", strip["frac"]),
                *(["--robust"] if strip["robust"] else []),
                *("--implausible", strip["implausible"], "--out-image", stripped),
                *("--out-mask", prepared.brain, "--out-sidecar", prepared.brain_sidecar),
            ],
        ),
        (
            "n4",
            [
                *("--image", stripped, "--brain", prepared.brain),
                *("--bias-corrected", "yes" if scan.bias_corrected else "no"),
                *("--shrink", n4["shrink"], "--iterations", *n4["iterations"]),
                *("--tolerance", n4["tolerance"]),
                *("--out-image", prepared.n4, "--out-sidecar", f"{stem}_desc-n4_FLAIR.json"),
            ],
        ),
        (
            "crop",
            [
                *("--image", prepared.n4, "--brain", prepared.brain),
                *("--out-image", f"{crop}_FLAIR.nii.gz", "--out-brain", f"{crop}_mask.nii.gz"),
                *("--out-sidecar", f"{crop}_FLAIR.json"),
            ],
        ),
        (
            "resize",
            [
                *("--image", f"{crop}_FLAIR.nii.gz", "--brain", f"{crop}_mask.nii.gz"),
                *("--sidecar", f"{crop}_FLAIR.json", "--size", *resize["size"]),
                *("--mode", resize["mode"], "--order", resize["image_order"]),
                *("--mask", resize["mask"], "--out-image", f"{resized}_FLAIR.nii.gz"),
                *("--out-brain", model_brain, "--out-sidecar", f"{resized}_FLAIR.json"),
            ],
        ),
        (
            "zscore",
            [
                *("--image", f"{resized}_FLAIR.nii.gz", "--brain", model_brain),
                *("--sidecar", f"{resized}_FLAIR.json", "--over", settings["zscore"]["over"]),
                *("--out-image", prepared.image, "--out-sidecar", prepared.sidecar),
            ],
        ),
    ]


def run_step(name: str, step: str, arguments: list[object]) -> None:
    """Run one of our modules on a scan, in a process of its own.

    Raises
    ------
    MsnmoError
        With what the module said, if it failed.
    """
    command = [sys.executable, "-m", f"msnmo.preprocess.{step}", *map(str, arguments)]
    paths = [str(SOURCE), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "NO_ET": "1"}
    done = subprocess.run(  # noqa: S603 - our own module, no shell
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return
    said = done.stderr.strip().removeprefix("msnmo: error: ")
    if done.returncode < 0:
        said = f"killed by signal {-done.returncode}; memory may have run out\n{said}".strip()
    raise MsnmoError(f"{name}: {step} failed: {said}")
