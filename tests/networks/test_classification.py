"""Disease classification subnetwork: equation 6."""

import numpy as np
import pytest
import torch

from msnmo.networks.classification import Classification, residual_block
from msnmo.networks.outputs import Outputs


def test_class_probabilities_are_equation_6(ref):
    network = Classification(4)
    class_logits, features = network(torch.randn(3, 4, 16, 8, 8))
    score = np.tile(ref.to_numpy(network.fully_connected.bias), (3, 1))
    for maps, weight in zip(features, network.class_weights, strict=True):
        for scan, category, channel in np.ndindex(3, *weight.shape):
            pooled = ref.to_numpy(maps)[scan, channel].mean()
            score[scan, category] += pooled * weight[category, channel].item()
    found = Outputs(class_logits=class_logits).class_probabilities
    np.testing.assert_allclose(ref.to_numpy(found), ref.softmax(score), atol=1e-6)


@pytest.mark.parametrize("half", [(16, 16, 16), (16, 24, 32)])
def test_shapes(half):
    """F_1 to F_3: 64, 128 and 256 channels at 1/2, 1/4 and 1/8 of the input, joined to 448."""
    network = Classification(32)
    class_logits, features = network(torch.randn(2, 32, *half))
    assert class_logits.shape == (2, 2)
    for maps, width, factor in zip(features, (64, 128, 256), (1, 2, 4), strict=True):
        assert maps.shape == (2, width, *(edge // factor for edge in half))
    assert network.fully_connected.in_features == 448
    assert [tuple(weight.shape) for weight in network.class_weights] == [
        (2, 64),
        (2, 128),
        (2, 256),
    ]


@pytest.mark.parametrize("stride", [1, 2])
def test_residual_block_adds_what_it_learns_to_its_input(ref, stride):
    block = residual_block(3, 5, stride)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    image = torch.randn(2, 3, 8, 8, 8)

    def norm(module, features):
        return ref.instance_norm(features, ref.to_numpy(module.weight), ref.to_numpy(module.bias))

    plain = ref.to_numpy(image)
    out = ref.conv3d(plain, ref.to_numpy(block.conv1.weight), stride=stride, padding=1)
    out = np.maximum(norm(block.bn1, out), 0)
    out = norm(block.bn2, ref.conv3d(out, ref.to_numpy(block.conv2.weight), padding=1))
    shortcut = block.downsample
    out += ref.conv3d(plain, ref.to_numpy(shortcut.weight), ref.to_numpy(shortcut.bias), stride)
    np.testing.assert_allclose(ref.to_numpy(block(image)), np.maximum(out, 0), atol=1e-4)


def test_a_channels_level_reaches_the_classifier():
    """Instance norm on both paths would hide how much of a feature there is in a scan."""
    block = residual_block(3, 5, 1)
    image = torch.randn(1, 3, 8, 8, 8)
    pooled = [block(image + level).mean(dim=(2, 3, 4)) for level in (0.0, 2.0)]
    assert (pooled[0] - pooled[1]).abs().max() > 0.1
