"""No Python file of the working folder runs because a command of ours is called there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import msnmo
from msnmo.apply.preprocess import run_module

SOURCE = str(Path(msnmo.__file__).parents[1])
TRAPS = ("pandas", "numpy", "torch", "yaml", "nibabel", "argparse", "json", "pathlib")


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in which the libraries' names are programs that leave a mark."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\nraise SystemExit(66)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "module",
    ["apply", "bundle", "cohort", "check.check_cohort", "quality.rate", "predict.fold", "cli"],
)
def test_python_m_runs_nothing_that_lies_in_the_working_folder(trapped: Path, module: str) -> None:
    command = [sys.executable, "-m", f"msnmo.{module}", "--help"]
    environment = os.environ | {"PYTHONPATH": SOURCE}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (trapped / "ran").exists()


def test_a_step_of_a_new_scan_runs_nothing_that_lies_there(trapped: Path) -> None:
    run_module("sub-X", ["-m", "msnmo.preprocess.zscore", "--help"])
    assert not (trapped / "ran").exists()


def test_a_script_that_imports_us_keeps_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("VALUE = 7\n")
    (tmp_path / "script.py").write_text("import msnmo\nimport mine\nprint(mine.VALUE)\n")
    environment = os.environ | {"PYTHONPATH": SOURCE}
    for command in (["script.py"], ["-c", "import msnmo, mine; print(mine.VALUE)"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "7\n"
