"""The training curves drawn are the losses of the tables, averaged by hand."""

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.figures import training_curves
from msnmo.figures.catalogue import DRAWN
from msnmo.figures.inputs import Inputs
from msnmo.settings.methods import METHODS


def history(total, lr=None, **parts):
    table = {"epoch": range(1, len(total) + 1), "total": total}
    table |= {loss: parts.get(loss) for loss in training_curves.LOSSES}
    table |= {"lr": lr or [0.001] * len(total), "seconds": 1.0}
    return pd.DataFrame(table)


def inputs(folder, tables):
    """Write the tables of losses of {method: [of fold 0, of fold 1, ...]}."""
    count = max(len(folds) for folds in tables.values())
    for method, folds in tables.items():
        for fold, table in enumerate(folds):
            write_tsv(folder / method / f"{fold}.tsv", table)
    scans = pd.DataFrame({"scan": [f"sub-{fold}" for fold in range(count)], "fold": range(count)})
    none = pd.DataFrame()
    pattern = str(folder / "{method}" / "{fold}.tsv")
    return Inputs(tuple(tables), None, none, none, scans, "", pattern, "", {}, {}, 0)


def line(axes, label):
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found


def labels(axes):
    return [each.get_label() for each in axes.lines]


def text_of(figure):
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_folds_and_their_mean_are_drawn(tmp_path):
    tables = [history([4, 2, 1.0]), history([2, 1, 0.5])]
    (axes,) = training_curves.draw(inputs(tmp_path, {"unet": tables})).axes
    np.testing.assert_allclose(line(axes, "total, fold 1").get_ydata(), [2, 1, 0.5])
    np.testing.assert_allclose(line(axes, "total").get_ydata(), [3, 1.5, 0.75])
    np.testing.assert_array_equal(line(axes, "total").get_xdata(), [1, 2, 3])
    thick, thin = (line(axes, each).get_linewidth() for each in ("total", "total, fold 0"))
    assert thick > 2 * thin
    assert axes.get_title() == "3D UNet"


def test_parts_are_drawn_where_a_method_has_them(tmp_path):
    joint = [
        history([3, 2.0], segmentation=[1, 0.8], classification=[0.5, 0.3], cross=[0.1, 0.2]),
        history([3, 2.0], segmentation=[2, 0.6], classification=[0.7, 0.1], cross=[0.3, 0.2]),
    ]
    plain = [history([1, 0.5], segmentation=[1, 0.5])] * 2
    figure = training_curves.draw(inputs(tmp_path, {"joint": joint, "unet": plain}))
    first, second = figure.axes
    np.testing.assert_allclose(line(first, "segmentation").get_ydata(), [1.5, 0.7])
    np.testing.assert_allclose(line(first, "classification").get_ydata(), [0.6, 0.2])
    np.testing.assert_allclose(line(first, "cross").get_ydata(), [0.2, 0.2])
    assert "segmentation" in labels(second)
    assert not {"classification", "cross"} & set(labels(second))
    assert first.get_ylim() == second.get_ylim()


def test_the_first_epoch_of_a_lower_rate_is_marked(tmp_path):
    loss = [5, 4, 3, 2, 1.0]
    tables = [history(loss, [8, 8, 4, 4, 2]), history(loss, [8, 8, 8, 4, 4])]
    figure = training_curves.draw(inputs(tmp_path, {"joint": tables}))
    np.testing.assert_array_equal(line(figure.axes[0], "rate cut").get_xdata(), [3, 4, 5])
    assert "learning rate cut in a fold" in legend_of(figure)


def test_without_a_cut_none_is_marked_and_the_panel_keeps_its_size(tmp_path):
    """An empty line once pressed the panel flat."""
    figure = training_curves.draw(inputs(tmp_path, {"joint": [history([2, 1.0])]}))
    assert "rate cut" not in labels(figure.axes[0])
    assert not any("rate" in entry for entry in legend_of(figure))
    figure.draw_without_rendering()
    assert figure.axes[0].bbox.height > 0.4 * figure.bbox.height


def test_folds_of_different_length_are_averaged_where_they_are(tmp_path):
    tables = [history([4, 2, 1.0]), history([2.0])]
    figure = training_curves.draw(inputs(tmp_path, {"joint": tables}))
    np.testing.assert_allclose(line(figure.axes[0], "total").get_ydata(), [3, 2, 1])
    assert "n = 2 folds each, 1 to 3 epochs" in text_of(figure)
    assert "folds that reached the epoch" in text_of(figure)


def test_one_epoch_is_seen_as_a_dot(tmp_path):
    figure = training_curves.draw(inputs(tmp_path, {"joint": [history([2.0])]}))
    assert line(figure.axes[0], "total").get_marker() == "."
    assert "1 method, n = 1 fold each, 1 epoch." in text_of(figure)


def test_a_vanished_loss_does_not_press_the_others(tmp_path):
    tables = [history([2, 1.0], cross=[1e-9, 0])]
    figure = training_curves.draw(inputs(tmp_path, {"joint": tables}))
    assert figure.axes[0].get_ylim()[0] == training_curves.LOWEST
    assert "under 0.0001 are below the axis" in text_of(figure)


@pytest.mark.parametrize("losses", [[2, 0.001], [0.9, 0.3]])
def test_the_axis_has_numbers_to_read(tmp_path, losses):
    figure = training_curves.draw(inputs(tmp_path, {"joint": [history(losses)]}))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    seen = [tick.label1 for tick in axes.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert len([label for label in seen if label.get_text()]) >= 2
    assert not any("$" in label.get_text() for label in seen)


def test_all_methods_fit_a_page_and_nothing_overlaps(tmp_path):
    joint = [history([3, 2.0], [2, 1], segmentation=[1, 0.8], cross=[0.1, 0.2])]
    figure = training_curves.draw(inputs(tmp_path, dict.fromkeys(DRAWN, joint)))
    assert len(figure.axes) == len(DRAWN)
    width, height = figure.get_size_inches()
    assert width <= 7.3
    assert height <= 10.7
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for i, box in enumerate(boxes):
        # panels of one column may touch, as ticks and titles do
        assert not any(box.padded(-2).overlaps(other.padded(-2)) for other in boxes[:i])
    legend = figure.legends[0].get_window_extent()
    assert legend.y1 <= min(box.y0 for box in boxes)
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.width


def test_every_table_that_is_missing_is_named(tmp_path):
    whole = inputs(tmp_path, {"joint": [history([1.0])] * 2, "unet": [history([1.0])] * 2})
    (tmp_path / "joint" / "1.tsv").unlink()
    (tmp_path / "unet" / "0.tsv").unlink()
    with pytest.raises(InputError) as error:
        training_curves.draw(whole)
    named = " ".join(finding.file for finding in error.value.findings)
    assert "joint/1.tsv" in named
    assert "unet/0.tsv" in named


def test_equal_losses_give_equal_pictures(tmp_path):
    """The layout's solver is not exact: its last digits would show in an SVG's names."""
    from msnmo.viewing.slices import save

    joint = [history([3, 2.0], [2, 1], segmentation=[1, 0.8], cross=[0.1, 0.2])]
    whole = inputs(tmp_path, dict.fromkeys(list(METHODS)[:6], joint))
    for name in ("a.svg", "b.svg"):
        save(training_curves.draw(whole), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    for axes in training_curves.draw(whole).axes:
        for side in axes.get_position(original=True).bounds:
            assert side == pytest.approx(round(side, 5), abs=1e-12)
