"""The losses of the two tasks, the loss between them, and their sum (sections 3.3.2 and 3.4)."""

from __future__ import annotations

from functools import reduce
from operator import add

import torch
from monai.losses.dice import DiceLoss
from monai.losses.ds_loss import DeepSupervisionLoss
from torch import Tensor
from torch.nn import functional as F

from msnmo.networks.localisation import localisation_maps, normalise
from msnmo.networks.outputs import Outputs
from msnmo.settings.model import PAPER_WEIGHTS, LossWeights, Normalisation

__all__ = ["LossWeights", "cross_task_loss", "joint_loss", "segmentation_loss"]

# 1 - (2 sum(xy) + 1e-5) / (sum(x) + sum(y) + 1e-5), a scan at a time, mean over the batch
# with deep supervision, a level's weight is half the finer one's (nnU-Net)
_dice_loss = DeepSupervisionLoss(DiceLoss(sigmoid=True), weight_mode="exp")


def segmentation_loss(
    lesion_logits: Tensor, lesion: Tensor, supervised_logits: tuple[Tensor, ...] = ()
) -> Tensor:
    """Return the soft Dice loss, mean over scans (equation 13).

    Parameters
    ----------
    lesion_logits : (B, 1, X, Y, Z) Tensor
        Lesion map before its sigmoid.
    lesion : (B, 1, X, Y, Z) Tensor of float
        Lesion mask, 0 or 1.
    supervised_logits : tuple of (B, 1, X, Y, Z) Tensor
        Maps trained beside the first, fine to coarse: their losses are added with weights 1/2,
        1/4 and so on.
    """
    return _dice_loss([lesion_logits, *supervised_logits], lesion.float())


def cross_task_loss(
    outputs: Outputs,
    label: Tensor,
    eta: tuple[float, float, float] = PAPER_WEIGHTS.eta,
    normalisation: Normalisation = "relu_max",
) -> Tensor:
    """Return how far segmentation and localisation maps are apart (equation 11).

    sum_i eta_i mean((sigmoid(S_i) - n(V_i))^2), paired by size. Gradients flow to both networks.

    Parameters
    ----------
    outputs : Outputs
        Of a network of both tasks, with `scale_logits` and `features`.
    label : (B,) Tensor of int64
        True classes.
    eta : (3,) tuple of float
        Weights, coarse to fine.
    normalisation : {"relu_max", "sigmoid"}
        How V_i is scaled to 0..1.
    """
    coarse_to_fine = reversed(localisation_maps(outputs, label))
    triples = zip(eta, outputs.scale_logits[:-1], coarse_to_fine, strict=True)
    terms = (
        weight * F.mse_loss(scale.float().sigmoid(), normalise(localisation, normalisation))
        for weight, scale, localisation in triples
    )
    return reduce(add, terms)


def joint_loss(
    outputs: Outputs,
    lesion: Tensor,
    label: Tensor,
    weights: LossWeights = PAPER_WEIGHTS,
    normalisation: Normalisation = "relu_max",
) -> dict[str, Tensor]:
    """Return the losses that apply to a network and their weighted sum (equations 11 to 14).

    Computed in float32 also under autocast.

    Parameters
    ----------
    outputs : Outputs
        Of one forward pass; what is None or empty in it has no loss.
    lesion : (B, 1, X, Y, Z) Tensor of float
        Lesion mask, 0 or 1.
    label : (B,) Tensor of int64
        MS = 0, NMOSD = 1.
    weights : LossWeights
        A loss of weight 0 is left out.
    normalisation : {"relu_max", "sigmoid"}
        How localisation maps are scaled to 0..1.

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
                outputs.lesion_logits, lesion, outputs.supervised_logits
            )
        if outputs.class_logits is not None and weights.classification:
            terms["classification"] = F.cross_entropy(outputs.class_logits.float(), label)
        if outputs.scale_logits and outputs.features and weights.cross:
            terms["cross"] = cross_task_loss(outputs, label, weights.eta, normalisation)
    total = sum(getattr(weights, name) * value for name, value in terms.items())
    return {"total": total, **terms}
