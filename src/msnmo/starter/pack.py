"""Pack the trained starter as a bundle: half-precision weights, a threshold, a model card.

The threshold, and whether the answer for the mirror image is averaged in, are chosen on simulated
scans that were not learned from. Numbers on real scans are told as they are given, and choose
nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from msnmo.apply.ensemble import ask, ask_for_mirror
from msnmo.bundle.contents import (
    CHECKSUMS,
    DESCRIPTION,
    FORMAT,
    NOT_FOR_DIAGNOSIS,
    Certainty,
    check_content,
)
from msnmo.bundle.reference import reference_pass
from msnmo.compute.device import prepare
from msnmo.compute.options import threads_argument
from msnmo.core.command import program
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import InputError, bad_input, run_command
from msnmo.core.files import (
    atomic_folder,
    read_json,
    read_text,
    sha256,
    write_json,
    write_text,
)
from msnmo.core.grid import Grid
from msnmo.core.paths import path_argument
from msnmo.core.provenance import git_state, versions
from msnmo.core.schemas import read_schema, refuse_misfit
from msnmo.core.seeds import derive_seed
from msnmo.core.templates import templates
from msnmo.core.writable import require_empty
from msnmo.demo.lesions import Diagnosis
from msnmo.evaluate.lesion_detection import lesion_metrics
from msnmo.evaluate.segmentation import overlap_metrics
from msnmo.networks import NETWORK_VERSION
from msnmo.predict.fold import load_model
from msnmo.settings.config import complete_config, shareable
from msnmo.settings.methods import get_method
from msnmo.settings.reading import read_config
from msnmo.starter import FINISHED
from msnmo.starter.measured import MEASURED, Measured, accuracy_in_words, read_measured
from msnmo.starter.render import Scan, simulate

CPU = torch.device("cpu")
WEIGHTS = "fold-0.safetensors"
RUN = read_schema(Path(__file__).with_name("run.schema.yaml"))
VALIDATED = 60
"""Simulated scans that the threshold is chosen on."""
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(4, 17))
CLASS_NOTE = (
    "The network also tells MS from NMOSD. It learned this from simulated lesions alone. It was "
    "not validated: it has never seen a patient."
)
CORRECT_CONFIG = "give the config that the starter was trained with"
TRAIN_AGAIN = "train the starter again with python -m msnmo.starter"
PART = (
    "seed",
    "size",
    "epochs",
    "scans_per_epoch",
    "training_scans",
    "simulation_version",
    "device_name",
    "weights_sha256",
    "git",
)
"""What a bundle tells of each part of its training, from run.json."""
WRITE_NOTES = "write the notes as Markdown in UTF-8"


@dataclass(frozen=True)
class _Way:
    """How a mask is made: with the mirror image's probabilities or without, and above which."""

    mirrored: bool
    threshold: float

    def mask(self, found: Mapping[bool, np.ndarray]) -> np.ndarray:
        return found[self.mirrored] > self.threshold

    def __str__(self) -> str:
        mean = "mean of scan and mirror image" if self.mirrored else "scan alone"
        return f"{mean}, threshold {self.threshold:g}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the bundle's folder."""
    given = _parse(arguments)
    prepare(CPU, given.threads)
    # before the minutes of work
    require_empty(given.out)
    measured = None if given.measured is None else read_measured(given.measured)
    notes = "" if given.notes is None else read_text(given.notes, WRITE_NOTES)
    run = _run_of(given.trained)
    config = complete_config(read_config(given.config, CORRECT_CONFIG))
    weights = _halved(given.trained / FINISHED, run["weights_sha256"])
    digest = hashlib.sha256(weights).hexdigest()
    with atomic_folder(given.out) as folder:
        (folder / WEIGHTS).write_bytes(weights)
        told = run | {"weights_sha256": digest}
        model = _model(given.trained / FINISHED, folder / WEIGHTS, told)
        smallest = config["metrics"]["smallest_lesion_mm3"]
        way, scores = _validate(model, run["seed"], run["size"][0], smallest)
        content = _content(run, config, digest, way, reference_pass(model))
        content["accuracy"] = accuracy_in_words(scores, measured)
        check_content(given.out / DESCRIPTION, content)
        write_json(folder / DESCRIPTION, content)
        text = yaml.safe_dump(shareable(config), sort_keys=False, allow_unicode=True)
        write_text(folder / "config.yaml", f"# {NOT_FOR_DIAGNOSIS}\n{text}")
        parameters = sum(weight.numel() for weight in model.parameters())
        card = _card(content, run, scores, Measured(measured, notes), parameters)
        write_text(folder / "MODEL_CARD.md", card)
        files = sorted(folder.iterdir())
        sums = "".join(f"{sha256(path)}  {path.name}\n" for path in files)
        write_text(folder / CHECKSUMS, sums)
    print(f"{given.out}: {way}, {len(weights) / 1e6:.1f} MB of weights")


def _run_of(trained: Path) -> dict[str, Any]:
    """Return what a training tells of itself."""
    path = trained / "run.json"
    run = read_json(path, TRAIN_AGAIN)
    refuse_misfit(path, run, RUN, TRAIN_AGAIN)
    return run


def _model(trained: Path, weights: Path, run: dict[str, Any]) -> torch.nn.Module:
    """Return the network of the halved weights; errors name the weights as they were trained."""
    try:
        return load_model(weights, run, CPU)
    except InputError as error:
        found = "; ".join(f"{each.found} instead of {each.expected}" for each in error.findings)
        expected = "the weights of the network that run.json tells of"
        raise bad_input(trained, expected, found, TRAIN_AGAIN) from error


def _halved(path: Path, digest: str) -> bytes:
    """Return the weights in float16, with what the file tells of their origin."""
    if not path.is_file() or sha256(path) != digest:
        found = "another checksum" if path.is_file() else "no such file"
        raise bad_input(path, "the weights that run.json tells of", found, TRAIN_AGAIN)
    try:
        read = load_file(path)
    except SafetensorError as error:
        raise bad_input(path, "weights (safetensors)", str(error), TRAIN_AGAIN) from error
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in read.items()
    }
    if beyond := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        found = f"values beyond it in {', '.join(beyond)}"
        raise bad_input(path, "weights within float16", found, TRAIN_AGAIN)
    run = read_json(path.with_name("run.json"))
    origin = {key: run[key] for key in ("method", "fold", "seed")}
    return save(tensors, metadata={"msnmo": json.dumps(origin)})


def _validate(
    model: torch.nn.Module, seed: int, size: int, smallest_mm3: float
) -> tuple[_Way, pd.DataFrame]:
    """Return the way to take, and with it load, DSC and LF1 of each scan.

    The score of a way is its mean of DSC and LF1. Of the ways within one standard error of the best
    score, the one of the highest threshold is taken (Breiman et al. 1984): it finds least where
    nothing is. The scans are simulated, and all is in model space.
    """
    ways = [_Way(*each) for each in itertools.product((False, True), THRESHOLDS)]
    rows: dict[_Way, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(VALIDATED):
        diagnosis: Diagnosis = get_args(Diagnosis)[number % 2]
        scan = simulate(derive_seed(seed, "validation", number), diagnosis, size)
        found = _found(model, scan)
        for way in ways:
            rows[way].append(_scores(scan, way.mask(found), smallest_mm3))
    scores = {way: pd.DataFrame(each) for way, each in rows.items()}
    each = {way: scores[way][["DSC", "LF1"]].mean(axis=1) for way in ways}
    best = max(ways, key=lambda way: each[way].mean())
    least = each[best].mean() - each[best].sem()
    taken = max(
        (way for way in ways if each[way].mean() >= least),
        key=lambda way: (way.threshold, each[way].mean()),
    )
    return taken, scores[taken]


def _found(model: torch.nn.Module, scan: Scan) -> dict[bool, np.ndarray]:
    """Return the probabilities of lesion without and with the mirror image."""
    image = scan.image[0].numpy()
    alone = ask(model, image, CPU, names_class=False)
    both = ask_for_mirror(alone, model, image, CPU, names_class=False)
    if alone.lesion_probability is None or both.lesion_probability is None:
        remedy = "train a method that does, such as joint_plus"
        raise bad_input("the starter's method", "a method that segments lesions", "none", remedy)
    return {False: alone.lesion_probability, True: both.lesion_probability}


def _scores(scan: Scan, found: np.ndarray, smallest_mm3: float) -> dict[str, float]:
    truth = scan.lesion[0].numpy()
    grid = Grid.from_affine(truth.shape, np.diag([*scan.voxel_mm, 1.0]))
    f1 = lesion_metrics(found, truth, grid, smallest_mm3)["LF1"]
    return {"load_ml": scan.lesion_ml, "DSC": overlap_metrics(found, truth)["DSC"], "LF1": f1}


def _content(
    run: Mapping[str, Any],
    config: Mapping[str, Any],
    digest: str,
    way: _Way,
    reference: Mapping[str, list[float]],
) -> dict[str, Any]:
    fold = {key: run[key] for key in ("fold", "seed", "settings", "epochs", "size")}
    certain_from = config["bundle"]["certain_from"]
    scans = sum(part["training_scans"] for part in _parts(run))
    classifies = "classification" in get_method(run["method"]).tasks
    return {
        "format": FORMAT,
        "network_version": NETWORK_VERSION,
        "warning": NOT_FOR_DIAGNOSIS,
        "method": run["method"],
        "labels": {str(label): name for label, name in enumerate(diagnoses())},
        **({"classes_on_request": CLASS_NOTE} if classifies else {}),
        "threshold": way.threshold,
        "mirrored": way.mirrored,
        "temperature": 1.0,
        "temperature_note": "probabilities as the network gives them",
        "certain_from": certain_from,
        "uncertain_rule": Certainty(certain_from).rule,
        "preprocessing": {
            name: dict(config[name]) for name in ("skull_strip", "n4", "resize", "zscore")
        },
        "folds": [
            fold
            | {
                "weights": WEIGHTS,
                "weights_sha256": digest,
                "training_scans": run["training_scans"],
                "reference": dict(reference),
            }
        ],
        "training_cohort": {
            "simulated": {"scans": scans, "of": scans},
            "simulation_version": run["simulation_version"],
            "parts": _parts(run),
        },
        "versions": run["versions"],
        "git": run["git"],
        "packed_by": {"versions": versions(), "git": git_state()},
    }


def _parts(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of the training in their order: each but the first went on from another."""
    own = {key: run[key] for key in PART} | {"hours": round(run["seconds"] / 3600, 1)}
    before = (run["start"] or {}).get("run")
    if before is None:
        return [own]
    if "training_cohort" in before:  # it went on from a bundle
        # one of before does not tell the size of each part, which was the bundle's
        size = {"size": before["preprocessing"]["resize"]["size"]}
        return [*(size | part for part in before["training_cohort"]["parts"]), own]
    return [*_parts(before), own]


def _card(
    content: Mapping[str, Any],
    run: Mapping[str, Any],
    scores: pd.DataFrame,
    real: Measured,
    parameters: int,
) -> str:
    return (
        templates(__package__)
        .get_template("card.md.jinja")
        .render(
            **dict(content)
            | {
                "method": get_method(run["method"]),
                "parameters": parameters,
                "seed": run["seed"],
                "validated": VALIDATED,
                "simulated_accuracy": _by_load(scores),
                "measured": real.rows,
                "notes": real.notes.strip(),
            }
        )
    )


def _by_load(chosen: pd.DataFrame) -> list[dict[str, str]]:
    """Return means of the brains with lesions, by thirds of their load."""
    having = chosen[chosen["load_ml"] > 0]
    thirds = pd.qcut(having["load_ml"], 3)
    return [
        {
            "load": f"{part['load_ml'].min():.1f} to {part['load_ml'].max():.1f}",
            "scans": str(len(part)),
            "dsc": f"{100 * part['DSC'].mean():.1f}",
            "f1": f"{100 * part['LF1'].mean():.1f}",
        }
        for _, part in having.groupby(thirds, observed=True)
    ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program("msnmo.starter.pack"), description=__doc__)
    parser.add_argument(
        "--trained", type=path_argument, required=True, help="folder of python -m msnmo.starter"
    )
    parser.add_argument(
        "--config", type=path_argument, required=True, help="as workflow/configs/starter.yaml"
    )
    parser.add_argument(
        "--measured",
        type=path_argument,
        help=f"table of real scans for the card (TSV): {', '.join(MEASURED)}",
    )
    parser.add_argument(
        "--notes",
        type=path_argument,
        help="Markdown for the card, below that table: how far these scans are a test",
    )
    parser.add_argument(
        "--threads", type=threads_argument, default=2, help="CPU threads (%(default)s)"
    )
    parser.add_argument("--out", type=path_argument, required=True, help="folder of the bundle")
    given = parser.parse_args(arguments)
    if given.notes and not given.measured:
        parser.error("--notes needs --measured, which it is about")
    return given


if __name__ == "__main__":
    run_command(main)
