"""Brain extraction by a deformable surface: our own engine, which needs only numpy and scipy.

Our own implementation of the method published by Smith (2002), "Fast robust automated brain
extraction", Human Brain Mapping 17:143-155, written from the paper's description; no line of FSL
was used. The names below are the paper's. In short: robust intensities t_2 and t_98 (percentiles)
and the threshold t between them; the head's centre of gravity and mean radius; a tessellated
sphere of half that radius; one thousand small steps, each the sum of u_1 (even spacing), u_2
(smoothness that depends on the local radius of curvature) and u_3 (towards the brain's edge, by the
least and greatest intensities found inwards along the normal); a check for self-intersection, and
if there is one a second run with more smoothing; filling.

Where we differ from the paper, and why:

- The search inwards reads a copy of the scan resampled to 1.5 mm cubes along the scanner's axes, so
  that slices of 4 mm, any orientation and any obliqueness are treated alike and the cost does not
  grow with the scan.
- Outside the field of view the outermost voxels are repeated. In 2D FLAIR the brain often ends at
  the last slice, and a drop to zero there is no edge of the brain. If a slab shows only a part of
  the brain, the surface grows far out of it and then mostly crosses itself, which is flagged.
  Within the slab the mask is still good.
- b_t = 0.45 + frac / 2. As in BET a larger frac gives a smaller brain, and the workflow's frac of
  0.4 (the best setting of FSL's BET on FLAIR) is b_t = 0.65. With the paper's d_1 and d_2 its
  b_t = 0.5 takes in meninges and orbital tissue in FLAIR, where fluid is dark and these are not;
  from 0.55 to 0.7 the masks differ little; from 0.85 (frac 0.8) the surface begins to fold, and at
  0.95 it collapses.
- The voxels that the surface crosses count as brain: it is moved outwards by 1 mm before filling.
  The masks then have the extent of those of FSL's BET.
- `robust`, which the paper does not have, starts again from the centre of the brain found, as the
  option of that name of FSL's BET is said to do in its user guide.

The relation of frac and b_t and the 1 mm were chosen on five FLAIRs of three people, the same for
all five. So the results of the engine on these scans are not those of unseen scans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.preprocess.skullstrip.extraction import Extraction
from msnmo.preprocess.skullstrip.mesh import (
    Topology,
    fill,
    icosphere,
    mean_edge,
    normals,
    self_intersects,
)

VERSION = "1"

# Smith (2002)
SUBDIVISIONS = 4
ITERATIONS = 1000
R_MIN_MM, R_MAX_MM = 3.33, 10.0
D1_MM, D2_MM = 20.0, 10.0
THRESHOLD = 0.1
STEP = 0.05
SMOOTHER_UNTIL = 0.75

# Ours, see above
BT_AT_0, BT_PER_FRAC = 0.45, 0.5
WORKING_MM = 1.5
OUTWARDS_MM = 1.0
# Smoothing of concave parts, first as in the paper, then after each self-intersection
SMOOTHINGS = (1.0, 10.0)
# `robust`: start again from the brain found, until its centre moves less than this
ROBUST_MM, ROBUST_RUNS = 2.0, 3
# Larger than any scanner's bore: a header in the wrong unit
LARGEST_MM = 1000.0


@dataclass(frozen=True)
class Intensities:
    """Intensities that steer the surface (t_2, t_98, t and t_m of the paper)."""

    t2: float
    t98: float
    t: float
    tm: float


@dataclass(frozen=True)
class Sphere:
    """A sphere in scanner coordinates (mm)."""

    centre: np.ndarray
    radius: float


@dataclass(frozen=True)
class WorkingGrid:
    """The scan on 1.5 mm cubes along the scanner's axes, the first centred on `origin` (mm)."""

    data: np.ndarray
    origin: np.ndarray


def extract_brain(scan: Volume, frac: float = 0.4, robust: bool = False) -> Extraction:
    """Return the brain mask of a head scan.

    Parameters
    ----------
    scan : Volume
        A T2-FLAIR head scan on any grid.
    frac : float
        In [0, 1]; larger gives a smaller brain. b_t of the paper is ``0.45 + frac / 2``.
    robust : bool
        Start again from the centre of the brain that was found, up to twice, until the centre stays
        the same. This is for scans with much neck, whose centre of gravity lies below the brain.

    Returns
    -------
    Extraction
        The same for equal input, on every run.

    Raises
    ------
    ValueError
        If the scan has no contrast, or a field of view that no scanner has.
    """
    _refuse_impossible_size(scan.grid)
    t2, t98 = (float(value) for value in np.percentile(scan.data, [2, 98]))
    if not t98 > t2:
        raise ValueError(f"98 % of the voxels have the value {t2:g}: there is no head to see")
    working = resample(scan)
    sphere = head_sphere(scan, t2, t98)
    bt = BT_AT_0 + BT_PER_FRAC * frac
    for _ in range(ROBUST_RUNS if robust else 1):
        intensities = robust_intensities(scan, sphere, t2, t98)
        vertices, smoothing, crossed = _fit(working, sphere, intensities, bt)
        centre = vertices.mean(axis=0)
        moved = float(np.linalg.norm(centre - sphere.centre))
        sphere = Sphere(centre, sphere.radius)
        if moved < ROBUST_MM:
            break
    return Extraction(
        mask=_mask(vertices, scan.grid),
        engine="surface",
        version=VERSION,
        settings={"frac": frac, "b_t": bt, "robust": robust, "smoothing": smoothing},
        flags=["the brain surface intersects itself"] if crossed else [],
    )


def resample(scan: Volume) -> WorkingGrid:
    """Return the scan, linearly interpolated, on 1.5 mm cubes that cover its field of view.

    Outside the field of view (in the corners, if the scan is oblique) its outermost voxels are
    repeated.
    """
    low, high = _extent(scan.grid)
    shape = tuple(int(n) for n in np.ceil((high - low) / WORKING_MM) + 1)
    inverse = np.linalg.inv(scan.grid.affine)
    offset = inverse[:3, :3] @ low + inverse[:3, 3]
    data = ndimage.affine_transform(
        scan.data,
        inverse[:3, :3] * WORKING_MM,
        offset,
        output_shape=shape,
        output=np.float32,
        order=1,
        mode="nearest",
    )
    return WorkingGrid(data, low)


def head_sphere(scan: Volume, t2: float, t98: float) -> Sphere:
    """Return the head's centre of gravity and mean radius.

    Every voxel above the threshold t counts, weighted by its intensity up to t_98. The radius is
    that of a sphere with the volume of these voxels.
    """
    head = scan.data > t2 + THRESHOLD * (t98 - t2)
    mass = np.minimum(scan.data, np.float32(t98))
    mass -= np.float32(t2)
    mass *= head
    along = [mass.sum(axis=axes, dtype=np.float64) for axes in ((1, 2), (0, 2), (0, 1))]
    index = [np.arange(len(line)) @ line / line.sum() for line in along]
    centre = scan.grid.affine[:3, :3] @ index + scan.grid.affine[:3, 3]
    millilitres = int(head.sum()) * scan.grid.voxel_ml
    return Sphere(centre, (3000.0 * millilitres / (4.0 * np.pi)) ** (1.0 / 3.0))


def robust_intensities(scan: Volume, sphere: Sphere, t2: float, t98: float) -> Intensities:
    """Return the thresholds, with t_m the median intensity between t_2 and t_98 in the sphere."""
    affine = scan.grid.affine
    inverse = np.linalg.inv(affine)
    middle = inverse[:3, :3] @ sphere.centre + inverse[:3, 3]
    reach = sphere.radius * np.linalg.norm(inverse[:3, :3], axis=1)
    low = np.maximum(np.ceil(middle - reach), 0).astype(int)
    high = np.minimum(np.floor(middle + reach) + 1, scan.grid.shape).astype(int)
    box = tuple(slice(*ends) for ends in zip(low, np.maximum(low, high), strict=True))
    i, j, k = np.ogrid[box]
    # (mm from the centre) squared, summed over the scanner's axes
    squared = sum(
        (i * row[0] + j * row[1] + k * row[2] + (row[3] - centre)) ** 2
        for row, centre in zip(affine[:3], sphere.centre, strict=True)
    )
    inside = scan.data[box][squared < sphere.radius**2]
    inside = inside[(inside > t2) & (inside < t98)]
    if inside.size == 0:
        raise ValueError("no voxel of medium intensity lies in the middle of the head")
    return Intensities(t2, t98, t2 + THRESHOLD * (t98 - t2), float(np.median(inside)))


def deform(
    working: WorkingGrid,
    vertices: np.ndarray,
    topology: Topology,
    intensities: Intensities,
    *,
    bt: float,
    smoothing: float = 1.0,
) -> np.ndarray:
    """Let a surface grow to the edge of the brain. Return its (N, 3) vertices in mm.

    Parameters
    ----------
    working : WorkingGrid
    vertices : (N, 3) ndarray
        Start, in mm.
    topology : Topology
    intensities : Intensities
    bt : float
        Fraction b_t of the local intensity range at which the brain ends.
    smoothing : float
        Factor on the smoothness of concave parts for the first three quarters of the iterations,
        falling linearly to 1 over the rest (the paper's remedy for self-intersection).
    """
    search = _Search(working, intensities)
    for factor in _smoothing_schedule(smoothing):
        normal = normals(vertices, topology)
        edge = mean_edge(vertices, topology)
        pull = topology.neighbour_mean @ vertices - vertices
        along = np.einsum("ij,ij->i", pull, normal)
        pull_normal = along[:, None] * normal
        low, high = search(vertices, normal)
        t2 = intensities.t2
        local_t = (high - t2) * bt + t2
        f3 = 2.0 * (low - local_t) / (high - t2)
        u1 = 0.5 * (pull - pull_normal)
        u2 = smoothness(along, edge, factor)[:, None] * pull_normal
        u3 = (STEP * edge * f3)[:, None] * normal
        vertices = vertices + u1 + u2 + u3
    return vertices


def smoothness(along: np.ndarray, edge: float, factor: float = 1.0) -> np.ndarray:
    """Return f_2, the share of the normal component that is applied, by radius of curvature.

    r = l^2 / (2 |s_n|); f_2 = (1 + tanh(F (1/r - E))) / 2 with E = (1/r_min + 1/r_max) / 2 and
    F = 6 / (1/r_min - 1/r_max): near 0 for bends wider than r_max, near 1 for tighter than r_min.

    Parameters
    ----------
    along : (N,) ndarray
        s_n, mm from each vertex to its neighbours' mean along the outward normal: positive where
        the surface is concave.
    edge : float
        l, the mean distance between neighbours (mm).
    factor : float
        Multiplies f_2 of concave parts (at most 1 results).
    """
    curvature = 2.0 * np.abs(along) / edge**2
    middle = (1.0 / R_MIN_MM + 1.0 / R_MAX_MM) / 2.0
    steepness = 6.0 / (1.0 / R_MIN_MM - 1.0 / R_MAX_MM)
    share = 0.5 * (1.0 + np.tanh(steepness * (curvature - middle)))
    return np.where(along > 0, np.minimum(share * factor, 1.0), share)


class _Search:
    """I_min and I_max of the paper: intensities found inwards from each vertex."""

    def __init__(self, working: WorkingGrid, intensities: Intensities):
        self.values = working.data.ravel()
        self.origin = working.origin
        shape = working.data.shape
        self.last = np.array(shape, np.int32) - 1
        self.strides = (shape[1] * shape[2], shape[2], 1)
        # float32 is exact to 0.1 micrometre here, and twice as fast
        self.depths = np.arange(0.0, D1_MM, WORKING_MM, np.float32)[:, None]
        self.shallow = int((self.depths <= D2_MM).sum())
        self.at = intensities

    def __call__(self, vertices: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Adding a half before cutting off the fraction rounds to the nearest voxel
        start = ((vertices - self.origin) / WORKING_MM + 0.5).astype(np.float32)
        inwards = (normal / -WORKING_MM).astype(np.float32)
        index = np.zeros((len(self.depths), len(vertices)), np.int32)
        for axis in range(3):
            place = self.depths * inwards[:, axis]
            place += start[:, axis]
            # The scan continues as its outermost voxels
            voxel = np.clip(place, 0, self.last[axis], out=place).astype(np.int32)
            voxel *= self.strides[axis]
            index += voxel
        found = self.values[index]
        low = np.maximum(self.at.t2, np.minimum(self.at.tm, found.min(axis=0)))
        high = np.minimum(self.at.tm, np.maximum(self.at.t, found[: self.shallow].max(axis=0)))
        return low, high


def _smoothing_schedule(smoothing: float) -> Iterator[float]:
    strong = int(SMOOTHER_UNTIL * ITERATIONS)
    for iteration in range(ITERATIONS):
        left = min(1.0, (ITERATIONS - iteration) / (ITERATIONS - strong))
        yield 1.0 + (smoothing - 1.0) * left


def _fit(
    working: WorkingGrid, sphere: Sphere, intensities: Intensities, bt: float
) -> tuple[np.ndarray, float, bool]:
    """Return the surface, the smoothing it took, and whether it still crosses itself."""
    unit, topology = icosphere(SUBDIVISIONS)
    start = sphere.centre + unit * (sphere.radius / 2.0)
    for smoothing in SMOOTHINGS:
        vertices = deform(working, start, topology, intensities, bt=bt, smoothing=smoothing)
        crossed = self_intersects(vertices, topology)
        if not crossed:
            break
    return vertices, smoothing, crossed


def _mask(vertices: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the voxels of the scan inside the surface, its own thickness included."""
    _, topology = icosphere(SUBDIVISIONS)
    outer = vertices + OUTWARDS_MM * normals(vertices, topology)
    inverse = np.linalg.inv(grid.affine)
    return fill(outer @ inverse[:3, :3].T + inverse[:3, 3], topology, grid.shape)


def _extent(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and greatest scanner coordinates (mm) of the voxel centres."""
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in grid.shape], indexing="ij")).reshape(3, -1)
    places = grid.affine[:3, :3] @ corners + grid.affine[:3, 3:]
    return places.min(axis=1), places.max(axis=1)


def _refuse_impossible_size(grid: Grid) -> None:
    low, high = _extent(grid)
    if (high - low).max() > LARGEST_MM:
        size = " x ".join(f"{length:.0f}" for length in high - low)
        raise ValueError(
            f"the field of view is {size} mm; check that the voxel sizes are in millimetres"
        )
