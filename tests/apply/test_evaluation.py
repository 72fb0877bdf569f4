"""What a bundle is worth on a cohort it never saw: numbers by hand, counts, and whom it refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.apply.evaluation import ALL_SITES, COHORT_COLUMNS, Settings, evaluate
from msnmo.apply.evaluation_page import in_words, page_of, write_evaluation
from msnmo.apply.overlap import NO_SEALS, find_overlap, main, refuse_start
from msnmo.bundle.contents import Bundle, read_bundle
from msnmo.check.findings import ScanReport
from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_json, write_tsv
from msnmo.core.fingerprint import seal
from msnmo.core.grid import Grid
from msnmo.core.names import folder_of
from msnmo.core.saving import save_volume
from tests.command import run_here

GRID = Grid.from_affine((6, 6, 6), np.diag([1.0, 1.0, 2.0, 1.0]))
SALT, KNOWN = "5a" * 32, "aa" * 32
SETTINGS = Settings(
    seed=5, replicates=200, confidence=0.95, combine="intersection", smallest_mm3=0.0
)
NOBODY = pd.DataFrame(columns=["scan", "by", "reason"])
NO_OVERLAP = pd.DataFrame(columns=["scan", "reason"])
# scan: diagnosis, site, voxels along i of truth and of prediction, P(NMOSD); None: no mask is known
SCANS = {
    "sub-A": ("MS", "X", (0, 2), (0, 2), 0.1),  # DSC 1
    "sub-B": ("NMOSD", "X", (0, 2), (1, 3), 0.9),  # DSC 1/2
    "sub-C_ses-1": ("MS", "Y", (0, 2), (4, 6), 0.7),  # DSC 0
    "sub-C_ses-2": ("MS", "Y", (0, 0), (0, 2), 0.2),  # no true lesion
    "sub-D": ("NMOSD", "Y", None, (0, 2), 0.4),
    "sub-E": ("", "Y", None, (0, 2), 0.4),
}


def bundle_with(**content):
    seals = {"salt": SALT, "seals": [seal(KNOWN, SALT)]}
    told = {
        "method": "joint",
        "preprocessing": {"resize": {"size": [32, 32, 32]}},
        "folds": [{"weights": f"fold-{fold}.safetensors"} for fold in range(3)],
        "training_seals": seals,
    }
    return Bundle(Path("bundle"), told | content, "0123456789abcdef")


def slab(reach):
    mask = np.zeros(GRID.shape, bool)
    mask[slice(*reach), 1:3, 1:3] = True
    return mask


@pytest.fixture(scope="module")
def applied(tmp_path_factory):
    """A folder as `apply` leaves it, the raters' masks, and the cohort."""
    folder = tmp_path_factory.mktemp("outside é")
    rows = []
    for scan, (diagnosis, site, truth, predicted, chance) in SCANS.items():
        anat = folder / folder_of(scan) / "anat"
        anat.mkdir(parents=True)
        save_volume(anat / f"{scan}_desc-lesion_mask.nii.gz", slab(predicted), GRID, np.uint8)
        write_json(anat / f"{scan}_run.json", {"class": {"p_nmosd": chance}})
        if truth:
            save_volume(folder / f"{scan}_truth.nii.gz", slab(truth), GRID, np.uint8)
        subject = scan.split("_")[0].removeprefix("sub-")
        mask = "mask.nii.gz" if truth else ""
        rows.append((scan, subject, diagnosis, mask, site, f"{scan}.nii.gz"))
    return folder, pd.DataFrame(rows, columns=list(COHORT_COLUMNS))


def evaluated(applied, overlap=NO_OVERLAP, bundle=None, truth="{scan}_truth.nii.gz"):
    folder, cohort = applied
    return evaluate(
        *(bundle or bundle_with(), cohort, overlap),
        applied=folder,
        truth=f"{folder}/{truth}",
        settings=SETTINGS,
        excluded=NOBODY,
    )


@pytest.fixture(scope="module")
def evaluation(applied):
    return evaluated(applied)


def number(evaluation, metric, site=ALL_SITES):
    rows = evaluation.statistics.query("metric == @metric and site == @site")
    (row,) = rows.itertuples()
    return row


def test_overlap_and_volumes_by_hand(evaluation):
    assert number(evaluation, "DSC").estimate == pytest.approx(100 * (1 + 0.5 + 0 + 0) / 4)
    assert number(evaluation, "DSC", "X").estimate == pytest.approx(75)
    assert number(evaluation, "DSC", "Y").estimate == pytest.approx(0)
    tpr = number(evaluation, "TPR")
    assert (tpr.n_scans, tpr.n_undefined, tpr.n_subjects) == (4, 1, 3)
    assert tpr.estimate == pytest.approx(100 * (1 + 0.5 + 0) / 3)
    # a slab is 2 x 2 x 2 voxels of 2 mm³: only the scan without a lesion differs in volume
    assert number(evaluation, "AVD").estimate == pytest.approx(0.016 / 4)
    assert number(evaluation, "LTPR", "X").estimate == pytest.approx(100)
    assert set(evaluation.metrics["space"]) == {"native", "n/a"}


def test_classes_are_judged_without_a_mask_too_and_by_hand(evaluation):
    # NMOSD: .9 right, .4 wrong; MS: .1 and .2 right, .7 wrong
    assert number(evaluation, "ACC").estimate == pytest.approx(60)
    assert number(evaluation, "SN").estimate == pytest.approx(50)
    assert number(evaluation, "SP").estimate == pytest.approx(100 * 2 / 3)
    # pairs of NMOSD and MS in the right order: 3 and 2, of 6
    assert number(evaluation, "AUC").estimate == pytest.approx(100 * 5 / 6)
    assert number(evaluation, "AUC").n_scans == 5
    assert number(evaluation, "AUC", "X").estimate == pytest.approx(100)


def test_intervals_are_of_subjects_and_there_is_none_where_nothing_can_vary(evaluation):
    row = number(evaluation, "DSC")
    # A and C, of one diagnosis, are drawn; B is alone in its own among those with a mask
    assert row.ci_low < row.estimate < row.ci_high
    assert row.ci_low == pytest.approx(100 * (0 + 0 + 0 + 0 + 0.5) / 5), "C twice, with two visits"
    for metric in ("DSC", "ACC", "AUC"):
        alone = number(evaluation, metric, "X")
        assert np.isnan([alone.ci_low, alone.ci_high]).all() != (metric == "ACC")
    # both scans of the site are named right: the exact interval of two subjects
    assert number(evaluation, "ACC", "X").ci_low == pytest.approx(100 * 0.025 ** (1 / 2))


def test_scans_are_counted_and_those_without_truth_named(evaluation, applied):
    scans = evaluation.scans.set_index("scan")
    assert scans["segmentation"].sum() == 4
    assert scans["classification"].sum() == 5
    assert scans.loc["sub-E", "reason"] == "no truth"
    said = "6 scans, judged: 4 by their mask, 5 by their class; 1 not (no truth)."
    assert in_words(evaluation) == said
    only = evaluated(applied, bundle=bundle_with(method="only_seg"))
    assert "P_NMOSD" not in set(only.metrics["metric"])
    assert in_words(only) == "6 scans, judged: 4 by their mask; 2 not (no truth for segmentation)."


def test_all_that_is_written_says_the_same_and_again_in_equal_bytes(applied, evaluation, tmp_path):
    for name in ("one", "two"):
        write_evaluation(tmp_path / name, evaluation)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert [path.name for path in files] == [
        *("figure.png", "figure.svg", "metrics.tsv", "scans.tsv", "table.html", "table.json"),
        *("table.md", "table.tex", "table.tsv", "evaluation.html", "evaluation.png"),
    ]
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
    table = read_tsv(tmp_path / "one/evaluation/table.tsv", {"site": str, "estimate": float})
    told = table.query("site == 'all' and metric == 'AUC'")
    assert told["estimate"].tolist() == pytest.approx([250 / 3], abs=1e-9)
    page = (tmp_path / "one/report/evaluation.html").read_text(encoding="utf-8")
    for text in (in_words(evaluation), "scans/sub-C_ses-1.html", "83.33", "not for diagnosis"):
        assert text in page
    markdown = (tmp_path / "one/evaluation/table.md").read_text(encoding="utf-8")
    assert "All sites" in markdown
    assert "No scan was excluded." in markdown
    assert "TPR 1, VD 1" in " ".join(page_of(evaluation).notes)


@pytest.mark.parametrize(
    ("simulated", "learned", "said"),
    [
        (["yes"] * 6, {"scans": 8, "of": 8}, ["All scans are simulated", "only simulated scans"]),
        (["no", "yes", *["no"] * 4], {"scans": 0, "of": 8}, ["1 of 6 scans is simulated"]),
        (["no"] * 6, {"scans": 8, "of": 8}, ["only simulated scans"]),
        (None, {"scans": 0, "of": 8}, []),
    ],
)
def test_simulated_scans_are_told_in_every_form(applied, tmp_path, simulated, learned, said):
    folder, cohort = applied
    marked = cohort if simulated is None else cohort.assign(simulated=simulated)
    bundle = bundle_with(training_cohort={"simulated": learned})
    evaluation = evaluated((folder, marked), bundle=bundle)
    write_evaluation(tmp_path, evaluation)
    for text, note in zip(said, page_of(evaluation).notes[: len(said)], strict=True):
        assert text in note
    for file in ("report/evaluation.html", "evaluation/table.md", "evaluation/table.tex"):
        content = (tmp_path / file).read_text(encoding="utf-8")
        assert all(text in content for text in said), file
        assert ("simulated" in content) == bool(said), file
    page = (tmp_path / "report/evaluation.html").read_text(encoding="utf-8")
    assert ('class="banner"' in page) == bool(said)
    figure = (tmp_path / "evaluation/figure.svg").read_text(encoding="utf-8")
    assert ("simulated" in figure) == bool(said)
    in_caption = simulated is not None and "yes" in simulated
    assert ("simulated" in page_of(evaluation).caption) == in_caption


def test_what_is_missing_or_on_another_grid_is_named_at_once(applied, tmp_path):
    folder, cohort = applied
    save_volume(
        tmp_path / "sub-A.nii.gz", np.ones((5, 6, 6)), Grid.from_affine((5, 6, 6), np.eye(4))
    )
    with pytest.raises(InputError) as error:
        evaluate(
            *(bundle_with(), cohort, NO_OVERLAP),
            applied=folder,
            truth=f"{tmp_path}/{{scan}}.nii.gz",
            settings=SETTINGS,
            excluded=NOBODY,
        )
    assert len(error.value.findings) == 4
    assert "the grid of" in error.value.findings[0].expected


def test_a_subject_is_known_by_any_scan_and_left_out_with_all(applied):
    _, cohort = applied
    overlap = find_overlap(bundle_with(), cohort, {"sub-C_ses-1": KNOWN, "sub-A": "bb" * 32})
    assert overlap["scan"].tolist() == ["sub-C_ses-1", "sub-C_ses-2"]
    assert overlap["reason"].tolist() == [
        "the very voxels of a scan that the folds learned from",
        "a visit of a subject whose sub-C_ses-1 the folds learned from",
    ]
    left = evaluated(applied, overlap)
    assert number(left, "DSC").estimate == pytest.approx(75)
    assert "; 2 not (subject that the folds learned from)" in in_words(left)


def test_a_bundle_of_before_finds_no_overlap_and_says_that_it_is_not_known(applied):
    _, cohort = applied
    old = bundle_with(training_seals=None)
    assert find_overlap(old, cohort, {"sub-A": KNOWN}).empty
    assert "is not known" in " ".join(page_of(evaluated(applied, bundle=old)).notes)


def test_of_networks_that_learned_from_no_person_no_overlap_is_to_be_known():
    nobody = pd.DataFrame({"scan": [], "subject": [], "flair": []})
    drawn = {"training_cohort": {"simulated": {"scans": 3, "of": 3}}}
    assert refuse_start(bundle_with(training_seals=None, **drawn), nobody, "") == ""
    assert NO_SEALS in refuse_start(bundle_with(training_seals=None), nobody, "")


def test_the_rule_refuses_all_overlap_at_once_or_lists_it(bundle, tmp_path):
    """The bundle's folds learned from two scans, and this cohort has copies of both."""
    names = ["sub-1", "sub-2", "sub-3"]
    cohort = pd.DataFrame({"scan": names, "subject": ["1", "2", "3"], "flair": ["a", "b", "c"]})
    write_tsv(tmp_path / "cohort.tsv", cohort)
    for name, digest in zip(names, ("01" * 32, "02" * 32, "03" * 32), strict=True):
        ScanReport(name, [], {"voxels": digest}).write(tmp_path / f"{name}.json")
    options = ["--bundle", bundle, "--cohort", tmp_path / "cohort.tsv"]
    options += ["--reports", f"{tmp_path}/{{scan}}.json", "--out", tmp_path / "overlap.tsv"]
    done = run_here(main, *options)
    assert done.returncode == 1
    assert "2 input problems" in done.stderr
    for text in ("a (sub-1)", "b (sub-2)", "expected:", "found:", "--leave-out-overlap"):
        assert text in done.stderr
    assert not (tmp_path / "overlap.tsv").exists()
    with pytest.raises(InputError, match="a fold would be tested on scans") as refused:
        refuse_start(read_bundle(bundle), cohort, f"{tmp_path}/{{scan}}.json")
    assert len(refused.value.findings) == 2
    assert refuse_start(read_bundle(bundle), cohort.iloc[2:], f"{tmp_path}/{{scan}}.json") == ""
    assert run_here(main, *options, "--leave-out").returncode == 0
    assert read_tsv(tmp_path / "overlap.tsv", {"scan": str})["scan"].tolist() == names[:2]
    content = json.loads((bundle / "bundle.json").read_text())
    assert len(content["training_seals"]["seals"]) == 2
