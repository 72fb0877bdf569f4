"""Each way of a training step runs; how long it takes is no test's business."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from msnmo.benchmark.__main__ import main
from msnmo.benchmark.train import OF_CUDA, WAYS, Bench, not_measured

CPU = torch.device("cpu")


def test_ways_are_measured_or_told_why_they_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = ["msnmo", "plain fp32", "fetched", "MONAI's loop"]
    options = ["--size", "16", "--batch", "1", "--steps", "1", "--device", "cpu"]
    out = tmp_path / "found.json"
    main(["train", "--methods", "only_cls", "--how", *ways, *options, "--out", str(out)])
    found = json.loads(out.read_text())
    assert (found["size"], found["batch_size"], found["precision"]) == (16, 1, "float32")
    measured = {figure["how"]: figure["values"] for figure in found["figures"]}
    assert list(measured) == ["msnmo", "plain fp32"]
    assert all(values["s/step"] > 0 for values in measured.values())
    assert [how for _, _, how, _ in found["not_measured"]] == ["fetched", "MONAI's loop"]
    assert "| train | only_cls | msnmo |" in capsys.readouterr().out


@pytest.mark.parametrize("how", [way for way in WAYS if way not in OF_CUDA])
def test_each_way_takes_steps(how: str) -> None:
    bench = Bench("only_seg", 16, 1, CPU)
    assert not_measured(bench, how) == ""
    take = bench.way(how)
    take()
    take()


@pytest.mark.gpu
@pytest.mark.parametrize("how", ["msnmo", "fetched", "untuned"])
def test_each_way_takes_steps_on_a_gpu(how: str) -> None:
    bench = Bench("only_seg", 16, 1, torch.device("cuda", 0))
    take = bench.way(how)
    take()
    take()


def test_seconds_that_are_over_end_it_with_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", "--size", "16", "--device", "cpu", "--seconds", "0"])
    assert "| train |" not in capsys.readouterr().out
