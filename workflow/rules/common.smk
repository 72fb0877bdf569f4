# What the rules share: the checked config, the scan table, paths, and the version of a rule's code.

import hashlib
import json
import os
import shlex
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake.logging import logger

# if this is a module of another workflow, the main Snakefile lies elsewhere
CHECKOUT = Path(workflow.current_basedir).parents[1]
SOURCE = CHECKOUT / "src"
sys.path.insert(0, str(SOURCE))

from msnmo.apply.overlap import refuse_start
from msnmo.bundle.contents import read_bundle
from msnmo.check.costs import tell_of_cohort
from msnmo.workflow.code_version import code_version, reads
from msnmo.workflow.estimate import expected_seconds, expects_gpu
from msnmo.workflow.kept_code import keep_code
from msnmo.workflow.screen import About, Screen
from msnmo.cohort.classes import (
    left_out_note,
    packed,
    refuse_lost_class,
    refuse_none_left,
    trainable,
)
from msnmo.cohort.decisions import excluded_by_rater
from msnmo.cohort.excluded import read_excluded
from msnmo.cohort.balance import learned
from msnmo.cohort.folds import count_folds, split_folds
from msnmo.cohort.manifest import DESCRIBING_DERIVATIVES
from msnmo.cohort.simulated import Simulated
from msnmo.cohort.table import survey_scan_table
from msnmo.core.contents import content
from msnmo.core.diagnoses import DEFAULT, use_diagnoses
from msnmo.core.files import read_tsv, sha256
from msnmo.settings.config import (
    complete_config,
    method_settings,
    nameless,
    shareable,
)
from msnmo.settings.starts import refuse_starts, start_of
from msnmo.workflow.environment import (
    find_scans,
    hold_results,
    prepare_jobs,
    refuse_example,
    release_results,
    require_executor,
    require_writable,
    shell_prefix,
)
from msnmo.core.errors import MsnmoError, bad_input

# the main Snakefile decides how a run looks on the screen, and what the default target is
IS_MAIN = Path(workflow.main_snakefile).resolve() == CHECKOUT / "Snakefile"
if workflow.is_main_process and IS_MAIN:
    screen = Screen.take_over(workflow, logger)
else:
    screen = None

try:
    config.update(complete_config(config))
    refuse_starts(config)
    if config["apply"]["bundle"]:
        # messages name absolute paths; rules keep paths as they are given
        bundle = read_bundle(Path(config["apply"]["bundle"]).absolute(), verify=False)
        # the networks need the bundle's preprocessing; but the config may name the engine
        config.update(bundle.preprocessing(config["skull_strip"]["engine"]))
    prepare_jobs(config["compute"]["folds_per_gpu"])
    use_diagnoses(config["diagnoses"])
    config["scans"] = find_scans(config["scans"], CHECKOUT)
    survey = survey_scan_table(
        Path(config["scans"]).absolute(),
        diagnosis_alone=bool(config["apply"]["bundle"]),
    )
    decisions = Path(
        config["decisions"] or f"{config['results']}/quality/decisions.tsv"
    )
    if config["decisions"] and not decisions.exists():
        found = f"no file {decisions.absolute()}"
        raise bad_input(
            "config: decisions", "a rater's table", found, "correct the path"
        )
    by_rater = excluded_by_rater(survey.names, decisions.absolute())
    # the classes of the scan table, whatever the check will say of a scan: if the check leaves no
    # scan of a class, planning of trainings stops and names the scans
    CLASSES = survey.classes(set(by_rater["scan"]))
    METHODS, LEFT_OUT = config["methods"], []
    # if there is nothing to learn from, as for `apply`, no message about methods is shown
    ONE_CLASS = len(CLASSES) < len(DEFAULT) and len(learned(survey.cohort)) > 0
    if ONE_CLASS:
        METHODS, LEFT_OUT = trainable(METHODS, CLASSES)
    if not config["apply"]["bundle"]:
        refuse_none_left(METHODS, LEFT_OUT, CLASSES)
except MsnmoError as error:
    raise WorkflowError(str(error)) from error

shell.prefix(shell_prefix(SOURCE))
keep_code(SOURCE, Path(".snakemake", "msnmo", "code.json"))
# the check names rows that cannot be used, with all other errors of the cohort
SCANS = survey.cohort[~survey.cohort["scan"].isin(by_rater["scan"])].set_index(
    "scan", drop=False
)
# the check still reads the scans of these rows, to report all errors at once
OPENED = survey.opened[~survey.opened["told_as"].isin(by_rater["scan"])].set_index(
    "scan", drop=False
)
if survey.findings and workflow.is_main_process:
    rows = "\n".join(f"  {each.finding}" for each in survey.findings)
    logger.warning(f"The check will report rows that cannot be used:\n{rows}")
# to evaluate a bundle a diagnosis without a mask is enough; training needs masks too
DIAGNOSIS_ALONE = "--diagnosis-alone" if config["apply"]["bundle"] else ""
if LEFT_OUT and workflow.is_main_process:
    logger.warning(left_out_note(LEFT_OUT, CLASSES))
# the classes' labels in params that Snakemake compares; empty for the paper's labels
LABELS = [] if tuple(config["diagnoses"]) == DEFAULT else list(config["diagnoses"])
# pages show heads with their faces, unless the config says otherwise
DEFACE = "--deface" if config["report"]["deface"] else ""
DECISIONS = [str(decisions)] if decisions.exists() else []
RESULTS = config["results"]
# each repeat of the cross-validation draws other folds; its trainings use the same seed
REPEATS = config["folds"]["repeats"]
# the seed of each training of a fold, by its folder; a single seed has no folder
SEEDS = config["seeds"] or [config["seed"] + repeat for repeat in range(REPEATS)]
SEED_OF = (
    {f"{os.sep}seed-{seed}": seed for seed in SEEDS}
    if len(SEEDS) > 1
    else {"": SEEDS[0]}
)
FIRST_SEED = next(iter(SEED_OF))
ANAT = f"{RESULTS}/derivatives/{{folder}}/anat/{{scan}}"
MODEL = f"{RESULTS}/models/{{method}}/fold-{{fold}}{{seed}}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"


def expected():
    """Return the expected seconds of trainings and predictions, until the first has ended."""
    if config["apply"]["bundle"]:
        return {}
    on_gpu = expects_gpu(config["compute"]["device"], workflow.local_exec)
    return expected_seconds(config, METHODS, SCANS, on_gpu)


if screen:
    screen.about = About(Path(RESULTS), config["statistics"]["confidence"], expected)


onstart:
    try:
        refuse_example(config["scans"], CHECKOUT)
        require_executor(workflow.executor_plugin.name)
        require_writable(Path(RESULTS))
        if workflow.execution_settings.lock:  # not with --nolock
            hold_results(Path(RESULTS))
    except MsnmoError as error:
        raise WorkflowError(str(error)) from error
    # the verdict of a check says the same
    if not config["apply"]["bundle"] and {*workflow.dag_settings.targets} != {
        "check"
    }:
        logger.info("\n".join(tell_of_cohort(config, METHODS, SCANS)))


onsuccess:
    release_results(Path(RESULTS))


onerror:
    release_results(Path(RESULTS))


wildcard_constraints:
    scan=r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?",
    folder=r"sub-[A-Za-z0-9]+(/ses-[A-Za-z0-9]+)?",
    method=r"[a-z0-9_]+",
    fold=r"\d+",
    seed=r"(/seed-\d+)?",
    part=r"[a-z_]+",
    selection=r"[A-Za-z0-9-]+",


def pattern(path):
    """Return a params function: a path whose wildcards the module fills in, not Snakemake."""
    return lambda wildcards: path


def trainings(output, methods, seeds=SEEDS[:1]):
    """Return a file of each training of methods, for an input function, when folds are known.

    Tables use all seeds. If one training of a fold is shown or packed, it is the first seed's.
    """
    if not methods:
        # without methods no folds are needed, and perhaps no folds can be made
        return []
    places = [place for place, seed in SEED_OF.items() if seed in seeds]
    return expand(output, method=methods, fold=tested_folds(), seed=places)


def of_first_seed(output, **wildcards):
    """Return a file of a training of the first seed; other wildcards are left to the job."""
    return expand(output, seed=FIRST_SEED, allow_missing=True, **wildcards)


def of_training(path):
    """Return a params function: a path of the first seed by method and fold, for a module to fill."""
    return pattern(of_first_seed(path)[0])


def uncompared(value):
    """Return a params function of a value that may change without the rule being run again.

    Snakemake compares no params that could follow from inputs.
    """
    return lambda wildcards, input: value


def settings_of_method(wildcards):
    """Return only those settings that a method is trained with, as JSON."""
    return json.dumps(method_settings(config, wildcards.method), sort_keys=True)


def digest_of(text):
    """Return a short digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code(module, *chosen):
    """Return the version of a module's code. If it changes, the rule runs again.

    If the code can import one of several modules, `chosen` are those that the job imports.
    """
    chosen = tuple(f"msnmo.{name}" for name in chosen)
    version = code_version(f"msnmo.{module}", SOURCE, chosen)
    # labels are no params of rules; they count as a part of the code of modules that use them
    if LABELS and reads("msnmo.core.diagnoses", f"msnmo.{module}", SOURCE, chosen):
        return f"{version} {' '.join(LABELS)}"
    return version
