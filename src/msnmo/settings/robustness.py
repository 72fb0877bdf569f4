"""The section of the config that says how held-out scans are perturbed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from msnmo.settings.keys import AS_WRITTEN, Refusal, Section, key
from msnmo.settings.methods import METHODS
from msnmo.settings.sections import MethodName, Once, each_once

Each = AfterValidator(each_once)
MOST_SEVERITIES = 100
OverOne = Annotated[float, Field(gt=1, le=1000), AS_WRITTEN]
Positive = Annotated[float, Field(gt=0, le=100), AS_WRITTEN]
Depth = Annotated[float, Field(ge=-100, le=100), AS_WRITTEN]
Angle = Annotated[float, Field(gt=0, le=45), AS_WRITTEN]


class Robustness(Section):
    """How `snakemake robustness` perturbs held-out scans.

    An empty list leaves a perturbation out.
    """

    methods: Annotated[tuple[MethodName, ...], Once, Each] = key(
        (),
        "names of the methods that are tested; empty: all of `methods`",
        "ours",
        max_length=len(METHODS),
    )
    bias_field: Annotated[tuple[OverOne, ...], Once, Each] = key(
        (1.2, 1.5, 2.0),
        "ratio of the bias field at the 95th centile of the brain to that at the 5th",
        "ours",
        max_length=MOST_SEVERITIES,
    )
    noise: Annotated[tuple[Positive, ...], Once, Each] = key(
        (0.02, 0.05, 0.1),
        "standard deviation of Rician noise, as a share of the brain's mean intensity",
        "ours",
        max_length=MOST_SEVERITIES,
    )
    slice_mm: Annotated[tuple[Positive, ...], Once, Each] = key(
        (3.0, 5.0),
        "thickness of slices in mm; scans of thicker ones are left out",
        "ours",
        max_length=MOST_SEVERITIES,
    )
    gamma: Annotated[tuple[Positive, ...], Once, Each] = key(
        (0.7, 0.85, 1.2, 1.5),
        "exponent of intensities between 0 and the brain's maximum",
        "ours",
        max_length=MOST_SEVERITIES,
    )
    rotation_degrees: Annotated[tuple[Angle, ...], Once, Each] = key(
        (2.0, 5.0, 10.0),
        "angle by which a head is turned about an axis drawn at random",
        "ours",
        max_length=MOST_SEVERITIES,
    )
    brain_mask_mm: Annotated[tuple[Depth, ...], Once, Each] = key(
        (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0),
        "mm by which the brain mask is dilated (negative: eroded)",
        "ours",
        max_length=MOST_SEVERITIES,
    )
    engines: Annotated[tuple[Literal["surface", "fsl", "hd-bet"], ...], Once, Each] = key(
        ("surface", "fsl", "hd-bet"),
        "engines that repeat the skull stripping; those that are not installed, or that already "
        "stripped the scan, are left out",
        "ours",
        max_length=3,
    )

    @field_validator("gamma", "brain_mask_mm")
    @classmethod
    def _perturb(cls, severities: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        unchanged = 1 if info.field_name == "gamma" else 0
        if unchanged in severities:
            expected = f"severities other than {unchanged}, as that changes nothing"
            raise Refusal(expected, str(unchanged), "remove it: it is compared with anyway")
        return severities
