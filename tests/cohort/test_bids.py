"""BIDS datasets as they are found in the field become scan tables."""

import json

import pytest

from msnmo.core.diagnoses import VARIABLE
from msnmo.demo.cohort import Plan, make_cohort

DIAGNOSES = ["--diagnosis-column", "group", "--diagnosis", "MS=RRMS,SPMS", "NMOSD=NMO"]

LABELS = ["--diagnoses", "MS", "MOGAD"]


@pytest.fixture(autouse=True)
def the_papers_labels(monkeypatch):
    """An importer that is run here sets the labels of the process; each test begins anew."""
    monkeypatch.setenv(VARIABLE, "MS,NMOSD")


@pytest.fixture
def dataset(tmp_path, nifti):
    """Sub-01 with two sessions, sub-02 and sub-03 with none; masks of two raters in derivatives."""
    root = tmp_path / "my dataset é"
    root.mkdir()
    write_description(root, "raw")
    people = [("sub-01", " rrms", "A"), ("sub-02", "NMO", "B"), ("03", "healthy", "B")]
    write_participants(root, people)
    for visit in ("sub-01/ses-a", "sub-01/ses-b", "sub-02", "sub-03"):
        name = visit.replace("/", "_")
        nifti(root / visit / f"anat/{name}_FLAIR.nii.gz")
        nifti(root / visit / f"anat/{name}_T1w.nii.gz")
        for rater in (1, 2):
            folder = root / f"derivatives/lesions/{visit}/anat"
            nifti(folder / f"{name}_rater-{rater}_label-lesion_mask.nii.gz")
        nifti(root / f"derivatives/other/{visit}/anat/{name}_desc-brain_mask.nii.gz")
    return root


def write_description(root, kind):
    content = {"Name": "x", "BIDSVersion": "1.9.0", "DatasetType": kind}
    (root / "dataset_description.json").write_text(json.dumps(content))


def write_participants(root, people, header=("participant_id", "group", "site")):
    lines = ["\t".join(row) for row in (header, *people)]
    (root / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_sessions_raters_labels_and_sites(dataset, imported_by_command, tmp_path):
    out = tmp_path / "scans.tsv"
    table, notes = imported_by_command(
        "bids", dataset, *DIAGNOSES, "--site-column", "site", out=out
    )
    assert table[["subject", "session", "diagnosis", "site"]].to_numpy().tolist() == [
        ["01", "a", "MS", "A"],
        ["01", "b", "MS", "A"],
        ["02", "", "NMOSD", "B"],
    ]
    folder = "my dataset é/derivatives/lesions/sub-01/ses-b/anat"
    assert table["lesion_mask"][1] == ";".join(
        f"{folder}/sub-01_ses-b_rater-{rater}_label-lesion_mask.nii.gz" for rater in (1, 2)
    )
    assert table["flair"][2] == "my dataset é/sub-02/anat/sub-02_FLAIR.nii.gz"
    (reason,) = notes.values()
    assert "'healthy'" in reason


def test_masks_are_found_by_the_users_own_names(dataset, nifti, imported, tmp_path):
    masks = tmp_path / "readers"
    for reader in ("anna", "ben", "draft"):
        nifti(masks / f"sub-02_desc-{reader}_mask.nii.gz")
    options = ["--masks", masks, "--mask", "suffix=mask", "desc=anna,ben"]
    table, notes = imported("bids", dataset, *DIAGNOSES, *options, out=tmp_path / "scans.tsv")
    assert table["lesion_mask"][2] == (
        "readers/sub-02_desc-anna_mask.nii.gz;readers/sub-02_desc-ben_mask.nii.gz"
    )
    assert table["diagnosis"].tolist() == ["", "", "NMOSD"]
    assert "no lesion mask: taken for prediction only" in " ".join(notes.values())


def test_a_mask_in_another_space_or_of_another_run_is_told_of(dataset, nifti, imported, tmp_path):
    anat = dataset / "derivatives/lesions/sub-02/anat"
    other = nifti(anat / "sub-02_space-MNI152NLin6Asym_label-lesion_mask.nii.gz")
    run = nifti(anat / "sub-02_run-2_label-lesion_mask.nii.gz")
    table, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert table["lesion_mask"][2].count(";") == 1
    assert "space-MNI152NLin6Asym" in notes[str(other)]
    assert "run of another scan" in notes[str(run)]


def test_several_flairs_of_a_session_ask_for_a_choice(dataset, nifti, imported, refused, tmp_path):
    anat = dataset / "sub-02/anat"
    (anat / "sub-02_FLAIR.nii.gz").unlink()
    for run in (1, 2):
        nifti(anat / f"sub-02_acq-3d_run-{run}_FLAIR.nii.gz")
    said = refused("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert "sub-02_acq-3d_run-1_FLAIR.nii.gz, sub-02_acq-3d_run-2_FLAIR.nii.gz" in said
    assert "--entities" in said
    write_participants(dataset, [("sub-02", "NMO", "B")])
    table, _ = imported(
        "bids", dataset, *DIAGNOSES, "--entities", "run=2", out=tmp_path / "scans.tsv"
    )
    assert table["flair"].tolist() == ["my dataset é/sub-02/anat/sub-02_acq-3d_run-2_FLAIR.nii.gz"]


def test_subjects_without_a_row_or_a_diagnosis(dataset, imported, refused, tmp_path):
    write_participants(dataset, [("sub-02", "n/a", "B")])
    said = refused("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert "a row of sub-01" in said
    assert "a row of sub-03" in said
    assert said.count("a row of sub-01") == 1, "once for both its sessions"
    write_participants(dataset, [(f"sub-0{n}", "n/a", "B") for n in (1, 2, 3)])
    table, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert set(table["diagnosis"]) == set(table["lesion_mask"]) == {""}
    assert set(notes.values()) == {"no diagnosis: taken for prediction only"}


def test_files_that_were_not_fetched_are_told_of(dataset, imported, tmp_path):
    flair = dataset / "sub-02/anat/sub-02_FLAIR.nii.gz"
    flair.unlink()
    flair.symlink_to("../../.git/annex/objects/nowhere.nii.gz")
    table, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["01", "01"]
    assert "datalad get" in notes[str(flair)]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "dataset_description.json").unlink(), "dataset_description.json"),
        (lambda root: (root / "participants.tsv").unlink(), "participants.tsv"),
        (lambda root: write_participants(root, [], ("participant_id", "dx")), "columns group"),
        (lambda root: write_participants(root, [], ("subject", "group")), "participant_id"),
    ],
)
def test_what_is_missing_is_named(spoil, said, dataset, refused, tmp_path):
    spoil(dataset)
    assert said in refused("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")


def test_the_demo_cohort_is_a_dataset_too(imported, tmp_path):
    root = tmp_path / "demo"
    plan = Plan(seed=3, ms=1, nmosd=1, follow_ups=0, stripped=0, min_voxel_mm=6.0)
    made = make_cohort(root, plan)
    people = [
        (f"sub-{name}", dx) for name, dx in zip(made["subject"], made["diagnosis"], strict=True)
    ]
    write_participants(root, people, ("participant_id", "group"))
    table, _ = imported("bids", root, "--diagnosis-column", "group", out=root / "imported.tsv")
    assert table["lesion_mask"].tolist() == made["lesion_mask"].tolist()
    assert table["flair"].tolist() == made["flair"].tolist()


def test_without_a_column_of_diagnoses_the_masks_alone_are_taken(dataset, imported, tmp_path):
    (dataset / "participants.tsv").unlink()
    folder = dataset / "derivatives/lesions/sub-03/anat"
    for mask in folder.iterdir():
        mask.unlink()
    table, notes = imported("bids", dataset, out=tmp_path / "scans.tsv")
    assert set(table["diagnosis"]) == {""}
    assert (table["lesion_mask"] != "").tolist() == [True, True, True, False]
    assert list(notes.values()) == ["no lesion mask: taken for prediction only"]


def test_other_labels_than_the_papers_are_named(dataset, imported, tmp_path):
    words = ["--diagnosis-column", "group", "--diagnosis", "MS=RRMS", "MOGAD=NMO"]
    table, _ = imported("bids", dataset, *words, *LABELS, out=tmp_path / "scans.tsv")
    assert table["diagnosis"].tolist() == ["MS", "MS", "MOGAD"]


def test_a_class_that_is_not_named_is_refused(dataset, refused, tmp_path):
    words = ["--diagnosis-column", "group", "--diagnosis", "MOGAD=NMO"]
    said = refused("bids", dataset, *words, out=tmp_path / "scans.tsv")
    assert "expected: MS or NMOSD=LABEL" in said
    assert "--diagnoses" in said
