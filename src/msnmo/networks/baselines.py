"""MONAI's networks that the joint model is compared with, in the form that all methods share.

Each takes an image (B, 1, X, Y, Z) and returns `Outputs` of its one task.
"""

from __future__ import annotations

from math import gcd
from typing import Any

from monai.networks.nets import (
    AttentionUnet,
    BasicUNet,
    DenseNet121,
    DynUNet,
    SEResNet50,
    SwinUNETR,
    VNet,
    resnet50,
    resnet101,
    resnet152,
)
from torch import Tensor, nn

from msnmo.networks.classification import CLASSES
from msnmo.networks.norm import InstanceNorm
from msnmo.networks.outputs import Outputs
from msnmo.settings.baselines import (
    AttentionUNetSettings,
    ClassifierSettings,
    DynUNetSettings,
    Norm,
    SegmentationSettings,
    SwinUNETRSettings,
    UNetSettings,
    VNetSettings,
)
from msnmo.settings.model import Size, check_size

GROUPS = 32
"""Number of groups of group norm (Wu & He 2018); fewer if it does not divide the channels."""
SWIN_EDGES = {"multiple": 32, "least": 64}
"""Swin UNETR halves a scan five times, and its last instance norm needs two voxels."""
RESNETS = {"50": resnet50, "101": resnet101, "152": resnet152}
IMAGE: dict[str, Any] = {"spatial_dims": 3, "in_channels": 1}


class SegmentationBaseline(nn.Module):
    """A network that maps an image to one channel of lesion logits.

    Parameters
    ----------
    network : Module
        From (B, 1, X, Y, Z) to logits of that shape. In training it may return
        (B, 1 + n, 1, X, Y, Z): the logits and n deeply supervised maps.
    heads : sequence of Module
        The last convolutions, whose bias starts at the lesion prior.
    prior_logit : float
    """

    def __init__(self, network: nn.Module, heads: list[nn.Module], prior_logit: float):
        super().__init__()
        self.network = network
        for head in heads:
            nn.init.constant_(head.get_parameter("bias"), prior_logit)

    def forward(self, image: Tensor) -> Outputs:
        """Return the lesion logits of z-scored scans in model space."""
        logits = self.network(image)
        if logits.dim() == image.dim():
            return Outputs(lesion_logits=logits.float())
        full, *supervised = logits.float().unbind(dim=1)
        return Outputs(lesion_logits=full, supervised_logits=tuple(supervised))


class ClassificationBaseline(nn.Module):
    """A network that maps an image to the logits of MS and NMOSD.

    Parameters
    ----------
    network : Module
        From (B, 1, X, Y, Z) to (B, 2).
    class_layer : str
        Name of its last layer.
    """

    def __init__(self, network: nn.Module, class_layer: str):
        super().__init__()
        self.network = network
        self.class_layer = class_layer

    @property
    def class_bias(self) -> nn.Parameter:
        """Bias of the last layer, (2,)."""
        return self.network.get_submodule(self.class_layer).get_parameter("bias")

    def forward(self, image: Tensor) -> Outputs:
        """Return the class logits of z-scored scans in model space."""
        return Outputs(class_logits=self.network(image).float())


def build_unet(settings: UNetSettings, size: Size) -> SegmentationBaseline:
    """Return a 3D UNet with fresh weights; its first level works at full size."""
    check_size(size)
    network = BasicUNet(
        **IMAGE,
        out_channels=1,
        # the last number is for the decoder's full-size level
        features=(*settings.channels, settings.channels[0]),
        act="relu",
        norm="batch",
        bias=False,
    )
    return _segmenter(network, settings)


def build_attention_unet(settings: AttentionUNetSettings, size: Size) -> SegmentationBaseline:
    """Return an Attention U-Net with fresh weights."""
    check_size(size)
    network = AttentionUnet(
        **IMAGE,
        out_channels=1,
        channels=settings.channels,
        strides=[2] * (len(settings.channels) - 1),
        dropout=settings.dropout,
    )
    return _segmenter(network, settings)


def build_vnet(settings: VNetSettings, size: Size) -> SegmentationBaseline:
    """Return a V-Net with fresh weights."""
    check_size(size)
    network = VNet(
        **IMAGE,
        out_channels=1,
        dropout_prob_down=settings.dropout,
        dropout_prob_up=(settings.dropout, settings.dropout),
    )
    without_norm_of_one_channel(network.out_tr)
    if settings.output_activation == "none":
        network.out_tr.act_function1 = nn.Identity()
    return _segmenter(network, settings)


def build_dynunet(settings: DynUNetSettings, size: Size) -> SegmentationBaseline:
    """Return a plain nnU-Net-like network with deep supervision and fresh weights."""
    check_size(size)
    levels = len(settings.channels)
    strides = [1] + [2] * (levels - 1)
    network = DynUNet(
        **IMAGE,
        out_channels=1,
        kernel_size=[3] * levels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=settings.channels,
        deep_supervision=True,
        deep_supr_num=settings.supervised_levels,
        norm_name="batch",
    )
    return _segmenter(network, settings, network.output_block, *network.deep_supervision_heads)


def build_swin_unetr(settings: SwinUNETRSettings, size: Size) -> SegmentationBaseline:
    """Return a Swin UNETR with fresh weights.

    Raises
    ------
    InputError
        If an edge of the input is not a multiple of 32, of at least 64.
    """
    check_size(size, **SWIN_EDGES)
    network = SwinUNETR(**IMAGE, out_channels=1, feature_size=settings.feature_size)
    return SegmentationBaseline(
        network, [_last_convolution(network.out)], settings.lesion_prior_logit
    )


def build_resnet(settings: ClassifierSettings, size: Size, depth: str) -> ClassificationBaseline:
    """Return the ResNet of 50, 101 or 152 layers (He et al. 2016) with fresh weights."""
    check_size(size)
    # as published, the stem halves the size twice; with MONAI's default stride of 1 all maps would
    # be 8 times as large
    network = RESNETS[depth](n_input_channels=1, num_classes=CLASSES, conv1_t_stride=2)
    return ClassificationBaseline(with_norm(network, settings.norm), "fc")


def build_densenet121(settings: ClassifierSettings, size: Size) -> ClassificationBaseline:
    """Return a DenseNet of 121 layers (Huang et al. 2017) with fresh weights."""
    check_size(size)
    network = DenseNet121(**IMAGE, out_channels=CLASSES)
    return ClassificationBaseline(with_norm(network, settings.norm), "class_layers.out")


def build_senet50(settings: ClassifierSettings, size: Size) -> ClassificationBaseline:
    """Return a squeeze-and-excitation ResNet of 50 layers (Hu et al. 2018), fresh weights."""
    check_size(size)
    network = SEResNet50(**IMAGE, num_classes=CLASSES)
    return ClassificationBaseline(with_norm(network, settings.norm), "last_linear")


def _segmenter(
    network: nn.Module, settings: SegmentationSettings, *outputs: nn.Module
) -> SegmentationBaseline:
    """Return a network with the norm of its settings. `outputs` hold its last convolutions."""
    heads = [_last_convolution(block) for block in outputs or [network]]
    return SegmentationBaseline(
        with_norm(network, settings.norm), heads, settings.lesion_prior_logit
    )


def with_norm(network: nn.Module, norm: Norm) -> nn.Module:
    """Return the network with every batch norm replaced, in place.

    Several of MONAI's networks always have batch norm.
    """
    if norm == "batch":
        return network
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm3d):
                setattr(module, name, _norm(norm, child.num_features))
    return network


def without_norm_of_one_channel(block: nn.Module) -> None:
    """Remove the batch norms of one channel from a block, in place.

    At the output such a norm would standardise the evidence for lesions within each scan. A scan
    with few lesions would then show as much evidence as a scan with many.
    """
    for module in list(block.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm3d) and child.num_features == 1:
                setattr(module, name, nn.Identity())


def _norm(norm: Norm, channels: int) -> nn.Module:
    if norm == "instance":
        return InstanceNorm(channels)
    return nn.GroupNorm(gcd(GROUPS, channels), channels)


def _last_convolution(network: nn.Module) -> nn.Module:
    kinds = nn.Conv3d | nn.ConvTranspose3d
    return [module for module in network.modules() if isinstance(module, kinds)][-1]
