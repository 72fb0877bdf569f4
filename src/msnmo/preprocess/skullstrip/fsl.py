"""Skull stripping by FSL's BET, the tool that the paper names (section 3.1.2), through nipype.

FSL is not part of this package and is licensed for non-commercial use only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from msnmo.core.errors import InputError, bad_input
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_mask
from msnmo.preprocess.skullstrip.extraction import Extraction

INSTALL = (
    "install FSL (https://fsl.fmrib.ox.ac.uk, non-commercial use), or its conda package fsl-bet2, "
    "and put its bin folder on the PATH; or choose the engine `surface`"
)
SCAN, BRAIN = "scan.nii", "brain.nii.gz"
MASK = "brain_mask.nii.gz"


def extract_brain(scan: Volume, frac: float = 0.4, robust: bool = False) -> Extraction:
    """Return BET's brain mask on the grid of the scan.

    BET runs on a plain copy of the scan in a temporary folder whose path has no space. With a space
    in a path `bet` fails and nipype reports success. During the run FSLOUTPUTTYPE is NIFTI_GZ. If
    FSLDIR is not set, it follows from the place of `bet`. The environment is restored afterwards.

    Parameters
    ----------
    scan : Volume
    frac : float
        BET's ``-f``, in [0, 1] (nipype does not check it).
    robust : bool
        BET's ``-R``.

    Raises
    ------
    InputError
        If `bet` is not found, fails, writes no mask or an empty one.
    """
    bet = shutil.which("bet")
    if bet is None:
        raise bad_input("skull stripping by FSL", "`bet` on the PATH", "no such command", INSTALL)
    home = _fsl_home(Path(bet))
    with _plain_folder() as folder, _environment(home):
        save_volume(folder / SCAN, scan.data, scan.grid)
        code = _run_bet(folder, frac, robust)
        mask = _read_mask(folder, scan, code)
        version = _version(home, bet)
    # nipype ignores the exit code, as BET has not always meant failure by it: the mask decides
    flags = [f"`bet` ended with exit code {code}"] if code else []
    return Extraction(mask, "fsl", version, {"frac": frac, "robust": robust}, flags)


def _run_bet(folder: Path, frac: float, robust: bool) -> int:
    """Run BET in the folder. Return its exit code."""
    from nipype.interfaces import fsl  # noqa: PLC0415 (heavy, and phones home unless NO_ET is set)

    bet = fsl.BET(
        in_file=str(folder / SCAN),
        out_file=BRAIN,
        mask=True,
        frac=frac,
        robust=robust,
        output_type="NIFTI_GZ",
    )
    try:
        return int(bet.run(cwd=str(folder)).runtime.returncode)
    # OSError: not found or not executable. RuntimeError: an exit code, or words on standard error
    except (OSError, RuntimeError) as error:
        raise _failed(_last_words(error)) from error


def _read_mask(folder: Path, scan: Volume, code: int) -> np.ndarray:
    """Return the mask that BET wrote. A normal exit does not mean that there is one."""
    if not (folder / MASK).is_file():
        names = sorted(path.name for path in folder.iterdir() if path.name != SCAN)
        raise _failed(f"exit code {code}, no {MASK}; it wrote {', '.join(names) or 'nothing'}")
    try:
        mask = load_mask(folder / MASK)
    except InputError as error:
        raise _failed(f"a mask that cannot be used: {error.findings[0].found}") from error
    if mask.grid.shape != scan.grid.shape:
        raise _failed(f"a mask of shape {mask.grid.shape} for a scan of {scan.grid.shape}")
    if not mask.data.any():
        raise ValueError("FSL BET found no brain: its mask is empty")
    return mask.data


def _failed(found: str) -> InputError:
    remedy = "run `bet` on the scan manually to see why, or choose the engine `surface`"
    return bad_input("skull stripping by FSL", "a brain mask from `bet`", found, remedy)


def _last_words(error: Exception) -> str:
    """Return the lines of a nipype error that come from `bet`: nipype adds its own around them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " | ".join(lines[-8:]) or type(error).__name__


def _fsl_home(bet: Path) -> Path:
    """Return FSLDIR, or where it must be for this `bet` (FSL's, conda's or a module's layout)."""
    if os.environ.get("FSLDIR"):
        return Path(os.environ["FSLDIR"])
    # bin/bet may be a link, and share/fsl/bin/bet a wrapper deep inside
    places = [*bet.parents, *bet.resolve().parents]
    with_version = [place for place in places if (place / "etc" / "fslversion").is_file()]
    return with_version[0] if with_version else bet.resolve().parent.parent


def _version(home: Path, bet: str) -> str:
    """Return FSL's version, or the version that `bet` prints."""
    file = home / "etc" / "fslversion"
    if file.is_file():
        return file.read_text(encoding="utf-8").strip()
    run = subprocess.run([bet], capture_output=True, text=True, check=False)  # noqa: S603
    lines = [line.strip() for line in (run.stdout + run.stderr).splitlines() if "BET" in line]
    return lines[0] if lines else "unknown"


@contextlib.contextmanager
def _environment(home: Path) -> Iterator[None]:
    """Set the environment variables of FSL and nipype, and restore them afterwards."""
    # Both names keep nipype from asking a server for its newest version
    values = {"FSLDIR": str(home), "FSLOUTPUTTYPE": "NIFTI_GZ", "NO_ET": "1", "NIPYPE_NO_ET": "1"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _plain_folder() -> Iterator[Path]:
    """Yield a temporary folder whose path has no white space."""
    places = [tempfile.gettempdir(), "/tmp", "/var/tmp"]  # noqa: S108 (mkdtemp makes it private)
    plain = [place for place in places if not any(letter.isspace() for letter in place)]
    with tempfile.TemporaryDirectory(prefix="msnmo-bet-", dir=plain[0]) as folder:
        yield Path(folder)
