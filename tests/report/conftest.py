"""A small run and the report of it, shared by the tests of pages and of browsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.small_run import Run, make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three methods on six scans, in a folder with a space and an umlaut."""
    return make_run(tmp_path_factory.mktemp("a run é"))


@pytest.fixture(scope="session")
def site(run: Run) -> Path:
    """The report of `run`; read-only."""
    return run.write()
