"""Figure 8 shows the right slice the right way round and boxes what is missed and invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from msnmo.core.errors import InputError
from msnmo.figures.overlays import INVENTED, MISSED, draw, largest_region
from msnmo.viewing.slices import PREDICTION, TRUTH


def panels(figure, columns):
    """Return the panels of each scan."""
    return [figure.axes[n : n + columns] for n in range(0, len(figure.axes), columns)]


def boxes(axes):
    """Return the boxes of a panel: colour, corner, width and height."""
    return [
        (to_hex(box.get_edgecolor()), box.get_xy(), box.get_width(), box.get_height())
        for box in axes.patches
        if isinstance(box, Rectangle)
    ]


def coloured(axes):
    """Return the pixels that a panel's last layer colours."""
    layer = axes.images[-1].get_array()
    return {tuple(pixel) for pixel in np.argwhere(layer[..., 3] > 0).tolist()}


def test_each_class_shows_its_scan_of_median_dsc_with_every_method(write_run):
    blocks = panels(draw(write_run(("unet", "only_seg", "joint"))), 5)
    titles = [[axes.get_title() for axes in block] for block in blocks]
    # of two scans the worse is the lower middle; the DSC falls from scan to scan
    assert [row[0] for row in titles] == ["sub-M2\nMS, T2-FLAIR", "sub-N2\nNMOSD, T2-FLAIR"]
    assert titles[0][2:] == [
        "3D UNet\nDSC 99.0 %",
        "Only Seg Model\nDSC −1.0 %",
        "Joint Model\nDSC 65.7 %",
    ]


def test_lesions_are_where_the_patient_has_them(write_run):
    figure = draw(write_run(("joint",)))
    annotated, predicted = figure.axes[1:3]
    # x 2 to 4 of 12 and y 10 to 12 of 16 in slice 6: at the right of the picture, above its middle
    columns = (11 - 4, 11 - 3, 11 - 2)
    assert coloured(annotated) == {(row, column) for row in (3, 4, 5) for column in columns}
    assert coloured(predicted) == {(row, column) for row in (2, 3, 4) for column in columns}
    assert to_hex(annotated.images[-1].get_array()[3, 8, :3]) == TRUTH.lower()
    assert to_hex(predicted.images[-1].get_array()[3, 8, :3]) == PREDICTION.lower()
    assert figure.axes[0].get_aspect() == pytest.approx(0.5)
    assert [text.get_text() for text in figure.axes[0].texts] == ["R", "L"]


def test_boxes_hold_the_largest_missed_and_invented_region(write_run):
    block = panels(draw(write_run(("unet", "only_seg", "joint"))), 5)[0]
    missed, invented = (style["edgecolor"].lower() for style in (MISSED, INVENTED))
    perfect, empty, shifted = block[2:]
    assert boxes(perfect) == []
    assert boxes(empty) == [(missed, (5.0, 1.0), 6.0, 6.0)]
    assert boxes(shifted) == [(missed, (5.0, 3.0), 6.0, 4.0), (invented, (5.0, 0.0), 6.0, 4.0)]


def test_the_largest_region_is_connected_by_corners_too():
    mask = np.zeros((6, 8), dtype=bool)
    mask[0, 0:2] = True
    mask[3, 4] = mask[4, 5] = mask[5, 6] = True
    assert largest_region(mask) == (slice(3, 6), slice(4, 7))
    assert largest_region(np.zeros((3, 3), dtype=bool)) is None


def test_many_methods_take_two_lines_and_the_legend_covers_nothing(write_run):
    inputs = write_run(("unet", "only_seg", "joint"))
    many = replace(inputs, methods=("unet", "only_seg", "joint", "unet", "joint"))
    for chosen, lines in ((inputs, 2), (many, 4)):
        figure = draw(chosen)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        tops = {round(axes.get_subplotspec().rowspan.start) for axes in figure.axes}
        assert len(tops) == lines
        below = min(axes.get_window_extent().y0 for axes in figure.axes)
        above = figure.bbox.y1
        assert figure.legends[0].get_window_extent().y1 <= below
        assert max(axes.title.get_window_extent().y1 for axes in figure.axes) <= above


def test_one_class_and_methods_without_the_joint_model_can_be_shown(write_run):
    figure = draw(write_run(("only_seg",), scans={"sub-M1": "MS", "sub-M2": "MS"}))
    assert len(figure.axes) == 3
    assert "The MS scan of median DSC of Only Seg Model" in figure.texts[-1].get_text()


def test_methods_that_do_not_segment_are_left_out(write_run):
    inputs = write_run(("joint",))
    assert len(draw(replace(inputs, methods=("senet50", "joint"))).axes) == 6
    with pytest.raises(InputError, match="segmentation"):
        draw(replace(inputs, methods=("senet50",)))


def test_a_missing_mask_is_named(write_run):
    inputs = write_run(("joint",))
    with pytest.raises(InputError, match="sub-M2_space-model_desc-lesion_mask"):
        draw(replace(inputs, predictions=inputs.predictions + "x"))


def test_a_scan_without_annotation_is_named(write_run):
    inputs = write_run(("joint",))
    manifest = inputs.manifest.assign(lesion=None)
    with pytest.raises(InputError, match="sub-M2"):
        draw(replace(inputs, manifest=manifest))
