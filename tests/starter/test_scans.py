"""Scans that are drawn when their turn comes: learned from, resumed, written."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file

from msnmo.core.errors import InputError
from msnmo.core.volumes import load_mask, load_volume
from msnmo.settings.methods import get_method
from msnmo.settings.training import Settings
from msnmo.starter.__main__ import main as draw
from msnmo.starter.scans import PASSES, HoldNone, drawings, scans_to_draw
from msnmo.starter.simulate import main
from msnmo.starter.store import drawn
from msnmo.train.job import Job
from msnmo.train.loop import Stopped, train

CPU = torch.device("cpu")
SIZE, SCANS = 32, 4


def job(epochs=2):
    settings = {
        "train": {"epochs": epochs, "learning_rate": 1e-3, "segmentation_loss": "dice_ce"},
        "augment": {"flip_probability": 0.0, "rotation_probability": 0.0},
        "model": {"base_channels": 4},
    }
    method = get_method("joint_plus")
    return Job(method.name, 0, 1, Settings.from_mapping(settings, method))


def weights(trained):
    return torch.cat([value.flatten() for value in trained.model.state_dict().values()])


def images(epoch, store=None):
    cohort, _ = HoldNone(store)(scans_to_draw(SCANS, SIZE), CPU, "float32")
    batches = list(cohort.batches(job(), epoch))
    assert sorted(torch.cat([batch.label for batch in batches]).tolist()) == [0, 0, 1, 1]
    pairs = [pair for batch in batches for pair in zip(batch.scans, batch.image, strict=True)]
    return {scan.scan: image for scan, image in pairs}


def test_after_each_epoch_one_scan_in_four_is_replaced():
    first, second = images(1), images(2)
    assert len({tuple(image.flatten().tolist()) for image in first.values()}) == SCANS
    same = {name for name in first if torch.equal(first[name], second[name])}
    assert same == {"simulated-0000", "simulated-0001", "simulated-0003"}
    assert PASSES == 4
    again = images(2)
    assert all(torch.equal(again[name], second[name]) for name in second)


def test_a_store_gives_the_scans_that_would_be_drawn(tmp_path):
    needed = drawings(job(), scans_to_draw(SCANS, SIZE))
    assert len(needed) == SCANS + 1
    config = {
        "seed": 1,
        "methods": ["joint_plus"],
        "resize": {"size": [SIZE] * 3},
        "train": {"epochs": 2},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--config", str(tmp_path / "config.yaml"), "--store", str(tmp_path)]
    draw([*arguments, "--scans", str(SCANS), "--draw", "1"])
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    assert {drawing.file_name for drawing in needed} <= kept.keys()
    fresh, stored = images(1), images(1, tmp_path)
    assert all(torch.equal(fresh[name], stored[name]) for name in fresh)
    # nothing was drawn again
    assert kept == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}


def _stored(path, image=None, lesion=None):
    shape = (1, SIZE, SIZE, SIZE)
    image = torch.zeros(shape) if image is None else image
    save_file({"image": image, "lesion": lesion or torch.zeros(shape, dtype=torch.bool)}, path)


@pytest.mark.parametrize(
    "kind", ["cut", "text", "other shape", "other type", "not finite", "folder"]
)
def test_a_damaged_file_of_a_store_is_named(tmp_path, kind):
    drawing = drawings(job(), scans_to_draw(SCANS, SIZE))[0]
    path = tmp_path / drawing.file_name
    _stored(path)
    assert not drawn(drawing, tmp_path)[1].any()
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif kind == "text":
        path.write_text("no scan")
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        shape = (1, 16, 16, 16) if kind == "other shape" else (1, SIZE, SIZE, SIZE)
        filled = float("nan") if kind == "not finite" else 0.0
        number = torch.float64 if kind == "other type" else torch.float32
        _stored(path, torch.full(shape, filled, dtype=number))
    with pytest.raises(InputError, match=path.name) as refused:
        drawn(drawing, tmp_path)
    assert "move it elsewhere" in str(refused.value)


def test_scans_are_not_mixed_with_others(tmp_path):
    (tmp_path / "scans.tsv").write_text("mine")
    with pytest.raises(InputError, match=r"scans\.tsv is in it"):
        main(["--out", str(tmp_path), "--scans", "2", "--size", "32"])
    with pytest.raises(InputError, match="a folder for results"):
        main(["--out", str(tmp_path / "scans.tsv/x")])
    assert [path.name for path in tmp_path.iterdir()] == ["scans.tsv"]


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path):
    scans = scans_to_draw(SCANS, SIZE)
    whole = train(job(), scans, CPU, tmp_path / "whole.pt", held=HoldNone())
    asked = iter([False, True])
    try:
        train(job(), scans, CPU, tmp_path / "cut.pt", lambda: next(asked), held=HoldNone())
        raise AssertionError("it was asked to stop")
    except Stopped:
        pass
    gone_on = train(job(), scans, CPU, tmp_path / "cut.pt", held=HoldNone())
    assert torch.equal(weights(whole), weights(gone_on))


def test_simulate_writes_a_cohort_that_the_workflow_takes(tmp_path):
    out = tmp_path / "simulé d"
    main(["--out", str(out), "--scans", "2", "--size", "48", "--seed", "3"])
    table = pd.read_csv(out / "scans.tsv", sep="\t", dtype=str)
    assert table["diagnosis"].tolist() == ["MS", "NMOSD"]
    assert (table[["stripped", "bias_corrected", "simulated"]] == "yes").all(axis=None)
    for row in table.itertuples():
        scan, mask = load_volume(out / row.flair), load_mask(out / row.lesion_mask)
        assert scan.grid.shape == mask.grid.shape == (48, 48, 48)
        assert np.allclose(scan.grid.affine, mask.grid.affine)
        assert 2 < scan.grid.voxel_mm.min() < scan.grid.voxel_mm.max() < 5
        assert not (mask.data & (scan.data <= 0)).any()
