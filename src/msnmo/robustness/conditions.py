"""The list of perturbations, and the conditions made from them by the config.

The workflow reads it at every start: nothing slow is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

UNPERTURBED = "none"
"""The condition of unperturbed scans."""
TABLE = "conditions.tsv"
"""The files in the folder of a perturbed scan."""
COLUMNS = {
    **dict.fromkeys(("perturbation", "severity", "left_out"), str),
    **dict.fromkeys(("image", "sidecar", "brain"), str),
}
"""Columns of that table, one row per condition. left_out says why files are missing, if so."""
LIES_ON = "lies_on"
"""Key of a sidecar: the grid of the voxels in the original head."""


@dataclass(frozen=True)
class Perturbation:
    """One way to perturb a scan.

    Parameters
    ----------
    label : str
        As people read it.
    severity : str
        What its severity is, with its unit.
    unchanged : str
        The severity that changes nothing.
    """

    label: str
    severity: str
    unchanged: str


PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType(
    {
        "bias_field": Perturbation("Bias field", "strongest over weakest", "1"),
        "noise": Perturbation("Noise", "SD over brain mean", "0"),
        "slice_mm": Perturbation("Slice thickness", "mm", "as is"),
        "gamma": Perturbation("Gamma", "exponent", "1"),
        "rotation_degrees": Perturbation("Rotation", "degrees", "0"),
        "brain_mask_mm": Perturbation("Brain mask", "mm dilated (−: eroded)", "0"),
        "engines": Perturbation("Skull strip", "engine", "as is"),
    }
)
"""By the config's key of their severities, in the order of the table and figure."""


@dataclass(frozen=True)
class Condition:
    """A perturbation at one severity.

    Parameters
    ----------
    perturbation : str
        One of `PERTURBATIONS`.
    severity : str
        As written in tables: a number, or an engine's name.
    """

    perturbation: str
    severity: str

    @property
    def value(self) -> float:
        """The severity as a number."""
        return float(self.severity)

    @property
    def name(self) -> str:
        """The beginning of the condition's file names."""
        return f"{self.perturbation}_{self.severity}"


def conditions_of(section: Mapping[str, Any]) -> list[Condition]:
    """Return the conditions of the config's section `robustness`, in order.

    Parameters
    ----------
    section : mapping
        By perturbation, its severities.
    """
    return [
        Condition(name, each if isinstance(each, str) else f"{each:g}")
        for name in PERTURBATIONS
        for each in section[name]
    ]
