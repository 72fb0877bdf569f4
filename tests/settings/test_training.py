from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from msnmo.core.errors import InputError
from msnmo.settings.config import complete_config, method_settings
from msnmo.settings.methods import METHODS
from msnmo.settings.training import AugmentSettings, LossSettings, OptimiserSettings, Settings

JOINT = METHODS["joint"]
MICRO = Path(__file__).parents[2] / "workflow/configs/micro.yaml"


def test_defaults_are_the_papers_protocol() -> None:
    settings = Settings.parse("{}", JOINT)
    assert settings.train == OptimiserSettings(
        epochs=200,
        batch_size=2,
        learning_rate=1e-4,
        plateau_patience=10,
        plateau_factor=0.5,
        segmentation_loss="dice",
    )
    assert settings.augment == AugmentSettings(
        flip_probability=0.5, rotation_probability=0.5, rotation_degrees=15
    )
    weights = settings.loss.weights
    assert (weights.segmentation, weights.classification, weights.cross) == (1, 0.8, 1)
    assert settings.loss.eta == (0.25, 0.25, 0.5)
    assert settings.train.precision == "auto"
    assert settings.model.image_skip is False


def test_defaults_of_what_the_paper_leaves_open_in_the_cross_task_loss() -> None:
    settings = Settings.parse("{}", JOINT)
    assert settings.model.guidance_gradient == "detached"
    loss = settings.loss
    assert (loss.cross_segmentation, loss.cam_normalisation) == ("lesion_map", "standardise")
    assert (loss.cam_class, loss.cross_gradient) == ("truth", "localisation")
    assert (loss.cross_reduction, loss.cross_balance) == ("mean", False)
    assert loss.cross_ramp_epochs == 0


def test_json_round_trip_keeps_every_value() -> None:
    given = {
        "train": {"epochs": 3, "learning_rate": 0.01, "precision": "bfloat16"},
        "augment": {"rotation_degrees": 0},
        "loss": {"cross": 0, "eta": [1, 0, 0.5], "cam_class": "difference", "cross_balance": True},
        "model": {"base_channels": 8, "image_skip": True, "guidance_gradient": "through"},
    }
    settings = Settings.from_mapping(given, JOINT)
    assert Settings.parse(json.dumps(settings.to_json()), JOINT) == settings
    written = json.loads(json.dumps(settings.to_json()))
    for section, values in given.items():
        assert values.items() <= written[section].items()


def test_every_finding_of_every_section_is_reported_at_once() -> None:
    with pytest.raises(InputError) as error:
        Settings.parse(
            '{"train": {"epochs": 0, "batch_size": 1.5}, "augment": {"angle": 3}, '
            '"model": {"base_channels": 0}, "loss": {"cross": -1}}',
            JOINT,
        )
    files = [finding.file for finding in error.value.findings]
    assert files == [
        "config: train.epochs",
        "config: train.batch_size",
        "config: augment.angle",
        "config: loss.cross",
        "config: model.base_channels",
    ]
    assert "flip_probability" in str(error.value)
    assert "angle" in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"train": {"learning_rate": "1e-4"}}', "1.0e-04"),
        ('{"train": {"epochs": true}}', "whole number"),
        ('{"train": {"learning_rate": NaN}}', "above 0"),
        ('{"loss": {"segmentation": Infinity}}', "from 0 to 1000000"),
        ('{"augment": {"flip_probability": 1.01}}', "from 0 to 1"),
        ('{"training": {}}', "train, augment, loss, model"),
        ('{"model": 3}', "base_channels"),
        (
            '{"loss": {"cam_normalisation": "max"}}',
            "one of none, relu_max, sigmoid, standardise",
        ),
        ('{"loss": {"cam_class": true}}', "one of truth, predicted, difference"),
        ('{"loss": {"cross_segmentation": "S"}}', "one of logits, probabilities"),
        ('{"loss": {"cross_reduction": "max"}}', "one of mean, sum"),
        ('{"loss": {"cross_gradient": "none"}}', "one of both, localisation, segmentation"),
        ('{"loss": {"cross_balance": 1}}', "true or false"),
        ('{"loss": {"cross_ramp_epochs": -1}}', "from 0 to 1000000"),
        ('{"loss": {"cross_ramp_epochs": 0.5}}', "whole number"),
        ('{"loss": {"eta": [0.25, 0.75]}}', "three numbers"),
        ('{"loss": {"eta": [0.25, 0.25, -0.5]}}', "from 0 to 1000000"),
        ('{"train": {"segmentation_loss": "ce"}}', "one of dice, dice_ce"),
        ('{"train": {"precision": "float16"}}', "one of auto, bfloat16, float32"),
        ("[]", "keys among train"),
        ("{", "JSON"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Settings.parse(text, JOINT)


def test_sections_check_values_however_they_are_made() -> None:
    with pytest.raises(InputError, match=r"loss\.cross"):
        LossSettings(cross=float("nan"))


# what the workflow gives a training of the micro config, and what its identity is made of
IDENTITIES = {
    "joint": (
        '{"augment": {"flip_probability": 0.5, "rotation_degrees": 15.0, "rotation_probability": '
        '0.5}, "loss": {"cam_class": "truth", "cam_normalisation": "standardise", '
        '"classification": 0.8, "cross": 1.0, "cross_balance": false, '
        '"cross_gradient": "localisation", '
        '"cross_ramp_epochs": 0, "cross_reduction": "mean", "cross_segmentation": '
        '"lesion_map", "eta": [0.25, 0.25, 0.5], "segmentation": 1.0}, "model": '
        '{"base_channels": 8, "crossover_start": 0.9, "guidance_activation": "sigmoid", '
        '"guidance_gradient": "detached", "guidance_start": "lesion_map", "heads": 4, '
        '"image_skip": false, "lesion_prior_logit": -2.3, "mlp_ratio": 4, "window": 5}, '
        '"train": {"batch_size": 2, "epochs": 1, "learning_rate": 0.001, "plateau_factor": 0.5, '
        '"plateau_patience": 10, "precision": "auto", "segmentation_loss": '
        '"dice"}}',
        '{"train": {"epochs": 1, "batch_size": 2, "learning_rate": 0.001, "plateau_patience": 10, '
        '"plateau_factor": 0.5, "segmentation_loss": "dice", "precision": "auto"}, "augment": '
        '{"flip_probability": 0.5, '
        '"rotation_probability": 0.5, "rotation_degrees": 15.0}, "loss": {"segmentation": 1.0, '
        '"classification": 0.8, "cross": 1.0, "eta": [0.25, 0.25, 0.5], "cross_segmentation": '
        '"lesion_map", "cam_normalisation": "standardise", "cam_class": "truth", '
        '"cross_reduction": "mean", "cross_balance": false, "cross_gradient": "localisation", '
        '"cross_ramp_epochs": 0}, "model": {"base_channels": 8, "heads": 4, "mlp_ratio": 4, '
        '"window": 5, "guidance_activation": "sigmoid", "guidance_start": "lesion_map", '
        '"guidance_gradient": "detached", "image_skip": false, "lesion_prior_logit": -2.3, '
        '"crossover_start": 0.9}}',
    ),
    "unet": (
        '{"augment": {"flip_probability": 0.5, "rotation_degrees": 15.0, "rotation_probability": '
        '0.5}, "model": {"channels": [8, 8, 16, 16, 32], "lesion_prior_logit": -4.6, "norm": '
        '"instance"}, "train": {"batch_size": 2, "epochs": 1, "learning_rate": 0.001, '
        '"plateau_factor": 0.5, "plateau_patience": 10, "precision": "auto", "segmentation_loss": '
        '"dice"}}',
        '{"train": {"epochs": 1, "batch_size": 2, "learning_rate": 0.001, "plateau_patience": 10, '
        '"plateau_factor": 0.5, "segmentation_loss": "dice", "precision": "auto"}, "augment": '
        '{"flip_probability": 0.5, '
        '"rotation_probability": 0.5, "rotation_degrees": 15.0}, "loss": {"segmentation": 1.0, '
        '"classification": 0.8, "cross": 1.0, "eta": [0.25, 0.25, 0.5], "cross_segmentation": '
        '"lesion_map", "cam_normalisation": "standardise", "cam_class": "truth", '
        '"cross_reduction": "mean", "cross_balance": false, "cross_gradient": "localisation", '
        '"cross_ramp_epochs": 0}, "model": {"norm": "instance", "lesion_prior_logit": -4.6, '
        '"channels": [8, 8, 16, 16, 32]}}',
    ),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_json_that_tells_trainings_apart_keeps_its_bytes(name: str) -> None:
    """Other bytes would throw away every training that is stored."""
    given, identity = IDENTITIES[name]
    config = complete_config(yaml.safe_load(MICRO.read_text(encoding="utf-8")))
    assert json.dumps(method_settings(config, name), sort_keys=True) == given
    settings = Settings.parse(given, METHODS[name])
    assert json.dumps(settings.to_json()) == identity
    assert Settings.parse(identity, METHODS[name]) == settings


def test_whole_numbers_stay_whole_in_what_tells_trainings_apart() -> None:
    settings = Settings.parse('{"augment": {"rotation_degrees": 0}, "loss": {"cross": 1}}', JOINT)
    assert '"rotation_degrees": 0}' in json.dumps(settings.to_json())
    assert '"cross": 1,' in json.dumps(settings.to_json())


def test_settings_are_read_without_torch() -> None:
    modules = "msnmo.settings.training, msnmo.core.provenance"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_model_section_is_the_methods_own() -> None:
    unet = METHODS["unet"]
    given = '{"model": {"channels": [8, 8, 16, 16, 32], "norm": "group"}}'
    settings = Settings.parse(given, unet)
    assert settings.model == unet.settings(channels=(8, 8, 16, 16, 32), norm="group")
    assert Settings.parse(json.dumps(settings.to_json()), unet) == settings
    with pytest.raises(InputError, match="norm, lesion_prior_logit, channels, dropout"):
        Settings.parse('{"model": {"base_channels": 8}}', METHODS["attention_unet"])
