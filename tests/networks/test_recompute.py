"""Gradient checkpointing: the same numbers from fewer that are kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from msnmo.networks.build import build_network
from msnmo.networks.losses import joint_loss
from msnmo.networks.recompute import recompute_blocks
from msnmo.settings.methods import METHODS, ModelSettings

SIZE = (32, 32, 32)
NARROW = {
    "unet": {"channels": [4, 4, 8, 8, 16]},
    "attention_unet": {"channels": [4, 8, 16]},
}


def _network(name: str) -> nn.Module:
    method = METHODS[name]
    small = {"base_channels": 4} if method.settings is ModelSettings else NARROW.get(name, {})
    torch.manual_seed(0)
    return build_network(method, method.settings.from_mapping(small), SIZE).train()


def _step(network: nn.Module) -> tuple[list[torch.Tensor], int]:
    """Return loss and gradients of a step, and the bytes that its forward pass kept."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 1, *SIZE, generator=generator)
    lesion, label = (image > 1.5).float(), torch.tensor([1])
    kept: dict[int, int] = {}
    parameters = {each.data_ptr() for each in network.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total = joint_loss(network(image), lesion, label)["total"]
        forward = sum(kept.values())
    total.backward()
    return [total, *(each.grad for each in network.parameters())], forward


@pytest.mark.parametrize("name", ["joint", "unet", "attention_unet"])
def test_blocks_that_are_computed_twice_give_equal_bytes_and_keep_less(name: str) -> None:
    expected, before = _step(_network(name))
    network = _network(name)
    names = list(network.state_dict())
    assert recompute_blocks(network)
    assert list(network.state_dict()) == names
    found, after = _step(network)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert after < 0.7 * before


@pytest.mark.parametrize(
    ("name", "blocks"), [("joint", 11), ("resnet50", 16), ("densenet121", 58), ("senet50", 16)]
)
def test_a_block_holds_two_convolutions_and_no_other_block(name: str, blocks: int) -> None:
    network = _network(name)
    found = recompute_blocks(network)
    assert len(found) == blocks
    assert not any(other.startswith(f"{one}.") for one in found for other in found)
