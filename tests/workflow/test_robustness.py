"""`snakemake robustness`: what is planned, for whom, and that `all` does without it."""

import re

import pytest

from msnmo.preprocess.steps import STEPS
from msnmo.robustness.perturb import RUN
from msnmo.workflow.code_version import files_of
from tests.workflow.dag import ROOT, jobs, run, seeds_trained, trained, write_config

SOURCE = ROOT / "src"
STEPS_WITHIN = [step.module for name, step in STEPS.items() if name != "skullstrip"]

BRIEF = {"methods": ["unet", "only_cls"], "folds": {"k": 2}}


@pytest.fixture(scope="module")
def plan(clone, cohort):
    """A function: the dry run of targets."""

    def make(*targets, **changed):
        config = write_config(clone, cohort, "robust", **BRIEF | changed)
        return run(clone, config, "--dry-run", "--printshellcmds", *targets)

    return make


def test_every_test_scan_is_perturbed_once_for_all_methods(plan, clone):
    code, output = plan("robustness")
    assert code == 0, output
    counts = jobs(output)
    # six scans, two methods of two folds
    assert counts["perturb_scan"] == 6
    assert counts["predict_perturbed"] == counts["train_fold"] == 4
    assert counts["judge_robustness"] == 2
    assert counts["write_robustness_table"] == counts["draw_robustness"] == 1
    assert f"{clone}/robust/tables/table-S7.tsv" in output
    assert f"{clone}/robust/figures/robustness.svg" in output
    (settings, *others) = set(re.findall(r"--settings '(\{\"n4.*?)' --seed", output))
    assert others == []
    assert '"noise": [0.02, 0.05, 0.1]' in settings
    assert "methods" not in settings


def test_the_key_names_methods_and_the_first_seed_is_tested(plan):
    code, output = plan("robustness", robustness={"methods": ["only_cls"]}, seeds=[3, 2])
    assert code == 0, output
    assert trained(output) == [("only_cls", "0"), ("only_cls", "1")]
    assert seeds_trained(output) == ["/seed-3"]
    commands = re.findall(r"python -m msnmo.robustness.predict ([^\n]*)", output)
    assert len(commands) == 2
    assert all("--seed 3 " in command for command in commands)


def test_of_a_repeated_cross_validation_the_first_is_tested(plan, clone):
    code, output = plan("robustness", folds={"k": 2, "repeats": 2}, seed=5)
    assert code == 0, output
    assert seeds_trained(output) == ["/seed-5"]
    counts = jobs(output)
    assert (counts["perturb_scan"], counts["predict_perturbed"]) == (6, 4)
    commands = re.findall(r"python -m msnmo.robustness.predict ([^\n]*)", output)
    assert all("/seed-5/test.tsv" in command for command in commands)


def test_a_version_of_its_code_holds_what_its_processes_run():
    """Of steps that a module names by text, those alone that the rules say."""
    perturb, predict = (
        {
            path.relative_to(SOURCE / "msnmo").as_posix()
            for path in files_of(f"msnmo.{module}", SOURCE, tuple(f"msnmo.{each}" for each in of))
        }
        for module, of in (
            ("robustness.perturb", STEPS_WITHIN),
            ("robustness.predict", ["networks.joint"]),
        )
    )
    assert {f"{each.replace('.', '/')}.py" for each in STEPS_WITHIN} <= perturb
    assert "preprocess/skullstrip/surface.py" in perturb
    rooms = {name.partition("/")[0] for name in perturb}
    assert rooms == {"__init__.py", "core", "preprocess", "robustness", "settings"}
    assert {"predict/fold.py", "evaluate/segmentation.py", "networks/joint.py"} <= predict
    assert "networks/baselines.py" not in predict
    assert not any(name.startswith(("preprocess", "tables", "apply")) for name in predict)
    assert [STEPS[name].module for name in RUN] == STEPS_WITHIN


def test_all_and_the_report_do_without(plan, clone):
    code, output = plan()
    assert code == 0, output
    assert not {"perturb_scan", "write_robustness_table", "draw_robustness"} & set(jobs(output))
    # what has been made is shown, and kept as current as what it is made of
    made = clone / "robust/figures/robustness.png"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"")
    code, output = plan("report")
    made.unlink()
    assert code == 0, output
    assert jobs(output)["perturb_scan"] == 6
    (command,) = re.findall(r"python -m msnmo.report --excluded ([^\n]*)", output)
    assert "figures/robustness.png" in command
    assert "table-S7" not in command
