"""Anatomy of the simulated heads: the MNI152 brain, and a head built around it.

The brain is the T1-weighted ICBM 2009a nonlinear symmetric average that nilearn carries
(Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological
Institute, McGill University; free for any purpose provided this notice appears). That template is
skull-stripped, so the rest of the head is modelled: subarachnoid space, skull with diploe, scalp,
orbits, sinuses, muscles, neck. All coordinates are MNI millimetres (RAS+).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import ndimage

# First and last millimetre of the modelled head along x, y, z: the template's box, and room for
# scalp, face and neck.
BOX_MM = ((-94, 94), (-126, 112), (-114, 104))
BUILD_MM = 2  # smooth fields (distances, noise) are computed on this grid and interpolated
# T1 intensities of the template (its maximum is 1): cerebrospinal fluid, cortex, white matter.
T1_CSF, T1_GREY, T1_WHITE = 0.30, 0.63, 0.87
# Centre and half-axes of air cells: ethmoid, sphenoid, maxillary, frontal (mirrored in x).
SINUSES = (
    ((7, 42, -34), (8, 22, 9)),
    ((0, 14, -38), (13, 11, 9)),
    ((31, 52, -66), (14, 16, 17)),
    ((9, 78, -8), (9, 6, 12)),
)
# Centre and half-axes of the inferior, middle and superior nasal concha.
TURBINATES = (
    ((9, 56, -73), (4, 23, 6)),
    ((7, 52, -60), (3.5, 18, 4.5)),
    ((6, 48, -49), (3, 12, 3)),
)
# Places in the lateral ventricles: frontal horn and atrium (mirrored in x).
VENTRICLES = ((6, 14, 14), (28, -44, 8))
BRAIN_END_Z = -70.0  # the foramen magnum: below it brainstem becomes cord, which is no brain


class Tissue(IntEnum):
    """What fills the head outside the brain, where a fixed structure says so."""

    LAYERED = 0  # skull and scalp by their depth, see `subject`
    AIR = 1
    FLUID = 2
    BONE = 3
    MARROW = 4
    FAT = 5
    MUSCLE = 6
    MUCOSA = 7
    CORD = 8


@dataclass(frozen=True, eq=False)
class HeadModel:
    """Maps of the head on one MNI grid of (X, Y, Z) voxels.

    Parameters
    ----------
    spacing_mm : float
        Voxel size.
    t1 : ndarray of float32
        T1 intensity of the template's brain, 0 outside.
    brain : ndarray of float32
        Share of each voxel that is brain, in [0, 1].
    structures : ndarray of uint8
        `Tissue` of the fixed structures around the brain.
    brain_mm, skin_mm : ndarray of float32
        Signed distance to the brain's hull and to the skin; negative inside.
    ventricle_mm, cortex_mm : ndarray of float32
        Distance to the lateral ventricles (negative inside) and to the cerebral cortex.
    white : ndarray of float32
        White-matter probability of the template, in [0, 1].
    """

    spacing_mm: float
    t1: np.ndarray
    brain: np.ndarray
    structures: np.ndarray
    brain_mm: np.ndarray
    skin_mm: np.ndarray
    ventricle_mm: np.ndarray
    cortex_mm: np.ndarray
    white: np.ndarray

    def part(self, planes: slice) -> HeadModel:
        """Return the model's planes along x: work on a few at a time stays in the cache."""
        maps: dict[str, Any] = {
            name: value[planes]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return replace(self, **maps)

    @property
    def origin_mm(self) -> np.ndarray:
        """(3,) MNI place of voxel (0, 0, 0)."""
        return np.array([low for low, _ in BOX_MM], dtype=np.float64)

    def to_index(self, points_mm: np.ndarray) -> np.ndarray:
        """Return voxel coordinates of MNI points, both (..., 3)."""
        return (points_mm - self.origin_mm) / self.spacing_mm

    def to_mm(self, index: np.ndarray) -> np.ndarray:
        """Return MNI points of voxel coordinates, both (..., 3)."""
        return index * self.spacing_mm + self.origin_mm


@lru_cache(maxsize=1)
def head_model(spacing_mm: int) -> HeadModel:
    """Return the head model at 1 or 2 mm; built once per process.

    nilearn has no licence file for the template. Its terms are in this module's docstring.
    """
    t1, white, brain = template_maps()
    rough_t1, rough_brain = _halved(t1), _halved(brain)
    hull_mm = _hull_distance(rough_brain > 0.5)
    skin_mm = _skin_distance(hull_mm)
    ventricles = _lateral_ventricles(rough_t1, rough_brain > 0.5)
    cortex = _cerebral_cortex(rough_t1, rough_brain > 0.5, hull_mm)
    smooth = [hull_mm, skin_mm, _signed_distance(ventricles), _distance_to(cortex)]
    if spacing_mm == BUILD_MM:
        t1, brain, white = rough_t1, rough_brain, _halved(white)
    else:
        smooth = [_upsample(field, t1.shape) for field in smooth]
    hull_mm, skin_mm, ventricle_mm, cortex_mm = smooth
    structures = _structures(_axes(spacing_mm), hull_mm, skin_mm)
    return HeadModel(
        spacing_mm, t1, brain, structures, hull_mm, skin_mm, ventricle_mm, cortex_mm, white
    )


@lru_cache(maxsize=1)
def template_maps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return t1, white and brain of `HeadModel` at 1 mm."""
    t1, white, brain = (_boxed(volume) for volume in _template())
    # the template's mask has thin spurs along nerves and vessels, which no skull stripping keeps
    return t1, white, np.clip((ndimage.gaussian_filter(brain, 1.8) - 0.5) * 2.5 + 0.5, 0, 1)


def _template() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return T1, white matter and brain mask of the template, each with its affine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nilearn's remarks on its own resampling
        from nilearn import datasets  # noqa: PLC0415 (1 s to import)

        loaders = (
            datasets.load_mni152_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_brain_mask,
        )
        images = [loader(resolution=1) for loader in loaders]
    return [(np.asarray(image.dataobj, np.float32), image.affine) for image in images]


def _boxed(volume: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Cut or pad a 1 mm template to `BOX_MM`."""
    data, affine = volume
    out = np.zeros([high - low + 1 for low, high in BOX_MM], dtype=np.float32)
    start = [round(float(affine[axis, 3])) - BOX_MM[axis][0] for axis in range(3)]
    target = tuple(slice(max(s, 0), s + n) for s, n in zip(start, data.shape, strict=True))
    room = out[target].shape
    source = tuple(
        slice(max(-s, 0), max(-s, 0) + length) for s, length in zip(start, room, strict=True)
    )
    out[target] = data[source]
    return out


def _halved(volume: np.ndarray) -> np.ndarray:
    smoothed = ndimage.gaussian_filter(volume, 0.6)
    return np.ascontiguousarray(smoothed[::BUILD_MM, ::BUILD_MM, ::BUILD_MM])


def resample_axis(field: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    """Return a field linearly interpolated along one axis, constant outside its ends.

    Parameters
    ----------
    field : ndarray of float32
        Any number of axes.
    position : (N,) ndarray
        Fractional indices along `axis`.
    axis : int
        Its length becomes N.
    """
    last = field.shape[axis] - 1
    low = np.clip(np.floor(position).astype(int), 0, max(last - 1, 0))
    share = np.clip(position - low, 0, 1).astype(np.float32)
    share = share.reshape([-1 if a == axis else 1 for a in range(field.ndim)])
    start = np.take(field, low, axis)
    return start + (np.take(field, np.minimum(low + 1, last), axis) - start) * share


def _upsample(field: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a `BUILD_MM` field on the 1 mm grid."""
    for axis, length in enumerate(shape):
        field = resample_axis(field, np.arange(length) / BUILD_MM, axis)
    return field


def _axes(spacing_mm: int) -> list[np.ndarray]:
    """Return open (broadcasting) MNI coordinates x, y, z of the grid."""
    ranges = [np.arange(low, high + 1, spacing_mm, dtype=np.float32) for low, high in BOX_MM]
    return list(np.ix_(*ranges))


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    outside = ndimage.distance_transform_edt(~mask)
    inside = ndimage.distance_transform_edt(mask)
    return ndimage.gaussian_filter(((outside - inside) * BUILD_MM).astype(np.float32), 0.7)


def _distance_to(mask: np.ndarray) -> np.ndarray:
    return (ndimage.distance_transform_edt(~mask) * BUILD_MM).astype(np.float32)


def _hull_distance(brain: np.ndarray, closing_mm: float = 12.0) -> np.ndarray:
    """Return the signed distance to the brain without its fissures, as the dura follows it."""
    reach = closing_mm / BUILD_MM
    dilated = ndimage.distance_transform_edt(~brain) <= reach
    return _signed_distance((ndimage.distance_transform_edt(dilated) > reach) | brain)


def _skin_distance(hull_mm: np.ndarray) -> np.ndarray:
    """Return the signed distance to the skin of skullcap, face, nose, jaw and neck."""
    x, y, z = _axes(BUILD_MM)
    temporal = np.exp(-(((np.abs(x) - 70) / 22) ** 2 + ((y - 12) / 36) ** 2 + ((z + 8) / 30) ** 2))
    forehead = np.exp(-((x / 40) ** 2 + ((y - 78) / 20) ** 2 + ((z + 5) / 18) ** 2))
    cap = hull_mm < 13 + 7 * temporal + 4 * forehead
    face = _ball(x, y, z, (0, 40, -52), (66, 53, 72))
    nose = _ball(x, y, z, (0, 97, -44), (13, 14, 26))
    jaw = _ball(x, y, z, (0, 8, -82), (68, 78, 52))
    neck = ((x / 60) ** 2 + ((y + 42) / 64) ** 2 < 1) & (z < -55)
    whole = ndimage.gaussian_filter((cap | face | nose | jaw | neck).astype(np.float32), 2.5) > 0.5
    return _signed_distance(whole)


def _lateral_ventricles(t1: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Return the fluid of both lateral ventricles (bodies, frontal and occipital horns, atria)."""
    x, y, z = _axes(BUILD_MM)
    side = np.abs(x)
    box = (side < 36) & (side > 1.5) & (y > -75) & (y < 40) & (z > -16) & (z < 34)
    labels, _ = ndimage.label(brain & (t1 < 0.55) & box)
    seeds = [(sign * at[0], *at[1:]) for sign in (-1, 1) for at in VENTRICLES]
    low = np.array(BOX_MM)[:, 0]
    index = np.rint((np.array(seeds) - low) / BUILD_MM).astype(int)
    return np.isin(labels, np.setdiff1d(labels[tuple(index.T)], [0]))


def _cerebral_cortex(t1: np.ndarray, brain: np.ndarray, hull_mm: np.ndarray) -> np.ndarray:
    """Return cortical grey matter and sulci: all that is neither white, deep nor cerebellar."""
    x, y, z = _axes(BUILD_MM)
    central = (np.abs(x) < 33) & (y > -45) & (y < 25) & (z > -15) & (z < 32)
    cerebellum = (y < -30) & (z < -14 + (y + 30) * -0.12)
    return brain & (t1 < 0.74) & (hull_mm < 0) & ~central & ~cerebellum


def _ball(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, centre: Sequence[float], radii: Sequence[float]
) -> np.ndarray:
    i, j, k = ((axis - c) / r for axis, c, r in zip((x, y, z), centre, radii, strict=True))
    return i**2 + j**2 + k**2 < 1


def _structures(axes: list[np.ndarray], hull_mm: np.ndarray, skin_mm: np.ndarray) -> np.ndarray:
    """Return the `Tissue` of all that is deeper than scalp and skull, painted back to front."""
    x, y, z = axes
    label = np.zeros(hull_mm.shape, dtype=np.uint8)
    deep = (skin_mm < -7) & (hull_mm > 7)
    label[deep] = Tissue.MUSCLE
    label[deep & (skin_mm > -10)] = Tissue.FAT
    _paint_skull_base(label, x, y, z, hull_mm)
    _paint_airways(label, x, y, z, hull_mm)
    _paint_orbits(label, x, y, z, hull_mm)
    _paint_neck(label, x, y, z)
    label[skin_mm > 0] = Tissue.AIR
    return label


def _paint_skull_base(
    label: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, hull_mm: np.ndarray
) -> None:
    side = np.abs(x)
    outside = hull_mm > 1.5
    label[outside & _ball(side, y, z, (30, -30, -42), (28, 12, 11))] = Tissue.BONE  # petrous
    label[outside & _ball(side, y, z, (52, -36, -50), (12, 14, 18))] = Tissue.BONE  # mastoid
    clivus = np.abs(y + 4 - (z + 34) * 0.55) < 6
    label[outside & (side < 14) & clivus & (z > -66) & (z < -30)] = Tissue.MARROW
    label[outside & _ball(side, y, z, (52, 8, -46), (9, 8, 20))] = Tissue.MARROW  # mandible's head


def _paint_airways(
    label: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, hull_mm: np.ndarray
) -> None:
    side = np.abs(x)
    outside = hull_mm > 2.5
    cavity = _ball(side, y, z, (0, 52, -62), (17, 38, 24)) | _ball(
        side, y, z, (0, 86, -62), (11, 16, 12)
    )
    label[outside & cavity] = Tissue.AIR
    label[outside & cavity & (side < 1.5) & (y < 80)] = Tissue.MUCOSA  # septum
    for centre, radii in TURBINATES:
        label[outside & _ball(side, y, z, centre, radii)] = Tissue.MUCOSA
    for centre, radii in SINUSES:
        label[outside & _ball(side, y, z, centre, radii)] = Tissue.AIR
    label[outside & (z < -48) & ((x / 12) ** 2 + ((y - 6) / 7) ** 2 < 1)] = Tissue.AIR  # pharynx


def _paint_orbits(
    label: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, hull_mm: np.ndarray
) -> None:
    side = np.abs(x)
    outside = hull_mm > 2.5
    back = (y - 20) / 42  # 0 at the apex, 1 at the eye's equator
    axis_x, axis_z = 17 + 16 * back, -29 - 7 * back
    across = np.sqrt((side - axis_x) ** 2 + (z - axis_z) ** 2)
    cone = (back > 0) & (y < 72)
    reach = 4 + 14 * np.clip(back, 0, 1)
    label[outside & cone & (across < reach + 3)] = Tissue.BONE
    label[outside & cone & (across < reach)] = Tissue.FAT
    behind = cone & (back < 0.85)
    label[outside & behind & (across < 2.6)] = Tissue.MUSCLE  # optic nerve
    rectus = np.maximum(np.abs(side - axis_x), np.abs(z - axis_z))
    strands = np.minimum(np.abs(side - axis_x), np.abs(z - axis_z)) < 4
    label[outside & behind & strands & (np.abs(rectus - 0.72 * reach) < 1.6)] = Tissue.MUSCLE
    label[outside & _ball(side, y, z, (33, 62, -36), (13.4, 13.4, 13.4))] = Tissue.MUSCLE  # sclera
    label[outside & _ball(side, y, z, (33, 62, -36), (12, 12, 12))] = Tissue.FLUID  # vitreous
    label[outside & _ball(side, y, z, (33, 71, -36), (4.5, 2.4, 4.5))] = Tissue.MUSCLE  # lens


def _paint_neck(label: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    """Paint the canal, the cord and the vertebrae below the foramen magnum."""
    low = z < BRAIN_END_Z + 2
    canal_y = -46 + (z + 70) * 0.05
    across = np.sqrt(x**2 + (y - canal_y) ** 2)
    label[low & (across < 17)] = Tissue.BONE
    body = (x / 13) ** 2 + ((y - canal_y - 22) / 9) ** 2 < 1
    label[(z < -76) & body] = Tissue.MARROW
    label[low & (across < 12)] = Tissue.FLUID
    label[low & ((x / 7.5) ** 2 + ((y - canal_y) / 6.5) ** 2 < 1)] = Tissue.CORD
