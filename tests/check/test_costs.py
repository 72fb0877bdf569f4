"""What a run takes: by hand for a small cohort, and by the networks themselves."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msnmo.check import costs
from msnmo.check.costs import HEAD_VOXELS, NETWORKS, expect, mean_voxels, tell, tell_of_cohort
from msnmo.settings.config import complete_config, method_settings
from msnmo.settings.methods import METHODS

PAPER = complete_config({})


def of(tested=10, **changed):
    """Ten scans in five folds, by a changed config."""
    config = complete_config(changed)
    return expect(config, config["methods"], scans=10, tested=tested, folds=5)


def test_the_predictions_of_the_papers_cohort_take_less_than_5_gb():
    whole = expect(PAPER, PAPER["methods"], scans=131, tested=131, folds=5)
    assert 1e9 < whole.disk["predictions"] < 5e9
    # 95 trainings, by the parameters
    assert whole.disk["models"] == pytest.approx(8.4e9, rel=0.01)
    assert whole.checkpoints == pytest.approx(24 * 117.368e6)


def test_trainings_cost_by_hand():
    joint = of(methods=["joint"], train={"epochs": 10})
    # 748 GFLOP forward, three times as much a step, 8 of 10 scans in each of 5 folds
    assert joint.training == pytest.approx(0.748 * 3 * 8 * 10 * 5)
    # each scan once, and once more with its lesions filled
    assert joint.prediction == pytest.approx(0.748 * 2 * 10)
    half = of(methods=["joint"], train={"epochs": 10}, resize={"size": [80, 80, 160]})
    assert half.training == pytest.approx(joint.training / 4)
    narrow = of(methods=["joint"], train={"epochs": 10}, model={"base_channels": 16})
    assert narrow.training == pytest.approx(joint.training / 4)
    assert narrow.disk["models"] == pytest.approx(joint.disk["models"] / 4)


def test_only_what_is_asked_for_counts():
    joint, seeds = of(methods=["joint"]), of(methods=["joint"], seeds=[1, 2, 3])
    assert seeds.disk["models"] == pytest.approx(3 * joint.disk["models"])
    assert seeds.training == pytest.approx(3 * joint.training)
    one = of(methods=["joint"], folds={"only": [0]})
    assert one.disk["models"] == pytest.approx(joint.disk["models"] / 5)
    assert one.disk["predictions"] == pytest.approx(joint.disk["predictions"] / 5)
    assert of(methods=["resnet50"]).disk["predictions"] == 0
    assert of(tested=0).training == 0
    assert of(tested=0).disk["preprocessed scans"] > 0


def test_a_disk_that_is_too_small_is_warned_of():
    whole = of()
    assert len(tell(whole, int(whole.most_bytes) + 1)) == 2
    *_, warning = tell(whole, int(whole.most_bytes) - 1)
    assert warning.startswith("warning: a whole run takes 11.")
    assert "another disk" in warning


def test_headers_tell_the_size_of_scans_and_bad_ones_nothing(tmp_path):
    good, bad = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), good)
    bad.write_text("none")
    assert mean_voxels([bad, tmp_path / "none.nii", good]) == 120
    assert mean_voxels([bad]) == HEAD_VOXELS


def test_a_cohort_is_told_of_by_its_table(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "mean_voxels", lambda _: 1e6)
    row = {"subject": "1", "diagnosis": "MS", "site": "x", "lesion_mask": "m.nii", "flair": "f.nii"}
    cohort = pd.DataFrame([row | {"scan": f"sub-{n}", "subject": f"{n}"} for n in range(6)])
    config = complete_config({"results": str(tmp_path / "not/yet"), "methods": ["unet"]})
    disk, hours, *_ = tell_of_cohort(config, config["methods"], cohort)
    assert disk.startswith("disk, from the start: ")
    assert "models 0.1" in disk
    assert hours.startswith("hours: under 0.1 of one CPU core")
    assert tell_of_cohort(config, config["methods"], cohort[:0]) == []


@pytest.mark.heavy
@pytest.mark.torch
@pytest.mark.parametrize("name", METHODS)
def test_networks_are_as_large_as_told(name):
    from msnmo.evaluate.complexity import measure

    config = complete_config({"methods": [name]})
    found = measure(name, method_settings(config, name)["model"], (160, 160, 160))
    told = NETWORKS.get(name, NETWORKS["joint"])
    assert (float(found["parameters_millions"]), float(found["gflop"])) == told
