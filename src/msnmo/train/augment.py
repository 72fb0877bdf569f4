"""Augmentation of a training scan: a random flip and a random rotation (paper, section 3.1.3).

What happens to a scan follows from its own seed and never from the order of scans. So an
interrupted training continues as if it had not stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from msnmo.settings.training import AugmentSettings


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of one scan in one epoch.

    Parameters
    ----------
    flip_axis : int or None
        Axis of (X, Y, Z) to flip.
    rotation_axis : int or None
        Axis of (X, Y, Z) to rotate about.
    degrees : float
        Rotation angle, from the first towards the second of the two other axes.
    """

    flip_axis: int | None = None
    rotation_axis: int | None = None
    degrees: float = 0.0


def draw(settings: AugmentSettings, seed: int) -> Augmentation:
    """Return the augmentation that a seed gives.

    With the probabilities of the settings, it has a flip along one random axis, and a rotation
    about one random axis by an angle drawn uniformly from the settings' range.
    """
    generator = torch.Generator().manual_seed(seed)
    flips, rotates, angle = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    flip_axis, rotation_axis = torch.randint(3, (2,), generator=generator).tolist()
    rotated = rotates < settings.rotation_probability
    return Augmentation(
        flip_axis=flip_axis if flips < settings.flip_probability else None,
        rotation_axis=rotation_axis if rotated else None,
        degrees=(2 * angle - 1) * settings.rotation_degrees if rotated else 0.0,
    )


def augment(
    image: torch.Tensor, lesion: torch.Tensor, augmentation: Augmentation
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the image and its lesion mask, flipped and rotated together.

    Parameters
    ----------
    image : (1, X, Y, Z) tensor of float32
        Resampled linearly. Voxels that rotate in from outside take the value of the first voxel:
        the corner of the brain's bounding box is background.
    lesion : (1, X, Y, Z) tensor of float32
        0 or 1. Nearest-neighbour resampling keeps it 0 or 1.
    augmentation : Augmentation
    """
    if augmentation.rotation_axis is not None:
        grid = _rotation_grid(image, augmentation.rotation_axis, augmentation.degrees)
        background = image[0, 0, 0, 0]
        image = _sample(image - background, grid, "bilinear") + background
        lesion = _sample(lesion, grid, "nearest")
    if augmentation.flip_axis is not None:
        # + 1: the channel comes first
        image, lesion = (x.flip(augmentation.flip_axis + 1) for x in (image, lesion))
    return image, lesion


def _rotation_grid(image: torch.Tensor, axis: int, degrees: float) -> torch.Tensor:
    """Return each voxel's source position, in `grid_sample`'s units: -1 to 1, last axis first."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    first, second = (other for other in range(3) if other != axis)
    # Voxels are taken from their place after the inverse rotation.
    turn = torch.eye(3, dtype=torch.float64)
    turn[first, first] = turn[second, second] = torch.cos(angle)
    turn[first, second], turn[second, first] = torch.sin(angle), -torch.sin(angle)
    # Every axis spans -1 to 1: rotate in voxels, or a non-cubic volume would be sheared.
    size = torch.tensor(image.shape[1:], dtype=torch.float64)
    turn = turn * size[None, :] / size[:, None]
    theta = torch.cat([turn.flip(0, 1), torch.zeros(3, 1, dtype=torch.float64)], dim=1)
    # otherwise the CPU would wait until the GPU has finished all earlier work
    theta = theta[None].to(image.dtype).to(image.device, non_blocking=True)
    return F.affine_grid(theta, [1, *image.shape], align_corners=False)


def _sample(volume: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    return F.grid_sample(
        volume[None], grid, mode=mode, padding_mode="zeros", align_corners=False
    ).squeeze(0)
