"""A new scan from head to model space: the workflow's own steps, run one after the other.

Each step is the command that the workflow's rule runs, in a process of its own: the two give the
same bytes, and a step's memory is free again when it ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msnmo.apply.prepared import Prepared
from msnmo.core.errors import MsnmoError
from msnmo.core.names import folder_of
from msnmo.core.processes import run
from msnmo.preprocess.steps import STEPS

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
    brain : tuple of Path
        A brain mask that takes the place of skull stripping, if there is one.
    """

    name: str
    flair: Path
    stripped: bool = False
    bias_corrected: bool = False
    dicom: tuple[Path, ...] = ()
    brain: tuple[Path, ...] = ()

    @property
    def folder(self) -> str:
        """``sub-X`` or ``sub-X/ses-Y``."""
        return folder_of(self.name)


def preprocess(
    scan: Arrived,
    settings: Mapping[str, Mapping[str, Any]],
    folder: Path,
    tell: Callable[[str], None],
) -> Prepared:
    """Run every step of `STEPS` on one scan.

    Parameters
    ----------
    scan : Arrived
    settings : mapping
        The steps' sections of the config.
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
        model_brain=Path(f"{stem}_space-model_desc-brain_mask.nii.gz"),
    )
    known: dict[str, Any] = {
        "brain": [str(path) for path in scan.brain],
        "stripped": "yes" if scan.stripped else "no",
        "bias_corrected": "yes" if scan.bias_corrected else "no",
    }
    files = _files(prepared, stem)
    for name, step in STEPS.items():
        tell(name)
        started = time.perf_counter()
        command = step.command(files[name], step.options(settings, known))
        # what a step that is killed leaves goes with the folder
        run_module(scan.name, command, {**step.environment, "TMPDIR": str(folder)})
        prepared.seconds[name] = round(time.perf_counter() - started, 2)
    return prepared


def _files(prepared: Prepared, stem: Path) -> dict[str, dict[str, object]]:
    """Return the files of each step, wired as in workflow/rules (preprocess, model_space)."""
    crop, resized = f"{stem}_desc-crop", f"{stem}_space-model_desc-resize"
    stripped = f"{stem}_desc-brain_FLAIR.nii.gz"
    return {
        "skullstrip": {
            "flair": prepared.flair,
            "out_image": stripped,
            "out_mask": prepared.brain,
            "out_sidecar": prepared.brain_sidecar,
        },
        "n4": {
            "image": stripped,
            "brain": prepared.brain,
            "out_image": prepared.n4,
            "out_sidecar": f"{stem}_desc-n4_FLAIR.json",
        },
        "crop": {
            "image": prepared.n4,
            "brain": prepared.brain,
            "out_image": f"{crop}_FLAIR.nii.gz",
            "out_brain": f"{crop}_mask.nii.gz",
            "out_sidecar": f"{crop}_FLAIR.json",
        },
        "resize": {
            "image": f"{crop}_FLAIR.nii.gz",
            "brain": f"{crop}_mask.nii.gz",
            "sidecar": f"{crop}_FLAIR.json",
            "out_image": f"{resized}_FLAIR.nii.gz",
            "out_brain": prepared.model_brain,
            "out_sidecar": f"{resized}_FLAIR.json",
        },
        "zscore": {
            "image": f"{resized}_FLAIR.nii.gz",
            "brain": prepared.model_brain,
            "sidecar": f"{resized}_FLAIR.json",
            "out_image": prepared.image,
            "out_sidecar": prepared.sidecar,
        },
    }


def run_module(
    scan: str, command: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run one of our modules on a scan, in a process of its own.

    Parameters
    ----------
    scan : str
        Its name.
    command : sequence of str
        ``-m``, the module, its arguments.
    variables : mapping of str to str
        Of the process's environment, beside those of this one.

    Raises
    ------
    MsnmoError
        With what the module said, if it failed.
    """
    paths = [str(SOURCE), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), **variables}
    environment["PYTHONSAFEPATH"] = "1"  # no Python file of the folder that we run in
    done = run([sys.executable, *command], environment)
    if done.code == 0:
        return
    said = done.complaint.removeprefix("msnmo: error: ")
    if done.code is not None and done.code < 0:
        said = f"killed by signal {-done.code}; memory may have run out\n{said}".strip()
    raise MsnmoError(f"{scan}: {command[1].rpartition('.')[2]} failed: {said}")
