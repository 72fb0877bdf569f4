# What the rules share: the checked config, the scan table, where files lie, what code a rule runs.

import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))

from msnmo.code_version import code_version
from msnmo.cohort.table import read_scan_table
from msnmo.config import check_config, method_settings
from msnmo.environment import prepare_jobs
from msnmo.errors import MsnmoError

prepare_jobs(SOURCE)
try:
    check_config(config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml")
    SCANS = read_scan_table(config["scans"]).set_index("scan", drop=False)
except MsnmoError as error:
    raise WorkflowError(str(error)) from error

RESULTS = config["results"]
METHODS = config["methods"]
FOLDS = config["folds"]["only"] or list(range(config["folds"]["k"]))
ANAT = f"{RESULTS}/derivatives/{{folder}}/anat/{{scan}}"
MODEL = f"{RESULTS}/models/{{method}}/fold-{{fold}}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
LABELLED = SCANS[SCANS["lesion_mask"] != ""]


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


def raters(wildcards):
    """Return the lesion masks of a scan, one per rater."""
    return SCANS.loc[wildcards.scan, "lesion_mask"].split(";")


def per_scan(pattern, table=SCANS):
    """Return a per-scan file of every scan of a table."""
    return [
        pattern.format(scan=scan, folder=scan.replace("_", "/"))
        for scan in table["scan"]
    ]


def pattern(path):
    """Return a params function: a path whose wildcards the module fills in, not Snakemake."""
    return lambda wildcards: path


def settings_of_method(wildcards):
    """Return what a method is trained with, and nothing that does not concern it, as JSON."""
    return json.dumps(method_settings(config, wildcards.method), sort_keys=True)


def code(module):
    """Return the version of a module's code, which reruns its rule when it changes."""
    return code_version(f"msnmo.{module}", SOURCE)
