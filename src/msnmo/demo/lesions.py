"""Lesions of multiple sclerosis (MS) and neuromyelitis optica spectrum disorder (NMOSD).

Places and shapes of lesions follow the literature, much simplified:

- MS: ovoid periventricular lesions perpendicular to the lateral ventricles ("Dawson's fingers"),
  callosal-septal, juxtacortical and infratentorial lesions (Filippi et al., Brain 2019, 142:1858;
  Filippi et al., Lancet Neurol. 2016, 15:292; Gean-Marton et al., Radiology 1991, 180:215).
- NMOSD: fewer lesions; around the third and fourth ventricle and the aqueduct, in hypothalamus and
  thalamus, dorsal medulla and area postrema, along the corticospinal tract, large hemispheric white
  matter lesions, long callosal lesions, and unspecific punctate ones (Kim et al., Neurology 2015,
  84:1165; Wingerchuk et al., Neurology 2015, 85:177; Pittock et al., Arch. Neurol. 2006, 63:390).
- Both: lesions next to the body of a lateral ventricle, of the U-fibres or of Dawson's type
  distinguish MS from NMOSD (Matthews et al., Neurology 2013, 80:1330). But some people with NMOSD
  have them, and some with MS have brainstem or tumefactive lesions. So the classes overlap here.

The probabilities and counts in `PRIORS` are ours. They were chosen so that the class can be learned
but is not trivial. They are no epidemiology.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from msnmo.demo.anatomy import HeadModel

Diagnosis = Literal["MS", "NMOSD"]
Confine = Literal["white", "tissue"]


@dataclass(frozen=True)
class Kind:
    """How lesions of one kind look.

    Parameters
    ----------
    places : tuple of (x, y, z)
        Fixed MNI places, mirrored to a random side and jittered. If empty, places come from `site`.
    site : str
        Name of a candidate map (`candidates`), for kinds without fixed places.
    radius_mm : (low, high)
        Range of the short half-axes.
    elongation : (low, high)
        Range of the long half-axis, relative to the short ones.
    along : "ventricle" or (x, y, z)
        Direction of the long half-axis: away from the ventricle, or fixed (mirrored with the side).
    confine : "white" or "tissue"
        What the lesion stays within.
    jitter_mm : float
        Standard deviation of the place.
    edge_mm : float
        Width of the edge, from full lesion to none.
    brightness : (low, high)
        Range of the FLAIR intensity relative to white matter.
    """

    places: tuple[tuple[float, float, float], ...] = ()
    site: str = ""
    radius_mm: tuple[float, float] = (2.5, 4.0)
    elongation: tuple[float, float] = (1.0, 1.4)
    along: Literal["ventricle"] | tuple[float, float, float] = (0.0, 1.0, 0.0)
    confine: Confine = "white"
    jitter_mm: float = 1.5
    edge_mm: float = 1.2
    brightness: tuple[float, float] = (1.45, 1.72)


# Lesions of NMOSD are less sharply bounded than the ovoid ones of MS.
HAZY: dict[str, Any] = {"edge_mm": 2.5, "brightness": (1.38, 1.64)}

KINDS: dict[str, Kind] = {
    "periventricular": Kind(
        site="periventricular", radius_mm=(3.9, 6.9), elongation=(1.4, 2.2), along="ventricle"
    ),
    "confluent-horn": Kind(
        places=((30, -48, 18), (20, 32, 8), (26, -30, 26)),
        radius_mm=(6.2, 9.0),
        elongation=(1.2, 2.0),
        along=(0.2, 1.0, 0.1),
        jitter_mm=3.0,
    ),
    "callosal-septal": Kind(
        site="callosal", radius_mm=(3.5, 5.5), elongation=(1.3, 2.0), along="ventricle"
    ),
    "juxtacortical": Kind(site="juxtacortical", radius_mm=(4.1, 7.0), confine="tissue"),
    "deep-white": Kind(site="deep", radius_mm=(3.5, 6.3)),
    "punctate": Kind(site="deep", radius_mm=(1.2, 1.9), elongation=(1.0, 1.2)),
    "infratentorial": Kind(
        places=((18, -46, -34), (24, -58, -38), (9, -22, -32), (20, -38, -34)),
        radius_mm=(4.2, 6.4),
        confine="tissue",
        jitter_mm=2.5,
    ),
    "third-ventricle": Kind(
        **HAZY,
        places=((6, -14, 6), (6, -20, 3), (6, -8, 6)),
        radius_mm=(6.0, 9.0),
        elongation=(1.2, 1.6),
        confine="tissue",
    ),
    "hypothalamus": Kind(
        **HAZY, places=((4, -3, -10),), radius_mm=(4.8, 7.2), confine="tissue", jitter_mm=1.0
    ),
    "aqueduct": Kind(
        **HAZY,
        places=((1, -31, -10),),
        radius_mm=(5.8, 8.4),
        elongation=(1.2, 1.6),
        along=(0.0, 0.35, 1.0),
        confine="tissue",
        jitter_mm=1.0,
    ),
    "fourth-ventricle": Kind(
        **HAZY,
        places=((2, -36, -32), (6, -38, -36)),
        radius_mm=(5.8, 8.6),
        elongation=(1.1, 1.6),
        along=(0.0, 0.35, 1.0),
        confine="tissue",
    ),
    "dorsal-medulla": Kind(
        **HAZY,
        places=((1, -43, -54),),
        radius_mm=(4.8, 6.5),
        elongation=(1.5, 2.3),
        along=(0.0, 0.4, 1.0),
        confine="tissue",
        jitter_mm=1.0,
    ),
    "corticospinal": Kind(
        **HAZY,
        places=((24, -18, 8), (17, -17, -6)),
        radius_mm=(5.5, 7.7),
        elongation=(2.2, 3.2),
        along=(0.42, -0.08, 0.9),
        confine="tissue",
    ),
    "large-hemispheric": Kind(
        **HAZY,
        places=((32, -36, 28), (30, -10, 32), (28, 22, 26), (36, -58, 18), (34, 38, 6)),
        radius_mm=(10.2, 16.8),
        elongation=(1.1, 1.7),
        jitter_mm=5.0,
    ),
    "long-callosal": Kind(
        **HAZY,
        places=((8, -36, 14), (7, -12, 26)),
        radius_mm=(7.2, 9.6),
        elongation=(1.6, 2.4),
        along=(1.0, 0.2, 0.0),
        jitter_mm=2.0,
    ),
}


@dataclass(frozen=True)
class Prior:
    """How often a kind occurs in a class: the chance of any, then their number (low to high)."""

    kind: str
    chance: float
    count: tuple[int, int]


PRIORS: dict[Diagnosis, tuple[Prior, ...]] = {
    "MS": (
        Prior("periventricular", 1.0, (5, 14)),
        Prior("confluent-horn", 0.7, (1, 4)),
        Prior("callosal-septal", 0.85, (1, 4)),
        Prior("juxtacortical", 0.95, (2, 7)),
        Prior("deep-white", 0.6, (1, 4)),
        Prior("punctate", 0.6, (1, 5)),
        Prior("infratentorial", 0.4, (1, 2)),
        Prior("large-hemispheric", 0.08, (1, 1)),
        Prior("fourth-ventricle", 0.05, (1, 1)),
        Prior("third-ventricle", 0.05, (1, 1)),
    ),
    "NMOSD": (
        Prior("third-ventricle", 0.75, (1, 2)),
        Prior("hypothalamus", 0.55, (1, 2)),
        Prior("aqueduct", 0.55, (1, 1)),
        Prior("fourth-ventricle", 0.6, (1, 2)),
        Prior("dorsal-medulla", 0.6, (1, 1)),
        Prior("corticospinal", 0.6, (1, 2)),
        Prior("large-hemispheric", 0.55, (1, 1)),
        Prior("long-callosal", 0.3, (1, 1)),
        Prior("deep-white", 0.4, (1, 3)),
        Prior("punctate", 0.6, (1, 4)),
        Prior("periventricular", 0.20, (1, 3)),
        Prior("juxtacortical", 0.15, (1, 2)),
    ),
}


@dataclass(frozen=True)
class Lesion:
    """One ellipsoidal lesion with an uneven edge.

    Parameters
    ----------
    kind : str
        Key of `KINDS`.
    centre_mm : (3,) tuple
        MNI place.
    radii_mm : (3,) tuple
        Half-axes; the first lies along `along`.
    along : (3,) tuple
        Unit vector.
    brightness : float
        FLAIR intensity relative to white matter.
    seed : int
        Seed of the edge.
    session : int
        First session that shows it (1 or 2).
    growth : float
        Factor of the radii in the second session.
    """

    kind: str
    centre_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    along: tuple[float, float, float]
    brightness: float
    seed: int
    session: int = 1
    growth: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Return the lesion as JSON types, places and radii rounded for reading."""
        content = asdict(self)
        for key in ("centre_mm", "radii_mm", "along"):
            content[key] = [round(float(value), 2) for value in content[key]]
        return content | {"brightness": round(self.brightness, 3), "growth": round(self.growth, 3)}


@lru_cache
def candidates(model: HeadModel, site: str) -> np.ndarray:
    """Return the (N, 3) voxel indices where lesions of a site may be centred."""
    lengths = zip(model.origin_mm, model.t1.shape, strict=True)
    x, y, z = np.ix_(*[low + np.arange(n) * model.spacing_mm for low, n in lengths])
    near, cortex, white = model.ventricle_mm, model.cortex_mm, model.white > 0.6
    cerebrum = (z > -18) & white
    maps = {
        "periventricular": lambda: cerebrum & (near > 1) & (near < 5) & (np.abs(x) > 9) & (z > -2),
        "callosal": lambda: white & (near < 7) & (np.abs(x) < 9) & (z > 4) & (y < 30) & (y > -42),
        "juxtacortical": lambda: cerebrum & (cortex <= 3) & (near > 10) & (np.abs(x) > 16),
        "deep": lambda: cerebrum & (cortex > 4) & (near > 7) & (z > 8) & (np.abs(x) > 16),
    }
    return np.argwhere(maps[site]())


def draw_lesions(model: HeadModel, diagnosis: Diagnosis, rng: np.random.Generator) -> list[Lesion]:
    """Draw one person's lesions at the first session from the priors of the diagnosis."""
    lesions = []
    for prior in PRIORS[diagnosis]:
        if rng.random() < prior.chance:
            count = int(rng.integers(prior.count[0], prior.count[1] + 1))
            lesions += [draw_lesion(model, prior.kind, rng) for _ in range(count)]
    return lesions


def draw_lesion(model: HeadModel, name: str, rng: np.random.Generator) -> Lesion:
    """Draw one lesion of a kind."""
    kind = KINDS[name]
    centre, side = _draw_centre(model, kind, rng)
    across = rng.uniform(*kind.radius_mm)
    long = across * rng.uniform(*kind.elongation)
    radii = (long, across, across * rng.uniform(0.8, 1.1))
    along = _direction(model, kind, centre, side) + rng.normal(0, 0.12, size=3)
    return Lesion(
        kind=name,
        centre_mm=_three(centre),
        radii_mm=_three(radii),
        along=_three(along / np.linalg.norm(along)),
        brightness=float(rng.uniform(*kind.brightness)),
        seed=int(rng.integers(2**32)),
    )


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def follow_up(
    model: HeadModel, diagnosis: Diagnosis, lesions: list[Lesion], rng: np.random.Generator
) -> list[Lesion]:
    """Return the second session's list: some lesions have grown, some are new."""
    grown = [
        replace(one, growth=float(rng.uniform(1.08, 1.25))) if rng.random() < 0.4 else one
        for one in lesions
    ]
    names = [prior.kind for prior in PRIORS[diagnosis] if prior.chance >= 0.5]
    fresh = [draw_lesion(model, str(rng.choice(names)), rng) for _ in range(rng.integers(1, 4))]
    return grown + [replace(one, session=2) for one in fresh]


def paint_lesions(
    image: np.ndarray,
    tissue: np.ndarray,
    model: HeadModel,
    lesions: list[Lesion],
    session: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the FLAIR head with lesions, and the lesion share of each voxel in [0, 1].

    Parameters
    ----------
    image, tissue : (X, Y, Z) ndarray of float32
        Healthy head and tissue share on the model's grid (`flair_head`).
    session : int
        1 or 2.
    """
    share = np.zeros_like(image)
    bright = np.zeros_like(image)
    white = np.clip((model.t1 - 0.70) / 0.10, 0, 1) * tissue
    for lesion in lesions:
        if lesion.session > session:
            continue
        box, inside = _shape(model, lesion, lesion.growth if session > 1 else 1.0)
        inside = inside * (white if KINDS[lesion.kind].confine == "white" else tissue)[box]
        bright[box] = np.where(inside > share[box], lesion.brightness, bright[box])
        share[box] = np.maximum(share[box], inside)
    return image * (1 - share) + bright * share, share


def _shape(model: HeadModel, lesion: Lesion, growth: float) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the box around a lesion and its share of the voxels there."""
    radii = np.array(lesion.radii_mm) * growth
    reach = radii.max() * 1.45 + 2
    centre = np.array(lesion.centre_mm)
    low = np.maximum(np.floor(model.to_index(centre - reach)).astype(int), 0)
    high = np.minimum(np.ceil(model.to_index(centre + reach)).astype(int) + 1, model.t1.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    index = np.meshgrid(*map(np.arange, low, high), indexing="ij")
    points = model.to_mm(np.stack(index, axis=-1))
    local = (points - centre) @ _frame(np.array(lesion.along)).T / radii
    distance = np.linalg.norm(local, axis=-1)
    edge = 1 + 0.16 * _edge_noise(lesion, points)
    depth = (edge - distance) * radii.min() / KINDS[lesion.kind].edge_mm
    return box, np.clip(depth + 0.5, 0, 1).astype(np.float32)


def _edge_noise(lesion: Lesion, points: np.ndarray) -> np.ndarray:
    """Return smooth unit noise that depends on place and lesion alone, not on the grid."""
    rng = np.random.default_rng(lesion.seed)
    scale = 2 * np.pi / (2.2 * min(lesion.radii_mm) + 1.5)
    waves = rng.normal(0, scale / 2, size=(8, 3))
    phases = rng.uniform(0, 2 * np.pi, size=8)
    return np.cos(points @ waves.T + phases).sum(axis=-1) / 2.0


def _draw_centre(model: HeadModel, kind: Kind, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    side = -1 if rng.random() < 0.5 else 1
    if kind.places:
        place = np.array(kind.places[rng.integers(len(kind.places))]) * (side, 1, 1)
        return place + rng.normal(0, kind.jitter_mm, size=3), side
    sites = candidates(model, kind.site)
    place = model.to_mm(sites[rng.integers(len(sites))].astype(float))
    return place, 1 if place[0] > 0 else -1


def _direction(model: HeadModel, kind: Kind, centre: np.ndarray, side: int) -> np.ndarray:
    if kind.along != "ventricle":
        along = np.array(kind.along) * (side, 1, 1)
        return along / np.linalg.norm(along)
    steps = np.eye(3) * 4.0
    index = model.to_index(np.concatenate([centre + steps, centre - steps])).T
    value = ndimage.map_coordinates(model.ventricle_mm, index, order=1, mode="nearest")
    slope = value[:3] - value[3:] + 1e-6
    return slope / np.linalg.norm(slope)


def _frame(along: np.ndarray) -> np.ndarray:
    """Return rows of an orthonormal frame, the first `along`."""
    helper = np.eye(3)[np.argmin(np.abs(along))]
    second = np.cross(along, helper)
    second /= np.linalg.norm(second)
    return np.stack([along, second, np.cross(along, second)])
