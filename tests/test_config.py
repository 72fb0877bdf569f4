"""The config: every wrong key is named at once, with what was expected there."""

import copy
from pathlib import Path

import pytest
import yaml

from msnmo.config import check_config
from msnmo.errors import InputError

ROOT = Path(__file__).parents[1]
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
        for name, entry in schema["properties"].items():
            if "properties" in entry:
                yield from leaves(entry, f"{path}{name}.")
            else:
                yield f"{path}{name}", entry

    schema = yaml.safe_load(SCHEMA.read_text())
    assert [name for name, entry in leaves(schema) if "description" not in entry] == []
