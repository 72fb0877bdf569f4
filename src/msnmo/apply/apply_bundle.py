"""Apply a bundle to one scan in model space: the workflow's rule, and a part of `msnmo.apply`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from msnmo.apply.classes import labels_of, names_of, told_of_labels
from msnmo.apply.ensemble import Consensus, Ensemble, consult, load_ensemble
from msnmo.apply.lesion_table import label_lesions, lesion_table
from msnmo.apply.loads import ALL_FOLDS, SINGLE_FOLDS
from msnmo.apply.location import RULE, locate, read_regions
from msnmo.apply.prepared import Prepared
from msnmo.bundle.contents import NOT_FOR_DIAGNOSIS, Bundle, read_bundle
from msnmo.compute.device import device_name, peak_memory, pick_device, prepare
from msnmo.compute.options import add_arguments
from msnmo.core.counts import counted
from msnmo.core.diagnoses import score_in_words
from msnmo.core.errors import MsnmoError, run_command
from msnmo.core.files import atomic_folder, read_json, sha256, write_json, write_tsv
from msnmo.core.grid import Grid
from msnmo.core.provenance import git_state, versions
from msnmo.core.saving import save_probability, save_volume
from msnmo.core.volumes import load_mask
from msnmo.evaluate.verdict import NOT_TOLD
from msnmo.predict.fold import LoadedScan, load_scans


def apply_to_scan(
    ensemble: Ensemble, prepared: Prepared, folder: Path, regions: Path | None = None
) -> dict[str, Any]:
    """Write all that the folds say of a scan, on the scan's own grid.

    Parameters
    ----------
    ensemble : Ensemble
    prepared : Prepared
    folder : Path
        Replaced when all is written; nothing half-written is left.
    regions : Path, optional
        The scan's regions, of `msnmo.apply.location`: with them each lesion is said to lie
        somewhere.

    Returns
    -------
    dict
        The contents of run.json.

    Raises
    ------
    InputError
        Naming a file that cannot be read or is of another size than the networks take.
    MsnmoError
        Naming the scan, and the weights whose network says NaN or infinity of it.
    """
    started = time.perf_counter()
    files = {
        "image": prepared.image,
        "sidecar": prepared.sidecar,
        "brain": prepared.model_brain,
    }
    table = pd.DataFrame([{"scan": prepared.name, **files}])
    (scan,) = load_scans(table, ensemble.bundle.size)
    brain = load_mask(prepared.brain)
    try:
        consensus = consult(ensemble, scan.image.data, scan.brain)
    except MsnmoError as error:
        raise MsnmoError(f"{prepared.name}: {error}") from error
    network = time.perf_counter()
    with atomic_folder(folder) as new:
        stem = new / prepared.name
        save_volume(f"{stem}_desc-brain_mask.nii.gz", brain.data, brain.grid, np.uint8)
        lesions = _write_lesions(stem, scan, consensus, ensemble.bundle.threshold, regions)
        if consensus.localisation is not None:
            # interpolation draws the map over the brain's edge
            native = np.where(brain.data, scan.space.to_native(consensus.localisation), 0)
            save_probability(f"{stem}_desc-localisation_map.nii.gz", native, scan.space.native)
        seconds = prepared.seconds | {
            "network": round(network - started, 2),
            "outputs": round(time.perf_counter() - network, 2),
        }
        run = {
            "warning": NOT_FOR_DIAGNOSIS,
            "scan": prepared.name,
            "input": _input(prepared, scan.space.native),
            "bundle": {
                "id": ensemble.bundle.id,
                "method": ensemble.bundle.method.name,
                "simulated": ensemble.bundle.simulated,
                "threshold": ensemble.bundle.threshold,
                "mirrored": ensemble.bundle.mirrored,
                "class_unasked": ensemble.bundle.unasked,
            },
            "class": _class(ensemble.bundle, consensus),
            "lesions": _told(lesions, consensus, scan, ensemble.bundle.threshold, regions),
            "localisation": _judged(ensemble.bundle, consensus),
            "skullstrip": read_json(prepared.brain_sidecar).get("skullstrip", {}),
            "preprocessing": _preprocessing(prepared),
            **_machine(ensemble.device),
            "seconds": seconds,
            "versions": versions(),
            "git": git_state(),
        }
        write_json(f"{stem}_run.json", run)
    return run


def _write_lesions(
    stem: Path, scan: LoadedScan, consensus: Consensus, threshold: float, regions: Path | None
) -> pd.DataFrame | None:
    """Write lesion probability, mask and table; return the table, or None without segmentation.

    The probability is taken to the native grid and thresholded there, as in cross-validation.
    """
    if consensus.lesion_probability is None:
        return None
    native = scan.space.native
    probability = scan.space.to_native(consensus.lesion_probability)
    save_probability(f"{stem}_desc-lesion_probseg.nii.gz", probability, native)
    labels = label_lesions(probability > threshold)
    save_volume(f"{stem}_desc-lesion_mask.nii.gz", labels > 0, native, np.uint8)
    save_volume(f"{stem}_desc-lesion_dseg.nii.gz", labels, native, np.int32)
    table = lesion_table(labels, native)
    if regions is not None:
        table["location"] = locate(labels, read_regions(regions, native), native)
    # a thousandth of a mm and of a mm³: nothing that a scan knows is lost
    rounded = table.round({name: 6 if name == "volume_ml" else 3 for name in table.columns})
    write_tsv(f"{stem}_desc-lesion_table.tsv", rounded)
    return table


def _input(prepared: Prepared, native: Grid) -> dict[str, Any]:
    return {
        "file": prepared.flair.name,
        "sha256": sha256(prepared.flair),
        "shape": list(native.shape),
        "voxel_mm": [round(float(size), 4) for size in native.voxel_mm],
        "form_conflict": native.form_conflict,
    }


def _preprocessing(prepared: Prepared) -> dict[str, Any]:
    """Return what was done to a scan after skull stripping."""
    moved = read_json(prepared.sidecar)
    size = {"resize": {"target": moved["geometry"]["resize"]["target"]}}
    return {
        "bias_correction": read_json(prepared.n4_sidecar).get("bias_correction", {}),
        "geometry": size,
        **{name: moved[name] for name in ("resize", "zscore") if name in moved},
    }


def _class(bundle: Bundle, consensus: Consensus) -> dict[str, Any] | None:
    """Return what the folds say of the class, and how sure they are."""
    folds, mean, named = consensus.class_probabilities, consensus.mean, consensus.named
    if folds is None or mean is None or named is None:
        return None
    agreeing = int((folds.argmax(axis=1) == named).sum())
    doubts = bundle.certainty.doubts(float(mean[named]), agreeing, len(folds))
    spread = float(folds[:, 1].std(ddof=1)) if len(folds) > 1 else None
    first, second, of_folds = names_of(bundle.labels)
    return {
        "named": bundle.labels[named],
        first: round(float(mean[0]), 6),
        second: round(float(mean[1]), 6),
        of_folds: None if spread is None else round(spread, 6),
        f"{second}_of_folds": [round(float(value), 6) for value in folds[:, 1]],
        "folds_agreeing": agreeing,
        "folds": len(folds),
        "uncertain": bool(doubts),
        "doubts": doubts,
        "rule": bundle.certainty.rule,
        "temperature": bundle.temperature,
        **told_of_labels(bundle.labels),
    }


def _told(
    lesions: pd.DataFrame | None,
    consensus: Consensus,
    scan: LoadedScan,
    threshold: float,
    regions: Path | None,
) -> dict[str, Any] | None:
    """Return number and volume of the lesions, with the spread over folds.

    The volume is measured on the scan's own grid. Single folds are counted in model space, so the
    volume of all folds together is given in model space too: only those two can be compared.
    """
    if lesions is None or consensus.lesion_probability is None:
        return None
    voxel_ml = scan.space.model.voxel_ml
    together = int((consensus.lesion_probability > threshold).sum())
    told = {
        "count": len(lesions),
        "load_ml": round(float(lesions["volume_ml"].sum()), 4),
        ALL_FOLDS: round(together * voxel_ml, 4),
        SINGLE_FOLDS: [round(count * voxel_ml, 4) for count in consensus.lesion_voxels],
    }
    if regions is not None:
        located = lesions.groupby("location")
        told["locations"] = {
            name: {"count": len(rows), "load_ml": round(float(rows["volume_ml"].sum()), 4)}
            for name, rows in located
        }
        told["location_rule"] = RULE
    return told


def _judged(bundle: Bundle, consensus: Consensus) -> dict[str, Any] | None:
    """Return whether maps of the bundle's networks find lesions; None where there is no map."""
    if consensus.localisation is None:
        return None
    verdict = bundle.localisation
    numbers = None if verdict is None else verdict.to_json()
    return {"measured": numbers, "told": NOT_TOLD if verdict is None else verdict.in_words}


def _machine(device: torch.device) -> dict[str, Any]:
    return {
        "device": device.type,
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": peak_memory(device),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Apply a bundle to one scan that the workflow has preprocessed."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.apply.apply_bundle", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--scan", required=True, help="its name, sub-X or sub-X_ses-Y")
    parser.add_argument("--flair", type=Path, required=True, help="as it arrived")
    parser.add_argument("--brain", type=Path, required=True, help="brain mask")
    parser.add_argument("--model-brain", type=Path, required=True, help="brain mask in model space")
    parser.add_argument("--brain-sidecar", type=Path, required=True, help="JSON of the brain mask")
    parser.add_argument("--n4", type=Path, required=True, help="bias-corrected brain")
    parser.add_argument("--image", type=Path, required=True, help="z-scored, in model space")
    parser.add_argument("--sidecar", type=Path, required=True, help="JSON of the image")
    parser.add_argument("--regions", type=Path, help="of msnmo.apply.location")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    add_arguments(parser)
    given = parser.parse_args(arguments)

    bundle = read_bundle(given.bundle)
    if bundle.unverified:
        print(f"warning: {bundle.unverified}")
    device = pick_device(given.device, given.per_gpu, f"apply to {given.scan}")
    prepare(device, given.threads)
    prepared = Prepared(
        given.scan,
        given.flair,
        given.brain,
        given.brain_sidecar,
        given.n4,
        given.image,
        given.sidecar,
        given.model_brain,
    )
    run = apply_to_scan(load_ensemble(bundle, device), prepared, given.out, given.regions)
    print(in_words(run))


def in_words(run: Mapping[str, Any]) -> str:
    """Return what was found of a scan, in a line."""
    parts = []
    if run["lesions"]:
        count, load_ml = run["lesions"]["count"], run["lesions"]["load_ml"]
        parts.append(f"{counted(count, 'lesion')}, {load_ml:.2f} ml")
    if said := run["class"]:
        doubt = f", uncertain: {'; '.join(said['doubts'])}" if said["uncertain"] else ""
        labels = labels_of(run)
        _, column, _ = names_of(labels)
        parts.append(f"{said['named']} ({score_in_words(labels)} {said[column]:.2f}{doubt})")
    return f"{run['scan']}: {'; '.join(parts)}. {NOT_FOR_DIAGNOSIS}"


if __name__ == "__main__":
    run_command(main)
