"""The lesion volumes in run.json that are measured in model space.

`load_ml` beside them is measured on the scan's own grid. Single folds are counted in model space
alone, so only the volumes of this module can be compared with each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ALL_FOLDS = "load_ml_in_model_space"
"""Key of run.json: volume of the lesions that all folds find together, in ml."""
SINGLE_FOLDS = "load_ml_of_folds_in_model_space"
"""Key of run.json: volume of the lesions that each fold finds by itself, in ml."""
OLD_SINGLE_FOLDS = "load_ml_of_folds"
"""The same in files that were written before the key named the space."""


def of_all_folds(lesions: Mapping[str, Any]) -> float | None:
    """Return what all folds find together, in ml; None for an old file, which does not say."""
    return lesions.get(ALL_FOLDS)


def of_single_folds(lesions: Mapping[str, Any]) -> Sequence[float]:
    """Return what each fold finds, in ml.

    Parameters
    ----------
    lesions : mapping
        The key `lesions` of a scan's run.json.
    """
    key = SINGLE_FOLDS if SINGLE_FOLDS in lesions else OLD_SINGLE_FOLDS
    volumes: Sequence[float] = lesions[key]
    return volumes
