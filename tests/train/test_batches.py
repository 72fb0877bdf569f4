"""Which scans a step sees, in which form, and where they come from."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import torch

from msnmo.settings.methods import METHODS
from msnmo.settings.training import Settings
from msnmo.train.batches import HELD_SHARE, Cohort, ahead, collate, hold, order
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MEGABYTE = 2**20


def _job(seed: int = 1) -> Job:
    return Job("joint", 0, seed, Settings.from_mapping({}, METHODS["joint"]))


def _scans(count: int = 5, edge: int = 16) -> list[TrainingScan]:
    generator = torch.Generator().manual_seed(0)
    scans = []
    for index in range(count):
        image = torch.randn(1, edge, edge, edge, generator=generator)
        scans.append(TrainingScan(f"sub-{index}", index % 2, image, image > 1.5, {}))
    return scans


def test_every_scan_is_seen_once_an_epoch_in_an_order_of_the_epochs_own() -> None:
    scans = _scans()
    orders = []
    for epoch in (1, 2, 3):
        batches = order(_job(), scans, epoch)
        assert [len(batch) for batch in batches] == [2, 2, 1]
        orders.append([scan.scan for batch in batches for scan in batch])
        assert sorted(orders[-1]) == [scan.scan for scan in scans]
    assert orders[0] != orders[1] != orders[2]
    again = [scan.scan for batch in order(_job(), scans, 1) for scan in batch]
    assert again == orders[0]


def test_a_scans_augmentation_does_not_depend_on_its_batch() -> None:
    """It follows from seed, epoch and scan alone, whatever was drawn before."""
    scans, job = _scans(), _job()
    alone = {s.scan: collate(job, [s], 3, CPU) for s in scans}
    torch.rand(7)
    batch = collate(job, scans[::-1], 3, CPU)
    for index, scan in enumerate(batch.scans):
        for name in ("image", "lesion", "label"):
            assert torch.equal(getattr(batch, name)[index], getattr(alone[scan.scan], name)[0])
    other_epoch = collate(job, scans[::-1], 4, CPU)
    other_seed = collate(replace(job, seed=2), scans[::-1], 3, CPU)
    assert not torch.equal(batch.image, other_epoch.image)
    assert not torch.equal(batch.image, other_seed.image)


def test_an_epoch_taken_up_again_gives_the_batches_that_are_left() -> None:
    scans, job = _scans(), _job()
    whole = list(Cohort(scans, CPU).batches(job, 2))
    left = list(Cohort(scans, CPU).batches(job, 2, done=1))
    assert len(left) == len(whole) - 1
    for one, other in zip(left, whole[1:], strict=True):
        assert [scan.scan for scan in one.scans] == [scan.scan for scan in other.scans]
        assert torch.equal(one.image, other.image)


def test_images_held_in_half_the_memory_are_computed_with_in_single_precision() -> None:
    scans, job = _scans(2), _job()
    half = [replace(scan, image=scan.image.half()) for scan in scans]
    single, rounded = (collate(job, each, 1, CPU) for each in (scans, half))
    assert rounded.image.dtype == rounded.lesion.dtype == torch.float32
    torch.testing.assert_close(rounded.image, single.image, atol=3e-3, rtol=1e-3)
    assert torch.equal(rounded.lesion, single.lesion)


def test_the_cpu_takes_scans_as_they_are() -> None:
    scans = _scans(2)
    cohort, said = hold(scans, CPU, "float16")
    assert cohort.scans is scans
    assert (cohort.fetched, said) == (False, "")


def test_scans_that_would_crowd_a_gpu_stay_and_are_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scans = _scans(4, edge=32)
    needed = 4 * 32**3 * (4 + 1)
    free = int(needed / HELD_SHARE) - MEGABYTE
    monkeypatch.setattr("msnmo.train.batches.free_memory", lambda device: free)
    cohort, said = hold(scans, CUDA)
    assert cohort.fetched
    assert cohort.scans is scans
    assert "fetched ahead of each step" in said


def test_what_is_made_ahead_comes_in_order_and_no_more_than_one_early() -> None:
    made, used = [], []

    def make(item: int) -> int:
        made.append(item)
        assert threading.current_thread() is not threading.main_thread()
        return 10 * item

    for value in ahead(range(5), make):
        used.append(value)
        time.sleep(0.01)
        assert len(made) <= len(used) + 1
    assert used == [0, 10, 20, 30, 40]


def test_an_error_of_what_is_made_ahead_is_raised_in_its_place() -> None:
    def make(item: int) -> int:
        if item == 2:
            raise MemoryError("pinned memory")
        return item

    used: list[Any] = []
    with pytest.raises(MemoryError, match="pinned memory"):
        used.extend(ahead(range(5), make))
    assert used == [0, 1]


@pytest.mark.gpu
@pytest.mark.parametrize("share", [1.0, 0.0])
def test_scans_held_on_a_gpu_and_scans_fetched_to_it_are_the_same(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr("msnmo.train.batches.HELD_SHARE", share)
    scans, job = _scans(7), _job()
    cohort, _ = hold(scans, torch.device("cuda", 0))
    assert cohort.fetched == (share == 0)
    pairs = zip(cohort.batches(job, 2), Cohort(scans, CPU).batches(job, 2), strict=True)
    for on_gpu, on_cpu in pairs:
        assert on_gpu.image.is_cuda
        torch.testing.assert_close(on_gpu.image.cpu(), on_cpu.image, atol=1e-3, rtol=0)
        assert torch.equal(on_gpu.label.cpu(), on_cpu.label)
        assert (on_gpu.lesion.cpu() != on_cpu.lesion).float().mean() < 1e-3
