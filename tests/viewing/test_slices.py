"""Slices are seen as radiologists see them, with true proportions, in equal bytes."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import nibabel as nib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from msnmo.viewing.slices import (
    AXIAL,
    CORONAL,
    PLANES,
    SAGITTAL,
    cut,
    mark_sides,
    outline,
    overlay,
    pixel_aspect,
    save,
    show,
    show_zscore,
    square_pixels,
    upright,
)

# a voxel at the patient's right, front and top, of a volume with three different sides
RAS = np.zeros((4, 5, 6))
RAS[3, 4, 5] = 1


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "ILA", "SAL"])
def test_right_is_left_and_front_and_top_are_up(codes):
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(codes))
    )
    stored = nib.Nifti1Image(RAS, np.diag([1.0, 2.0, 3.0, 1.0])).as_reoriented(turn)
    data = upright(np.asarray(stored.dataobj), stored.affine)
    np.testing.assert_array_equal(data, RAS)
    axial, coronal, sagittal = cut(data, AXIAL, 5), cut(data, CORONAL, 4), cut(data, SAGITTAL, 3)
    assert (axial.shape, coronal.shape, sagittal.shape) == ((5, 4), (6, 4), (6, 5))
    for image in (axial, coronal, sagittal):
        # the upper left pixel: right or front, and front or top
        assert list(map(tuple, np.argwhere(image))) == [(0, 0)]
    assert [(plane.left, plane.right) for plane in PLANES] == [("R", "L"), ("R", "L"), ("A", "P")]


def test_what_is_shown_first_is_drawn_at_the_upper_left():
    figure = Figure((1, 1), dpi=8)
    axes = figure.add_axes((0, 0, 1, 1))
    show(axes, np.array([[1.0, 0.0], [0.0, 0.0]]))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., 0]
    assert pixels[:4, :4].min() == 255
    assert pixels[4:].max() == pixels[:, 4:].max() == 0


def test_the_sides_are_written_at_the_sides():
    axes = Figure().add_subplot()
    mark_sides(axes, SAGITTAL)
    assert [(text.get_text(), text.get_position()[0] < 0.5) for text in axes.texts] == [
        ("A", True),
        ("P", False),
    ]


def test_pixels_have_the_proportions_of_voxels():
    voxel_mm = np.array([1.0, 2.0, 5.0])
    assert pixel_aspect(voxel_mm, AXIAL) == 2.0
    assert pixel_aspect(voxel_mm, SAGITTAL) == 2.5
    assert square_pixels(np.zeros((6, 4)), voxel_mm, CORONAL).shape == (30, 4)


def test_the_outline_runs_along_the_pixels_edges():
    axes = Figure().add_subplot()
    show(axes, np.zeros((5, 7)))
    limits = axes.get_xlim(), axes.get_ylim()
    mask = np.zeros((5, 7), dtype=bool)
    mask[1:3, 4:7] = True  # touches the right edge
    outline(axes, mask, "red")
    (path,) = axes.collections[0].get_paths()
    assert path.vertices.min(axis=0) == pytest.approx([3.5, 0.5], abs=0.13)
    assert path.vertices.max(axis=0) == pytest.approx([6.5, 2.5], abs=0.13)
    assert (axes.get_xlim(), axes.get_ylim()) == limits


def test_an_empty_mask_has_no_outline_and_a_full_one_has():
    axes = Figure().add_subplot()
    show(axes, np.zeros((3, 3)))
    outline(axes, np.zeros((3, 3), dtype=bool), "red")
    assert not axes.collections
    outline(axes, np.ones((3, 3), dtype=bool), "red")
    assert len(axes.collections) == 1


def test_background_is_black_and_low_values_of_a_map_are_clear():
    axes = Figure().add_subplot()
    show_zscore(axes, np.array([[0.0, -1.0]]), aspect=1.0)
    grey = axes.images[0]
    assert list(grey.norm(grey.get_array()[0])) == pytest.approx([0.0, 0.25])
    laid = overlay(axes, np.array([[0.4, 0.6, 2.0]]), "viridis", 2.0)
    assert list(np.ma.getmaskarray(laid.get_array())[0]) == [True, False, False]


def test_a_stamp_stands_below_the_picture(tmp_path: Path):
    figure = Figure((4, 2), dpi=50)
    show(figure.add_subplot(), np.eye(3))
    save(figure, tmp_path / "plain.png")
    save(figure, tmp_path / "stamped.png", "All scans are simulated.")
    plain, stamped = (imread(tmp_path / f"{name}.png") for name in ("plain", "stamped"))
    assert plain.shape[:2] == (100, 200)
    assert stamped.shape[:2] == (110, 200)
    assert np.array_equal(stamped[:100], plain)
    assert (stamped[100:, :, :3] < 0.9).any(), "the sentence"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_equal_pictures_are_equal_bytes(tmp_path: Path, ending):
    def write(name: str) -> bytes:
        figure = Figure((2, 2), dpi=50)
        axes = figure.add_subplot()
        show(axes, np.eye(3), "title")
        outline(axes, np.eye(3) > 0, "red")
        save(figure, tmp_path / f"{name}.{ending}")
        return (tmp_path / f"{name}.{ending}").read_bytes()

    once = write("one")
    with mpl.rc_context({"savefig.dpi": 300, "savefig.facecolor": "red"}):
        assert write("two") == once
    for trace in (b"Matplotlib", b"matplotlib v", b"<dc:date>"):
        assert trace not in once
    if ending == "svg":
        assert b"<image" in once
