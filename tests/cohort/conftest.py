"""Importers run as users run them: by the command line, to a scan table and its notes."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msnmo.cohort.importing import left_out_path


@pytest.fixture
def imported():
    """A function that runs an importer and returns its scan table and what it left out."""

    def run(name: str, *arguments: object, out: Path) -> tuple[pd.DataFrame, dict[str, str]]:
        done = run_importer(name, *arguments, "--out", out)
        assert done.returncode == 0, done.stderr
        table = pd.read_csv(out, sep="\t", dtype=str, na_values="n/a", keep_default_na=False)
        notes = pd.read_csv(left_out_path(out), sep="\t", dtype=str)
        return table.fillna(""), dict(zip(notes["file"], notes["reason"], strict=True))

    return run


@pytest.fixture
def refused():
    """A function that runs an importer that must stop, and returns its message."""

    def run(name: str, *arguments: object, out: Path) -> str:
        done = run_importer(name, *arguments, "--out", out)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert not out.exists()
        return done.stderr

    return run


@pytest.fixture
def nifti():
    """A function that writes a small NIfTI file."""

    def write(path: Path, affine: np.ndarray | None = None, dtype: type = np.int16) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.Nifti1Image(
            np.ones((3, 4, 5), dtype), np.eye(4) if affine is None else affine
        ).to_filename(path)
        return path

    return write


def run_importer(name: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "msnmo.cohort", name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
