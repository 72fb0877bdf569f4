"""Lesion localisation maps: equation 10."""

import numpy as np
import pytest
import torch

from msnmo.networks.classification import Classification
from msnmo.networks.localisation import localisation_maps, normalise, upsample
from msnmo.networks.outputs import Outputs


@pytest.fixture
def outputs():
    """Outputs of a classification network, and the network's bias."""
    network = Classification(4)
    class_logits, features = network(torch.randn(3, 4, 16, 8, 8))
    weights = network.class_weights
    made = Outputs(class_logits=class_logits, features=features, class_weights=weights)
    return made, network.fully_connected.bias


def test_localisation_map_is_equation_10(ref, outputs):
    outputs, _ = outputs
    classes = torch.tensor([1, 0, 1])
    maps = localisation_maps(outputs, classes)
    for found, features, weights in zip(maps, outputs.features, outputs.class_weights, strict=True):
        assert found.shape == (3, 1, *features.shape[2:])
        for scan, category in enumerate(classes):
            expected = sum(
                ref.to_numpy(features)[scan, channel] * weights[category, channel].item()
                for channel in range(features.shape[1])
            )
            np.testing.assert_allclose(ref.to_numpy(found)[scan, 0], expected, atol=1e-5)


@pytest.mark.parametrize("category", [0, 1])
def test_maps_add_up_to_the_class_logit(outputs, category):
    """What the maps show is what the class was decided by."""
    outputs, bias = outputs
    maps = localisation_maps(outputs, torch.full((3,), category))
    total = sum(each.mean(dim=(1, 2, 3, 4)) for each in maps) + bias[category]
    torch.testing.assert_close(total, outputs.class_logits[:, category])


def test_relu_max_keeps_evidence_for_the_class():
    raw = torch.tensor([-2.0, 0.0, 1.0, 4.0, -1.0, 0.0, 0.5, 0.1]).view(2, 1, 2, 2, 1)
    found = normalise(raw, "relu_max").flatten().tolist()
    assert found == pytest.approx([0, 0, 0.25, 1, 0, 0, 1, 0.2])


def test_a_map_without_evidence_stays_dark():
    raw = torch.full((1, 1, 2, 2, 2), -1.0, requires_grad=True)
    found = normalise(raw, "relu_max")
    assert found.max() == 0
    found.sum().backward()
    assert torch.isfinite(raw.grad).all()


def test_sigmoid_normalisation(ref):
    raw = torch.randn(2, 1, 3, 3, 3)
    found = ref.to_numpy(normalise(raw, "sigmoid"))
    np.testing.assert_allclose(found, ref.sigmoid(ref.to_numpy(raw)), atol=1e-6)


def test_standardised_maps_have_mean_0_and_deviation_1_a_scan(ref):
    raw = torch.randn(2, 1, 3, 4, 5) * torch.tensor([0.01, 100.0]).view(2, 1, 1, 1, 1) + 7
    found = ref.to_numpy(normalise(raw, "standardise"))
    for scan, values in enumerate(ref.to_numpy(raw)):
        expected = (values - values.mean()) / values.std()
        np.testing.assert_allclose(found[scan], expected, atol=1e-3)


@pytest.mark.parametrize("level", [-4.6, 0.1, 123.4])
def test_a_flat_map_is_standardised_to_0_with_finite_gradients(level):
    raw = torch.full((2, 1, 5, 5, 5), level, requires_grad=True)
    found = normalise(raw, "standardise")
    assert found.abs().max() == 0
    found.square().sum().backward()
    assert torch.isfinite(raw.grad).all()


def test_maps_may_stay_as_they_are():
    raw = torch.randn(2, 1, 3, 3, 3)
    assert torch.equal(normalise(raw, "none"), raw)


def test_upsampling_keeps_places(ref):
    """Voxel centres stay where they are: a map of half size is not shifted by half a voxel."""
    raw = torch.randn(1, 1, 4, 3, 2)
    found = ref.to_numpy(upsample(raw, (16, 12, 8)))
    np.testing.assert_allclose(found, ref.trilinear(ref.to_numpy(raw), 4), atol=1e-6)


def test_maps_are_float32_under_autocast(outputs):
    outputs, _ = outputs
    half = Outputs(
        features=tuple(each.bfloat16() for each in outputs.features),
        class_weights=outputs.class_weights,
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = localisation_maps(half, torch.zeros(3, dtype=torch.int64))
    assert {each.dtype for each in maps} == {torch.float32}
