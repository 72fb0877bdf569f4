"""Predict the test scans of a fold: lesion maps and masks, class probabilities, localisation maps.

`load_model` and `predict_scan` do not depend on folds. They serve any scan in model space.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from scipy import ndimage
from torch import nn

from msnmo.cohort.parts import read_part
from msnmo.compute.device import (
    explain_full_memory,
    memory_format,
    move,
    pick_device,
    prepare,
)
from msnmo.compute.options import add_arguments
from msnmo.core.arguments import between_0_and_1
from msnmo.core.background import in_background
from msnmo.core.diagnoses import probabilities
from msnmo.core.errors import (
    DataLeakageError,
    Finding,
    InputError,
    MsnmoError,
    bad_input,
    run_command,
)
from msnmo.core.files import atomic_folder, loads_finite, read_json, sha256, write_tsv
from msnmo.core.geometry import ModelSpace, same_extent
from msnmo.core.grid import as_shape
from msnmo.core.saving import save_probability, save_scaled, save_volume
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.networks.build import build_network
from msnmo.networks.finite import not_finite, outputs_not_finite
from msnmo.networks.localisation import localisation_maps
from msnmo.networks.outputs import Outputs
from msnmo.settings.methods import get_method

FILES = ("image", "sidecar", "brain")
"""The files of a scan that are read for its prediction."""
RETRAIN = "delete the folder of this model and run the workflow again"


@dataclass(frozen=True)
class Prediction:
    """A network's prediction for one scan, in model space.

    Parameters
    ----------
    lesion_probability : (X, Y, Z) ndarray of float32, optional
        0 to 1; None if the method does not segment.
    class_probabilities : (2,) ndarray of float32, optional
        For class 0 and 1 (MS and NMOSD); None if the method does not classify.
    localisation : tuple of (x, y, z) ndarray of float32
        V_1 to V_3 of the predicted class (equation 10), fine to coarse, at 1/2, 1/4 and 1/8 of
        model space's size. Not normalised: values above 0 are evidence for the class. Empty if the
        method has none.
    """

    lesion_probability: np.ndarray | None
    class_probabilities: np.ndarray | None
    localisation: tuple[np.ndarray, ...]


@torch.inference_mode()
def predict_scan(model: nn.Module, image: np.ndarray, device: torch.device) -> Prediction:
    """Return the prediction of one z-scored scan in model space (X, Y, Z), in float32.

    Raises
    ------
    MsnmoError
        If memory runs out.
    """
    outputs = infer(model, image, device)
    lesion, classes = outputs.lesion_logits, outputs.class_logits
    maps: tuple[torch.Tensor, ...] = ()
    if outputs.features and classes is not None:
        maps = localisation_maps(outputs, classes.argmax(dim=1))
    return Prediction(
        None if lesion is None else _to_numpy(outputs.lesion_probability)[0],
        None if classes is None else _to_numpy(outputs.class_probabilities),
        tuple(_to_numpy(each)[0] for each in maps),
    )


def infer(model: nn.Module, image: np.ndarray, device: torch.device) -> Outputs:
    """Return a network's outputs for one z-scored scan in model space (X, Y, Z), in float32.

    Raises
    ------
    MsnmoError
        If memory runs out, or if the outputs have NaN or infinity.
    """
    size = "x".join(map(str, image.shape))
    batch = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]
    remedy = "use a machine with more memory, or check that nothing else uses the device"
    with torch.inference_mode(), explain_full_memory(device, f"one scan of size {size}", remedy):
        outputs: Outputs = model(batch.to(device, memory_format=memory_format(device)))
        wrong = outputs_not_finite(outputs)
    if wrong:
        raise MsnmoError(
            f"a network's output is not finite: {wrong}\n"
            "    remedy:   look at the preprocessed image; if other scans fail too, train again"
        )
    return outputs


def _to_numpy(one: torch.Tensor) -> np.ndarray:
    return one.squeeze(0).float().cpu().numpy()


def load_model(weights: Path, run: dict[str, Any], device: torch.device) -> nn.Module:
    """Return a trained network, ready to predict.

    Parameters
    ----------
    weights : Path
        safetensors file of `msnmo.train`. No other format is read, as a pickle could run code.
    run : dict
        Contents of the training's run.json.
    device : torch.device

    Raises
    ------
    InputError
        Names the weights file, if it is missing, damaged, of another training or network, or has
        NaN or infinity.
    """
    method, size = get_method(run["method"]), tuple(run["size"])
    tensors = _read_weights(weights, run)
    settings = method.settings.from_mapping(run["settings"]["model"])
    model = build_network(method, settings, size)
    _refuse_other_network(weights, method.name, model.state_dict(), tensors)
    model.load_state_dict(tensors)
    return move(model, device).eval()


def _read_weights(weights: Path, run: dict[str, Any]) -> dict[str, torch.Tensor]:
    expected = f"the weights of method {run['method']}, fold {run['fold']}, as trained"
    try:
        if not weights.is_file():  # reading a pipe could block
            raise FileNotFoundError("no such file")
        with safe_open(weights, framework="pt") as file:
            origin = loads_finite((file.metadata() or {}).get("msnmo", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise bad_input(weights, expected, f"{type(error).__name__}: {error}", RETRAIN) from error
    if not isinstance(origin, dict):
        raise bad_input(weights, expected, "weights that do not tell of what training", RETRAIN)
    if (origin.get("method"), origin.get("fold")) != (run["method"], run["fold"]):
        found = f"the weights of method {origin.get('method')}, fold {origin.get('fold')}"
        raise bad_input(weights, expected, found, RETRAIN)
    if sha256(weights) != run["weights_sha256"]:
        found = "a checksum other than in run.json: the file is damaged or from another training"
        raise bad_input(weights, expected, found, RETRAIN)
    if found := not_finite(tensors):
        raise bad_input(weights, "weights that are finite numbers", found, RETRAIN)
    return tensors


HALF = {torch.float32: torch.float16}
"""What a bundle may store weights as, to be smaller. They are computed with as they are needed."""


def _refuse_other_network(
    weights: Path, method: str, needed: dict[str, torch.Tensor], given: dict[str, torch.Tensor]
) -> None:
    wrong = [
        name
        for name, tensor in needed.items()
        if name not in given
        or given[name].shape != tensor.shape
        or given[name].dtype not in (tensor.dtype, HALF.get(tensor.dtype))
    ]
    wrong += [name for name in given if name not in needed]
    if wrong:
        found = (
            f"{len(wrong)} tensors missing, too many, or of another shape or type, such as "
            f"{wrong[0]}"
        )
        raise bad_input(weights, f"the tensors of method {method}", found, RETRAIN)


@dataclass(frozen=True)
class LoadedScan:
    """One scan to predict: id, image and brain mask in model space, and the way back."""

    scan: str
    image: Volume
    brain: np.ndarray
    space: ModelSpace

    def save_map(self, path: Path, values: np.ndarray, dtype: type) -> None:
        """Write a map (x, y, z) on its own grid: model space's size, or several times smaller.

        It is 0 except at the brain's voxels and their neighbours, which interpolation reads.
        """
        wide = tuple(zip(values.shape, np.array(self.brain.shape) // values.shape, strict=True))
        blocks = self.brain.reshape([length for pair in wide for length in pair])
        near = ndimage.binary_dilation(blocks.any(axis=(1, 3, 5)), np.ones((3, 3, 3)))
        grid = same_extent(self.image.grid, as_shape(values.shape))
        save_scaled(path, np.where(near, values, np.float32(0)), grid, dtype)


def load_scans(table: pd.DataFrame, size: tuple[int, int, int]) -> list[LoadedScan]:
    """Read scans in model space, and the geometry that maps them back to their native grids.

    Parameters
    ----------
    table : DataFrame
        Columns scan, image, sidecar, brain.
    size : (3,) tuple of int
        Input size of the network in training.

    Raises
    ------
    InputError
        Names every file that is missing, damaged, of another size or of another scan.
    """
    scans: list[LoadedScan] = []
    findings: list[Finding] = []
    for row in table.itertuples():
        try:
            scans.append(_load_scan(row.scan, row.image, row.sidecar, row.brain, size))
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return scans


def _load_scan(
    scan: str, image_path: str, sidecar: str, brain_path: str, size: tuple[int, int, int]
) -> LoadedScan:
    image = load_volume(image_path)
    remedy = "delete the preprocessed scans and run the workflow again"
    if image.grid.shape != size:
        expected = f"shape {size}, as in the network's training"
        raise bad_input(image_path, expected, f"shape {image.grid.shape}", remedy)
    space = ModelSpace.from_sidecar(sidecar)
    if not space.model.matches(image.grid):
        raise bad_input(sidecar, f"the geometry of {image_path}", "that of another grid", remedy)
    brain = load_mask(brain_path)
    if not brain.grid.matches(image.grid):
        found = f"another grid: shape {brain.grid.shape}"
        raise bad_input(brain_path, f"the grid of {image_path}", found, remedy)
    return LoadedScan(scan, image, brain.data, space)


def write_prediction(
    folder: Path, scan: LoadedScan, prediction: Prediction, threshold: float
) -> None:
    """Write a scan's maps and masks, in model space and on the native grid.

    The probability is resampled to the native grid and thresholded there, which keeps lesion
    borders finer than resampling the mask. Outside the network's field of view the native maps are
    0. Then probabilities are rounded to 1/255. Localisation maps keep their own size, in steps of
    1/32767 of their largest value. `msnmo.evaluate.maps` reads them within the brain.

    Parameters
    ----------
    folder : Path
    scan : LoadedScan
    prediction : Prediction
        Outputs that the method does not predict are not written.
    threshold : float
        A voxel is lesion if its probability is above this.
    """
    model_space = f"{scan.scan}_space-model"
    grid, native = scan.image.grid, scan.space.native
    if prediction.lesion_probability is not None:
        for stem, probability, where in (
            (model_space, prediction.lesion_probability, grid),
            (scan.scan, scan.space.to_native(prediction.lesion_probability), native),
        ):
            save_probability(folder / f"{stem}_desc-lesion_probseg.nii.gz", probability, where)
            mask = probability > threshold
            save_volume(folder / f"{stem}_desc-lesion_mask.nii.gz", mask, where, np.uint8)
    for index, localisation in enumerate(prediction.localisation, start=1):
        path = folder / f"{model_space}_desc-localisation{index}_map.nii.gz"
        scan.save_map(path, localisation, np.int16)


def predictions_row(scan: str, diagnosis: str, prediction: Prediction) -> dict[str, str]:
    """Return a scan's row of predictions.tsv; probabilities with six decimals, or n/a."""
    classes = prediction.class_probabilities
    values = ("n/a", "n/a") if classes is None else (f"{value:.6f}" for value in classes)
    return {"scan": scan, "diagnosis": diagnosis} | dict(zip(probabilities(), values, strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict the test scans of a fold and write the folder of predictions."""
    given = _parse(arguments)
    device = pick_device(given.device, given.per_gpu, f"predict {given.method} fold {given.fold}")
    prepare(device, given.threads)
    run = read_run(given.run, given.method, given.fold)
    test = read_part(given.scans, FILES)
    refuse_trained_on(test, run, given.run)
    model = load_model(given.weights, run, device)
    rows = []
    with atomic_folder(given.out) as folder, in_background() as write:
        scans = load_scans(test, tuple(run["size"]))
        for scan, diagnosis in zip(scans, test["diagnosis"], strict=True):
            prediction = predict_scan(model, scan.image.data, device)
            write(write_prediction, folder, scan, prediction, given.threshold)
            rows.append(predictions_row(scan.scan, diagnosis, prediction))
        write_tsv(folder / "predictions.tsv", pd.DataFrame(rows))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.predict.fold", description=__doc__)
    parser.add_argument(
        "--scans",
        type=Path,
        required=True,
        help="the scans to predict, from msnmo.cohort.parts (TSV)",
    )
    parser.add_argument("--method", required=True, help="the method that was trained")
    parser.add_argument("--fold", type=int, required=True, help="the fold to predict")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors")
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--threshold",
        type=between_0_and_1,
        default=0.5,
        help="a voxel is lesion if its probability is above this (default: 0.5)",
    )
    add_arguments(parser)
    return parser.parse_args(arguments)


def read_run(path: Path, method: str, fold: int) -> dict[str, Any]:
    """Return the run.json of a training. Check that it is of this method and fold."""
    run = read_json(path)
    needed = ("method", "fold", "settings", "size", "training_scans", "weights_sha256")
    if missing := [key for key in needed if key not in run]:
        raise bad_input(path, "run.json of a training", f"no {', '.join(missing)}", RETRAIN)
    if (run["method"], run["fold"]) != (method, fold):
        expected = f"the training of method {method}, fold {fold}"
        found = f"method {run['method']}, fold {run['fold']}"
        raise bad_input(path, expected, found, "give the run.json beside the weights")
    return run


def refuse_trained_on(test: pd.DataFrame, run: dict[str, Any], path: Path) -> None:
    """Stop if the network was trained on one of its test scans: folds may have changed."""
    both = sorted(set(run["training_scans"]) & set(test["scan"]))
    if both:
        raise DataLeakageError(
            f"{', '.join(both)} in fold {run['fold']}'s test scans and also in the training scans "
            f"of {path}: the folds have changed since. To fix it, {RETRAIN}."
        )


if __name__ == "__main__":
    run_command(main)
