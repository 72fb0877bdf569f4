"""Sums of losses, read once; and which scans a value that is not finite came from."""

from __future__ import annotations

import pytest
import torch

from msnmo.core.errors import MsnmoError
from msnmo.settings.methods import METHODS
from msnmo.settings.training import Settings
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job
from msnmo.train.tally import Tally

CPU = torch.device("cpu")
JOB = Job("joint", 0, 1, Settings.from_mapping({}, METHODS["joint"]))
NONE = torch.zeros(1, 1, 1, 1)


def _scans(*names: str) -> list[TrainingScan]:
    return [TrainingScan(name, 0, NONE, NONE > 0, {}) for name in names]


def _unread() -> Tally:
    """A tally that is read when asked, as on CUDA."""
    tally = Tally(JOB, 3, CPU, {})
    tally._waits = True
    return tally


def _add(tally: Tally, value: float, *names: str) -> None:
    tally.add({"total": torch.tensor(value), "cross": torch.tensor(1.0)}, _scans(*names))


@pytest.mark.parametrize("tally", [Tally(JOB, 3, CPU, {}), _unread()])
def test_losses_are_summed_over_scans_in_double_precision(tally: Tally) -> None:
    values = (0.1, 0.7, 0.3)
    for value in values:
        _add(tally, value, "sub-1", "sub-2")
    _add(tally, 0.9, "sub-3")
    expected = sum(torch.tensor(value).item() * 2 for value in values) + torch.tensor(0.9).item()
    assert tally.sums() == {"total": expected, "cross": 7.0}


def test_sums_of_an_interrupted_epoch_are_gone_on_from() -> None:
    whole, first = _unread(), _unread()
    for tally in (whole, first):
        _add(tally, 0.1, "sub-1", "sub-2")
    second = Tally(JOB, 3, CPU, first.sums())
    for tally in (whole, second):
        _add(tally, 0.7, "sub-3")
    assert second.sums() == whole.sums()


def test_an_epoch_without_a_batch_has_no_sums() -> None:
    assert _unread().sums() == {}


def test_the_first_batch_that_is_not_finite_is_named_when_it_is_read() -> None:
    tally = _unread()
    _add(tally, 0.5, "sub-1", "sub-2")
    for value, name in ((float("inf"), "sub-3"), (float("nan"), "sub-4")):
        _add(tally, value, name)
    with pytest.raises(MsnmoError, match="in epoch 3, at scan sub-3\n"):
        tally.sums()


def test_where_reading_costs_nothing_a_lost_training_stops_at_once() -> None:
    with pytest.raises(MsnmoError, match="at scans sub-1, sub-2"):
        _add(Tally(JOB, 3, CPU, {}), float("nan"), "sub-1", "sub-2")


@pytest.mark.parametrize(("precision", "told"), [("bfloat16", True), ("float32", False)])
def test_who_trains_in_bfloat16_is_told_of_float32(precision: str, told: bool) -> None:
    settings = Settings.from_mapping({"train": {"precision": precision}}, METHODS["vnet"])
    tally = Tally(Job("vnet", 0, 1, settings), 1, CPU, {})
    with pytest.raises(MsnmoError, match=r"train\.learning_rate") as error:
        _add(tally, float("nan"), "sub-1")
    assert ("set train.precision to float32" in str(error.value)) == told
