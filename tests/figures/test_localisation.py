"""Figure 12 shows four scans, their maps scaled by their own maximum, and the annotation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from msnmo.core.diagnoses import VARIABLE
from msnmo.core.errors import InputError
from msnmo.figures.localisation import SUM, draw


def test_each_class_shows_its_quartiles_with_five_maps(write_run):
    figure = draw(write_run(("joint",)))
    *panels, bar = figure.axes
    # of two scans both quartiles are the worse one
    assert [axes.get_title() for axes in panels[::6]] == [
        "sub-M2\nMS\nP(NMOSD) 0.25",
        "sub-N2\nNMOSD\nP(NMOSD) 0.25",
    ]
    assert [axes.get_title() for axes in panels[1:6]] == [
        *("$V_1$", "$V_2$", "$V_3$"),
        *(f"{SUM}\nAUROC 0.87", "Grad-CAM\nnot better than\nchance"),
    ]
    for axes in panels[1:5]:
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
    extents = [axes.get_window_extent() for axes in figure.axes[:6]]
    assert np.ptp([extent.y1 for extent in extents]) < 1
    lowest = min(axes.get_window_extent().y0 for axes in figure.axes)
    assert figure.legends[0].get_window_extent().y1 <= lowest


def test_missing_maps_are_named(write_run):
    inputs = write_run(("joint",))
    with pytest.raises(InputError, match="gradcam"):
        draw(replace(inputs, gradcam=""))
    with pytest.raises(InputError, match="sub-M2_space-model_desc-gradcam_map"):
        draw(replace(inputs, gradcam=inputs.gradcam + "/x"))


def words_of(figure):
    return " ".join(" ".join(each.get_text() for each in figure.texts).split())


def test_what_does_not_beat_chance_says_so_below_the_panels(write_run):
    words = words_of(draw(write_run(("joint",))))
    assert f"{SUM}: AUROC against lesions 0.87 (95 % interval 0.83 to 0.91) in held-out" in words
    assert "Grad-CAM: This map does not find lesions better than chance (AUROC 0.51," in words


def test_what_was_not_measured_says_so(write_run):
    figure = draw(replace(write_run(("joint",)), verdicts={}))
    assert figure.axes[4].get_title() == f"{SUM}\nnot measured"
    assert "Whether this map finds lesions was not measured." in words_of(figure)


def test_the_class_is_named_by_the_labels_of_the_config(write_run, monkeypatch):
    assert "P(NMOSD) is the predicted probability" in words_of(draw(write_run(("joint",))))
    inputs = write_run(("joint",))
    for path in Path(inputs.predictions.format(method="joint", fold=0)).parent.rglob("*.tsv"):
        path.write_text(path.read_text().replace("p_nmosd", "p_mogad"))
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    figure = draw(inputs)
    assert "P(MOGAD) is the predicted probability" in words_of(figure)
    assert figure.axes[0].get_title() == "sub-M2\nMS\nP(MOGAD) 0.25"
