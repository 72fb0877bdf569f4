"""Lesion segmentation subnetwork: equation 5."""

import numpy as np
import pytest
import torch

from msnmo.networks.segmentation import Segmentation, combine_scales

NO_IMAGE = torch.empty(0)
"""It is not read unless the last decoding block is to see it."""


def drawn(image_skip):
    torch.manual_seed(3)
    return Segmentation(8, prior_logit=-2.3, image_skip=image_skip)


def test_lesion_map_is_equation_5(ref):
    """From the four feature maps on: 1x1x1 convolutions, nearest neighbours, weighted sum."""
    network = Segmentation(8, prior_logit=-2.3)
    seen = {}
    for name in ("encode_3", "expand_1", "expand_2", "expand_3"):
        module = getattr(network, name)
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    lesion_logits, scales = network(torch.randn(2, 8, 16, 16, 16), NO_IMAGE)

    expected = 0
    for features, head, found, factor, weight in zip(
        seen.values(), network.heads, scales, (8, 4, 2, 1), (0.25, 0.25, 0.5, 1.0), strict=True
    ):
        kernel = ref.to_numpy(head.weight)[:, :, 0, 0, 0]
        scale = np.einsum("bcxyz,oc->boxyz", ref.to_numpy(features), kernel)
        scale += ref.to_numpy(head.bias)
        np.testing.assert_allclose(ref.to_numpy(found), scale, atol=1e-5)
        expected = expected + weight * ref.nearest(scale, factor)
    np.testing.assert_allclose(ref.to_numpy(lesion_logits), expected, atol=1e-5)


def test_scales_weigh_up_to_two(ref):
    scales = tuple(torch.full((1, 1, edge, edge, edge), -2.3) for edge in (2, 4, 8, 16))
    probability = ref.sigmoid(ref.to_numpy(combine_scales(scales)))
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(4.6)), rtol=1e-6)


@pytest.mark.parametrize("half", [(16, 16, 16), (16, 24, 32)])
def test_shapes(half):
    """Heads sit at 1/8, 1/4, 1/2 and 1/1 of the input, on 128, 64, 32 and 16 channels."""
    network = Segmentation(32, prior_logit=-2.3)
    lesion_logits, scales = network(torch.randn(1, 32, *half), NO_IMAGE)
    assert lesion_logits.shape == (1, 1, *(2 * edge for edge in half))
    for scale, factor in zip(scales, (0.25, 0.5, 1, 2), strict=True):
        assert scale.shape == (1, 1, *(int(edge * factor) for edge in half))
    assert [head.in_channels for head in network.heads] == [128, 64, 32, 16]


def test_lesion_map_starts_at_the_lesion_prior():
    """With zero biases Dice training does not leave its plateau."""
    network = Segmentation(16, prior_logit=-2.3)
    lesion_logits, _ = network(torch.randn(1, 16, 16, 16, 16).relu(), NO_IMAGE)
    assert 0.003 < lesion_logits.sigmoid().mean() < 0.03
    assert all(head.bias.item() == pytest.approx(-2.3) for head in network.heads)


def test_skips_reach_the_decoder():
    """The half-size skip carries detail that the bottom of 1/8 size cannot."""
    network = Segmentation(8, prior_logit=-2.3)
    f_seg = torch.randn(1, 8, 16, 16, 16, requires_grad=True)
    encoded = network.encode_1(f_seg)
    decoder = network.expand_2.decode[0].conv
    assert decoder.in_channels == 16  # 8 raised and 8 skipped
    assert network.expand_3.decode[0].conv.in_channels == 4  # none at full size
    raised = network.expand_2(torch.zeros(1, 16, 8, 8, 8), encoded)
    (gradient,) = torch.autograd.grad(raised.square().sum(), f_seg)
    assert gradient.abs().max() > 0


def test_the_image_reaches_the_lesion_map_through_the_last_block_alone():
    network, f_seg = drawn(image_skip=True), torch.randn(1, 8, 8, 8, 8)
    image = torch.randn(1, 1, 16, 16, 16, requires_grad=True)
    lesion_logits, scales = network(f_seg, image)
    other_logits, other_scales = network(f_seg, torch.randn(1, 1, 16, 16, 16))
    assert all(map(torch.equal, scales[:3], other_scales[:3]))
    assert not torch.equal(scales[3], other_scales[3])
    assert not torch.equal(lesion_logits, other_logits)
    (gradient,) = torch.autograd.grad(lesion_logits.sum(), image)
    assert gradient.abs().max() > 0


def test_the_last_block_sees_the_image_beside_the_raised_features():
    network, seen = drawn(image_skip=True), {}
    last = network.expand_3
    last.up.register_forward_hook(lambda _, __, out: seen.update(raised=out))
    last.decode.register_forward_pre_hook(lambda _, given: seen.update(decoded=given[0]))
    image = torch.randn(1, 1, 16, 16, 16)
    network(torch.randn(1, 8, 8, 8, 8), image)
    assert torch.equal(seen["decoded"], torch.cat([image, seen["raised"]], dim=1))


def test_without_the_skip_the_image_is_not_read():
    network, f_seg = drawn(image_skip=False), torch.randn(1, 8, 8, 8, 8)
    images = torch.randn(2, 1, 1, 16, 16, 16)
    assert torch.equal(network(f_seg, images[0])[0], network(f_seg, images[1])[0])


def test_the_image_skip_leaves_the_start_of_all_else_as_it_is():
    """The heads, too, which are drawn after the block that is wider by a channel."""
    plain, skipping = (drawn(image_skip).state_dict() for image_skip in (False, True))
    assert plain.keys() == skipping.keys()
    widened = "expand_3.decode.0.conv.weight"
    same = plain.keys() - {widened}
    assert len(same) == 55
    assert {f"heads.{index}.weight" for index in range(4)} < same
    assert [name for name in same if not torch.equal(plain[name], skipping[name])] == []
    assert skipping[widened].shape[1] == plain[widened].shape[1] + 1
