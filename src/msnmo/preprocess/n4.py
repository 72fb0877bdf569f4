"""N4 bias field correction inside the brain mask (Tustison et al. 2010), by ANTs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import numpy as np

from msnmo.core.arguments import finite
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import write_json
from msnmo.core.geometry import ras_order, reorder, restore
from msnmo.core.memory import claim, explain_little_memory
from msnmo.core.same_grid import check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_mask, load_volume

# Arrays of the scan's size that ANTs' images, copies of them and ours take at their most (measured)
ARRAYS = 15


def use_one_thread() -> None:
    """Keep ANTs to one thread: call it before `ants` is imported for the first time.

    ITK reads the variable once, when its library is loaded.
    """
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"


def correct_bias(
    scan: Volume, brain: np.ndarray, shrink: int, iterations: list[int], tolerance: float
) -> np.ndarray:
    """Return the scan without its smooth intensity bias, on its own grid.

    One ITK thread: sums of floats over two threads differ in the last digits from run to run of
    another thread count, and two are no faster. The field is estimated over brain voxels of
    positive intensity (N4 works on logarithms) and divided out of the whole brain. N4 runs on the
    scan with its axes in RAS+ order. It shrinks an image from the stored start of each axis, so a
    scan that is stored flipped would have another shrunken grid and another result.

    Parameters
    ----------
    scan : Volume
        Skull-stripped scan.
    brain : (I, J, K) ndarray of bool
        Brain mask.
    shrink : int
        The field is estimated on every n-th voxel along each axis.
    iterations : list of int
        Most iterations at each resolution level.
    tolerance : float
        Convergence threshold.

    Returns
    -------
    (I, J, K) ndarray of float32
        Corrected intensities, 0 outside the mask.
    """
    axes, flips = ras_order(scan.grid.affine)
    image, within = reorder(scan.data, axes, flips), reorder(brain, axes, flips)
    # how a header rounds voxel sizes depends on the order of axes, and would change every voxel
    voxel_mm = np.array([float(f"{size:.5g}") for size in scan.grid.voxel_mm[list(axes)]])
    field = estimate_field(image, within & (image > 0), voxel_mm, shrink, iterations, tolerance)
    corrected = np.where(within, image / field, 0).astype(np.float32)
    return np.ascontiguousarray(restore(corrected, axes, flips))


def estimate_field(  # noqa: PLR0917 - as ANTs has them
    image: np.ndarray,
    mask: np.ndarray,
    voxel_mm: np.ndarray,
    shrink: int,
    iterations: list[int],
    tolerance: float,
) -> np.ndarray:
    """Return N4's bias field (I, J, K), float32: what `ants.n4_bias_field_correction` returns.

    That function's own call of the compiled library, without the package around it.

    Parameters
    ----------
    image : (I, J, K) ndarray
    mask : (I, J, K) ndarray of bool
        Voxels that the field is estimated over.
    voxel_mm : (3,) ndarray
    shrink, iterations, tolerance
        As `correct_bias`.
    """
    library = _load_library()
    arrays = [np.array(image.T, np.float32, order="C") for _ in range(3)]
    arrays.append(np.array(mask.T, np.float32, order="C"))
    images = [library.fromNumpyF3(array, image.shape) for array in arrays]
    for each in images:
        library.setOrigin(each, (0.0, 0.0, 0.0))
        library.setSpacing(each, tuple(float(size) for size in voxel_mm))
        library.setDirection(each, np.eye(3))
    source, corrected, field, within = (library.ptrstr(each) for each in images)
    words = {
        "-d": "3",
        "-i": source,
        "-s": str(shrink),
        "-c": f"[{'x'.join(map(str, iterations))}, {tolerance:.10f}]",
        "-b": "[1x1x1]",
        "-x": within,
        "-r": "0",
        "-o": f"[{corrected},{field}]",
        "-v": "0",
    }
    library.N4BiasFieldCorrection([word for option in words.items() for word in option])
    values = np.asarray(library.toNumpy(images[2])).view(np.float32)
    return values.reshape(image.shape[::-1]).T.copy()


def _load_library() -> Any:
    """Return the compiled part of ANTs alone.

    The package around it imports plotting, statistics and learning: 1.5 s of CPU, a tenth of what
    N4 of a scan takes.
    """
    use_one_thread()
    if "ants" in sys.modules:
        return import_module("ants.lib")
    found = find_spec("ants")
    if found is None:
        raise ModuleNotFoundError("No module named 'ants'", name="ants")
    # importing a part imports the whole before, unless it is there
    sys.modules["ants"] = module_from_spec(found)
    try:
        return import_module("ants.lib")
    finally:
        del sys.modules["ants"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Correct one skull-stripped scan, or copy one that was already corrected."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.preprocess.n4", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="skull-stripped scan")
    parser.add_argument("--brain", type=Path, required=True, help="brain mask")
    parser.add_argument(
        "--bias-corrected",
        choices=("yes", "no"),
        default="no",
        help="yes: the scan was already corrected and is copied",
    )
    parser.add_argument(
        "--shrink", type=int, default=4, help="N4 estimates on a grid this many times coarser"
    )
    parser.add_argument(
        "--iterations",
        type=int,
        nargs="+",
        default=[50, 50, 50, 50],
        help="maximum number of iterations at each resolution level",
    )
    parser.add_argument(
        "--tolerance", type=finite, default=1e-7, help="change below which a level ends"
    )
    parser.add_argument("--out-image", type=Path, required=True, help="the corrected scan")
    parser.add_argument("--out-sidecar", type=Path, required=True, help="JSON: how it was made")
    given = parser.parse_args(arguments)
    with explain_little_memory(f"N4 of {given.image}"):
        _correct(given)


def _correct(given: argparse.Namespace) -> None:
    scan, brain = load_volume(given.image), load_mask(given.brain)
    check_same_grid(given.brain, brain, given.image, scan)
    if given.bias_corrected == "yes":
        corrected, settings = scan.data, {"method": "none (corrected on arrival)"}
    else:
        settings = {
            "method": f"N4, antspyx {version('antspyx')}",
            "shrink": given.shrink,
            "iterations": given.iterations,
            "tolerance": given.tolerance,
        }
        _refuse_no_signal(given.image, scan, brain)
        claim(ARRAYS * scan.data.nbytes, given.image)
        corrected = correct_bias(scan, brain.data, given.shrink, given.iterations, given.tolerance)
    save_volume(given.out_image, corrected, scan.grid)
    write_json(given.out_sidecar, {"bias_correction": settings})


def _refuse_no_signal(path: Path, scan: Volume, brain: Volume) -> None:
    inside = scan.data[brain.data]
    if inside.size and np.unique(inside[inside > 0]).size > 1:
        return
    raise bad_input(
        path,
        "varied positive intensities inside the brain mask",
        "one value or none" if inside.size else "an empty brain mask",
        "check the scan and its brain mask; exclude the scan if it shows no image",
    )


if __name__ == "__main__":
    run_command(main)
