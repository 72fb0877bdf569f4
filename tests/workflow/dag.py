"""Running the real DAG in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.workflow.warm import snakemake

ROOT = Path(__file__).parents[2]
PATIENCE = 3600
"""Seconds for a run that takes minutes: a loaded machine is slow, not wrong."""
OWN_WORDS = "--printshellcmds"
"""Shows what Snakemake itself says of a run: which jobs it starts, and why."""
SNAKEMAKE = [sys.executable, "-m", "snakemake", OWN_WORDS]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["methods"]
MICRO = yaml.safe_load((ROOT / "workflow/configs/micro.yaml").read_text(encoding="utf-8"))


def copy_workflow(folder):
    """Copy the workflow's files, so that no run locks the repository."""
    for name in ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "src"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)


def write_config(clone, cohort, name, **changed):
    """Write the micro config with what is changed; its results lie under its name."""
    config = MICRO | {"scans": str(cohort / "scans.tsv"), "results": str(clone / name)}
    config |= changed
    path = clone / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    return path


def start(clone, config, *arguments):
    command = [*SNAKEMAKE, "--configfile", str(config), "--cores", "2", *arguments]
    return subprocess.Popen(
        command,
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def run_as_users_do(clone, config, *arguments):
    """Run it in a process that loads all by itself."""
    process = start(clone, config, *arguments)
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def run(clone, config, *arguments):
    """Run it as `run_as_users_do` does, in a process that has loaded Snakemake already."""
    own = ("--configfile", str(config), "--cores", "2", OWN_WORDS)
    return plan(clone, *own, *arguments)


def plan(folder, *arguments, **variables):
    """Run Snakemake in a folder, with variables added to the environment."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    return snakemake(arguments, folder, environment, PATIENCE)


def trained(output):
    """The methods and folds that a dry run would train, each as often as with a seed."""
    return sorted(wildcards[:2] for wildcards in _trainings(output))


def seeds_trained(output):
    """The folders of seeds within a fold's, "" where it has none, that a dry run would train."""
    return sorted({seed for _, _, seed in _trainings(output)})


def _trainings(output):
    rules = re.findall(r"^rule train_fold:.*?wildcards: ([^\n]*)", output, re.MULTILINE | re.DOTALL)
    return [tuple(part.split("=")[1] for part in rule.split(", ")) for rule in rules]


def jobs(output):
    """The number of jobs of each rule that a dry run announces."""
    counts = re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in counts}
