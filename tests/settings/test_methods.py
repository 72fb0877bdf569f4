"""The list of methods."""

import re
import subprocess
import sys

import pytest
import torch

from msnmo.core.errors import InputError
from msnmo.core.files import sha256
from msnmo.networks.build import build_network
from msnmo.networks.losses import joint_loss
from msnmo.networks.outputs import Outputs
from msnmo.predict.fold import load_model
from msnmo.settings.baselines import SwinUNETRSettings, UNetSettings
from msnmo.settings.methods import METHODS, LossWeights, ModelSettings, get_method
from msnmo.settings.training import Settings
from msnmo.tables.layout import CAPTIONS
from msnmo.tables.reported import read_reported
from msnmo.train.__main__ import serialise
from msnmo.train.job import Job

SMALL = {
    ModelSettings: {"base_channels": 8, "heads": 2},
    UNetSettings: {"channels": [4, 4, 8, 8, 8]},
}
PAPER = [name for name in METHODS if METHODS[name].paper]
# 64 voxels an edge are the least that it takes: a quarter of a minute
WITH_A_NETWORK = [
    pytest.param(method, id=name, marks=[pytest.mark.heavy] * (name == "swin_unetr"))
    for name, method in METHODS.items()
]


OF_EACH_BUILDER = {
    (method.module, method.function): method
    for method in reversed(METHODS.values())
    if method.name != "swin_unetr"
}.values()


def edge(method):
    return 64 if method.settings is SwinUNETRSettings else 32


def settings_of(method):
    return SMALL.get(method.settings, {})


def small(method):
    """The method's network, reduced where its settings allow it."""
    torch.manual_seed(0)
    settings = method.settings.from_mapping(settings_of(method))
    return build_network(method, settings, (edge(method),) * 3)


def test_the_list_imports_no_torch():
    """The workflow reads names and labels; a second of torch each time is not its price."""
    code = (
        "import sys, msnmo.settings.methods; print({'torch', 'monai', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_entries_can_name_files_and_rows(method):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", method.name)
    assert method.label.strip() == method.label != ""
    assert {*map(str, method.tables)} <= set(CAPTIONS)


@pytest.mark.parametrize("method", WITH_A_NETWORK)
def test_networks_predict_what_their_tasks_say(method):
    """And train: each task's loss is there, no other, and the total has a gradient."""
    network = small(method)
    shape = (2, 1, *[edge(method)] * 3)
    outputs = network(torch.randn(shape))
    assert isinstance(outputs, Outputs)
    assert (outputs.lesion_logits is not None) == ("segmentation" in method.tasks)
    assert (outputs.class_logits is not None) == ("classification" in method.tasks)
    lesion = torch.zeros(shape)
    lesion[:, :, 4:8, 4:8, 4:8] = 1
    assert method.has_maps == bool(outputs.features)
    losses = joint_loss(outputs, lesion, torch.tensor([0, 1]), method.loss_weights())
    assert method.tasks <= set(losses) <= {"total", "cross", *method.tasks}
    losses["total"].backward()
    assert all(
        each.grad is not None and each.grad.isfinite().all() for each in network.parameters()
    )


@pytest.mark.parametrize("method", OF_EACH_BUILDER, ids=lambda method: method.name)
def test_what_a_training_writes_is_the_network_that_predicts(method, tmp_path):
    network = small(method)
    job = Job(method.name, 0, 1, Settings.from_mapping({"model": settings_of(method)}, method))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(serialise(job, network))
    run = {"method": method.name, "fold": 0, "size": [edge(method)] * 3}
    run |= {"settings": job.settings.to_json(), "weights_sha256": sha256(path)}
    again = load_model(path, run, torch.device("cpu"))
    assert again.state_dict().keys() == network.state_dict().keys()
    for name, weights in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], weights), name


def test_the_joint_model_is_a_row_of_every_comparison():
    joint = get_method("joint")
    assert joint.label == "Joint Model"
    assert set(joint.tables) >= {3, 4, 5, 6, 7, 8, 9}
    assert joint.tasks == {"segmentation", "classification"}
    assert joint.loss_weights() == LossWeights()


def test_the_papers_nineteen_methods_are_marked_as_such():
    assert len(PAPER) == 19
    assert not {"nnunet_plain", "swin_unetr"} & set(PAPER)


def test_every_row_of_the_papers_tables_is_a_method():
    rows = {(n, label) for n, table in read_reported().items() for label in table}
    of_paper = {n for n, _ in rows}
    named = {(n, METHODS[name].label) for name in PAPER for n in METHODS[name].tables}
    assert rows == {(n, label) for n, label in named if n in of_paper}


def test_losses_are_weighed_where_there_are_two_tasks():
    weights = LossWeights(segmentation=2)
    assert get_method("lgm_add").loss_weights(weights) == weights
    without = get_method("without_cross_loss").loss_weights(weights)
    assert without == LossWeights(segmentation=2, cross=0)
    assert get_method("unet").loss_weights(weights) == LossWeights(1, 1, 0)


def names(method):
    return {name for name, _ in small(get_method(method)).named_parameters()}


def under(method, *prefixes):
    return {name for name in names(method) if name.startswith(prefixes)}


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("only_local", "sharing."),
        ("only_global", "sharing."),
        ("without_sharing", "sharing."),
        ("lgm_none", "guidance."),
        ("lgm_dot", "guidance."),
        ("lgm_concat", "guidance."),
        ("lgm_add", "guidance."),
        ("without_cross_loss", "nothing"),
    ],
)
def test_an_ablation_differs_from_the_joint_model_in_one_part_alone(method, part):
    """By the names of the weights, and by their values at the start of a training."""
    joint, other = small(get_method("joint")).state_dict(), small(get_method(method)).state_dict()
    assert {name for name in joint.keys() ^ other.keys() if not name.startswith(part)} == set()
    for name in joint.keys() - {name for name in joint if name.startswith(part)}:
        torch.testing.assert_close(other[name], joint[name], rtol=0, atol=0)


def test_the_parts_that_differ_are_the_ones_named():
    local = {name.removeprefix("sharing.local_branch.") for name in under("joint", "sharing.local")}
    global_ = {
        name.removeprefix("sharing.global_branch.") for name in under("joint", "sharing.global")
    }
    stems = ("segmentation_stem", "classification_stem")
    of_stems = {f"{stem}.{name}" for stem in stems for name in local}
    assert under("only_local", "sharing.") == {f"sharing.local_branch.{name}" for name in local}
    assert under("only_global", "sharing.") == {
        "sharing.crossover.weight",
        *(f"sharing.global_branch.{name}" for name in global_),
        *(f"sharing.stems.{name}" for name in of_stems),
    }
    assert under("without_sharing", "sharing.") == {f"sharing.{name}" for name in of_stems}
    assert under("lgm_none", "guidance.") == set()
    lesion = {"guidance.lesion.weight", "guidance.lesion.bias"}
    assert under("lgm_dot", "guidance.") == under("lgm_add", "guidance.") == lesion
    assert under("lgm_concat", "guidance.") == under("joint", "guidance.")
    assert under("joint", "guidance.fusion") == under("joint", "guidance.") - lesion


def test_one_task_alone_is_the_joint_models_subnetwork_on_a_stem_like_its_local_branch():
    stem = {
        name.replace("sharing.local_branch", "stem") for name in under("joint", "sharing.local")
    }
    assert names("only_seg") == stem | under("joint", "segmentation.")
    assert names("only_cls") == stem | under("joint", "classification.")


def test_unknown_methods_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"joint[\s\S]*joined"):
        get_method("joined")
