"""Steps of a head are told apart by what their processes used."""

from __future__ import annotations

import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from msnmo.benchmark import preprocess


def test_each_step_has_the_seconds_between_its_mark_and_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = iter((10.0, 13.0, 14.5))
    monkeypatch.setattr(
        resource, "getrusage", lambda who: SimpleNamespace(ru_utime=next(used), ru_stime=1.0)
    )

    def steps(scan: Any, settings: Any, folder: Path, tell: Any) -> None:
        tell("skullstrip")
        tell("n4")

    monkeypatch.setattr(preprocess, "preprocess", steps)
    assert preprocess.of_steps(Path("head.nii.gz"), {}) == {"skullstrip": 3.0, "n4": 1.5}
