"""Losses: equations 11 to 14."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msnmo.networks.losses import LossWeights, cross_task_loss, joint_loss, segmentation_loss
from msnmo.networks.outputs import Outputs

ETA = (0.25, 0.25, 0.5)
LABEL = torch.tensor([1, 0])


@pytest.fixture
def outputs():
    """Outputs of both tasks with random values that want gradients."""

    def leaf(*shape):
        return torch.randn(*shape, requires_grad=True)

    return Outputs(
        lesion_logits=leaf(2, 1, 16, 16, 16),
        scale_logits=tuple(leaf(2, 1, edge, edge, edge) for edge in (2, 4, 8, 16)),
        class_logits=leaf(2, 2),
        features=tuple(leaf(2, c, n, n, n) for c, n in ((4, 8), (8, 4), (16, 2))),
        class_weights=tuple(leaf(2, channels) for channels in (4, 8, 16)),
    )


@pytest.fixture
def lesion():
    return (torch.rand(2, 1, 16, 16, 16) > 0.9).float()


def dice_loss(probability, mask):
    """Equation 13, sums in place of counts because the prediction is soft; a mean over scans."""
    losses = [
        1 - 2 * (x * y).sum() / (x.sum() + y.sum()) for x, y in zip(probability, mask, strict=True)
    ]
    return np.mean(losses)


def cross_loss(outputs, label, normalise, ref):
    """Equation 11, the loops of equation 10 inside."""
    total = 0
    pairs = zip(ETA, outputs.scale_logits[:3], (2, 1, 0), strict=True)
    for eta, scale, layer in pairs:
        features = ref.to_numpy(outputs.features[layer])
        weights = ref.to_numpy(outputs.class_weights[layer])
        squares = []
        for scan, category in enumerate(label.tolist()):
            v = np.tensordot(weights[category], features[scan], axes=1)
            squares.append((ref.sigmoid(ref.to_numpy(scale)[scan, 0]) - normalise(v)) ** 2)
        total += eta * np.mean(squares)
    return total


def relu_max(v):
    return np.maximum(v, 0) / np.maximum(v, 0).max()


def test_segmentation_loss_is_equation_13(ref, outputs, lesion):
    expected = dice_loss(ref.sigmoid(ref.to_numpy(outputs.lesion_logits)), ref.to_numpy(lesion))
    found = segmentation_loss(outputs.lesion_logits, lesion).item()
    assert found == pytest.approx(expected, abs=1e-6)


def test_segmentation_loss_weighs_scans_alike():
    """A scan of few lesion voxels counts as much as one of many."""
    lesion = torch.zeros(2, 1, 16, 16, 16)
    lesion[0, :, :12] = 1
    lesion[1, :, 0, 0, 0] = 1
    missed = torch.where(lesion > 0, 30.0, -30.0)
    missed[1] = -30
    assert segmentation_loss(missed, lesion).item() == pytest.approx(0.5, abs=1e-4)


@given(st.integers(0, 2**16), st.floats(0, 1))
def test_segmentation_loss_stays_between_0_and_1(seed, share):
    generator = torch.Generator().manual_seed(seed)
    lesion = (torch.rand(1, 1, 4, 4, 4, generator=generator) < share).float()
    logits = 5 * torch.randn(1, 1, 4, 4, 4, generator=generator)
    assert 0 <= segmentation_loss(logits, lesion) <= 1
    assert segmentation_loss(60 * lesion - 30, lesion) < 1e-5


def test_a_scan_without_lesions_gives_a_finite_gradient():
    logits = torch.zeros(1, 1, 8, 8, 8, requires_grad=True)
    segmentation_loss(logits, torch.zeros(1, 1, 8, 8, 8)).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("normalisation", ["relu_max", "sigmoid"])
def test_cross_task_loss_is_equation_11(ref, outputs, normalisation):
    normalise = relu_max if normalisation == "relu_max" else ref.sigmoid
    expected = cross_loss(outputs, LABEL, normalise, ref)
    found = cross_task_loss(outputs, LABEL, ETA, normalisation).item()
    assert found == pytest.approx(expected, abs=1e-6)


def test_cross_task_loss_teaches_both_tasks(outputs):
    cross_task_loss(outputs, LABEL).backward()
    taught = (*outputs.scale_logits[:3], *outputs.features, *outputs.class_weights)
    assert all(each.grad.abs().max() > 0 for each in taught)
    assert outputs.scale_logits[3].grad is None


def test_joint_loss_is_equations_12_and_14(ref, outputs, lesion):
    losses = joint_loss(outputs, lesion, LABEL)
    probability = ref.softmax(ref.to_numpy(outputs.class_logits))[:, 1]
    y = ref.to_numpy(LABEL)
    expected = {
        "segmentation": dice_loss(
            ref.sigmoid(ref.to_numpy(outputs.lesion_logits)), ref.to_numpy(lesion)
        ),
        "classification": -np.mean(y * np.log(probability) + (1 - y) * np.log(1 - probability)),
        "cross": cross_loss(outputs, LABEL, relu_max, ref),
    }
    expected["total"] = (
        expected["segmentation"] + 0.8 * expected["classification"] + expected["cross"]
    )
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        expected, abs=1e-6
    )


def test_weights_are_applied(outputs, lesion):
    weights = LossWeights(segmentation=2, classification=3, cross=5, eta=(1, 0, 0))
    losses = joint_loss(outputs, lesion, LABEL, weights, "sigmoid")
    plain = joint_loss(outputs, lesion, LABEL, normalisation="sigmoid")
    coarse = cross_task_loss(outputs, LABEL, (1, 0, 0), "sigmoid")
    expected = 2 * plain["segmentation"] + 3 * plain["classification"] + 5 * coarse
    torch.testing.assert_close(losses["total"], expected)


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ({"class_logits": None, "features": (), "class_weights": ()}, {"segmentation"}),
        ({"lesion_logits": None, "scale_logits": ()}, {"classification"}),
        ({"scale_logits": ()}, {"segmentation", "classification"}),
    ],
)
def test_losses_follow_the_tasks(outputs, lesion, missing, names):
    losses = joint_loss(replace(outputs, **missing), lesion, LABEL)
    assert set(losses) == {"total", *names}


def test_without_cross_task_loss_the_rest_is_unchanged(outputs, lesion):
    without = joint_loss(outputs, lesion, LABEL, LossWeights(cross=0))
    plain = joint_loss(outputs, lesion, LABEL)
    assert set(without) == {"total", "segmentation", "classification"}
    torch.testing.assert_close(without["total"], plain["total"] - plain["cross"])


def test_losses_are_float32_under_autocast(outputs, lesion):
    half = Outputs(
        lesion_logits=outputs.lesion_logits.bfloat16(),
        scale_logits=tuple(each.bfloat16() for each in outputs.scale_logits),
        class_logits=outputs.class_logits.bfloat16(),
        features=tuple(each.bfloat16() for each in outputs.features),
        class_weights=outputs.class_weights,
    )
    plain = joint_loss(half, lesion, LABEL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = joint_loss(half, lesion, LABEL)
    assert {value.dtype for value in losses.values()} == {torch.float32}
    torch.testing.assert_close(losses, plain)
