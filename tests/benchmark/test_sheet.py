"""What a benchmark says, and that it ends when its time is over."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from msnmo.benchmark.sheet import Clock, OutOfTime, Sheet, seconds_each, table


def test_a_figure_is_printed_and_kept_as_soon_as_it_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = Sheet(tmp_path / "found.json", {"device": "cpu"})
    sheet.add("train", "joint", "msnmo", s_per_step=0.5)
    assert "0.5 s/step" in capsys.readouterr().out
    sheet.note("train", "joint", "plain fp32", "out of memory")
    kept = json.loads((tmp_path / "found.json").read_text())
    assert kept["device"] == "cpu"
    assert kept["figures"] == [
        {"part": "train", "what": "joint", "how": "msnmo", "values": {"s/step": 0.5}}
    ]
    assert kept["not_measured"] == [["train", "joint", "plain fp32", "out of memory"]]
    assert sheet.value("joint", "msnmo", "s/step") == 0.5
    assert sheet.value("joint", "plain fp32", "s/step") is None


def test_a_table_has_a_column_a_unit() -> None:
    sheet = Sheet(None, {})
    sheet.add("train", "joint", "msnmo", s_per_step=0.25, GiB=3)
    sheet.add("train", "unet", "msnmo", s_per_step=1)
    assert table(sheet.figures).splitlines() == [
        "| part | what | how | s/step | GiB |",
        "| --- | --- | --- | --- | --- |",
        "| train | joint | msnmo | 0.25 | 3 |",
        "| train | unet | msnmo | 1 |  |",
    ]


def test_seconds_are_the_median_of_rounds_after_the_first_times() -> None:
    waits, calls = [], []

    def do() -> None:
        calls.append(None)
        time.sleep(0.05 if len(calls) == 1 else 0.002)

    each, first = seconds_each(do, Clock(), times=4, rounds=3, wait=lambda: waits.append(None))
    assert len(calls) == 2 + 3 * 4
    assert len(waits) == 2 + 3
    assert 0.002 <= each < 0.05 <= first


def test_time_that_is_over_ends_a_round_and_keeps_what_was_found() -> None:
    each, _ = seconds_each(lambda: time.sleep(0.02), Clock(0.1), times=100)
    assert 0.02 <= each < 0.1


def test_without_time_nothing_is_measured() -> None:
    with pytest.raises(OutOfTime):
        seconds_each(lambda: None, Clock(0), times=1)
