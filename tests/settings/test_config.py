"""The config: every wrong key is named at once, with what was expected there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from msnmo.core.errors import InputError
from msnmo.settings.config import (
    Config,
    complete_config,
    default_config,
    method_settings,
    nameless,
)
from msnmo.settings.methods import METHODS
from msnmo.settings.sections import Preprocessing
from msnmo.settings.training import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def findings(config):
    with pytest.raises(InputError) as error:
        complete_config(config)
    return {finding.file.removeprefix("config: "): finding for finding in error.value.findings}


def test_the_shipped_config_is_the_models_defaults_key_by_key(config):
    """So every key of the models stands in it, with its comment."""
    assert list(config) == list(default_config())
    # as text, so that 1 is not 1.0
    assert json.dumps(config, sort_keys=True) == json.dumps(default_config(), sort_keys=True)


def test_values_of_shipped_and_empty_configs_stay_as_they_are(config):
    assert complete_config(config) == config
    assert complete_config({}) == config


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/configs").glob("*.yaml")), ids=str)
def test_every_shipped_config_is_valid_and_completed(config, path):
    given = yaml.safe_load(path.read_text())
    whole = complete_config(given)
    assert set(whole) == set(config)
    assert whole["train"] == config["train"] | given.get("train", {})


def test_a_part_of_a_config_is_completed_without_changing_it():
    given = {"train": {"epochs": 3}, "method_settings": {"vnet": {"train": {"epochs": 4}}}}
    whole = complete_config(given)
    assert whole["train"] == {**default_config()["train"], "epochs": 3}
    assert whole["method_settings"]["vnet"]["train"] == {"epochs": 4}
    assert whole["method_settings"]["vnet"]["model"]["norm"] == "instance"
    assert given == {"train": {"epochs": 3}, "method_settings": {"vnet": {"train": {"epochs": 4}}}}
    whole["methods"].append("changed")
    assert "changed" not in complete_config({})["methods"]


def test_all_wrong_keys_are_named_at_once_with_what_was_meant():
    found = findings(
        {
            "folds": {"k": 1},
            "resize": {"size": [160, 160, 150]},
            "zscore": {"over": "barin"},
            "trian": {},
            "epochs": 3,
            "methods": ["joint", "resnet9000"],
            "model": {"heads": 5},
            "method_settings": {"vnet": {"train": {"epochs": 0}}},
        }
    )
    assert list(found) == [
        "methods.1",
        "resize.size.2",
        "zscore.over",
        "folds.k",
        "model.heads",
        "method_settings.vnet.train.epochs",
        "trian",
        "epochs",
    ]
    assert found["trian"].found == 'unknown key "trian"; did you mean "train"?'
    assert found["epochs"].remedy == "move it to the section train"
    assert found["zscore.over"].remedy == "write brain"
    assert 'did you mean "resnet50"?' in found["methods.1"].found
    assert found["folds.k"].expected.endswith("one fold per site (a whole number from 2 to 1000)")
    assert "a multiple of 16" in found["resize.size.2"].expected
    assert found["folds.k"].found == "1"


def test_how_many_folds_sites_make_is_not_known_of_the_config():
    assert complete_config({"folds": {"split": "site", "only": [7]}})["folds"]["only"] == [7]
    assert list(findings({"folds": {"split": "grouped", "only": [7]}})) == ["folds.only"]


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        ({"seed": True}, "seed", "a whole number"),
        ({"seed": 1.0}, "seed", "a whole number"),
        ({"seed": None}, "seed", "nothing"),
        ({"seed": -1}, "seed", "from 0 to 4294967295"),
        ({"seed": 2**32}, "seed", "from 0 to 4294967295"),
        ({"seed": "7"}, "seed", "write 7 without quotes"),
        ({"seed": "2e3"}, "seed", "write 2000: YAML reads 2e3 as text"),
        ({"skull_strip": {"robust": "true"}}, "skull_strip.robust", "write true without quotes"),
        ({"seed": "nan"}, "seed", "change seed"),
        ({"seeds": 3}, "seeds", "a list of at most 1000 whole numbers from 0"),
        ({"seeds": None}, "seeds", "nothing"),
        ({"seeds": [1, -2]}, "seeds.1", "from 0 to"),
        ({"seeds": list(range(1001))}, "seeds", "at most 1000"),
        ({"seeds": [1, 2.0]}, "seeds.1", "a whole number"),
        ({"seeds": ["7"]}, "seeds.0", "write 7 without quotes"),
        ({"seeds": ["all"]}, "seeds.0", "a whole number"),
        ({"seeds": [True]}, "seeds.0", "a whole number"),
        ({"seeds": [4, 5, 4]}, "seeds", "4 more than once"),
        ({"train": None}, "train", "keys among epochs"),
        ({"train": []}, "train", "keys among epochs"),
        ({"train": {"learning_rate": float("nan")}}, "train.learning_rate", "above 0 and below 1"),
        ({"train": {"learning_rate": 1}}, "train.learning_rate", "above 0 and below 1"),
        ({"loss": {"cross": float("inf")}}, "loss.cross", "from 0 to 1000000"),
        ({"skull_strip": {"robust": 1}}, "skull_strip.robust", "true or false"),
        ({"skull_strip": {"frac": True}}, "skull_strip.frac", "from 0 to 1"),
        ({"resize": {"image_order": True}}, "resize.image_order", "one of 1, 3"),
        ({"resize": {"image_order": 3.0}}, "resize.image_order", "one of 1, 3"),
        ({"resize": {"size": [160]}}, "resize.size", "a list of three multiples of 16"),
        ({"resize": {"size": [160, 160, 0]}}, "resize.size.2", "a multiple of 16"),
        ({"resize": {"size": [160, 160, 16000]}}, "resize.size.2", "a multiple of 16 from 16 to"),
        ({"n4": {"iterations": [10**9]}}, "n4.iterations.0", "from 1 to 10000"),
        ({"predict": {"threshold": float("nan")}}, "predict.threshold", "above 0 and below 1"),
        ({"bundle": {"certain_from": float("inf")}}, "bundle.certain_from", "from 0.5 to 1"),
        ({"n4": {"iterations": []}}, "n4.iterations", "one to 10 whole numbers from 1 to 10000"),
        ({"n4": {"iterations": 50}}, "n4.iterations", "one to 10 whole numbers from 1 to 10000"),
        (
            {"lesion_masks": {"labels": "all"}},
            "lesion_masks.labels",
            "any, or a list of at most 1000",
        ),
        ({"lesion_masks": {"labels": [0, 1]}}, "lesion_masks.labels", "from 1 to"),
        ({"lesion_masks": {"labels": [True]}}, "lesion_masks.labels", "from 1 to"),
        ({"lesion_masks": {"labels": ["any"]}}, "lesion_masks.labels", "from 1 to"),
        ({"lesion_masks": {"labels": [2**31]}}, "lesion_masks.labels", "from 1 to 2147483647"),
        ({"lesion_masks": {"labels": [*range(1, 1002)]}}, "lesion_masks.labels", "at most 1000"),
        ({"lesion_masks": {"labels": [1, 1]}}, "lesion_masks.labels", "1 more than once"),
        ({"lesion_masks": {"labels": 1}}, "lesion_masks.labels", "a list of at most 1000 whole"),
        ({"lesion_masks": {"labels": None}}, "lesion_masks.labels", "give a value"),
        ({"methods": "joint"}, "methods", "a list of one or more joint"),
        ({"methods": []}, "methods", "a list of one or more joint"),
        ({"methods": ["unet", "unet"]}, "methods", "unet more than once"),
        ({"folds": {"only": [1, 1]}}, "folds.only", "1 more than once"),
        ({"folds": {"only": [0, 5]}}, "folds.only", "folds from 0 to 4, as folds.k is 5"),
        ({"folds": {"k": 9, "only": [9]}}, "folds.only", "folds from 0 to 8"),
        ({"folds": {"split": "site", "repeats": 2}}, "folds.repeats", "the same each time"),
        ({"folds": {"repeats": 2}, "seeds": [1]}, "folds", "its own seed"),
        ({"metrics": {"smallest_lesion_mm3": -1}}, "metrics.smallest_lesion_mm3", "from 0 to"),
        ({"metrics": {"lesion_sizes_ml": []}}, "metrics.lesion_sizes_ml", "one to 100"),
        ({"metrics": {"lesion_sizes_ml": [0]}}, "metrics.lesion_sizes_ml.0", "above 0"),
        ({"metrics": {"lesion_sizes_ml": [1, 0.1]}}, "metrics.lesion_sizes_ml", "rising"),
        ({"metrics": {"lesion_sizes_ml": [0.1, 0.1]}}, "metrics.lesion_sizes_ml", "rising"),
        (
            {"metrics": {"smallest_lesion_mm3": 100, "lesion_sizes_ml": [0.1, 1]}},
            *("metrics.lesion_sizes_ml", "above metrics.smallest_lesion_mm3 (100 mm3)"),
        ),
        ({"statistics": {"confidence": 1}}, "statistics.confidence", "below 1"),
        ({"robustness": {"gamma": [0.5, 1]}}, "robustness.gamma", "severities other than 1"),
        ({"robustness": {"brain_mask_mm": [0.0]}}, "robustness.brain_mask_mm", "other than 0"),
        ({"robustness": {"bias_field": [1]}}, "robustness.bias_field.0", "above 1"),
        ({"robustness": {"noise": [0.1, 0.1]}}, "robustness.noise", "0.1 more than once"),
        ({"robustness": {"engines": ["auto"]}}, "robustness.engines.0", "hd-bet"),
        ({"method_settings": {"resnet": {}}}, "method_settings.resnet", '"resnet50"'),
        ({"method_settings": []}, "method_settings", "keys among joint"),
        ({3: 4}, "3", 'unknown key "3"'),
        ({"scans": 5}, "scans", "a path"),
        ({"scans": ""}, "scans", "a path"),
        ({"scans": "a{b}.tsv"}, "scans", "without { }"),
        ({"results": "-out"}, "results", "begins with no dash"),
        ({"results": "o\0ut"}, "results", "control character"),
        ({"results": "$NO_SUCH_VARIABLE/out"}, "results", "NO_SUCH_VARIABLE is not set"),
        ({"apply": {"bundle": "a\nb"}}, "apply.bundle", "control character"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(given, where, words):
    ((key, finding),) = findings(given).items()
    assert key == where
    assert words in str(finding)


@pytest.mark.parametrize("given", [[], None, "joint", 3])
def test_what_is_no_config_at_all_is_refused(given):
    assert "keys among scans, results" in findings(given)["config"].expected


def test_keys_of_before_are_answered_with_those_of_today():
    found = findings(
        {
            "predict": {"bundle": "", "locations": False, "threshold": 0.5},
            "export": {"method": "joint", "certain_from": 0.75},
        }
    )
    assert {key: each.found for key, each in found.items()} == {
        "predict.bundle": "predict.bundle is now apply.bundle",
        "predict.locations": "predict.locations is now apply.locations",
        "export": "export is now bundle",
    }
    assert found["export"].remedy == "write bundle"


@pytest.mark.parametrize("labels", [[], [1], [4, 2], "any"])
def test_labels_of_lesions_are_kept_as_they_are_written(labels):
    assert complete_config({"lesion_masks": {"labels": labels}})["lesion_masks"]["labels"] == labels


@pytest.mark.parametrize("choice", ["none", "sigmoid", "standardise"])
def test_choices_of_the_cross_task_loss_are_read_from_yaml_as_they_are_written(choice):
    """YAML reads none as text, unlike null."""
    text = f"loss: {{cam_normalisation: {choice}, cam_class: truth, eta: [1, 0, 0.5]}}"
    loss = complete_config(yaml.safe_load(text))["loss"]
    assert (loss["cam_normalisation"], loss["cam_class"]) == (choice, "truth")
    assert loss["eta"] == [1, 0, 0.5]


def test_a_number_that_yaml_reads_as_text_gets_the_right_hint(config):
    config["train"]["learning_rate"] = yaml.safe_load("1e-4")
    (finding,) = findings(config).values()
    assert "1.0e-04" in finding.remedy
    assert finding.file == "config: train.learning_rate"


def test_paths_are_expanded_and_everything_else_stays_as_written(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("STUDY", "/data/study 1")
    given = {
        "scans": "$STUDY/scans.tsv",
        "results": "~/out//",
        "apply": {"bundle": "${STUDY}/bundle/"},
        "loss": {"cross": 1},
    }
    whole = complete_config(given)
    assert whole["scans"] == "/data/study 1/scans.tsv"
    assert whole["results"] == "/home/me/out"
    assert whole["apply"]["bundle"] == "/data/study 1/bundle"
    assert whole["decisions"] == ""
    assert type(whole["loss"]["cross"]) is int
    monkeypatch.chdir(tmp_path)
    assert complete_config({"results": "./out/"})["results"] == "out"
    assert complete_config({"results": "."})["results"] == str(tmp_path)


def test_a_file_where_results_are_to_be_is_refused(tmp_path, monkeypatch):
    (tmp_path / "results").touch()
    monkeypatch.chdir(tmp_path)
    for given in ("results", "results/of/mine"):
        (finding,) = findings({"results": given}).values()
        assert finding.found == f"the file {tmp_path}/results"


def test_every_key_of_the_schema_is_described_and_no_other_is_taken(config):
    schema = Config.rules()
    objects = [schema, *schema["$defs"].values()]
    assert len(objects) > 20
    for each in objects:
        assert each["additionalProperties"] is False
        assert [
            name for name, node in each["properties"].items() if "description" not in node
        ] == []
    check = Draft202012Validator(schema)
    assert check.is_valid(config)
    assert not check.is_valid({"train": {"epochs": 0}})
    assert not check.is_valid({"method_settings": {"vnet": {"model": {"channels": [8, 8]}}}})


def test_reading_a_config_imports_nothing_slow():
    code = (
        "import sys, msnmo.settings.config; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_default_config_shows_every_setting_of_every_method(config):
    """Nothing hides in the code: the sections of config.yaml are complete, and are the defaults."""
    for name, method in METHODS.items():
        settings = Settings.from_mapping(method_settings(config, name), method)
        assert settings == Settings.from_mapping(method.own, method), name
        given = method_settings(config, name)["model"]
        assert set(given) == set(settings.to_json()["model"]), name


def test_a_methods_own_settings_come_over_the_common_ones(config):
    before = {name: method_settings(config, name) for name in METHODS}
    config["method_settings"]["only_seg"] = {"train": {"learning_rate": 0.01}}
    after = {name: method_settings(config, name) for name in METHODS}
    assert after.pop("only_seg")["train"] == before["only_seg"]["train"] | {"learning_rate": 0.01}
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
    found = findings(config)
    assert sorted(found) == [
        "method_settings.only_cls.loss",
        "method_settings.unet.model.channels",
        "method_settings.vnet.model.width",
        "model.heads",
    ]
    assert "only_cls has one loss" in found["method_settings.only_cls.loss"].found


def test_a_methods_settings_are_checked_as_they_take_effect(config):
    """Over the common sections; and what is wrong of those is told once, where it stands."""
    config["model"] |= {"base_channels": 12, "heads": 3}
    config["method_settings"]["lgm_add"] = {"model": {"heads": 6}}
    complete_config(config)
    config["method_settings"]["lgm_dot"] = {"model": {"base_channels": 16}}
    (key,) = findings(config)
    assert key == "method_settings.lgm_dot.model.heads"
    config["train"]["epochs"] = 0
    config["method_settings"] = {"lgm_dot": {"train": {"batch_size": 3}}}
    assert list(findings(config)) == ["train.epochs"]
    config["method_settings"] = {"lgm_dot": {"train": {"epochs": -1}}}
    assert list(findings(config)) == ["train.epochs", "method_settings.lgm_dot.train.epochs"]


def test_what_pages_say_of_the_config_names_no_folder():
    config = default_config() | {
        "scans": "/home/ana/Mueller/scans.tsv",
        "results": "/scratch/ana/results",
        "decisions": "",
    }
    config["apply"] = {**config["apply"], "bundle": "../ana/bundle"}
    shown = nameless(config)
    assert (shown["scans"], shown["results"], shown["decisions"]) == ("scans.tsv", "results", "")
    assert shown["apply"]["bundle"] == "bundle"
    assert "ana" not in json.dumps([shown[name] for name in ("scans", "results", "apply")])
    assert config["results"] == "/scratch/ana/results"
    others = {name for name in config if shown[name] != config[name]}
    assert others == {"scans", "results", "apply"}


def parts_of(node, place=""):
    """Yield every schema within one, and where it stands."""
    if isinstance(node, dict):
        if "type" in node and isinstance(node["type"], str):
            yield place, node
        for name, inner in node.items():
            yield from parts_of(inner, f"{place}.{name}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from parts_of(inner, f"{place}.{number}")


@pytest.mark.parametrize("section", [Config, Preprocessing])
def test_every_number_has_bounds_on_both_sides_and_every_list_an_end(section):
    """What is beyond all measure is refused at the start, not met by a step after hours."""
    numbers, lists, unbounded = 0, 0, []
    for place, node in parts_of(section.rules()):
        is_choice = "enum" in node or "const" in node
        if node["type"] in ("integer", "number") and not is_choice:
            numbers += 1
            below = {"minimum", "exclusiveMinimum"} & node.keys()
            above = {"maximum", "exclusiveMaximum"} & node.keys()
            unbounded += [] if below and above else [place]
        if node["type"] == "array":
            lists += 1
            # of choices that each come once there are no more than choices
            once = node.get("uniqueItems") and "enum" in node.get("items", {})
            unbounded += [] if once or "maxItems" in node else [place]
    assert unbounded == []
    assert numbers > 5
    assert lists > 1


@pytest.mark.parametrize(
    "name", ["methods", "seeds", "resize.size", "method_settings.unet", "scans"]
)
def test_a_list_beyond_every_bound_is_refused_before_its_values_are_judged(name):
    *sections, last = name.split(".")
    given = {last: list(range(200_000))}
    for section in reversed(sections):
        given = {section: given}
    with pytest.raises(InputError) as error:
        complete_config(given)
    (finding,) = error.value.findings
    assert (finding.file, finding.found) == (f"config: {name}", "200000 values")


def test_a_list_named_a_billion_times_is_looked_at_once():
    page = [1]
    for _ in range(40):
        page = [page, page]
    with pytest.raises(InputError):
        complete_config({"seeds": page})
