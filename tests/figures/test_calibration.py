"""The reliability curves drawn are those of the probabilities, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.figures import calibration
from msnmo.figures.catalogue import methods_of
from msnmo.figures.inputs import Inputs
from msnmo.settings.methods import METHODS

# fold, diagnosis, probability of NMOSD. Of two scans with 55 % one is right, of three with 85 %
# two, and the one with 95 % is. ECE |1 - 1.1| + |2 - 2.55| + |1 - 0.95| of 6 scans: 11.7 %
SCANS = [
    (0, "NMOSD", 0.55),
    (1, "NMOSD", 0.45),
    (0, "MS", 0.15),
    (1, "NMOSD", 0.85),
    (0, "MS", 0.85),
    (1, "MS", 0.05),
]


def inputs(scans=SCANS, methods=("joint",), missing=(), subjects=None):
    subjects = subjects or [f"{i}" for i in range(len(scans))]
    folds = pd.DataFrame(
        [
            (f"sub-{i}", subjects[i], diagnosis, fold)
            for i, (fold, diagnosis, _) in enumerate(scans)
        ],
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


def text_of(figure):
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def curve_of(axes, label):
    (bars,) = [each for each in axes.containers if each.get_label() == label]
    line, _, (lines,) = bars
    return line.get_data(), [sorted(segment[:, 1]) for segment in lines.get_segments()]


def test_a_point_is_the_share_named_right_at_the_mean_confidence():
    curve, _ = calibration.draw(inputs()).axes
    (confidence, share), _ = curve_of(curve, "as given")
    assert confidence == pytest.approx([0.55, 0.85, 0.95])
    assert share == pytest.approx([0.5, 2 / 3, 1])


def test_bars_are_wilsons_intervals():
    curve, _ = calibration.draw(inputs()).axes
    _, bars = curve_of(curve, "as given")
    # Wilson 1927 with z = 1.96: 1 of 2, 2 of 3, 1 of 1
    assert np.ravel(bars) == pytest.approx([0.0945, 0.9055, 0.2077, 0.9385, 0.2065, 1], abs=5e-5)


def test_the_counts_of_each_bin_stand_over_it():
    _, counts = calibration.draw(inputs()).axes
    shown = {round(text.get_position()[0], 2): text.get_text() for text in counts.texts}
    assert shown == {0.55: "2", 0.85: "3", 0.95: "1"}


def test_the_title_gives_the_error_before_and_after():
    curve, _ = calibration.draw(inputs()).axes
    method, errors = curve.get_title().split("\n")
    assert method == "Joint Model"
    assert errors.replace("\u00a0", " ").startswith("ECE 11.7 %, scaled ")


def test_the_scaled_curve_is_that_of_the_other_folds_temperature():
    p_nmosd = [0.9, 0.9, 0.1, 0.1] * 3
    # fold 0 is right in all but one of 12, fold 1 in eight of 12: the one needs the other's doubt
    right = np.array([[True] * 11 + [False], [True] * 8 + [False] * 4])
    scans = [
        (fold, "NMOSD" if (p > 0.5) == right[fold, i] else "MS", p)
        for fold in (0, 1)
        for i, p in enumerate(p_nmosd)
    ]
    curve, _ = calibration.draw(inputs(scans)).axes
    (confidence, share), _ = curve_of(curve, "temperature scaled")
    # the best temperature makes 0.9 the share that is right in the other fold
    assert confidence == pytest.approx([8 / 12, 11 / 12], abs=1e-4)
    assert share == pytest.approx([11 / 12, 8 / 12])


def test_one_fold_is_not_scaled_and_the_note_says_so():
    figure = calibration.draw(inputs([(0, diagnosis, p) for _, diagnosis, p in SCANS]))
    assert figure.axes[0].get_title().endswith("scaled n/a")
    assert legend_of(figure) == ["as given", "calibrated"]
    assert "Not scaled: no other fold to fit on." in text_of(figure)
    assert "1 fold." in text_of(figure)


def test_a_temperature_that_could_not_be_fitted_is_named():
    scans = [(0, "MS", 0.1), (0, "MS", 0.6), (1, "NMOSD", 0.9), (1, "MS", 0.2)]
    figure = calibration.draw(inputs(scans))
    assert "diagnosis (Joint Model fold 1)" in text_of(figure)
    assert "is classified right (Joint Model fold 0)" in text_of(figure)


def test_undefined_probabilities_are_left_out_and_the_count_says_so():
    figure = calibration.draw(inputs(missing=[0, 1]))
    assert "n = 4 scans (3 MS, 1 NMOSD) of 4 subjects" in text_of(figure)
    (confidence, _), _ = curve_of(figure.axes[0], "as given")
    assert confidence == pytest.approx([0.85, 0.95])


def test_a_method_without_any_probability_has_an_empty_panel():
    figure = calibration.draw(inputs(missing=range(6)))
    curve, counts = figure.axes
    assert curve.get_title() == "Joint Model\nECE n/a, scaled n/a"
    assert not curve.containers
    assert not counts.texts


def test_scans_of_one_subject_are_said_to_be_taken_as_independent():
    assert "independent" not in text_of(calibration.draw(inputs()))
    assert "independent" in text_of(calibration.draw(inputs(subjects=[*"aabbcd"])))


def test_methods_that_only_segment_are_left_out_or_refused():
    figure = calibration.draw(inputs(methods=("unet", "only_cls", "joint")))
    titles = [axes.get_title().split("\n")[0] for axes in figure.axes if axes.get_title()]
    assert titles == ["Only Cls Model", "Joint Model"]
    with pytest.raises(InputError, match="classification"):
        calibration.draw(inputs(methods=("unet",)))


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
def test_counts_lie_under_their_curve_and_nothing_overlaps_or_is_cut(count):
    names = tuple(methods_of("calibration", METHODS)[-count:])
    figure = calibration.draw(inputs(methods=names))
    figure.draw_without_rendering()
    assert len(figure.axes) == 2 * count
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for i, box in enumerate(boxes):
        assert not any(box.padded(-2).overlaps(other.padded(-2)) for other in boxes[:i])
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
    columns = min(count, 4)
    for place, axes in enumerate(figure.axes):
        if not axes.get_title():
            continue
        below = figure.axes[place + min(columns, count - place // (2 * columns) * columns)]
        upper, lower = axes.get_window_extent(), below.get_window_extent()
        assert (lower.x0, lower.x1) == pytest.approx((upper.x0, upper.x1), abs=1)
        assert lower.y1 < upper.y0
    (note,) = figure.texts
    legend = figure.legends[0].get_window_extent()
    assert 0 <= note.get_window_extent().y0 < note.get_window_extent().y1 <= legend.y0
    assert legend.y1 <= min(box.y0 for box in boxes)


def test_without_temperatures_to_fit_nothing_is_warned_of():
    with np.errstate(all="raise"):
        calibration.draw(inputs([(0, "MS", 0.0), (1, "NMOSD", 1.0)]))
