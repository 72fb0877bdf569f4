"""`python -m msnmo.apply`, as a user runs it: heads in, masks on their own grids out."""

import base64
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import nibabel.processing
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from msnmo.apply.__main__ import main
from msnmo.apply.apply_bundle import _judged
from msnmo.apply.ensemble import Consensus, load_ensemble
from msnmo.apply.listing import list_runs, read_runs
from msnmo.apply.mni import register
from msnmo.apply.pages import write_page
from msnmo.apply.prepared import Prepared
from msnmo.apply.preprocess import Arrived, preprocess
from msnmo.bundle.contents import Bundle, read_bundle
from msnmo.core.errors import InputError, MsnmoError
from msnmo.core.processes import Answer
from msnmo.evaluate.verdict import Verdict
from msnmo.networks import segmentation
from msnmo.preprocess.steps import STEPS
from msnmo.settings.config import default_config
from tests.command import run_here

READABLE = (".json", ".tsv", ".html", ".js", ".txt")
ENDINGS = (
    *("desc-brain_mask.nii.gz", "desc-lesion_dseg.nii.gz", "desc-lesion_mask.nii.gz"),
    *("desc-lesion_probseg.nii.gz", "desc-lesion_table.tsv", "desc-localisation_map.nii.gz"),
    "run.json",
)


@pytest.fixture(scope="module")
def applied(bundle, heads, tmp_path_factory):
    """Two heads, one cut file and one that is not there, in one command, as users run it."""
    folder = tmp_path_factory.mktemp("applied")
    cut = folder / "cut head.nii.gz"
    cut.write_bytes(heads[0].read_bytes()[:5000])
    given = [heads[0], cut, folder / "none.nii.gz", heads[1]]
    arguments = ["--bundle", bundle, "--out", folder / "out é", *given, "--device", "cpu"]
    command = [sys.executable, "-m", "msnmo.apply", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, folder / "out é", cut


def name_of(head):
    return head.name.removesuffix("_FLAIR.nii.gz")


def anat(out, head):
    return out / name_of(head).replace("_", "/") / "anat"


def test_bad_scans_are_named_and_stop_no_other(applied, heads):
    done, out, cut = applied
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(cut) in done.stderr
    assert "none.nii.gz" in done.stderr
    assert "msnmo: 2 input problems:" in done.stderr, "all under one heading"
    assert sorted(path.name for path in out.glob("sub-*")) == sorted(
        name_of(head) for head in heads
    )
    assert not list(out.rglob(".tmp-*"))


def test_each_scan_has_all_that_is_promised(applied, heads):
    _, out, _ = applied
    for head in heads:
        files = sorted(path.name for path in anat(out, head).iterdir())
        assert files == [f"{name_of(head)}_{ending}" for ending in ENDINGS]
        assert (out / f"report/scans/{name_of(head)}.html").is_file()


def test_the_folder_is_a_bids_derivative(applied):
    """What BIDS knows has a sidecar in the top folder; what it does not know is ignored."""
    _, out, _ = applied
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "msnmo"
    told = {path.name: json.loads(path.read_text()) for path in out.glob("desc-*.json")}
    assert told["desc-lesion_mask.json"]["Type"] == "Lesion"
    assert told["desc-brain_mask.json"]["Type"] == "Brain"
    assert all(each["SpatialReference"] == "orig" for each in told.values())
    ignored = (out / ".bidsignore").read_text().split()
    for path in out.rglob("*"):
        inside = path.relative_to(out)
        if not path.is_file() or path.parent == out or inside.parts[0].startswith("."):
            continue
        known = any(each.match(one) for one in ignored for each in (inside, *inside.parents))
        described = f"{path.name.partition('_')[2].removesuffix('.nii.gz')}.json" in told
        assert known != described, inside


def test_masks_and_maps_lie_on_the_scans_own_grid(applied, heads):
    _, out, _ = applied
    for head in heads:
        scan = nib.load(head)
        for path in anat(out, head).glob("*.nii.gz"):
            image = nib.load(path)
            assert image.shape == scan.shape, path
            np.testing.assert_allclose(image.affine, scan.affine, atol=1e-6)
            assert image.header["sform_code"] == scan.header["sform_code"]
            assert image.header["qform_code"] == scan.header["qform_code"]


def test_mask_table_and_run_tell_the_same(applied, heads):
    _, out, _ = applied
    for head in heads:
        stem = f"{anat(out, head)}/{name_of(head)}"
        probability = nib.load(f"{stem}_desc-lesion_probseg.nii.gz").get_fdata()
        mask = nib.load(f"{stem}_desc-lesion_mask.nii.gz").get_fdata() > 0
        labels = nib.load(f"{stem}_desc-lesion_dseg.nii.gz").get_fdata()
        np.testing.assert_array_equal(mask, probability > 0.5)
        np.testing.assert_array_equal(mask, labels > 0)
        table = pd.read_csv(f"{stem}_desc-lesion_table.tsv", sep="\t")
        run = json.loads(Path(f"{stem}_run.json").read_text())
        assert run["lesions"]["count"] == len(table) == labels.max()
        assert run["lesions"]["load_ml"] == pytest.approx(table["volume_ml"].sum(), abs=1e-3)
        assert "location" not in table
        of_folds = run["lesions"]["load_ml_of_folds_in_model_space"]
        assert len(of_folds) == 3
        # what all folds call lesion, one alone does at least: the mean is over the threshold
        assert run["lesions"]["load_ml_in_model_space"] <= sum(of_folds)
        page = (out / f"report/scans/{name_of(head)}.html").read_text(encoding="utf-8")
        places = [tuple(map(float, each.split())) for each in re.findall('data-mm="(.*?)"', page)]
        assert places == list(table[["x_mm", "y_mm", "z_mm"]].itertuples(index=False, name=None))
        assert run["warning"] == "Research output, not for diagnosis."


def test_a_map_is_of_the_brain_and_says_whether_it_finds_lesions(applied, heads):
    """This bundle does not tell: it was made without."""
    _, out, _ = applied
    for head in heads:
        stem = f"{anat(out, head)}/{name_of(head)}"
        brain = nib.load(f"{stem}_desc-brain_mask.nii.gz").get_fdata() > 0
        localisation = nib.load(f"{stem}_desc-localisation_map.nii.gz").get_fdata()
        assert 0.5 < localisation[brain].max() <= 1
        assert not localisation[~brain].any()
        run = json.loads(Path(f"{stem}_run.json").read_text())
        said = "Whether this map finds lesions was not measured."
        assert run["localisation"] == {"measured": None, "told": said}
        for page in (f"scans/{name_of(head)}.html", "index.html"):
            assert said in (out / "report" / page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "verdict",
    [Verdict(0.51, 0.46, 0.57, 0.95, 9, 8), Verdict(0.87, 0.83, 0.91, 0.95, 9, 8)],
    ids=["chance", "better"],
)
def test_what_a_bundle_tells_of_its_maps_goes_with_each_of_them(
    applied, bundle, heads, tmp_path, verdict
):
    told = read_bundle(bundle)
    judged = Bundle(told.path, told.content | {"localisation": verdict.to_json()}, told.id)
    assert _judged(judged, Consensus(None, (), None, np.zeros((2, 2, 2)))) == {
        "measured": verdict.to_json(),
        "told": verdict.in_words,
    }
    assert _judged(judged, Consensus(None, (), None, None)) is None
    _, out, _ = applied
    folder = shutil.copytree(anat(out, heads[0]), tmp_path / "anat")
    path = folder / f"{name_of(heads[0])}_run.json"
    content = json.loads(path.read_text())
    content["localisation"] = {"measured": verdict.to_json(), "told": verdict.in_words}
    path.write_text(json.dumps(content))
    page, volumes = write_page(tmp_path / "site", folder, name_of(heads[0]), heads[0])
    assert verdict.in_words in page.read_text(encoding="utf-8")
    assert f": {verdict.in_short}" in volumes.read_text(encoding="utf-8")


def test_class_probabilities_are_means_over_folds_with_their_spread(applied, heads):
    _, out, _ = applied
    table = pd.read_csv(out / "predictions.tsv", sep="\t").set_index("scan")
    names = [name_of(head) for head in heads]
    assert list(table.index) == sorted([*names, "sub-cuthead", "sub-none"])
    assert table.loc[names, "failed"].isna().all()
    assert "the scan expected:" in table.loc["sub-none", "failed"]
    for head in heads:
        run = json.loads((anat(out, head) / f"{name_of(head)}_run.json").read_text())
        folds = run["class"]["p_nmosd_of_folds"]
        row = table.loc[name_of(head)]
        assert row["p_nmosd"] == pytest.approx(np.mean(folds), abs=1e-6)
        assert row["sd_nmosd"] == pytest.approx(np.std(folds, ddof=1), abs=1e-5)
        # fresh weights know nothing, and say so
        assert row["uncertain"] == "yes"
        assert "below 0.75" in row["doubts"]


def test_what_is_done_is_not_done_again_unless_asked(applied, bundle, heads):
    _, out, _ = applied
    run = anat(out, heads[0]) / f"{name_of(heads[0])}_run.json"
    before = run.stat().st_mtime_ns
    done = run_here(main, "--bundle", bundle, "--out", out, heads[0], "--device", "cpu")
    assert done.returncode == 0
    assert "done before" in done.stderr
    assert run.stat().st_mtime_ns == before
    run.write_text(run.read_text()[:100])
    done = run_here(main, "--bundle", bundle, "--out", out, heads[0], "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "done before" not in done.stderr
    assert run.stat().st_mtime_ns > before


def test_a_part_does_its_scans_alone_and_an_empty_one_nothing(applied, bundle, heads):
    _, out, _ = applied
    told = ["--bundle", bundle, "--out", out, *heads, "--device", "cpu", "--part"]
    done = run_here(main, *told, "2/2")
    assert done.returncode == 0, done.stderr
    assert f"{name_of(heads[1])} (1 of 1)" in done.stderr
    assert f"{name_of(heads[0])} (" not in done.stderr
    done = run_here(main, *told, "3/3")
    assert done.returncode == 0, done.stderr
    assert "(1 of" not in done.stderr


def test_another_scan_of_a_name_is_refused_before_networks_are_read(
    applied, bundle, heads, tmp_path, monkeypatch
):
    _, out, _ = applied
    other = tmp_path / heads[0].name
    shutil.copy(heads[1], other)
    monkeypatch.setattr("msnmo.apply.scans.load_ensemble", lambda *_: pytest.fail("too late"))
    run = anat(out, heads[0]) / f"{name_of(heads[0])}_run.json"
    before = run.read_bytes()
    done = run_here(main, "--bundle", bundle, "--out", out, other, "--again", "--device", "cpu")
    assert done.returncode == 1
    assert "results of this very scan" in done.stderr
    assert run.read_bytes() == before


def test_a_step_that_fails_is_told_with_its_message(bundle, heads, tmp_path):
    """A head that is no head: skull stripping finds too little of a brain."""
    image = nib.load(heads[0])
    data = np.asarray(image.dataobj).copy()
    data[data.shape[0] // 3 :] = 0
    path = tmp_path / "third.nii.gz"
    nib.save(nib.Nifti1Image(data, image.affine, image.header), path)
    out = tmp_path / "out"
    done = run_here(main, "--bundle", bundle, "--out", out, path, "--device", "cpu")
    assert done.returncode == 1
    assert "sub-third: skullstrip failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "sub-third").exists()


def test_a_network_that_says_nan_of_one_scan_is_named_and_the_others_go_on(
    bundle, heads, tmp_path, monkeypatch, capsys
):
    """Its first fold says nothing of the first scan that it sees."""
    ensemble = load_ensemble(read_bundle(bundle), torch.device("cpu"))
    calls = []

    def spoil(_module, _given, outputs):
        calls.append(outputs)
        if len(calls) > 1:
            return outputs
        return replace(outputs, class_logits=torch.full((1, 2), float("nan")))

    ensemble.models[0].register_forward_hook(spoil)
    monkeypatch.setattr("msnmo.apply.scans.load_ensemble", lambda *_: ensemble)
    out = tmp_path / "out"
    done = run_here(main, "--bundle", bundle, "--out", out, *heads, "--device", "cpu")
    assert done.returncode == 1
    first, second = map(name_of, heads)
    weights = bundle / "fold-0.safetensors"
    assert f"{first}: {weights}: a network's output is not finite" in done.stderr
    assert "2 of 2 numbers of class_logits" in done.stderr
    assert "1 of 2 scans not done" in done.stderr
    table = pd.read_csv(out / "predictions.tsv", sep="\t").set_index("scan")
    assert table["failed"].notna().to_dict() == {first: True, second: False}
    assert not anat(out, heads[0]).exists()


def test_with_an_id_the_name_of_a_file_is_told_and_written_nowhere(bundle, heads, tmp_path):
    given = tmp_path / "Mueller Anna" / "Mueller_Anna_1970-01-01.nii.gz"
    cut = given.with_name("Mueller_Bert.nii.gz")
    given.parent.mkdir()
    shutil.copy(heads[0], given)
    cut.write_bytes(heads[0].read_bytes()[:5000])
    gone, text = given.with_name("Mueller_Cora.nii.gz"), given.with_name("Mueller_Dora.img")
    text.touch()
    out = tmp_path / "out"
    scans = [given, cut, gone, text]
    done = run_here(
        *(main, "--bundle", bundle, "--out", out, *scans, "--ids", "X1", "X2", "X3", "X4"),
        *("--device", "cpu", "--deface"),
    )
    assert done.returncode == 1
    assert "3 of 4 scans not done" in done.stderr
    assert all(f"sub-X{number}" in done.stderr for number in (1, 2, 3, 4))
    told = [done.stdout, done.stderr, *map(str, out.rglob("*"))]
    told += [path.read_text() for path in out.rglob("*") if path.suffix in READABLE]
    assert len(told) > 10
    # with a sign that neither a digest nor base64 has, so that none of these holds it by chance
    for word in ("Mueller_", "_Anna", "1970-", "Mueller Anna"):
        assert not [each for each in told if word in each]
    run = json.loads((out / "sub-X1/anat/sub-X1_run.json").read_text())
    assert run["input"]["file"] == "sub-X1_FLAIR.nii.gz"
    # and no face: every voxel beyond the brain is black
    page = (out / "report/scans/sub-X1.js").read_text()
    (layer, *_) = json.loads(page.removeprefix("var msnmoLayers = ").rstrip(";\n"))
    shown = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(layer["data"])))
    brain = nib.load(out / "sub-X1/anat/sub-X1_desc-brain_mask.nii.gz")
    lit = np.asarray(shown.dataobj) > 0
    inside = nib.processing.resample_from_to(brain, shown, order=1)
    assert lit.any()
    far = ndimage.binary_dilation(np.asarray(inside.dataobj) > 0, iterations=4)
    assert not lit[~far].any()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_asked_to_end_leaves_no_image_and_no_process(bundle, heads, tmp_path, number):
    scratch = tmp_path / "scratch é"
    scratch.mkdir()
    arguments = ["--bundle", bundle, "--out", tmp_path / "out", heads[0], "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "msnmo.apply", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch)},
    )
    for line in process.stderr:
        if line.strip() == "msnmo:   n4":
            break
    assert list(scratch.rglob("*.nii.gz"))
    process.send_signal(number)
    process.stderr.read()
    assert process.wait(timeout=60) == 128 + number
    assert not list(scratch.iterdir())
    assert not list((tmp_path / "out").rglob(".tmp-*"))
    commands = subprocess.check_output(["ps", "-ww", "-eo", "args"], text=True)
    assert str(scratch) not in commands


def test_a_new_scan_goes_through_every_step_of_the_workflow(tmp_path, monkeypatch):
    modules = []
    monkeypatch.setattr(
        "msnmo.apply.preprocess.run_module", lambda scan, command, _: modules.append(command[1])
    )
    config = default_config()
    prepared = preprocess(Arrived("sub-1", Path("head.nii.gz")), config, tmp_path, str)
    assert modules == [f"msnmo.{step.module}" for step in STEPS.values()]
    assert list(prepared.seconds) == list(STEPS)


def test_locations_are_found_by_a_module_that_is_there(tmp_path, monkeypatch):
    commands = []

    def run(command, _environment):
        commands.append(command)
        return Answer(0, "", "")

    monkeypatch.setattr("msnmo.apply.preprocess.run", run)
    prepared = Prepared("sub-1", *[tmp_path / name for name in "abcdefg"])
    regions = register(prepared, tmp_path).regions
    ((_, _, module, *arguments),) = commands
    assert find_spec(module)
    assert arguments[-2:] == ["--out", str(regions)]


def test_a_damaged_bundle_stops_before_any_scan(bundle, heads, tmp_path):
    broken = shutil.copytree(bundle, tmp_path / "bundle")
    (broken / "fold-1.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"fold-1\.safetensors"):
        main(["--bundle", str(broken), "--out", str(tmp_path / "out"), str(heads[0])])
    assert not (tmp_path / "out").exists()


def test_changed_code_of_the_networks_ends_with_1_and_a_remedy(
    bundle, heads, tmp_path, monkeypatch
):
    monkeypatch.setattr(segmentation, "SCALE_WEIGHTS", (0.25, 0.25, 0.5, 0.9))
    arguments = ["--bundle", bundle, "--out", tmp_path / "out", heads[0], "--device", "cpu"]
    done = run_here(main, *arguments)
    assert done.returncode == 1
    assert "train its folds again and make a new bundle" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_damaged_run_is_named_by_the_listing(applied, heads, tmp_path):
    _, out, _ = applied
    copy = shutil.copytree(out, tmp_path / "out")
    run = anat(copy, heads[1]) / f"{name_of(heads[1])}_run.json"
    run.write_text('{"scan": "sub-1"}')
    with pytest.raises(MsnmoError, match="the run of a scan"):
        read_runs(copy)


def test_a_method_of_one_task_has_no_columns_of_the_other(applied):
    _, out, _ = applied
    runs = [run | {"class": None} for run in read_runs(out)]
    table = list_runs(runs)
    assert not {"class", "p_ms", "uncertain"} & set(table)
    assert table["load_ml"].notna().all()
