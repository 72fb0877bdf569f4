"""A training step of msnmo, compared with plain PyTorch, and the cost of its loader.

msnmo: the step on a batch that is on the device (on CUDA bfloat16, channels last, fused Adam).
plain fp32: the same network and losses in eager float32, contiguous, with torch's own Adam and
torch's defaults (TF32 in convolutions). Losses are read at each step.
with loader: the step on batches of the training loop, which are held on the GPU and augmented.
fetched: the same, but scans are fetched ahead from the computer's memory.
untuned: the step without the trials of convolutions by cuDNN, which make the first step slow.
torch's norm: the step with torch's instance norm, which copies channels last to channels first.
compiled, checkpointed: with compute.compile, with compute.gradient_checkpointing.
MONAI's loop: a network of MONAI in the loop of its tutorials: Dataset, RandFlipd and RandRotated,
DataLoader, DiceLoss, float32.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import nn

from msnmo.benchmark.sheet import (
    Clock,
    OutOfTime,
    Sheet,
    add_arguments,
    add_methods,
    seconds_each,
    table,
)
from msnmo.compute.device import device_name, is_full, move, pick_device, precision, prepare
from msnmo.compute.options import add_arguments as add_device
from msnmo.core.command import program
from msnmo.core.errors import run_command
from msnmo.core.provenance import git_state, versions
from msnmo.evaluate.complexity import measure
from msnmo.networks import norm
from msnmo.networks.losses import joint_loss
from msnmo.settings.config import complete_config, method_settings
from msnmo.settings.methods import METHODS, get_method
from msnmo.settings.training import Settings
from msnmo.train.batches import Batch, Cohort, collate, hold
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job, Running, loss_weights
from msnmo.train.loop import fresh_model
from msnmo.train.step import Step
from msnmo.train.tally import Tally

WAYS = (
    *("msnmo", "plain fp32", "with loader", "fetched"),
    *("untuned", "compiled", "checkpointed", "torch's norm", "MONAI's loop"),
)
UNTUNED = ("plain fp32", "untuned", "MONAI's loop")
"""Ways that use torch's defaults."""
PAPERS = tuple(name for name, method in METHODS.items() if method.paper)
BATCHES = 3
"""Number of batches of different scans for measuring the loader."""
FORWARD_AND_BACKWARD = 3
"""Operations of a step, relative to its forward pass. The backward pass has twice as many."""
GIB = 2**30
OF_CUDA = ("fetched", "untuned", "compiled", "torch's norm")
"""Ways that make a difference only on CUDA."""
Take = Callable[[], object]


class Bench:
    """What is measured: one method's step at one size on one device.

    Parameters
    ----------
    name : str
        Method.
    size : int
        Voxels a side.
    batch_size : int
    device : torch.device
    """

    def __init__(self, name: str, size: int, batch_size: int, device: torch.device):
        self.size, self.device = size, device
        settings = method_settings(complete_config({}), name)
        settings["train"] |= {"batch_size": batch_size}
        self.job = Job(name, 0, 0, Settings.from_mapping(settings, get_method(name)))
        self.weights = loss_weights(self.job, 1)
        self.gflop = float(measure(name, settings["model"], (size,) * 3)["gflop"])

    def way(self, how: str) -> Take:
        """Return a function that takes one step in a way of `WAYS`."""
        match how:
            case "plain fp32":
                return self._plain()
            case "MONAI's loop":
                return self._monai()
            case "compiled":
                return self._ours(Running(compile=True))
            case "checkpointed":
                return self._ours(Running(gradient_checkpointing=True))
            case "with loader" | "fetched":
                return self._loop(fetched=how == "fetched")
        return self._ours(Running())

    def _scans(self, batches: int = 1) -> list[TrainingScan]:
        generator = torch.Generator().manual_seed(0)
        count = batches * self.job.settings.train.batch_size
        images = [torch.randn(1, *(self.size,) * 3, generator=generator) for _ in range(count)]
        return [
            TrainingScan(f"sub-{index}", index % 2, image, image > 2.5, {})
            for index, image in enumerate(images)
        ]

    def _model(self) -> nn.Module:
        return fresh_model(self.job, (self.size,) * 3, [0, 1])

    def _contiguous(self) -> nn.Module:
        layout = torch.contiguous_format
        # torch accepts both at once, but its stub lacks the memory format
        model = self._model().to(self.device, memory_format=layout)  # type: ignore[call-overload]
        return model.train()

    def _step(self, running: Running) -> Step:
        return Step(self.job, move(self._model(), self.device).train(), self.device, running)

    def _ours(self, running: Running) -> Take:
        batch = collate(self.job, self._scans(), 1, self.device)
        return partial(self._take, self._step(running), lambda: batch)

    def _loop(self, fetched: bool) -> Take:
        scans = self._scans(BATCHES)
        cohort, _ = hold(scans, self.device)
        if fetched:
            cohort = Cohort(scans, self.device, fetched=True)
        return partial(self._take, self._step(Running()), self._epochs(cohort).__next__)

    def _epochs(self, cohort: Cohort) -> Iterator[Batch]:
        epoch = 0
        while True:
            epoch += 1
            yield from cohort.batches(self.job, epoch)

    def _take(self, step: Step, batch_of: Callable[[], Batch]) -> None:
        batch = batch_of()
        losses = step.losses(batch, self.weights)
        Tally(self.job, 1, self.device, {}).add(losses, batch.scans)
        step.learn(losses["total"])

    def _plain(self) -> Take:
        model = self._contiguous()
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
        batch = collate(self.job, self._scans(), 1, self.device)
        image = batch.image.clone(memory_format=torch.contiguous_format)
        settings = self.job.settings

        def take() -> dict[str, float]:
            losses = joint_loss(
                *(model(image), batch.lesion, batch.label, self.weights),
                settings=settings.loss,
                segmentation=settings.train.segmentation_loss,
            )
            optimiser.zero_grad()
            losses["total"].backward()
            optimiser.step()
            return {name: loss.item() for name, loss in losses.items()}

        return take

    def _monai(self) -> Take:
        from monai.data import DataLoader, Dataset  # noqa: PLC0415 - seconds, and one way needs it
        from monai.losses.dice import DiceLoss  # noqa: PLC0415
        from monai.transforms import Compose, RandFlipd, RandRotated  # noqa: PLC0415

        model = self._contiguous()
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
        loss_of, keys = DiceLoss(sigmoid=True), ["image", "lesion"]
        turn = math.radians(15)
        varied = Compose(
            [
                RandFlipd(keys, prob=0.5, spatial_axis=0),
                RandRotated(keys, range_x=turn, prob=0.5, mode=["bilinear", "nearest"]),
            ]
        )
        data = [
            {"image": scan.image, "lesion": scan.lesion.float()} for scan in self._scans(BATCHES)
        ]
        size = self.job.settings.train.batch_size
        loader = DataLoader(Dataset(data, varied), batch_size=size, shuffle=True)

        def batches() -> Iterator[dict[str, torch.Tensor]]:
            while True:
                yield from loader

        coming = batches()

        def take() -> float:
            batch = next(coming)
            image, lesion = (batch[key].to(self.device) for key in keys)
            optimiser.zero_grad()
            loss = loss_of(model(image).lesion_logits, lesion)
            loss.backward()
            optimiser.step()
            value: float = loss.item()
            return value

        return take


def measure_way(bench: Bench, how: str, sheet: Sheet, clock: Clock, steps: int) -> None:
    """Measure one method in one way, and report it."""
    cuda = bench.device.type == "cuda"
    wait = partial(torch.cuda.synchronize, bench.device) if cuda else lambda: None
    tuned, by_scan = torch.backends.cudnn.benchmark, set(norm.BY_SCAN)
    name, batch = bench.job.method, bench.job.settings.train.batch_size
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(bench.device)
    try:
        torch.backends.cudnn.benchmark = cuda and how not in UNTUNED
        if how == "torch's norm":
            norm.BY_SCAN.discard(bench.device.type)
        seconds, first = seconds_each(bench.way(how), clock, times=steps, wait=wait)
    except RuntimeError as error:
        if not is_full(error):
            raise
        sheet.note("train", name, how, "out of memory")
        return
    finally:
        torch.backends.cudnn.benchmark = tuned
        norm.BY_SCAN.clear()
        norm.BY_SCAN.update(by_scan)
    values = {"s_per_step": seconds, "s_first": first}
    if cuda:
        values["GiB"] = torch.cuda.max_memory_allocated(bench.device) / GIB
    if how != "MONAI's loop":
        values["TFLOP_per_s"] = FORWARD_AND_BACKWARD * bench.gflop * batch / seconds / 1e3
    before = sheet.value(name, "msnmo", "s/step")
    if before and how != "msnmo":
        values["of_msnmos_s"] = seconds / before
    sheet.add("train", name, how, **values)


def not_measured(bench: Bench, how: str) -> str:
    """Return why a way does not apply to a method or device; empty if it does."""
    if how == "MONAI's loop" and get_method(bench.job.method).tasks != {"segmentation"}:
        return "MONAI's loop is of a network that segments alone"
    if how in OF_CUDA and bench.device.type != "cuda":
        return "of CUDA alone"
    return ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure methods in the requested ways, until all are done or the time is over."""
    given = _parse(arguments)
    device = pick_device(given.device, given.per_gpu, "benchmark train")
    prepare(device, given.threads)
    clock = Clock(given.seconds)
    sheet = Sheet(given.out, about(device, given.size, given.batch))
    with suppress(OutOfTime):
        for name in given.methods:
            bench = Bench(name, given.size, given.batch, device)
            for how in given.how:
                clock.check()
                if reason := not_measured(bench, how):
                    sheet.note("train", name, how, reason)
                else:
                    measure_way(bench, how, sheet, clock, given.steps)
    print(f"\n{table(sheet.figures)}")


def about(device: torch.device, size: int, batch: int) -> dict[str, Any]:
    """Return what all figures have in common: machine, versions, sizes."""
    return {
        "device": device.type,
        "device_name": device_name(device),
        "precision": precision(device),
        "threads": torch.get_num_threads(),
        "size": size,
        "batch_size": batch,
        "versions": versions(),
        "git": git_state(),
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.benchmark.train"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_methods(parser, PAPERS, "all of the paper's")
    parser.add_argument(
        "--how", nargs="+", choices=WAYS, default=list(WAYS[:3]), metavar="WAY", help="see above"
    )
    parser.add_argument("--batch", type=int, default=2, help="scans in a step (default: 2)")
    parser.add_argument(
        "--steps", type=int, default=3, help="steps in each of three rounds (default: 3)"
    )
    add_arguments(parser)
    add_device(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
