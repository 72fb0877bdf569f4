"""Train one method on the training scans of one fold."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from safetensors.torch import save as to_safetensors

from msnmo.cohort.parts import read_part
from msnmo.compute.device import (
    device_name,
    explain_full_memory,
    peak_memory,
    pick_device,
    precision,
    prepare,
)
from msnmo.compute.options import add_arguments
from msnmo.core.errors import run_command
from msnmo.core.files import atomic_path, write_json, write_tsv
from msnmo.core.provenance import git_state, versions
from msnmo.settings.methods import get_method
from msnmo.settings.sections import HeldScans
from msnmo.settings.training import Settings
from msnmo.train.checkpoint import Checkpoint
from msnmo.train.data import TrainingScan, load_training_scans, refuse_unlabelled
from msnmo.train.job import Job, Running
from msnmo.train.kept import Kept
from msnmo.train.loop import Stopped, Trained, fresh_model, train
from msnmo.train.sigterm import leave, stop_on_sigterm
from msnmo.train.start import read_start

GO_ON = "start the same command again to continue"
NO_STATE = "its last state was not kept (compute.keep_state)"


def main(arguments: Sequence[str] | None = None, stop: Callable[[], bool] = lambda: False) -> None:
    """Train; write history, run.json and weights; remove the checkpoint."""
    given = _parse(arguments)
    method = get_method(given.method)
    job = Job(method.name, given.fold, given.seed, Settings.parse(given.settings, method))
    scans = _load_scans(given.scans, with_lesions="segmentation" in method.tasks)
    if "classification" in method.tasks:
        refuse_unlabelled(scans)
    if "segmentation" in method.tasks and job.settings.train.segmentation_loss == "dice":
        _tell_of_no_lesion(scans)
    kept = Kept(given.out_weights, given.out_history, given.out_run)
    _, i, j, k = scans[0].image.shape
    network = fresh_model(job, (i, j, k), [scan.label for scan in scans])
    start = read_start(given.start_from, job.fold) if given.start_from else None
    followed_from, course = (each(scans, network, start) for each in (job.identity, job.course))
    if kept.take_up(followed_from):
        print("msnmo: already trained from the same scans, settings and seed: reusing the weights")
        Checkpoint(given.checkpoint, course).remove()
        return
    shorter = kept.shorter(course)
    if 0 < shorter < job.settings.train.epochs and not kept.states():
        print(f"msnmo: trained to epoch {shorter} before, but {NO_STATE}: starting at epoch 1")

    device = pick_device(given.device, given.per_gpu, f"train {given.method} fold {given.fold}")
    prepare(device, given.threads)
    with explain_full_memory(
        device,
        f"method {job.method}, {_tried(job, scans)}",
        "set compute.gradient_checkpointing; or lower train.batch_size, the network's width "
        "(base_channels or channels) or the size to which scans are resized; check that nothing "
        "else uses the device",
    ):
        running = Running(
            checkpoint_minutes=given.checkpoint_minutes,
            held_scans=given.held_scans,
            compile=given.compile,
            gradient_checkpointing=given.gradient_checkpointing,
            kept_states=kept.states(),
        )
        trained = train(job, scans, device, given.checkpoint, stop, running=running, start=start)

    weights = serialise(job, trained.model)
    run = _describe(job, trained, scans, device, weights) | {
        "simulated_scans": given.simulated_scans,
        "identity": followed_from,
        "course": course,
    }
    write_tsv(given.out_history, pd.DataFrame(trained.history))
    write_json(given.out_run, run)
    with atomic_path(given.out_weights) as temporary:  # last, as they mark the training as finished
        temporary.write_bytes(weights)
    kept.keep(given.checkpoint if given.keep_state else None)
    trained.checkpoint.remove()


def _load_scans(path: Path, with_lesions: bool) -> list[TrainingScan]:
    table = read_part(path, ("image", "lesion") if with_lesions else ("image",))
    with explain_full_memory(
        torch.device("cpu"),
        f"holding {len(table)} training scans in memory",
        "lower the size to which scans are resized, or use a machine with more memory",
    ):
        return load_training_scans(table, with_lesions)


def _tell_of_no_lesion(scans: Sequence[TrainingScan]) -> None:
    """Warn about scans without a lesion: the Dice loss has no gradient for a batch of them."""
    if nothing := sum(not scan.lesion.any() for scan in scans):
        print(
            f"msnmo: {nothing} of {len(scans)} training scans have no lesion: the Dice loss does "
            "not teach the network to find nothing in them; train.segmentation_loss: dice_ce does",
            file=sys.stderr,
            flush=True,
        )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.train", description=__doc__)
    parser.add_argument(
        "--scans",
        type=Path,
        required=True,
        help="the training scans, from msnmo.cohort.parts (TSV)",
    )
    parser.add_argument("--method", required=True, help="its name in the config")
    parser.add_argument("--fold", type=int, required=True, help="the fold to leave out")
    parser.add_argument(
        "--settings",
        default="{}",
        metavar="JSON",
        help="config sections train, augment, loss and model; missing keys get their defaults",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of every random choice")
    parser.add_argument(
        "--simulated-scans", type=int, default=0, help="number of simulated scans, for run.json"
    )
    parser.add_argument("--out-weights", type=Path, required=True, help="safetensors")
    parser.add_argument("--out-history", type=Path, required=True, help="one row per epoch (TSV)")
    parser.add_argument("--out-run", type=Path, required=True, help="how it was trained (JSON)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        help="state of the training, to continue after an interruption; removed at the end",
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=_at_least_zero,
        default=5.0,
        help="minutes between two saved states (default: %(default)g)",
    )
    parser.add_argument(
        "--held-scans",
        choices=get_args(HeldScans),
        default="float32",
        help="how images are held on a GPU (default: %(default)s)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the network on a GPU (torch.compile)",
    )
    parser.add_argument(
        "--gradient-checkpointing",
        action="store_true",
        help="compute activations twice: a third more time, less memory, same weights",
    )
    parser.add_argument(
        "--start-from",
        type=Path,
        help="a bundle or a file of weights; training starts from its matching tensors",
    )
    parser.add_argument(
        "--keep-state",
        action="store_true",
        help="keep the last state, so that a training with more epochs continues from it",
    )
    add_arguments(parser)
    return parser.parse_args(arguments)


def _at_least_zero(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, found {text}")
    return value


def _tried(job: Job, scans: Sequence[TrainingScan]) -> str:
    size = "x".join(map(str, scans[0].image.shape[1:]))
    network = json.dumps(job.settings.model.model_dump())
    return f"train.batch_size {job.settings.train.batch_size} at size {size}, model {network}"


def serialise(job: Job, model: torch.nn.Module) -> bytes:
    """Return a network's weights as safetensors. Equal weights give equal bytes."""
    # copies, as MONAI's DynUNet names each weight twice and safetensors refuses shared memory
    tensors = {name: x.cpu().contiguous().clone() for name, x in model.state_dict().items()}
    # one key, as safetensors writes several in no fixed order
    origin = json.dumps({"method": job.method, "fold": job.fold, "seed": job.seed})
    return to_safetensors(tensors, metadata={"msnmo": origin})


def _describe(
    job: Job,
    trained: Trained,
    scans: Sequence[TrainingScan],
    device: torch.device,
    weights: bytes,
) -> dict[str, Any]:
    """Return the contents of run.json."""
    return {
        "method": job.method,
        "fold": job.fold,
        "seed": job.seed,
        "settings": job.settings.to_json(),
        "start": trained.taken.to_json() if trained.taken else None,
        "size": list(scans[0].image.shape[1:]),
        "training_scans": [scan.scan for scan in scans],
        "epochs": len(trained.history),
        "resumed_from": trained.resumed_from,
        "seconds": round(sum(row["seconds"] for row in trained.history), 3),
        "peak_memory_bytes": peak_memory(device),
        "device": device.type,
        "device_name": device_name(device),
        "precision": precision(device, job.settings.train.precision),
        "threads": torch.get_num_threads(),
        "parameters": sum(weight.numel() for weight in trained.model.parameters()),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "versions": versions(),
        "git": git_state(),
    }


if __name__ == "__main__":
    asked = stop_on_sigterm(
        f"stopped by SIGTERM; the last saved state is in the checkpoint: {GO_ON}"
    )
    try:
        run_command(lambda: main(stop=asked))
    except Stopped as stopped:
        leave(f"stopped by SIGTERM {stopped}; all work is saved in the checkpoint: {GO_ON}")
