"""The methods text of new scans says what their run.json says."""

import pytest

from msnmo.apply.methods_of_scans import methods_of_scans

VERSIONS = {
    **{"python": "3.11", "msnmo": "0.1.0", "torch": "2.13"},
    **{"monai": "1.6.1", "numpy": "2.3.5"},
}


@pytest.fixture
def run():
    """run.json of a scan, as far as the text reads it."""
    space = {"geometry": {"resize": {"target": [160, 160, 160]}}, "resize": {"mode": "stretch"}}
    n4 = {"method": "N4, antspyx 0.6.3", "shrink": 4, "iterations": [50, 50], "tolerance": 1e-7}
    return {
        "bundle": {"id": "b1", "method": "joint", "simulated": "", "threshold": 0.5},
        "class": {"folds": 3, "rule": "uncertain where folds differ", "temperature": 1.0},
        "lesions": {"load_ml_of_folds_in_model_space": [1.0, 2.0, 3.0]},
        "skullstrip": {"engine": "fsl", "version": "6.0.7", "settings": {"frac": 0.4}},
        "preprocessing": {"bias_correction": n4, **space, "zscore": {"over": "brain"}},
        "device_name": "a processor",
        "versions": VERSIONS,
        "git": {"commit": "n/a", "dirty": "n/a"},
    }


def test_what_was_done_to_scans_is_told(run):
    text = methods_of_scans([run, run])
    for said in (
        "2 T2-FLAIR scans were processed with msnmo 0.1.0, an implementation of the method of",
        "Python 3.11, PyTorch 2.13, MONAI 1.6.1 and NumPy 2.3.5",
        "from all scans with FSL's BET (version 6.0.7; Smith 2002), run through nipype",
        "antspyx 0.6.3; shrink factor 4, at most 50 x 50 iterations",
        "resized to 160 x 160 x 160 voxels",
        "## Lesions and class\n",
        "the 3 networks of the bundle b1 (Joint Model; Huang L. et al. 2024)",
        "voxels above 0.5 were called lesion.",
        "A class is uncertain where folds differ.",
        "CC0",
        "## References",
    ):
        assert said in text, said
    for other in ("commit", "temperature", "MNI", "arrived bias", "simulated", "HD-BET", "Guo"):
        assert other not in text, other


def test_a_mirrored_answer_is_told(run):
    said = "(Joint Model; Huang L. et al. 2024), as it is and with left and right exchanged"
    assert said not in methods_of_scans([run])
    run["bundle"]["mirrored"] = True
    assert said in methods_of_scans([run])


def test_one_network_has_no_others_to_average_with(run):
    run["lesions"] = {"load_ml_of_folds_in_model_space": [1.0]}
    run["class"] = None
    text = methods_of_scans([run])
    assert "Each scan was shown to the network of the bundle b1" in text
    assert "Its lesion probabilities were taken back to the grid" in text


def test_what_differs_between_scans_is_counted(run):
    other = run | {
        "bundle": run["bundle"] | {"id": "b2", "method": "only_seg", "simulated": "Simulated."},
        "class": None,
        "lesions": {"load_ml_of_folds_in_model_space": [1.0], "location_rule": "A lesion is here."},
        "preprocessing": run["preprocessing"]
        | {"bias_correction": {"method": "none (corrected on arrival)"}},
    }
    text = methods_of_scans([run, run, other])
    assert "**Simulated.**" in text
    assert "## Lesions and class (bundle b1)\n\nThis was done with 2 scans." in text
    assert "## Lesions (bundle b2)\n\nThis was done with 1 scan." in text
    assert "shown to the network of the bundle b2 (Only Seg Model;" in text
    assert "1 scan arrived bias corrected and was not corrected again." in text
    assert "Intensity inhomogeneity of 2 scans was corrected" in text
    assert "Places of the lesions of 1 scan follow from a registration to the MNI" in text


def test_a_temperature_is_told_where_there_is_one(run):
    scaled = run | {"class": run["class"] | {"temperature": 1.25}, "lesions": None}
    text = methods_of_scans([scaled])
    assert "by the temperature 1.250 (Guo et al. 2017)" in text
    assert "## Class\n" in text
    assert "called lesion" not in text


def test_of_no_scan_nothing_is_claimed(run):
    text = methods_of_scans([])
    assert "No scan was processed." in text
    assert "BET" not in text


def test_what_a_run_of_before_does_not_tell_is_left_out(run):
    old = {name: value for name, value in run.items() if name != "preprocessing"}
    text = methods_of_scans([old | {"bundle": {"id": "b1", "method": "joint"}}])
    assert "called lesion" not in text
    assert "N4" not in text
    assert "resized" not in text
    assert "FSL's BET" in text
