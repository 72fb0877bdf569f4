"""Losses: equations 11 to 14."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msnmo.networks.build import build_network
from msnmo.networks.losses import LossWeights, cross_task_loss, joint_loss, segmentation_loss
from msnmo.networks.outputs import Outputs
from msnmo.settings.baselines import (
    AttentionUNetSettings,
    DynUNetSettings,
    SwinUNETRSettings,
    UNetSettings,
)
from msnmo.settings.methods import METHODS, ModelSettings
from msnmo.settings.training import LossSettings

ETA = (0.25, 0.25, 0.5)
LABEL = torch.tensor([1, 0])
SMALL = {
    ModelSettings: {"base_channels": 4},
    UNetSettings: {"channels": (4, 4, 4, 4, 4)},
    AttentionUNetSettings: {"channels": (4, 4, 4)},
    DynUNetSettings: {"channels": (4, 4, 4, 4), "supervised_levels": 2},
    SwinUNETRSettings: {"feature_size": 12},
}
SEGMENTERS = [name for name, method in METHODS.items() if "segmentation" in method.tasks]


@pytest.fixture
def outputs():
    """Outputs of both tasks with random values that want gradients."""

    def leaf(*shape):
        return torch.randn(*shape, requires_grad=True)

    return Outputs(
        lesion_logits=leaf(2, 1, 16, 16, 16),
        scale_logits=tuple(leaf(2, 1, edge, edge, edge) for edge in (2, 4, 8, 16)),
        class_logits=leaf(2, 2),
        features=tuple(leaf(2, c, n, n, n) for c, n in ((4, 8), (8, 4), (16, 2))),
        class_weights=tuple(leaf(2, channels) for channels in (4, 8, 16)),
    )


@pytest.fixture
def lesion():
    return (torch.rand(2, 1, 16, 16, 16) > 0.9).float()


def dice_loss(probability, mask):
    """Equation 13, sums in place of counts because the prediction is soft; a mean over scans."""
    losses = [
        1 - 2 * (x * y).sum() / (x.sum() + y.sum()) for x, y in zip(probability, mask, strict=True)
    ]
    return np.mean(losses)


def binary_cross_entropy(probability, mask):
    """Mean over voxels of the surprise at the mask."""
    return -np.mean(mask * np.log(probability) + (1 - mask) * np.log(1 - probability))


def relu_max(v):
    return np.maximum(v, 0) / np.maximum(v, 0).max()


def standardised(v):
    return (v - v.mean()) / v.std()


def unchanged(v):
    return v


def class_map(outputs, layer, scan, category, ref):
    """Equation 10."""
    weights = ref.to_numpy(outputs.class_weights[layer])
    return np.tensordot(weights[category], ref.to_numpy(outputs.features[layer])[scan], axes=1)


def map_pairs(outputs, classes, ref):
    """Yield for each scale, coarse to fine, a list of (S_i, V_i) of the scans."""
    for scale, layer in zip(outputs.scale_logits[:3], (2, 1, 0), strict=True):
        yield [
            (ref.to_numpy(scale)[scan, 0], class_map(outputs, layer, scan, category, ref))
            for scan, category in enumerate(classes)
        ]


def cross_loss(outputs, label, normalise, ref, *, segmented=None, eta=ETA):
    """Equation 11, the loops of equation 10 inside."""
    segmented = segmented or ref.sigmoid
    total = 0
    for weight, pairs in zip(eta, map_pairs(outputs, label.tolist(), ref), strict=True):
        total += weight * np.mean([(segmented(s) - normalise(v)) ** 2 for s, v in pairs])
    return total


def gradients(outputs):
    """Return what the segmentation's maps and the localisation's learned, True or False each."""

    def learned(tensors):
        return {each.grad is not None and bool(each.grad.any()) for each in tensors}

    return learned(outputs.scale_logits[:3]), learned((*outputs.features, *outputs.class_weights))


def test_segmentation_loss_is_equation_13(ref, outputs, lesion):
    expected = dice_loss(ref.sigmoid(ref.to_numpy(outputs.lesion_logits)), ref.to_numpy(lesion))
    found = segmentation_loss(outputs.lesion_logits, lesion).item()
    assert found == pytest.approx(expected, abs=1e-6)


def test_segmentation_loss_weighs_scans_alike():
    """A scan of few lesion voxels counts as much as one of many."""
    lesion = torch.zeros(2, 1, 16, 16, 16)
    lesion[0, :, :12] = 1
    lesion[1, :, 0, 0, 0] = 1
    missed = torch.where(lesion > 0, 30.0, -30.0)
    missed[1] = -30
    assert segmentation_loss(missed, lesion).item() == pytest.approx(0.5, abs=1e-4)


@given(st.integers(0, 2**16), st.floats(0, 1))
def test_segmentation_loss_stays_between_0_and_1(seed, share):
    generator = torch.Generator().manual_seed(seed)
    lesion = (torch.rand(1, 1, 4, 4, 4, generator=generator) < share).float()
    logits = 5 * torch.randn(1, 1, 4, 4, 4, generator=generator)
    assert 0 <= segmentation_loss(logits, lesion) <= 1
    assert segmentation_loss(60 * lesion - 30, lesion) < 1e-5


def _slope(logits, lesion, kind):
    """Return how much the loss of a batch asks of each scan: sum of the gradient's magnitudes."""
    logits = logits.clone().requires_grad_()
    segmentation_loss(logits, lesion, kind=kind).backward()
    return logits.grad.abs().sum(dim=(1, 2, 3, 4))


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.9])
def test_what_is_found_in_a_scan_without_lesion_costs_by_cross_entropy_alone(probability):
    """Soft Dice of a scan is 1 whatever is found there; beside a scan with a lesion too."""
    lesion = torch.zeros(2, 1, 32, 32, 32)
    logits = torch.full_like(lesion, probability).logit()
    assert (_slope(logits, lesion, "dice") < 1e-6).all()
    assert (_slope(logits, lesion, "dice_ce") > probability / 3).all()
    lesion[0, :, 8:16, 8:16, 8:16] = 1
    with_lesion, without = _slope(logits, lesion, "dice")
    assert without < 1e-4 * with_lesion
    assert _slope(logits, lesion, "dice_ce")[1] > probability / 3
    # and each step lowers what was found in it
    given = logits.clone().requires_grad_()
    segmentation_loss(given, lesion, kind="dice_ce").backward()
    assert (given.grad[1] > 0).all()


def test_a_scan_without_lesions_gives_a_finite_gradient():
    logits = torch.zeros(1, 1, 8, 8, 8, requires_grad=True)
    segmentation_loss(logits, torch.zeros(1, 1, 8, 8, 8)).backward()
    assert torch.isfinite(logits.grad).all()


def of_blocks(fine, edge, reduce):
    """Return a coarse map of `edge` voxels: of each, what the voxels within come to."""
    step = len(fine) // edge
    found = np.zeros((edge, edge, edge))
    for place in np.ndindex(found.shape):
        block = tuple(slice(step * start, step * (start + 1)) for start in place)
        found[place] = reduce(fine[block])
    return found


def two_way(**values):
    """Return a form of the loss that both tasks learn from, of S_i itself."""
    form = {"cross_segmentation": "probabilities", "cam_normalisation": "relu_max"}
    return LossSettings(**form | {"cross_gradient": "both"} | values)


@pytest.mark.parametrize("side", ["probabilities", "logits"])
@pytest.mark.parametrize("normalisation", ["none", "relu_max", "sigmoid", "standardise"])
def test_cross_task_loss_is_equation_11(ref, outputs, lesion, normalisation, side):
    """Standardised, both sides are; none and logits are the equation as it is printed."""
    normalise = {
        "none": unchanged,
        "relu_max": relu_max,
        "sigmoid": ref.sigmoid,
        "standardise": standardised,
    }[normalisation]
    before = ref.sigmoid if side == "probabilities" else unchanged
    after = standardised if normalisation == "standardise" else unchanged
    expected = cross_loss(outputs, LABEL, normalise, ref, segmented=lambda s: after(before(s)))
    settings = two_way(cam_normalisation=normalisation, cross_segmentation=side)
    found = cross_task_loss(outputs, lesion, LABEL, settings).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_cross_task_loss_is_by_default_of_the_lesion_map_and_teaches_the_localisation(
    ref, outputs, lesion
):
    """The lesion map by its maximum in each block of voxels, both sides standardised."""
    lesion_map = ref.sigmoid(ref.to_numpy(outputs.lesion_logits))
    expected = 0
    for weight, pairs in zip(ETA, map_pairs(outputs, LABEL.tolist(), ref), strict=True):
        of_scans = []
        for scan, (s, v) in enumerate(pairs):
            coarse = of_blocks(lesion_map[scan, 0], len(s), np.max)
            of_scans.append(np.mean((standardised(coarse) - standardised(v)) ** 2))
        expected += weight * np.mean(of_scans)
    found = cross_task_loss(outputs, lesion, LABEL)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert outputs.lesion_logits.grad is None
    assert all(each.grad.any() for each in (*outputs.features, *outputs.class_weights))


def test_standardised_maps_of_one_pattern_are_not_apart(outputs, lesion):
    """What the two sides' units are is of no consequence."""
    coarse = outputs.features[2].detach()[:, :1]
    same = replace(
        outputs,
        scale_logits=(3 * coarse - 5, *outputs.scale_logits[1:]),
        features=(*outputs.features[:2], coarse),
        class_weights=(*outputs.class_weights[:2], torch.full((2, 1), 0.1)),
    )
    settings = two_way(eta=(1, 0, 0), cam_normalisation="standardise", cross_segmentation="logits")
    assert cross_task_loss(same, lesion, LABEL, settings).item() == pytest.approx(0, abs=1e-8)


def test_eta_runs_from_coarse_to_fine(ref, outputs, lesion):
    eta = (0.1, 0.7, 0.3)
    expected = cross_loss(outputs, LABEL, relu_max, ref, eta=eta)
    found = cross_task_loss(outputs, lesion, LABEL, two_way(eta=eta)).item()
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_scale_alone_teaches_its_own_maps(outputs, lesion, place):
    """The first of eta is that of 1/8 of the scan's size: S_1 and V_3."""
    eta = tuple(float(index == place) for index in range(3))
    cross_task_loss(outputs, lesion, LABEL, two_way(eta=eta)).backward()
    of_scales = [bool(each.grad.any()) for each in outputs.scale_logits[:3]]
    of_features = [bool(each.grad.any()) for each in reversed(outputs.features)]
    assert of_scales == of_features == [index == place for index in range(3)]
    assert outputs.scale_logits[place].shape == (2, 1, *outputs.features[2 - place].shape[2:])


def test_a_sum_is_the_mean_times_the_voxels_of_a_scan(outputs, lesion):
    for place, edge in enumerate((2, 4, 8)):
        eta = tuple(float(index == place) for index in range(3))
        mean = cross_task_loss(outputs, lesion, LABEL, two_way(eta=eta))
        total = cross_task_loss(outputs, lesion, LABEL, two_way(eta=eta, cross_reduction="sum"))
        torch.testing.assert_close(total, edge**3 * mean)


def test_a_sum_runs_over_voxels_and_is_a_mean_over_scans(ref, outputs, lesion):
    expected = 0
    for weight, pairs in zip(ETA, map_pairs(outputs, LABEL.tolist(), ref), strict=True):
        sums = [((ref.sigmoid(s) - relu_max(v)) ** 2).sum() for s, v in pairs]
        expected += weight * np.mean(sums)
    found = cross_task_loss(outputs, lesion, LABEL, two_way(cross_reduction="sum"))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def balanced(squared, inside):
    """Half of what lesion has on average, half of what background has."""
    if inside.all() or not inside.any():
        return squared.mean()
    return squared[inside].mean() / 2 + squared[~inside].mean() / 2


def balanced_cross_loss(outputs, mask, ref):
    total = 0
    for weight, pairs in zip(ETA, map_pairs(outputs, LABEL.tolist(), ref), strict=True):
        of_scans = []
        for scan, (s, v) in enumerate(pairs):
            squared = (ref.sigmoid(s) - relu_max(v)) ** 2
            inside = of_blocks(ref.to_numpy(mask)[scan, 0], len(s), np.max) > 0
            of_scans.append(balanced(squared, inside))
        total += weight * np.mean(of_scans)
    return total


@pytest.mark.parametrize("second", ["none", "all", "a corner"])
def test_balance_weighs_lesion_and_background_equally(ref, outputs, second):
    """Scan by scan; one without lesion, or without background, is weighed as it is."""
    lesion = torch.zeros(2, 1, 16, 16, 16)
    lesion[0, :, 3:9, 2:5, 10:13] = 1
    if second == "all":
        lesion[1] = 1
    elif second == "a corner":
        lesion[1, :, 0, 0, 0] = 1
    expected = balanced_cross_loss(outputs, lesion, ref)
    settings = two_way(cross_balance=True)
    found = cross_task_loss(outputs, lesion, LABEL, settings)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert all(torch.isfinite(each.grad).all() for each in outputs.scale_logits[:3])


def test_without_balance_the_mask_is_not_read(outputs, lesion):
    found = [cross_task_loss(outputs, each, LABEL, two_way()) for each in (lesion, 1 - lesion)]
    assert torch.equal(*found)
    settings = two_way(cross_balance=True)
    assert not torch.equal(cross_task_loss(outputs, lesion, LABEL, settings), found[0])


def test_balance_holds_for_a_sum_too(ref, outputs, lesion):
    for place, edge in enumerate((2, 4, 8)):
        eta = tuple(float(index == place) for index in range(3))
        settings = two_way(eta=eta, cross_balance=True)
        mean = cross_task_loss(outputs, lesion, LABEL, settings)
        settings = two_way(eta=eta, cross_balance=True, cross_reduction="sum")
        torch.testing.assert_close(
            cross_task_loss(outputs, lesion, LABEL, settings), edge**3 * mean
        )


def test_maps_of_the_predicted_class_are_compared(ref, outputs, lesion):
    """Of a scan that is taken for the other class, that one's."""
    wrong_and_right = replace(outputs, class_logits=torch.tensor([[2.0, -1.0], [0.5, 0.0]]))
    expected = cross_loss(outputs, torch.tensor([0, 0]), relu_max, ref)
    settings = two_way(cam_class="predicted")
    found = cross_task_loss(wrong_and_right, lesion, LABEL, settings).item()
    assert found == pytest.approx(expected, rel=1e-5)
    assert found != pytest.approx(cross_loss(outputs, LABEL, relu_max, ref), rel=1e-3)


@pytest.mark.parametrize("normalisation", ["relu_max", "none"])
def test_maps_of_the_difference_are_the_true_class_less_the_other(
    ref, outputs, lesion, normalisation
):
    normalise = relu_max if normalisation == "relu_max" else unchanged
    own = map_pairs(outputs, LABEL.tolist(), ref)
    other = map_pairs(outputs, (1 - LABEL).tolist(), ref)
    expected = 0
    for weight, ours, theirs in zip(ETA, own, other, strict=True):
        squares = [
            (ref.sigmoid(s) - normalise(v - w)) ** 2
            for (s, v), (_, w) in zip(ours, theirs, strict=True)
        ]
        expected += weight * np.mean(squares)
    settings = two_way(cam_class="difference", cam_normalisation=normalisation)
    found = cross_task_loss(outputs, lesion, LABEL, settings).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_cross_task_loss_teaches_both_tasks(outputs, lesion):
    cross_task_loss(outputs, lesion, LABEL, two_way()).backward()
    assert gradients(outputs) == ({True}, {True})
    assert outputs.scale_logits[3].grad is None


@pytest.mark.parametrize("normalisation", ["none", "relu_max", "sigmoid", "standardise"])
@pytest.mark.parametrize(
    ("side", "taught"),
    [("segmentation", ({True}, {False})), ("localisation", ({False}, {True}))],
)
def test_cross_task_loss_teaches_one_side_where_it_is_told_to(
    outputs, lesion, side, taught, normalisation
):
    settings = two_way(cross_gradient=side, cam_normalisation=normalisation)
    cross_task_loss(outputs, lesion, LABEL, settings).backward()
    assert gradients(outputs) == taught


def test_which_side_learns_does_not_change_the_loss(outputs, lesion):
    found = {
        cross_task_loss(outputs, lesion, LABEL, two_way(cross_gradient=side)).item()
        for side in ("both", "localisation", "segmentation")
    }
    assert len(found) == 1


def test_joint_loss_is_equations_12_and_14(ref, outputs, lesion):
    losses = joint_loss(outputs, lesion, LABEL, settings=two_way())
    probability = ref.softmax(ref.to_numpy(outputs.class_logits))[:, 1]
    y = ref.to_numpy(LABEL)
    expected = {
        "segmentation": dice_loss(
            ref.sigmoid(ref.to_numpy(outputs.lesion_logits)), ref.to_numpy(lesion)
        ),
        "classification": -np.mean(y * np.log(probability) + (1 - y) * np.log(1 - probability)),
        "cross": cross_loss(outputs, LABEL, relu_max, ref),
    }
    expected["total"] = (
        expected["segmentation"] + 0.8 * expected["classification"] + expected["cross"]
    )
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        expected, abs=1e-6
    )


def test_weights_are_applied(outputs, lesion):
    weights = LossWeights(segmentation=2, classification=3, cross=5)
    settings = two_way(eta=(1, 0, 0), cam_normalisation="sigmoid")
    losses = joint_loss(outputs, lesion, LABEL, weights, settings=settings)
    plain = joint_loss(outputs, lesion, LABEL)
    coarse = cross_task_loss(outputs, lesion, LABEL, settings)
    expected = 2 * plain["segmentation"] + 3 * plain["classification"] + 5 * coarse
    torch.testing.assert_close(losses["total"], expected)


def test_dice_ce_is_dice_plus_binary_cross_entropy(ref, outputs, lesion):
    """With deep supervision, a level of half the weight of the finer one."""
    mask, expected = ref.to_numpy(lesion), 0
    levels = [outputs.lesion_logits, *torch.randn(2, 2, 1, 16, 16, 16)]
    for level, logits in enumerate(levels):
        probability = ref.sigmoid(ref.to_numpy(logits))
        both = dice_loss(probability, mask) + binary_cross_entropy(probability, mask)
        expected += both / 2**level
    found = segmentation_loss(levels[0], lesion, tuple(levels[1:]), "dice_ce").item()
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "name",
    # 64 voxels an edge are the least that Swin UNETR takes
    [pytest.param(n, marks=[pytest.mark.heavy] * (n == "swin_unetr")) for n in SEGMENTERS],
)
def test_dice_ce_is_the_same_loss_for_every_method(ref, name):
    """Of the joint model, its ablations and all that they are compared with."""
    method = METHODS[name]
    settings = method.settings(**SMALL.get(method.settings, {}))
    edge = 64 if method.settings is SwinUNETRSettings else 32
    lesion = (torch.rand(2, 1, edge, edge, edge) > 0.9).float()
    with torch.no_grad():
        outputs = build_network(method, settings, (edge,) * 3)(torch.randn(2, 1, edge, edge, edge))
    assert len(outputs.supervised_logits) == (2 if name == "nnunet_plain" else 0)
    mask, expected = ref.to_numpy(lesion), {"dice": 0, "dice_ce": 0}
    for level, logits in enumerate([outputs.lesion_logits, *outputs.supervised_logits]):
        probability = ref.sigmoid(ref.to_numpy(logits))
        dice, surprise = dice_loss(probability, mask), binary_cross_entropy(probability, mask)
        expected["dice"] += dice / 2**level
        expected["dice_ce"] += (dice + surprise) / 2**level
    given = (outputs, lesion, LABEL, method.loss_weights())
    found = {kind: joint_loss(*given, segmentation=kind) for kind in expected}
    for kind, losses in found.items():
        assert losses["segmentation"].item() == pytest.approx(expected[kind], abs=1e-5)
    added = expected["dice_ce"] - expected["dice"]
    change = found["dice_ce"]["total"] - found["dice"]["total"]
    assert change.item() == pytest.approx(added, abs=1e-4)


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ({"class_logits": None, "features": (), "class_weights": ()}, {"segmentation"}),
        ({"lesion_logits": None, "scale_logits": ()}, {"classification"}),
        ({"scale_logits": ()}, {"segmentation", "classification"}),
    ],
)
def test_losses_follow_the_tasks(outputs, lesion, missing, names):
    losses = joint_loss(replace(outputs, **missing), lesion, LABEL)
    assert set(losses) == {"total", *names}


def test_without_cross_task_loss_the_rest_is_unchanged(outputs, lesion):
    without = joint_loss(outputs, lesion, LABEL, LossWeights(cross=0))
    plain = joint_loss(outputs, lesion, LABEL)
    assert set(without) == {"total", "segmentation", "classification"}
    torch.testing.assert_close(without["total"], plain["total"] - plain["cross"])


def test_losses_are_float32_under_autocast(outputs, lesion):
    half = Outputs(
        lesion_logits=outputs.lesion_logits.bfloat16(),
        scale_logits=tuple(each.bfloat16() for each in outputs.scale_logits),
        class_logits=outputs.class_logits.bfloat16(),
        features=tuple(each.bfloat16() for each in outputs.features),
        class_weights=outputs.class_weights,
    )
    plain = joint_loss(half, lesion, LABEL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = joint_loss(half, lesion, LABEL)
    assert {value.dtype for value in losses.values()} == {torch.float32}
    torch.testing.assert_close(losses, plain)
