"""The bundle that ships with the package, and `msnmo apply` without --bundle."""

import contextlib
import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from msnmo.apply.__main__ import main as apply
from msnmo.bundle.contents import read_bundle
from msnmo.core.cells import escape_markdown
from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv
from msnmo.core.starter import SHIPPED
from msnmo.demo.cohort import Plan, make_cohort
from msnmo.settings.config import complete_config
from msnmo.settings.starts import refuse_starts, start_of
from msnmo.starter.__main__ import main as train
from msnmo.starter.measured import MEASURED
from msnmo.train.start import read_start
from tests.starter.made import network_of

MOST_BYTES = 12e6
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def applied(tmp_path_factory):
    """A head, without and with its class, as a user applies the starter on the first day."""
    folder = tmp_path_factory.mktemp("first day é")
    plan = Plan(seed=7, ms=1, nmosd=0, follow_ups=0, stripped=1, min_voxel_mm=4.0)
    make_cohort(folder / "heads", plan)
    (head,) = (folder / "heads").rglob("*_FLAIR.nii.gz")
    known = ["--device", "cpu", "--stripped", "--bias-corrected", str(head)]
    with contextlib.chdir(folder):
        apply(known)
    apply(["--out", str(folder / "class"), "--class", *known])
    (folder / "msnmo-results").rename(folder / "plain")  # where results go unless told
    return folder


def test_it_is_whole_small_and_says_how_accurate_it_is():
    bundle = read_bundle(SHIPPED)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < MOST_BYTES
    assert "real scans" in bundle.content["accuracy"]
    assert bundle.content["training_cohort"]["simulated"]["scans"] > 1000
    weights = load_file(SHIPPED / "fold-0.safetensors").values()
    assert {weight.dtype for weight in weights if weight.is_floating_point()} == {torch.float16}


def test_its_card_tells_what_was_measured_and_how_far_that_is_a_test():
    card = (SHIPPED / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert (BENCHMARKS / "starter_measured.md").read_text(encoding="utf-8").strip() in card
    measured = read_tsv(BENCHMARKS / "starter_measured.tsv", MEASURED)
    for row in measured.itertuples():
        assert f"| {escape_markdown(row.scan)} | {row.truth_ml:.1f} | {row.found_ml:.1f} | " in card


def test_its_class_is_named_on_request_alone(applied):
    plain, named = (
        pd.read_csv(applied / name / "predictions.tsv", sep="\t") for name in ("plain", "class")
    )
    assert "class" not in plain
    assert not [name for name in plain if name.startswith("p_")]
    assert named["class"].isin(["MS", "NMOSD"]).all()
    assert plain["load_ml"].equals(named["load_ml"])
    (run,) = (applied / "plain").rglob("*_run.json")
    assert json.loads(run.read_text())["class"] is None
    pages = [
        (applied / name / "report/index.html").read_text(encoding="utf-8")
        for name in ("plain", "class")
    ]
    assert ["named only with --class" in page for page in pages] == [True, False]


def test_it_is_named_in_the_config():
    config = complete_config({"train": {"start_from": "starter"}, "apply": {"bundle": "starter"}})
    assert config["apply"]["bundle"] == str(SHIPPED)
    assert start_of(config, "joint_plus") == str(SHIPPED)


def _starting(*methods, width=16, own=None):
    """Return a config whose trainings start from the starter, or from a place of their own."""
    places = {name: {"train": {"start_from": place}} for name, place in (own or {}).items()}
    return complete_config(
        {
            "methods": methods,
            "train": {"start_from": "starter"},
            "model": {"base_channels": width},
            "method_settings": places,
        }
    )


def test_starts_are_refused_before_anything_is_done_if_they_are_not_there_or_fit_no_network():
    refuse_starts(_starting("joint", "only_seg", "unet", own={"unet": ""}))
    with pytest.raises(InputError) as caught:
        refuse_starts(_starting("joint", "unet", "vnet", width=32, own={"vnet": "/no where"}))
    files = [finding.file for finding in caught.value.findings]
    assert files == [
        "config: model.base_channels, of joint",
        "config: train.start_from, of unet",
        "config: train.start_from",
    ]
    wide, other, gone = caught.value.findings
    assert (wide.found, wide.remedy[:27]) == ("32", "set model.base_channels: 16")
    assert other.found == f"{SHIPPED}: weights of joint_plus"
    assert gone.found == "/no where: no such file or folder"
    # a method that is not trained starts from nothing
    refuse_starts(_starting("joint", own={"vnet": "/no where"}))


@pytest.mark.parametrize(
    "name", ["joint", "only_seg", "only_cls", "without_sharing", "unet", "densenet121"]
)
def test_what_is_refused_when_planning_is_what_a_training_would_refuse(name):
    start = read_start(SHIPPED, fold=0)
    refusals = (
        lambda: refuse_starts(_starting(name)),
        lambda: start.give_to(network_of(name)),
    )
    assert len({_refuses(refusal) for refusal in refusals}) == 1


def _refuses(call):
    try:
        call()
    except InputError:
        return True
    return False


@pytest.mark.parametrize(("method", "least"), [("joint_plus", 1.0), ("joint", 0.9)])
def test_trainings_start_from_what_fits(method, least):
    network = network_of(method)
    taken = read_start(SHIPPED, fold=3).give_to(network)
    assert len(taken.taken) >= least * len(network.state_dict())
    assert len(taken.fresh) < 15
    stored = load_file(SHIPPED / "fold-0.safetensors")
    name = taken.taken[0]
    assert torch.equal(network.state_dict()[name], stored[name].float())


@pytest.mark.parametrize("read", [read_bundle, lambda path: read_start(path, 0)])
def test_an_own_folder_of_its_name_is_told_from_it(tmp_path, read):
    (tmp_path / "starter").mkdir()
    with pytest.raises(InputError, match="or write starter alone for the one that ships"):
        read(tmp_path / "starter")


def test_a_training_that_it_does_not_fit_names_the_option(tmp_path):
    narrow = {
        "methods": ["joint_plus"],
        "resize": {"size": [32] * 3},
        "model": {"base_channels": 4},
    }
    (tmp_path / "narrow.yaml").write_text(yaml.safe_dump(narrow))
    given = ["--config", str(tmp_path / "narrow.yaml"), "--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match="correct --start-from") as refused:
        train([*given, "--scans", "1", "--start-from", "starter"])
    assert str(SHIPPED) in refused.value.findings[0].file
