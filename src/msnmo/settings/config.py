"""The config: every key with its default, rule and meaning. A config is checked as a whole."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from msnmo.core.diagnoses import DEFAULT
from msnmo.core.errors import InputError, bad_input
from msnmo.settings.findings import findings_of
from msnmo.settings.keys import (
    TOGETHER,
    Refusal,
    Section,
    key,
    within,
)
from msnmo.settings.methods import BOTH_TASKS, METHODS, Method, ModelSettings
from msnmo.settings.robustness import Robustness
from msnmo.settings.sections import (
    N4,
    Apply,
    Bundle,
    Calibration,
    Compute,
    Diagnoses,
    Folder,
    Folds,
    LesionMasks,
    MethodName,
    Metrics,
    Once,
    PathOrNone,
    Predict,
    Report,
    Resize,
    SkullStrip,
    SomePath,
    Statistics,
    ZScore,
    each_once,
)
from msnmo.settings.training import (
    AugmentSettings,
    LossSettings,
    OptimiserSettings,
    Sections,
    SectionsOfOneTask,
)

LARGEST_SEED = 2**32 - 1
"""What every generator of random numbers takes."""
MOST_VALUES = 1000
"""Values in a list or keys in a section; no list of the config may be longer."""
OWN = ("scans", "results", "decisions", "compute")
"""Sections and keys that say where data lie and what this machine runs. They affect no result."""
RENAMED = {
    "predict.bundle": "apply.bundle",
    "predict.locations": "apply.locations",
    "export": "bundle",
}
NOTES = {old: (f"{old} is now {new}", f"write {new}") for old, new in RENAMED.items()} | {
    f"method_settings.{name}.loss": (
        f"weights of several losses; {name} has one loss",
        "remove the section",
    )
    for name, method in METHODS.items()
    if method.tasks != BOTH_TASKS
}
"""What was found, and the remedy, of keys that are not taken for a reason."""
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
PATHS = (("scans",), ("results",), ("decisions",), ("apply", "bundle"))


def _sections_of(method: Method) -> Any:
    """Return the class of a method's own settings."""
    kind = Sections if method.tasks == BOTH_TASKS else SectionsOfOneTask
    return kind[method.settings]


_OF_METHODS: dict[str, Any] = {
    name: (_sections_of(method), within(_sections_of(method), f"settings of {method.label} alone"))
    for name, method in METHODS.items()
}
MethodSettings = create_model(
    "MethodSettings",
    __base__=Section,
    __doc__="A method's own settings. They override the sections train, augment, loss and model.",
    **_OF_METHODS,
)


class Config(Section):
    """The whole config.

    Defaults follow the paper's protocol. Where it states none, they are ours.
    """

    scans: SomePath = key("example/scans.tsv", "path of the scan table")
    results: Folder = key("results", "folder for all outputs of the workflow")
    on_bad_scan: Literal["stop", "exclude"] = key(
        "stop",
        "what happens to a scan with an error in the check: the run stops, or the scan is left "
        "out and every table says so",
    )
    decisions: PathOrNone = key(
        "",
        "path of a rater's table of scans to keep or exclude; empty: quality/decisions.tsv in "
        "results",
    )
    seed: int = key(2024, "the seed that every random choice derives from", ge=0, le=LARGEST_SEED)
    seeds: Annotated[tuple[Seed, ...], Once, AfterValidator(each_once)] = key(
        (),
        "seeds of repeated trainings of each method and fold; tables show their mean and spread; "
        "empty: one training, with `seed`",
        "ours",
        max_length=1000,
    )
    methods: Annotated[tuple[MethodName, ...], Once, AfterValidator(each_once)] = key(
        tuple(name for name, method in METHODS.items() if method.paper),
        "names of the methods to train",
        "paper",
        min_length=1,
        max_length=len(METHODS),
    )
    diagnoses: Diagnoses = key(
        DEFAULT,
        "labels of the two classes in the scan table; the second is the positive one for SN, SP "
        "and "
        "AUC",
        "paper",
    )
    lesion_masks: LesionMasks = within(LesionMasks, "lesion masks as they arrive")
    skull_strip: SkullStrip = within(SkullStrip, "which voxels of a head are brain")
    n4: N4 = within(N4, "the bias field")
    resize: Resize = within(Resize, "from the crop to the size of the networks")
    zscore: ZScore = within(ZScore, "intensities of mean 0 and standard deviation 1")
    folds: Folds = within(Folds, "the cross-validation")
    model: ModelSettings = within(
        ModelSettings, "the joint model and its ablations; each ablation differs in one part"
    )
    loss: LossSettings = within(
        LossSettings, "weights of the losses, for methods of both tasks; a single loss has weight 1"
    )
    augment: AugmentSettings = within(AugmentSettings, "how training scans are varied")
    train: OptimiserSettings = within(OptimiserSettings, "how the weights are fitted")
    method_settings: MethodSettings = within(
        MethodSettings, "settings of single methods; they override the sections above"
    )
    predict: Predict = within(Predict, "from probabilities to masks")
    apply: Apply = within(
        Apply, "how `snakemake apply` and `evaluate_bundle` apply a bundle to new scans"
    )
    bundle: Bundle = within(Bundle, "what `snakemake bundle` packs")
    calibration: Calibration = within(Calibration, "class probabilities of new scans")
    compute: Compute = within(Compute, "what the networks run on")
    metrics: Metrics = within(Metrics, "how lesions are counted")
    statistics: Statistics = within(Statistics, "statistics beside each comparison")
    report: Report = within(Report, "what pages and pictures show of a scan")
    robustness: Robustness = within(
        Robustness,
        "how `snakemake robustness` perturbs held-out scans; an empty list leaves a perturbation "
        "out",
    )

    @field_validator("folds")
    @classmethod
    def _has_one_seed(cls, folds: Folds, info: ValidationInfo) -> Folds:
        seeds = info.data.get("seeds", ())
        if folds.repeats > 1 and seeds:
            expected = "repeats 1 if `seeds` are given, as each repeat has its own seed"
            remedy = "remove `seeds` or folds.repeats"
            raise Refusal(expected, f"{folds.repeats} and {len(seeds)} seeds", remedy)
        return folds

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, given: Any) -> Any:
        """Merge the common sections into each method's own, and so check what is used."""
        own = given.get("method_settings") if isinstance(given, Mapping) else None
        if not isinstance(own, Mapping):
            return given
        merged = {name: _merged(given, name, sections) for name, sections in own.items()}
        return {**given, "method_settings": merged}


def _merged(config: Mapping[str, Any], name: Any, own: Any) -> Any:
    if name not in METHODS or not isinstance(own, Mapping):
        return own
    below = {section: config.get(section) for section in _common_sections(METHODS[name])}
    return {section: _over(below.get(section), values) for section, values in own.items()}


def _common_sections(method: Method) -> list[str]:
    """Return the config's sections that a method is trained with."""
    sections = ["train", "augment"]
    if method.tasks == BOTH_TASKS:
        sections.append("loss")
    if method.settings is ModelSettings:
        sections.append("model")
    return sections


def default_config() -> dict[str, Any]:
    """Return the config of a user who sets nothing, as YAML would give it."""
    plain = Config().model_dump(mode="json", exclude={"method_settings"})
    everything = plain | {"method_settings": _settings_of_methods()}
    return {name: everything[name] for name in Config.model_fields}


def _settings_of_methods() -> dict[str, Any]:
    """Return the methods' own settings. Methods without any are left out."""
    networks = {
        name: {"model": method.settings().model_dump(mode="json")}
        for name, method in METHODS.items()
        if method.settings is not ModelSettings
    }
    own = {
        name: {section: dict(values) for section, values in method.own.items()}
        for name, method in METHODS.items()
        if method.own
    }
    return networks | own


def complete_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with all its keys: the given ones, and defaults for the rest.

    Values stay as they are written, because trainings are identified by them. In paths, ``~`` and
    variables are replaced.

    Parameters
    ----------
    given : mapping
        Any part of a config, as merged from files and options.

    Raises
    ------
    InputError
        Lists every wrong key with what was expected, what was found and what to do.
    """
    _refuse_long(given)
    whole = _over(default_config(), given)
    try:
        checked = Config.model_validate(whole, context=TOGETHER)
    except ValidationError as error:
        # without pydantic's own words: who shows a traceback would write every value in full
        raise InputError(_without_inherited(error, whole)) from None
    paths = checked.model_dump(include={"scans", "results", "decisions", "apply"})
    for *section, name in PATHS:
        place, value = (whole[section[0]], paths[section[0]]) if section else (whole, paths)
        place[name] = value[name]
    return whole


def _refuse_long(given: Any) -> None:
    """Refuse lists and sections beyond every bound, before each of their values is judged.

    Raises
    ------
    InputError
        Naming the first that is too long.
    """
    # YAML's aliases can name one list a billion times: each is looked at once
    waiting, seen = [("", given)], set()
    while waiting:
        name, value = waiting.pop()
        if id(value) in seen or not isinstance(value, Mapping | list | tuple):
            continue
        seen.add(id(value))
        if len(value) > MOST_VALUES:
            expected = f"at most {MOST_VALUES} values"
            raise bad_input(
                f"config: {name}" if name else "config",
                expected,
                f"{len(value)} values",
                "shorten it",
            )
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        waiting += [(f"{name}.{key}" if name else str(key), each) for key, each in pairs]


def _over(below: Any, above: Any) -> Any:
    """Return two configs as one, as Snakemake puts one file over another."""
    # not into what is below nothing: YAML's aliases make of a page what no memory holds in full
    if not isinstance(above, Mapping) or not isinstance(below, Mapping):
        return copy.deepcopy(above)
    return dict(below) | {name: _over(below.get(name), value) for name, value in above.items()}


def _without_inherited(error: ValidationError, config: Mapping[str, Any]) -> list[Any]:
    """Return the findings.

    Leave out those that a method inherits from a section already reported.
    """
    findings = findings_of(error, Config.rules(), notes=NOTES)
    told = {finding.file for finding in findings}
    kept = []
    for finding in findings:
        top, *rest = finding.file.removeprefix("config: ").split(".")
        if top == "method_settings" and len(rest) > 2 and f"config: {'.'.join(rest[1:])}" in told:
            name, section, inner = rest[:3]
            if inner not in config["method_settings"][name][section]:
                continue
        kept.append(finding)
    return kept


def shareable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config without what belongs to this site: paths and machines."""
    kept = {key: value for key, value in config.items() if key not in OWN}
    kept["apply"] = {key: value for key, value in config["apply"].items() if key != "bundle"}
    kept["train"] = _without_start(config["train"])
    kept["method_settings"] = {
        name: {
            section: _without_start(values) if section == "train" else values
            for section, values in own.items()
        }
        for name, own in config["method_settings"].items()
    }
    return kept


def nameless(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config with only the last part of each path.

    Folders may name people and machines.
    """
    shown = copy.deepcopy(dict(config))
    for *sections, name in PATHS:
        section = shown
        for each in sections:
            section = section.get(each, {})
        if section.get(name):
            section[name] = PurePath(section[name]).name
    own = (each.get("train", {}) for each in shown.get("method_settings", {}).values())
    for train in (shown.get("train", {}), *own):
        if train.get("start_from"):
            train["start_from"] = PurePath(train["start_from"]).name
    return shown


def _without_start(train: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in train.items() if key != "start_from"}


def method_settings(config: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Return the settings that a method is trained with, by section.

    They come from the config's sections train and augment, from loss for a method of both tasks,
    and from model for the joint model and its ablations. A method's own settings override them. So
    a change retrains only the methods that it concerns. The path of the start weights is left out
    (see `msnmo.settings.starts`), as moving a file changes nothing.
    """
    own = config["method_settings"].get(name, {})
    common = {section: config[section] for section in _common_sections(METHODS[name])}
    settings = {
        section: {**common.get(section, {}), **own.get(section, {})}
        for section in dict.fromkeys([*common, "model", *own])
    }
    return {**settings, "train": _without_start(settings["train"])}
