# What the rules share: the checked config, the scan table, where files lie, what code a rule runs.

import json
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))

from msnmo.bundle.contents import read_bundle
from msnmo.code_version import code_version
from msnmo.cohort.decisions import excluded_by_rater
from msnmo.cohort.table import survey_scan_table
from msnmo.config import check_config, method_settings, shareable, with_preprocessing
from msnmo.environment import prepare_jobs, require_writable, shell_prefix
from msnmo.errors import MsnmoError

try:
    check_config(config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml")
    if config["predict"]["bundle"]:
        bundle = read_bundle(config["predict"]["bundle"], verify=False)
        config.update(with_preprocessing(config, bundle.preprocessing))
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


def of_scan(column):
    """Return an input or params function: the scan table's entry for the job's scan."""
    return lambda wildcards: SCANS.loc[wildcards.scan, column]


def paths_of_scan(column):
    """Return an input function: the files that a column names for the job's scan, maybe none."""
    return lambda wildcards: [
        path for path in SCANS.loc[wildcards.scan, column].split(";") if path
    ]


def option(name, column):
    """Return a params function: a command's option where the scan table's column has an entry."""

    def given(wildcards):
        entry = SCANS.loc[wildcards.scan, column]
        return f"{name}={shlex.quote(entry)}" if entry else ""

    return given


def lesions_of_scan(wildcards):
    """Return a scan's lesion masks as preprocessed, native and in model space, if it has any."""
    if not SCANS.loc[wildcards.scan, "lesion_mask"]:
        return {}
    return {
        "lesion": rules.combine_raters.output,
        "model_lesion": rules.resize_lesion.output,
    }


def per_scan(pattern, labelled=None):
    """Return a per-scan file of every scan that goes on, or an input function for it.

    Of all scans, or of those with (`labelled`) or without a lesion mask.
    """

    def files(cohort):
        has_mask = cohort["lesion_mask"] != ""
        named = cohort if labelled is None else cohort[has_mask == labelled]
        return [
            pattern.format(scan=scan, folder=scan.replace("_", "/"))
            for scan in named["scan"]
        ]

    def accepted(wildcards):
        (path,) = checkpoints.name_accepted.get().output
        return files(SCANS[SCANS["scan"].isin(Path(path).read_text().split())])

    # bad scans that stop the run leave all of them or none: the jobs are known from the start
    return accepted if config["on_bad_scan"] == "exclude" else files(SCANS)


def scan_of(folder):
    """Return the name of the scan that a folder (sub-X, or sub-X/ses-Y) is of."""
    return "_".join(Path(folder).parts)


def of_folder(pattern):
    """Return an input or params function: a file of the scan that a folder is of."""
    return lambda wildcards: str(pattern).format(
        folder=wildcards.folder, scan=scan_of(wildcards.folder)
    )


def folder_of_scan(pattern):
    """Return an input function: a folder of the job's scan."""
    return lambda wildcards: pattern.format(folder=wildcards.scan.replace("_", "/"))


def new_scans(wildcards):
    """Return the page of every scan to predict; that there is none is said.

    Scans with a lesion mask are what the folds trained here learned from; to another bundle all
    scans are new.
    """
    which = None if config["predict"]["bundle"] else False
    pages = per_scan(rules.draw_applied.output.page, labelled=which)
    pages = pages(wildcards) if callable(pages) else pages
    if not pages:
        raise WorkflowError(
            f"{config['scans']}: no scan to predict: all have a lesion mask, and so are "
            "among those that the folds learned from. Add scans without diagnosis and mask, "
            "or name a bundle in the config (predict.bundle)."
        )
    return pages


def pattern(path):
    """Return a params function: a path whose wildcards the module fills in, not Snakemake."""
    return lambda wildcards: path


def settings_of_method(wildcards):
    """Return what a method is trained with, and nothing that does not concern it, as JSON."""
    return json.dumps(method_settings(config, wildcards.method), sort_keys=True)


def code(module):
    """Return the version of a module's code, which reruns its rule when it changes."""
    return code_version(f"msnmo.{module}", SOURCE)
