"""Trainings that start from another's weights, and trainings that are made longer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from msnmo.core.errors import InputError
from msnmo.core.files import sha256, write_json
from msnmo.settings.config import complete_config, method_settings, shareable
from msnmo.settings.starts import start_of
from msnmo.train.__main__ import main
from msnmo.train.kept import FOLDER, STATE
from msnmo.train.start import read_start

WEIGHTS = "weights.safetensors"
Train = Callable[..., Path]


@pytest.fixture
def train(blob_cohort: Path, tmp_path: Path) -> Train:
    """A function that trains in a folder, and returns it."""

    def run(
        name: str,
        *more: str,
        epochs: int = 1,
        fold: int = 0,
        rate: float = 0.003,
        **network: Any,
    ) -> Path:
        out = tmp_path / name
        section = {"epochs": epochs, "learning_rate": rate, "plateau_patience": 0}
        settings = {"train": section, "model": {"base_channels": 4, **network}}
        options = {
            "scans": str(blob_cohort / "train-0.tsv"),
            "method": "joint",
            "fold": str(fold),
            "settings": json.dumps(settings),
            "seed": "5",
            "out-weights": str(out / WEIGHTS),
            "out-history": str(out / "history.tsv"),
            "out-run": str(out / "run.json"),
            "checkpoint": str(out / "checkpoint.pt"),
            "device": "cpu",
        }
        main([*(part for name, each in options.items() for part in (f"--{name}", each)), *more])
        return out

    return run


def _run(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def _history(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "history.tsv", sep="\t").drop(columns="seconds")


def _as_bundle(folder: Path, *trained: Path) -> Path:
    """Pack weights as a bundle has them: what a start reads of it."""
    folder.mkdir()
    folds = []
    for place, each in enumerate(trained):
        shutil.copyfile(each / WEIGHTS, folder / f"fold-{place}.safetensors")
        digest = sha256(each / WEIGHTS)
        folds.append({"weights": f"fold-{place}.safetensors", "weights_sha256": digest})
    write_json(folder / "bundle.json", {"folds": folds, "labels": {"0": "MS", "1": "NMOSD"}})
    return folder


def test_more_epochs_give_the_bytes_of_a_training_that_was_never_stopped(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without patience the learning rate falls often: its plateaus go on too."""
    whole = train("whole", epochs=8, rate=0.05)
    grown = train("grown", "--keep-state", epochs=4, rate=0.05)
    assert (grown / FOLDER / STATE).is_file()
    capsys.readouterr()
    train("grown", "--keep-state", epochs=8, rate=0.05)
    said = capsys.readouterr().err
    assert "resuming after epoch 4/8" in said
    assert "epoch 4/8  " not in said
    assert (grown / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    pd.testing.assert_frame_equal(_history(grown), _history(whole))
    assert _history(whole)["lr"].nunique() > 1
    assert (_run(grown)["resumed_from"], _run(grown)["epochs"]) == ([4], 8)
    assert {name: _run(grown)[name] for name in ("identity", "course")} == {
        name: _run(whole)[name] for name in ("identity", "course")
    }
    assert sorted(path.name for path in grown.iterdir()) == [
        *(FOLDER, "history.tsv", "run.json", WEIGHTS)
    ]


def test_without_its_state_or_for_fewer_epochs_a_training_starts_at_epoch_1(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    out = train("out", epochs=2)
    assert not (out / FOLDER / STATE).exists()
    train("out", "--keep-state", epochs=3)
    assert "trained to epoch 2 before, but its last state was not kept" in capsys.readouterr().out
    assert _run(out)["resumed_from"] == []
    train("out", "--keep-state", epochs=1)
    assert "has 3 epochs, more than the requested 1" in capsys.readouterr().err
    assert (_run(out)["resumed_from"], _run(out)["epochs"]) == ([], 1)
    assert (out / WEIGHTS).read_bytes() == (train("fresh") / WEIGHTS).read_bytes()


def test_a_state_of_another_course_is_not_gone_on_from(train: Train) -> None:
    out = train("out", "--keep-state", guidance_gradient="through")
    train("out", epochs=2)
    assert _run(out)["resumed_from"] == []
    assert not (out / FOLDER / STATE).exists(), "what was kept before goes"


def test_fitting_tensors_are_taken_and_the_others_named(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    given = train("given", epochs=2)
    wider = train("wider", "--start-from", str(given / WEIGHTS), image_skip=True)
    told = _run(wider)["start"]
    assert (told["file"], told["sha256"]) == (WEIGHTS, sha256(given / WEIGHTS))
    assert told["fresh"] == ["segmentation.expand_3.decode.0.conv.weight"]
    assert len(told["taken"]) > 100
    said = capsys.readouterr().err
    assert "these start fresh: segmentation.expand_3.decode.0.conv.weight" in said
    assert "start_from" not in json.dumps(_run(wider)["settings"])
    assert _run(train("plain", image_skip=True))["start"] is None
    assert _history(wider)["total"][0] < _history(train("plain", image_skip=True))["total"][0]


def test_the_weights_started_from_are_part_of_the_training(train: Train, tmp_path: Path) -> None:
    first, second = train("first", epochs=2), train("second", epochs=3)
    out = train("out", "--start-from", str(first / WEIGHTS))
    fresh = _run(train("fresh"))["identity"]
    again = tmp_path / "moved.safetensors"
    shutil.copyfile(first / WEIGHTS, again)
    before = (out / "run.json").read_bytes()
    train("out", "--start-from", str(again))
    assert (out / "run.json").read_bytes() == before, "the same weights elsewhere: taken up"
    train("out", "--start-from", str(second / WEIGHTS))
    identities = {fresh, json.loads(before)["identity"], _run(out)["identity"]}
    assert len(identities) == 3
    assert _run(out)["start"]["sha256"] == sha256(second / WEIGHTS)


def test_folds_start_from_a_bundles_folds_in_turn(train: Train, tmp_path: Path) -> None:
    first, second = train("first", epochs=2), train("second", epochs=3)
    bundle = _as_bundle(tmp_path / "bundle", first, second)
    for fold, source in ((0, first), (1, second), (2, first)):
        start = read_start(bundle, fold)
        assert start.sha256 == sha256(source / WEIGHTS)
        assert start.note == ""
    out = train("out", "--start-from", str(bundle), fold=1)
    assert _run(out)["start"]["sha256"] == sha256(second / WEIGHTS)
    content = json.loads((bundle / "bundle.json").read_text())
    write_json(bundle / "bundle.json", content | {"labels": {"0": "NMOSD", "1": "MS"}})
    assert "its classes were NMOSD and MS" in read_start(bundle, 0).note


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda path: save_file({"other": torch.zeros(3)}, path), "1 tensors, of which 0 fit"),
        (lambda path: path.write_bytes(b"PK\x03\x04 a pickle"), "weights .safetensors."),
        (lambda path: path.unlink(), "weights .safetensors."),
        (
            lambda path: save_file(
                {name: each * float("nan") for name, each in load_file(path).items()}, path
            ),
            "finite",
        ),
    ],
    ids=["nothing fits", "a pickle", "missing", "not a number"],
)
def test_what_gives_no_start_is_refused(
    train: Train, tmp_path: Path, break_it: Callable[[Path], object], words: str
) -> None:
    weights = tmp_path / "start.safetensors"
    shutil.copyfile(train("given") / WEIGHTS, weights)
    break_it(weights)
    with pytest.raises(InputError, match=words) as raised:
        train("out", "--start-from", str(weights))
    (finding,) = raised.value.findings
    assert finding.file == str(weights)
    assert "train.start_from" in finding.remedy


def test_a_damaged_bundle_gives_no_start(train: Train, tmp_path: Path) -> None:
    bundle = _as_bundle(tmp_path / "bundle", train("given"))
    other = train("other", epochs=2)
    shutil.copyfile(other / WEIGHTS, bundle / "fold-0.safetensors")
    with pytest.raises(InputError, match="SHA-256"):
        read_start(bundle, 0)
    content = json.loads((bundle / "bundle.json").read_text())
    labels = content["labels"] | {"1": [2]}
    (bundle / "bundle.json").write_text(json.dumps(content | {"labels": labels}))
    with pytest.raises(InputError, match="labels that are text"):
        read_start(bundle, 0)
    (bundle / "bundle.json").write_text("{}")
    with pytest.raises(InputError, match="the folds of a bundle"):
        read_start(bundle, 0)
    (bundle / "bundle.json").unlink()
    with pytest.raises(InputError, match=r"no bundle\.json"):
        read_start(bundle, 0)


def test_the_path_is_the_sites_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting that a training is told apart by, and nothing of what is handed on."""
    monkeypatch.setenv("WEIGHTS", "/secret/place")
    own = {"unet": {"train": {"start_from": "/secret/other"}}}
    given = {"train": {"start_from": "$WEIGHTS/bundle"}, "method_settings": own}
    config = complete_config(given)
    assert start_of(config, "joint") == "/secret/place/bundle"
    assert start_of(config, "unet") == "/secret/other"
    assert start_of(complete_config({}), "joint") == ""
    assert method_settings(config, "joint") == method_settings(complete_config({}), "joint")
    handed_on = json.dumps(shareable(config))
    assert "secret" not in handed_on
    assert "WEIGHTS" not in handed_on
