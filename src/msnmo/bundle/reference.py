"""The reference pass of a network: a few numbers that show whether a later msnmo makes it the same.

Weights alone do not make a network; the code around them matters too. A network's outputs for one
made-up scan are kept beside its weights and compared when the weights are loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from msnmo.core.diagnoses import diagnoses
from msnmo.networks.localisation import evidence
from msnmo.networks.outputs import Outputs

# One edge is long enough for the transformer's windows to be shifted. The others are as short as
# the deepest network allows, so that a pass takes about a second. Bundles are compared by this
# shape and `reference_image`: changing either makes every bundle look like another network's.
SHAPE = (128, 32, 32)
EVERY = 21_871
"""Distance between compared voxels: a prime, so that they are in no plane or row."""
RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Tolerance, relative to a group's largest number, and in logits.

Processors, threads and libraries differ by 1e-5.
"""

Reference = Mapping[str, list[float]]


def reference_image() -> np.ndarray:
    """Return the made-up scan, `SHAPE`, float32. It is made of waves, without random numbers."""
    i, j, k = np.ogrid[tuple(slice(edge) for edge in SHAPE)]
    waves = np.sin(0.9 * i + 0.4 * j) + np.cos(0.5 * j - 1.1 * k) + np.sin(0.07 * i * j + 0.3 * k)
    return waves.astype(np.float32)


@torch.inference_mode()
def reference_pass(model: nn.Module, labels: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Return a network's outputs for `reference_image`, computed on the CPU.

    Parameters
    ----------
    model : Module
    labels : sequence of str, optional
        Labels of the two classes; by default those of this process.

    Returns
    -------
    dict
        ``lesion_logits`` (mean, standard deviation, voxels), ``class_logits`` (MS, NMOSD), and
        ``evidence_ms``, ``evidence_nmosd`` (like the lesion logits; named by the class labels), as
        far as the network has them. Six significant digits.
    """
    outputs = model(torch.from_numpy(reference_image())[None, None])
    numbers = _numbers(outputs, labels or diagnoses())
    return {name: [float(f"{each:.6g}") for each in of] for name, of in numbers.items()}


def _numbers(outputs: Outputs, labels: Sequence[str]) -> dict[str, list[float]]:
    numbers = {}
    if outputs.lesion_logits is not None:
        numbers["lesion_logits"] = _summary(outputs.lesion_logits)
    if outputs.class_logits is not None:
        numbers["class_logits"] = outputs.class_logits[0].tolist()
    if outputs.features:
        for label, of_class in zip(labels, evidence(outputs, SHAPE), strict=True):
            numbers[f"evidence_{label.lower()}"] = _summary(of_class)
    return numbers


def _summary(values: Tensor) -> list[float]:
    """Return mean, standard deviation and some voxels of a map."""
    flat = values.double().flatten()
    return [flat.mean().item(), flat.std().item(), *flat[::EVERY].tolist()]


def difference(expected: Reference, found: Reference) -> str:
    """Return in words the differences of two passes; empty if one network can have made both."""
    if list(expected) != list(found):
        return f"{', '.join(found)} instead of {', '.join(expected)}"
    return "; ".join(
        f"{name} {_in_words(found[name])} instead of {_in_words(expected[name])}"
        for name in expected
        if not _agree(expected[name], found[name])
    )


def _agree(expected: list[float], found: list[float]) -> bool:
    """Whether each number is as expected. NaN never is."""
    if len(expected) != len(found):
        return False
    admitted = RELATIVE * max(map(abs, expected), default=0) + ABSOLUTE
    return math.isfinite(admitted) and all(
        abs(one - other) <= admitted for one, other in zip(expected, found, strict=True)
    )


def _in_words(numbers: list[float]) -> str:
    return " ".join(f"{each:.4g}" for each in numbers)
