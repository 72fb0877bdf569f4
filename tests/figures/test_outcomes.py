"""Figure 10 colours each voxel by its outcome, and says so in a second way."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from msnmo.figures.outcomes import PATTERNS, draw, outcomes
from msnmo.viewing.slices import OUTCOMES, save


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


def test_colours_lie_on_the_right_voxels(write_run):
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
    assert coloured(missed) == dict.fromkeys(truth, OUTCOMES["false negative"].lower())
    rows = {2: "false positive", 3: "true positive", 4: "true positive", 5: "false negative"}
    assert coloured(shifted) == {
        (row, column): OUTCOMES[name].lower() for row, name in rows.items() for column in columns
    }


def test_false_voxels_have_patterns_of_two_kinds_which_the_legend_has(write_run):
    figure = draw(write_run(("joint",)))
    hatches = {each.get_hatch() for each in figure.axes[2].collections} - {None}
    hatched = {pattern for each in figure.axes[2].collections for pattern in _hatches(each)}
    assert hatches | hatched == {PATTERNS["false positive"], PATTERNS["false negative"]}
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()][1:] == [
        "true positive (plain)",
        "false positive (hatched)",
        "false negative (dotted)",
    ]
    patterns = [patch.get_hatch() or "" for patch in legend.get_patches()]
    assert patterns[1:] == list(PATTERNS.values())


def _hatches(contours):
    return [pattern for pattern in getattr(contours, "hatches", []) if pattern]


def test_a_stamp_moves_nothing_and_the_note_is_kept_in_the_file(write_run, tmp_path):
    for name, stamp in (("plain.png", ""), ("stamped.png", "All scans are simulated.")):
        save(draw(write_run(("joint",))), tmp_path / name, stamp)
    plain, stamped = (Image.open(tmp_path / name) for name in ("plain.png", "stamped.png"))
    assert stamped.height > plain.height
    upper = stamped.crop((0, 0, *plain.size))
    assert np.abs(np.asarray(upper).astype(int) - np.asarray(plain)).mean() < 0.05
    assert plain.text["Description"] == stamped.text["Description"]
    assert plain.text["Description"].startswith("The scans at the quartiles of the DSC of Joint")


def test_a_perfect_prediction_has_no_pattern(write_run):
    assert not draw(write_run(("unet",))).axes[2].collections


def test_a_panel_without_a_prediction_says_so(write_run):
    figure = draw(write_run(("only_seg", "joint")))
    empty, shifted = figure.axes[2:4]
    assert [text.get_text() for text in empty.texts] == ["no lesion predicted here"]
    assert not shifted.texts
