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
from msnmo.demo.subject import MEAN_SIZE
from msnmo.starter import lesions
from msnmo.starter.template import Template, template

SIMULATION_VERSION = 3
"""Raise it by one when equal seeds are meant to give other scans than before."""
OVERSAMPLED = 1.25
"""Voxels of the simulated head along an edge, for each of the network's."""
MARGIN_MM = 7.0
"""Around the template's brain, for loose brain masks."""
HEALTHY = 0.12
"""Share of the brains without a lesion."""
LATTICE_MM = 6.0
"""Step of the lattice that anatomy is deformed on."""
CHOSEN_SHARE = 0.42
"""Share of lesion, as the scan shows it, from which a reader draws a voxel in."""


@dataclass(frozen=True)
class BrightPlace:
    """Normal anatomy that is brighter than its surroundings in many people's FLAIR.

    Parameters
    ----------
    centre_mm, half_mm : (x, y, z)
        MNI place and half-axes; mirrored if x is not 0.
    most : float
        Highest brightness that is added; white matter's is 1.
    """

    centre_mm: tuple[float, float, float]
    half_mm: tuple[float, float, float]
    most: float


BRIGHT = (
    BrightPlace((27, -43, 7), (6, 8, 6), 1.0),  # choroid plexus in the atrium
    BrightPlace((30, -26, -12), (4, 10, 4), 0.5),  # choroid plexus in the temporal horn
    BrightPlace((3, -4, 14), (3, 12, 3), 0.5),  # roof of the third ventricle, fornix
    BrightPlace((0, -27, 2), (3.5, 4, 3.5), 1.2),  # pineal gland
    BrightPlace((0, -32, -6), (6, 5, 6), 0.4),  # tectum, around the aqueduct
    BrightPlace((0, -8, -6), (5, 9, 6), 0.4),  # hypothalamus, walls of the third ventricle
    BrightPlace((14, -27, 6), (6, 6, 6), 0.3),  # pulvinar
    BrightPlace((25, -20, 6), (5, 6, 9), 0.25),  # corticospinal tract in the internal capsule
    BrightPlace((26, -22, -16), (8, 14, 7), 0.35),  # hippocampus
    BrightPlace((20, -3, -20), (7, 6, 6), 0.3),  # amygdala
    BrightPlace((0, 4, 18), (4, 14, 3), 0.3),  # septum
    BrightPlace((0, -48, -32), (5, 5, 5), 0.4),  # floor of the fourth ventricle, vermis
)
"""The places are approximate; the brightness is ours."""


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


class _Fields:
    """Smooth random fields on the head's grid, each with a generator of its own."""

    def __init__(self, seed: int, shape: tuple[int, int, int], size_mm: np.ndarray):
        self.seed, self.shape, self.size_mm = seed, shape, size_mm

    def rng(self, part: str) -> np.random.Generator:
        """Return the generator of one part of the scan."""
        return np.random.default_rng(derive_seed(self.seed, part))

    def __call__(self, part: str, width_mm: float) -> torch.Tensor:
        """Return (X, Y, Z) unit-variance noise, correlated over `width_mm`."""
        step = max(width_mm / 2.5, 3.0)
        counts = np.maximum(np.ceil(self.size_mm / step).astype(int) + 1, 4)
        noise = self.rng(part).standard_normal(counts)
        noise = ndimage.gaussian_filter(noise, width_mm / 2 / step, mode="wrap")
        coarse = torch.tensor(noise / noise.std(), dtype=torch.float32)
        return _raised(coarse[None], self.shape)[0]


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
    pose = _Pose.draw(known, rng)
    fields = _Fields(seed, shape, pose.size_mm)
    places = _places(known, pose, fields)
    t1, brain, white = known.fine.at(places)
    ventricle_mm, hull_mm = known.smooth.at(places)
    t1 = _folded(t1, hull_mm, ventricle_mm, fields)
    head = _Head(places, pose, fields)
    image, tissue, white = _healthy(t1, white, ventricle_mm, fields)
    image = _with_bright_places(image, head)
    share = torch.zeros_like(image)
    if rng.random() >= HEALTHY:
        drawn = lesions.draw(known, diagnosis, fields.rng("lesions"))
        image, share = _with_lesions(image, white, tissue * brain, drawn, head)
    image = _beyond_brain(image, brain, hull_mm, fields)
    mask = _brain_mask(brain, hull_mm, places[..., 2], fields)
    image, share = _acquired(image, share, pose, fields)
    lesion = (share >= CHOSEN_SHARE) & mask
    box = _box_of(mask)
    image, lesion, mask = _to_model_space(image, lesion, mask, box, size)
    step = pose.size_mm / (np.array(shape) - 1)
    x, y, z = (step * [part.stop - part.start for part in box] / size).tolist()
    return Scan(_zscored(image, mask), (lesion & mask)[None], (x, y, z), image * mask)


@dataclass(frozen=True, eq=False)
class _Pose:
    """How a person lies in the scanner, and how large the head is.

    Parameters
    ----------
    to_template : (3, 3) ndarray
        From scanner mm around the brain's middle to template mm around `middle_mm`.
    middle_mm : (3,) ndarray
        MNI place of the brain's middle.
    low_mm, size_mm : (3,) ndarray
        The box around the brain in scanner mm.
    """

    to_template: np.ndarray
    middle_mm: np.ndarray
    low_mm: np.ndarray
    size_mm: np.ndarray

    @classmethod
    def draw(cls, known: Template, rng: np.random.Generator) -> _Pose:
        index = np.argwhere(known.model.brain[::3, ::3, ::3] > 0.5) * 3
        points = known.model.to_mm(index.astype(float))
        points = points[points[:, 2] > BRAIN_END_Z - 8]
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        aligned = rng.random() < 0.3  # registered to a template by whoever made the scan
        degrees = rng.normal(0, (7.0, 2.5, 2.5)) * (0.2 if aligned else 1.0)
        scale = MEAN_SIZE * rng.normal(1, 0.04) * rng.normal(1, 0.025, size=3)
        if aligned:
            scale = rng.normal(1, 0.02, size=3)
        to_template = lesions.turned(np.deg2rad(degrees)) / scale
        seen = (points - middle) @ np.linalg.inv(to_template).T
        low, high = seen.min(axis=0) - MARGIN_MM, seen.max(axis=0) + MARGIN_MM
        return cls(to_template, middle, low, high - low)


@dataclass(frozen=True, eq=False)
class _Head:
    """A person's head on its grid: the template's place of each voxel, pose and random fields."""

    places: torch.Tensor
    pose: _Pose
    fields: _Fields


def _places(known: Template, pose: _Pose, fields: _Fields) -> torch.Tensor:
    """Return (X, Y, Z, 3) template mm that each voxel of the head's grid shows."""
    counts = np.ceil(pose.size_mm / LATTICE_MM).astype(int) + 1
    lines = [np.linspace(0, size, n) for size, n in zip(pose.size_mm, counts, strict=True)]
    seen = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1) + pose.low_mm
    places = seen @ pose.to_template.T + pose.middle_mm
    rng = fields.rng("displacement")
    for mm, width in ((rng.uniform(0.8, 3.0), 34.0), (rng.uniform(0.3, 1.2), 13.0)):
        for axis in range(3):
            noise = ndimage.gaussian_filter(
                rng.standard_normal(tuple(counts)), width / 2 / LATTICE_MM, mode="wrap"
            )
            places[..., axis] += mm * noise / noise.std()
    # ventricles wider (age, atrophy) or narrower
    spacing = known.model.spacing_mm
    distance = ndimage.gaussian_filter(known.model.ventricle_mm, 1.5)
    index = known.model.to_index(places).transpose(3, 0, 1, 2)
    slope = np.stack(
        [
            ndimage.map_coordinates(np.gradient(distance, spacing, axis=axis), index, order=1)
            for axis in range(3)
        ],
        axis=-1,
    )
    here = ndimage.map_coordinates(distance, index, order=1, mode="nearest")
    pull = rng.uniform(-1.5, 4.5) * np.exp(-np.square(np.maximum(here, 0) / 14))
    places -= pull[..., None] * slope
    coarse = torch.tensor(places.transpose(3, 0, 1, 2), dtype=torch.float32)
    return _raised(coarse, fields.shape).permute(1, 2, 3, 0).contiguous()


def _raised(coarse: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Return (C, ...) values on a lattice over the head's grid, corner upon corner."""
    return F.interpolate(coarse[None], size=shape, mode="trilinear", align_corners=True)[0]


def _folded(
    t1: torch.Tensor, hull_mm: torch.Tensor, ventricle_mm: torch.Tensor, fields: _Fields
) -> torch.Tensor:
    """Return T1 intensity with folds of a person's own, which the template's average has not."""
    depth = fields.rng("folds").uniform(0.0, 0.16)
    near = torch.exp(-((hull_mm + 8) / 14).square()) * (ventricle_mm > 8)
    return t1 + depth * near * fields("folds", 6.0) * (t1 > 0.2)


def _healthy(
    t1: torch.Tensor, white: torch.Tensor, ventricle_mm: torch.Tensor, fields: _Fields
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


def _with_bright_places(image: torch.Tensor, head: _Head) -> torch.Tensor:
    """Return the image with some of the places of `BRIGHT` brighter. None of them is a lesion."""
    rng = head.fields.rng("bright places")
    uneven = (0.8 + 0.5 * head.fields("bright places", 6.0)).clamp(0, 1.6)
    for place in BRIGHT:
        sides = (1.0, -1.0) if place.centre_mm[0] else (1.0,)
        there, most = rng.random() < 0.7, rng.uniform(0, place.most)
        for side in sides:
            centre = np.array(place.centre_mm) * (side, 1, 1) + rng.normal(0, 1.5, size=3)
            half = np.array(place.half_mm) * rng.uniform(0.6, 1.2)
            added = most * rng.uniform(0.6, 1.0)
            if not there:
                continue
            box = _box_at(centre, 2 * float(half.max()), head)
            away = (head.places[box] - _tensor(centre)) / _tensor(half)
            image[box] += added * uneven[box] * torch.exp(-away.square().sum(dim=-1))
    return image


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _with_lesions(
    image: torch.Tensor,
    white: torch.Tensor,
    tissue: torch.Tensor,
    drawn: list[lesions.Drawn],
    head: _Head,
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


def _box_around(form: Lesion | lesions.Placed, head: _Head) -> tuple[slice, ...]:
    """Return the part of the head's grid that a lesion may reach."""
    return _box_at(lesions.centre_mm(form), lesions.reach_mm(form), head)


def _box_at(centre_mm: np.ndarray, reach_mm: float, head: _Head) -> tuple[slice, ...]:
    """Return the part of the grid so near to an MNI place, wherever anatomy moved it."""
    pose, shape = head.pose, head.fields.shape
    seen = np.linalg.inv(pose.to_template) @ (centre_mm - pose.middle_mm)
    step = pose.size_mm / (np.array(shape) - 1)
    reach = 1.1 * reach_mm + 8
    low = np.clip(np.floor((seen - pose.low_mm - reach) / step).astype(int), 0, None)
    high = np.clip(np.ceil((seen - pose.low_mm + reach) / step).astype(int) + 1, 1, shape)
    return tuple(slice(min(a, b - 1), b) for a, b in zip(low.tolist(), high.tolist(), strict=True))


def _beyond_brain(
    image: torch.Tensor, brain: torch.Tensor, hull_mm: torch.Tensor, fields: _Fields
) -> torch.Tensor:
    """Return the image with what loose brain masks let in: fluid, dura, skull, fat."""
    rng = fields.rng("beyond")
    fluid, rim = rng.uniform(0.04, 0.3), rng.uniform(0.8, 2.6)
    depth = hull_mm - rim * (1 + 0.3 * fields("rim", 18.0))
    fat = rng.uniform(0.05, 1.3) * (fields("fat", 14.0) > rng.uniform(0.0, 1.5))
    around = torch.where(depth > 0, torch.where(depth > 3, fat, torch.tensor(0.05)), fluid)
    dura = rng.uniform(0.1, 0.9) * torch.exp(-((depth + 0.2) / 0.8).square()) * (hull_mm > -3)
    around = torch.maximum(around, dura)
    return around + (image - around) * brain


def _brain_mask(
    brain: torch.Tensor, hull_mm: torch.Tensor, z_mm: torch.Tensor, fields: _Fields
) -> torch.Tensor:
    """Return a brain mask as an engine makes it: along the hull, or along the tissue."""
    rng = fields.rng("brain mask")
    if rng.random() < 0.6:
        loose = rng.uniform(-1.5, 2.5) + rng.uniform(0.2, 1.2) * fields("hand", 20.0)
        mask = hull_mm < loose
    else:
        mask = brain > rng.uniform(0.3, 0.6)
        mask &= hull_mm < rng.uniform(0.0, 2.0)
    return mask & (z_mm > BRAIN_END_Z + rng.uniform(-8, 12))


def _acquired(
    image: torch.Tensor, share: torch.Tensor, pose: _Pose, fields: _Fields
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
