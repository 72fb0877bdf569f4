"""The joint model as a whole."""

import resource
import time

import pytest
import torch

from msnmo.core.errors import InputError
from msnmo.networks.joint import build_joint_model
from msnmo.networks.losses import joint_loss
from msnmo.settings.model import ModelSettings
from msnmo.settings.training import LossSettings

SMALL = ModelSettings(base_channels=8, heads=2)
CUBE = (32, 32, 32)


def build(seed=0, settings=SMALL, size=CUBE, **variant):
    torch.manual_seed(seed)
    return build_joint_model(settings, size, **variant)


def batch(size=CUBE):
    """Two noisy scans, one with a bright lesion at one place, one with two at others."""
    generator = torch.Generator().manual_seed(1)
    lesion = torch.zeros(2, 1, *size)
    lesion[0, :, 8:14, 8:14, 8:14] = 1
    lesion[1, :, 20:25, 6:12, 18:24] = 1
    lesion[1, :, 4:8, 22:28, 8:12] = 1
    image = 0.5 * torch.randn(2, 1, *size, generator=generator) + 3 * lesion
    return image, lesion, torch.tensor([0, 1])


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("size", [(32, 32, 32), (48, 48, 48), (32, 48, 64)])
def test_shapes(size):
    outputs = build(size=size)(torch.randn(2, 1, *size))
    assert outputs.lesion_logits.shape == (2, 1, *size)
    assert outputs.class_logits.shape == (2, 2)
    for scale, factor in zip(outputs.scale_logits, (8, 4, 2, 1), strict=True):
        assert scale.shape == (2, 1, *(edge // factor for edge in size))
    for maps, width, factor in zip(outputs.features, (16, 32, 64), (2, 4, 8), strict=True):
        assert maps.shape == (2, width, *(edge // factor for edge in size))
    assert outputs.lesion_probability.min() >= 0
    assert outputs.lesion_probability.max() <= 1


def test_sub_networks_are_joined_as_in_figure_3():
    """Each task works on its own shared features; the lesion map guides classification."""
    model, taken, given = build(), {}, {}
    for name, part in model.named_children():
        part.register_forward_pre_hook(lambda _, x, name=name: taken.update({name: x}))
        part.register_forward_hook(lambda _, __, y, name=name: given.update({name: y}))
    image, *_ = batch()
    outputs = model(image)
    f_seg, f_cls = given["sharing"]
    assert taken["sharing"] == (image,)
    assert taken["segmentation"][0] is f_seg
    torch.testing.assert_close(taken["guidance"][0], outputs.lesion_probability)
    assert taken["guidance"][1] is f_cls
    assert taken["classification"][0] is given["guidance"]
    assert (outputs.lesion_logits, outputs.scale_logits) == given["segmentation"]
    assert (outputs.class_logits, outputs.features) == given["classification"]


def test_parameter_counts_at_full_size():
    """About 0.10, 1.95 and 3.56 million, 5.6 million together."""
    model = build(settings=ModelSettings(), size=(160, 160, 160))
    counts = {name: parameters(part) for name, part in model.named_children()}
    assert counts == {
        "sharing": 104_078,
        "segmentation": 1_954_340,
        "guidance": 30_684,
        "classification": 3_529_794,
    }


@pytest.mark.parametrize("size", [(40, 48, 48), (0, 16, 16), (48, 48)])
def test_sizes_that_cannot_be_halved_are_refused(size):
    with pytest.raises(InputError, match="divisible by 16"):
        build(size=size)


def test_one_seed_makes_one_model():
    """Same weights, same losses, same gradients, to the last bit; another seed, another model."""
    runs = []
    for seed in (3, 3, 4):
        model = build(seed)
        image, lesion, label = batch()
        total = joint_loss(model(image), lesion, label)["total"]
        total.backward()
        tensors = [total, *(p for p in model.parameters()), *(p.grad for p in model.parameters())]
        runs.append([tensor.detach().numpy().tobytes() for tensor in tensors])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("variant", ["none", "dot", "concat", "add"])
def test_guidance_variants_leave_the_other_parts_alone(variant):
    """An ablation starts from the joint model's weights in every part that it does not change."""

    def others(model):
        return {
            name: value.numpy().tobytes()
            for name, value in model.state_dict().items()
            if not name.startswith("guidance.")
        }

    assert others(build(guidance=variant)) == others(build())


@pytest.mark.parametrize(
    ("side", "segmentation"), [("localisation", set()), ("both", {"segmentation"})]
)
def test_cross_task_loss_reaches_what_it_is_to_teach(side, segmentation):
    """By default the localisation, and what it shares with the segmentation."""
    model = build()
    image, lesion, label = batch()
    settings = LossSettings(cross_gradient=side)
    joint_loss(model(image), lesion, label, settings=settings)["cross"].backward()
    reached = {
        name.split(".")[0]
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().max() > 0
    }
    assert reached == {"sharing", "guidance", "classification"} | segmentation


def taught_by_classification(guidance_gradient):
    """Return the sub-networks that the classification's loss reaches."""
    model = build(settings=SMALL.model_copy(update={"guidance_gradient": guidance_gradient}))
    image, lesion, label = batch()
    joint_loss(model(image), lesion, label)["classification"].backward()
    return {
        name.split(".")[0]
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


def test_classification_teaches_segmentation_through_the_lesion_map():
    everything = {"sharing", "segmentation", "guidance", "classification"}
    assert taught_by_classification("through") == everything


def test_a_detached_lesion_map_guides_and_does_not_learn():
    everything_else = {"sharing", "guidance", "classification"}
    assert taught_by_classification("detached") == everything_else


def test_detaching_the_lesion_map_changes_no_output_and_no_weight():
    models = [
        build(settings=SMALL.model_copy(update={"guidance_gradient": gradient}))
        for gradient in ("through", "detached")
    ]
    image, *_ = batch()
    with torch.no_grad():
        through, detached = (model(image) for model in models)
    assert torch.equal(through.class_logits, detached.class_logits)
    assert torch.equal(through.lesion_logits, detached.lesion_logits)


def test_the_image_skip_leaves_the_start_of_every_other_tensor_as_it_is():
    plain = build().state_dict()
    skipping = build(settings=SMALL.model_copy(update={"image_skip": True})).state_dict()
    same = plain.keys() - {"segmentation.expand_3.decode.0.conv.weight"}
    assert plain.keys() == skipping.keys()
    assert len(same) == len(plain) - 1
    assert [name for name in same if not torch.equal(plain[name], skipping[name])] == []


def test_every_parameter_is_trained():
    model = build(size=(48, 48, 48))
    image, lesion, label = batch((48, 48, 48))
    joint_loss(model(image), lesion, label)["total"].backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_a_few_steps_fit_one_batch():
    """Both tasks are learnt: the lesions are found and the scans told apart."""
    model = build().to(memory_format=torch.channels_last_3d)  # the quicker at 8 channels
    image, lesion, label = batch()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = []
    for _ in range(20):
        losses = joint_loss(model(image), lesion, label)
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        history.append({name: value.item() for name, value in losses.items()})
    assert history[-1]["total"] < 0.5 * history[0]["total"]
    assert history[-1]["segmentation"] < 0.5
    assert history[-1]["classification"] < 0.3
    assert history[-1]["cross"] < 0.3


def test_batch_members_do_not_see_each_other():
    """No norm over the batch: a scan's prediction does not depend on the one beside it."""
    model = build()
    image, *_ = batch()
    with torch.no_grad():
        together, alone = model(image), model(image[:1])
    torch.testing.assert_close(together.lesion_logits[:1], alone.lesion_logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(together.class_logits[:1], alone.class_logits, atol=1e-4, rtol=0)


def test_channels_last_and_autocast_change_no_more_than_rounding():
    model = build()
    image, lesion, label = batch()
    plain = joint_loss(model(image), lesion, label)
    model.to(memory_format=torch.channels_last_3d)
    image = image.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(joint_loss(model(image), lesion, label), plain, atol=1e-4, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model(image)
        rounded = joint_loss(outputs, lesion, label)
    assert outputs.lesion_logits.dtype == outputs.class_logits.dtype == torch.float32
    torch.testing.assert_close(rounded, plain, atol=0.03, rtol=0)
    rounded["total"].backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.gpu
def test_cuda_step_in_bfloat16():
    model = build().cuda().to(memory_format=torch.channels_last_3d)
    plain = build()
    image, lesion, label = batch()
    expected = joint_loss(plain(image), lesion, label)["total"].item()
    image = image.cuda().to(memory_format=torch.channels_last_3d)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        losses = joint_loss(model(image), lesion.cuda(), label.cuda())
    losses["total"].backward()
    assert losses["total"].item() == pytest.approx(expected, abs=0.03)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.heavy
def test_one_step_at_full_size(capsys):
    """Batch 1 at 160^3 on a CPU: shapes of the paper, and what a step costs."""
    model = build(settings=ModelSettings(), size=(160, 160, 160))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    image = torch.randn(1, 1, 160, 160, 160)
    lesion = (torch.rand(1, 1, 160, 160, 160) > 0.99).float()
    started = time.perf_counter()
    outputs = model(image)
    forward = time.perf_counter() - started
    assert outputs.lesion_logits.shape == (1, 1, 160, 160, 160)
    assert [each.shape[-1] for each in outputs.scale_logits] == [20, 40, 80, 160]
    shapes = [tuple(each.shape[1:3]) for each in outputs.features]
    assert shapes == [(64, 80), (128, 40), (256, 20)]
    losses = joint_loss(outputs, lesion, torch.tensor([1]))
    losses["total"].backward()
    optimiser.step()
    step = time.perf_counter() - started
    assert torch.isfinite(losses["total"])
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with capsys.disabled():
        print(
            f"\n{parameters(model):,} parameters, forward {forward:.1f} s, step {step:.1f} s, "
            f"peak {gigabytes:.1f} GB, {torch.get_num_threads()} threads"
        )
