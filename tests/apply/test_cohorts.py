"""`msnmo apply --truth`, as a user runs it: heads that a bundle never saw, and one that it did."""

import json
import shutil
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msnmo.apply import evaluate_bundle, overlap
from msnmo.apply.__main__ import COMBINE, main
from msnmo.check.check_scan import Files, check_scan
from msnmo.cohort.table import read_scan_table
from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_tsv
from msnmo.evaluate.segmentation import overlap_metrics
from msnmo.preprocess import raters
from tests.command import run_here


@pytest.fixture(scope="module")
def cohort(heads):
    """The heads' scan table, with sites."""
    path = next(each for each in heads[0].parents if (each / "scans.tsv").is_file()) / "scans.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table["site"] = ["North", "South"]
    made = path.with_name("outside.tsv")
    write_tsv(made, table.replace("", None))
    return made


@pytest.fixture(scope="module")
def evaluated(bundle, cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated") / "out é"
    done = run_here(main, "--bundle", bundle, "--out", out, "--truth", cohort, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return out, done


def test_a_part_evaluates_nothing_and_the_whole_does_when_all_parts_are_done(
    evaluated, bundle, cohort, tmp_path
):
    out = shutil.copytree(evaluated[0], tmp_path / "out")
    shutil.rmtree(out / "evaluation")
    command = ["--bundle", bundle, "--out", out, "--truth", cohort, "--device", "cpu"]
    done = run_here(main, *command, "--part", "2/2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("done before") == 1
    assert not (out / "evaluation").exists()
    done = run_here(main, *command)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("done before") == 2
    for path in (evaluated[0] / "evaluation").iterdir():
        assert (out / "evaluation" / path.name).read_bytes() == path.read_bytes()


def rows_of(cohort):
    return pd.read_csv(cohort, sep="\t", dtype=str, keep_default_na=False)


def changed(cohort, name, **columns):
    """A table beside the cohort's, with columns of its first row changed."""
    table = rows_of(cohort)
    for column, value in columns.items():
        table.loc[0, column] = value
    path = cohort.with_name(name)
    write_tsv(path, table.replace("", None))
    return path


def test_two_new_heads_are_applied_to_and_judged(evaluated, cohort):
    out, done = evaluated
    assert "2 scans, judged: 2 by their mask, 2 by their class." in done.stderr
    scans = read_tsv(out / "evaluation/scans.tsv", {"scan": str})
    metrics = read_tsv(out / "evaluation/metrics.tsv", {"scan": str, "value": float})
    assert sorted(metrics["scan"].unique()) == scans["scan"].tolist()
    told = metrics.query("metric == 'DSC'").set_index("scan")["value"]
    for row in rows_of(cohort).itertuples():
        (scan,) = scans.loc[scans["subject"] == row.subject, "scan"]
        found = nib.load(next(out.rglob(f"{scan}_desc-lesion_mask.nii.gz"))).get_fdata() > 0
        masks = [cohort.parent / path for path in row.lesion_mask.split(";")]
        truth = np.all([nib.load(path).get_fdata() > 0 for path in masks], axis=0)
        expected = overlap_metrics(found, truth)["DSC"]
        assert told[scan] == pytest.approx(expected, abs=1e-6)
    table = read_tsv(out / "evaluation/table.tsv", {"site": str})
    assert list(dict.fromkeys(table["site"])) == ["all", "North", "South"]
    page = (out / "report/evaluation.html").read_text(encoding="utf-8")
    assert all(f"scans/{scan}.html" in page for scan in scans["scan"])
    assert (out / "report/assets/report.css").is_file()


def test_the_workflows_rules_write_the_same_bytes(evaluated, bundle, cohort, tmp_path):
    """From what the command applied: the evaluation's rules, with the config's defaults."""
    out, _ = evaluated
    accepted = tmp_path / "cohort.tsv"
    table = read_scan_table(cohort)
    write_tsv(accepted, table.mask(table == ""))
    write_tsv(tmp_path / "excluded.tsv", pd.DataFrame(columns=["scan", "by", "reason"]))
    for row in table.itertuples():
        files = Files(Path(row.flair), tuple(map(Path, row.lesion_mask.split(";"))))
        check_scan(row.scan, files).write(tmp_path / f"{row.scan}.json")
        masks = ["--masks", *row.lesion_mask.split(";")]
        arguments = ["--flair", row.flair, *masks, "--out", tmp_path / f"{row.scan}_truth.nii.gz"]
        raters.main([str(each) for each in arguments])
    options = ["--bundle", bundle, "--cohort", accepted]
    listed = tmp_path / "overlap.tsv"
    reports = ["--reports", f"{tmp_path}/{{scan}}.json"]
    assert run_here(overlap.main, *options, *reports, "--out", listed).returncode == 0
    files = [*(out / "evaluation").iterdir(), *(out / "report").glob("evaluation.*")]
    before = {path: path.read_bytes() for path in files}
    assert before.pop(out / "evaluation/overlap.tsv") == listed.read_bytes()
    for path in before:
        path.unlink()
    options += ["--excluded", tmp_path / "excluded.tsv", "--overlap", listed, "--applied", out]
    options += ["--truth", f"{tmp_path}/{{scan}}_truth.nii.gz", "--seed", 2024]
    options += ["--replicates", 2000, "--confidence", 0.95, "--combine", "intersection"]
    options += ["--smallest-lesion-mm3", 3]
    assert run_here(evaluate_bundle.main, *options).returncode == 0
    assert {path: path.read_bytes() for path in before} == before


@pytest.fixture(scope="module")
def knowing(make_bundle, training, heads, tmp_path_factory):
    """A bundle whose folds learned from the first head."""
    folder = tmp_path_factory.mktemp("knowing")
    for name in ("sub-secret1", "sub-secret2"):
        check_scan(name, Files(heads[0])).write(folder / f"{name}.json")
    make_bundle(folder / "bundle", **{"check-reports": f"{folder}/{{scan}}.json"})
    return folder / "bundle"


def test_a_renamed_resaved_reoriented_copy_is_refused_with_all_else_before_anything_is_done(
    knowing, cohort, heads, tmp_path
):
    image = nib.load(heads[0])
    target = nib.orientations.axcodes2ornt("PSL")
    ours = nib.orientations.io_orientation(image.affine)
    moved = image.as_reoriented(nib.orientations.ornt_transform(ours, target))
    bare = nib.Nifti1Image(np.asarray(moved.dataobj), moved.affine)
    copy = cohort.with_name("another name.nii")
    nib.save(bare, copy)
    given = {"subject": "New9", "flair": copy.name, "lesion_mask": "", "session": ""}
    table = changed(cohort, "copied.tsv", **given)
    other = rows_of(table).assign(subject="New9", session="2").iloc[1:]
    other["diagnosis"] = rows_of(table).loc[0, "diagnosis"]
    write_tsv(table, pd.concat([rows_of(table).iloc[:1], other]).replace("", None))
    out = tmp_path / "out"
    arguments = ["--bundle", knowing, "--out", out, "--truth", table, "--device", "cpu"]
    done = run_here(main, *arguments)
    assert done.returncode == 1
    assert "the very voxels of a scan that the folds learned from" in done.stderr
    assert "a visit of a subject whose sub-New9 the folds learned from" in done.stderr
    assert f"{copy} (sub-New9)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"diagnosis": "ADEM"}, "write MS or NMOSD"),
        ({"lesion_mask": "small.nii"}, "the grid of"),
        ({"flair": "none.nii.gz"}, "No such file"),
    ],
    ids=["label", "another grid", "no file"],
)
def test_a_hostile_table_is_refused_before_anything_is_done(bundle, cohort, tmp_path, wrong, said):
    small = nib.Nifti1Image(np.eye(4, dtype=np.uint8)[None].repeat(4, axis=0), np.eye(4))
    nib.save(small, cohort.with_name("small.nii"))
    table = changed(cohort, "hostile.tsv", **wrong)
    arguments = ["--bundle", bundle, "--out", tmp_path / "out", "--truth", table]
    with pytest.raises(InputError, match=said):
        main([*map(str, arguments), "--device", "cpu"])
    assert not (tmp_path / "out").exists()


def test_masks_with_labels_are_judged_by_those_that_are_lesion(bundle, cohort, evaluated, tmp_path):
    (first, *_) = rows_of(cohort)["lesion_mask"].iloc[0].split(";")
    image = nib.load(cohort.parent / first)
    data = np.asarray(image.dataobj).astype(np.uint8)
    top = np.argwhere(data > 0)[0]
    data[tuple(top)] = 4
    nib.save(nib.Nifti1Image(data, image.affine, image.header), cohort.with_name("labels.nii"))
    masks = rows_of(cohort)["lesion_mask"].iloc[0].replace(first, "labels.nii")
    table = changed(cohort, "labelled.tsv", lesion_mask=masks)
    out = tmp_path / "out"
    arguments = ["--bundle", bundle, "--out", out, "--truth", table, "--device", "cpu"]
    refused = run_here(main, *arguments)
    assert refused.returncode == 1
    assert "--lesion-labels" in refused.stderr
    done = run_here(main, *arguments, "--lesion-labels", "any")
    assert done.returncode == 0, done.stderr
    before = evaluated[0] / "evaluation/metrics.tsv"
    assert (out / "evaluation/metrics.tsv").read_bytes() == before.read_bytes()


def test_a_scan_twice_is_refused(bundle, cohort, tmp_path):
    table = cohort.with_name("twice.tsv")
    rows = rows_of(cohort)
    write_tsv(table, pd.concat([rows, rows.iloc[:1]]).replace("", None))
    with pytest.raises(InputError, match="each scan once"):
        main(["--bundle", str(bundle), "--out", str(tmp_path / "out"), "--truth", str(table)])


def test_masks_are_combined_in_all_ways_of_the_config():
    assert get_args(raters.How) == COMBINE


ONE_WAY = "give scans, or a folder with -i, or a scan table with --truth"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), ONE_WAY),
        (("scan.nii.gz", "--truth", "scans.tsv"), ONE_WAY),
        (("--truth", "scans.tsv", "--stripped"), "--stripped is not for a scan table"),
        (("scan.nii.gz", "--leave-out-overlap"), "--leave-out-overlap needs --truth"),
    ],
)
def test_options_of_two_ways_are_not_mixed(capsys, arguments, said):
    with pytest.raises(SystemExit, match="2"):
        main(["--bundle", "bundle", "--out", "out", *arguments])
    assert said in capsys.readouterr().err


def test_the_bundle_that_learned_tells_no_more_than_the_copy_does(knowing):
    told = json.loads((knowing / "bundle.json").read_text())["training_seals"]
    assert len(told["seals"]) == 1, "one picture, however many names it had"
