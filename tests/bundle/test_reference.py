"""A reference pass admits other processors and threads, and no other network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from msnmo.bundle.reference import SHAPE, difference, reference_image, reference_pass
from msnmo.networks.build import build_network
from msnmo.settings.methods import get_method
from msnmo.settings.model import ModelSettings

SETTINGS = ModelSettings(base_channels=8)


def _network(name: str, size: int = 32) -> nn.Module:
    torch.manual_seed(3)
    return build_network(get_method(name), SETTINGS, (size,) * 3).eval()


@pytest.fixture(scope="module")
def joint() -> nn.Module:
    return _network("joint", size=160)


def test_the_made_up_scan_is_as_varied_as_a_scan_and_always_the_same() -> None:
    image = reference_image()
    assert image.shape == SHAPE
    assert abs(image.mean()) < 0.1
    assert 0.8 < image.std() < 1.5
    expected = np.sin(0.9 * 5 + 0.4 * 7) + np.cos(0.5 * 7 - 1.1 * 9) + np.sin(0.07 * 35 + 2.7)
    assert image[5, 7, 9] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("joint", ["lesion_logits", "class_logits", "evidence_ms", "evidence_nmosd"]),
        ("only_seg", ["lesion_logits"]),
        ("only_cls", ["class_logits", "evidence_ms", "evidence_nmosd"]),
    ],
)
def test_what_a_method_predicts_is_told(name: str, told: list[str]) -> None:
    assert list(reference_pass(_network(name))) == told


@pytest.mark.parametrize("name", ["densenet121", "swin_unetr"])
def test_networks_of_five_halvings_take_the_made_up_scan(name: str) -> None:
    method = get_method(name)
    model = build_network(method, method.settings(), (64, 64, 64)).eval()
    for numbers in reference_pass(model).values():
        assert np.isfinite(numbers).all()


def test_evidence_adds_up_to_the_class_logits(joint: nn.Module) -> None:
    told = reference_pass(joint)
    means = [told["evidence_ms"][0], told["evidence_nmosd"][0]]
    assert np.add(means, joint.class_bias.tolist()) == pytest.approx(told["class_logits"], abs=1e-3)


def test_another_library_and_another_number_of_threads_are_admitted(
    joint: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = reference_pass(joint)
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    torch.set_num_threads(threads + 1)
    try:
        other = reference_pass(joint)
    finally:
        torch.set_num_threads(threads)
    assert other != told
    assert not difference(told, other)


def _nearest(maps: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    return functional.interpolate(maps, size=size, mode="nearest")


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("msnmo.networks.segmentation.SCALE_WEIGHTS", (0.25, 0.25, 0.5, 0.99)),
        ("msnmo.networks.localisation.upsample", _nearest),
    ],
)
def test_changed_code_is_told_from_rounding(
    joint: nn.Module, changed: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = reference_pass(joint)
    monkeypatch.setattr(changed, value)
    assert difference(told, reference_pass(joint))


def test_windows_that_are_shifted_no_more_are_told(
    joint: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = reference_pass(joint)
    second = joint.sharing.global_branch.transformer.blocks[1]
    monkeypatch.setattr(second, "shift_size", (0, 0, 0))
    assert difference(told, reference_pass(joint))


def test_what_is_no_number_or_not_there_differs() -> None:
    told = {"class_logits": [1.0, 2.0]}
    assert not difference(told, {"class_logits": [1.0005, 2.0]})
    assert "1.1 2 instead of 1 2" in difference(told, {"class_logits": [1.1, 2.0]})
    assert difference(told, {"class_logits": [float("nan"), 2.0]})
    assert difference({"class_logits": [float("nan"), 2.0]}, told)
    assert difference({"class_logits": [float("inf"), 2.0]}, told)
    assert difference(told, {"class_logits": [1.0]})
    assert difference(told, {"lesion_logits": [1.0, 2.0]})
