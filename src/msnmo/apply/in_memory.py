"""A bundle applied to an image in memory: what `msnmo.apply(...)` runs.

The image is written to a scratch folder and goes the way of `msnmo apply`, step by step, so that
the two give the same masks, maps and numbers.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from msnmo.apply.apply_bundle import apply_to_scan
from msnmo.apply.classes import labels_of, names_of
from msnmo.apply.ensemble import Ensemble, load_ensemble
from msnmo.apply.mni import register
from msnmo.apply.pages import LESION_COLUMNS
from msnmo.apply.preprocess import Arrived, preprocess
from msnmo.bundle.contents import read_bundle
from msnmo.check.check_scan import Files, check_scan
from msnmo.compute.device import pick_device, prepare
from msnmo.compute.options import Choice
from msnmo.core.errors import InputError, bad_input
from msnmo.core.files import read_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.starter import SHIPPED
from msnmo.core.volumes import load_mask, load_volume

NAME = "sub-image"


@dataclass(frozen=True, eq=False)
class Applied:
    """What a bundle's folds say of an image. All arrays have its shape and affine.

    Parameters
    ----------
    affine : (4, 4) ndarray of float64
        From voxel indices to scanner mm (RAS+), as given.
    brain_mask : (I, J, K) ndarray of bool
    lesion_mask : (I, J, K) ndarray of bool, optional
        None, as all that is of lesions, if the bundle's method does not segment.
    lesion_labels : (I, J, K) ndarray of int32, optional
        The number of the lesion that a voxel is of, as in `lesions`; 0 outside.
    lesion_probability : (I, J, K) ndarray of float32, optional
        Mean over folds, 0 to 1 in steps of 1/255.
    lesions : DataFrame, optional
        A row a lesion: lesion, voxels, volume_ml, x_mm, y_mm, z_mm, longest_axis_mm, and location
        where it was asked for.
    class_probabilities : dict of str to float, optional
        Mean over folds, by label; None, as all that is of the class, if the method does not
        classify.
    class_named : str, optional
    uncertain : bool, optional
        By the bundle's rule; ``run["class"]["doubts"]`` says why.
    localisation_map : (I, J, K) ndarray of float32, optional
        What speaks for the class named, as a share of its maximum.
    run : dict
        All of it as `msnmo apply` writes it in run.json.
    """

    affine: np.ndarray
    brain_mask: np.ndarray
    lesion_mask: np.ndarray | None
    lesion_labels: np.ndarray | None
    lesion_probability: np.ndarray | None
    lesions: pd.DataFrame | None
    class_probabilities: dict[str, float] | None
    class_named: str | None
    uncertain: bool | None
    localisation_map: np.ndarray | None
    run: dict[str, Any]


def load(
    bundle: str | Path = SHIPPED, device: Choice = "auto", *, classes: bool = False
) -> Ensemble:
    """Read a bundle's networks once, for many calls of `apply_to_image`.

    Parameters
    ----------
    bundle : str or Path
        Its folder; by default the starter's, which has learned from simulated scans alone.
    device : {"auto", "cuda", "mps", "cpu"}
    classes : bool
        Whether classes are named where the bundle does so on request alone.

    Raises
    ------
    InputError
        Naming what of the bundle is missing, damaged or of another network.
    """
    return load_ensemble(read_bundle(bundle, classes=classes), pick_device(device, 1, "apply"))


def apply_to_image(
    image: np.ndarray,
    affine: np.ndarray,
    bundle: str | Path | Ensemble = SHIPPED,
    *,
    stripped: bool = False,
    bias_corrected: bool = False,
    engine: str = "auto",
    locations: bool = False,
    device: Choice = "auto",
    threads: int | None = None,
) -> Applied:
    """Apply a bundle to a T2-FLAIR image of a head. Research output, not for diagnosis.

    Parameters
    ----------
    image : (I, J, K) array
        Finite numbers, in any storage order that the affine tells; of a file,
        ``numpy.asarray(nibabel.load(path).dataobj, numpy.float32)``.
    affine : (4, 4) array
        From voxel indices to scanner mm (RAS+), as nibabel has it.
    bundle : str, Path or Ensemble
        Folder of a bundle, or what `load` made of it; by default the starter.
    stripped, bias_corrected : bool
        What was done to the image before.
    engine : str
        Of skull stripping; auto: the one that the bundle's scans were stripped with.
    locations : bool
        Whether each lesion's place is told, by a registration to the MNI template.
    device : {"auto", "cuda", "mps", "cpu"}
        Not used with an `Ensemble`, which is on one.
    threads : int, optional
        Of the networks on a CPU; all that this process may use, as of the command.

    Raises
    ------
    InputError
        Saying what of image, affine or bundle is wrong.
    MsnmoError
        If a step fails.
    """
    grid = _grid(image, affine)
    ensemble = bundle if isinstance(bundle, Ensemble) else load(bundle, device)
    with tempfile.TemporaryDirectory(prefix="msnmo-") as scratch, _torch_as_it_was():
        prepare(ensemble.device, threads or len(os.sched_getaffinity(0)))
        flair = Path(scratch) / f"{NAME}_FLAIR.nii.gz"
        save_volume(flair, image, grid, np.float64)  # as exact as what was given
        _check(flair, stripped)
        scan = Arrived(NAME, flair, stripped, bias_corrected)
        settings = ensemble.bundle.preprocessing(engine)
        prepared = preprocess(scan, settings, Path(scratch), lambda _: None)
        regions = register(prepared, Path(scratch)).regions if locations else None
        folder = Path(scratch) / "anat"
        run = apply_to_scan(ensemble, prepared, folder, regions)
        return _read(folder / NAME, run, np.asarray(affine, np.float64))


def _grid(image: np.ndarray, affine: np.ndarray) -> Grid:
    data, matrix = np.asarray(image), np.asarray(affine)
    if data.ndim != 3 or data.dtype.kind not in "buif":
        found = f"shape {data.shape} of {data.dtype}"
        raise bad_input("image", "real numbers along three axes", found, "give one volume")
    if matrix.shape != (4, 4) or not np.isfinite(matrix.astype(np.float64)).all():
        remedy = "give the affine as nibabel has it"
        raise bad_input("affine", "4 x 4 finite numbers", f"shape {matrix.shape}", remedy)
    return Grid.from_affine(data.shape, matrix)


def _check(flair: Path, stripped: bool) -> None:
    """Refuse what the command refuses."""
    report = check_scan(NAME, Files(flair, stripped=stripped))
    errors = [each.finding for each in report.findings if each.severity == "error"]
    if errors:
        raise InputError(replace(each, file="image") for each in errors)


def _read(stem: Path, run: dict[str, Any], affine: np.ndarray) -> Applied:
    """Return what was written, so that it is what the command writes to the last bit."""
    lesions = run["lesions"] is not None
    labels = load_volume(f"{stem}_desc-lesion_dseg.nii.gz").data if lesions else None
    mapped = Path(f"{stem}_desc-localisation_map.nii.gz")
    said = run["class"]
    probabilities = None
    if said:
        pair = labels_of(run)
        probabilities = {
            label: said[name] for label, name in zip(pair, names_of(pair)[:2], strict=True)
        }
    return Applied(
        affine,
        load_mask(f"{stem}_desc-brain_mask.nii.gz").data,
        None if labels is None else labels > 0,
        None if labels is None else labels.astype(np.int32),
        load_volume(f"{stem}_desc-lesion_probseg.nii.gz").data if lesions else None,
        read_tsv(f"{stem}_desc-lesion_table.tsv", LESION_COLUMNS) if lesions else None,
        probabilities,
        said["named"] if said else None,
        said["uncertain"] if said else None,
        load_volume(mapped).data if mapped.is_file() else None,
        run,
    )


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Give the caller back the switches of torch, which are the whole process's."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    tries = torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        torch.backends.cudnn.benchmark = tries
