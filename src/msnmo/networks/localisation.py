"""Lesion localisation maps: which voxels are evidence for a class (CAM, section 3.3.2)."""

from __future__ import annotations

from functools import reduce
from operator import add

import torch
from torch import Tensor
from torch.nn import functional as F

from msnmo.networks.outputs import Outputs
from msnmo.settings.training import Normalisation

SMALLEST_MAXIMUM = 1e-6
"""A map whose maximum is below this shows no evidence. It is not scaled to a maximum of 1."""


def localisation_maps(outputs: Outputs, classes: Tensor) -> tuple[Tensor, ...]:
    """Return V_1 to V_3, raw class activation maps (equation 10; Zhou et al. 2016).

    A class's logit is the sum of its maps' spatial means, plus the bias of the class.

    Parameters
    ----------
    outputs : Outputs
        Of a network with `features` and `class_weights`.
    classes : (B,) Tensor of int64
        The class of each scan's maps: the true one in training, the predicted one otherwise.

    Returns
    -------
    tuple of (B, 1, x, y, z) Tensor of float32
        At 1/2, 1/4 and 1/8 of the input's size; gradients flow to features and weights.
    """
    pairs = zip(outputs.features, outputs.class_weights, strict=True)
    return tuple(_activation_map(features, weights[classes]) for features, weights in pairs)


def _activation_map(features: Tensor, weights: Tensor) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):
        flat = torch.bmm(weights.float().unsqueeze(1), features.float().flatten(2))
    return flat.view(len(features), 1, *features.shape[2:])


def normalise(localisation: Tensor, how: Normalisation) -> Tensor:
    """Scale a localisation map before it meets a segmentation map.

    Parameters
    ----------
    localisation : (B, 1, x, y, z) Tensor
    how : {"none", "relu_max", "sigmoid", "standardise"}
        ``relu_max`` drops evidence against the class and divides by each scan's maximum (the
        practice of Grad-CAM); a map without evidence for the class is 0 everywhere.
    """
    match how:
        case "none":
            return localisation
        case "sigmoid":
            return localisation.sigmoid()
        case "standardise":
            return standardise(localisation)
        case "relu_max":
            evidence = localisation.relu()
            maximum = evidence.amax(dim=(1, 2, 3, 4), keepdim=True)
            return evidence / maximum.clamp_min(SMALLEST_MAXIMUM)


def standardise(maps: Tensor) -> Tensor:
    """Return maps (B, 1, x, y, z) with mean 0 and standard deviation 1 a scan; flat maps are 0."""
    return F.layer_norm(maps, maps.shape[1:], eps=SMALLEST_MAXIMUM**2)


def evidence(outputs: Outputs, size: tuple[int, int, int]) -> Tensor:
    """Return the evidence for MS and for NMOSD: the sum of V_1 to V_3 for each (equation 10).

    Its mean is the class's logit without its bias.

    Returns
    -------
    (2, X, Y, Z) Tensor of float32
        For the first scan of the batch; X, Y, Z are `size`.
    """
    of_classes = []
    for label in range(2):
        classes = torch.tensor([label], device=outputs.features[0].device)
        maps = localisation_maps(outputs, classes)
        total = reduce(add, (upsample(each, size) for each in maps))
        of_classes.append(total[0, 0].float())
    return torch.stack(of_classes)


def upsample(localisation: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Return a map (B, 1, x, y, z) interpolated (trilinear) to `size`, such as model space."""
    return F.interpolate(localisation, size=size, mode="trilinear")
