"""What the networks of a bundle's folds say together of one scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
AVERAGING = ("averaging the folds' maps", "free memory")
"""What runs out of memory, and the remedy."""


@dataclass(frozen=True)
class Ensemble:
    """The networks of a bundle, on a device."""

    bundle: Bundle
    models: tuple[nn.Module, ...]
    device: torch.device


@dataclass(frozen=True)
class Said:
    """What one network says of one scan, in model space.

    Parameters
    ----------
    lesion_probability : (X, Y, Z) ndarray of float32, optional
        0 to 1; None if the method does not segment.
    class_probabilities : (2,) ndarray of float64, optional
        Of class 0 and 1 (MS and NMOSD); None if the method does not classify or was not asked.
    evidence : (2, X, Y, Z) ndarray of float32, optional
        For each class; None if the method has no localisation maps or was not asked.
    """

    lesion_probability: np.ndarray | None
    class_probabilities: np.ndarray | None
    evidence: np.ndarray | None

    @property
    def turned(self) -> Said:
        """The same with the maps' left and right exchanged."""
        lesion, maps = self.lesion_probability, self.evidence
        return replace(
            self,
            lesion_probability=None if lesion is None else lesion[::-1],
            evidence=None if maps is None else maps[:, ::-1],
        )


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
    bundle, device = ensemble.bundle, ensemble.device
    names_class = "classification" in bundle.tasks
    lesion, total = None, None
    voxels, classes = [], []
    for model, (weights, _) in zip(ensemble.models, bundle.runs, strict=True):
        try:
            said = ask(model, image, device, mirrored=bundle.mirrored, names_class=names_class)
        except MsnmoError as error:
            raise MsnmoError(f"{weights}: {error}") from error
        with explain_full_memory(device, *AVERAGING):
            if said.lesion_probability is not None:
                voxels.append(int((said.lesion_probability > bundle.threshold).sum()))
            if said.class_probabilities is not None:
                classes.append(said.class_probabilities)
            lesion = _sum(lesion, said.lesion_probability)
            total = _sum(total, said.evidence)
    folds = len(ensemble.models)
    probabilities = _scaled(classes, bundle.temperature) if classes else None
    consensus = Consensus(
        None if lesion is None else lesion / np.float32(folds), tuple(voxels), probabilities, None
    )
    if total is None or consensus.named is None:
        return consensus
    share = as_share(np.where(brain, total[consensus.named] / np.float32(folds), np.float32(0)))
    return replace(consensus, localisation=share)


def ask(
    model: nn.Module,
    image: np.ndarray,
    device: torch.device,
    *,
    mirrored: bool = False,
    names_class: bool = True,
) -> Said:
    """Return what a network says of one z-scored scan in model space (X, Y, Z).

    Parameters
    ----------
    model : Module
    image : (X, Y, Z) ndarray of float32
        X runs from the left to the right of the head.
    device : torch.device
    mirrored : bool
        Whether the scan is also asked for with left and right exchanged, and both answers averaged
        (the mirror image's maps turned back).
    names_class : bool
        Whether classes and evidence are asked for.

    Raises
    ------
    MsnmoError
        If memory runs out, or the network says NaN or infinity.
    """
    upright = _ask_once(model, image, device, names_class)
    if not mirrored:
        return upright
    return ask_for_mirror(upright, model, image, device, names_class=names_class)


def ask_for_mirror(
    upright: Said, model: nn.Module, image: np.ndarray, device: torch.device, *, names_class: bool
) -> Said:
    """Return the mean of what a network says of a scan and of its mirror image, as `ask` does.

    Parameters
    ----------
    upright : Said
        What it says of the scan.
    model, image, device, names_class
        As for `ask`.
    """
    mirror = _ask_once(model, image[::-1], device, names_class)
    with explain_full_memory(device, *AVERAGING):
        turned = mirror.turned
        return Said(
            _mean(upright.lesion_probability, turned.lesion_probability),
            _mean(upright.class_probabilities, turned.class_probabilities),
            _mean(upright.evidence, turned.evidence),
        )


@torch.inference_mode()
def _ask_once(model: nn.Module, image: np.ndarray, device: torch.device, names_class: bool) -> Said:
    outputs = infer(model, image, device)
    lesion = classes = maps = None
    with explain_full_memory(device, *AVERAGING):
        if outputs.lesion_logits is not None:
            lesion = outputs.lesion_probability[0, 0].float().cpu().numpy()
        if outputs.class_logits is not None and names_class:
            classes = outputs.class_probabilities[0].double().cpu().numpy()
        if outputs.features and names_class:
            maps = evidence(outputs, image.shape).cpu().numpy()
    return Said(lesion, classes, maps)


def _sum(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def _mean(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    return None if one is None or other is None else (one + other) / one.dtype.type(2)


def _scaled(classes: list[np.ndarray], temperature: float) -> np.ndarray:
    probabilities = np.stack(classes)
    if temperature == 1.0:
        return probabilities
    nmosd = scale(probabilities[:, 1], temperature)
    return np.stack([1 - nmosd, nmosd], axis=1)
