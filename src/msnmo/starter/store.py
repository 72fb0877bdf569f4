"""Drawn scans as files: several processes can draw them, and several trainings learn from them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from msnmo.core.errors import bad_input
from msnmo.core.files import atomic_path
from msnmo.demo.lesions import Diagnosis
from msnmo.starter.render import SIMULATION_VERSION, simulate

DRAW_AGAIN = "move it elsewhere, and it is drawn again; or give another --store"


@dataclass(frozen=True)
class Drawing:
    """A scan that can be drawn.

    Parameters
    ----------
    seed : int
    diagnosis : {"MS", "NMOSD"}
    size : int
        Edge of model space in voxels.
    """

    seed: int
    diagnosis: Diagnosis
    size: int

    @property
    def file_name(self) -> str:
        """Name of its file in a store; other generators draw other scans."""
        return f"v{SIMULATION_VERSION}-{self.diagnosis}-{self.size}-{self.seed}.safetensors"


def drawn(drawing: Drawing, store: Path | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a drawn scan's image and lesions, from the store if it is there, and keep it there.

    Parameters
    ----------
    drawing : Drawing
    store : Path, optional
        Folder of drawn scans; without it, the scan is drawn and not kept.

    Returns
    -------
    (1, S, S, S) tensor of float32
        The image, z-scored.
    (1, S, S, S) tensor of bool
        The lesions.

    Raises
    ------
    InputError
        Names a file of the store that is no such scan.
    """
    path = store and store / drawing.file_name
    if path and path.is_file():
        return _kept(path, drawing.size)
    if path and path.exists():
        raise bad_input(path, "a drawn scan", "a folder, a pipe or a device", DRAW_AGAIN)
    scan = simulate(drawing.seed, drawing.diagnosis, drawing.size)
    if path:
        with atomic_path(path) as temporary:
            temporary.write_bytes(save({"image": scan.image, "lesion": scan.lesion}))
    return scan.image, scan.lesion


def _kept(path: Path, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return image and lesions of a file in a store."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise bad_input(path, "a drawn scan (safetensors)", str(error), DRAW_AGAIN) from error
    shape = (1, size, size, size)
    wanted = {"image": (shape, torch.float32), "lesion": (shape, torch.bool)}
    there = {name: (tuple(each.shape), each.dtype) for name, each in tensors.items()}
    if there != wanted:
        raise bad_input(path, f"tensors {wanted}", str(there), DRAW_AGAIN)
    if not tensors["image"].isfinite().all():
        raise bad_input(path, "finite intensities", "NaN or infinity", DRAW_AGAIN)
    return tensors["image"], tensors["lesion"]


def draw_all(
    drawings: list[Drawing], store: Path, processes: int, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Draw scans into a store, by several processes, in the given order. Return whether all are.

    Parameters
    ----------
    drawings : list of Drawing
    store : Path
        Folder; made if missing.
    processes : int
        Each uses one thread.
    stop : callable
        Called after each scan. If it returns true, no other scan is begun.
    """
    store.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")  # a forked process would hang in the threads of torch
    with ProcessPoolExecutor(processes, context, _begin) as pool:
        for _ in pool.map(partial(_keep, store), drawings):
            if stop():
                pool.shutdown(cancel_futures=True)
                return False
    return True


def _begin() -> None:
    torch.set_num_threads(1)
    # sent to the whole group, it would end a worker in the middle of a scan: the parent stops them
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _keep(store: Path, drawing: Drawing) -> None:
    if not (store / drawing.file_name).is_file():
        drawn(drawing, store)
