"""The workflow run from another folder, and as a module of another workflow."""

import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.workflow.dag import MICRO, ROOT, jobs, plan

ELSEWHERE = ["--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
MODULE = """\
configfile: "study.yaml"


module msnmo:
    snakefile: "{snakefile}"
    config: config


use rule * from msnmo{prefix}


rule mine:
    default_target: True
    input: rules.{name}.input
"""


@pytest.fixture
def study(tmp_path):
    """A folder of a study: scans in data/, and a config whose paths are relative to it."""
    folder = tmp_path / "a study é"
    shutil.copytree(ROOT / "example", folder / "data")
    write(folder / "my.yaml", scans="data/scans.tsv", results="out")
    return folder


def write(path, **config):
    config = {
        "methods": ["joint"],
        "skull_strip": MICRO["skull_strip"],
        "folds": {"k": 2},
    } | config
    path.write_text(yaml.safe_dump(config), encoding="utf-8")


def test_from_an_empty_folder_the_example_is_planned_with_the_profile_of_the_checkout(tmp_path):
    code, output = plan(tmp_path, *ELSEWHERE, "--dry-run")
    assert code == 0, output
    assert jobs(output)["check_scan"] == 4
    assert jobs(output)["train_fold"] == 95
    # without this profile GPUs are not counted
    assert str(ROOT / "profiles/default") in output


def test_without_a_config_it_says_what_to_do_and_runs_nothing(tmp_path):
    code, output = plan(tmp_path, *ELSEWHERE)
    assert code == 1
    assert "msnmo: error: 1 input problem:\n  config: scans" in output
    assert "--configfile my.yaml" in output
    # nothing of Snakemake's, and nothing of jobs that were not run
    assert "Traceback" not in output
    assert "WorkflowError" not in output
    assert "Done and kept" not in output
    assert not (tmp_path / "results").exists()


def test_a_wrong_target_is_answered_with_the_nearest_right_one(study):
    code, output = plan(study, *ELSEWHERE, "tabel_3", "--configfile", "my.yaml")
    assert code == 1
    assert output.splitlines()[-2:] == [
        "msnmo: error: there is no target and no way to make a file 'tabel_3': did you mean"
        " `table_3`?",
        "`snakemake --list-target-rules` lists the targets",
    ]


def test_a_check_ends_with_its_page(study):
    code, output = plan(study, "check", *ELSEWHERE, "--configfile", "my.yaml")
    assert code == 0, output
    lines = output.splitlines()
    assert lines[-3].startswith("Done.")
    assert lines[-2] == f"Open {study / 'out/check/findings.html'}"
    assert re.match(r"Took \d+ s for \d+ jobs; Snakemake's log: ", lines[-1])
    assert "rule check_scan" not in output


def test_relative_paths_are_relative_to_where_snakemake_works(study, tmp_path):
    # but for the config itself, which is read before Snakemake goes there
    config = ["--configfile", f"{study.name}/my.yaml"]
    code, output = plan(tmp_path, "check", *ELSEWHERE, *config, "--directory", str(study))
    assert code == 0, output
    cohort = pd.read_csv(study / "out/cohort.tsv", sep="\t")
    assert all(path.startswith(str(study / "data")) for path in cohort["flair"])
    assert (study / "out/check/findings.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [study.name]


def test_a_relative_bundle_and_relative_decisions_are_looked_for_there_too(study):
    write(study / "my.yaml", scans="data/scans.tsv", apply={"bundle": "kept/bundle"})
    code, output = plan(study, *ELSEWHERE, "--configfile", "my.yaml", "--dry-run", "apply")
    assert code == 1
    assert "kept/bundle" in output
    assert "bundle.json" in output
    decisions = "scan\tdecision\treason\nsub-MS01\texclude\tmoved\n"
    (study / "decisions.tsv").write_text(decisions, encoding="utf-8")
    write(study / "my.yaml", scans="data/scans.tsv", decisions="decisions.tsv")
    code, output = plan(study, *ELSEWHERE, "--configfile", "my.yaml", "--dry-run", "check")
    assert code == 0, output
    assert jobs(output)["check_scan"] == 3


@pytest.mark.parametrize(
    ("prefix", "name"), [("", "check"), (" as msnmo_*", "msnmo_check")], ids=["plain", "prefixed"]
)
def test_as_a_module_of_another_workflow(study, prefix, name):
    text = MODULE.format(snakefile=ROOT / "Snakefile", prefix=prefix, name=name)
    (study / "Snakefile").write_text(text, encoding="utf-8")
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    # the checkpoint's own name must be found under its new one
    write(
        study / "study.yaml",
        **config
        | {
            "scans": "data/scans.tsv",
            "results": "out",
            "on_bad_scan": "exclude",
            "folds": config["folds"] | {"k": 2},
        },
    )
    if prefix:
        code, output = plan(study, "--cores", "2")
        assert code == 0, output
        assert len(pd.read_csv(study / "out/cohort.tsv", sep="\t")) == 4
    everything = name.replace("check", "all")
    code, output = plan(study, "--cores", "2", "--dry-run", "out/manifest.tsv", everything)
    assert code == 0, output
    planned = jobs(output)
    assert planned[name.replace("check", "list_manifest")] == 1
    assert name.replace("check", "accept_cohort") not in planned or not prefix


def path_without(tool, folder):
    """Return the PATH with links to all programs beside a tool in place of their own folders."""
    places = os.environ["PATH"].split(os.pathsep)
    beside = [place for place in places if shutil.which(tool, path=place)]
    for program in (each for place in beside for each in Path(place).iterdir()):
        link = folder / program.name
        if program.name != tool and not link.is_symlink():
            link.symlink_to(program)
    return os.pathsep.join(str(folder) if place in beside else place for place in places)


def test_slurm_without_sbatch_is_said_at_once(study, tmp_path):
    arguments = ["--configfile", "my.yaml", "--workflow-profile", "slurm", "check"]
    path = path_without("sbatch", tmp_path)
    assert not shutil.which("sbatch", path=path)
    snakefile = ["--snakefile", str(ROOT / "Snakefile")]
    code, output = plan(study, *snakefile, *arguments, PATH=path)
    assert code == 1
    assert "`sbatch` on the PATH" in output
    assert not (study / "out").exists()
