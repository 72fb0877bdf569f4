from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from msnmo.core import provenance


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file that is committed to a repository of its own."""
    _git(tmp_path, "init", "-q")
    file = tmp_path / "code.py"
    file.write_text("x = 1\n")
    _git(tmp_path, "add", "code.py")
    _git(tmp_path, "commit", "-q", "-m", "first")
    return file


def test_versions_are_those_in_use() -> None:
    versions = provenance.versions()
    assert list(versions) == ["python", "msnmo", "torch", "monai", "numpy"]
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__


def test_a_package_that_is_not_installed_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package",))
    assert provenance.versions()["no-such-package"] == "n/a"


def test_commit_and_changes_since(source: Path) -> None:
    state = provenance.git_state(source)
    assert re.fullmatch("[0-9a-f]{40}", str(state["commit"]))
    assert state["dirty"] is False
    source.write_text("x = 2\n")
    assert provenance.git_state(source) == state | {"dirty": True}


def test_outside_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert provenance.git_state(tmp_path / "code.py") == {"commit": "n/a", "dirty": "n/a"}


def test_a_package_installed_inside_somebody_elses_repository_does_not_borrow_its_commit(
    source: Path,
) -> None:
    installed = source.parent / "venv" / "module.py"
    installed.parent.mkdir()
    installed.write_text("")
    assert provenance.git_state(installed) == {"commit": "n/a", "dirty": "n/a"}


def test_without_git_there_is_no_commit(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert provenance.git_state(source) == {"commit": "n/a", "dirty": "n/a"}
