"""Lesion guidance module: equations 7 to 9 and the variants of Table 8."""

import numpy as np
import pytest
import torch

from msnmo.networks.guidance import LesionGuidance, attention

SIZE = (12, 16, 8)
PARTS = {
    "none": set(),
    "dot": {"lesion"},
    "add": {"lesion"},
    "concat": {"lesion", "fusion"},
    "full": {"lesion", "fusion"},
}


@pytest.fixture
def inputs():
    """A lesion probability map P, and D of half its size."""
    return torch.rand(2, 1, *SIZE), torch.randn(2, 4, *(edge // 2 for edge in SIZE))


def expected_features(module, variant, inputs, ref):
    """J after the table in the class's docstring."""
    lesion_map, d = (ref.to_numpy(each) for each in inputs)
    if variant == "none":
        return d

    def convolve(layer, features, **how):
        return ref.conv3d(features, ref.to_numpy(layer.weight), ref.to_numpy(layer.bias), **how)

    lesion = convolve(module.lesion, lesion_map, stride=2, padding=1)
    alpha = (
        ref.sigmoid(lesion)
        if module.activation == "sigmoid"
        else ref.softmax(lesion.reshape(2, -1)).reshape(lesion.shape)
    )
    attended = alpha * d
    if variant == "dot":
        return attended
    if variant == "add":
        return d + lesion
    fused = attended if variant == "full" else d
    both = [
        convolve(module.fusion.lesion, lesion, padding=1),
        convolve(module.fusion.features, fused, padding=1),
    ]
    return convolve(module.fusion.join, np.concatenate(both, axis=1))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax_spatial"])
@pytest.mark.parametrize("variant", PARTS)
def test_guidance_is_equations_7_to_9(ref, inputs, variant, activation):
    module = LesionGuidance(4, variant, activation)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    found = ref.to_numpy(module(*inputs))
    expected = expected_features(module, variant, inputs, ref)
    assert found.shape == inputs[1].shape
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("variant", PARTS)
def test_variants_have_only_their_parts(variant):
    module = LesionGuidance(4, variant, "sigmoid")
    assert {name.split(".")[0] for name in module.state_dict()} == PARTS[variant]


def test_attention_tells_lesions_from_the_rest():
    """A softmax over the single channel would be 1 everywhere."""
    lesion = torch.linspace(-3, 3, 64).view(1, 1, 4, 4, 4)
    for activation in ("sigmoid", "softmax_spatial"):
        alpha = attention(lesion, activation)
        assert alpha.flatten().diff().min() > 0
    assert alpha.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("variant", ["dot", "add", "concat", "full"])
def test_classification_teaches_segmentation(inputs, variant):
    lesion_map, d = inputs
    lesion_map.requires_grad_(True)
    LesionGuidance(4, variant, "sigmoid")(lesion_map, d).square().sum().backward()
    assert lesion_map.grad.abs().max() > 0


def test_a_random_start_is_at_hand():
    kept, drawn = (
        LesionGuidance(4, "full", "sigmoid", start) for start in ("lesion_map", "random")
    )
    assert kept.lesion.weight.unique().numel() == 1
    assert drawn.lesion.weight.unique().numel() == 27


def test_attention_starts_as_the_lesion_map():
    """Alpha is low where there is no lesion and high within one, before any training."""
    guidance = LesionGuidance(4, "full", "sigmoid")
    lesion = torch.zeros(1, 1, 16, 16, 16)
    lesion[..., 4:12, 4:12, 4:12] = 1
    with torch.no_grad():
        alpha = attention(guidance.lesion(lesion), "sigmoid")
    assert alpha[0, 0, 0, 0, 0] == pytest.approx(1 / (1 + np.exp(4)), abs=1e-6)
    assert alpha[0, 0, 4, 4, 4] == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-6)
