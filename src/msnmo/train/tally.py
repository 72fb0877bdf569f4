"""The losses of an epoch, summed on the device and read only on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from msnmo.core.errors import MsnmoError
from msnmo.train.data import TrainingScan
from msnmo.train.job import Job

CPU = torch.device("cpu")


class Tally:
    """The sums of an epoch's losses over its scans.

    On CUDA, reading a number makes the CPU wait for the device. So nothing is read before `examine`
    or `sums`. Elsewhere, reading costs nothing: each batch is examined as it is added, and a failed
    training stops at once.

    Parameters
    ----------
    job : Job
    epoch : int
    device : torch.device
    sums : mapping of str to float
        Sums over earlier batches, if the epoch was interrupted.
    """

    def __init__(self, job: Job, epoch: int, device: torch.device, sums: Mapping[str, float]):
        self._job, self._epoch = job, epoch
        self._waits = device.type == "cuda"
        # Apple's GPU has no float64
        self._where = device if self._waits else CPU
        self._sums = {name: self._exact(value) for name, value in sums.items()}
        self._unread: list[tuple[torch.Tensor, Sequence[TrainingScan]]] = []

    def add(self, losses: Mapping[str, torch.Tensor], scans: Sequence[TrainingScan]) -> None:
        """Add a batch's losses, each a mean over its scans.

        Raises
        ------
        MsnmoError
            As `examine`, unless the device is CUDA's.
        """
        self._unread.append((losses["total"].detach(), scans))
        if not self._waits:
            self.examine()
        for name, loss in losses.items():
            over_scans = self._exact(loss.detach()) * len(scans)
            so_far = self._sums.get(name)
            self._sums[name] = over_scans if so_far is None else so_far + over_scans

    def examine(self) -> None:
        """Look at the losses added since the last time.

        Raises
        ------
        MsnmoError
            Names epoch and scans of the first batch whose loss is not finite.
        """
        if not self._unread:
            return
        finite = torch.stack([total for total, _ in self._unread]).isfinite().tolist()
        if not all(finite):
            refuse(self._job, self._epoch, self._unread[finite.index(False)][1])
        self._unread = []

    def sums(self) -> dict[str, float]:
        """Return the sum of each loss over the scans seen; all of them are finite."""
        self.examine()
        if not self._sums:
            return {}
        return dict(zip(self._sums, torch.stack(list(self._sums.values())).tolist(), strict=True))

    def _exact(self, value: torch.Tensor | float) -> torch.Tensor:
        return torch.as_tensor(value, dtype=torch.float64, device=self._where)


def refuse_non_finite(
    values: Iterable[torch.Tensor], job: Job, epoch: int, scans: Sequence[TrainingScan]
) -> None:
    """Stop a training whose weights are no longer finite. Name the scans that it saw last."""
    if not torch.stack([value.detach().isfinite().all() for value in values]).all():
        refuse(job, epoch, scans)


def refuse(job: Job, epoch: int, scans: Sequence[TrainingScan]) -> None:
    """Report where a training met a value that is not finite, and what to do."""
    names = ", ".join(scan.scan for scan in scans)
    precise = (
        # PyTorch's CPU code can make NaN where a kernel is larger than the map that it is over
        "set train.precision to float32; if that does not help, "
        if job.settings.train.precision == "bfloat16"
        else ""
    )
    raise MsnmoError(
        f"training of {job.method} met a value that is not finite in epoch {epoch}, "
        f"at scan{'s' if len(scans) > 1 else ''} {names}\n"
        f"    remedy:   {precise}lower train.learning_rate "
        f"({job.settings.train.learning_rate:g}); if it happens in epoch 1, look at the "
        "preprocessed images of these scans"
    )
