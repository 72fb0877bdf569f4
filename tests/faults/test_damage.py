"""Files that are cut, emptied or changed, before a run or during one, after they were checked."""

import os

import pytest

from tests.faults.injection import AIMS, ANAT, KILL_AFTER, Aim, remove

pytestmark = pytest.mark.faults
WEIGHTS = "models/joint/fold-1/weights.safetensors"
# a file of ours, and an output that is made from it
DERIVED = [
    ("check/sub-MS01/sub-MS01.json", "check/findings.tsv"),
    ("check/findings.tsv", "cohort.tsv"),
    ("cohort.tsv", "folds.tsv"),
    ("excluded.tsv", "tables/table-9.md"),
    (f"{ANAT}_desc-brain_FLAIR.nii.gz", f"{ANAT}_desc-n4_FLAIR.nii.gz"),
    (f"{ANAT}_space-model_desc-zscore_FLAIR.json", f"{ANAT}_space-model_desc-lesion_mask.nii.gz"),
    (f"{ANAT}_space-model_desc-zscore_FLAIR.nii.gz", "predictions/joint/fold-{fold}"),
    ("quality/sub-MS01/sub-MS01.json", "quality/index.html"),
    ("manifest.tsv", "figures/figure-8.svg"),
    ("folds.tsv", "statistics/table-9.tsv"),
    ("folds/fold-1/train.tsv", "models/joint/fold-1/weights.safetensors"),
    ("folds/fold-1/test.tsv", "predictions/joint/fold-1"),
    ("folds/fold-1/truth.tsv", "metrics/joint/fold-1.tsv"),
    (WEIGHTS, "predictions/joint/fold-1"),
    (WEIGHTS, "gradcam/fold-1"),
    (f"{ANAT}_space-model_desc-brain_mask.nii.gz", "predictions/joint/fold-{fold}"),
    ("localisation/joint/fold-1.tsv", "localisation/joint.tsv"),
    ("localisation/joint.tsv", "tables/table-S2.md"),
    ("metrics/all.tsv", "statistics/sites.tsv"),
    ("statistics/sites.tsv", "tables/table-S3.md"),
    ("lesions/joint/fold-1.tsv", "statistics/table-S5.tsv"),
    ("raters/sub-MS01/sub-MS01.tsv", "statistics/table-S5.tsv"),
    ("statistics/table-S5.tsv", "tables/table-S5.md"),
    ("models/joint/fold-1/run.json", "predictions/joint/fold-1"),
    ("models/joint/fold-1/history.tsv", "figures/training-curves.svg"),
    ("predictions/joint/fold-1/predictions.tsv", "metrics/joint/fold-1.tsv"),
    ("metrics/joint/fold-1.tsv", "metrics/table-9.tsv"),
    ("metrics/table-9.tsv", "statistics/table-9.tsv"),
    ("metrics/table-9.tsv", "tables/table-9.md"),
    ("statistics/table-9.tsv", "tables/table-9.md"),
    ("statistics/table-9.tsv", "tables/statistics.tsv"),
]


def damage(path, how):
    """Change a file and leave it as old as it was: what a failing disk does, and no user."""
    before = path.stat()
    content = path.read_bytes()
    half = len(content) // 2
    changed = {
        "cut": content[:half],
        "emptied": b"",
        "flipped": content[:half] + bytes([content[half] ^ 0xFF]) + content[half + 1 :],
        "random": os.urandom(5000),
    }
    path.write_bytes(changed[how])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def fold_of(site, scan):
    rows = [line.split("\t") for line in (site.results / "folds.tsv").read_text().splitlines()]
    place = rows[0].index("fold")
    return next(row[place] for row in rows if row[0] == scan)


DAMAGED = [(*pair, "cut") for pair in DERIVED]
DAMAGED += [(*pair, "emptied") for pair in DERIVED if pair[0].endswith(("run.json", "folds.tsv"))]


@pytest.mark.parametrize(("name", "follows", "how"), DAMAGED)
def test_a_damaged_file_is_named_and_once_deleted_made_again(kept, name, follows, how):
    path = kept.results / name
    follows = kept.results / follows.format(fold=fold_of(kept, "sub-MS01"))
    remove(follows)
    damage(path, how)
    code, output = kept.run(follows)
    if code == 1:
        assert path.name in output
        assert "remedy" in output
        assert "Traceback" not in output, output[-4000:]
        # a folder that is made whole is deleted whole
        path = path.parent if "delete the folder of predictions" in output else path
        remove(path)
    kept.recovers(path, follows)


def test_flipped_weights_are_named_and_once_deleted_trained_again(kept):
    path, follows = kept.results / WEIGHTS, kept.results / "predictions/joint/fold-1"
    remove(follows)
    damage(path, "flipped")
    code, output = kept.run(follows)
    assert code == 1
    assert str(path) in output
    assert "a checksum other than in run.json" in output
    path.unlink()
    kept.recovers(path, follows)


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "random", "newest flipped"])
def test_a_damaged_checkpoint_costs_epochs_and_not_the_training(kept, how):
    aim = AIMS["train_fold"]
    lost = aim.lose(kept.results)
    # killed when both epochs are done, before the first output
    fault = aim.fault("before", KILL_AFTER)
    code, output = kept.run(lost, faults=(fault,))
    assert code == 1, output
    checkpoints = sorted(lost.parent.glob("checkpoint*.pt"))
    assert len(checkpoints) == 2
    newest = [lost.with_name("checkpoint.pt")]
    for path in newest if how.startswith("newest") else checkpoints:
        damage(path, how.removeprefix("newest "))
    kept.recovers(lost)
    log = (kept.results / "logs/train_fold/joint/fold-1.log").read_text()
    assert f"checkpoint {newest[0]} is damaged, so it is not used" in log


CUT = "truncate --size=$(($(stat --format=%s {0}) / 2)) {0}"
# a rule that reads the cohort's files, the file, the job that ends when it is cut, what is lost
OF_SCAN = "derivatives/sub-MS01"
QUALITY = AIMS["draw_quality"].lost
READERS = [
    ("strip_skull", "FLAIR", "accept_cohort", OF_SCAN),
    ("combine_raters", "FLAIR", "accept_cohort", OF_SCAN),
    ("combine_raters", "label-lesion_desc-rater1_mask", "accept_cohort", OF_SCAN),
    ("draw_quality", "FLAIR", "zscore_scan", QUALITY),
]


@pytest.mark.parametrize(("rule", "name", "earlier", "lost"), READERS)
def test_a_scan_cut_after_its_check_is_named_and_once_mended_used(kept, rule, name, earlier, lost):
    path = next(kept.cohort.rglob(f"sub-MS01_{name}.nii.gz"))
    whole, before = path.read_bytes(), path.stat()
    remove(kept.results / lost)
    # a target waits for the check, a file does not
    asked = "preprocess" if lost == OF_SCAN else kept.results / lost
    targets = (AIMS[earlier].lose(kept.results), asked)
    fault = AIMS[earlier].fault("renamed", CUT.format(path))
    try:
        code, output = kept.run(*targets, "--keep-going", faults=(fault,))
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert code == 1
    assert kept.happened(fault)
    assert f"Error in rule {rule}:" in output
    assert str(path) in output
    assert "copy it again from its source" in output
    assert "Traceback" not in output
    kept.recovers(*targets)


# a rule whose outputs live for the next rule alone, and the next
PASSED_ON = [("crop_background", "resize_scan"), ("resize_scan", "zscore_scan")]


@pytest.mark.parametrize(("rule", "following"), PASSED_ON)
def test_a_temporary_output_cut_before_it_is_used_is_named_and_once_deleted_made_again(
    kept, rule, following
):
    lost = kept.results / AIMS[following].lost
    remove(lost)
    made = f"{ANAT}_{'desc-crop' if rule == 'crop_background' else 'space-model_desc-resize'}"
    fault = Aim(AIMS[rule].module, "", f"{made}_FLAIR.nii.gz").fault("renamed", CUT.format("$FILE"))
    code, output = kept.run(lost, faults=(fault,))
    assert code == 1
    assert kept.happened(fault)
    assert f"Error in rule {following}:" in output
    path = kept.results / f"{made}_FLAIR.nii.gz"
    assert str(path) in output
    assert "Traceback" not in output
    path.unlink()
    kept.recovers(lost)
