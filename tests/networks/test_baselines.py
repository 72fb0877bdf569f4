"""The networks that the joint model is compared with."""

import pytest
import torch
from torch import nn

from msnmo.core.errors import InputError
from msnmo.networks.baselines import with_norm, without_norm_of_one_channel
from msnmo.networks.build import build_network
from msnmo.networks.losses import joint_loss, segmentation_loss
from msnmo.networks.norm import InstanceNorm
from msnmo.settings.baselines import (
    AttentionUNetSettings,
    DynUNetSettings,
    SwinUNETRSettings,
    UNetSettings,
)
from msnmo.settings.methods import METHODS

SEGMENTERS = ["unet", "vnet", "attention_unet", "nnunet_plain"]
CLASSIFIERS = ["resnet50", "densenet121", "senet50"]
NORMS = (nn.BatchNorm3d, nn.InstanceNorm3d, InstanceNorm, nn.GroupNorm)
CUBE = (32, 32, 32)


def build(name, size=CUBE, **settings):
    torch.manual_seed(0)
    method = METHODS[name]
    return build_network(method, method.settings(**settings), size)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmentation_starts_at_the_lesion_prior(name):
    """As the joint model does: at a lesion probability of about 0.01, not one half."""
    with torch.no_grad():
        outputs = build(name).eval()(torch.randn(2, 1, *CUBE))
    assert outputs.lesion_logits.shape == (2, 1, *CUBE)
    assert 0.003 < outputs.lesion_probability.median() < 0.03


@pytest.mark.parametrize("name", SEGMENTERS[:2] + CLASSIFIERS)
def test_no_batch_norm_is_left_unless_it_is_asked_for(name):
    kinds = {type(module) for module in build(name).modules()}
    assert nn.BatchNorm3d not in kinds
    assert kinds & {InstanceNorm, nn.GroupNorm}
    assert nn.BatchNorm3d in {type(module) for module in build(name, norm="batch").modules()}


def is_norm_of_one_channel(module):
    features = getattr(module, "num_features", getattr(module, "num_channels", 0))
    return isinstance(module, NORMS) and features == 1


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("name", SEGMENTERS)
def test_no_norm_standardises_the_evidence_for_lesions(name, norm):
    """Of one channel there are norms in attention gates only, never on the way to the output."""
    network = build(name, norm=norm)
    found = [key for key, module in network.named_modules() if is_norm_of_one_channel(module)]
    assert [key for key in found if ".attention.psi." not in key] == []
    assert len(found) == (4 if name == "attention_unet" else 0)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_the_last_layer_of_weights_is_a_convolution_to_one_channel(name):
    network, called = build(name).eval(), []
    for module in network.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.register_forward_hook(lambda module, _, __: called.append(module))
    with torch.no_grad():
        network(torch.randn(1, 1, *CUBE))
    assert isinstance(called[-1], nn.Conv3d | nn.ConvTranspose3d)
    assert called[-1].out_channels == 1
    assert called[-1].bias.item() == pytest.approx(-4.6)


def test_a_norm_of_one_channel_is_taken_out_and_others_are_kept():
    block = nn.Sequential(nn.BatchNorm3d(2), nn.Sequential(nn.Conv3d(2, 1, 1), nn.BatchNorm3d(1)))
    without_norm_of_one_channel(block)
    assert isinstance(block[0], nn.BatchNorm3d)
    assert isinstance(block[1][1], nn.Identity)


def test_the_output_block_of_the_vnet_has_no_norm():
    kinds = {type(module) for module in build("vnet").network.out_tr.modules()}
    assert not kinds & set(NORMS)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_vnet_learns_whatever_the_sign_of_its_last_weight(sign):
    """After an activation, a negative weight of the one channel would keep all lesions out."""
    network = build("vnet").network.eval()
    with torch.no_grad():
        network.out_tr.conv2.weight.fill_(0.5 * sign)
        # evidence of the right sign, as much as one likes
        network.out_tr.conv_block = nn.Conv3d(32, 1, 1)
        network.out_tr.conv_block.weight.zero_()
        network.out_tr.conv_block.bias.fill_(100.0 * sign)
        logits = network(torch.randn(1, 1, *CUBE))
    assert (logits > 10).all()


def test_the_first_level_of_the_unet_works_at_full_size():
    """Five levels, four halvings: features of full size on the way down and on the way up."""
    network, shapes = build("unet", channels=(4, 5, 6, 7, 8)).eval(), {}
    for name in ("conv_0", "down_1", "down_2", "down_3", "down_4", "upcat_1"):
        part = network.network.get_submodule(name)
        part.register_forward_hook(
            lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])})
        )
    with torch.no_grad():
        network(torch.randn(1, 1, 32, 48, 64))
    assert shapes == {
        "conv_0": (4, 32, 48, 64),
        "down_1": (5, 16, 24, 32),
        "down_2": (6, 8, 12, 16),
        "down_3": (7, 4, 6, 8),
        "down_4": (8, 2, 3, 4),
        "upcat_1": (4, 32, 48, 64),
    }


def test_batch_norm_is_replaced_with_as_many_weights():
    network = nn.Sequential(nn.Conv3d(1, 48, 3), nn.Sequential(nn.BatchNorm3d(48)))
    before = sum(each.numel() for each in network.parameters())
    group = with_norm(network, "group")[1][0]
    assert (group.num_groups, group.num_channels) == (16, 48)
    assert sum(each.numel() for each in network.parameters()) == before


@pytest.mark.parametrize("name", SEGMENTERS[:3] + CLASSIFIERS)
def test_a_single_scan_is_predicted_as_it_is_in_a_batch(name):
    """Nothing that is predicted of a patient depends on who else is in the batch."""
    network, scans = build(name).eval(), torch.randn(2, 1, *CUBE)
    with torch.no_grad():
        both, first = network(scans), network(scans[:1])
    for field in ("lesion_logits", "class_logits"):
        if getattr(both, field) is not None:
            torch.testing.assert_close(
                getattr(first, field)[0], getattr(both, field)[0], rtol=1e-3, atol=1e-4
            )


@pytest.mark.parametrize("name", ["vnet", "resnet50"])
def test_the_last_batch_of_one_scan_can_be_trained_on(name):
    network = build(name).train()
    outputs = network(torch.randn(1, 1, *CUBE))
    lesion = torch.zeros(1, 1, *CUBE)
    joint_loss(outputs, lesion, torch.tensor([1]), METHODS[name].loss_weights())["total"].backward()


def test_deep_supervision_trains_each_level_with_half_the_weight_of_the_finer_one():
    network = build("nnunet_plain", channels=(4, 8, 8, 8), supervised_levels=2).train()
    image, lesion = torch.randn(1, 1, *CUBE), torch.zeros(1, 1, *CUBE)
    lesion[..., 8:20, 8:20, 8:20] = 1
    outputs = network(image)
    assert [tuple(each.shape[2:]) for each in outputs.supervised_logits] == [CUBE, CUBE]
    parts = [outputs.lesion_logits, *outputs.supervised_logits]
    expected = sum(segmentation_loss(each, lesion) / 2**i for i, each in enumerate(parts))
    loss = joint_loss(outputs, lesion, torch.tensor([0]), METHODS["nnunet_plain"].loss_weights())
    torch.testing.assert_close(loss["total"], expected)
    assert network.eval()(image).supervised_logits == ()


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (UNetSettings, {"channels": (4, 8, 8)}, "a list of five whole numbers"),
        (UNetSettings, {"norm": "layer"}, "one of batch, instance, group"),
        (UNetSettings, {"channels": (4, 8, 8, 8, 0)}, "a whole number from 1 to 4096"),
        (AttentionUNetSettings, {"channels": 32}, "two to five whole numbers"),
        (DynUNetSettings, {"channels": (4, 8, 8)}, "the number of levels minus two"),
        (SwinUNETRSettings, {"feature_size": 16}, "a multiple of 12"),
    ],
)
def test_settings_that_cannot_be_are_refused(kind, values, words):
    with pytest.raises(InputError, match=words):
        kind(**values)


def test_sizes_that_a_network_cannot_halve_are_refused():
    with pytest.raises(InputError, match="at least 64, each divisible by 32"):
        build("swin_unetr", size=(48, 48, 48))
    with pytest.raises(InputError, match="divisible by 16"):
        build("unet", size=(40, 48, 48))
