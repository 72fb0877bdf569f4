"""A fold is made up, predicted and timed."""

from __future__ import annotations

import json
from pathlib import Path

from msnmo.benchmark.__main__ import main


def test_a_fold_is_measured_beside_its_network(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    options = ["--methods", "only_cls", "--size", "16", "--scans", "1", "--device", "cpu"]
    main(["predict", *options, "--out", str(out)])
    network, fold = json.loads(out.read_text())["figures"]
    assert (network["how"], fold["how"]) == ("network", "fold")
    assert network["values"]["s/scan"] > 0
    expected = fold["values"]["s/scan"] / network["values"]["s/scan"]
    assert fold["values"]["of networks s"] == expected
