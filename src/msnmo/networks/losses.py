"""The losses of the two tasks, the loss between them, and their sum (sections 3.3.2 and 3.4)."""

from __future__ import annotations

from functools import reduce
from operator import add

import torch
from monai.losses.dice import DiceCELoss, DiceLoss
from monai.losses.ds_loss import DeepSupervisionLoss
from torch import Tensor
from torch.nn import functional as F

from msnmo.networks.localisation import localisation_maps, normalise, standardise
from msnmo.networks.outputs import Outputs
from msnmo.settings.model import PAPER_WEIGHTS, LossWeights
from msnmo.settings.training import CrossSegmentation, LossSettings, SegmentationLoss

__all__ = ["LossWeights", "cross_task_loss", "joint_loss", "segmentation_loss"]

# Dice: 1 - (2 sum(xy) + 1e-5) / (sum(x) + sum(y) + 1e-5) of each scan, then the mean of the batch.
# With deep supervision, the weight of a level is half that of the next finer level (nnU-Net).
_SEGMENTATION_LOSSES: dict[SegmentationLoss, DeepSupervisionLoss] = {
    "dice": DeepSupervisionLoss(DiceLoss(sigmoid=True), weight_mode="exp"),
    "dice_ce": DeepSupervisionLoss(DiceCELoss(sigmoid=True), weight_mode="exp"),
}
DEFAULTS = LossSettings()


def segmentation_loss(
    lesion_logits: Tensor,
    lesion: Tensor,
    supervised_logits: tuple[Tensor, ...] = (),
    kind: SegmentationLoss = "dice",
) -> Tensor:
    """Return the loss of a lesion map, mean over scans (equation 13).

    Parameters
    ----------
    lesion_logits : (B, 1, X, Y, Z) Tensor
        Lesion map before its sigmoid.
    lesion : (B, 1, X, Y, Z) Tensor of float
        Lesion mask, 0 or 1.
    supervised_logits : tuple of (B, 1, X, Y, Z) Tensor
        Further maps that are trained, fine to coarse. Their losses are added with weights 1/2, 1/4
        and so on.
    kind : {"dice", "dice_ce"}
        Dice as in the paper, soft so that it has a gradient; or the sum of Dice and the mean
        cross-entropy of the voxels.
    """
    loss, levels = _SEGMENTATION_LOSSES[kind], [lesion_logits, *supervised_logits]
    # given a list, the loss would start its sum with a tensor from the computer's memory. A GPU
    # finishes all its work before it takes that.
    return reduce(
        add,
        (
            weight * loss.get_loss(level.float(), lesion.float())
            for weight, level in zip(loss.get_weights(len(levels)), levels, strict=True)
        ),
    )


def cross_task_loss(
    outputs: Outputs, lesion: Tensor, label: Tensor, settings: LossSettings = DEFAULTS
) -> Tensor:
    """Return the difference between segmentation and localisation maps (equation 11).

    sum_i eta_i mean((s(S_i) - n(V_i))^2), paired by size. `settings` say what s, n and the mean
    are, which class V_i belongs to, and which side learns.

    Parameters
    ----------
    outputs : Outputs
        Of a network of both tasks, with `scale_logits` and `features`.
    lesion : (B, 1, X, Y, Z) Tensor of float
        Lesion mask, 0 or 1; read where `settings.cross_balance` is set.
    label : (B,) Tensor of int64
        True classes.
    settings : LossSettings
    """
    coarse_to_fine = reversed(_maps_of_class(outputs, label, settings))
    segmented = _segmented(outputs, settings.cross_segmentation)
    terms = (
        eta * _apart(segmentation, localisation, lesion, settings)
        for eta, segmentation, localisation in zip(
            settings.eta, segmented, coarse_to_fine, strict=True
        )
    )
    return reduce(add, terms)


def _segmented(outputs: Outputs, what: CrossSegmentation) -> list[Tensor]:
    """Return the segmentation's maps at the sizes of S_1 to S_3.

    The lesion map is reduced by its maximum. An average would remove small lesions.
    """
    scales = [each.float() for each in outputs.scale_logits[:-1]]
    if what == "logits":
        return scales
    if what == "probabilities":
        return [each.sigmoid() for each in scales]
    lesion_map = outputs.lesion_probability
    return [F.adaptive_max_pool3d(lesion_map, each.shape[2:]) for each in scales]


def _maps_of_class(outputs: Outputs, label: Tensor, settings: LossSettings) -> tuple[Tensor, ...]:
    """Return V_1 to V_3 of the class that the settings name, fine to coarse."""
    if settings.cam_class == "predicted" and outputs.class_logits is not None:
        label = outputs.class_logits.argmax(dim=1)
    maps = localisation_maps(outputs, label)
    if settings.cam_class != "difference":
        return maps
    others = localisation_maps(outputs, 1 - label)
    return tuple(own - other for own, other in zip(maps, others, strict=True))


def _apart(
    segmented: Tensor, localisation: Tensor, lesion: Tensor, settings: LossSettings
) -> Tensor:
    """Return the squared difference of two maps of a scale (B, 1, x, y, z), as one number."""
    if settings.cam_normalisation == "standardise":
        segmented = standardise(segmented)
    localised = normalise(localisation, settings.cam_normalisation)
    if settings.cross_gradient == "localisation":
        segmented = segmented.detach()
    if settings.cross_gradient == "segmentation":
        localised = localised.detach()
    squared = (segmented - localised).square()
    if settings.cross_balance:
        squared = squared * _balance(lesion, squared.shape[2:])
    return squared.mean() if settings.cross_reduction == "mean" else squared.sum() / len(squared)


def _balance(lesion: Tensor, size: torch.Size) -> Tensor:
    """Return weights with mean 1 that give lesion and background the same total weight.

    A voxel of a coarse map is lesion if any voxel within it is. A scan without lesions or without
    background has weight 1 everywhere.
    """
    inside = F.adaptive_max_pool3d(lesion.float(), size)
    share = inside.mean(dim=(1, 2, 3, 4), keepdim=True)
    weights = inside / (2 * share) + (1 - inside) / (2 * (1 - share))
    return torch.where((share > 0) & (share < 1), weights, 1.0)


def joint_loss(
    outputs: Outputs,
    lesion: Tensor,
    label: Tensor,
    weights: LossWeights = PAPER_WEIGHTS,
    *,
    settings: LossSettings = DEFAULTS,
    segmentation: SegmentationLoss = "dice",
) -> dict[str, Tensor]:
    """Return the losses that apply to a network and their weighted sum (equations 11 to 14).

    Computed in float32 also under autocast.

    Parameters
    ----------
    outputs : Outputs
        Of one forward pass. An output that is None or empty has no loss.
    lesion : (B, 1, X, Y, Z) Tensor of float
        Lesion mask, 0 or 1.
    label : (B,) Tensor of int64
        MS = 0, NMOSD = 1.
    weights : LossWeights
        A loss of weight 0 is left out.
    settings : LossSettings
        Of the cross-task loss.
    segmentation : {"dice", "dice_ce"}
        As `kind` of `segmentation_loss`.

    Returns
    -------
    dict of str to scalar Tensor
        ``total`` and, where they apply, the unweighted ``segmentation`` (Dice), ``classification``
        (cross-entropy) and ``cross``.
    """
    terms = {}
    with torch.autocast(label.device.type, enabled=False):
        if outputs.lesion_logits is not None and weights.segmentation:
            terms["segmentation"] = segmentation_loss(
                outputs.lesion_logits, lesion, outputs.supervised_logits, segmentation
            )
        if outputs.class_logits is not None and weights.classification:
            terms["classification"] = F.cross_entropy(outputs.class_logits.float(), label)
        if outputs.scale_logits and outputs.features and weights.cross:
            terms["cross"] = cross_task_loss(outputs, lesion, label, settings)
    total = sum(getattr(weights, name) * value for name, value in terms.items())
    return {"total": total, **terms}
