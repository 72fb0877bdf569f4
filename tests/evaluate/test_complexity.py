"""Parameters and operations of the methods' networks."""

import json

import pandas as pd
import pytest
import torch
from torch import nn

from msnmo.evaluate import complexity
from msnmo.evaluate.complexity import main, measure
from msnmo.settings.methods import METHODS

FULL = (160, 160, 160)


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv3d(1, 2, kernel_size=3, padding=1)
        self.frozen = nn.Parameter(torch.zeros(7), requires_grad=False)

    def forward(self, image):
        return self.convolution(image)


def test_operations_are_counted_as_by_hand(monkeypatch):
    """2 channels of 27 products and sums at each voxel; the bias is not counted."""
    monkeypatch.setattr(complexity, "build_network", lambda method, settings, size: Tiny())
    row = measure("joint", {}, (100, 50, 20))
    assert float(row["gflop"]) == pytest.approx(2 * 2 * 27 * 100 * 50 * 20 / 1e9, abs=0.05)
    assert float(row["parameters_millions"]) == pytest.approx((2 * 27 + 2) / 1e6, abs=5e-4)


def test_the_joint_model_at_full_size():
    row = measure("joint", {}, FULL)
    assert row == {
        "method": "joint",
        "label": "Joint Model",
        "size": "160x160x160",
        "parameters_millions": "5.619",
        "gflop": "748.0",
    }


def test_a_table_of_the_methods_asked_for(tmp_path):
    out = tmp_path / "complexity.tsv"
    settings = {"only_seg": {"base_channels": 8}, "unet": {"channels": [4, 4, 8, 8, 8]}}
    main(["--settings", json.dumps(settings), "--sizes", "32x32x48", "--out", str(out)])
    table = pd.read_csv(out, sep="\t")
    assert table["label"].tolist() == [METHODS[name].label for name in settings]
    assert (table["gflop"] > 0).all()
