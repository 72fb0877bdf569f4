"""The sections of the config that are no method's: each key's default, rule and meaning."""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WrapValidator,
    field_validator,
)

from msnmo.core.diagnoses import LABEL
from msnmo.core.lesion_labels import ANY
from msnmo.core.paths import expand, not_a_folder
from msnmo.core.sizes import TOKEN
from msnmo.settings.keys import (
    AS_WRITTEN,
    MOST,
    Number,
    Probability,
    Refusal,
    Section,
    Share,
    Weight,
    key,
    whole_choice,
    within,
)
from msnmo.settings.methods import JOINT, METHODS
from msnmo.settings.skullstrip import Engine, Implausible

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]


def _if_any(text: str) -> str:
    return expand(text) if text else ""


def _folder_to_be(path: str) -> str:
    if file := not_a_folder(path):
        found, remedy = f"the file {file.absolute()}", "name a folder, or move the file away"
        raise Refusal("a folder, there or not yet", found, remedy)
    # a lone dot would make every path of a result begin with ./, which Snakemake warns of
    return os.getcwd() if path == "." else path  # noqa: PTH109 - text, as Snakemake has it


def each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list that has a value more than once."""
    if twice := sorted(str(value) for value, count in Counter(values).items() if count > 1):
        found = f"{', '.join(twice)} more than once"
        raise Refusal("each once", found, "remove what is there again")
    return values


IS_PATH = Field(json_schema_extra={"format": "path"})
SomePath = Annotated[str, Field(min_length=1), IS_PATH, AfterValidator(expand)]
PathOrNone = Annotated[str, IS_PATH, AfterValidator(_if_any)]
Folder = Annotated[SomePath, AfterValidator(_folder_to_be)]
Once = Field(strict=False, json_schema_extra={"uniqueItems": True})
Edge = Annotated[int, Field(ge=TOKEN, le=1024, multiple_of=TOKEN)]


def _two_classes(given: Any) -> Any:
    """Refuse another number of labels than two, and say what is tied to two."""
    if not isinstance(given, list | tuple) or len(given) == 2:
        return given
    many = ", ".join(map(str, given)) or "none"
    if len(given) < 2:
        remedy = (
            "name two: of a cohort of one class, all scans may have the first; methods that "
            "classify are left out then"
        )
    else:
        remedy = (
            "name the two to be told apart, and leave the others' scans out of the scan table, "
            "or give them one label of the two; or segment alone: empty the column diagnosis of "
            "all scans"
        )
    expected = (
        "two labels, as the classification head has two outputs, and SN, SP and AUC are of two "
        "classes"
    )
    raise Refusal(expected, f"{len(given)}: {many}", remedy)


def _labels(labels: tuple[str, str]) -> tuple[str, str]:
    """Refuse labels that name no columns, or one column twice."""
    if wrong := [label for label in labels if not LABEL.fullmatch(label)]:
        expected = "labels of letters and digits that begin with a letter"
        raise Refusal(expected, ", ".join(map(repr, wrong)), "rename them, in the scan table too")
    if labels[0].lower() == labels[1].lower():
        found = f"{labels[0]} and {labels[1]}"
        raise Refusal("two labels that differ by more than capital letters", found, "rename one")
    return labels


Diagnoses = Annotated[
    tuple[str, str],
    Field(strict=False),
    AfterValidator(_labels),
    BeforeValidator(_two_classes),
]


MOST_LABEL, MOST_LABELS = 2**31 - 1, 1000


def _lesion_labels(given: Any, _by_type: Any) -> Any:
    # what is wrong of a union would be told of each of its types
    if given == ANY:
        return given
    listed = isinstance(given, list | tuple)
    if (
        not listed
        or len(given) > MOST_LABELS
        or not all(type(each) is int and 0 < each <= MOST_LABEL for each in given)
    ):
        raise Refusal()
    return each_once(tuple(given))


SomeLabels = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_LABEL)], ...],
    Field(json_schema_extra={"uniqueItems": True}, max_length=MOST_LABELS),
]
LesionLabels = Annotated[Literal["any"] | SomeLabels, WrapValidator(_lesion_labels)]


class LesionMasks(Section):
    """Masks of lesions as they arrive."""

    labels: LesionLabels = key(
        (),
        "which values of a mask are lesion where it has several, such as [1, 2], or any; empty: a "
        "mask has 0 and one other value",
        "ours",
    )

    combine: Literal["intersection", "union", "majority", "staple"] = key(
        "intersection",
        "how the masks of several raters become one; the paper says it of its hospital's scans",
        "paper",
    )
    other_grid: Literal["error", "resample"] = key(
        "error",
        "what becomes of a mask on another grid than its scan; resampled, it is linear then >= 0.5",
        "ours",
    )


class SkullStrip(Section):
    """Which voxels of a head are brain."""

    engine: Engine = key(
        "auto",
        "engine of skull stripping; the paper's is BET; auto is fsl where bet is on PATH, else "
        "surface",
        "ours",
    )
    frac: Probability = key(
        0.4,
        "fractional intensity threshold of BET; 0.5, FSL's default, clips frontal lobes on FLAIR",
        "ours",
    )
    robust: bool = key(False, "whether BET finds the brain's centre by repetition (-R)", "ours")
    implausible: Implausible = key(
        "error", "what a brain outside 0.5 to 2.5 litres does: stop the run, or be noted", "ours"
    )


class N4(Section):
    """The bias field."""

    shrink: int = key(4, "the bias field is estimated on every n-th voxel", "ours", ge=1, le=8)
    iterations: Annotated[
        tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(strict=False)
    ] = key(
        (50, 50, 50, 50),
        "most iterations at each resolution level",
        "ours",
        min_length=1,
        max_length=10,
    )
    tolerance: Probability = key(1e-7, "convergence threshold", "ours")


class Resize(Section):
    """From the crop to the size of the networks."""

    size: Annotated[tuple[Edge, Edge, Edge], Field(strict=False)] = key(
        (160, 160, 160), "input size of the networks in voxels", "paper"
    )
    mode: Literal["stretch", "pad"] = key(
        "stretch",
        "stretch each axis by its own factor, or keep proportions and pad; the paper says only "
        "that the size is normalised",
        "ours",
    )
    image_order: Annotated[Literal[1, 3], BeforeValidator(whole_choice)] = key(
        3, "order of the splines for images", "ours"
    )
    mask: Literal["linear", "nearest"] = key(
        "linear", "how masks are resampled: linear then >= 0.5, or nearest", "ours"
    )


class ZScore(Section):
    """Intensities of mean 0 and standard deviation 1."""

    over: Literal["brain", "whole_volume"] = key(
        "brain", "voxels that mean and deviation are taken over; outside the brain it is 0", "ours"
    )


class Preprocessing(Section):
    """What a bundle tells of the preprocessing that its folds learned on."""

    section: ClassVar[str] = "preprocessing"
    skull_strip: SkullStrip = within(SkullStrip, "which voxels of a head are brain")
    n4: N4 = within(N4, "the bias field")
    resize: Resize = within(Resize, "from the crop to the size of the networks")
    zscore: ZScore = within(ZScore, "intensities of mean 0 and standard deviation 1")


MOST_FOLDS = 1000
Fold = Annotated[int, Field(ge=0, le=MOST_FOLDS - 1)]


class Folds(Section):
    """The cross-validation."""

    k: int = key(
        5,
        "number of folds; not used with split site, which has a fold for each site",
        "paper",
        ge=2,
        le=MOST_FOLDS,
    )
    split: Literal["grouped", "site", "random"] = key(
        "grouped",
        "grouped: no subject on both sides, classes and sites balanced; site: each fold tests a "
        "site that its networks have not seen; random: as the paper, with its leak",
        "ours",
    )
    repeats: int = key(
        1,
        "how often the cross-validation is repeated: each time other folds are drawn and all is "
        "trained again, with `seed`, `seed` + 1 and so on; not with split site nor with `seeds`",
        "ours",
        ge=1,
        le=1000,
    )
    only: Annotated[tuple[Fold, ...], Once, AfterValidator(each_once)] = key(
        (),
        "folds to train and evaluate, such as [0] for a first look; none means all",
        max_length=MOST_FOLDS,
    )

    @field_validator("repeats")
    @classmethod
    def _draws_anew(cls, repeats: int, info: ValidationInfo) -> int:
        if repeats > 1 and info.data.get("split") == "site":
            expected = "1 with folds.split site, whose folds are the same each time"
            raise Refusal(expected, f"{repeats}", "set repeats to 1, and name several seeds")
        return repeats

    @field_validator("only")
    @classmethod
    def _are_there(cls, only: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        # how many sites there are is known when the scan table has been read
        unknown = max(only, default=0) + 1
        k = unknown if info.data.get("split") == "site" else info.data.get("k", unknown)
        if beyond := [str(fold) for fold in only if fold >= k]:
            expected = f"folds from 0 to {k - 1}, as folds.k is {k}"
            remedy = "correct the list; an empty one means all folds"
            raise Refusal(expected, ", ".join(beyond), remedy)
        return only


class Predict(Section):
    """From probabilities to masks."""

    threshold: Share = key(0.5, "lesion probability above which a voxel counts", "ours")


class Apply(Section):
    """A bundle, applied to new scans by `snakemake apply` or `evaluate_bundle`."""

    bundle: PathOrNone = key(
        "",
        "folder of a bundle of trained folds; empty: the folds trained here, for the scans without "
        "a mask",
    )
    locations: bool = key(
        False, "whether lesions of new scans are located, by a registration to the MNI template"
    )
    leave_out_overlap: bool = key(
        False,
        "whether `snakemake evaluate_bundle` goes on without the scans of subjects that the "
        "bundle's folds learned from; else they stop it",
    )


class Bundle(Section):
    """What `snakemake bundle` packs."""

    method: MethodName = key(JOINT, "the method whose folds are packed", "ours")
    certain_from: Number = key(
        0.75,
        "mean probability of the class named, below which it is called uncertain",
        "ours",
        ge=0.5,
        le=1,
    )


class Calibration(Section):
    """Class probabilities of new scans."""

    temperature_scaling: bool = key(
        False,
        "whether class probabilities of new scans are temperature scaled; those of folds never are",
        "ours",
    )


HeldScans = Literal["float32", "float16"]


class Compute(Section):
    """What the networks run on, and how: no weights are another training's for it."""

    device: Literal["auto", "cuda", "mps", "cpu"] = key(
        "auto", "where networks run; auto is the first there is of cuda, mps, cpu"
    )
    folds_per_gpu: int = key(
        1,
        "trainings and predictions that may share a GPU: more than one for small networks",
        ge=1,
        le=100,
    )
    threads: int = key(
        2,
        "threads of training and prediction on a CPU; the last digits of a sum depend on it",
        ge=1,
        le=1000,
    )
    checkpoint_minutes: Weight = key(
        5.0,
        "minutes between two states of a training that are kept: a kill loses no more than that "
        "(a request to stop loses nothing); 0: as often as the disk takes them",
    )
    held_scans: HeldScans = key(
        "float32",
        "how training scans are held on a GPU, where they take no more than a quarter of its free "
        "memory (else each batch is fetched ahead); float16 takes half, and keeps three digits",
    )
    compile: bool = key(
        False,
        "whether networks are compiled on a GPU to be trained (torch.compile): a wait at the "
        "start, then faster steps; what cannot be compiled trains as it is, and says so",
    )
    gradient_checkpointing: bool = key(
        False,
        "whether trainings compute activations twice, for GPUs whose memory is small: a third more "
        "time, the same weights",
    )
    keep_state: bool = key(
        False,
        "whether the last state of a finished training is kept beside its weights (three times "
        "their size): when `train.epochs` is raised, it goes on from there, to the weights of one "
        "that was never interrupted; else it starts at epoch 1",
    )


Millilitres = Annotated[float, Field(gt=0, le=10_000), AS_WRITTEN]


class Metrics(Section):
    """How lesions are counted."""

    smallest_lesion_mm3: Weight = key(
        3.0,
        "volume in mm3, on the scan's own grid, from which a lesion is counted, true or predicted; "
        "0 leaves none out",
        "ours",
    )
    lesion_sizes_ml: Annotated[tuple[Millilitres, ...], Field(strict=False)] = key(
        (0.1, 1.0),
        "volumes in ml that part lesions into classes of size, rising; a lesion at one is of the "
        "class above it",
        "ours",
        min_length=1,
        max_length=100,
    )

    @field_validator("lesion_sizes_ml")
    @classmethod
    def _rise(cls, sizes: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        smallest = info.data.get("smallest_lesion_mm3", 0.0)
        found = ", ".join(f"{size:g}" for size in sizes)
        if any(one >= other for one, other in pairwise(sizes)):
            raise Refusal("rising volumes in ml", found, "put them in order, each once")
        if 1000 * sizes[0] <= smallest:
            expected = f"volumes over metrics.smallest_lesion_mm3 ({smallest:g} mm3)"
            raise Refusal(expected, f"{sizes[0]:g} ml", "raise the first, or lower that key")
        return sizes


class Report(Section):
    """What pages and pictures show of a scan."""

    deface: bool = key(
        False,
        "whether pages and pictures show the brain alone: the report's scans, quality, pathway, "
        "and scans that a bundle is applied to; a head in the viewer has a face",
        "ours",
    )


class Statistics(Section):
    """What stands beside each comparison."""

    replicates: int = key(2000, "bootstrap samples of the subjects", "ours", ge=100, le=MOST)
    confidence: Share = key(0.95, "confidence level of the intervals", "ours")
