"""Which lesions a simulated person has, and how much of each place is lesion.

Half of the lesions of multiple sclerosis are shapes of real ones (`library`), moved, mirrored,
turned and sized anew; the others, and those of NMOSD, are the ellipsoids of the demo's priors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from msnmo.demo.lesions import KINDS, Diagnosis, Lesion, draw_lesion, draw_lesions
from msnmo.starter.library import Shape, shapes
from msnmo.starter.template import Template

LOAD_ML = (0.15, 60.0)
"""Of lesion a brain; drawn evenly on a logarithmic scale."""
MOST = 160
"""Lesions in a brain; more are not drawn, whatever the load."""


@dataclass(frozen=True, eq=False)
class Look:
    """How a lesion looks, whatever its shape.

    Parameters
    ----------
    contrast : float
        FLAIR intensity over white matter's, which is 1.
    edge_mm : float
        From full lesion to none.
    """

    contrast: float
    edge_mm: float


@dataclass(frozen=True, eq=False)
class Placed:
    """A real shape at a place of its own.

    Parameters
    ----------
    shape : Shape
    centre_mm : (3,) ndarray
        MNI place that the middle of the shape's box comes to.
    turn : (3, 3) ndarray
        From places around `centre_mm` to places of the shape, sizes included.
    size : float
        Of the shape, relative to the patient's.
    """

    shape: Shape
    centre_mm: np.ndarray
    turn: np.ndarray
    size: float


@dataclass(frozen=True, eq=False)
class Drawn:
    """A lesion and its look."""

    form: Lesion | Placed
    look: Look


def draw(template: Template, diagnosis: Diagnosis, rng: np.random.Generator) -> list[Drawn]:
    """Draw a person's lesions up to a load that is drawn first."""
    target_mm3 = 1500 * float(np.exp(rng.uniform(*np.log(LOAD_ML))))
    # one person's lesions resemble each other
    base, spread = rng.uniform(0.12, 0.75), rng.uniform(0.02, 0.15)
    edge = rng.uniform(0.8, 2.8)
    drawn: list[Drawn] = []
    volume = 0.0
    for form, mm3 in _forms(template, diagnosis, target_mm3, rng):
        if volume > 0 and volume + mm3 > 1.3 * target_mm3:
            continue
        contrast = max(0.08, base + spread * rng.standard_normal())
        drawn.append(Drawn(form, Look(contrast, edge * rng.uniform(0.7, 1.5))))
        volume += mm3
        if volume >= target_mm3:
            break
    return drawn


def _forms(
    template: Template, diagnosis: Diagnosis, target_mm3: float, rng: np.random.Generator
) -> Iterator[tuple[Lesion | Placed, float]]:
    """Yield lesions and their volumes in mm3, `MOST` at the most."""
    real_share = rng.choice([0.0, 0.5, 1.0], p=[0.2, 0.3, 0.5]) if diagnosis == "MS" else 0.0
    # a light load is made of small lesions, and of few of them
    size = float(np.exp(rng.uniform(np.log(0.45), np.log(1.25)))) if target_mm3 < 8000 else 1.0
    patients = np.array([shape.patient for shape in shapes()])
    own = np.flatnonzero(np.isin(patients, rng.permutation(patients.max() + 1)[:4]))
    waiting: list[Lesion] = []
    for _ in range(MOST):
        if rng.random() < real_share:
            placed = _place(shapes()[int(rng.choice(own))], rng)
            yield placed, placed.shape.volume_mm3 * placed.size**3
            continue
        if not waiting:
            waiting = draw_lesions(template.model, diagnosis, rng)
            rng.shuffle(waiting)
        if not waiting:
            waiting = [draw_lesion(template.model, "deep-white", rng)]
        one = waiting.pop()
        radii = np.array(one.radii_mm) * size * rng.uniform(0.8, 1.2)
        yield replace(one, radii_mm=tuple(radii)), float(4 / 3 * np.pi * radii.prod())


def _place(shape: Shape, rng: np.random.Generator) -> Placed:
    """Return a real shape near its patient's place or mirrored, turned by some degrees."""
    size = float(np.exp(rng.normal(0, 0.2)))
    mirror = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0, 1.0])
    centre = mirror @ shape.centre_mm + rng.normal(0, 3.0, size=3)
    turn = turned(rng.normal(0, np.deg2rad(12), size=3))
    return Placed(shape, centre, mirror @ turn / size, size)


def turned(angles: np.ndarray) -> np.ndarray:
    """Return the rotation by angles in radians about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (other for other in range(3) if other != axis)
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def reach_mm(form: Lesion | Placed) -> float:
    """Return how far from its centre a lesion reaches at most."""
    if isinstance(form, Placed):
        return float(np.linalg.norm(np.array(form.shape.depth_mm.shape) / 2)) * form.size + 1
    return max(form.radii_mm) * 1.45 + 2


def centre_mm(form: Lesion | Placed) -> np.ndarray:
    """Return the (3,) MNI place of a lesion's middle."""
    return form.centre_mm if isinstance(form, Placed) else np.array(form.centre_mm)


def depth_mm(form: Lesion | Placed, places_mm: torch.Tensor) -> torch.Tensor:
    """Return how deep places lie within a lesion, negative outside.

    Parameters
    ----------
    places_mm : (X, Y, Z, 3) tensor of float32
        MNI mm.

    Returns
    -------
    (X, Y, Z) tensor of float32
        In mm.
    """
    return _depth_real(form, places_mm) if isinstance(form, Placed) else _depth(form, places_mm)


def _depth_real(placed: Placed, places_mm: torch.Tensor) -> torch.Tensor:
    centre = torch.tensor(placed.centre_mm, dtype=torch.float32)
    local = (places_mm - centre) @ torch.tensor(placed.turn.T, dtype=torch.float32)
    half = (torch.tensor(placed.shape.depth_mm.shape, dtype=torch.float32) - 1) / 2
    stored = torch.from_numpy(placed.shape.depth_mm)[None, None]
    inside = F.grid_sample(
        stored, (local / half).flip(-1)[None], padding_mode="border", align_corners=True
    )[0, 0]
    beyond = (local.abs() - half).clamp(min=0).norm(dim=-1)
    return (inside - beyond) * placed.size


def _depth(lesion: Lesion, places_mm: torch.Tensor) -> torch.Tensor:
    radii = torch.tensor(lesion.radii_mm, dtype=torch.float32)
    centre = torch.tensor(lesion.centre_mm, dtype=torch.float32)
    around = places_mm - centre
    local = around @ torch.tensor(_frame(lesion.along).T, dtype=torch.float32) / radii
    return (1 + 0.16 * _uneven(lesion, places_mm) - local.norm(dim=-1)) * radii.min()


def _uneven(lesion: Lesion, places_mm: torch.Tensor) -> torch.Tensor:
    """Return smooth unit noise that depends on place and lesion alone."""
    rng = np.random.default_rng(lesion.seed)
    scale = 2 * np.pi / (2.2 * min(lesion.radii_mm) + 1.5)
    waves = torch.tensor(rng.normal(0, scale / 2, size=(8, 3)), dtype=torch.float32)
    phases = torch.tensor(rng.uniform(0, 2 * np.pi, size=8), dtype=torch.float32)
    return torch.cos(places_mm @ waves.T + phases).sum(dim=-1) / 2


def _frame(along: Sequence[float]) -> np.ndarray:
    """Return rows of an orthonormal frame, the first `along`."""
    first = np.array(along)
    second = np.cross(first, np.eye(3)[np.argmin(np.abs(first))])
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


def confined(form: Lesion | Placed) -> bool:
    """Return whether a lesion keeps to white matter; else it keeps to tissue."""
    return isinstance(form, Lesion) and KINDS[form.kind].confine == "white"
