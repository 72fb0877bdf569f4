"""One simulated person: smooth individual anatomy, and the FLAIR contrast of its tissues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from msnmo.core.seeds import derive_seed
from msnmo.demo.anatomy import (
    BOX_MM,
    BRAIN_END_Z,
    T1_CSF,
    T1_GREY,
    T1_WHITE,
    HeadModel,
    Tissue,
    resample_axis,
)

FIELD_MM = 6  # lattice of deformation and other smooth random fields
PLANES = 8  # worked on at a time
# The MNI152 brain is larger than people's, by about a quarter of its volume (Lancaster et al., Hum.
# Brain Mapp. 2007, 28:1194).
MEAN_SIZE = 0.93
GREY = (1.20, 1.34)
"""Range of grey matter's FLAIR intensity relative to white matter."""


@dataclass(frozen=True)
class Contrast:
    """One person's FLAIR intensities relative to white matter, and layer depths in mm."""

    grey: float
    csf: float
    dura: float
    marrow: float
    fat: float
    muscle: float
    mucosa: float
    rim_mm: float
    skull_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator, grey: tuple[float, float] = GREY) -> Contrast:
        """Draw one person's contrast; half of the scans have their fat suppressed.

        Parameters
        ----------
        grey : (low, high)
            Range of grey matter relative to white. This contrast differs between scanners.
        """
        suppressed = rng.random() < 0.5
        return cls(
            grey=rng.uniform(*grey),
            csf=rng.uniform(0.06, 0.14),
            dura=rng.uniform(0.15, 0.55),
            marrow=rng.uniform(0.12, 0.25) if suppressed else rng.uniform(0.3, 0.6),
            fat=rng.uniform(0.35, 0.6) if suppressed else rng.uniform(0.9, 1.5),
            muscle=rng.uniform(0.25, 0.45),
            mucosa=rng.uniform(0.7, 1.1),
            rim_mm=rng.uniform(0.6, 2.2),
            skull_mm=rng.uniform(5.0, 7.5),
        )


@dataclass(frozen=True)
class Subject:
    """What stays the same between two sessions of a person.

    Parameters
    ----------
    model : HeadModel
        The common anatomy.
    seed : int
        Seed of everything individual.
    """

    model: HeadModel
    seed: int

    def rng(self, part: str) -> np.random.Generator:
        """Return the generator of one part of this person (``part`` keeps parts independent)."""
        return np.random.default_rng(derive_seed(self.seed, part))

    @cached_property
    def size(self) -> np.ndarray:
        """(3,) head size relative to the template along x, y, z."""
        rng = self.rng("size")
        return MEAN_SIZE * rng.normal(1.0, 0.03) * rng.normal(1.0, 0.02, size=3)

    @cached_property
    def displacement(self) -> np.ndarray:
        """(3, A, B, C) displacement in mm on the `FIELD_MM` lattice of the head's box.

        A point p of this person, at template size, shows the template's point p + u(p). There are
        two scales: 2 mm over lobes and 0.6 mm over gyri. Ventricles become wider (atrophy) or
        narrower. Displacements are much smaller than the scale, so that the Jacobian determinant
        stays positive.
        """
        rng = self.rng("displacement")
        waves = ((1.9, 26.0), (0.6, 9.0))
        field = [sum(mm * smooth_noise(rng, width) for mm, width in waves) for _ in range(3)]
        step = round(FIELD_MM / self.model.spacing_mm)
        distance = ndimage.gaussian_filter(self.model.ventricle_mm[::step, ::step, ::step], 1.0)
        pull = rng.uniform(-0.8, 1.6) * np.exp(-((np.maximum(distance, 0) / 14) ** 2))
        return (field - pull * np.stack(np.gradient(distance, FIELD_MM))).astype(np.float32)

    def to_template(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the template's place of points of this person at template size, both (3, N) mm."""
        low = np.array([axis[0] for axis in BOX_MM])[:, None]
        index = (points_mm - low) / FIELD_MM
        moved = [
            ndimage.map_coordinates(u, index, order=1, mode="nearest") for u in self.displacement
        ]
        return points_mm + np.stack(moved)


def smooth_noise(rng: np.random.Generator, width_mm: float) -> np.ndarray:
    """Return unit-variance Gaussian noise on the lattice, correlated over `width_mm`."""
    shape = [(high - low) // FIELD_MM + 1 for low, high in BOX_MM]
    noise = ndimage.gaussian_filter(
        rng.standard_normal(shape), width_mm / 2 / FIELD_MM, mode="wrap"
    )
    return (noise / noise.std()).astype(np.float32)


def flair_head(subject: Subject, grey: tuple[float, float] = GREY) -> tuple[np.ndarray, np.ndarray]:
    """Return a person's FLAIR head without lesions, and how much of each voxel is brain tissue.

    Parameters
    ----------
    grey : (low, high)
        As of `Contrast.draw`.

    Returns
    -------
    image, tissue : (X, Y, Z) ndarray of float32
        On the model's grid; white matter is about 1, tissue in [0, 1].
    """
    model, contrast = subject.model, Contrast.draw(subject.rng("tissue"), grey)
    rng = subject.rng("texture")
    widths = {"edge": 14.0, "cortex": 14.0, "white": 20.0, "skull": 22.0, "fascia": 8.0}
    fields = {name: _Field(model, smooth_noise(rng, width)) for name, width in widths.items()}
    image, tissue = np.empty_like(model.t1), np.empty_like(model.t1)
    for planes in _slabs(model):
        part = model.part(planes)
        noise = {name: field.planes(planes) for name, field in fields.items()}
        brain, share = _brain_contrast(part, contrast, noise)
        around = _head_contrast(part, contrast, noise)
        image[planes] = around + (brain - around) * part.brain
        tissue[planes] = share * part.brain
    return image, tissue


def true_brain(model: HeadModel) -> np.ndarray:
    """Return the share of each voxel that a perfect skull stripping keeps."""
    z = model.origin_mm[2] + np.arange(model.brain.shape[2]) * model.spacing_mm
    return model.brain * (z >= BRAIN_END_Z)


@dataclass(frozen=True)
class _Field:
    """A lattice field, interpolated to a few of the model's planes when they are asked for."""

    model: HeadModel
    lattice: np.ndarray

    @cached_property
    def _columns(self) -> np.ndarray:
        field = self.lattice
        for axis in (1, 2):
            position = np.arange(self.model.t1.shape[axis]) * (self.model.spacing_mm / FIELD_MM)
            field = resample_axis(field, position, axis)
        return field

    def planes(self, planes: slice) -> np.ndarray:
        position = np.arange(planes.start, planes.stop) * (self.model.spacing_mm / FIELD_MM)
        return resample_axis(self._columns, position, 0)


def _slabs(model: HeadModel) -> Iterator[slice]:
    length = model.t1.shape[0]
    return (slice(at, min(at + PLANES, length)) for at in range(0, length, PLANES))


def _brain_contrast(
    model: HeadModel, contrast: Contrast, noise: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the brain's FLAIR intensity, and its tissue share (the rest is fluid).

    T1 intensities of the template are in the order fluid, cortex, deep grey, white matter. In FLAIR
    fluid is still darkest, and the order of the others is reversed. The border of fluid and the
    thickness of the cortex vary smoothly.
    """
    edge = 0.5 * (T1_CSF + T1_GREY) + 0.05 + 0.025 * noise["edge"]
    tissue = _ramp((model.t1 - edge) / 0.09)
    white = (model.t1 - T1_GREY + 0.02 * noise["cortex"]) / (T1_WHITE - T1_GREY - 0.02)
    white = np.clip(white, 0, 1)
    # a voxel half white matter, half ventricle has the T1 intensity of cortex, yet holds none
    beside = np.exp(-np.square(np.maximum(model.ventricle_mm, 0) / 1.6)) * (model.white > 0.2)
    white = np.maximum(white, 0.8 * beside)
    value = (contrast.grey + (1 - contrast.grey) * white) * (1 + 0.03 * noise["white"])
    return contrast.csf + (value - contrast.csf) * tissue, tissue


def _head_contrast(
    model: HeadModel, contrast: Contrast, noise: dict[str, np.ndarray]
) -> np.ndarray:
    """Return the FLAIR intensity of everything around the brain."""
    intensity = np.zeros(len(Tissue), dtype=np.float32)
    intensity[Tissue.FLUID] = contrast.csf
    intensity[Tissue.BONE] = 0.04
    intensity[Tissue.MARROW] = contrast.marrow
    intensity[Tissue.FAT] = contrast.fat
    intensity[Tissue.MUSCLE] = contrast.muscle
    intensity[Tissue.MUCOSA] = contrast.mucosa
    intensity[Tissue.CORD] = 1.05
    fixed = intensity[model.structures] * (1 + 0.08 * noise["fascia"])
    between = (model.structures == Tissue.MUSCLE) & (np.abs(noise["fascia"]) < 0.09)
    fixed = np.where(between, 0.7 * contrast.fat, fixed)  # fat between muscles
    layered = model.structures == Tissue.LAYERED
    return np.where(layered, _layers(model, contrast, noise["skull"]), fixed)


def _layers(model: HeadModel, contrast: Contrast, vary: np.ndarray) -> np.ndarray:
    """Return fluid rim, dura, skull with diploe and scalp by their depth."""
    depth = model.brain_mm - contrast.rim_mm * (1 + 0.4 * vary)  # 0 at the dura
    thickness = contrast.skull_mm * (1 + 0.15 * vary)
    diploe = np.clip(1.3 - np.abs(depth / thickness - 0.55) * 5, 0, 1)
    skull = 0.03 + (contrast.marrow - 0.03) * diploe
    skin = -model.skin_mm
    scalp = np.where(skin < 1.6, 0.6 * contrast.fat + 0.15, contrast.fat)
    scalp = np.where((depth - thickness < 1.8) & (skin > 2.5), contrast.muscle, scalp)
    head = np.where(depth < 0, contrast.csf, np.where(depth > thickness, scalp, skull))
    dura = contrast.dura * np.exp(-np.square((depth + 0.2) / 0.8))
    head = np.maximum(head, dura * (model.brain_mm > -3))
    return np.where(skin < 0, 0.0, head)


def _ramp(value: np.ndarray) -> np.ndarray:
    """Return a smooth step from 0 (below -0.5) to 1 (above 0.5)."""
    t = np.clip(value + 0.5, 0, 1)
    return t * t * (3 - 2 * t)
