"""What a user may write into the config's model section."""

import pytest
from pydantic import ValidationError

from msnmo.core.errors import InputError
from msnmo.settings.model import ModelSettings, check_size


def test_sections_keys_are_taken_and_the_rest_kept():
    settings = ModelSettings.from_mapping({"base_channels": 16})
    assert settings == ModelSettings(base_channels=16)


def test_unknown_keys_are_named_beside_the_allowed_ones():
    with pytest.raises(InputError) as caught:
        ModelSettings.from_mapping({"base_channel": 16, "depth": 3})
    near, far = caught.value.findings
    assert near.file == "config: model.base_channel"
    assert 'did you mean "base_channels"?' in near.found
    assert far.found == 'unknown key "depth"'
    assert "base_channels, heads" in far.expected


def test_python_refuses_what_yaml_refuses():
    wrong = {"base_channels": 2, "window": 1, "crossover_start": 7.0}
    with pytest.raises(InputError) as from_yaml:
        ModelSettings.from_mapping(wrong)
    with pytest.raises(InputError) as from_python:
        ModelSettings(**wrong)
    files = [finding.file for finding in from_python.value.findings]
    assert files == [f"config: model.{name}" for name in wrong]
    assert from_python.value.findings == from_yaml.value.findings


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        ModelSettings().heads = 2


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"base_channels": 0}, "model.base_channels"),
        ({"base_channels": True}, "model.base_channels"),
        ({"window": 2.5}, "model.window"),
        ({"crossover_start": "1e-1"}, "model.crossover_start"),
        ({"lesion_prior_logit": float("nan")}, "model.lesion_prior_logit"),
        ({"guidance_activation": "softmax"}, "one of sigmoid, softmax_spatial"),
        ({"guidance_activation": ["sigmoid"]}, "one of sigmoid, softmax_spatial"),
        ({"guidance_start": None}, "one of lesion_map, random"),
        ({"guidance_gradient": "none"}, "one of through, detached"),
        ({"image_skip": 1}, "true or false"),
        ({"base_channels": 9, "heads": 3}, "an even number"),
        ({"heads": 5}, r"a divisor of base_channels \(32\)"),
    ],
)
def test_values_that_cannot_be_are_refused(section, message):
    with pytest.raises(InputError, match=message):
        ModelSettings.from_mapping(section)


def test_all_wrong_values_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        ModelSettings.from_mapping({"heads": 0, "window": -1, "guidance_start": "max"})
    assert len(caught.value.findings) == 3


@pytest.mark.parametrize("size", [(150, 160, 160), (-16, 16, 16), (16,)])
def test_wrong_sizes_are_refused(size):
    with pytest.raises(InputError, match="divisible by 16"):
        check_size(size)
