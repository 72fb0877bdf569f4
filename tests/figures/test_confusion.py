"""The matrices drawn hold the counts and percentages worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from msnmo.core.diagnoses import VARIABLE
from msnmo.core.errors import InputError
from msnmo.figures import confusion
from msnmo.figures.catalogue import DRAWN
from msnmo.figures.inputs import Inputs
from msnmo.settings.methods import METHODS

# fold, diagnosis, probability of NMOSD; a half is MS
SCANS = [
    (0, "MS", 0.5),
    (0, "MS", 0.1),
    (1, "MS", 0.2),
    (1, "MS", 0.51),
    (0, "NMOSD", 0.9),
    (1, "NMOSD", 0.4),
    (1, "NMOSD", 0.3),
]


def inputs(scans=SCANS, methods=("joint",)):
    rows = [
        (method, fold, 1, f"sub-{i}", "P_NMOSD", value, "n/a")
        for method in methods
        for i, (fold, _, value) in enumerate(scans)
    ]
    folds = pd.DataFrame(
        [(f"sub-{i}", f"{i}", diagnosis, fold) for i, (fold, diagnosis, _) in enumerate(scans)],
        columns=["scan", "subject", "diagnosis", "fold"],
    )
    columns = ["method", "fold", "seed", "scan", "metric", "value", "space"]
    none, metrics = pd.DataFrame(), pd.DataFrame(rows, columns=columns)
    return Inputs(methods, metrics, none, none, folds, "", "", "", {}, {}, 0)


def squares(axes):
    """Return the texts by (diagnosis, prediction), from their places on the named axes."""
    across = [label.get_text() for label in axes.get_xticklabels()]
    down = [label.get_text() for label in axes.get_yticklabels()]
    assert len(axes.texts) == 4
    found = {}
    for text in axes.texts:
        column, row = text.get_position()
        found[down[row], across[column]] = text.get_text()
    return found


def text_of(figure):
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def test_counts_are_summed_over_folds_with_percent_of_the_row():
    figure = confusion.draw(inputs())
    assert squares(figure.axes[0]) == {
        ("MS", "MS"): "3\n75.0 %",
        ("MS", "NMOSD"): "1\n25.0 %",
        ("NMOSD", "MS"): "2\n66.7 %",
        ("NMOSD", "NMOSD"): "1\n33.3 %",
    }
    assert figure.axes[0].get_title() == "Joint Model\nn = 7"
    assert "n = 7 scans (4 MS, 3 NMOSD) of 7 subjects. Counts over 2 folds" in text_of(figure)


def test_the_first_row_is_drawn_at_the_top():
    (axes,) = confusion.draw(inputs()).axes
    bottom, top = axes.get_ylim()
    assert bottom > top


def test_an_absent_diagnosis_has_no_percentages():
    figure = confusion.draw(inputs([(0, "MS", 0.1), (0, "MS", 0.2)]))
    assert squares(figure.axes[0]) == {
        ("MS", "MS"): "2\n100.0 %",
        ("MS", "NMOSD"): "0\n0.0 %",
        ("NMOSD", "MS"): "0\nn/a",
        ("NMOSD", "NMOSD"): "0\nn/a",
    }


def test_undefined_probabilities_are_left_out():
    figure = confusion.draw(inputs([*SCANS, (1, "MS", np.nan)]))
    assert figure.axes[0].get_title() == "Joint Model\nn = 7"
    alone = confusion.draw(inputs([(1, "MS", np.nan)]))
    assert set(squares(alone.axes[0]).values()) == {"0\nn/a"}


def test_every_number_stands_out_from_its_square():
    """The contrast is at least 4.5, what the web's guidelines ask of small text."""
    from matplotlib import colors

    def luminance(colour):
        parts = np.array(colors.to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    for wrong in range(0, 41):
        scans = [(0, "MS", 0.9 if i < wrong else 0.1) for i in range(40)]
        (axes,) = confusion.draw(inputs(scans)).axes
        (image,) = axes.images
        for text in axes.texts:
            column, row = text.get_position()
            ground = image.to_rgba(image.get_array())[row, column, :3]
            dark, light = sorted([luminance(ground), luminance(text.get_color())])
            assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_all_methods_that_classify_have_a_panel_and_none_overlap():
    figure = confusion.draw(inputs(methods=DRAWN))
    classifying = [name for name in DRAWN if "classification" in METHODS[name].tasks]
    assert len(figure.axes) == len(classifying)
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for i, box in enumerate(boxes):
        assert not any(box.padded(-2).overlaps(other.padded(-2)) for other in boxes[:i])
    (note,) = figure.texts
    assert note.get_window_extent().y1 <= min(box.y0 for box in boxes)


def test_methods_that_only_segment_are_refused():
    with pytest.raises(InputError, match="classification"):
        confusion.draw(inputs(methods=("unet", "only_seg")))


def test_other_labels_are_drawn_under_their_names(monkeypatch):
    before = squares(confusion.draw(inputs()).axes[0])
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    given = inputs([(fold, name.replace("NMOSD", "MOGAD"), p) for fold, name, p in SCANS])
    given.metrics["metric"] = "P_MOGAD"
    figure = confusion.draw(given)
    named = {tuple(name.replace("NMOSD", "MOGAD") for name in key): n for key, n in before.items()}
    assert squares(figure.axes[0]) == named
    assert "MOGAD is predicted where its probability exceeds 0.5" in text_of(figure)
    assert "NMOSD" not in text_of(figure)
