"""Grad-CAM of the test scans of a fold, by the network that was not trained on them.

The maps are for the first residual block's output F_1, the finest of the three. At the last block
they would add nothing: the network is linear from F_3 to the logits, so Grad-CAM there equals V_3
without its negative part. At F_1, the gradient also runs through the two later blocks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from monai.visualize import GradCAM
from torch import Tensor, nn

from msnmo.cohort.parts import read_part
from msnmo.compute.device import (
    explain_full_memory,
    memory_format,
    pick_device,
    prepare,
)
from msnmo.compute.options import add_arguments
from msnmo.core.background import in_background
from msnmo.core.errors import MsnmoError, run_command
from msnmo.core.files import atomic_folder
from msnmo.networks.finite import not_finite
from msnmo.predict.fold import (
    FILES,
    LoadedScan,
    load_model,
    load_scans,
    read_run,
    refuse_trained_on,
)

LAYER = "block_1"


class ClassLogits(nn.Module):
    """Wraps a network of both tasks as a classifier, as MONAI's Grad-CAM needs it.

    Parameters
    ----------
    model : Module
        A network with a part `classification` that returns `Outputs`.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Return the class logits (B, 2) of scans (B, 1, X, Y, Z)."""
        return self.model(image).class_logits


def gradcam(
    model: nn.Module, image: np.ndarray, device: torch.device, layer: str = LAYER
) -> np.ndarray:
    """Return the Grad-CAM map of one scan for its predicted class (Selvaraju et al. 2017).

    Parameters
    ----------
    model : Module
        Network with a part `classification`, on the device, in evaluation mode.
    image : (X, Y, Z) ndarray of float32
        z-scored, in model space.
    device : torch.device
    layer : str
        Layer of the classification whose output the map weights.

    Returns
    -------
    (x, y, z) ndarray of float32
        At least 0, with the size of the layer's output. Multiplied by its number of voxels, so that
        it has the unit of V_1 to V_3 (the logit's) at any resolution.

    Raises
    ------
    MsnmoError
        If memory runs out, or if the map has NaN or infinity.
    """
    mapper = GradCAM(ClassLogits(model), f"model.classification.{layer}")
    batch = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]
    size = "x".join(map(str, image.shape))
    remedy = "use a machine with more memory, or check that nothing else uses the device"
    with explain_full_memory(device, f"Grad-CAM of one scan of size {size}", remedy):
        # without MONAI's last step, which maps the largest value to 0
        values = mapper.compute_map(batch.to(device, memory_format=memory_format(device))).detach()
        if wrong := not_finite({"the map": values}):
            raise MsnmoError(f"Grad-CAM of a network is not finite: {wrong}")
        return (values * values.numel())[0, 0].float().cpu().numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the Grad-CAM maps of the test scans of a fold."""
    given = _parse(arguments)
    what = f"Grad-CAM of {given.method} fold {given.fold}"
    device = pick_device(given.device, given.per_gpu, what)
    prepare(device, given.threads)
    run = read_run(given.run, given.method, given.fold)
    test = read_part(given.scans, FILES)
    refuse_trained_on(test, run, given.run)
    model = load_model(given.weights, run, device)
    with atomic_folder(given.out) as folder, in_background() as write:
        for scan in load_scans(test, tuple(run["size"])):
            write(_write, folder, scan, gradcam(model, scan.image.data, device))


def _write(folder: Path, scan: LoadedScan, values: np.ndarray) -> None:
    path = folder / f"{scan.scan}_space-model_desc-gradcam_map.nii.gz"
    scan.save_map(path, values, np.uint16)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m msnmo.predict.gradcam", description=__doc__)
    parser.add_argument(
        "--scans", type=Path, required=True, help="the scans to map, from msnmo.cohort.parts (TSV)"
    )
    parser.add_argument("--method", default="joint", help="the method that was trained")
    parser.add_argument("--fold", type=int, required=True, help="the fold of these scans")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors")
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    add_arguments(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
