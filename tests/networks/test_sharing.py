"""Information-sharing subnetwork: equations 1 to 4."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from msnmo.networks.sharing import Crossover, GlobalBranch, InformationSharing, LocalBranch
from msnmo.settings.model import ModelSettings

SMALL = ModelSettings(base_channels=8, heads=2)


def test_local_branch_is_equation_3(ref):
    branch = LocalBranch(4)
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter)
    image = torch.randn(2, 1, 16, 16, 16) * 3 + 5
    norm, *blocks = branch
    expected = ref.to_numpy(image)
    expected -= expected.mean(axis=(1, 2, 3, 4), keepdims=True)
    expected /= np.sqrt(expected.var(axis=(1, 2, 3, 4), keepdims=True) + 1e-5)
    expected = expected * ref.to_numpy(norm.weight) + ref.to_numpy(norm.bias)
    for block, stride in zip(blocks, (2, 1, 1), strict=True):
        expected = ref.conv3d(expected, ref.to_numpy(block.conv.weight), stride=stride, padding=1)
        scale, shift = (ref.to_numpy(value) for value in (block.adn.N.weight, block.adn.N.bias))
        expected = np.maximum(ref.instance_norm(expected, scale, shift), 0)
    assert expected.shape == (2, 4, 8, 8, 8)
    np.testing.assert_allclose(ref.to_numpy(branch(image)), expected, atol=1e-4)


def test_local_branch_sees_an_image_of_one_channel():
    """Layer norm over the single channel would make every image 0."""
    branch = LocalBranch(4)
    first, second = (branch(torch.randn(1, 1, 16, 16, 16)) for _ in range(2))
    assert (first - second).abs().max() > 0.1


def attend(tokens, block, shift, ref, window):
    """One Swin layer on (x, y, z, C), written as attention between all pairs of tokens.

    A pair may attend where both lie in one window of a grid that starts at `shift`, not wrapped.
    """
    grid, channels = tokens.shape[:3], tokens.shape[3]
    places = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), -1).reshape(-1, 3)
    windows = (places - shift) // window
    together = (windows[:, None] == windows[None]).all(-1)
    # the layer numbers positions within the window of the rolled grid, differences are the same
    difference = places[:, None] - places[None] + window - 1
    span = 2 * window - 1
    index = (difference[..., 0] * span[1] + difference[..., 1]) * span[2] + difference[..., 2]
    index = np.where(together, index, 0)

    def weights(module):
        return ref.to_numpy(module.weight), ref.to_numpy(module.bias)

    flat = tokens.reshape(-1, channels)
    normed = ref.layer_norm(flat, *weights(block.norm1))
    weight, bias = weights(block.attn.qkv)
    heads = block.attn.num_heads
    query, key, value = (
        (normed @ weight.T + bias).reshape(-1, 3, heads, channels // heads).swapaxes(0, 1)
    )
    table = ref.to_numpy(block.attn.relative_position_bias_table)
    mixed = []
    for head in range(heads):
        score = query[:, head] @ key[:, head].T / np.sqrt(channels // heads) + table[index, head]
        mixed.append(ref.softmax(np.where(together, score, -np.inf)) @ value[:, head])
    weight, bias = weights(block.attn.proj)
    flat = flat + np.concatenate(mixed, axis=1) @ weight.T + bias
    hidden = ref.layer_norm(flat, *weights(block.norm2))
    weight, bias = weights(block.mlp.linear1)
    hidden = hidden @ weight.T + bias
    hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
    weight, bias = weights(block.mlp.linear2)
    return (flat + hidden @ weight.T + bias).reshape(tokens.shape)


@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [
        ((160, 80, 80), np.array([5, 5, 5]), np.array([2, 0, 0])),
        ((32, 48, 64), np.array([2, 3, 4]), 0),
    ],
)
def test_global_branch_is_equations_1_and_2(ref, size, window, shift):
    """Windows of 5 tokens, shifted by 2 where the grid is wider than a window."""
    branch = GlobalBranch(SMALL, size)
    for name, parameter in branch.named_parameters():
        torch.nn.init.normal_(parameter, std=1 if "table" in name else 0.3)
    image = torch.randn(1, 1, *size)

    convolution = branch.patch_embedding[0]
    grid = [edge // 8 for edge in size]
    patches = ref.to_numpy(image).reshape(grid[0], 8, grid[1], 8, grid[2], 8)
    embedded = np.einsum("xiyjzk,oijk->xyzo", patches, ref.to_numpy(convolution.weight)[:, 0])
    embedded += ref.to_numpy(convolution.bias)
    halves = [part for edge in grid for part in (edge // 2, 2)]
    tokens = embedded.reshape(*halves, -1).mean(axis=(1, 3, 5))
    tokens = ref.layer_norm(
        tokens, ref.to_numpy(branch.norm.weight), ref.to_numpy(branch.norm.bias)
    )
    first, second = branch.transformer.blocks
    tokens = attend(tokens, first, np.zeros(3, int), ref, window)
    tokens = attend(tokens, second, shift, ref, window)
    expected = ref.trilinear(np.moveaxis(tokens, -1, 0)[None], 8)

    found = ref.to_numpy(branch(image))
    assert found.shape == (1, 8, *(edge // 2 for edge in size))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_shifted_windows_do_not_wrap_around():
    """A token at one corner reaches its windows' tokens, never those at the far faces."""
    transformer = GlobalBranch(SMALL, (160, 160, 160)).transformer
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter)
    tokens = torch.randn(1, 8, 10, 10, 10)
    changed = tokens.clone()
    changed[:, :, 0, 0, 0] = torch.randn(8)
    difference = (transformer(changed) - transformer(tokens)).abs().amax(dim=(0, 1))
    assert (difference[:5, :5, :5] > 0).all()
    # the shifted window of 2..6 passes on what the first layer brought to 0..4
    assert difference[5:7, 5:7, 5:7].min() > 0
    reached = torch.zeros(10, 10, 10, dtype=torch.bool)
    reached[:7, :7, :7] = True
    assert difference[~reached].max() == 0


def test_window_is_clamped_by_the_grid():
    """At 48 voxels the grid has 3 tokens: one window, with the position bias of that window."""
    branch = GlobalBranch(SMALL, (48, 48, 48))
    table = branch.transformer.blocks[0].attn.relative_position_bias_table
    assert table.shape == (5**3, SMALL.heads)


def test_crossover_is_equation_4(ref):
    crossover = Crossover(0.9)
    torch.nn.init.normal_(crossover.weight)
    local, global_ = torch.randn(2, 3, 4, 4, 4), torch.randn(2, 3, 4, 4, 4)
    stacked = np.stack([ref.to_numpy(local), ref.to_numpy(global_)])
    expected = np.tensordot(ref.to_numpy(crossover.weight), stacked, axes=1)
    for found, each in zip(crossover(local, global_), expected, strict=True):
        np.testing.assert_allclose(ref.to_numpy(found), each, atol=1e-6)


def test_crossover_starts_with_each_task_on_its_own_branch():
    """Segmentation starts on local features, classification on global ones."""
    weight = InformationSharing(SMALL, (32, 32, 32)).crossover.weight
    torch.testing.assert_close(weight.data, torch.tensor([[0.9, 0.1], [0.1, 0.9]]))
    assert weight.requires_grad


@pytest.mark.parametrize("size", [(32, 32, 32), (32, 48, 64)])
def test_shared_features_have_half_the_input_size(size):
    for features in InformationSharing(SMALL, size)(torch.randn(2, 1, *size)):
        assert features.shape == (2, 8, *(edge // 2 for edge in size))
