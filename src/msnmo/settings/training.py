"""The settings of a training (config sections train, augment, loss and model), checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field

from msnmo.core.errors import bad_input
from msnmo.core.starter import bundle_of_config
from msnmo.settings.keys import MOST, Number, Probability, Section, Share, Weight, key, within
from msnmo.settings.methods import LossWeights, Method

Network = TypeVar("Network", bound=Section)
Precision = Literal["auto", "bfloat16", "float32"]
SegmentationLoss = Literal["dice", "dice_ce"]
CrossSegmentation = Literal["logits", "probabilities", "lesion_map"]
Normalisation = Literal["none", "relu_max", "sigmoid", "standardise"]
BundleOrNone = Annotated[
    str, Field(json_schema_extra={"format": "path"}), AfterValidator(bundle_of_config)
]
Eta = Annotated[tuple[Weight, Weight, Weight], Field(strict=False)]


def of_network() -> Any:
    """Return the field of the network's settings. The defaults come from its class."""
    return Field(default_factory=dict, validate_default=True, description="the method's network")


class OptimiserSettings(Section):
    """How the weights are fitted (paper, section 4.1)."""

    section: ClassVar[str] = "train"
    epochs: int = key(
        200,
        "passes over the training scans (we read the paper's 200 iterations so); the weights of "
        "the last pass are kept (ours)",
        "paper",
        ge=1,
        le=MOST,
    )
    batch_size: int = key(
        2,
        "scans in one step; the last step of an epoch takes the rest (ours), so that every epoch "
        "sees every scan",
        "paper",
        ge=1,
        le=1000,
    )
    learning_rate: Share = key(1e-4, "Adam's learning rate at the start", "paper")
    plateau_patience: int = key(
        10,
        "epochs without a fall of the loss before the learning rate is lowered, after one more "
        "(as in PyTorch's ReduceLROnPlateau); taking the mean loss of the training scans is ours",
        "paper",
        ge=0,
        le=MOST,
    )
    plateau_factor: Share = key(0.5, "factor that lowers the learning rate", "paper")
    segmentation_loss: SegmentationLoss = key(
        "dice",
        "loss of every method that segments: Dice (equation 13; that it is soft is ours), or the "
        "sum of Dice and the voxels' mean cross-entropy (dice_ce)",
        "paper",
    )
    precision: Precision = key(
        "auto",
        "precision of multiplications in training; auto: bfloat16 on a GPU that supports it, "
        "else float32; some CPUs are faster in bfloat16 too",
        "ours",
    )
    start_from: BundleOrNone = key(
        "",
        "what trainings start from: starter (the bundle that ships with msnmo), path of another "
        "bundle, or of one file of weights (safetensors); "
        "tensors with the same name and shape are used, the others start fresh; empty: all start "
        "fresh. Its networks must not have learned from patients who are tested here",
        "ours",
    )


class AugmentSettings(Section):
    """How training scans are varied (paper, section 3.1.3; rotation's axis and angle are ours)."""

    section: ClassVar[str] = "augment"
    flip_probability: Probability = key(0.5, "probability of a flip along one random axis", "paper")
    rotation_probability: Probability = key(
        0.5, "probability of a rotation; to rotate about one random axis is ours", "paper"
    )
    rotation_degrees: Number = key(
        15.0, "angles are drawn uniformly between minus and plus this", "ours", ge=0, le=180
    )


class LossSettings(Section):
    """Weights of the losses (paper, equation 14) and cross-task loss, for methods of both tasks."""

    section: ClassVar[str] = "loss"
    segmentation: Weight = key(1.0, "weight of the Dice loss; 0 removes a loss", "paper")
    classification: Weight = key(0.8, "weight of the cross-entropy", "paper")
    cross: Weight = key(1.0, "weight of the cross-task loss", "paper")
    eta: Eta = key(
        (0.25, 0.25, 0.5),
        "weights of the scales in the cross-task loss, coarse to fine: 1/8, 1/4 and 1/2 of the "
        "scan's size; the paper gives the three numbers but not their order",
        "ours",
    )
    cross_segmentation: CrossSegmentation = key(
        "lesion_map",
        "the part of the segmentation that is compared with the localisation map of a scale: S_i "
        "of equation 5 (logits), its sigmoid, or the lesion map of all S_i, reduced to the scale",
        "ours",
    )
    cam_normalisation: Normalisation = key(
        "standardise",
        "how localisation maps are scaled before the comparison with the segmentation: not at "
        "all, to 0..1, or both sides to mean 0 and standard deviation 1 per scan (standardise)",
        "ours",
    )
    cam_class: Literal["truth", "predicted", "difference"] = key(
        "truth",
        "the class whose localisation maps the cross-task loss uses; difference: the true "
        "class's map minus the other's",
        "ours",
    )
    cross_reduction: Literal["mean", "sum"] = key(
        "mean",
        "how the squared differences of a scale's voxels become one number; the paper's text "
        "says mean, its equation 11 shows a sum",
        "ours",
    )
    cross_balance: bool = key(
        False, "whether lesion and background have equal weight in the cross-task loss", "ours"
    )
    cross_gradient: Literal["both", "localisation", "segmentation"] = key(
        "localisation", "which of the two maps learns from the cross-task loss", "ours"
    )
    cross_ramp_epochs: int = key(
        0,
        "epochs over which the cross-task loss's weight rises from 0; 0: none",
        "ours",
        ge=0,
        le=MOST,
    )

    @property
    def weights(self) -> LossWeights:
        """The weights in the form that the losses take."""
        return LossWeights(self.segmentation, self.classification, self.cross)


class SectionsOfOneTask(Section, Generic[Network]):
    """Settings of a method of one task. `Network` is the class of its network's settings."""

    train: OptimiserSettings = within(OptimiserSettings, "how the weights are fitted")
    augment: AugmentSettings = within(AugmentSettings, "how training scans are varied")
    model: Network = of_network()


class Sections(Section, Generic[Network]):
    """Settings of a method of both tasks. `Network` is as in `SectionsOfOneTask`."""

    train: OptimiserSettings = within(OptimiserSettings, "how the weights are fitted")
    augment: AugmentSettings = within(AugmentSettings, "how training scans are varied")
    loss: LossSettings = within(LossSettings, "weights of the losses in their sum")
    model: Network = of_network()


@dataclass(frozen=True)
class Settings:
    """All settings of a training.

    Parameters
    ----------
    train, augment, loss : Section
    model : Section
        Of the class that the method names.
    """

    train: OptimiserSettings
    augment: AugmentSettings
    loss: LossSettings
    model: Section

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return the settings as JSON types. `from_mapping` inverts it.

        The path of the start weights is left out. The training itself records what they are.
        """
        content = {item.name: getattr(self, item.name).model_dump() for item in fields(self)}
        del content["train"]["start_from"]
        return content

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], method: Method) -> Settings:
        """Return a method's settings from the config's sections. What is left out gets its default.

        Raises
        ------
        InputError
            Lists the findings of all sections.
        """
        read = Sections[method.settings].from_mapping(mapping)  # type: ignore[name-defined]
        return cls(read.train, read.augment, read.loss, read.model)

    @classmethod
    def parse(cls, text: str, method: Method) -> Settings:
        """Return the settings of a JSON text, as `from_mapping` does."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            remedy = 'give JSON such as {"train": {"epochs": 200}}'
            raise bad_input("--settings", "JSON", f"{error}: {text[:80]}", remedy) from error
        return cls.from_mapping(content, method)
