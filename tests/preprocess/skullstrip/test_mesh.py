"""The sphere, its filling and its self-intersection, against plain geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msnmo.preprocess.skullstrip.mesh import fill, icosphere, mean_edge, normals, self_intersects


def test_icosphere_has_the_number_of_vertices_of_the_paper() -> None:
    vertices, topology = icosphere(4)
    assert vertices.shape == (2562, 3)
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1.0)
    # Euler's formula for a closed surface without handles
    assert len(vertices) - len(topology.edges) + len(topology.faces) == 2
    neighbours = np.bincount(topology.edges.ravel())
    assert sorted(set(neighbours)) == [5, 6]
    assert (neighbours == 5).sum() == 12


def test_normals_point_outwards() -> None:
    vertices, topology = icosphere(3)
    cosine = (normals(vertices * [3.0, 3.0, 3.0] + 5.0, topology) * vertices).sum(axis=1)
    assert cosine.min() > 0.999


def test_neighbour_mean_and_edge_length_equal_a_plain_loop() -> None:
    vertices, topology = icosphere(1)
    moved = vertices + np.random.default_rng(1).normal(0, 0.1, vertices.shape)
    for vertex in range(len(vertices)):
        edges = topology.edges[(topology.edges == vertex).any(axis=1)]
        others = [int(e) for e in edges.ravel() if e != vertex]
        np.testing.assert_allclose(
            (topology.neighbour_mean @ moved)[vertex], moved[others].mean(axis=0)
        )
    lengths = [np.linalg.norm(moved[a] - moved[b]) for a, b in topology.edges]
    assert mean_edge(moved, topology) == pytest.approx(np.mean(lengths))


@settings(max_examples=40, deadline=None)
@given(
    centre=st.tuples(*[st.floats(4.0, 14.0)] * 3),
    radii=st.tuples(*[st.floats(0.4, 12.0)] * 3),
    mirrored=st.booleans(),
)
def test_fill_takes_the_voxels_whose_centre_is_inside(
    centre: tuple[float, ...], radii: tuple[float, ...], mirrored: bool
) -> None:
    vertices, topology = icosphere(4)
    shape = (18, 17, 19)
    scale = np.array(radii) * ([-1, 1, 1] if mirrored else [1, 1, 1])
    filled = fill(vertices * scale + centre, topology, shape)
    index = np.moveaxis(np.indices(shape), 0, -1)
    distance = np.linalg.norm((index - centre) / np.array(radii), axis=-1)
    # The mesh is a polyhedron: its faces' middles lie up to 0.3 % nearer than the sphere
    sure = np.abs(distance - 1.0) > 0.004
    np.testing.assert_array_equal(filled[sure], (distance <= 1.0)[sure])


def test_fill_of_a_surface_outside_the_volume_is_empty() -> None:
    vertices, topology = icosphere(2)
    assert not fill(vertices + np.array([50.0, 5.0, 5.0]), topology, (10, 10, 10)).any()
    assert not fill(vertices + np.array([5.0, 5.0, -50.0]), topology, (10, 10, 10)).any()
    assert fill(vertices * 100.0, topology, (10, 10, 10)).all()


def test_self_intersection_is_seen() -> None:
    vertices, topology = icosphere(3)
    assert not self_intersects(vertices, topology)
    assert not self_intersects(vertices * [5.0, 1.0, 0.2], topology)
    # A spike from the north pole through the south pole
    pierced = vertices.copy()
    pierced[np.argmax(vertices[:, 2])] = [0.013, 0.017, -1.5]
    assert self_intersects(pierced, topology)
    # A dent that stays inside does not cross anything
    dented = vertices.copy()
    dented[np.argmax(vertices[:, 2])] = [0.0, 0.0, 0.0]
    assert not self_intersects(dented, topology)
