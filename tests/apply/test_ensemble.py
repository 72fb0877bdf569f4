"""What the folds say together is the mean of what they say alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from msnmo.apply.ensemble import consult, load_ensemble
from msnmo.bundle.contents import Bundle, read_bundle
from msnmo.core.errors import InputError
from msnmo.evaluate.calibration import scale
from msnmo.networks import segmentation
from msnmo.networks.localisation import localisation_maps, upsample
from msnmo.predict.fold import infer, predict_scan

CPU = torch.device("cpu")
BRAIN = np.zeros((32, 32, 32), dtype=bool)
BRAIN[4:28, 3:29, 5:27] = True


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(3).normal(size=(32, 32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def ensemble(bundle):
    return load_ensemble(read_bundle(bundle), CPU)


@pytest.fixture(scope="module")
def alone(ensemble, image):
    return [predict_scan(model, image, CPU) for model in ensemble.models]


def test_probabilities_are_means_over_folds(ensemble, image, alone):
    together = consult(ensemble, image, BRAIN)
    mean = np.mean([each.lesion_probability for each in alone], axis=0)
    np.testing.assert_allclose(together.lesion_probability, mean, atol=1e-6)
    classes = np.array([each.class_probabilities for each in alone])
    np.testing.assert_allclose(together.class_probabilities, classes, atol=1e-6)
    np.testing.assert_allclose(together.mean, classes.mean(axis=0), atol=1e-6)
    assert together.named == classes.mean(axis=0).argmax()
    voxels = tuple(int((each.lesion_probability > 0.5).sum()) for each in alone)
    assert together.lesion_voxels == voxels


def test_the_folds_differ_so_that_a_mean_is_no_fold(alone):
    first, second, third = (each.class_probabilities[1] for each in alone)
    assert len({first, second, third}) == 3


def test_localisation_is_the_share_of_all_folds_evidence_for_the_class_named(ensemble, image):
    """A fold's evidence, averaged over voxels, is the class's logit but for its bias."""
    together = consult(ensemble, image, BRAIN)
    total = np.zeros((32, 32, 32))
    with torch.inference_mode():
        for model in ensemble.models:
            outputs = infer(model, image, CPU)
            maps = localisation_maps(outputs, torch.tensor([together.named]))
            logit = sum(float(each.mean()) for each in maps)
            bias = float(model.class_bias[together.named])
            assert logit + bias == pytest.approx(
                float(outputs.class_logits[0, together.named]), abs=1e-4
            )
            total += sum(upsample(each, image.shape)[0, 0].numpy() for each in maps)
    evidence = np.maximum(total, 0) * BRAIN
    assert 0 < evidence.max() < total.max(), "what is outside the brain has no say"
    np.testing.assert_allclose(together.localisation, evidence / evidence.max(), atol=1e-4)


def test_temperature_scales_each_folds_probabilities(ensemble, image):
    plain = consult(ensemble, image, BRAIN)
    warm = Bundle(
        ensemble.bundle.path, ensemble.bundle.content | {"temperature": 3.0}, ensemble.bundle.id
    )
    scaled = consult(load_ensemble(warm, CPU), image, BRAIN)
    expected = scale(plain.class_probabilities[:, 1], 3.0)
    np.testing.assert_allclose(scaled.class_probabilities[:, 1], expected, atol=1e-9)
    np.testing.assert_allclose(scaled.class_probabilities.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(scaled.lesion_probability, plain.lesion_probability)


def test_equal_scans_give_equal_bytes(ensemble, image):
    one, two = consult(ensemble, image, BRAIN), consult(ensemble, image, BRAIN)
    np.testing.assert_array_equal(one.lesion_probability, two.lesion_probability)
    np.testing.assert_array_equal(one.localisation, two.localisation)


def test_equal_weights_in_changed_code_are_refused_with_a_remedy(bundle, monkeypatch):
    monkeypatch.setattr(segmentation, "SCALE_WEIGHTS", (0.25, 0.25, 0.5, 0.98))
    with pytest.raises(InputError, match="apply the bundle with the msnmo that made it") as error:
        load_ensemble(read_bundle(bundle), CPU)
    findings = error.value.findings
    assert [Path(each.file).name for each in findings] == [
        f"fold-{fold}.safetensors" for fold in range(3)
    ]
    assert all("lesion_logits" in each.found for each in findings)


def test_a_bundle_of_before_is_taken_and_said_not_to_be_verified(bundle):
    content = json.loads((bundle / "bundle.json").read_text())
    del content["network_version"]
    for fold in content["folds"]:
        del fold["reference"]
    old = Bundle(bundle, content, "id")
    assert len(load_ensemble(old, CPU).models) == 3
    assert "nothing can verify" in old.unverified
    assert not read_bundle(bundle).unverified


def test_weights_that_were_swapped_are_named(bundle, tmp_path):
    swapped = shutil.copytree(bundle, tmp_path / "bundle")
    content = json.loads((swapped / "bundle.json").read_text())
    shutil.copy(bundle / "fold-1.safetensors", swapped / "fold-0.safetensors")
    with pytest.raises(InputError, match=r"fold-0\.safetensors"):
        load_ensemble(Bundle(swapped, content, "id"), CPU)


def test_a_mirrored_answer_is_the_mean_of_both_sides(ensemble, image):
    """Turned back, so that left stays left; the networks themselves know left from right."""
    bundle = ensemble.bundle
    both = Bundle(bundle.path, bundle.content | {"mirrored": True}, bundle.id)
    together = consult(load_ensemble(both, CPU), image, BRAIN)
    upright = consult(ensemble, image, BRAIN)
    mirror = consult(ensemble, image[::-1].copy(), BRAIN[::-1])
    turned = mirror.lesion_probability[::-1]
    assert not np.allclose(upright.lesion_probability, turned, atol=1e-3)
    mean = (upright.lesion_probability + turned) / 2
    np.testing.assert_allclose(together.lesion_probability, mean, atol=1e-6)
    classes = (upright.class_probabilities + mirror.class_probabilities) / 2
    np.testing.assert_allclose(together.class_probabilities, classes, atol=1e-6)


def test_a_mirrored_answer_of_the_mirror_image_is_its_mirror_image(ensemble, image):
    bundle = ensemble.bundle
    both = load_ensemble(Bundle(bundle.path, bundle.content | {"mirrored": True}, "id"), CPU)
    one, other = consult(both, image, BRAIN), consult(both, image[::-1].copy(), BRAIN[::-1])
    np.testing.assert_allclose(other.lesion_probability[::-1], one.lesion_probability, atol=1e-5)
    np.testing.assert_allclose(other.class_probabilities, one.class_probabilities, atol=1e-5)
    np.testing.assert_allclose(other.localisation[::-1], one.localisation, atol=1e-4)
