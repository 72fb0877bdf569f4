"""Figure 10 colours each voxel by its outcome, and says so in a second way."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex

from msnmo.figures.outcomes import COLOURS, RIMS, draw, outcomes


def coloured(axes):
    """Return the colour of each pixel of the layers over a panel's scan."""
    found = {}
    for image in axes.images[1:]:
        layer = image.get_array()
        for row, column in np.argwhere(layer[..., 3] > 0).tolist():
            found[row, column] = to_hex(layer[row, column, :3])
    return found


def test_every_voxel_has_one_outcome():
    prediction = np.array([True, True, False, False])
    truth = np.array([True, False, True, False])
    found = {name: list(mask) for name, mask in outcomes(prediction, truth).items()}
    assert found == {
        "true positive": [True, False, False, False],
        "false positive": [False, True, False, False],
        "false negative": [False, False, True, False],
    }


def test_colours_are_the_papers_and_lie_on_the_right_voxels(write_run):
    figure = draw(write_run(("only_seg", "joint")))
    # four scans: quartiles at ranks 0.75, 1.5 and 2.25 of 0 to 3
    assert [axes.get_title().split("\n")[0] for axes in figure.axes[::4]] == [
        "sub-N2",
        "sub-N1",
        "sub-M2",
    ]
    missed, shifted = figure.axes[2:4]
    columns = (7, 8, 9)
    truth = [(row, column) for row in (3, 4, 5) for column in columns]
    assert coloured(missed) == dict.fromkeys(truth, COLOURS["false negative"].lower())
    rows = {2: "false positive", 3: "true positive", 4: "true positive", 5: "false negative"}
    assert coloured(shifted) == {
        (row, column): COLOURS[name].lower() for row, name in rows.items() for column in columns
    }


def test_false_voxels_have_rims_of_two_kinds(write_run):
    figure = draw(write_run(("joint",)))
    lines = figure.axes[2].collections
    assert {to_hex(line.get_edgecolor()) for line in lines} == {"#ffffff", "#000000"}
    assert len({str(line.get_linestyle()) for line in lines}) == 2
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[1:] == [
        "true positive",
        "false positive (white rim)",
        "false negative (dashes)",
    ]
    assert set(RIMS) == {"false positive", "false negative"}


def test_a_perfect_prediction_has_no_rims(write_run):
    assert not draw(write_run(("unet",))).axes[2].collections
