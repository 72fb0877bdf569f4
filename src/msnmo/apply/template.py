"""Where in the MNI template ventricles, cortex and the infratentorial space are, by stated rules.

The template is the ICBM 2009a nonlinear symmetric average of 152 brains that nilearn carries, with
its probability maps of grey and of white matter (Copyright (C) 1993-2009 Louis Collins, McConnell
Brain Imaging Centre, Montreal Neurological Institute, McGill University; free for any purpose
provided this notice appears). It comes without an atlas, and no atlas is needed: three regions are
cut from its own maps. All coordinates are MNI millimetres (RAS+), mirrored in x.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from scipy import ndimage

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume

# Fluid is what is more likely neither grey nor white matter. The temporal horns are slits that an
# average of many brains blurs: there a quarter is enough.
FLUID, FLUID_IN_HORN = 0.5, 0.25
# Grey matter of the average is thicker than any one brain's: at 0.6 its border with white matter
# lies where an atlas of single brains has it.
GREY = 0.6
# T1 intensity (the template's maximum is 1) above which a voxel is tissue
T1_TISSUE = 0.6
CLOSED_MM = 4  # gaps up to twice as wide are part of the brain
# Places in fluid: frontal horn, atrium; and the third ventricle, in the midline
LATERAL_SEEDS = ((5, 10, 10), (26, -44, 8))
THIRD_SEED = (0, -6, -6)
# The temporal horn runs along the hippocampus: places (y, x, z), and a radius
HORN = np.array(
    [(-42, 33, -2), (-34, 36, -8), (-27, 38, -12), (-19, 38, -16), (-13, 36, -20), (-7, 33, -25)]
)
HORN_RADIUS = 4
# Centre and half-axes of ellipsoids that hold the deep grey matter: thalamus, putamen with
# pallidum, head and body of the caudate, accumbens with basal forebrain, hypothalamus
DEEP_GREY = (
    ((9, -18, 6), (22, 19, 14)),
    ((24, 0, 1), (13, 22, 14)),
    ((12, 8, 10), (10, 20, 18)),
    ((16, -18, 22), (6, 16, 8)),
    ((12, 8, -6), (14, 14, 9)),
    ((0, -6, -8), (13, 14, 10)),
)
# Where the flood of the infratentorial space starts: cerebellar white matter, vermis
Place = tuple[float, float, float]
CEREBELLUM = (((18, -60, -36), (10, 10, 7)), ((0, -64, -20), (4, 12, 8)))


class Region(IntEnum):
    """What a voxel of the region map is."""

    ELSEWHERE = 0
    VENTRICLE = 1
    CORTEX = 2
    INFRATENTORIAL = 3


@dataclass(frozen=True, eq=False)
class Template:
    """The template's maps on its grid of 1 mm.

    Parameters
    ----------
    t1 : (X, Y, Z) ndarray of float32
        T1 intensity of the brain, in [0, 1], 0 outside.
    grey, white : (X, Y, Z) ndarray of float32
        Probability of grey and of white matter, in [0, 1].
    brain : (X, Y, Z) ndarray of bool
    grid : Grid
        MNI mm (RAS+).
    """

    t1: np.ndarray
    grey: np.ndarray
    white: np.ndarray
    brain: np.ndarray
    grid: Grid


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Return the template from nilearn's own files; read once per process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nilearn's remarks on its own loading
        from nilearn import datasets  # noqa: PLC0415 (1 s to import)

        loaders = (
            datasets.load_mni152_template,
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_brain_mask,
        )
        images = [loader(resolution=1) for loader in loaders]
    t1, grey, white, brain = (np.asarray(image.dataobj, np.float32) for image in images)
    grid = Grid.from_affine(t1.shape, images[0].affine)
    # nilearn's mask is a threshold of intensity, with tunnels where fluid is darkest
    closed = ndimage.binary_closing(brain > 0, iterations=CLOSED_MM)
    return Template(t1, grey, white, closed, grid)


@lru_cache(maxsize=1)
def regions_in_template() -> Volume:
    """Return the region map of the template.

    ============== ===========================================================================
    region         rule
    ============== ===========================================================================
    ventricle      Fluid (neither grey nor white matter by at least 0.5) that is connected by
                   voxel sides to a seed in the frontal horn (±5, 10, 10), the atrium
                   (±26, -44, 8) or the third ventricle (0, -6, -6), within three bounds that
                   keep it from cisterns and sulci.
                   Lateral: |x| ≤ 38, -66 ≤ y ≤ 34, -6 ≤ z ≤ 32, and |x| ≥ -0.75 y - 16, which
                   leaves out the quadrigeminal cistern. Third: |x| ≤ 4, -27 ≤ y ≤ 5, z ≤ 10,
                   and z ≥ -0.45 y - 14, the floor. Temporal horn: within 4 mm (in the coronal
                   plane) of a line along the hippocampus, `HORN`, and at least 0.25 of fluid.
    infratentorial Brainstem, cerebellum and the fluid about them with the fourth ventricle:
                   watershed of the T1 image, dark being high, between a flood from within
                   (cerebellar white matter, vermis, brainstem) and one from the cerebrum (all
                   above z = 5, temporal lobes before y = -20, diencephalon). They meet where
                   the template is darkest: at the tentorium. Midbrain and diencephalon, where
                   nothing is dark, meet at the plane z = -1 - 0.67 (y + 28), from the
                   posterior commissure to the back of the mammillary bodies.
    cortex         Grey matter by at least 0.6, not infratentorial, and outside the ellipsoids
                   of the deep grey matter, `DEEP_GREY`. Hippocampus and amygdala count.
    ============== ===========================================================================

    Returns
    -------
    Volume
        uint8 `Region` on the template's grid.
    """
    template = load_template()
    infratentorial = _infratentorial(template)
    cortex = (template.grey >= GREY) & ~infratentorial & ~_balls(template.grid, DEEP_GREY)
    labels = np.zeros(template.grid.shape, dtype=np.uint8)
    labels[cortex] = Region.CORTEX
    labels[_ventricles(template)] = Region.VENTRICLE
    labels[infratentorial] = Region.INFRATENTORIAL
    return Volume(labels, template.grid)


def _ventricles(template: Template) -> np.ndarray:
    side, y, z = _axes(template.grid)
    fluid = np.where(template.brain, 1 - template.grey - template.white, 0)
    lateral = (side <= 38) & (y >= -66) & (y <= 34) & (z >= -6) & (z <= 32)
    lateral = lateral & (side >= -0.75 * y - 16)
    third = (side <= 4) & (y >= -27) & (y <= 5) & (z <= 10) & (z >= -0.45 * y - 14)
    line_x, line_z = (np.interp(y, HORN[:, 0], HORN[:, column]) for column in (1, 2))
    horn = (side - line_x) ** 2 + (z - line_z) ** 2 < HORN_RADIUS**2
    horn = horn & (y >= HORN[0, 0]) & (y <= HORN[-1, 0] + 2)
    within = ((fluid >= FLUID) & (lateral | third)) | ((fluid >= FLUID_IN_HORN) & horn)
    labels, _ = ndimage.label(within)
    seeds = [(sign * at[0], *at[1:]) for at in LATERAL_SEEDS for sign in (-1, 1)]
    found = [labels[_index(template.grid, seed)] for seed in (*seeds, THIRD_SEED)]
    return np.isin(labels, np.setdiff1d(found, [0]))


def _infratentorial(template: Template) -> np.ndarray:
    import SimpleITK  # noqa: PLC0415 - for the registration alone, not for who reads its result

    side, y, z = _axes(template.grid)
    midbrain_top = -1 - 0.67 * (y + 28)
    stem = (side < 15) & (side < 4 - 0.5 * y) & (y > -34) & (y < -9)  # not the uncus
    stem = stem & (z > -36) & (z < midbrain_top - 1)
    diencephalon = (side < 22) & (y > -32) & (z > midbrain_top)
    markers = np.zeros(template.grid.shape, dtype=np.uint8)
    markers[(z > 5) | diencephalon | ((side > 22) & (y > -20))] = 1
    markers[_balls(template.grid, CEREBELLUM) | (stem & (template.t1 > T1_TISSUE))] = 2
    darkness = np.rint(255 * (1 - np.clip(template.t1, 0, 1))).astype(np.uint8)
    flooded = SimpleITK.MorphologicalWatershedFromMarkers(
        SimpleITK.GetImageFromArray(darkness),
        SimpleITK.GetImageFromArray(markers),
        markWatershedLine=False,
    )
    return (SimpleITK.GetArrayFromImage(flooded) == 2) & template.brain


def _axes(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return open (broadcasting) MNI coordinates |x|, y, z of the template's grid, in mm."""
    x, y, z = (
        np.arange(length) + start
        for length, start in zip(grid.shape, grid.affine[:3, 3], strict=True)
    )
    side, y, z = np.ix_(np.abs(x), y, z)
    return side, y, z


def _index(grid: Grid, place: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(np.rint(place - grid.affine[:3, 3]).astype(int))


def _balls(grid: Grid, ellipsoids: tuple[tuple[Place, Place], ...]) -> np.ndarray:
    """Return the voxels inside any of the ellipsoids (centre, half-axes), mirrored in x."""
    axes = _axes(grid)
    inside = np.zeros(grid.shape, dtype=bool)
    for centre, radii in ellipsoids:
        parts = zip(axes, centre, radii, strict=True)
        x, y, z = (((axis - at) / radius) ** 2 for axis, at, radius in parts)
        inside |= x + y + z < 1
    return inside
