"""Train the starter on simulated scans, which are drawn while it learns.

With --store, drawn scans are kept as files. With --draw as well, several processes only draw
them: run beside trainings that take them from the same folder, they spare a GPU the waiting.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.compute.device import device_name, pick_device, precision, prepare
from msnmo.core.arguments import at_least
from msnmo.core.command import program
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import atomic_path, read_json, write_json, write_tsv
from msnmo.core.paths import path_argument
from msnmo.core.provenance import git_state, versions
from msnmo.core.starter import bundle_argument
from msnmo.core.writable import require_folder
from msnmo.settings.config import complete_config, method_settings
from msnmo.settings.methods import METHODS, get_method
from msnmo.settings.reading import read_config
from msnmo.settings.starts import start_of
from msnmo.settings.training import Settings
from msnmo.starter import FINISHED
from msnmo.starter.render import SIMULATION_VERSION
from msnmo.starter.scans import PASSES, HoldNone, drawings, scans_to_draw
from msnmo.starter.store import draw_all
from msnmo.train.__main__ import serialise
from msnmo.train.job import Job, Running
from msnmo.train.loop import Stopped, train
from msnmo.train.sigterm import leave, stop_on_sigterm
from msnmo.train.start import DESCRIPTION, Taken, read_start

AS_SHIPPED = "give a config like workflow/configs/starter.yaml"
FITTING = (
    "correct --start-from, or give a --config with the method and the model.base_channels of these "
    "weights"
)
GO_ON = "start the same command again to go on"


def main(arguments: Sequence[str] | None = None, stop: Callable[[], bool] = lambda: False) -> None:
    """Train; a state is kept in the folder, and gone on from."""
    given = _parse(arguments)
    config = complete_config(read_config(given.config, AS_SHIPPED))
    if len(config["methods"]) != 1:
        found = ", ".join(config["methods"])
        raise bad_input(given.config, "one method", found, "name the one to train under methods")
    size = config["resize"]["size"]
    if len(set(size)) > 1:
        raise bad_input(given.config, "equal edges of resize.size", str(size), "give a cube")
    method = get_method(given.method or config["methods"][0])
    settings = Settings.from_mapping(method_settings(config, method.name), method)
    _refuse_start_of_config(given.config, config, method.name)
    job = Job(method.name, 0, config["seed"], settings)
    scans = scans_to_draw(given.scans, size[0])
    for folder in filter(None, (given.store, given.out)):
        require_folder(folder, "rename it, or give another folder")
    if given.draw:
        if not draw_all(drawings(job, scans), given.store, given.draw, stop):
            raise Stopped("while scans were drawn")
        return
    finished = given.out / FINISHED
    if finished.exists():
        remedy = "give another --out to train again"
        raise bad_input(finished, "no training, or one to go on", "a finished one", remedy)
    compute = config["compute"]
    device = pick_device(compute["device"], compute["folds_per_gpu"], "train the starter")
    prepare(device, compute["threads"])
    checkpoint = given.out / "checkpoint.pt"
    running = Running(checkpoint_minutes=compute["checkpoint_minutes"])
    # nothing is tested here, so no note is needed on what the weights have learned from
    start = read_start(given.start_from, job.fold, FITTING, "") if given.start_from else None
    trained = train(
        *(job, scans, device, checkpoint, stop),
        running=running,
        start=start,
        held=HoldNone(given.store),
    )
    weights = serialise(job, trained.model)
    write_tsv(given.out / "history.tsv", pd.DataFrame(trained.history))
    run = {
        "method": job.method,
        "fold": job.fold,
        "seed": job.seed,
        "settings": settings.to_json(),
        "size": size,
        "training_scans": len(drawings(job, scans)),
        "scans_per_epoch": given.scans,
        "passes": PASSES,
        "simulation_version": SIMULATION_VERSION,
        "epochs": len(trained.history),
        "resumed_from": trained.resumed_from,
        "start": _told(trained.taken, given.start_from) if trained.taken else None,
        "seconds": round(sum(row["seconds"] for row in trained.history), 3),
        "device": device.type,
        "device_name": device_name(device),
        "precision": precision(device, settings.train.precision),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "versions": versions(),
        "git": git_state(),
    }
    write_json(given.out / "run.json", run)
    with atomic_path(finished) as temporary:
        temporary.write_bytes(weights)
    trained.checkpoint.remove()


def _refuse_start_of_config(path: Path, config: dict[str, Any], method: str) -> None:
    """Refuse train.start_from: the workflow's trainings read it, this one takes an option."""
    if start := start_of(config, method):
        where, remedy = f"{path}, train.start_from", "leave it empty, and give --start-from"
        raise bad_input(where, "nothing", start, remedy)


def _told(taken: Taken, path: Path) -> dict[str, Any]:
    """Return where the first weights came from, with the record of their training beside them."""
    folder = path if path.is_dir() else path.parent
    for record in (folder / "run.json", folder / DESCRIPTION):
        if record.is_file():
            return taken.to_json() | {"run": read_json(record)}
    return taken.to_json() | {"run": None}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program("msnmo.starter"), description=__doc__)
    parser.add_argument(
        "--config", type=path_argument, required=True, help="as workflow/configs/starter.yaml"
    )
    parser.add_argument(
        "--method", choices=METHODS, help="train this one instead of the config's, to compare"
    )
    parser.add_argument(
        "--scans", type=at_least(1), default=200, help="scans in an epoch (default: %(default)s)"
    )
    parser.add_argument(
        "--start-from",
        type=bundle_argument,
        help="weights to go on from: a weights.safetensors, the folder of a bundle, or starter for "
        "the bundle that ships",
    )
    parser.add_argument("--store", type=path_argument, help="folder to keep drawn scans in")
    parser.add_argument(
        "--draw",
        type=at_least(1),
        metavar="PROCESSES",
        help="only draw all scans of the training into --store, by so many processes",
    )
    parser.add_argument("--out", type=path_argument, help="folder of weights, history and run.json")
    given = parser.parse_args(arguments)
    if given.draw and not given.store:
        parser.error("--draw needs --store")
    if not given.draw and not given.out:
        parser.error("--out is needed, unless with --draw")
    return given


if __name__ == "__main__":
    asked = stop_on_sigterm(f"stopped by SIGTERM; the state kept last is in the folder: {GO_ON}")
    try:
        run_command(lambda: main(stop=asked))
    except Stopped as stopped:
        leave(f"stopped by SIGTERM {stopped}; all of it is kept in the folder: {GO_ON}")
