"""Grad-CAM weighs F_1 by its gradients; at F_3 it would be V_3 over again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from msnmo.core.errors import DataLeakageError, InputError
from msnmo.core.files import read_json, write_json
from msnmo.core.volumes import load_mask, load_volume
from msnmo.evaluate.maps import read_map
from msnmo.networks.joint import JointModel, build_joint_model
from msnmo.networks.localisation import localisation_maps
from msnmo.predict.gradcam import gradcam, main
from msnmo.settings.model import ModelSettings
from msnmo.train.__main__ import main as train_main

CPU = torch.device("cpu")
SIZE = (32, 32, 32)


@pytest.fixture
def model() -> JointModel:
    torch.manual_seed(3)
    return build_joint_model(ModelSettings(base_channels=4, heads=2), SIZE).eval()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(4).normal(size=SIZE).astype(np.float32)


def features(model: JointModel, image: np.ndarray):
    """Return the outputs for an image and its predicted class."""
    outputs = model(torch.from_numpy(image)[None, None])
    return outputs, outputs.class_logits.argmax(dim=1)


def test_at_the_last_block_it_is_what_v3_has_above_0(model, image):
    outputs, predicted = features(model, image)
    v3 = localisation_maps(outputs, predicted)[2]
    expected = v3.relu()[0, 0].detach().numpy()
    assert expected.max() > 0
    found = gradcam(model, image, CPU, layer="block_3")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_at_the_first_block_later_blocks_have_their_say(model, image):
    outputs, predicted = features(model, image)
    first = outputs.features[0]
    (gradient,) = torch.autograd.grad(outputs.class_logits[0, int(predicted)], first)
    weights = gradient.mean(dim=(2, 3, 4), keepdim=True)
    evidence = (weights * first).sum(1, keepdim=True).relu() * first[0, 0].numel()
    expected = evidence[0, 0].detach().numpy()
    found = gradcam(model, image, CPU)
    assert found.shape == (16, 16, 16)
    assert found.dtype == np.float32
    assert found.min() >= 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())
    v1 = localisation_maps(outputs, predicted)[0].relu()[0, 0].detach().numpy()
    assert np.corrcoef(found.ravel(), v1.ravel())[0, 1] < 0.99


@pytest.fixture(scope="module")
def trained(blob_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has seen one epoch."""
    out = tmp_path_factory.mktemp("models")
    settings = {"train": {"epochs": 1}, "model": {"base_channels": 4, "heads": 2}}
    train_main(
        [
            *("--scans", str(blob_cohort / "train-0.tsv")),
            *("--method", "joint", "--fold", "0", "--seed", "1", "--device", "cpu"),
            *("--settings", json.dumps(settings)),
            *("--out-weights", str(out / "fold-0/weights.safetensors")),
            *("--out-history", str(out / "fold-0/history.tsv")),
            *("--out-run", str(out / "fold-0/run.json")),
            *("--checkpoint", str(out / "fold-0/checkpoint.pt")),
        ]
    )
    return out


TESTED = ("sub-MS0", "sub-MS3", "sub-NMOSD0", "sub-NMOSD3")


def command(cohort: Path, models: Path, out: Path, **changed: str) -> None:
    given = {
        "scans": str(cohort / "test-0.tsv"),
        "method": "joint",
        "fold": "0",
        "weights": str(models / "fold-0/weights.safetensors"),
        "run": str(models / "fold-0/run.json"),
        "device": "cpu",
        "threads": "1",
        "out": str(out),
    } | changed
    main([part for name, value in given.items() for part in (f"--{name}", value)])


def test_every_test_scan_is_mapped_on_its_grid(blob_cohort, trained, tmp_path):
    command(blob_cohort, trained, tmp_path / "gradcam")
    names = {path.name for path in (tmp_path / "gradcam").iterdir()}
    assert names == {f"{scan}_space-model_desc-gradcam_map.nii.gz" for scan in TESTED}
    for scan in TESTED:
        brain = load_mask(blob_cohort / f"{scan}_brain.nii.gz")
        path = tmp_path / f"gradcam/{scan}_space-model_desc-gradcam_map.nii.gz"
        assert load_volume(path).grid.shape == (16, 16, 16)
        found = read_map(path, brain.grid)
        assert found.min() >= 0
        assert found[brain.data].any()
    once = {name: (tmp_path / "gradcam" / name).read_bytes() for name in names}
    command(blob_cohort, trained, tmp_path / "gradcam")
    assert {name: (tmp_path / "gradcam" / name).read_bytes() for name in names} == once


def test_the_run_of_another_fold_is_refused(blob_cohort, trained, tmp_path):
    run = read_json(trained / "fold-0/run.json")
    write_json(tmp_path / "run.json", run | {"fold": 2})
    with pytest.raises(InputError, match="fold 2"):
        command(blob_cohort, trained, tmp_path / "out", run=str(tmp_path / "run.json"))
    assert not (tmp_path / "out").exists()


def test_a_scan_that_was_trained_on_is_refused(blob_cohort, trained, tmp_path):
    with pytest.raises(DataLeakageError, match="sub-MS1"):
        command(blob_cohort, trained, tmp_path / "out", scans=str(blob_cohort / "test-1.tsv"))
    assert not (tmp_path / "out").exists()
