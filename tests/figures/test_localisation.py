"""Figure 12 shows four scans, their maps scaled by their own maximum, and the annotation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from msnmo.core.errors import InputError
from msnmo.core.volumes import Grid, save_volume
from msnmo.figures.localisation import draw, evidence

GRID = Grid.from_affine((2, 2, 2), np.eye(4))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([-4.0, 1.0, 2.0], [0.0, 0.5, 1.0]), ([-4.0, -1.0, 0.0], [0.0, 0.0, 0.0])],
)
def test_a_map_is_cut_at_0_and_divided_by_its_maximum(tmp_path, values, expected):
    data = np.zeros((2, 2, 2))
    data.flat[:3] = values
    save_volume(tmp_path / "map.nii.gz", data, GRID)
    assert list(evidence(tmp_path / "map.nii.gz").flat[:3]) == expected


def test_each_class_shows_its_quartiles_with_four_maps(write_run):
    figure = draw(write_run(("joint",)))
    *panels, bar = figure.axes
    # of two scans both quartiles are the worse one
    assert [axes.get_title() for axes in panels[::5]] == [
        "sub-M2\nMS, P(NMOSD) 0.25",
        "sub-N2\nNMOSD, P(NMOSD) 0.25",
    ]
    assert [axes.get_title() for axes in panels[1:5]] == ["$V_1$", "$V_2$", "$V_3$", "Grad-CAM"]
    for axes in panels[1:4]:
        layer = axes.images[1].get_array()
        # whatever its height, a map is shown from 0 to 1; joint's mask lies in these pixels
        assert sorted(map(tuple, np.argwhere(~np.ma.getmaskarray(layer)).tolist())) == [
            (row, column) for row in (2, 3, 4) for column in (7, 8, 9)
        ]
        assert layer.max() == 1.0
    assert all(axes.collections for axes in panels), "the annotation is outlined everywhere"
    assert bar.get_ylim() == (0.0, 1.0)


def test_panels_of_a_scan_stand_in_line_above_the_legend(write_run):
    figure = draw(write_run(("joint",)))
    FigureCanvasAgg(figure).draw()
    extents = [axes.get_window_extent() for axes in figure.axes[:5]]
    assert np.ptp([extent.y1 for extent in extents]) < 1
    lowest = min(axes.get_window_extent().y0 for axes in figure.axes)
    assert figure.legends[0].get_window_extent().y1 <= lowest


def test_missing_maps_are_named(write_run):
    inputs = write_run(("joint",))
    with pytest.raises(InputError, match="gradcam"):
        draw(replace(inputs, gradcam=None))
    with pytest.raises(InputError, match="sub-M2_space-model_desc-gradcam_map"):
        draw(replace(inputs, gradcam=inputs.gradcam / "x"))
