"""Convolutions over maps smaller than their kernel, in bfloat16 on a CPU."""

import pytest
import torch
from torch import nn

from msnmo.networks.build import build_network
from msnmo.networks.small_maps import SmallMapConv3d, guard_small_maps
from msnmo.settings.methods import METHODS


def gradient(convolution, maps):
    convolution.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        convolution(maps).float().square().mean().backward()
    return convolution.weight.grad


def test_a_kernel_larger_than_its_map_has_the_gradient_of_float32():
    torch.manual_seed(0)
    convolution = guard_small_maps(nn.Sequential(nn.Conv3d(128, 128, 5, padding=2)))[0]
    maps = torch.randn(2, 128, 3, 3, 3)
    convolution.zero_grad()
    convolution(maps).square().mean().backward()
    exact = convolution.weight.grad.clone()
    for _ in range(10):
        junk = [torch.full((500_000,), float("nan")) for _ in range(20)]
        del junk  # what memory that nobody wrote would hold
        assert torch.equal(gradient(convolution, maps), exact)


def test_a_kernel_that_fits_its_map_is_computed_as_autocast_has_it():
    torch.manual_seed(0)
    guarded = guard_small_maps(nn.Sequential(nn.Conv3d(8, 8, 3, padding=1)))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert guarded(torch.randn(1, 8, 4, 4, 4)).dtype == torch.bfloat16
        assert guarded(torch.randn(1, 8, 2, 4, 4)).dtype == torch.float32
    assert guarded(torch.randn(1, 8, 2, 2, 2)).dtype == torch.float32


@pytest.mark.parametrize("name", ["vnet", "resnet50", "joint"])
def test_every_network_is_guarded_and_keeps_its_weights(name):
    method = METHODS[name]
    network = build_network(method, method.settings.from_mapping({}), (64, 64, 64))
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv3d)]
    assert convolutions
    assert all(isinstance(each, SmallMapConv3d) for each in convolutions)
