"""The sections of the config that belong to no method: each key's default, rule and meaning."""

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
from msnmo.settings.training import BundleOrNone

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]


def _if_any(text: str) -> str:
    return expand(text) if text else ""


def _folder_to_be(path: str) -> str:
    if file := not_a_folder(path):
        found, remedy = f"the file {file.absolute()}", "name a folder, or move the file away"
        raise Refusal("a folder, which may not exist yet", found, remedy)
    # with a lone dot, every result's path would start with ./, and Snakemake would warn
    return os.getcwd() if path == "." else path  # noqa: PTH109 - text, as Snakemake has it


def each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list that has a value more than once."""
    if twice := sorted(str(value) for value, count in Counter(values).items() if count > 1):
        found = f"{', '.join(twice)} more than once"
        raise Refusal("each value once", found, "remove the repeated values")
    return values


IS_PATH = Field(json_schema_extra={"format": "path"})
SomePath = Annotated[str, Field(min_length=1), IS_PATH, AfterValidator(expand)]
PathOrNone = Annotated[str, IS_PATH, AfterValidator(_if_any)]
Folder = Annotated[SomePath, AfterValidator(_folder_to_be)]
Once = Field(strict=False, json_schema_extra={"uniqueItems": True})
Edge = Annotated[int, Field(ge=TOKEN, le=1024, multiple_of=TOKEN)]


def _two_classes(given: Any) -> Any:
    """Refuse any number of labels but two, and say why it must be two."""
    if not isinstance(given, list | tuple) or len(given) == 2:
        return given
    many = ", ".join(map(str, given)) or "none"
    if len(given) < 2:
        remedy = (
            "name two; in a cohort of one class, all scans may have the first label, and methods "
            "that classify are left out"
        )
    else:
        remedy = (
            "name the two classes to be told apart, and remove the scans of the others from the "
            "scan table or give them one of the two labels; or only segment: empty the column "
            "diagnosis of all scans"
        )
    expected = (
        "two labels, as the classification head has two outputs, and SN, SP and AUC are defined "
        "for two classes"
    )
    raise Refusal(expected, f"{len(given)}: {many}", remedy)


def _labels(labels: tuple[str, str]) -> tuple[str, str]:
    """Refuse labels that cannot be column names, or that would name the same column."""
    if wrong := [label for label in labels if not LABEL.fullmatch(label)]:
        expected = "labels of letters and digits that start with a letter"
        raise Refusal(expected, ", ".join(map(repr, wrong)), "rename them, in the scan table too")
    if labels[0].lower() == labels[1].lower():
        found = f"{labels[0]} and {labels[1]}"
        raise Refusal("two labels that differ not only in case", found, "rename one")
    return labels


Diagnoses = Annotated[
    tuple[str, str],
    Field(strict=False),
    AfterValidator(_labels),
    BeforeValidator(_two_classes),
]


MOST_LABEL, MOST_LABELS = 2**31 - 1, 1000


def _lesion_labels(given: Any, _by_type: Any) -> Any:
    # pydantic would report an error once for each type of the union
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
    """Lesion masks as they arrive."""

    labels: LesionLabels = key(
        (),
        "which values of a mask are lesion if it has several, such as [1, 2], or any; empty: a "
        "mask has 0 and one other value",
        "ours",
    )

    combine: Literal["intersection", "union", "majority", "staple"] = key(
        "intersection",
        "how the masks of several raters become one; the paper states it for its hospital's scans",
        "paper",
    )
    other_grid: Literal["error", "resample"] = key(
        "error",
        "what to do with a mask on another grid than its scan; resampling is linear, then >= 0.5",
        "ours",
    )


class SkullStrip(Section):
    """Which voxels of a head are brain."""

    engine: Engine = key(
        "auto",
        "engine of skull stripping; the paper uses BET; auto is fsl if bet is on PATH, else "
        "surface",
        "ours",
    )
    frac: Probability = key(
        0.4,
        "fractional intensity threshold of BET; FSL's default, 0.5, clips frontal lobes on FLAIR",
        "ours",
    )
    robust: bool = key(False, "whether BET repeats its estimate of the brain's centre (-R)", "ours")
    implausible: Implausible = key(
        "error", "a brain outside 0.5 to 2.5 litres stops the run, or is only noted", "ours"
    )


class N4(Section):
    """The bias field."""

    shrink: int = key(4, "estimate the bias field on every n-th voxel", "ours", ge=1, le=8)
    iterations: Annotated[
        tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(strict=False)
    ] = key(
        (50, 50, 50, 50),
        "maximum number of iterations at each resolution level",
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
        "stretch each axis by its own factor, or keep proportions and pad; the paper only says "
        "that the size is normalised",
        "ours",
    )
    image_order: Annotated[Literal[1, 3], BeforeValidator(whole_choice)] = key(
        3, "order of the splines that resample images", "ours"
    )
    mask: Literal["linear", "nearest"] = key(
        "linear", "how masks are resampled: linear, then >= 0.5, or nearest", "ours"
    )


class ZScore(Section):
    """Intensities of mean 0 and standard deviation 1."""

    over: Literal["brain", "whole_volume"] = key(
        "brain",
        "voxels of which mean and deviation are computed; outside the brain it is 0",
        "ours",
    )


class Preprocessing(Section):
    """What a bundle records of the preprocessing that its folds were trained with."""

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
        "number of folds; not used with split site, which has one fold per site",
        "paper",
        ge=2,
        le=MOST_FOLDS,
    )
    split: Literal["grouped", "site", "random"] = key(
        "grouped",
        "grouped: no subject is in training and test, classes and sites are balanced; site: each "
        "fold tests a site that its networks have not seen; random: as in the paper, with its "
        "leak",
        "ours",
    )
    repeats: int = key(
        1,
        "how often the cross-validation is repeated: each repeat draws new folds and trains "
        "everything again, with `seed`, `seed` + 1 and so on; not with split site nor with "
        "`seeds`",
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
            expected = "1 with folds.split site, as its folds are the same each time"
            raise Refusal(expected, f"{repeats}", "set repeats to 1, and name several seeds")
        return repeats

    @field_validator("only")
    @classmethod
    def _are_there(cls, only: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        # the number of sites is known only after the scan table has been read
        unknown = max(only, default=0) + 1
        k = unknown if info.data.get("split") == "site" else info.data.get("k", unknown)
        if beyond := [str(fold) for fold in only if fold >= k]:
            expected = f"folds from 0 to {k - 1}, as folds.k is {k}"
            remedy = "correct the list; an empty list means all folds"
            raise Refusal(expected, ", ".join(beyond), remedy)
        return only


class Predict(Section):
    """From probabilities to masks."""

    threshold: Share = key(0.5, "lesion probability above which a voxel is lesion", "ours")


class Apply(Section):
    """How `snakemake apply` and `evaluate_bundle` apply a bundle to new scans."""

    bundle: BundleOrNone = key(
        "",
        "starter (the bundle that ships with msnmo), or folder of a bundle of trained folds; "
        "empty: the folds trained here, applied to the scans without a mask",
    )
    locations: bool = key(
        False, "whether lesions of new scans are located by registration to the MNI template"
    )
    leave_out_overlap: bool = key(
        False,
        "whether `snakemake evaluate_bundle` leaves out scans of subjects that the bundle was "
        "trained on; if not, such scans stop it",
    )


class Bundle(Section):
    """What `snakemake bundle` packs."""

    method: MethodName = key(JOINT, "the method whose folds are packed", "ours")
    certain_from: Number = key(
        0.75,
        "the predicted class is called uncertain if its mean probability is below this",
        "ours",
        ge=0.5,
        le=1,
    )


class Calibration(Section):
    """Class probabilities of new scans."""

    temperature_scaling: bool = key(
        False,
        "whether class probabilities of new scans are temperature scaled; those of the folds "
        "never are",
        "ours",
    )


HeldScans = Literal["float32", "float16"]


class Compute(Section):
    """What the networks run on, and how. A change here does not make a new training."""

    device: Literal["auto", "cuda", "mps", "cpu"] = key(
        "auto", "where networks run; auto is the first available of cuda, mps, cpu"
    )
    folds_per_gpu: int = key(
        1,
        "how many trainings and predictions may share a GPU; more than one suits small networks",
        ge=1,
        le=100,
    )
    threads: int = key(
        2,
        "threads of training and prediction on a CPU; the last digits of results depend on it",
        ge=1,
        le=1000,
    )
    checkpoint_minutes: Weight = key(
        5.0,
        "minutes between saved states of a training: a kill loses at most this much (a request "
        "to stop loses nothing); 0: as often as the disk allows",
    )
    held_scans: HeldScans = key(
        "float32",
        "how training scans are held on a GPU, if they take at most a quarter of its free memory "
        "(else each batch is loaded ahead); float16 takes half the memory and keeps three digits",
    )
    compile: bool = key(
        False,
        "whether networks are compiled for training on a GPU (torch.compile): the start takes "
        "longer, then steps are faster; a network that cannot be compiled trains uncompiled, "
        "with a message",
    )
    gradient_checkpointing: bool = key(
        False,
        "whether trainings compute activations twice, for GPUs with little memory: it takes a "
        "third more time and gives the same weights",
    )
    keep_state: bool = key(
        False,
        "whether the last state of a finished training is kept beside its weights (three times "
        "their size); if `train.epochs` is raised, training then goes on from it and gives the "
        "weights of an uninterrupted training; without it, training starts at epoch 1",
    )


Millilitres = Annotated[float, Field(gt=0, le=10_000), AS_WRITTEN]


class Metrics(Section):
    """How lesions are counted."""

    smallest_lesion_mm3: Weight = key(
        3.0,
        "smallest volume in mm3, on the scan's own grid, of a counted lesion, true or predicted; "
        "0 counts all",
        "ours",
    )
    lesion_sizes_ml: Annotated[tuple[Millilitres, ...], Field(strict=False)] = key(
        (0.1, 1.0),
        "volumes in ml that separate the classes of lesion size, in rising order; a lesion of "
        "exactly this volume is in the class above",
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
            expected = f"volumes above metrics.smallest_lesion_mm3 ({smallest:g} mm3)"
            raise Refusal(expected, f"{sizes[0]:g} ml", "raise the first, or lower that key")
        return sizes


class Report(Section):
    """What pages and pictures show of a scan."""

    deface: bool = key(
        False,
        "whether pages and pictures show only the brain: the report's scans, quality, pathway, "
        "and scans that a bundle is applied to; a whole head in the viewer shows a face",
        "ours",
    )


class Statistics(Section):
    """Statistics beside each comparison."""

    replicates: int = key(2000, "bootstrap samples of the subjects", "ours", ge=100, le=MOST)
    confidence: Share = key(0.95, "confidence level of the intervals", "ours")
