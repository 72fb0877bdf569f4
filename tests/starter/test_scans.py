"""Scans that are drawn when their turn comes: learned from, resumed, written."""

from itertools import pairwise

import numpy as np
import pandas as pd
import torch

from msnmo.core.volumes import load_mask, load_volume
from msnmo.settings.methods import get_method
from msnmo.settings.training import Settings
from msnmo.starter.scans import hold_none, scans_to_draw
from msnmo.starter.simulate import main
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


def test_each_epoch_has_scans_of_its_own_and_both_classes():
    cohort, _ = hold_none(scans_to_draw(SCANS, SIZE), CPU, "float32")
    first, second = (list(cohort.batches(job(), epoch)) for epoch in (1, 2))
    images = [batch.image[n] for batch in [*first, *second] for n in range(2)]
    assert len(images) == 2 * SCANS
    assert not any(torch.equal(one, two) for one, two in pairwise(images))
    assert sorted(torch.cat([batch.label for batch in first]).tolist()) == [0, 0, 1, 1]
    again = list(cohort.batches(job(), 2))
    assert torch.equal(again[0].image, second[0].image)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path):
    scans = scans_to_draw(SCANS, SIZE)
    whole = train(job(), scans, CPU, tmp_path / "whole.pt", held=hold_none)
    asked = iter([False, True])
    try:
        train(job(), scans, CPU, tmp_path / "cut.pt", lambda: next(asked), held=hold_none)
        raise AssertionError("it was asked to stop")
    except Stopped:
        pass
    gone_on = train(job(), scans, CPU, tmp_path / "cut.pt", held=hold_none)
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
