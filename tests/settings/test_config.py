"""The config: every wrong key is named at once, with what was expected there."""

import copy
from pathlib import Path

import pytest
import yaml

from msnmo.core.errors import InputError
from msnmo.settings.config import check_config, method_settings
from msnmo.settings.methods import METHODS
from msnmo.settings.training import Settings

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def findings(config):
    with pytest.raises(InputError) as error:
        check_config(config, SCHEMA)
    return error.value.findings


def test_the_default_config_is_valid(config):
    check_config(config, SCHEMA)


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/configs").glob("*.yaml")), ids=str)
def test_every_shipped_config_is_valid_over_the_default(config, path):
    for key, value in yaml.safe_load(path.read_text()).items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    check_config(config, SCHEMA)


def test_all_wrong_keys_are_named_at_once(config):
    wrong = copy.deepcopy(config)
    wrong["folds"]["k"] = 1
    wrong["resize"]["size"] = [160, 160, 150]
    wrong["zscore"]["over"] = "skull"
    wrong["trian"] = {}
    del wrong["seed"]
    wrong["methods"] = ["joint", "resnet9000"]
    text = "\n".join(str(finding) for finding in findings(wrong))
    expected = ("folds.k", "resize.size.2", "zscore.over", "trian", "seed", "resnet9000")
    assert all(key in text for key in expected)
    assert len(findings(wrong)) == len(expected)


def test_a_number_that_yaml_reads_as_text_gets_the_right_hint(config):
    config["train"]["learning_rate"] = yaml.safe_load("1e-4")
    (finding,) = findings(config)
    assert "1.0e-04" in finding.remedy
    assert "learning_rate" in finding.file


def test_every_key_is_described():
    def leaves(schema, path=""):
        for name, given in schema["properties"].items():
            entry = given | section(given)
            if "properties" in entry:
                yield from leaves(entry, f"{path}{name}.")
            else:
                yield f"{path}{name}", entry

    def section(entry):
        return schema["$defs"].get(entry.get("$ref", "").removeprefix("#/$defs/"), {})

    schema = yaml.safe_load(SCHEMA.read_text())
    assert [name for name, entry in leaves(schema) if "description" not in entry] == []


def test_the_default_config_shows_every_setting_of_every_method(config):
    """Nothing hides in the code: the sections of config.yaml are complete, and are the defaults."""
    for name, method in METHODS.items():
        settings = Settings.from_mapping(method_settings(config, name), method)
        assert settings == Settings.from_mapping({}, method), name
        given = method_settings(config, name)["model"]
        assert set(given) == set(settings.to_json()["model"]), name


def test_a_methods_own_settings_come_over_the_common_ones(config):
    before = {name: method_settings(config, name) for name in METHODS}
    config["method_settings"]["only_seg"] = {"train": {"learning_rate": 0.01}}
    after = {name: method_settings(config, name) for name in METHODS}
    assert after.pop("only_seg")["train"] == config["train"] | {"learning_rate": 0.01}
    assert after == {name: before[name] for name in after}


def test_what_weighs_tasks_or_shapes_the_joint_model_is_none_of_the_baselines_business(config):
    """So changing it does not train them again."""
    before = method_settings(config, "unet"), method_settings(config, "resnet50")
    config["loss"]["cross"] = 0.5
    config["model"]["base_channels"] = 16
    assert before == (method_settings(config, "unet"), method_settings(config, "resnet50"))


def test_wrong_settings_of_methods_are_named_by_method_and_key(config):
    config["model"]["heads"] = 5
    config["method_settings"] |= {
        "unet": {"model": {"channels": [8]}},
        "vnet": {"model": {"width": 2}},
        "only_cls": {"loss": {"cross": 1.0}},
    }
    assert sorted(finding.file for finding in findings(config)) == [
        "config: method_settings.only_cls.loss",
        "config: method_settings.unet.model.channels",
        "config: method_settings.vnet.model",
        "config: model.heads",
    ]


def test_settings_of_unknown_methods_and_folds_that_are_not_there_are_named(config):
    config["method_settings"]["resnet"] = {}
    assert "resnet50" in findings(config)[0].expected
    del config["method_settings"]["resnet"]
    config["folds"]["only"] = [0, 5]
    assert [finding.found for finding in findings(config)] == ["5"]
