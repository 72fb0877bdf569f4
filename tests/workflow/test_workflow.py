"""The real DAG on a tiny cohort: it ends, it is reproducible, and it survives being killed."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from msnmo.evaluate.metrics import VARIANTS
from msnmo.figures.catalogue import FIGURES
from msnmo.tables import layout
from tests.workflow.dag import (
    MICRO,
    PAPER,
    PATIENCE,
    jobs,
    run,
    run_as_users_do,
    start,
    trained,
    write_config,
)
from tests.workflow.imported import assert_versions_follow_imports
from tests.workflow.reruns import CONFIG, DATA, Study, expected, merged, planned, shift, together

pytestmark = pytest.mark.torch
# so long that a training can be killed in the middle
SETTINGS = MICRO["method_settings"] | {"joint": {"train": {"epochs": 5}}}
JOINT_ALONE = {"methods": ["joint"], "method_settings": SETTINGS}
# the tables that hold every metric of the joint model, and the cohort's
BRIEF = ["table_1", "table_3", "table_4", "table_S1"]
# Table S4 is of methods beyond the paper's, and S7 is made by a target of its own
CAPTIONS = [number for number in layout.CAPTIONS if number != VARIANTS]
TABLES = [f"table-{name}" for name in layout.TABLES if name not in (VARIANTS, layout.ROBUSTNESS)]


ONE_OF_EACH_KIND = ["joint", "unet", "resnet50"]
"""The joint model, and of the networks it is compared with one a task.

They are trained here. Of every other method the network is built and takes a step in
tests/settings/test_methods.py; all are trained by the test that is marked heavy.
"""


def tables(clone, results):
    folder = clone / results / "tables"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def brief(clone, cohort):
    """The joint model alone: its config, and its tables before other methods join it."""
    # relative, so that a copy of the folder with Snakemake's records is as good as the run
    config = write_config(clone, cohort, "results", **JOINT_ALONE | {"results": "results"})
    code, output = run_as_users_do(clone, config, *BRIEF)
    assert code == 0, output
    return config.rename(clone / "brief.yaml"), tables(clone, "results")


@pytest.fixture(scope="module")
def half_made(clone, brief, tmp_path_factory):
    """A copy of the brief run, in which one scan is not preprocessed yet and nothing trained."""
    folder = tmp_path_factory.mktemp("half made") / "clone"
    shutil.copytree(clone, folder, symlinks=True)
    for part in ("derivatives/sub-MS01", "folds", "models", "predictions", "metrics", "tables"):
        shutil.rmtree(folder / "results" / part)
    return folder, brief[0].name


@pytest.fixture(scope="module")
def undisturbed(clone, cohort, brief, half_made):
    """The whole sentence, with every kind of network, where the brief run was."""
    changed = {"methods": ONE_OF_EACH_KIND, "method_settings": SETTINGS, "results": "results"}
    config = write_config(clone, cohort, "results", **changed)
    code, output = run(clone, config)
    assert code == 0, output
    assert "rule strip_skull" not in output, "what the brief run made is not made again"
    assert output.count("rule train_fold") == 2 * len(ONE_OF_EACH_KIND[1:])
    return clone / "results", config


def test_every_result_is_there(undisturbed):
    results, _ = undisturbed
    assert sorted(tables(results.parent, "results")) == sorted(
        [f"{name}.{ending}" for name in TABLES for ending in ("tsv", "json", "md", "tex", "html")]
        + ["calibration.tsv", "complexity.tsv", "statistics.tsv"]
    )
    metrics = pd.read_csv(results / "metrics/all.tsv", sep="\t")
    assert set(metrics["metric"]) >= {"DSC", "PPV", "TPR", "VD", "ACC", "SN", "SP", "AUC"}
    assert set(metrics["method"]) == set(ONE_OF_EACH_KIND)
    assert metrics.dropna(subset="scan")["scan"].nunique() == 6
    assert (results / "figures/pathway.png").stat().st_size > 10_000
    assert len(list((results / "quality").rglob("*.png"))) == 6
    assert (results / "quality/index.html").read_text(encoding="utf-8").count("<article") == 6
    assert "not for diagnosis" in (results / "report/index.html").read_text(encoding="utf-8")
    assert len(list((results / "report/scans").glob("*.js"))) == 6
    history = pd.read_csv(results / "models/joint/fold-0/history.tsv", sep="\t")
    assert len(history) == SETTINGS["joint"]["train"]["epochs"]


def test_every_method_has_its_rows_in_every_table(undisturbed):
    results, _ = undisturbed
    for number in CAPTIONS:
        table = pd.read_csv(results / f"tables/table-{number}.tsv", sep="\t")
        run = table["method"].isin(ONE_OF_EACH_KIND)
        assert set(table.loc[run, "status"]) == {"run"}, number
        beside = {"not run", "reference"} if number in layout.WITH_SITE_ALONE else {"not run"}
        assert not set(table.loc[~run, "status"]) - beside, number
        assert (table["n_folds"] + table["n_undefined_folds"])[run].eq(2).all()
    statistics = pd.read_csv(results / "tables/statistics.tsv", sep="\t")
    assert set(statistics["method"]) == set(ONE_OF_EACH_KIND)
    assert statistics["table"].unique().tolist() == CAPTIONS
    complexity = pd.read_csv(results / "tables/complexity.tsv", sep="\t")
    assert complexity["method"].tolist() == ONE_OF_EACH_KIND * 2
    assert complexity["size"].unique().tolist() == ["32x32x32", "160x160x160"]


def test_every_figure_is_drawn(undisturbed):
    results, _ = undisturbed
    for name in FIGURES:
        assert (results / f"figures/{name}.png").stat().st_size > 10_000, name
        assert (results / f"figures/{name}.svg").read_text().startswith("<?xml"), name
    assert len(list((results / "gradcam").rglob("*_desc-gradcam_map.nii.gz"))) == 6


def test_native_masks_lie_on_the_scans_own_grid(undisturbed, cohort):
    results, _ = undisturbed
    scans = pd.read_csv(results / "cohort.tsv", sep="\t")
    folds = pd.read_csv(results / "folds.tsv", sep="\t").set_index("scan")["fold"]
    for row in scans.itertuples():
        scan = nib.load(row.flair)
        folder = results / f"predictions/joint/fold-{folds[row.scan]}"
        mask = nib.load(folder / f"{row.scan}_desc-lesion_mask.nii.gz")
        assert mask.shape == scan.shape
        np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-6)
        assert mask.header["sform_code"] == scan.header["sform_code"]
        assert mask.header["qform_code"] == scan.header["qform_code"]
        assert mask.get_data_dtype() == np.uint8


def test_each_scan_says_which_engine_made_its_brain_mask(undisturbed):
    results, _ = undisturbed
    sidecars = sorted((results / "derivatives").rglob("*_desc-brain_FLAIR.json"))
    assert len(sidecars) == 6
    assert all(json.loads(path.read_text())["skullstrip"]["engine"] for path in sidecars)


def test_snakemakes_own_report_has_the_results_by_category(undisturbed):
    results, config = undisturbed
    page = results.parent / "snakemake report.html"
    code, output = run(results.parent, config, "--report", str(page))
    assert code == 0, output
    text = page.read_text(encoding="utf-8")
    start = text.index('categories = {"') + len("categories = ")
    categories, _ = json.JSONDecoder().raw_decode(text[start:])
    listed = {name: sum(map(len, inner.values())) for name, inner in categories.items()}
    drawn = 2 * len(FIGURES) + 1  # in two formats, and the pathway
    assert listed == {"Figures": drawn, "Quality": 7, "Report": 1, "Tables": len(TABLES)}
    assert "not for diagnosis" in text


def test_a_second_run_does_nothing_though_a_comment_was_added_to_the_code(undisturbed):
    results, config = undisturbed
    module = results.parent / "src/msnmo/preprocess/n4.py"
    module.write_text(module.read_text() + "\n# a comment\n")
    code, output = run(results.parent, config)
    assert code == 0
    assert "Nothing to be done" in output


def test_a_deleted_fold_reruns_that_fold_and_what_follows(undisturbed):
    results, config = undisturbed
    weights = results / "models/joint/fold-1/weights.safetensors"
    moved = weights.with_name("moved")
    weights.rename(moved)
    try:
        _, output = run(results.parent, config, "--dry-run")
    finally:
        moved.rename(weights)
    counts = jobs(output)
    assert counts["train_fold"] == counts["predict_fold"] == counts["evaluate_fold"] == 1
    assert counts["write_table"] == 8
    assert "zscore_scan" not in counts


def kill_when_running(process, module, clone):
    """Kill -9 the first job that runs a module, as the kernel or a scheduler would."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        jobs = [job for job in psutil.process_iter(["cmdline"]) if runs(job, module, clone)]
        if killable := [job for job in jobs if ready(module, job, clone)]:
            killable[0].kill()
            return
        time.sleep(0.05)
    pytest.fail(f"{module} never ran")


def runs(job, module, folder):
    try:
        return (job.info["cmdline"] or [])[1:3] == ["-m", module] and Path(job.cwd()) == folder
    except psutil.Error:  # it has ended since it was listed, or is not ours
        return False


def ready(module, job, folder):
    """Let the training finish an epoch first, so that it has a checkpoint to go on from."""
    if module != "msnmo.train":
        return True
    command = job.info["cmdline"]
    return (folder / command[command.index("--checkpoint") + 1]).is_file()


# kills of single trainings are tested in tests/train, those of every rule in tests/faults
@pytest.mark.heavy
def test_killed_steps_and_a_killed_write_end_with_the_same_tables(brief, half_made, clone):
    disturbed, config = half_made
    for module in ("msnmo.preprocess.n4", "msnmo.train"):
        process = start(disturbed, config, *BRIEF)
        kill_when_running(process, module, disturbed)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, output
    half_written = disturbed / "results/metrics/.tmp-killed-fold-0.tsv"
    half_written.parent.mkdir(parents=True, exist_ok=True)
    half_written.write_text("method\tfo")
    code, output = run(disturbed, config, *BRIEF)
    assert code == 0, output
    _, undisturbed = brief
    assert tables(disturbed, "results") == undisturbed
    records = (disturbed / "results/models").rglob("run.json")
    assert any(json.loads(path.read_text())["resumed_from"] for path in records)
    for fold in (0, 1):
        name = f"results/models/joint/fold-{fold}/weights.safetensors"
        assert (disturbed / name).read_bytes() == (clone / name).read_bytes()


def test_one_methods_learning_rate_trains_that_method_alone(undisturbed):
    results, config = undisturbed
    unet = SETTINGS["unet"] | {"train": {"learning_rate": 0.01}}
    config = changed(config, method_settings=SETTINGS | {"unet": unet})
    _, output = run(results.parent, config, "--dry-run", "tables", "figures")
    assert trained(output) == [("unet", "0"), ("unet", "1")]
    counts = jobs(output)
    assert counts["predict_fold"] == counts["evaluate_fold"] == 2
    assert counts["write_table"] == 2, "Tables 3 and S1 show it"


def test_other_weights_to_start_from_train_again_beside_an_older_list_of_their_check(undisturbed):
    results, config = undisturbed
    listed = results / "folds/start-joint.tsv"
    listed.write_text("left by a run that started from them, of other scans\n", encoding="utf-8")
    os.utime(listed, (1e9, 1e9))
    from_starter = SETTINGS["joint"]["train"] | {"start_from": "starter"}
    joint = {"train": from_starter, "model": {"base_channels": 16}}
    config = changed(config, method_settings=SETTINGS | {"joint": joint})
    try:
        _, output = run(results.parent, config, "--dry-run", "table_3")
    finally:
        listed.unlink()
    assert trained(output) == [("joint", "0"), ("joint", "1")]


def test_nothing_is_trained_from_a_bundle_that_has_learned_from_a_tested_scan(undisturbed, packed):
    results, config = undisturbed
    joint = {"train": SETTINGS["joint"]["train"] | {"start_from": str(packed)}}
    config = changed(config, method_settings=SETTINGS | {"joint": joint})
    code, output = run(results.parent, config, "table_3")
    assert code == 1
    assert "its network has learned from" in output
    assert trained(output) == []
    # the networks of before are kept
    assert len(list(results.glob("models/joint/fold-*/weights.safetensors"))) == 2


def test_every_other_method_of_the_paper_is_trained_when_it_is_asked_for(undisturbed):
    results, config = undisturbed
    config = changed(config, methods=PAPER)
    _, output = run(results.parent, config, "--dry-run", "tables", "figures")
    added = sorted(set(PAPER) - set(ONE_OF_EACH_KIND))
    assert trained(output) == [(name, fold) for name in added for fold in "01"]
    counts = jobs(output)
    assert counts["predict_fold"] == counts["evaluate_fold"] == 2 * len(added)


def changed(config, **sections):
    """Write a config beside another, with the same results, and return its path."""
    content = yaml.safe_load(config.read_text(encoding="utf-8")) | sections
    path = config.with_name("changed.yaml")
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def test_the_micro_config_trains_every_method_of_the_paper(clone, cohort):
    config = write_config(clone, cohort, "nothing_yet")
    _, output = run(clone, config, "--dry-run", "tables", "figures")
    assert trained(output) == [(name, fold) for name in sorted(PAPER) for fold in "01"]
    counts = jobs(output)
    assert counts["predict_fold"] == counts["evaluate_fold"] == 2 * len(PAPER)
    assert (counts["write_table"], counts["draw_figure"]) == (len(CAPTIONS), len(FIGURES))


def test_one_table_or_figure_trains_what_it_shows_and_no_more(clone, cohort):
    config = write_config(clone, cohort, "nothing_yet")
    wanted = {
        ("table_1", "figure_2"): [],
        ("table_7",): ["joint", "only_global", "only_local", "without_sharing"],
        ("table_S2",): sorted(layout.methods_of(layout.MAPS, PAPER)),
        ("table_S3",): sorted(PAPER),
        ("table_S5",): sorted(layout.methods_of(layout.LESIONS, PAPER)),
        ("figure_11", "figure_12"): ["joint", "only_cls"],
    }
    for targets, methods in wanted.items():
        code, output = run(clone, config, "--dry-run", *targets)
        assert code == 0, output
        assert trained(output) == [(name, fold) for name in methods for fold in "01"], targets


def test_methods_and_folds_are_chosen_by_the_config(clone, cohort):
    folds = {"k": 4, "only": [1]}
    config = write_config(clone, cohort, "chosen", methods=["unet", "resnet50"], folds=folds)
    code, output = run(clone, config, "--dry-run")
    assert code == 0, output
    assert trained(output) == [("resnet50", "1"), ("unet", "1")]
    assert "map_gradcam" not in jobs(output)
    assert "draw_pathway" not in jobs(output)


@pytest.fixture(scope="module")
def packed(clone, brief):
    """The bundle of the joint model's folds."""
    config, _ = brief
    code, output = run(clone, config, "bundle")
    assert code == 0, output
    return clone / "results/bundle"


@pytest.fixture(scope="module")
def new(clone, cohort, packed, tmp_path_factory):
    """A head without diagnosis and mask, and what the workflow and the command find in it."""
    folder = tmp_path_factory.mktemp("new scans é")
    table = pd.read_csv(cohort / "scans.tsv", sep="\t", dtype=str)
    heads = table[table["stripped"] == "no"].iloc[[0]].copy()
    heads["subject"] = ["one"]
    heads["flair"] = [str(cohort / path) for path in heads["flair"]]
    heads[["subject", "flair"]].assign(diagnosis="").to_csv(
        folder / "scans.tsv", sep="\t", index=False
    )
    # the bundle's preprocessing takes the place of the config's
    changed = {"apply": {"bundle": str(packed)}, "n4": {"iterations": [2]}}
    config = write_config(clone, folder, "new", **changed)
    code, output = run(clone, config, "apply")
    assert code == 0, output
    command = [sys.executable, "-m", "msnmo.apply", "--bundle", packed, "--out", folder / "out"]
    options = ["--device", "cpu", "--threads", "1"]
    arguments = [*command, *heads["flair"], "--ids", *heads["subject"], *options]
    subprocess.run([str(each) for each in arguments], check=True)
    return clone / "new/applied", folder / "out", config


def test_workflow_and_command_give_the_same_bytes_for_new_scans(new):
    workflow, command, _ = new
    # Snakemake marks the folders that it made, and the command keeps records of what is done
    names, others = (
        sorted(
            path.relative_to(folder)
            for path in folder.rglob("*")
            if path.is_file() and not re.search(r"(^|/)\.", str(path.relative_to(folder)))
        )
        for folder in (workflow, command)
    )
    assert names == others
    assert len([name for name in names if name.name.endswith("desc-lesion_mask.nii.gz")]) == 1
    for name in names:
        if name.name.endswith("_run.json"):  # it has seconds and memory
            continue
        one, two = ((folder / name).read_bytes() for folder in (workflow, command))
        if name.name == "methods.md":  # the workflow runs in a copy of the sources without git
            one, two = (re.sub(rb" \(commit [^)]+\)", b"", text) for text in (one, two))
        assert one == two, name


def test_new_scans_are_preprocessed_as_the_bundle_says_and_predicted_once(new):
    workflow, _, config = new
    (n4,) = (workflow.parent / "derivatives").rglob("*_desc-n4_FLAIR.json")
    assert json.loads(n4.read_text())["bias_correction"]["iterations"] == MICRO["n4"]["iterations"]
    _, output = run(workflow.parents[1], config, "--dry-run", "apply")
    assert "Nothing to be done" in output


def test_a_cohort_without_new_scans_says_so(undisturbed):
    results, config = undisturbed
    code, output = run(results.parent, config, "--dry-run", "apply")
    assert code == 1
    assert "no scan to apply a bundle to" in output


def test_a_rule_reruns_for_what_its_jobs_import_and_for_nothing_else(undisturbed, new, clone):
    assert_versions_follow_imports(clone)


@pytest.fixture(scope="module")
def study(undisturbed, cohort):
    results, config = undisturbed
    return Study(cohort, results, yaml.safe_load(config.read_text(encoding="utf-8")))


def brought_forward(names, quick):
    """The names, those that are not quick marked as heavy: each costs two starts of Snakemake."""
    return [
        name if name in quick else pytest.param(name, marks=pytest.mark.heavy) for name in names
    ]


@pytest.mark.parametrize("name", brought_forward(DATA, ("mask, older",)))
def test_changed_data_rerun_what_follows_from_them_and_no_more(study, undisturbed, name):
    results, config = undisturbed
    change, jobs_of = DATA[name]
    with study.changed(change):
        _, alone = run(results.parent, config, "--dry-run")
        wanted = expected(jobs_of, study)
        study.edit("site", "another site", row=1)
        _, with_a_row = run(results.parent, config, "--dry-run")
    assert planned(alone) == wanted, alone
    assert planned(with_a_row) == together(wanted), with_a_row


@pytest.mark.parametrize("name", brought_forward(CONFIG, ("skull_strip", "compute.device")))
def test_changed_settings_rerun_what_follows_from_them_and_no_more(study, undisturbed, name):
    results, config = undisturbed
    change, jobs_of = CONFIG[name]
    other = changed(config, **merged(study.config, change))
    wanted = expected(jobs_of, study)
    _, alone = run(results.parent, other, "--dry-run")
    with study.changed(lambda study: study.edit("site", "another site", row=1)):
        _, with_a_row = run(results.parent, other, "--dry-run")
    assert planned(alone) == wanted, alone
    assert planned(with_a_row) == together(wanted), with_a_row


def test_no_form_of_a_trainings_command_trains_again(study, undisturbed, clone):
    results, config = undisturbed
    command, rule = clone / "workflow/rules/parts.smk", clone / "workflow/rules/train.smk"
    before = {path: path.read_text(encoding="utf-8") for path in (command, rule)}
    try:
        command.write_text(before[command].replace("2>&1", "--per-gpu 1 2>&1"), encoding="utf-8")
        rule.write_text(before[rule].replace("{LOGS}/train_fold", "{LOGS}/training"))
        assert all(path.read_text(encoding="utf-8") != text for path, text in before.items())
        _, output = run(results.parent, config, "--dry-run")
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")
    assert planned(output) == {}


def test_moved_results_are_complete(study, undisturbed):
    results, config = undisturbed
    moved = results.rename(results.with_name("moved results"))
    try:
        _, output = run(moved.parent, changed(config, results=str(moved)), "--dry-run")
    finally:
        moved.rename(results)
    assert "Nothing to be done" in output


def test_a_corrected_mask_is_used_in_the_same_run_that_reads_an_edited_row(study, undisturbed):
    results, config = undisturbed
    row = 2  # of one rater, so that the mask goes on as it is
    trained_before = (results / "models/joint/fold-0/weights.safetensors").read_bytes()
    with study.changed(lambda study: study.edit("site", "corrected", row=1)):
        corrected = study.file("lesion_mask", row)
        shift(corrected)
        code, output = run(results.parent, config, "preprocess")
        assert code == 0, output
        ran = [line.split()[-1].rstrip(":") for line in output.splitlines() if "rule " in line]
        assert [ran.count(rule) for rule in ("combine_raters", "resize_lesion")] == [1, 1]
        assert "strip_skull" not in ran
        scan = pd.read_csv(results / "cohort.tsv", sep="\t")["scan"][row]
        (used,) = (results / "derivatives").rglob(f"{scan}_desc-lesion_mask.nii.gz")
        assert np.array_equal(nib.load(used).dataobj, nib.load(corrected).dataobj)
        _, again = run(results.parent, config, "preprocess")
        assert "Nothing to be done" in again
    assert (results / "models/joint/fold-0/weights.safetensors").read_bytes() == trained_before
