"""What is no number is named with its tensor."""

from __future__ import annotations

import pytest
import torch

from msnmo.networks.finite import not_finite, outputs_not_finite
from msnmo.networks.outputs import Outputs


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_tensor_is_named_and_its_numbers_counted(value: float, dtype: torch.dtype) -> None:
    wrong = torch.zeros(2, 3, dtype=dtype)
    wrong[1, 2] = value
    tensors = {"sound": torch.ones(4), "count": torch.tensor(7), "head.bias": wrong}
    assert not_finite(tensors) == "NaN or infinity in 1 of 6 numbers of head.bias"
    two = tensors | {"head.weight": wrong}
    assert not_finite(two).endswith("of head.bias, and 1 more tensors")


def test_numbers_are_finite() -> None:
    largest = torch.tensor([torch.finfo(torch.float32).max, -0.0])
    assert not not_finite({"largest": largest, "whole": torch.tensor([2**62])})
    assert not outputs_not_finite(Outputs())


def test_each_output_that_is_believed_is_looked_at() -> None:
    nan = torch.full((1, 2), float("nan"))
    assert "lesion_logits" in outputs_not_finite(Outputs(lesion_logits=nan))
    assert "class_logits" in outputs_not_finite(Outputs(class_logits=nan))
    assert "features 2" in outputs_not_finite(Outputs(features=(torch.ones(1, 2), nan)))
