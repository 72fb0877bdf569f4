"""Bias and limits of agreement are those worked out by hand; the points are where they belong."""

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.figures import bland_altman
from msnmo.figures.catalogue import DRAWN
from msnmo.figures.inputs import Inputs
from msnmo.settings.methods import METHODS

# diagnosis, annotated ml, predicted ml: differences 1, -1, 3; mean 1, sample sd 2
SCANS = [("MS", 4.0, 5.0), ("NMOSD", 7.0, 6.0), ("MS", 9.0, 12.0)]


def inputs(scans=SCANS, methods=("joint",), subjects=None):
    rows = []
    for method in methods:
        for i, (_, truth, prediction) in enumerate(scans):
            rows.append((method, 0, 1, f"sub-{i}", "V_TRUE", truth, "native"))
            rows.append((method, 0, 1, f"sub-{i}", "V_PRED", prediction, "native"))
            rows.append((method, 0, 1, f"sub-{i}", "DSC", 0.5, "native"))
    columns = ["method", "fold", "seed", "scan", "metric", "value", "space"]
    folds = pd.DataFrame(
        {
            "scan": [f"sub-{i}" for i in range(len(scans))],
            "subject": subjects or [str(i) for i in range(len(scans))],
            "diagnosis": [diagnosis for diagnosis, _, _ in scans],
            "fold": 0,
        }
    )
    none, metrics = pd.DataFrame(), pd.DataFrame(rows, columns=columns)
    return Inputs(methods, metrics, none, none, folds, "", "", "", {}, {}, 0)


def lines(axes, label):
    return [line for line in axes.lines if line.get_label() == label]


def text_of(figure):
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def test_bias_and_limits_of_three_differences():
    found = bland_altman.agreement(np.array([1.0, -1.0, 3.0]))
    assert (found.bias, found.low, found.high) == pytest.approx((1, 1 - 3.92, 1 + 3.92))


def test_the_lines_stand_at_bias_and_limits():
    (axes,) = bland_altman.draw(inputs()).axes
    (bias,) = lines(axes, "bias")
    assert bias.get_ydata()[0] == pytest.approx(1)
    limits = sorted(line.get_ydata()[0] for line in lines(axes, "limit"))
    assert limits == pytest.approx([-2.92, 4.92])
    assert axes.get_title() == "Joint Model, n = 3\nbias 1.00, limits −2.92 to 4.92 ml"


def test_each_diagnosis_has_its_points_and_its_marker():
    (axes,) = bland_altman.draw(inputs()).axes
    (ms,), (nmosd,) = lines(axes, "MS"), lines(axes, "NMOSD")
    np.testing.assert_allclose(ms.get_xydata(), [[4.5, 1], [10.5, 3]])
    np.testing.assert_allclose(nmosd.get_xydata(), [[6.5, -1]])
    assert ms.get_marker() != nmosd.get_marker()
    assert ms.get_color() != nmosd.get_color()


def test_a_scan_without_a_volume_is_left_out():
    figure = bland_altman.draw(inputs([*SCANS, ("NMOSD", np.nan, 50.0)]))
    assert figure.axes[0].get_title().startswith("Joint Model, n = 3\nbias 1.00")
    assert "n = 3 scans (2 MS, 1 NMOSD) of 3 subjects" in text_of(figure)


def test_one_scan_has_a_bias_but_no_limits():
    (axes,) = bland_altman.draw(inputs(SCANS[:1])).axes
    assert axes.get_title() == "Joint Model, n = 1\nbias 1.00 ml; no limits"
    assert not lines(axes, "limit")


def test_no_scan_is_said():
    (axes,) = bland_altman.draw(inputs([("MS", np.nan, 1.0)])).axes
    assert axes.get_title() == "Joint Model, n = 0\nno scans"
    assert not lines(axes, "bias")


def test_a_bias_that_rounds_to_nothing_has_no_sign():
    (axes,) = bland_altman.draw(inputs([("MS", 1.0, 0.999)])).axes
    assert "bias 0.00 ml" in axes.get_title()


def test_repeated_scans_of_a_subject_are_mentioned():
    assert "independent" not in text_of(bland_altman.draw(inputs()))
    twice = bland_altman.draw(inputs(subjects=["a", "b", "a"]))
    assert "of 2 subjects" in text_of(twice)
    assert "treated as independent" in text_of(twice)


def test_panels_of_all_methods_share_axes_and_do_not_overlap():
    figure = bland_altman.draw(inputs(methods=DRAWN))
    segmenting = [name for name in DRAWN if "segmentation" in METHODS[name].tasks]
    assert len(figure.axes) == len(segmenting)
    assert len({(*axes.get_xlim(), *axes.get_ylim()) for axes in figure.axes}) == 1
    assert figure.get_size_inches()[1] <= 10.7
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for i, box in enumerate(boxes):
        assert not any(box.padded(-2).overlaps(other.padded(-2)) for other in boxes[:i])
    assert figure.legends[0].get_window_extent().y1 <= min(box.y0 for box in boxes)


def test_methods_that_only_classify_have_no_panel():
    figure = bland_altman.draw(inputs(methods=("resnet50", "unet")))
    assert [axes.get_title().split(",")[0] for axes in figure.axes] == ["3D UNet"]
    with pytest.raises(InputError, match="segmentation"):
        bland_altman.draw(inputs(methods=("resnet50",)))


@pytest.mark.parametrize(
    ("labels", "shown", "counted"),
    [
        (("MS", "MS"), ["MS"], "3 scans (3 MS) of"),
        (("no diagnosis",) * 2, ["no diagnosis"], "3 scans (3 no diagnosis) of"),
        (("MS", "NMOSD"), ["MS", "NMOSD"], "3 scans (2 MS, 1 NMOSD) of"),
    ],
)
def test_the_legend_names_the_classes_that_are_there(labels, shown, counted):
    first, second = labels
    scans = [(first if name == "MS" else second, *rest) for name, *rest in SCANS]
    figure = bland_altman.draw(inputs(scans, methods=("only_seg",)))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][: len(shown)] == shown
    assert len(legend.get_texts()) == len(shown) + 2
    assert counted in " ".join(figure.texts[0].get_text().split())
