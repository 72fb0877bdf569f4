"""BIDS datasets as they are found in the field become scan tables."""

import gzip
import json
import os
import re
import shutil
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.diagnoses import VARIABLE
from msnmo.core.errors import InputError
from msnmo.demo.cohort import Plan, make_cohort
from msnmo.preprocess.raters import load_raters
from tests.command import follow

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


def write_text(root, text):
    (root / "dataset_description.json").write_text(text)


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
        (lambda root: write_text(root, '{"Name": "x", "BIDSVersion": "1.8.0",}'), "no JSON"),
        (lambda root: write_text(root, '{"Name": "x"}'), 'add "BIDSVersion": "1.8.0"'),
        (lambda root: write_description(root, "derivative"), "GeneratedBy"),
        (lambda root: write_text(root, "[1]"), "no Name and no BIDSVersion"),
        (lambda root: (root / "dataset_description.json").write_bytes(b"\xff{}"), "no JSON"),
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
    for column in ("lesion_mask", "flair", "simulated"):
        assert table[column].tolist() == made[column].tolist()


@pytest.mark.parametrize(
    ("sidecar", "described", "simulated"),
    [
        ({"Manufacturer": " Simulated"}, {}, "yes"),
        ({"Manufacturer": "Siemens"}, {}, "no"),
        ({"Manufacturer": "Siemens"}, {"GeneratedBy": [{"Name": "msnmo.demo"}]}, "no"),
        ({"Manufacturer": ""}, {"GeneratedBy": [{"Name": "msnmo.demo"}]}, "yes"),
        ({}, {"GeneratedBy": [{"Name": "heudiconv"}, {"Name": "msnmo.demo"}]}, "yes"),
        ({}, {"GeneratedBy": [{"Name": "msnmo"}]}, "no"),
        ({"Manufacturer": 7}, {"GeneratedBy": ["msnmo.demo"]}, "no"),
        ({}, {"GeneratedBy": {"Name": "msnmo.demo"}}, "no"),
    ],
)
def test_simulated_scans_are_told_by_their_json_or_the_datasets(
    sidecar, described, simulated, dataset, imported
):
    write_text(dataset, json.dumps({"Name": "x", "BIDSVersion": "1.9.0"} | described))
    (dataset / "FLAIR.json").write_text(json.dumps(sidecar))
    table, _ = imported("bids", dataset, *DIAGNOSES, out=dataset.parent / "scans.tsv")
    assert set(table["simulated"]) == {simulated}


def test_the_json_nearest_to_a_flair_says_whether_it_is_simulated(dataset, imported, tmp_path):
    (dataset / "FLAIR.json").write_text('{"Manufacturer": "simulated"}')
    own = dataset / "sub-02/anat/sub-02_FLAIR.json"
    own.write_text('{"Manufacturer": "GE"}')
    (dataset / "sub-01/ses-a/anat/sub-01_ses-a_T1w.json").write_text('{"Manufacturer": "GE"}')
    table, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert table["simulated"].tolist() == ["yes", "yes", "no"]
    assert str(own) not in notes
    own.write_text("{")
    table, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert table["simulated"].tolist() == ["yes", "yes", "yes"]
    assert notes[str(own)] == "no JSON object: sub-02_FLAIR.nii.gz is taken without it"


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


MASKS_OF_OTHERS = [
    ("anat", "sub-02_T1w_label-lesion_mask", "another image (T1w)"),
    ("anat", "sub-02_T2w_lesion-manual", "another image (T2w)"),
    ("anat", "sub-02_mod-T1w_label-lesion_mask", "another image (T1w)"),
    ("anat", "sub-02_PDw_desc-lesion_roi", "another image (PDw)"),
    ("dwi", "sub-02_label-lesion_mask", "another image (dwi)"),
    ("anat", "sub-02_label-T1lesion_mask", "another image (label-T1lesion)"),
    ("anat", "sub-02_space-T1w_label-lesion_mask", "space-T1w"),
    ("anat", "sub-02_ce-gadolinium_label-lesion_mask", "ce of another scan"),
    ("anat", "sub-02_rec-norm_label-lesion_mask", "rec of another scan"),
    ("anat", "sub-02_res-1mm_label-lesion_mask", "res of another scan"),
    ("anat", "sub-02_space-FLAIR_desc-annotated_label-lesion_mask", "a map of regions by labels"),
    ("anat", "sub-02_space-flair_desc-annotated_seg-lst", "a map of regions by labels"),
    ("anat", "sub-04_label-lesion_mask", "no FLAIR of sub-04 without session"),
    ("anat", "sub-02_ses-9_label-lesion_mask", "no FLAIR of sub-02 ses-9"),
]


def test_masks_of_other_images_are_left_out_and_told_of(dataset, nifti, imported, tmp_path):
    (dataset / "sub-02/anat/sub-02_T1w.nii.gz").unlink()
    reasons = {}
    for folder, name, said in MASKS_OF_OTHERS:
        path = dataset / f"derivatives/others/sub-02/{folder}/{name}.nii.gz"
        reasons[str(nifti(path))] = said
    table, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert [Path(mask).name for mask in table["lesion_mask"][2].split(";")] == [
        f"sub-02_rater-{rater}_label-lesion_mask.nii.gz" for rater in (1, 2)
    ]
    assert {path: said for path, said in reasons.items() if said not in notes[path]} == {}


NAMES_OF_TOOLS = [
    "space-flair_seg-lst",
    "space-FLAIR_label-lesion_mask",
    "FLAIR_label-lesion_mask",
    "FLAIR_lesion-manual",
    "label-lesion_seg",
    "label-WMH_dseg",
    "desc-T2lesion_mask",
    "mod-FLAIR_label-lesion_mask",
]


def test_masks_by_the_names_of_published_tools_are_found(people, nifti, imported, tmp_path):
    root = people(len(NAMES_OF_TOOLS))
    for subject, name in enumerate(NAMES_OF_TOOLS, start=1):
        anat = root / f"derivatives/tool/sub-{subject}/anat"
        nifti(anat / f"sub-{subject}_{name}.nii.gz")
        nifti(anat / f"sub-{subject}_{name.removesuffix('_mask')}_probseg.nii.gz")
    options = ["--diagnosis-column", "group"]
    table, _ = imported("bids", root, *options, out=tmp_path / "scans.tsv")
    assert [Path(path).name for path in table["lesion_mask"]] == [
        f"sub-{subject}_{name}.nii.gz" for subject, name in enumerate(NAMES_OF_TOOLS, start=1)
    ]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FLAIR_roi", ["suffix=roi"]),
        ("T1w_space-MNI_seg-lst", ["seg=lst", "space=MNI", "contrast=T1w"]),
        ("acq-x_desc-annotated_label-lesion_mask", ["desc=annotated", "acq=x"]),
    ],
)
def test_what_the_user_names_is_taken(*, name, options, raw, nifti, imported, tmp_path):
    mask = nifti(raw / f"derivatives/tool/sub-02/anat/sub-02_{name}.nii.gz")
    column = ["--diagnosis-column", "group"]
    table, notes = imported("bids", raw, *column, out=tmp_path / "default.tsv")
    assert set(table["lesion_mask"]) == {""}
    if name == "FLAIR_roi":
        hint = "if sub-02_FLAIR_roi.nii.gz is one, say --mask suffix=roi"
        assert hint in notes[str(raw / "sub-02/anat/sub-02_FLAIR.nii.gz")]
    table, _ = imported("bids", raw, *column, "--mask", *options, out=tmp_path / "scans.tsv")
    assert [Path(path).name for path in table["lesion_mask"]] == ["", mask.name]


@pytest.fixture
def people(tmp_path, nifti):
    """A function that makes a dataset of so many people with MS, without masks."""

    def make(count):
        root = tmp_path / "people"
        names = [f"sub-{number}" for number in range(1, count + 1)]
        for name in names:
            nifti(root / f"{name}/anat/{name}_FLAIR.nii.gz")
        write_description(root, "raw")
        write_participants(root, [(name, "MS") for name in names], ("participant_id", "group"))
        return root

    return make


def test_an_entity_that_a_name_does_not_have_can_be_wanted(raw, nifti, imported, tmp_path):
    for desc in ("", "_desc-draft"):
        nifti(raw / f"derivatives/tool/sub-02/anat/sub-02{desc}_label-lesion_mask.nii.gz")
    options = ["--diagnosis-column", "group", "--mask", "label=lesion", "desc=none"]
    table, _ = imported("bids", raw, *options, out=tmp_path / "scans.tsv")
    assert Path(table["lesion_mask"][1]).name == "sub-02_label-lesion_mask.nii.gz"


def test_masks_of_several_tools_in_one_scan_are_told_of(dataset, nifti, imported, tmp_path):
    nifti(dataset / "derivatives/lst-ai/sub-02/anat/sub-02_label-lesion_mask.nii.gz")
    _, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert (
        "derivatives/lesions and derivatives/lst-ai are taken as raters"
        in notes[str(dataset / "derivatives")]
    )


def test_a_mask_that_two_flairs_might_own_is_told_of(raw, nifti, imported, tmp_path):
    (raw / "sub-02/anat/sub-02_FLAIR.nii.gz").unlink()
    for acquisition in ("2D", "3D"):
        nifti(raw / f"sub-02/anat/sub-02_acq-{acquisition}_FLAIR.nii.gz")
    mask = nifti(raw / "derivatives/x/sub-02/anat/sub-02_label-lesion_mask.nii.gz")
    other = nifti(raw / "derivatives/x/sub-02/anat/sub-02_acq-2D_label-lesion_mask.nii.gz")
    options = ["--diagnosis-column", "group", "--entities", "acq=3D"]
    table, notes = imported("bids", raw, *options, out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["02"]
    assert Path(table["lesion_mask"][0]).name == mask.name
    assert "may also belong to sub-02_acq-2D_FLAIR.nii.gz" in notes[str(mask)]
    assert "acq of another scan" in notes[str(other)]
    assert "it has acq=none" in notes[str(raw / "sub-01/anat/sub-01_FLAIR.nii.gz")]


@pytest.fixture
def raw(tmp_path, nifti):
    """Sub-01 of MS and sub-02 of NMOSD, without masks."""
    root = tmp_path / "raw"
    for subject in ("01", "02"):
        nifti(root / f"sub-{subject}/anat/sub-{subject}_FLAIR.nii.gz")
    write_description(root, "raw")
    write_participants(root, [("sub-01", "MS"), ("sub-02", "NMOSD")], ("participant_id", "group"))
    return root


SESSIONS = ("participant_id", "session_id", "group")


@pytest.mark.parametrize(
    ("people", "header"),
    [
        ([("sub-01", "MS"), ("sub-01", "NMOSD"), ("sub-02", "MS")], SESSIONS[::2]),
        ([("sub-01", "MS"), ("01", "healthy"), ("sub-02", "MS")], SESSIONS[::2]),
        ([("sub-01", "1", "MS"), ("sub-01", "2", "NMOSD"), ("sub-02", "1", "MS")], SESSIONS),
    ],
)
def test_a_subject_of_two_diagnoses_is_an_error_that_names_the_rows(
    people, header, raw, refused, tmp_path
):
    write_participants(raw, people, header)
    said = refused("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert said.startswith("msnmo: error: 1 input problem:")
    assert "one word for sub-01" in said
    assert f"'MS' in {raw / 'participants.tsv'}, row 2" in said
    assert "participants.tsv, row 3" in said


def test_rows_that_say_the_same_class_are_no_contradiction(raw, imported, tmp_path):
    people = [("sub-01", "RRMS"), ("sub-01", "SPMS"), ("sub-01", "n/a"), ("sub-02", "NMO")]
    write_participants(raw, people, SESSIONS[::2])
    _, notes = imported("bids", raw, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert set(notes.values()) == {
        "diagnosis MS, but no lesion mask: taken for prediction only",
        "diagnosis NMOSD, but no lesion mask: taken for prediction only",
    }


def test_tables_of_sessions_give_diagnosis_and_site(dataset, imported, refused, tmp_path):
    write_participants(dataset, [("sub-01",), ("sub-02",), ("sub-03",)], ("participant_id",))
    sessions = dataset / "sub-01/sub-01_sessions.tsv"
    sessions.write_text("session_id\tgroup\tsite\nses-a\tCIS\tA\nses-b\tRRMS\tB\n")
    options = [*DIAGNOSES, "--site-column", "site"]
    table, notes = imported("bids", dataset, *options, out=tmp_path / "scans.tsv")
    first = table[table["subject"] == "01"]
    assert first[["session", "diagnosis", "site"]].to_numpy().tolist() == [["b", "MS", "B"]]
    assert "'CIS'" in notes[str(dataset / "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz")]
    sessions.write_text("session_id\tgroup\tsite\nses-a\tNMO\tA\nses-b\tRRMS\tB\n")
    said = refused("bids", dataset, *options, out=tmp_path / "refused.tsv")
    assert "'NMO' in" in said
    assert "sub-01_sessions.tsv, row 3" in said


def test_a_row_that_lost_a_tab_is_an_error(raw, refused, tmp_path):
    write_participants(raw, [("sub-01", "A"), ("sub-02", "B", "NMOSD")], SESSIONS)
    said = refused("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert "participants.tsv, row 2" in said
    assert "3 cells, as in the header" in said


def test_without_participants_the_scans_are_for_prediction(raw, imported, tmp_path):
    (raw / "participants.tsv").unlink()
    table, notes = imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["01", "02"]
    assert set(table["diagnosis"]) == {""}
    assert "no such file" in notes[str(raw / "participants.tsv")]


def test_ids_of_other_letters_lose_them_and_keep_their_rows(
    raw, nifti, imported, refused, tmp_path
):
    visit = raw / "sub-MS_03/ses-2019-05-01/anat"
    flair = nifti(visit / "sub-MS_03_ses-2019-05-01_run-01_FLAIR.nii.gz")
    nifti(visit / "sub-MS_03_ses-2019-05-01_run-02_FLAIR.nii.gz")
    nifti(raw / "derivatives/flat/sub-MS_03_ses-2019-05-01_run-1_label-lesion_mask.nii.gz")
    people = [("sub-01", "MS"), ("sub-02", "MS"), ("sub-MS_03", "NMOSD")]
    write_participants(raw, people, SESSIONS[::2])
    options = ["--diagnosis-column", "group", "--entities", "run=1,none"]
    table, notes = imported("bids", raw, *options, out=tmp_path / "scans.tsv")
    assert table.iloc[2][["subject", "session", "diagnosis"]].tolist() == [
        *("MS03", "20190501", "NMOSD")
    ]
    assert "taken as sub-MS03 ses-20190501" in notes[str(flair)]
    nifti(raw / "sub-MS03/anat/sub-MS03_FLAIR.nii.gz")
    write_participants(raw, [*people, ("sub-MS03", "MS")], SESSIONS[::2])
    said = refused("bids", raw, *options, out=tmp_path / "refused.tsv")
    assert "sub-MS03 and sub-MS_03, both MS03" in said


def test_every_flair_that_is_not_taken_is_told_of(raw, nifti, refused, tmp_path):
    for name in ("sub-01/anat/sub-01_flair", "sub-01/sub-01_FLAIR", "sub-02/anat/sub-02_x_FLAIR"):
        nifti(raw / f"{name}.nii.gz")
    said = refused(
        *("bids", raw, "--diagnosis-column", "group", "--entities", "acq=3D"),
        out=tmp_path / "scans.tsv",
    )
    for name in ("sub-01/anat/sub-01_flair", "sub-01/sub-01_FLAIR", "sub-02/anat/sub-02_x_FLAIR"):
        assert f"{raw / name}.nii.gz: not a BIDS name of a FLAIR" in said
    assert said.count("not chosen by --entities: it has acq=none") == 2


POINTERS = {
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "git-annex": b"/annex/objects/SHA256E-s9--0.nii.gz\n",
}


def test_pointers_are_named_as_such(raw, nifti, imported, tmp_path):
    flair = raw / "sub-01/anat/sub-01_FLAIR.nii.gz"
    flair.write_bytes(POINTERS["Git LFS"])
    mask = nifti(raw / "derivatives/x/sub-02/anat/sub-02_label-lesion_mask.nii.gz")
    mask.write_bytes(POINTERS["git-annex"])
    table, notes = imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["02"]
    assert set(table["lesion_mask"]) == {""}
    assert "not fetched (a Git LFS pointer" in notes[str(flair)]
    assert "not fetched (a git-annex pointer" in notes[str(mask)]


def test_parts_of_the_lesions_are_named_together(raw, nifti, imported, tmp_path):
    for part in ("PWMH", "DWMH"):
        nifti(raw / f"derivatives/m/sub-01/anat/sub-01_label-{part}_mask.nii.gz")
    _, notes = imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    said = notes[str(raw / "sub-01/anat/sub-01_FLAIR.nii.gz")]
    assert "sub-01_label-DWMH_mask.nii.gz and sub-01_label-PWMH_mask.nii.gz are parts" in said
    assert "join them into one mask" in said


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("part-phase_FLAIR", "part=phase"),
        ("part-imag_FLAIR", "part=imag"),
        ("chunk-2_FLAIR", "chunk=2"),
        ("acq-cspine_FLAIR", "acq=cspine"),
        ("rec-MIP_FLAIR", "rec=MIP"),
        ("acq-T1_FLAIR", "acq=T1"),
    ],
)
def test_images_that_are_no_whole_head_are_left_out(
    *, name, option, raw, nifti, imported, tmp_path
):
    (raw / "sub-01/anat/sub-01_FLAIR.nii.gz").unlink()
    path = nifti(raw / f"sub-01/anat/sub-01_{name}.nii.gz")
    column = ["--diagnosis-column", "group"]
    table, notes = imported("bids", raw, *column, out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["02"]
    assert f"--entities {option} takes it" in notes[str(path)]
    table, _ = imported("bids", raw, *column, "--entities", option, out=tmp_path / "all.tsv")
    assert table["subject"].tolist() == ["01"]


def test_of_magnitude_and_phase_the_magnitude_is_taken(raw, nifti, imported, tmp_path):
    (raw / "sub-01/anat/sub-01_FLAIR.nii.gz").unlink()
    for part in ("mag", "phase"):
        nifti(raw / f"sub-01/anat/sub-01_part-{part}_FLAIR.nii.gz")
    table, _ = imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert Path(table["flair"][0]).name == "sub-01_part-mag_FLAIR.nii.gz"


def test_a_contrast_agent_is_told_of(raw, nifti, imported, tmp_path):
    path = raw / "sub-01/anat/sub-01_FLAIR.nii.gz"
    after = path.rename(path.with_name("sub-01_ce-gd_FLAIR.nii.gz"))
    out = tmp_path / "scans.tsv"
    imported("bids", raw, "--diagnosis-column", "group", out=out)
    text = (tmp_path / "scans_left-out.tsv").read_text(encoding="utf-8")
    assert f"{after}\ttaken, although it was acquired after a contrast agent (ce-gd)\n" in text


def test_links_that_lead_back_are_not_followed(dataset, imported, tmp_path):
    inside = dataset / "derivatives/lesions"
    links = {
        dataset / "derivatives/loop": dataset,
        dataset / "derivatives/above": dataset.parent,
        dataset / "derivatives/again": inside,
        dataset / "sub-01/loop": dataset,
        dataset / "sub-02/anat/here": dataset / "sub-02",
    }
    for link, target in links.items():
        link.symlink_to(target)
    table, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert table["lesion_mask"].str.count("lesions/").tolist() == [2, 2, 2]
    assert {path for path, said in notes.items() if "a link to a folder" in said} == {
        str(link) for link in links
    }


@pytest.mark.parametrize("given", ["relative", "link"])
def test_derivatives_and_data_sets_may_be_links(given, dataset, imported, tmp_path, monkeypatch):
    lesions = dataset / "derivatives/lesions"
    lesions.rename(tmp_path / "elsewhere")
    lesions.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(dataset)
    monkeypatch.chdir(dataset)
    folder = tmp_path / "link" if given == "link" else "."
    table, _ = imported("bids", folder, *DIAGNOSES, out=tmp_path / "scans.tsv")
    assert table["lesion_mask"].str.count(";").tolist() == [1, 1, 1]


def test_a_folder_of_masks_that_is_not_there_is_an_error(dataset, refused, tmp_path):
    masks = ["--masks", tmp_path / "nowhere", dataset / "participants.tsv"]
    said = refused("bids", dataset, *DIAGNOSES, *masks, out=tmp_path / "scans.tsv")
    assert f"{tmp_path / 'nowhere'}\n" in said
    assert "no such folder" in said
    assert "participants.tsv" in said
    (tmp_path / "empty").mkdir()
    masks = ["--masks", tmp_path / "empty"]
    said = refused("bids", dataset, *DIAGNOSES, *masks, out=tmp_path / "scans.tsv")
    assert "images of subjects" in said


@pytest.mark.parametrize(
    "name",
    [
        *(
            "sub-01_FLAIR.mgz",
            "sub-01_FLAIR.img",
            "sub-01_FLAIR (1).nii.gz",
            "sub-01_FLAIR_old.nii",
        ),
        *("Copy of sub-01_FLAIR.nii.gz", "sub-01_acq-flair_T2w.nii.gz", "sub-01_FLAIR.nii.gz.part"),
    ],
)
def test_images_that_speak_of_flair_are_told_of(name, raw, imported, tmp_path):
    path = raw / "sub-01/anat" / name
    (raw / "sub-01/anat/sub-01_FLAIR.nii.gz").rename(path)
    table, notes = imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["02"]
    assert "not a BIDS name" in notes[str(path)] or "convert it to NIfTI" in notes[str(path)]
    assert notes[f"{raw / 'participants.tsv'}, row 2"] == "no FLAIR of sub-01: in no row"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_with_marks_are_one_however_they_are_written(form, raw, nifti, imported, tmp_path):
    name = f"sub-{unicodedata.normalize(form, 'Mü')}"
    flair = nifti(raw / f"{name}/anat/{name}_FLAIR.nii.gz")
    nifti(raw / f"derivatives/m/{name}/anat/{name}_label-lesion_mask.nii.gz")
    people = [("sub-01", "MS"), ("sub-02", "NMOSD"), ("sub-Mü", "MS")]
    write_participants(raw, people, ("participant_id", "group"))
    table, notes = imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    row = table[table["subject"] == "M"].iloc[0]
    assert (row["diagnosis"], row["lesion_mask"].count("_mask")) == ("MS", 1)
    assert "taken as sub-M" in notes[str(flair)]


def test_sessions_that_become_one_are_named(raw, nifti, refused, tmp_path):
    paths = [
        nifti(raw / f"sub-01/ses-{name}/anat/sub-01_ses-{name}_FLAIR.nii.gz")
        for name in ("2019-05-01", "20190501")
    ]
    said = refused("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert all(str(path) in said for path in paths)
    assert "row 3" not in said


def test_pipes_are_told_of(raw, imported, tmp_path):
    flair = raw / "sub-01/anat/sub-01_FLAIR.nii.gz"
    flair.unlink()
    os.mkfifo(flair)
    table, notes = imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["02"]
    assert notes[str(flair)] == "a folder, pipe or device, not a file"


def test_what_validators_ignore_is_read_and_told_of(raw, imported, tmp_path):
    (raw / ".bidsignore").write_text("# mine\nsub-01/\n")
    imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    text = (tmp_path / "scans_left-out.tsv").read_text(encoding="utf-8")
    assert "sub-01_FLAIR.nii.gz\tread, although .bidsignore lists it" in text
    assert "sub-02_FLAIR.nii.gz\tread" not in text


def test_a_subject_may_be_a_link(raw, imported, tmp_path):
    (raw / "sub-02").rename(tmp_path / "elsewhere")
    (raw / "sub-02").symlink_to(tmp_path / "elsewhere")
    (raw / "sub-00").symlink_to(raw / "sub-01")
    table, notes = imported("bids", raw, "--diagnosis-column", "group", out=tmp_path / "scans.tsv")
    assert table["subject"].tolist() == ["01", "02"]
    assert "a link to a folder that was already read" in notes[str(raw / "sub-00")]


def pack(folder, archive, root):
    """Put a folder into an archive, by paths from a root, and remove it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w") as out:
            for path in files:
                out.write(path, path.relative_to(root))
    else:
        with tarfile.open(archive, "w:gz") as out:
            for path in files:
                out.add(path, path.relative_to(root))
    shutil.rmtree(folder)


def test_packed_subjects_and_masks_are_told_and_come_in_by_the_command_told(
    dataset, imported, tmp_path
):
    before, _ = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "before.tsv")
    pack(dataset / "sub-02", dataset / "sub-02.zip", dataset)
    pack(dataset / "sub-01/ses-b", dataset / "sub-01/ses-b.tar.gz", dataset / "sub-01/ses-b")
    lesions = dataset / "derivatives/lesions"
    pack(lesions, dataset / "derivatives/lesions.zip", dataset / "derivatives")
    (dataset / "sub-01/ses-a/anat/sub-01_ses-a_physio.tsv.gz").write_bytes(gzip.compress(b"1\n"))
    table, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "packed.tsv")
    assert len(table) == 1
    packed = {name: note for name, note in notes.items() if note.startswith("packed (")}
    assert {Path(name).name for name in packed} == {"sub-02.zip", "ses-b.tar.gz", "lesions.zip"}
    for note in packed.values():
        follow(note.partition("not opened: ")[2])
    after, notes = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "after.tsv")
    assert after.equals(before)
    assert not any("packed" in note for note in notes.values())


def test_an_archive_is_told_once(raw, nifti, imported, tmp_path):
    """By whatever it is named, and wherever it lies; what is in it is found once it is unpacked."""
    masks = raw / "derivatives/m/sub-01/anat"
    nifti(masks / "sub-01_label-lesion_mask.nii.gz")
    paths = [
        raw / "sub-01/anat/sub-01_FLAIR.nii.gz",
        raw / "sub-02/anat/sub-02_FLAIR.nii.gz",
        masks / "sub-01_label-lesion_mask.nii.gz",
    ]
    archives = [
        raw / "sub-01/anat/sub-01_FLAIR.zip",
        raw / "sub-02/anat/sub-02_FLAIR.nii.gz.zip",
        masks / "sub-01_label-lesion_mask.zip",
    ]
    spare = nifti(raw / "sub-03/anat/sub-03_FLAIR.nii.gz")
    people = [("sub-01", "MS"), ("sub-02", "NMOSD"), ("sub-03", "MS")]
    write_participants(raw, people, ("participant_id", "group"))
    for path, archive in zip(paths, archives, strict=True):
        with zipfile.ZipFile(archive, "w") as out:
            out.write(path, path.name)
        path.unlink()
    for folder in ("__MACOSX", ".hidden"):
        for parent in (raw / "sub-01/anat", raw / "derivatives"):
            (parent / folder).mkdir()
            shutil.copy(archives[0], parent / folder / "sub-01_FLAIR.zip")
    column = ["--diagnosis-column", "group"]
    out = tmp_path / "scans.tsv"
    table, notes = imported("bids", raw, *column, out=out)
    assert [Path(path).name for path in table["flair"]] == [spare.name]
    lines = (tmp_path / "scans_left-out.tsv").read_text(encoding="utf-8").splitlines()
    told = [line.split("\t")[0] for line in lines if ".zip\t" in line]
    assert sorted(told) == sorted(map(str, archives))
    assert sum("__MACOSX\t" in line for line in lines) == 2
    for archive in archives:
        follow(notes[str(archive)].partition("not opened: ")[2])
    table, notes = imported("bids", raw, *column, out=out)
    assert table["subject"].tolist() == ["01", "02", "03"]
    assert [Path(path).name for path in table["lesion_mask"]] == [paths[2].name, "", ""]
    assert not any("zip" in name for name in notes)


def test_folders_of_masks_that_are_packed_yet_are_told_how_to_unpack_them(
    dataset, imported, refused, tmp_path
):
    lesions = dataset / "derivatives/lesions"
    before, _ = imported("bids", dataset, *DIAGNOSES, "--masks", lesions, out=tmp_path / "a.tsv")
    archive = lesions.with_name("lesions.tar.gz")
    pack(lesions, archive, dataset / "derivatives")
    for given in (archive, lesions):
        said = refused("bids", dataset, *DIAGNOSES, "--masks", given, out=tmp_path / "b.tsv")
        assert "but an archive (tar)" in said
    inside = dataset / "derivatives/given"
    inside.mkdir()
    shutil.copy(archive, inside)
    said = refused("bids", dataset, *DIAGNOSES, "--masks", inside, out=tmp_path / "b.tsv")
    assert "none; " in said
    assert "packed (tar) and not opened: python -m tarfile" in said
    said = refused("bids", dataset, *DIAGNOSES, "--masks", lesions, out=tmp_path / "b.tsv")
    follow(re.search(r"remedy:   unpack it: (.*)", said)[1])
    after, _ = imported("bids", dataset, *DIAGNOSES, "--masks", lesions, out=tmp_path / "c.tsv")
    assert after.equals(before)


def test_a_packed_dataset_is_told_and_what_it_unpacks_to_is_named(
    dataset, imported, refused, tmp_path
):
    before, _ = imported("bids", dataset, *DIAGNOSES, out=tmp_path / "before.tsv")
    archive = tmp_path / "my data.zip"
    pack(dataset, archive, tmp_path)
    told = refused("bids", archive, out=tmp_path / "scans.tsv")
    assert "an archive (zip)" in told
    follow(re.search(r"unpack it \((.*)\) and give the folder", told)[1])
    unpacked = tmp_path / "my data.zip_unpacked"
    told = refused("bids", unpacked, out=tmp_path / "scans.tsv")
    assert f"remedy:   give {unpacked / dataset.name}\n" in told
    after, _ = imported("bids", unpacked / dataset.name, *DIAGNOSES, out=tmp_path / "after.tsv")
    assert after["subject"].tolist() == before["subject"].tolist()


@pytest.mark.parametrize(
    ("name", "regions", "options", "readings"),
    [
        (
            "space-flair_desc-annotated_seg-lst",
            (1, 2, 3, 4),
            ["desc=annotated"],
            {"any": 4, (1, 3): 2},
        ),
        ("desc-samseg_dseg", (2, 41, 77, 99), ["desc=samseg"], {(99,): 1}),
    ],
)
def test_a_map_of_labels_is_read_by_its_labels(
    *, name, regions, options, readings, dataset, imported, tmp_path
):
    """As LST-AI and SAMSEG write it: the importer takes it if asked, the check by the labels."""
    for visit in ("sub-01/ses-a", "sub-01/ses-b", "sub-02"):
        ids = visit.replace("/", "_")
        image = nib.load(dataset / visit / f"anat/{ids}_FLAIR.nii.gz")
        labels = np.zeros(image.shape, np.uint8)
        labels[0, 0, :4] = regions
        path = dataset / f"derivatives/tool/{visit}/anat/{ids}_{name}.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(labels, image.affine), path)
    out = tmp_path / "scans.tsv"
    table, _ = imported("bids", dataset, *DIAGNOSES, "--mask", *options, out=out)
    assert table["lesion_mask"].str.endswith(f"{name}.nii.gz").all()
    masks = [(tmp_path / row.flair, tmp_path / row.lesion_mask) for row in table.itertuples()]
    for flair, mask in masks:
        with pytest.raises(InputError, match=r"lesion_masks\.labels"):
            load_raters(flair, [mask])
        for wanted, count in readings.items():
            _, (read,) = load_raters(flair, [mask], labels=wanted)
            assert read.sum() == count
