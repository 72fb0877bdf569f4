"""What became of each lesion between two visits: new, enlarged, shrunk, gone or stable.

Lesions are matched in scanner mm, through the rigid registration of the second visit to the first.
Volumes are counted on each visit's own grid: no mask is resampled before it is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from msnmo.apply.lesion_table import label_lesions
from msnmo.core.counts import counted
from msnmo.core.geometry import sample_on_grid
from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.evaluate.lesion_detection import TOUCH

STATUSES = ("new", "enlarged", "shrunk", "gone", "stable")
TOO_SMALL, OUTSIDE = "too small", "outside the other scan"
"""What is not counted, and why: it has no say in whether a lesion is new or gone."""
COLUMNS = {
    "place": int,
    "status": str,
    "volume_first_ml": float,
    "volume_second_ml": float,
    "change_ml": float,
    "change_percent": float,
    "x_mm": float,
    "y_mm": float,
    "z_mm": float,
    "lesions_first": str,
    "lesions_second": str,
}


@dataclass(frozen=True)
class Rules:
    """When a change of a lesion counts.

    Parameters
    ----------
    smallest_mm3 : float
        A lesion that is at one visit alone is new or gone from this volume on. 3 is that of the
        MSSEG-2 challenge (Commowick et al. 2021).
    growth_percent : float
        Of the first visit's volume, by which an enlarged lesion is larger and a shrunk one smaller.
        50 is above the 45.2 % by which a small lesion must change to exclude a change of
        measurement (of areas outlined again by hand, Arch. Neurol. 49:261, 1992).
    tolerance_voxels : int
        By how many voxels of its own grid a lesion may seem to be elsewhere: so near the other
        visit's lesions it is one of them, and what of it lies so near is no growth. 1 is for the
        error of the registration and the shares of voxels at a border.
    """

    smallest_mm3: float = 3.0
    growth_percent: float = 50.0
    tolerance_voxels: int = 1

    @property
    def in_words(self) -> str:
        """The rules as pages tell them."""
        away = f"more than {counted(self.tolerance_voxels, 'voxel')} away from"
        return (
            f"New or gone: at one visit only, of at least {self.smallest_mm3:g} mm³, and {away} "
            "all lesions of the other visit. Enlarged or shrunk: by more than "
            f"{self.growth_percent:g} % of the first visit's volume, and with voxels {away} the "
            "other visit's lesions. Lesions that touch at either visit are one row."
        )


@dataclass(frozen=True, eq=False)
class Visit:
    """The lesions of one visit, in the first visit's scanner mm.

    Parameters
    ----------
    labels : (I, J, K) ndarray of int32
        Ids of lesions, 1 to N.
    grid : Grid
        Where the voxels lie in the first visit's scanner mm.
    """

    labels: np.ndarray
    grid: Grid

    @classmethod
    def of(cls, lesions: Volume, to_first: np.ndarray | None = None) -> Visit:
        """Return the visit of a lesion mask, moved (4 x 4) to the first visit's scanner mm."""
        return cls(label_lesions(lesions.data), moved(lesions.grid, to_first))

    @property
    def volumes_ml(self) -> np.ndarray:
        """(N,) volumes."""
        counts = np.bincount(self.labels.ravel(), minlength=self.labels.max(initial=0) + 1)
        return counts[1:] * self.grid.voxel_ml


def moved(grid: Grid, move: np.ndarray | None) -> Grid:
    """Return a grid whose places have been moved by a rigid map (4 x 4)."""
    return grid if move is None else Grid.from_affine(grid.shape, move @ grid.affine)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What became of the lesions.

    Parameters
    ----------
    table : DataFrame
        Columns `COLUMNS`: a row for lesions that belong together; the largest first.
    first, second : Visit
    """

    table: pd.DataFrame
    first: Visit
    second: Visit

    def mask(self, which: str, status: str) -> np.ndarray:
        """Return the voxels of a visit's ("first", "second") lesions of a status."""
        visit: Visit = getattr(self, which)
        rows = self.table.loc[self.table["status"] == status, f"lesions_{which}"]
        ids = [int(each) for row in rows for each in row.split()]
        return np.isin(visit.labels, ids)


def compare_lesions(first: Visit, second: Visit, rules: Rules) -> Comparison:
    """Return what became of each lesion.

    A lesion of one visit belongs to one of the other if the centre of one of its voxels lies in it,
    or within the tolerance. All that belong together, by whatever chain, are one row: lesions that
    have grown into one another are told by their sum.
    """
    one, other = (_reach(visit, rules.tolerance_voxels) for visit in (first, second))
    in_second, covered_first = _looked_up(first, other)
    in_first, covered_second = _looked_up(second, one)
    ids_first, ids_second = first.labels[first.labels > 0], second.labels[second.labels > 0]
    count = len(first.volumes_ml)
    pairs = np.concatenate(
        [
            np.stack([ids_first - 1, in_second - 1 + count], axis=1)[in_second > 0],
            np.stack([in_first - 1, ids_second - 1 + count], axis=1)[in_first > 0],
        ]
    )
    total = count + len(second.volumes_ml)
    if not total:
        return Comparison(pd.DataFrame(columns=list(COLUMNS)), first, second)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (total, total))
    _, group = connected_components(graph, directed=False)
    # voxels beyond the other visit's lesions, and those in the other's field of view, by lesion
    beyond = [
        np.bincount(ids, weights=found == 0, minlength=size + 1)[1:]
        for ids, found, size in (
            (ids_first, in_second, count),
            (ids_second, in_first, total - count),
        )
    ]
    covered = np.concatenate(
        [
            np.bincount(ids, weights=seen, minlength=size + 1)[1:]
            / np.maximum(1, np.bincount(ids, minlength=size + 1)[1:])
            for ids, seen, size in (
                (ids_first, covered_first, count),
                (ids_second, covered_second, total - count),
            )
        ]
    )
    volumes = (first.volumes_ml, second.volumes_ml)
    rows = []
    for number in range(group.max(initial=-1) + 1):
        members = np.flatnonzero(group == number)
        sides = (members[members < count], members[members >= count] - count)
        ml = [float(volume[side].sum()) for volume, side in zip(volumes, sides, strict=True)]
        grown = [bool(cells[side].any()) for cells, side in zip(beyond, sides, strict=True)]
        seen = bool((covered[members] > 0.5).any())
        status = _status(ml, grown, seen, rules)
        where = (second, sides[1]) if len(sides[1]) else (first, sides[0])
        rows.append(
            (status, *ml, ml[1] - ml[0], _percent(*ml), *_centre(*where), *map(_ids, sides))
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS)[1:])
    largest = table[["volume_first_ml", "volume_second_ml"]].max(axis=1)
    table = table.loc[largest.sort_values(ascending=False, kind="stable").index]
    table.insert(0, "place", range(1, len(table) + 1))
    return Comparison(table.reset_index(drop=True), first, second)


def in_space_of(mask: np.ndarray, grid: Grid, to: Grid) -> np.ndarray:
    """Return a mask on the grid of the other visit, both in the first's scanner mm.

    As the workflow does with masks of another grid: linear, then at least one half.
    """
    return sample_on_grid(mask, grid, to) >= 0.5


def _status(ml: list[float], grown: list[bool], seen: bool, rules: Rules) -> str:
    before, after = ml
    if not before or not after:
        if not seen:
            return OUTSIDE
        if 1000 * max(ml) < rules.smallest_mm3 * (1 - 1e-9):
            return TOO_SMALL
        return "gone" if before else "new"
    change = 100 * (after - before) / before
    if change > rules.growth_percent and grown[1]:
        return "enlarged"
    if change < -rules.growth_percent and grown[0]:
        return "shrunk"
    return "stable"


def _percent(before: float, after: float) -> float:
    """Return the change in percent of the first volume; not a number for what is new."""
    return 100 * (after - before) / before if before else np.nan


def _centre(visit: Visit, lesions: np.ndarray) -> np.ndarray:
    voxels = np.argwhere(np.isin(visit.labels, lesions + 1))
    return visit.grid.affine[:3, :3] @ voxels.mean(axis=0) + visit.grid.affine[:3, 3]


def _ids(lesions: np.ndarray) -> str:
    return " ".join(str(each + 1) for each in lesions)


def _reach(visit: Visit, voxels: int) -> Visit:
    """Return the lesions made wider by some voxels, each new voxel that of the nearest."""
    if not voxels or not visit.labels.any():
        return visit
    wide = ndimage.binary_dilation(visit.labels > 0, TOUCH, iterations=voxels)
    nearest = ndimage.distance_transform_edt(
        visit.labels == 0,
        sampling=visit.grid.voxel_mm,
        return_distances=False,
        return_indices=True,
    )
    return Visit(np.where(wide, visit.labels[tuple(nearest)], 0), visit.grid)


def _looked_up(visit: Visit, other: Visit) -> tuple[np.ndarray, np.ndarray]:
    """Return the other visit's lesion at each lesion voxel of a visit, and whether it saw it."""
    voxels = np.argwhere(visit.labels > 0)
    matrix = np.linalg.solve(other.grid.affine, visit.grid.affine)
    # within a thousandth of a voxel, what lies between two is in the upper one on any machine
    places = np.floor(voxels @ matrix[:3, :3].T + matrix[:3, 3] + 0.5 + 1e-3).astype(int)
    seen = ((places >= 0) & (places < other.labels.shape)).all(axis=1)
    found = np.zeros(len(voxels), np.int64)
    found[seen] = other.labels[tuple(places[seen].T)]
    return found, seen
