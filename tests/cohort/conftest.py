"""Importers run as users run them: from a command line to a scan table and its notes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msnmo.cohort.__main__ import main
from msnmo.cohort.importing import left_out_path
from tests.command import Done, run_here

Notes = dict[str, str]
Importer = Callable[..., tuple[pd.DataFrame, Notes]]


@pytest.fixture(scope="session")
def imported() -> Importer:
    """A function that runs an importer and returns its scan table and what it left out."""

    def run(name: str, *arguments: object, out: Path) -> tuple[pd.DataFrame, Notes]:
        return _read(run_here(main, name, *arguments, "--out", out), out)

    return run


@pytest.fixture(scope="session")
def imported_by_command() -> Importer:
    """The same in a process of its own; once for each importer, as it takes seconds."""

    def run(name: str, *arguments: object, out: Path) -> tuple[pd.DataFrame, Notes]:
        command = [sys.executable, "-m", "msnmo.cohort", name, *map(str, arguments), "--out", out]
        return _read(subprocess.run(command, capture_output=True, text=True, check=False), out)

    return run


def _read(done: Done | subprocess.CompletedProcess, out: Path) -> tuple[pd.DataFrame, Notes]:
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(out, sep="\t", dtype=str, na_values="n/a", keep_default_na=False)
    notes = pd.read_csv(left_out_path(out), sep="\t", dtype=str)
    return table.fillna(""), dict(zip(notes["file"], notes["reason"], strict=True))


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """A function that runs an importer that must stop, and returns its message."""

    def run(name: str, *arguments: object, out: Path) -> str:
        done = run_here(main, name, *arguments, "--out", out)
        assert done.returncode == 1
        assert not out.exists()
        return done.stderr

    return run


@pytest.fixture(scope="session")
def nifti():
    """A function that writes a small NIfTI file."""

    def write(path: Path, affine: np.ndarray | None = None, dtype: type = np.int16) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.Nifti1Image(
            np.ones((3, 4, 5), dtype), np.eye(4) if affine is None else affine
        ).to_filename(path)
        return path

    return write
