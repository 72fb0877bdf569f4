"""A simulated scan as the network meets it: stripped, cropped, resized and z-scored.

Intensities are relative to white matter's, which is 1. All that is drawn comes from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from msnmo.core.seeds import derive_seed
from msnmo.demo.anatomy import BRAIN_END_Z, T1_CSF, T1_GREY, T1_WHITE
from msnmo.demo.lesions import Diagnosis, Lesion
from msnmo.starter import lesions
from msnmo.starter.bright import BEYOND, BRIGHT, with_bright_places
from msnmo.starter.head import Fields, Head, Pose, box_at, places_of
from msnmo.starter.template import template

SIMULATION_VERSION = 4
"""Raise it by one when equal seeds are meant to give other scans than before."""
OVERSAMPLED = 1.25
"""Voxels of the simulated head along an edge, for each of the network's."""
HEALTHY = 0.12
"""Share of the brains without a lesion."""
CHOSEN_SHARE = 0.42
"""Share of lesion, as the scan shows it, from which a reader draws a voxel in."""
SELLA_MM = (0.0, 4.0, -28.0)
SELLA_HALF_MM = (14.0, 11.0, 10.0)
"""MNI place and reach of the region around the pituitary gland."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A simulated scan in model space.

    Parameters
    ----------
    image : (1, S, S, S) tensor of float32
        Z-scored over the brain, 0 outside.
    lesion : (1, S, S, S) tensor of bool
    voxel_mm : (3,) tuple of float
        Of model space, in the simulated person.
    intensity : (S, S, S) tensor of float32
        The image before the z-score: white matter is about 1, and 0 lies outside the brain.
    """

    image: torch.Tensor
    lesion: torch.Tensor
    voxel_mm: tuple[float, float, float]
    intensity: torch.Tensor

    @property
    def lesion_ml(self) -> float:
        """Volume of its lesions."""
        return float(self.lesion.sum()) * float(np.prod(self.voxel_mm)) / 1000


def simulate(seed: int, diagnosis: Diagnosis, size: int) -> Scan:
    """Draw one scan.

    Parameters
    ----------
    seed : int
        Equal seeds give equal scans.
    diagnosis : {"MS", "NMOSD"}
        Whose lesions it has.
    size : int
        Edge of model space in voxels.
    """
    known = template()
    rng = np.random.default_rng(derive_seed(seed, "scan"))
    shape = (round(OVERSAMPLED * size),) * 3
    pose = Pose.draw(known, rng)
    fields = Fields(seed, shape, pose.size_mm)
    places = places_of(known, pose, fields)
    t1, brain, white = known.fine.at(places)
    ventricle_mm, hull_mm = known.smooth.at(places)
    t1 = _folded(t1, hull_mm, ventricle_mm, fields)
    head = Head(places, pose, fields)
    image, tissue, white = _healthy(t1, white, ventricle_mm, fields)
    image = with_bright_places(image, BRIGHT, "bright places", head)
    share = torch.zeros_like(image)
    if rng.random() >= HEALTHY:
        drawn = lesions.draw(known, diagnosis, fields.rng("lesions"))
        image, share = _with_lesions(image, white, tissue * brain, drawn, head)
    image = _beyond_brain(image, brain, hull_mm, head)
    mask = brain_mask(brain, hull_mm, head)
    image, share = _acquired(image, share, pose, fields)
    lesion = (share >= CHOSEN_SHARE) & mask
    box = _box_of(mask)
    image, lesion, mask = _to_model_space(image, lesion, mask, box, size)
    step = pose.size_mm / (np.array(shape) - 1)
    x, y, z = (step * [part.stop - part.start for part in box] / size).tolist()
    return Scan(_zscored(image, mask), (lesion & mask)[None], (x, y, z), image * mask)


def _folded(
    t1: torch.Tensor, hull_mm: torch.Tensor, ventricle_mm: torch.Tensor, fields: Fields
) -> torch.Tensor:
    """Return T1 intensity with folds of a person's own, which the template's average has not."""
    depth = fields.rng("folds").uniform(0.0, 0.16)
    near = torch.exp(-((hull_mm + 8) / 14).square()) * (ventricle_mm > 8)
    return t1 + depth * near * fields("folds", 6.0) * (t1 > 0.2)


def _healthy(
    t1: torch.Tensor, white: torch.Tensor, ventricle_mm: torch.Tensor, fields: Fields
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the brain's FLAIR intensity without lesions, and how much is tissue and white matter.

    Caps, bands and spots that are brighter than white matter and no lesions are part of it.
    """
    rng = fields.rng("tissue")
    grey, fluid = rng.uniform(0.9, 1.4), rng.uniform(0.04, 0.45)
    edge = 0.5 * (T1_CSF + T1_GREY) + rng.uniform(-0.02, 0.13) + 0.03 * fields("edge", 16.0)
    tissue = _ramp((t1 - edge) / rng.uniform(0.07, 0.14))
    share = (t1 - T1_GREY + 0.03 * fields("cortex", 15.0)) / (T1_WHITE - T1_GREY - 0.02)
    beside = torch.exp(-(ventricle_mm.clamp(min=0) / 1.6).square()) * (white > 0.2)
    share = torch.maximum(share.clamp(0, 1), 0.8 * beside)
    texture = rng.uniform(0.01, 0.05) * fields("texture", 18.0)
    texture += rng.uniform(0.0, 0.03) * fields("fine texture", 7.0)
    cortex = grey * (1 + rng.uniform(0.0, 0.08) * fields("grey", 22.0))
    value = (cortex + (1 - cortex) * share) * (1 + texture)
    caps = rng.choice([0.0, 1.0], p=[0.3, 0.7]) * rng.uniform(0.05, 0.6)
    width = rng.uniform(0.8, 4.0)
    uneven = (0.6 + 0.6 * fields("caps", 22.0)).clamp(0, 1.3)
    value += caps * uneven * torch.exp(-(ventricle_mm.clamp(min=0) / width).square()) * share
    value += rng.uniform(0.0, 0.16) * (fields("bands", 30.0) - 0.4).clamp(0, 1) * share
    flow = rng.uniform(0.0, 0.6) * (fields("flow", 20.0) - 0.7).clamp(0, 1.2)
    fluid_value = fluid + flow
    plexus = rng.uniform(0.0, 1.1) * (fields("plexus", 9.0) - 1.2).clamp(0, 1)
    fluid_value = fluid_value + plexus * (ventricle_mm < -0.5)
    image = fluid_value + (value - fluid_value) * tissue
    return image, tissue, ((t1 - 0.70) / 0.10).clamp(0, 1) * tissue


def _with_lesions(
    image: torch.Tensor,
    white: torch.Tensor,
    tissue: torch.Tensor,
    drawn: list[lesions.Drawn],
    head: Head,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the image with lesions, and the share of lesion of each voxel."""
    share, bright = torch.zeros_like(image), torch.zeros_like(image)
    rng = head.fields.rng("spots")
    spots = [
        lesions.Drawn(_small(one.form, rng), lesions.Look(rng.uniform(0.05, 0.2), 1.0))
        for one in drawn[: int(rng.integers(0, 4))]
        if not isinstance(one.form, lesions.Placed)
    ]
    for number, one in enumerate([*drawn, *spots]):
        box = _box_around(one.form, head)
        inside = (lesions.depth_mm(one.form, head.places[box]) / one.look.edge_mm + 0.5).clamp(0, 1)
        inside = inside * (white if lesions.confined(one.form) else tissue)[box]
        if number >= len(drawn):  # a spot that readers let pass
            image[box] = image[box] + one.look.contrast * inside * (1 - share[box])
            continue
        more = inside > share[box]
        bright[box] = torch.where(more, 1 + torch.tensor(one.look.contrast), bright[box])
        share[box] = torch.where(more, inside, share[box])
    rough = head.fields.rng("lesion texture").uniform(0.0, 0.08) * head.fields(
        "lesion texture", 5.0
    )
    # a lesion is no darker than what it lies in
    value = torch.maximum(bright * (1 + rough), image)
    return image + (value - image) * share, share


def _small(form: Lesion, rng: np.random.Generator) -> Lesion:
    """Return a spot of some other place near a lesion's."""
    centre = np.array(form.centre_mm) + rng.normal(0, 12, size=3)
    radius = float(rng.uniform(0.8, 1.6))
    return replace(form, centre_mm=tuple(centre), radii_mm=(radius,) * 3)


def _box_around(form: Lesion | lesions.Placed, head: Head) -> tuple[slice, ...]:
    """Return the part of the head's grid that a lesion may reach."""
    return box_at(lesions.centre_mm(form), lesions.reach_mm(form), head)


def _beyond_brain(
    image: torch.Tensor, brain: torch.Tensor, hull_mm: torch.Tensor, head: Head
) -> torch.Tensor:
    """Return the image with what loose brain masks let in: fluid, dura, skull, fat, vessels."""
    fields = head.fields
    rng = fields.rng("beyond")
    fluid, rim = rng.uniform(0.04, 0.3), rng.uniform(0.8, 2.6)
    depth = hull_mm - rim * (1 + 0.3 * fields("rim", 18.0))
    fat = rng.uniform(0.05, 1.3) * (fields("fat", 14.0) > rng.uniform(0.0, 1.5))
    # fluid that flows is not dark
    flow = rng.uniform(0.0, 0.6) * (fields("cisterns", 16.0) - 0.7).clamp(0, 1.2)
    around = torch.where(depth > 0, torch.where(depth > 3, fat, torch.tensor(0.05)), fluid + flow)
    dura = rng.uniform(0.1, 0.9) * torch.exp(-((depth + 0.2) / 0.8).square()) * (hull_mm > -3)
    around = with_bright_places(torch.maximum(around, dura), BEYOND, "bright beyond", head)
    return around + (image - around) * brain


def brain_mask(brain: torch.Tensor, hull_mm: torch.Tensor, head: Head) -> torch.Tensor:
    """Return a brain mask as an engine makes it: along the hull, or along the tissue."""
    fields = head.fields
    rng = fields.rng("brain mask")
    if rng.random() < 0.6:
        loose = rng.uniform(-1.5, 2.5) + rng.uniform(0.2, 1.2) * fields("hand", 20.0)
        # many engines let the region around the pituitary gland in
        away = (head.places - torch.tensor(SELLA_MM)) / torch.tensor(SELLA_HALF_MM)
        bulge = rng.uniform(-8.0, 24.0) * torch.exp(-away.square().sum(dim=-1))
        mask = hull_mm < loose + bulge.clamp(min=0)
    else:
        mask = brain > rng.uniform(0.3, 0.6)
        mask &= hull_mm < rng.uniform(0.0, 2.0)
    return mask & (head.places[..., 2] > BRAIN_END_Z + rng.uniform(-8, 12))


def _acquired(
    image: torch.Tensor, share: torch.Tensor, pose: Pose, fields: Fields
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a scanner makes of a head, and of its share of lesion: slices, bias, noise."""
    rng = fields.rng("scanner")
    image = image.clamp(min=0) ** rng.uniform(0.8, 1.25)
    image = image * torch.exp(rng.uniform(0.0, 0.12) * fields("bias", 90.0))
    step = pose.size_mm / (np.array(fields.shape) - 1)
    axis = int(rng.choice(3, p=[0.1, 0.1, 0.8]))
    widths = rng.uniform(0.5, 1.2, size=3)
    widths[axis] = rng.uniform(0.9, 1.5) if rng.random() < 0.5 else rng.uniform(2.0, 5.0)
    blur = rng.uniform(0.0, 0.8) if rng.random() < 0.5 else 0.0  # a head that moved, a filter
    sigma = np.sqrt(np.square(0.35 * np.where(np.arange(3) == axis, 0, widths)) + blur**2) / step
    both = _blurred(torch.stack([image, share]), sigma)
    slices = list(both.shape[1:])
    slices[axis] = max(round(float(pose.size_mm[axis] / max(widths[axis], step[axis]))), 8)
    both = F.interpolate(both[None], size=slices, mode="area")[0]
    noise = rng.uniform(0.005, 0.09)
    seen, share = both[0], both[1]
    real = seen + noise * torch.from_numpy(rng.standard_normal(slices, dtype=np.float32))
    seen = torch.hypot(real, noise * torch.from_numpy(rng.standard_normal(slices, np.float32)))
    both = torch.stack([seen, share])[None]
    both = F.interpolate(both, size=image.shape, mode="trilinear", align_corners=False)[0]
    smooth = rng.uniform(0.0, 0.8) * np.ones(3) if rng.random() < 0.5 else np.zeros(3)
    return _blurred(both[:1], smooth / step)[0], both[1]


def _blurred(volumes: torch.Tensor, sigma: np.ndarray) -> torch.Tensor:
    """Return (C, X, Y, Z) volumes smoothed by a Gaussian, sigma in voxels along each axis."""
    out = volumes.numpy()
    for axis, width in enumerate(sigma.tolist(), start=1):
        if width >= 0.2:
            out = ndimage.gaussian_filter1d(out, width, axis, mode="constant", truncate=3.0)
    return torch.from_numpy(out)


def _box_of(mask: torch.Tensor) -> tuple[slice, ...]:
    box = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        held = torch.nonzero(mask.any(dim=others[1]).any(dim=others[0])).flatten()
        box.append(slice(int(held[0]), int(held[-1]) + 1))
    return tuple(box)


def _to_model_space(
    image: torch.Tensor,
    lesion: torch.Tensor,
    mask: torch.Tensor,
    box: tuple[slice, ...],
    size: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return image, lesion and brain mask cropped to a box and resized."""
    cut = torch.stack([volume[box].float() for volume in (image * mask, lesion, mask)])
    factor = np.array(cut.shape[1:]) / size
    cut = _blurred(cut, np.maximum(0, (factor - 1) / 2))
    out = F.interpolate(cut[None], size=(size,) * 3, mode="trilinear", align_corners=False)[0]
    return out[0], out[1] >= 0.5, out[2] >= 0.5


def _zscored(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    values = image[mask].double()
    scaled = ((image - values.mean()) / values.std(correction=0)).float()
    return torch.where(mask, scaled, torch.zeros(()))[None]


def _ramp(value: torch.Tensor) -> torch.Tensor:
    """Return a smooth step from 0 (below -0.5) to 1 (above 0.5)."""
    t = (value + 0.5).clamp(0, 1)
    return t * t * (3 - 2 * t)
