"""Masks with labels: which values are lesion, and what cannot be one."""

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.errors import InputError
from msnmo.core.lesion_labels import ANY, in_words, labels_given
from msnmo.core.lesions import load_lesions

SHAPE = (4, 5, 6)


def save(path, *values, dtype=np.uint8):
    data = np.resize(np.array(values, dtype), SHAPE)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return data


@pytest.mark.parametrize(
    ("values", "labels", "lesion", "found"),
    [
        # LST-AI's annotated map: all four regions, two of them, or one that this scan lacks
        ((0, 1, 2, 3, 4), ANY, (1, 2, 3, 4), (1, 2, 3, 4)),
        ((0, 1, 2, 3, 4), (4, 2), (2, 4), (1, 2, 3, 4)),
        ((0, 1, 2), (4,), (), (1, 2)),
        # the WMH challenge: vascular lesions, without other pathology
        ((0, 1, 2), (1,), (1,), (1, 2)),
        # a binary mask is one of these too, but 255 is not 1
        ((0, 255), ANY, (255,), (255,)),
        ((0, 255), (1,), (), (255,)),
        ((0, 0), ANY, (), ()),
        # without labels, as ever: whatever the one value is
        ((0, 255), (), (255,), ()),
        ((0, 1), (), (1,), ()),
    ],
)
def test_the_values_that_are_named_are_lesion(tmp_path, values, labels, lesion, found):
    data = save(tmp_path / "m.nii.gz", *values)
    read = load_lesions(tmp_path / "m.nii.gz", labels)
    assert read.volume.data.dtype == bool
    np.testing.assert_array_equal(read.volume.data, np.isin(data, lesion))
    assert read.values == found


def test_rounding_of_a_label_is_tolerated(tmp_path):
    save(tmp_path / "m.nii", 0.0, 1.0004, 1.9996, dtype=np.float32)
    read = load_lesions(tmp_path / "m.nii", (2,))
    assert read.values == (1, 2)
    assert read.volume.data.sum() == np.prod(SHAPE) / 3


def test_several_values_are_refused_with_the_key_that_names_them(tmp_path):
    save(tmp_path / "m.nii", 0, 1, 2)
    with pytest.raises(InputError) as raised:
        load_lesions(tmp_path / "m.nii")
    (finding,) = raised.value.findings
    assert finding.found == "values 0, 1, 2, ..."
    assert "lesion_masks.labels" in finding.remedy
    assert "--lesion-labels" in finding.remedy


@pytest.mark.parametrize("values", [(0, 0.3, 1), (-1, 0, 1)])
def test_what_is_no_label_map_is_told_to_be_thresholded(tmp_path, values):
    save(tmp_path / "m.nii", *values, dtype=np.float32)
    for labels in ((), ANY, (1,)):
        with pytest.raises(InputError) as raised:
            load_lesions(tmp_path / "m.nii", labels)
        (finding,) = raised.value.findings
        assert "threshold" in finding.remedy
        assert "lesion_masks.labels" not in finding.remedy


def test_many_values_take_one_line():
    assert in_words(range(1, 4)) == "1, 2, 3"
    assert in_words(range(1, 11)) == "1, 2, 3, 4, 5, 6 and 4 more"


def test_the_option_takes_what_the_config_takes():
    assert labels_given([]) == ()
    assert labels_given(["any"]) == ANY
    assert labels_given(["1", "255"]) == (1, 255)


@pytest.mark.parametrize("words", [["0"], ["1", "any"], ["-1"], ["1.5"], ["²"], ["lesion"]])
def test_the_option_refuses_what_is_no_label(words):
    with pytest.raises(InputError, match="--lesion-labels"):
        labels_given(words)
