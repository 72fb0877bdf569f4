"""The micro config through a real Slurm, left alone and disturbed: docs/how-to/slurm.md."""

import json
import re
import subprocess
import time

import pandas as pd
import pytest
import yaml

from msnmo.figures.catalogue import FIGURES
from msnmo.tables.layout import TABLES
from tests.slurm.cluster import run
from tests.workflow.dag import MICRO, SNAKEMAKE, write_config

pytestmark = pytest.mark.slurm
JOINT = {"methods": ["joint"]}
# long enough to be caught at work, and to outlast a minute where the wall-time is one
LONG = {**JOINT, "train": {"epochs": 300, "learning_rate": 1.0e-3}, "folds": {"k": 2, "only": [0]}}


def submit(site, config, *arguments):
    command = [*SNAKEMAKE, *arguments, "--workflow-profile", "profiles/slurm"]
    return subprocess.Popen(
        [*command, "--configfile", str(config)],
        cwd=site,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, seconds=5400):
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def locally(site, config, *arguments):
    command = [*SNAKEMAKE, *arguments, "--cores", "2", "--configfile", str(config)]
    done = subprocess.run(command, cwd=site, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def of_rule(slurm, name, state=None):
    """The jobs of a rule, by the comment they were submitted with."""
    return [
        job
        for job in slurm.jobs()
        if name in job.get("Comment", "") and state in (None, job["JobState"])
    ]


def weights(site, results):
    return (site / results / "models/joint/fold-0/weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(site, cohort):
    """The long training, run here without Slurm."""
    config = write_config(site, cohort, "undisturbed", **LONG)
    locally(site, config, "table_9")
    return "undisturbed"


@pytest.fixture(scope="module")
def prepared(site, cohort, undisturbed):
    """A function that gives a results folder with all that comes before the training."""

    def make(results, **changes):
        config = write_config(site, cohort, results, **LONG, **changes)
        locally(site, config, "--until", "list_manifest", "split_folds")
        return config

    return make


def epoch_of(site, results):
    """The epoch that the training of fold 0 has finished, by its log."""
    log = site / results / "logs/train_fold/joint/fold-0.log"
    found = (
        re.findall(r"^msnmo: epoch (\d+)/", log.read_text(), re.MULTILINE) if log.exists() else []
    )
    return int(found[-1]) if found else 0


def same_training(site, results, undisturbed):
    """Whether the weights are bit-identical and losses and rates of every epoch the same."""
    assert weights(site, results) == weights(site, undisturbed)
    one, other = (
        pd.read_csv(site / name / "models/joint/fold-0/history.tsv", sep="\t")
        for name in (results, undisturbed)
    )
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))
    return json.loads((site / results / "models/joint/fold-0/run.json").read_text())["resumed_from"]


def test_a_clean_run_makes_every_table_and_figure(slurm, site, cohort):
    config = write_config(site, cohort, "clean")
    code, output = finish(submit(site, config))
    assert code == 0, output[-5000:]
    tables = sorted(path.name for path in (site / "clean/tables").glob("*.md"))
    assert tables == sorted(f"table-{number}.md" for number in TABLES)
    assert len(list((site / "clean/figures").glob("*.svg"))) == len(FIGURES)
    jobs = slurm.jobs()
    by_partition = {
        name: [job for job in jobs if job["Partition"] == name] for name in ("cpu", "gpu")
    }
    assert all(job["TresPerJob"] == "gres:gpu:1" for job in by_partition["gpu"])
    assert not any("gpu" in job.get("TresPerJob", "") for job in by_partition["cpu"])
    methods = len(MICRO.get("methods", range(19)))
    assert len(by_partition["gpu"]) == 2 * 2 * methods + 1, "train, predict and one Grad-CAM"
    groups = [job for job in jobs if "preprocess" in job.get("Comment", "")]
    assert len(groups) == 8, "a scan's preprocessing is one job"
    _, output = finish(submit(site, config, "--dry-run"))
    assert "Nothing to be done" in output


def test_a_training_that_outlasts_its_time_goes_on(slurm, site, prepared, undisturbed):
    config = prepared("too_long")
    profile = site / "profiles/slurm/config.yaml"
    whole = profile.read_text(encoding="utf-8")
    short = yaml.safe_load(whole)
    short["set-resources"]["train_fold"] |= {"runtime": "1", "cpus_per_task": 2}
    # however slow the machine is
    short["retries"] = 20
    profile.write_text(yaml.safe_dump(short, sort_keys=False), encoding="utf-8")
    try:
        code, output = finish(submit(site, config, "--until", "train_fold"))
    finally:
        profile.write_text(whole, encoding="utf-8")
    assert code == 0, output[-5000:]
    resumed = same_training(site, "too_long", undisturbed)
    assert resumed, "it was killed for its time at least once"
    short_jobs = [j for j in of_rule(slurm, "train_fold") if j["TimeLimit"] == "00:01:00"]
    assert {job["NumCPUs"] for job in short_jobs} == {"2"}
    log = (site / "too_long/logs/train_fold/joint/fold-0.log").read_text()
    assert "resuming after epoch" in log


def test_a_cancelled_training_is_submitted_again(slurm, site, prepared, undisturbed):
    config = prepared("cancelled")
    process = submit(site, config, "--until", "train_fold")
    slurm.wait_for(lambda: epoch_of(site, "cancelled") >= 3, "three epochs", 600)
    (job,) = of_rule(slurm, "train_fold", "RUNNING")
    run("scancel", job["JobId"])
    code, output = finish(process)
    assert code == 0, output[-5000:]
    (resumed,) = same_training(site, "cancelled", undisturbed)
    assert resumed >= 3


def test_a_preempted_training_goes_on(slurm, site, prepared, undisturbed):
    config = prepared("preempted")
    process = submit(site, config, "--until", "train_fold")
    slurm.wait_for(lambda: epoch_of(site, "preempted") >= 3, "three epochs", 600)
    (job,) = of_rule(slurm, "train_fold", "RUNNING")
    run("sbatch", "--partition=urgent", "--gpus=1", f"--output={site}/urgent", "--wrap=sleep 5")
    code, output = finish(process)
    assert code == 0, output[-5000:]
    (again,) = [each for each in slurm.jobs() if each["JobId"] == job["JobId"]]
    assert again["Restarts"] == "1"
    (resumed,) = same_training(site, "preempted", undisturbed)
    assert resumed >= 3


def test_a_crashed_node_costs_an_epoch_at_most(slurm, site, prepared, undisturbed):
    config = prepared("crashed")
    process = submit(site, config, "--until", "train_fold")
    # a controller misses a job on its node only when it has run for some time
    slurm.wait_for(lambda: epoch_of(site, "crashed") >= 100, "a hundred epochs", 600)
    slurm.kill_node()
    # all that ran on it dies with it
    subprocess.run(["pkill", "-9", "-f", f"{site}.*(msnmo.train|--target-jobs)"], check=False)
    time.sleep(5)
    slurm.start_node()
    code, output = finish(process)
    assert code == 0, output[-5000:]
    assert same_training(site, "crashed", undisturbed)[0] >= 100


def test_a_scan_that_fails_stops_no_other(slurm, site, cohort, tmp_path):
    folder = tmp_path / "cohort"
    subprocess.run(["cp", "-r", cohort, folder], check=True)
    config = write_config(site, folder, "one_bad", **JOINT)
    locally(site, config, "check")
    table = pd.read_csv(folder / "scans.tsv", sep="\t", dtype=str)
    broken = folder / table["flair"].iloc[0]
    stamp = broken.stat()
    broken.write_bytes(broken.read_bytes()[:20_000])
    # as old as it was, so that it is not checked again: a disk that failed in the night
    subprocess.run(["touch", "-d", f"@{stamp.st_mtime}", broken], check=True)
    code, output = finish(submit(site, config, "preprocess"))
    assert code == 1
    assert str(broken) in output
    done = list((site / "one_bad/derivatives").rglob("*desc-zscore_FLAIR.nii.gz"))
    assert len(done) == 7
