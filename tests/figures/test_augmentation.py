"""Figure 2 shows what training's own augmentation makes of the scan of median lesion volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from msnmo.core.errors import InputError
from msnmo.figures.augmentation import augmentations, augmented, draw, median_scan


def test_the_scan_of_median_lesion_volume_is_shown(write_run):
    inputs = write_run(())
    # the larger of four lesions belong to the later scans
    assert median_scan(inputs.manifest) == "sub-M2"
    first = inputs.manifest.assign(lesion=[*inputs.manifest["lesion"][:1], None, None, None])
    assert median_scan(first) == "sub-M1"
    with pytest.raises(InputError, match="lesion mask"):
        median_scan(inputs.manifest.assign(lesion=None))


def test_flips_and_rotations_about_every_axis_are_drawn():
    generator = np.random.default_rng(1)
    image = generator.normal(size=(6, 8, 4)).astype(np.float32)
    lesion = image > 1
    examples = list(augmentations(90).values())
    results = [augmented(image, lesion, example) for example in examples]
    np.testing.assert_array_equal(results[0][0], image)
    for axis in range(3):
        np.testing.assert_array_equal(results[1 + axis][0], np.flip(image, axis))
        np.testing.assert_array_equal(results[1 + axis][1], np.flip(lesion, axis))
    # the planes across the axis stay themselves, turned
    turned = results[4 + 2][0]
    square = slice(1, 7)
    np.testing.assert_allclose(turned[:, square, 2], np.rot90(image[:, square, 2]), atol=1e-4)


def test_every_panel_has_the_lesion_and_only_the_original_has_sides(write_run):
    figure = draw(write_run(()))
    assert len(figure.axes) == 21
    assert all(axes.collections for axes in figure.axes)
    assert [len(axes.texts) for axes in figure.axes] == ([2] + [0] * 6) * 3
    titles = [axes.get_title().replace("\n", " ").strip() for axes in figure.axes[:7]]
    assert titles[:4] == ["original", "flip left-right", "flip front-back", "flip top-bottom"]
    assert titles[6] == "10° about top-bottom"
    note = " ".join(figure.texts[-1].get_text().split())
    assert "sub-M2" in note
    assert "±10°" in note
    FigureCanvasAgg(figure).draw()
    assert max(axes.title.get_window_extent().y1 for axes in figure.axes) <= figure.bbox.y1


def test_the_flip_mirrors_the_picture(write_run):
    original, mirrored = draw(write_run(())).axes[:2]
    np.testing.assert_array_equal(
        original.images[0].get_array(), mirrored.images[0].get_array()[:, ::-1]
    )


def test_a_wrong_setting_is_refused(write_run):
    with pytest.raises(InputError, match="rotation_degrees"):
        draw(replace(write_run(()), augment={"rotation_degrees": -1}))
