"""Our instance norm is torch's, with channels last left where they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from msnmo.networks import norm
from msnmo.networks.blocks import conv_block
from msnmo.networks.build import build_network
from msnmo.networks.classification import residual_block
from msnmo.networks.norm import InstanceNorm, VolumeNorm, moments, over_volume
from msnmo.settings.methods import METHODS, ModelSettings

LAST = torch.channels_last_3d


def _features(batch: int, *shape: int, offset: float = 1.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    features = 2 * torch.randn(batch, *shape, generator=generator) + offset
    return features.to(memory_format=LAST)


def _pair(channels: int) -> tuple[InstanceNorm, nn.Module]:
    """Return our norm and torch's, in float64, of the same weights."""
    ours, exact = InstanceNorm(channels), nn.InstanceNorm3d(channels, affine=True)
    with torch.no_grad():
        ours.weight.copy_(torch.linspace(0.5, 1.5, channels))
        ours.bias.copy_(torch.linspace(-1, 1, channels))
    exact.load_state_dict(ours.state_dict())
    return ours, exact.double()


@pytest.mark.parametrize("shape", [(8, 12, 10, 6), (5, 3, 3, 3), (16, 40, 40, 40)])
@pytest.mark.parametrize("batch", [1, 2])
def test_values_and_gradients_are_those_of_torchs_norm(batch: int, shape: tuple[int, ...]) -> None:
    ours, exact = _pair(shape[0])
    features = _features(batch, *shape).requires_grad_()
    # contiguous, as torch's backward pass is wrong for one scan with channels last
    precise = features.detach().double().contiguous().requires_grad_()
    gradient = _features(batch, *shape, offset=0.3, seed=1)
    normed, expected = ours(features), exact(precise)
    assert normed.is_contiguous(memory_format=LAST)
    torch.testing.assert_close(normed.double(), expected, atol=3e-6, rtol=1e-5)
    normed.backward(gradient)
    expected.backward(gradient.double().contiguous())
    pairs = [(features, precise), *zip(ours.parameters(), exact.parameters(), strict=True)]
    for one, other in pairs:
        scale = other.grad.abs().max()
        assert (one.grad.double() - other.grad).abs().max() < 1e-4 * scale


@pytest.mark.parametrize("batch", [1, 2])
def test_half_precision_is_rounded_once(batch: int) -> None:
    ours, exact = _pair(8)
    features = _features(batch, 8, 8, 8, 8).bfloat16().requires_grad_()
    precise = features.detach().double().contiguous().requires_grad_()
    gradient = _features(batch, 8, 8, 8, 8, offset=0.3, seed=1).bfloat16()
    normed, expected = ours(features), exact(precise)
    assert normed.dtype == torch.bfloat16
    torch.testing.assert_close(normed.double(), expected, atol=2e-2, rtol=1e-2)
    normed.backward(gradient)
    expected.backward(gradient.double().contiguous())
    torch.testing.assert_close(features.grad.double(), precise.grad, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(ours.bias.grad.double(), exact.bias.grad, rtol=1e-3, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("by_scan", [False, True])
def test_on_a_gpu_gradients_are_right_with_channels_last(
    monkeypatch: pytest.MonkeyPatch, by_scan: bool, batch: int
) -> None:
    monkeypatch.setattr(norm, "BY_SCAN", {"cuda"} if by_scan else set())
    ours, exact = _pair(8)
    ours, features = ours.cuda(), _features(batch, 8, 12, 10, 6).cuda().requires_grad_()
    precise = features.detach().cpu().double().contiguous().requires_grad_()
    gradient = _features(batch, 8, 12, 10, 6, offset=0.3, seed=1)
    normed, expected = ours(features), exact(precise)
    torch.testing.assert_close(normed.cpu().double(), expected, atol=1e-4, rtol=1e-4)
    normed.backward(gradient.cuda())
    expected.backward(gradient.double().contiguous())
    torch.testing.assert_close(features.grad.cpu().double(), precise.grad, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(ours.bias.grad.cpu().double(), exact.bias.grad, rtol=1e-3, atol=1e-3)


def test_of_many_voxels_no_digit_is_lost() -> None:
    """A million, far from 0: what float32 adds up in one go is wrong in the third digit."""
    features = _features(1, 2, 100, 100, 100, offset=10.0)
    mean, variance = moments(features)
    precise = features.double()
    torch.testing.assert_close(mean.double(), precise.mean((0, 2, 3, 4)), rtol=1e-6, atol=0)
    expected = precise.var((0, 2, 3, 4), correction=0)
    torch.testing.assert_close(variance.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("edges", [(3, 5, 7), (1, 1, 521), (8, 8, 8)])
def test_moments_are_of_all_voxels_whatever_their_number(edges: tuple[int, ...]) -> None:
    features = _features(1, 3, *edges)
    mean, variance = moments(features)
    torch.testing.assert_close(mean, features.mean((0, 2, 3, 4)))
    torch.testing.assert_close(variance, features.var((0, 2, 3, 4), correction=0))


def test_a_volumes_norm_is_torchs_group_norm_of_one_group() -> None:
    image = _features(2, 1, 12, 10, 6, offset=5.0)
    torchs = nn.GroupNorm(1, 1)
    assert torch.equal(VolumeNorm()(image), torchs(image))
    # how it is computed on a GPU
    torch.testing.assert_close(over_volume(image, torchs.eps), torchs(image), atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
def test_a_volumes_norm_on_a_gpu_is_the_cpus() -> None:
    image = _features(2, 1, 40, 40, 40, offset=5.0)
    ours = VolumeNorm()
    expected = ours(image)
    torch.testing.assert_close(ours.cuda()(image.cuda()).cpu(), expected, atol=1e-4, rtol=1e-4)


def test_channels_first_are_left_to_torch() -> None:
    ours, _ = _pair(4)
    features = _features(2, 4, 6, 6, 6).contiguous()
    plain = nn.functional.instance_norm(features, weight=ours.weight, bias=ours.bias)
    assert torch.equal(ours(features), plain)


def test_blocks_have_our_norm_under_the_names_of_torchs() -> None:
    for block in (conv_block(2, 4), residual_block(2, 4, stride=2)):
        norms = [each for each in block.modules() if isinstance(each, nn.InstanceNorm3d)]
        assert norms
        assert all(type(each) is InstanceNorm for each in norms)
    assert list(conv_block(2, 4).state_dict()) == ["conv.weight", "adn.N.weight", "adn.N.bias"]


@pytest.mark.parametrize("name", ["joint", "only_seg", "only_cls", "unet", "resnet50"])
def test_channels_lie_last_where_a_cpu_is_faster_so(name: str) -> None:
    method = METHODS[name]
    small = {"base_channels": 4} if method.settings is ModelSettings else {}
    network = build_network(method, method.settings.from_mapping(small), (16, 16, 16))
    kernels = [each for each in network.parameters() if each.dim() == 5 and each.shape[1] > 1]
    lie_last = {
        each.is_contiguous(memory_format=LAST) for each in kernels if each[0, 0].numel() > 1
    }
    assert lie_last == {method.channels_last}


def test_the_joint_model_says_what_it_said_with_torchs_norm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = METHODS["joint"]
    torch.manual_seed(0)
    network = build_network(method, ModelSettings(base_channels=8), (32, 32, 32)).eval()
    image = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours = network(image)
        monkeypatch.setattr(norm, "BY_SCAN", set())
        torchs = network.to(memory_format=torch.contiguous_format)(image)
    torch.testing.assert_close(ours.lesion_logits, torchs.lesion_logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.class_logits, torchs.class_logits, atol=1e-4, rtol=0)
