# What the rules share: the checked config, the scan table, where files lie, what code a rule runs.

import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))

from msnmo.bundle.contents import read_bundle
from msnmo.workflow.code_version import code_version
from msnmo.cohort.decisions import excluded_by_rater
from msnmo.cohort.table import survey_scan_table
from msnmo.settings.config import check_config, method_settings, shareable
from msnmo.workflow.environment import prepare_jobs, require_writable, shell_prefix
from msnmo.core.errors import MsnmoError

try:
    check_config(config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml")
    if config["predict"]["bundle"]:
        bundle = read_bundle(config["predict"]["bundle"], verify=False)
        # the networks know no other; an engine that the config names stays
        config.update(bundle.preprocessing(config["skull_strip"]["engine"]))
    prepare_jobs(config["compute"]["folds_per_gpu"])
    survey = survey_scan_table(config["scans"])
    decisions = Path(
        config["decisions"] or f"{config['results']}/quality/decisions.tsv"
    )
    by_rater = excluded_by_rater(survey.names, decisions)
except MsnmoError as error:
    raise WorkflowError(str(error)) from error

shell.prefix(shell_prefix(SOURCE))
# rows that cannot be used are named by the check, with all else that is wrong of the cohort
SCANS = survey.cohort[~survey.cohort["scan"].isin(by_rater["scan"])].set_index(
    "scan", drop=False
)
if survey.findings and workflow.is_main_process:
    rows = "\n".join(f"  {each.finding}" for each in survey.findings)
    logger.warning(f"The check will report rows that cannot be used:\n{rows}")
DECISIONS = [str(decisions)] if decisions.exists() else []
RESULTS = config["results"]
METHODS = config["methods"]
FOLDS = config["folds"]["only"] or list(range(config["folds"]["k"]))
ANAT = f"{RESULTS}/derivatives/{{folder}}/anat/{{scan}}"
MODEL = f"{RESULTS}/models/{{method}}/fold-{{fold}}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"


onstart:
    try:
        require_writable(Path(RESULTS))
    except MsnmoError as error:
        raise WorkflowError(str(error)) from error


wildcard_constraints:
    scan=r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?",
    folder=r"sub-[A-Za-z0-9]+(/ses-[A-Za-z0-9]+)?",
    method=r"[a-z0-9_]+",
    fold=r"\d+",
    described=r"[12]",
    table=r"[3-9]|S1",
    selection=r"[A-Za-z0-9-]+",


def pattern(path):
    """Return a params function: a path whose wildcards the module fills in, not Snakemake."""
    return lambda wildcards: path


def settings_of_method(wildcards):
    """Return what a method is trained with, and nothing that does not concern it, as JSON."""
    return json.dumps(method_settings(config, wildcards.method), sort_keys=True)


def code(module, *chosen):
    """Return the version of a module's code, which reruns its rule when it changes.

    `chosen` are the modules that the job imports where its code could import one of several.
    """
    chosen = tuple(f"msnmo.{name}" for name in chosen)
    return code_version(f"msnmo.{module}", SOURCE, chosen)
