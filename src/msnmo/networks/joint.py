"""The joint model: sub-networks put together (section 3.2.1, Figure 3), and each task alone."""

from __future__ import annotations

from torch import Tensor, nn

from msnmo.networks.classification import Classification
from msnmo.networks.draw import draw_apart
from msnmo.networks.guidance import LesionGuidance, Variant
from msnmo.networks.outputs import Outputs
from msnmo.networks.segmentation import Segmentation
from msnmo.networks.sharing import Sharing, build_sharing, draw_local_branch
from msnmo.settings.model import GuidanceGradient, ModelSettings, Size, check_size


class JointModel(nn.Module):
    """Segment lesions and tell MS from NMOSD. Each task guides the other.

    Parameters
    ----------
    sharing : Module
        From an image (B, 1, X, Y, Z) to f_seg and f_cls.
    segmentation : Module
        From f_seg to the lesion logits and S_1 to S_4.
    guidance : Module
        From the lesion probability map and f_cls to the joint features.
    classification : Classification
        From the joint features to the class logits and F_1 to F_3.
    guidance_gradient : {"through", "detached"}
        Whether the gradient of the classification's loss flows through the lesion map into the
        segmentation.
    """

    def __init__(
        self,
        sharing: nn.Module,
        segmentation: nn.Module,
        guidance: nn.Module,
        classification: Classification,
        guidance_gradient: GuidanceGradient = "detached",
    ):
        super().__init__()
        self.guidance_gradient = guidance_gradient
        self.sharing = sharing
        self.segmentation = segmentation
        self.guidance = guidance
        self.classification = classification

    @property
    def class_bias(self) -> nn.Parameter:
        """Bias of the fully connected layer, (2,)."""
        return self.classification.fully_connected.bias

    def forward(self, image: Tensor) -> Outputs:
        """Return both tasks' outputs for z-scored scans (B, 1, X, Y, Z) in model space."""
        f_seg, f_cls = self.sharing(image)
        lesion_logits, scale_logits = self.segmentation(f_seg, image)
        lesion_map = lesion_logits.sigmoid()
        if self.guidance_gradient == "detached":
            lesion_map = lesion_map.detach()
        joint = self.guidance(lesion_map, f_cls)
        class_logits, features = self.classification(joint)
        return Outputs(
            lesion_logits=lesion_logits,
            scale_logits=scale_logits,
            class_logits=class_logits,
            features=features,
            class_weights=self.classification.class_weights,
        )


class SegmentationModel(nn.Module):
    """The segmentation subnetwork alone, on a plain stem ("Only Seg Model").

    Parameters
    ----------
    stem : Module
        From an image (B, 1, X, Y, Z) to f_seg.
    segmentation : Segmentation
    """

    def __init__(self, stem: nn.Module, segmentation: nn.Module):
        super().__init__()
        self.stem = stem
        self.segmentation = segmentation

    def forward(self, image: Tensor) -> Outputs:
        """Return the lesion logits for z-scored scans (B, 1, X, Y, Z) in model space."""
        lesion_logits, scale_logits = self.segmentation(self.stem(image), image)
        return Outputs(lesion_logits=lesion_logits, scale_logits=scale_logits)


class ClassificationModel(nn.Module):
    """The classification subnetwork alone, on a plain stem ("Only Cls Model").

    Parameters
    ----------
    stem : Module
        From an image (B, 1, X, Y, Z) to f_cls.
    classification : Classification
    """

    def __init__(self, stem: nn.Module, classification: Classification):
        super().__init__()
        self.stem = stem
        self.classification = classification

    @property
    def class_bias(self) -> nn.Parameter:
        """Bias of the fully connected layer, (2,)."""
        return self.classification.fully_connected.bias

    def forward(self, image: Tensor) -> Outputs:
        """Return the class logits for z-scored scans (B, 1, X, Y, Z) in model space."""
        class_logits, features = self.classification(self.stem(image))
        return Outputs(
            class_logits=class_logits,
            features=features,
            class_weights=self.classification.class_weights,
        )


def build_joint_model(
    settings: ModelSettings, size: Size, sharing: Sharing = "crossover", guidance: Variant = "full"
) -> JointModel:
    """Return the joint model with fresh weights that follow from torch's seed.

    Parameters
    ----------
    settings : ModelSettings
        Widths and choices.
    size : (3,) tuple of int
        Input size in voxels, each edge divisible by 16.
    sharing : {"crossover", "none", "local", "global"}
        Variant of the information-sharing subnetwork (Table 7).
    guidance : {"none", "dot", "concat", "add", "full"}
        Variant of the lesion guidance module (Table 8).

    Raises
    ------
    InputError
        If the input size does not fit.
    """
    check_size(size)
    channels = settings.base_channels
    return JointModel(
        sharing=build_sharing(settings, size, sharing),
        segmentation=_segmentation(settings),
        guidance=draw_apart(
            "guidance",
            lambda: LesionGuidance(
                channels, guidance, settings.guidance_activation, settings.guidance_start
            ),
        ),
        classification=_classification(settings),
        guidance_gradient=settings.guidance_gradient,
    )


def build_segmentation_model(settings: ModelSettings, size: Size) -> SegmentationModel:
    """Return the segmentation subnetwork on a stem like the local branch, with fresh weights."""
    check_size(size)
    return SegmentationModel(draw_local_branch(settings), _segmentation(settings))


def build_classification_model(settings: ModelSettings, size: Size) -> ClassificationModel:
    """Return the classification subnetwork on a stem like the local branch, with fresh weights."""
    check_size(size)
    return ClassificationModel(draw_local_branch(settings), _classification(settings))


def _segmentation(settings: ModelSettings) -> Segmentation:
    return draw_apart(
        "segmentation",
        lambda: Segmentation(
            settings.base_channels, settings.lesion_prior_logit, settings.image_skip
        ),
    )


def _classification(settings: ModelSettings) -> Classification:
    return draw_apart("classification", lambda: Classification(settings.base_channels))
