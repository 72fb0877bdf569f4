"""The list of methods: what can be trained, its name, and the tables it is a row of.

This is the only place with that list. A new method is one entry. An entry names the module and the
function that build its network, and `msnmo.networks.build` calls them. So code that only needs
names and labels imports neither torch nor a network. It does not rerun when a network changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from msnmo.core.errors import bad_input
from msnmo.settings.baselines import (
    AttentionUNetSettings,
    ClassifierSettings,
    DynUNetSettings,
    SwinUNETRSettings,
    UNetSettings,
    VNetSettings,
)
from msnmo.settings.keys import Section
from msnmo.settings.model import PAPER_WEIGHTS, LossWeights, ModelSettings

__all__ = ["JOINT", "METHODS", "LossWeights", "Method", "ModelSettings", "get_method"]

Task = Literal["segmentation", "classification"]

SEGMENTATION: frozenset[Task] = frozenset({"segmentation"})
CLASSIFICATION: frozenset[Task] = frozenset({"classification"})
BOTH_TASKS = SEGMENTATION | CLASSIFICATION


@dataclass(frozen=True)
class Method:
    """One row of the paper's tables: a network and its training.

    Parameters
    ----------
    name : str
        Its name in the config and in paths.
    label : str
        Its name in the paper's tables.
    tasks : frozenset of {"segmentation", "classification"}
        What it predicts.
    tables : tuple of int
        The tables with a row for it.
    module : str
        The module of `msnmo.networks` that builds its network.
    function : str
        The function there. It takes the method's settings and the input size.
    settings : type
        Class of the settings that `function` takes. The joint model and its ablations share the
        config's section ``model``, so they differ in nothing else. Other methods have their own
        under ``method_settings``.
    cross_task_loss : bool
        Whether it is trained with the cross-task loss, if its network allows one.
    variant : mapping
        Further arguments of `function`: how the network differs from the paper's joint model, or
        which of several networks it is.
    own : mapping of str to mapping
        Settings that define the method, by section: the defaults under its name in the config.
    paper : bool
        Whether the paper has it. Other methods are trained only if the config names them.
    """

    name: str
    label: str
    tasks: frozenset[Task]
    tables: tuple[int, ...]
    module: str
    function: str
    settings: type[Section] = ModelSettings
    cross_task_loss: bool = True
    variant: Mapping[str, str] = field(default_factory=dict, hash=False)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    paper: bool = True

    @property
    def has_maps(self) -> bool:
        """Whether its network has class activation maps: those of the paper's blocks do."""
        return "classification" in self.tasks and self.module == "joint"

    @property
    def channels_last(self) -> bool:
        """Whether its network runs faster on a CPU with channels last.

        True for networks of our own blocks, whose norm works on channels last directly. MONAI's
        networks use torch's norms, which copy the data. Measured as CPU seconds of a step of
        two scans of 48^3, one thread of an AMD EPYC (Zen 4), channels first over last, in turns:
        joint 1.05, only_seg 1.09, only_cls 1.01; unet 0.86, attention_unet 0.85, vnet 0.92,
        resnet50 0.76, densenet121 0.90, senet50 0.84. A forward pass alone gains more.
        """
        return self.module == "joint"

    def loss_weights(self, weights: LossWeights = PAPER_WEIGHTS) -> LossWeights:
        """Return the weights of equation 14 that this method is trained with.

        A single task has nothing to be weighed against, so its loss has weight 1.
        """
        if self.tasks != BOTH_TASKS:
            return LossWeights(segmentation=1.0, classification=1.0, cross=0.0)
        return weights if self.cross_task_loss else replace(weights, cross=0.0)


def _joint(
    name: str, label: str, tables: tuple[int, ...], cross_task_loss: bool = True, **variant: str
) -> Method:
    """Return the joint model or a variant of it."""
    return Method(
        *(name, label, BOTH_TASKS, tables, "joint", "build_joint_model"),
        cross_task_loss=cross_task_loss,
        variant=variant,
    )


def _changed(
    name: str, label: str, tables: tuple[int, ...] = (), **own: Mapping[str, Any]
) -> Method:
    """Return the joint model with its own settings, beyond the paper."""
    return replace(_joint(name, label, tables), own=own, paper=False)


def _two_way(name: str, label: str, normalisation: str, segmentation: str) -> Method:
    """Return the joint model with a cross-task loss that trains both maps (equation 11)."""
    form = {"cam_normalisation": normalisation, "cross_segmentation": segmentation}
    return _changed(name, label, loss=form | {"cross_gradient": "both"})


def _segmenter(
    name: str, label: str, function: str, settings: type[Section], paper: bool = True
) -> Method:
    """Return a network that Table 3 compares."""
    return Method(*(name, label, SEGMENTATION, (3,), "baselines", function, settings), paper=paper)


def _classifier(name: str, label: str, function: str, **variant: str) -> Method:
    """Return a network that Table 4 compares."""
    return Method(
        *(name, label, CLASSIFICATION, (4,), "baselines", function, ClassifierSettings),
        variant=variant,
    )


_ALL = (
    _joint("joint", "Joint Model", (3, 4, 5, 6, 7, 8, 9)),
    _segmenter("unet", "3D UNet", "build_unet", UNetSettings),
    _segmenter("vnet", "VNet", "build_vnet", VNetSettings),
    _segmenter("attention_unet", "AttentionUNet", "build_attention_unet", AttentionUNetSettings),
    _classifier("resnet50", "ResNet50", "build_resnet", depth="50"),
    _classifier("resnet101", "ResNet101", "build_resnet", depth="101"),
    _classifier("resnet152", "ResNet152", "build_resnet", depth="152"),
    _classifier("densenet121", "DenseNet121", "build_densenet121"),
    _classifier("senet50", "SENet50", "build_senet50"),
    Method(
        "only_seg",
        "Only Seg Model",
        SEGMENTATION,
        (5,),
        "joint",
        "build_segmentation_model",
    ),
    Method(
        "only_cls",
        "Only Cls Model",
        CLASSIFICATION,
        (6,),
        "joint",
        "build_classification_model",
    ),
    _joint("without_sharing", "w/o share", (7,), sharing="none"),
    _joint("only_local", "Only local", (7,), sharing="local"),
    _joint("only_global", "Only global", (7,), sharing="global"),
    _joint("lgm_none", "w/o LGM", (8,), guidance="none"),
    _joint("lgm_dot", "dot product", (8,), guidance="dot"),
    _joint("lgm_concat", "concat", (8,), guidance="concat"),
    _joint("lgm_add", "dot add", (8,), guidance="add"),
    _joint("without_cross_loss", "w/o cross loss", (9,), cross_task_loss=False),
    # beyond the paper: what reviewers ask for
    _segmenter("nnunet_plain", "nnU-Net (plain)", "build_dynunet", DynUNetSettings, paper=False),
    _segmenter("swin_unetr", "SwinUNETR", "build_swin_unetr", SwinUNETRSettings, paper=False),
    _changed(
        "joint_plus",
        "Joint Model+",
        (3,),
        model={"image_skip": True},
        train={"segmentation_loss": "dice_ce"},
    ),
    # the joint model with changed choices
    _two_way("cross_literal", "cross loss of S - V", "none", "logits"),
    _two_way("cross_relu_max", "cross loss of ReLU / max", "relu_max", "probabilities"),
    _two_way("cross_sigmoid", "cross loss of sigmoids", "sigmoid", "probabilities"),
    _two_way("cross_two_way", "cross loss, both maps learn", "standardise", "lesion_map"),
    _changed("cross_scales", "cross loss of S standardised", loss={"cross_segmentation": "logits"}),
    _changed("cross_balanced", "cross loss, balanced", loss={"cross_balance": True}),
    _changed("cross_ramp", "cross loss, ramp", loss={"cross_ramp_epochs": 10}),
    _changed("image_skip", "image skip", model={"image_skip": True}),
    _changed("lgm_through", "LGM not detached", model={"guidance_gradient": "through"}),
    _changed("dice_ce", "Dice + cross-entropy", train={"segmentation_loss": "dice_ce"}),
)

JOINT = "joint"
"""The paper's own method. The others are compared with it."""
METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
"""Every method by name, in the order of a table's rows."""


def get_method(name: str) -> Method:
    """Return the method with this name.

    Raises
    ------
    InputError
        If there is none. The message lists the known names.
    """
    if name not in METHODS:
        known = ", ".join(METHODS)
        raise bad_input("config: methods", f"one of {known}", name, "correct the method's name")
    return METHODS[name]
