"""What the networks of a bundle's folds say together of one scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from msnmo.bundle.contents import COPY_AGAIN, DESCRIPTION, Bundle
from msnmo.bundle.reference import difference, reference_pass
from msnmo.compute.device import explain_full_memory, move
from msnmo.core.errors import Finding, InputError, MsnmoError, bad_input
from msnmo.evaluate.calibration import scale
from msnmo.evaluate.maps import as_share
from msnmo.networks.localisation import evidence
from msnmo.predict.fold import infer, load_model

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ensemble:
    """The networks of a bundle, on a device."""

    bundle: Bundle
    models: tuple[nn.Module, ...]
    device: torch.device


@dataclass(frozen=True)
class Consensus:
    """What the folds say of one scan, in model space.

    Parameters
    ----------
    lesion_probability : (X, Y, Z) ndarray of float32, optional
        Mean over folds, 0 to 1; None if the method does not segment.
    lesion_voxels : (F,) tuple of int
        Voxels that each fold alone calls lesion; empty if the method does not segment.
    class_probabilities : (F, 2) ndarray of float64, optional
        Each fold's probabilities of class 0 and 1 (MS and NMOSD), scaled by the bundle's
        temperature; None if the method does not classify.
    localisation : (X, Y, Z) ndarray of float32, optional
        What speaks for the class named, as a share of its maximum, 0 to 1, and 0 outside the brain;
        None if the method has no localisation maps.
    """

    lesion_probability: np.ndarray | None
    lesion_voxels: tuple[int, ...]
    class_probabilities: np.ndarray | None
    localisation: np.ndarray | None

    @property
    def mean(self) -> np.ndarray | None:
        """(2,) mean probabilities of class 0 and 1: MS and NMOSD."""
        return None if self.class_probabilities is None else self.class_probabilities.mean(axis=0)

    @property
    def named(self) -> int | None:
        """The class of the larger mean probability: 0 = MS, 1 = NMOSD."""
        return None if self.mean is None else int(self.mean.argmax())


def load_ensemble(bundle: Bundle, device: torch.device) -> Ensemble:
    """Return the networks of a bundle, ready to predict.

    Raises
    ------
    InputError
        Naming every weights file that is missing, damaged or of another network, and every one
        that this msnmo makes another network of than the one that made the bundle.
    """
    models, findings = [], []
    for weights, run in bundle.runs:
        try:
            model = load_model(weights, run, CPU)
        except InputError as error:
            findings += [Finding(f.file, f.expected, f.found, COPY_AGAIN) for f in error.findings]
            continue
        try:
            refuse_changed(model, weights, run, bundle)
        except InputError as error:
            findings += error.findings
        models.append(move(model, device))
    if findings:
        raise InputError(findings)
    return Ensemble(bundle, tuple(models), device)


def refuse_changed(model: nn.Module, weights: Path, run: Mapping[str, Any], bundle: Bundle) -> None:
    """Refuse a network on the CPU that does not say what it said when the bundle was made.

    Raises
    ------
    InputError
        Naming the weights, what was said and what is said now.
    """
    if "reference" not in run:  # a bundle of before
        return
    if changed := difference(run["reference"], reference_pass(model, bundle.labels)):
        expected = f"weights that give the reference pass told in {bundle.path / DESCRIPTION}"
        raise bad_input(weights, expected, changed, bundle.remedy)


@torch.inference_mode()
def consult(ensemble: Ensemble, image: np.ndarray, brain: np.ndarray) -> Consensus:
    """Return the consensus of the folds on one z-scored scan in model space (X, Y, Z).

    Lesion and class probabilities are averaged over folds. A fold's evidence for a class is the sum
    of its maps V_1 to V_3 (equation 10), whose mean is the class's logit without its bias; it is
    averaged over folds too. Outside the brain mask (X, Y, Z) it is 0, and of no say in its maximum.

    Raises
    ------
    MsnmoError
        If memory runs out, or a fold's network says NaN or infinity; its weights are named.
    """
    threshold = ensemble.bundle.threshold
    names_class = "classification" in ensemble.bundle.tasks
    lesion, total = None, None
    voxels, classes = [], []
    for model, (weights, _) in zip(ensemble.models, ensemble.bundle.runs, strict=True):
        try:
            outputs = infer(model, image, ensemble.device)
        except MsnmoError as error:
            raise MsnmoError(f"{weights}: {error}") from error
        with explain_full_memory(ensemble.device, "averaging the folds' maps", "free memory"):
            if outputs.lesion_logits is not None:
                probability = outputs.lesion_probability[0, 0].float().cpu().numpy()
                voxels.append(int((probability > threshold).sum()))
                lesion = probability if lesion is None else lesion + probability
            if outputs.class_logits is not None and names_class:
                classes.append(outputs.class_probabilities[0].double().cpu().numpy())
            if outputs.features and names_class:
                fold = evidence(outputs, image.shape).cpu().numpy()
                total = fold if total is None else total + fold
    folds = len(ensemble.models)
    probabilities = _scaled(classes, ensemble.bundle.temperature) if classes else None
    consensus = Consensus(
        None if lesion is None else lesion / np.float32(folds), tuple(voxels), probabilities, None
    )
    if total is None or consensus.named is None:
        return consensus
    share = as_share(np.where(brain, total[consensus.named] / np.float32(folds), np.float32(0)))
    return Consensus(consensus.lesion_probability, tuple(voxels), probabilities, share)


def _scaled(classes: list[np.ndarray], temperature: float) -> np.ndarray:
    probabilities = np.stack(classes)
    if temperature == 1.0:
        return probabilities
    nmosd = scale(probabilities[:, 1], temperature)
    return np.stack([1 - nmosd, nmosd], axis=1)
