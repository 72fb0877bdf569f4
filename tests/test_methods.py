"""The list of methods."""

import re
import subprocess
import sys

import pytest
import torch

from msnmo.errors import InputError
from msnmo.methods import METHODS, LossWeights, Method, ModelSettings, get_method
from msnmo.networks.losses import joint_loss
from msnmo.networks.outputs import Outputs

SMALL = ModelSettings(base_channels=8, heads=2)


def test_the_list_imports_no_torch():
    """The workflow reads names and labels; a second of torch each time is not its price."""
    code = "import sys, msnmo.methods; print({'torch', 'monai', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_entries_can_name_files_and_rows(method):
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", method.name)
    assert method.label.strip() == method.label != ""
    assert set(method.tables) <= set(range(3, 10))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_networks_predict_what_their_tasks_say(method):
    """And train: each task's loss is there, no other, and the total has a gradient."""
    torch.manual_seed(0)
    network = method.build(SMALL, (32, 32, 32))
    outputs = network(torch.randn(2, 1, 32, 32, 32))
    assert isinstance(outputs, Outputs)
    assert (outputs.lesion_logits is not None) == ("segmentation" in method.tasks)
    assert (outputs.class_logits is not None) == ("classification" in method.tasks)
    lesion = torch.zeros(2, 1, 32, 32, 32)
    lesion[:, :, 4:8, 4:8, 4:8] = 1
    losses = joint_loss(outputs, lesion, torch.tensor([0, 1]), method.loss_weights())
    assert method.tasks <= set(losses) <= {"total", "cross", *method.tasks}
    losses["total"].backward()


def test_the_joint_model_is_a_row_of_every_comparison():
    joint = get_method("joint")
    assert joint.label == "Joint Model"
    assert joint.tables == (3, 4, 5, 6, 7, 8, 9)
    assert joint.tasks == {"segmentation", "classification"}
    assert joint.loss_weights() == LossWeights()


def test_a_method_may_go_without_the_cross_task_loss():
    method = Method("x", "X", frozenset(), (9,), get_method("joint").build, cross_task_loss=False)
    assert method.loss_weights(LossWeights(segmentation=2)) == LossWeights(segmentation=2, cross=0)


def test_unknown_methods_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"joint[\s\S]*joined"):
        get_method("joined")
