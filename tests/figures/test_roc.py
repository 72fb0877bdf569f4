"""The ROC curves drawn are those of the probabilities, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.figures import roc
from msnmo.figures.catalogue import DRAWN
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import method_style
from msnmo.settings.methods import METHODS
from msnmo.tables.layout import methods_of

# fold, diagnosis, probability of NMOSD. Fold 0: one of four pairs is the wrong way round (AUC
# 0.75); fold 1: all are right (1.0). Pooled: of 4 x 4 pairs 1 is wrong and none is tied (0.9375)
SCANS = [
    (0, "MS", 0.1),
    (0, "NMOSD", 0.3),
    (0, "MS", 0.35),
    (0, "NMOSD", 0.8),
    (1, "MS", 0.05),
    (1, "MS", 0.2),
    (1, "NMOSD", 0.6),
    (1, "NMOSD", 0.9),
]

LINES = 6
"""Solid, and five kinds of dashes."""


def inputs(scans=SCANS, methods=("joint",), missing=()):
    folds = pd.DataFrame(
        [(f"sub-{i}", f"{i}", diagnosis, fold) for i, (fold, diagnosis, _) in enumerate(scans)],
        columns=["scan", "subject", "diagnosis", "fold"],
    )
    rows = [
        (method, fold, 1, f"sub-{i}", "P_NMOSD", np.nan if i in missing else value, "n/a")
        for method in methods
        for i, (fold, _, value) in enumerate(scans)
    ]
    metrics = pd.DataFrame(
        rows, columns=["method", "fold", "seed", "scan", "metric", "value", "space"]
    )
    none = pd.DataFrame()
    return Inputs(methods, metrics, none, none, folds, "", "", "", {}, {}, 0)


def lines(axes, label):
    return [line for line in axes.lines if line.get_label() == label]


def text_of(figure):
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_pooled_curve_is_that_of_all_scans():
    left, _ = roc.draw(inputs()).axes
    (line,) = lines(left, "joint")
    fpr, tpr = line.get_data()
    # from the highest probability down: three NMOSD, then one MS, then the last NMOSD
    assert np.interp(0.1, fpr, tpr) == pytest.approx(0.75)
    assert set(zip(fpr, tpr, strict=True)) >= {(0, 0), (0, 0.75), (0.25, 0.75), (0.25, 1), (1, 1)}


def test_the_right_curve_is_the_mean_of_the_folds():
    _, right = roc.draw(inputs()).axes
    (line,) = lines(right, "joint")
    fpr, tpr = line.get_data()
    assert (fpr[0], tpr[0]) == (0, 0)
    # fold 0 has 0.5 below a rate of 0.5 and 1 above; fold 1 has 1 throughout
    assert np.interp([0.2, 0.4, 0.6, 1], fpr, tpr) == pytest.approx([0.75, 0.75, 1, 1])


def test_the_band_is_one_sample_standard_deviation_and_stays_in_the_square():
    _, right = roc.draw(inputs()).axes
    (band,) = right.collections
    corners = band.get_paths()[0].vertices
    at = corners[np.isclose(corners[:, 0], 0.2)][:, 1]
    # of 0.5 and 1: 0.3536; the upper edge is cut at 1
    assert (at.min(), at.max()) == pytest.approx((0.75 - 0.35355, 1), abs=1e-4)


def test_the_legend_gives_pooled_area_and_mean_and_sd_of_folds():
    (entry,) = legend_of(roc.draw(inputs()))
    # 75 and 100 %: mean 87.5, sample standard deviation 17.7
    assert entry == "Joint Model: AUC pooled 93.8 %, folds 87.5 ± 17.7 %"


def test_tied_probabilities_count_one_half():
    tied = [(0, "MS", 0.5), (0, "NMOSD", 0.5)]
    assert "pooled 50.0 %" in legend_of(roc.draw(inputs(tied)))[0]


def test_a_fold_of_one_class_is_left_out_of_the_mean_and_named():
    scans = [*SCANS, (2, "MS", 0.95), (2, "MS", 0.02)]
    figure = roc.draw(inputs(scans))
    assert "folds 87.5 ± 17.7 %" in legend_of(figure)[0]
    # pooled, the new 0.95 beats all four NMOSD: 4 x 6 pairs, 1 + 4 wrong
    assert "pooled 79.2 %" in legend_of(figure)[0]
    assert "Fold 2 has scans of only one diagnosis" in text_of(figure)
    assert "10 scans (6 MS, 4 NMOSD) of 10 subjects, 3 folds" in text_of(figure)


def test_one_fold_has_no_band():
    figure = roc.draw(inputs(SCANS[:4]))
    assert legend_of(figure) == ["Joint Model: AUC pooled 75.0 %, folds 75.0 %"]
    assert not figure.axes[1].collections
    assert "no standard deviation" in text_of(figure)


def test_one_class_has_no_curve_at_all():
    figure = roc.draw(inputs([(0, "MS", 0.1), (0, "MS", 0.9)]))
    assert legend_of(figure) == ["Joint Model: AUC pooled n/a, folds n/a"]
    assert not lines(figure.axes[0], "joint")
    assert "No curve at all, as one diagnosis is missing: Joint Model." in text_of(figure)


def test_undefined_probabilities_are_left_out_and_the_count_says_so():
    # without the swapped pair's MS scan every pair is right
    figure = roc.draw(inputs(missing=[2]))
    assert legend_of(figure) == ["Joint Model: AUC pooled 100.0 %, folds 100.0 ± 0.0 %"]
    assert "n = 7 scans (3 MS, 4 NMOSD)" in text_of(figure)


def test_methods_that_only_segment_have_no_curve():
    figure = roc.draw(inputs(methods=("unet", "only_cls", "joint")))
    assert [entry.split(":")[0] for entry in legend_of(figure)] == ["Only Cls Model", "Joint Model"]
    with pytest.raises(InputError, match="classification"):
        roc.draw(inputs(methods=("unet",)))


def test_all_methods_are_drawn_without_bands():
    figure = roc.draw(inputs(methods=DRAWN))
    classifying = [name for name in DRAWN if "classification" in METHODS[name].tasks]
    assert len(legend_of(figure)) == len(classifying)
    assert not figure.axes[1].collections
    assert "bands of the standard deviation are left out" in text_of(figure)


@pytest.mark.parametrize(
    "table", sorted({str(table) for name in DRAWN for table in METHODS[name].tables})
)
def test_methods_of_one_table_differ_in_colour_and_in_line(table):
    styles = [method_style(name) for name in methods_of(table, list(METHODS))]
    assert len({str(style["color"]) for style in styles}) == len(styles)
    # grey needs lines: all are used before one is used twice
    assert len({str(style["linestyle"]) for style in styles}) == min(len(styles), LINES)


def test_the_look_is_not_the_users():
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 3, "axes.facecolor": "red", "xtick.labelsize": 2}):
        figure = roc.draw(inputs())
        figure.draw_without_rendering()
    left = figure.axes[0]
    assert left.get_facecolor() == (1, 1, 1, 1)
    assert all(label.get_size() >= 7 for label in left.get_xticklabels())


def test_nothing_overlaps_and_nothing_is_cut():
    figure = roc.draw(inputs(methods=DRAWN))
    figure.draw_without_rendering()
    note = figure.texts[0].get_window_extent()
    legend = figure.legends[0].get_window_extent()
    panels = min(axes.get_tightbbox().y0 for axes in figure.axes)
    assert 0 <= note.y0 < note.y1 <= legend.y0 < legend.y1 <= panels
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.width
    assert max(axes.get_tightbbox().y1 for axes in figure.axes) <= figure.bbox.height
    assert note.x1 <= figure.bbox.width


def test_metrics_are_needed():
    from dataclasses import replace

    with pytest.raises(InputError, match="table of metrics"):
        roc.draw(replace(inputs(), metrics=None))


def test_a_scan_of_no_fold_is_refused():
    from dataclasses import replace

    whole = inputs()
    with pytest.raises(InputError, match="sub-7"):
        roc.draw(replace(whole, folds=whole.folds[:-1]))


@pytest.mark.parametrize("dpi", [60, 300])
def test_long_labels_and_other_resolutions_do_not_overlap(monkeypatch, dpi):
    from dataclasses import replace

    from msnmo.settings import methods

    long = {
        name: replace(method, label=f"{method.label} with a name too long for half a page")
        for name, method in METHODS.items()
    }
    monkeypatch.setattr(methods, "METHODS", long)
    figure = roc.draw(inputs(methods=DRAWN))
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    note, legend = figure.texts[0].get_window_extent(), figure.legends[0].get_window_extent()
    panels = min(axes.get_tightbbox().y0 for axes in figure.axes)
    assert 0 <= note.y0 < note.y1 <= legend.y0 < legend.y1 <= panels
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.width
    assert "with a name too long" in legend_of(figure)[0]
