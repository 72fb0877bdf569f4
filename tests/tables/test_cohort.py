"""Tables 1 and 2: the cohort and its acquisition, gaps and nonsense included."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.tables.cohort import acquisition, composition, read_cohort, summarise
from msnmo.tables.render import FORMATS


@pytest.fixture
def cohort(tmp_path):
    """Five scans of four subjects at two sites; one has no diagnosis, one no site."""
    rows = [
        # scan, subject, diagnosis, masks, stripped, site, shape, voxel sizes
        ("sub-1_ses-1", "1", "MS", "a;b", "no", "North", (20, 30, 12), (1, 1, 3)),
        ("sub-1_ses-2", "1", "MS", "a;b", "no", "North", (20, 32, 14), (1, 1, 3.2)),
        ("sub-2", "2", "NMOSD", "a", "yes", "South", (18, 30, 30), (1, 1, 1)),
        ("sub-3", "3", "NMOSD", "a;b;c", "no", None, (18, 30, 30), (1, 1, 1)),
        ("sub-4", "4", None, None, "no", "South", (18, 30, 31), (1, 1, 1)),
    ]
    names = ["scan", "subject", "diagnosis", "lesion_mask", "stripped", "site", "shape", "size"]
    table = pd.DataFrame(rows, columns=names)
    table["flair"] = [str(tmp_path / f"{scan}_FLAIR.nii.gz") for scan in table["scan"]]
    for row in table.itertuples():
        grid = Grid.from_affine(row.shape, np.diag([*row.size, 1.0]))
        save_volume(row.flair, np.ones(row.shape), grid)
    write_tsv(tmp_path / "cohort.tsv", table.drop(columns=["shape", "size"]))
    return tmp_path


def write_sidecar(cohort, scan, text):
    (cohort / f"{scan}_FLAIR.json").write_text(text)


def cells(panel):
    return {
        (block.label, line.name): dict(
            zip(panel.columns, (c.text for c in line.cells), strict=True)
        )
        for block in panel.blocks
        for line in block.lines
    }


def test_scans_and_subjects_are_counted_by_class_and_source(cohort):
    ours, reported = composition(read_cohort(cohort / "cohort.tsv")).panels
    found = cells(ours)
    assert list(found) == [
        ("MS", "North"),
        ("NMOSD", "South"),
        ("NMOSD", "not stated"),
        ("no diagnosis", "South"),
        ("All", ""),
    ]
    assert found["MS", "North"] == {
        "Samples": "2",
        "Subjects": "1",
        "Sequence type": "T2-FLAIR",
        "Raters": "2: 2",
        "On arrival": "2 head",
    }
    assert found["All", ""]["Raters"] == "0: 1, 1: 1, 2: 2, 3: 1"
    assert found["All", ""]["On arrival"] == "4 head, 1 skull-stripped"
    assert cells(reported)["All", ""]["Samples"] == "131"


def test_parameters_are_shown_by_site_as_range_in_the_papers_units(cohort):
    for scan, echo in (("sub-1_ses-1", 0.279), ("sub-1_ses-2", 0.324), ("sub-2", 0.1)):
        fields = {"EchoTime": echo, "RepetitionTime": 4.8, "FlipAngle": 40, "Manufacturer": "GE"}
        write_sidecar(cohort, scan, json.dumps(fields))
    sites, everyone = acquisition(read_cohort(cohort / "cohort.tsv")).panels
    assert sites.columns == ("North", "South", "not stated", "Reported")
    assert everyone.columns == ("All", "Reported")
    found = cells(sites)
    assert found["Echo time", "ms"]["North"] == "279–324"
    assert found["Echo time", "ms"]["South"] == "100 (missing in 1 of 2)"
    assert found["Echo time", "ms"]["not stated"] == "missing"
    assert found["Echo time", "ms"]["Reported"] == "279–324"
    assert found["Repetition time", "ms"]["North"] == "4,800"
    assert found["Slice number", ""]["North"] == "12–14"
    assert found["Slice number", ""]["South"] == "18"
    assert found["Matrix of a slice", "voxels"]["North"] == "20 x 30–32"
    assert found["Voxel size", "mm"]["North"] == "1 x 1 x 3–3.2"
    assert found["Manufacturer", ""]["North"] == "GE"
    assert cells(everyone)["Flip angle", "°"]["All"] == "40 (missing in 2 of 5)"


@pytest.mark.parametrize("value", ["4.8", True, None, [4.8], {}, -1, 0, 1e30, "NaN", "Infinity"])
def test_nonsense_is_missing(cohort, value):
    text = json.dumps({"RepetitionTime": value, "Manufacturer": value})
    write_sidecar(cohort, "sub-3", text.replace('"NaN"', "NaN").replace('"Infinity"', "Infinity"))
    panel, _ = acquisition(read_cohort(cohort / "cohort.tsv")).panels
    assert cells(panel)["Repetition time", "ms"]["not stated"] == "missing"


@pytest.mark.parametrize("text", ["{", "[1]", "", "\x00"])
def test_a_sidecar_that_is_no_json_object_is_named_and_its_scan_kept(cohort, text):
    write_sidecar(cohort, "sub-2", text)
    page = acquisition(read_cohort(cohort / "cohort.tsv"))
    assert "No valid JSON sidecar, so no parameters: sub-2_FLAIR.json." in page.notes
    assert cells(page.panels[0])["Slice number", ""]["South"] == "18"


def test_every_scan_that_cannot_be_read_is_named(cohort):
    for scan in ("sub-2", "sub-4"):
        (cohort / f"{scan}_FLAIR.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError) as error:
        acquisition(read_cohort(cohort / "cohort.tsv"))
    assert [Path(finding.file).name for finding in error.value.findings] == [
        "sub-2_FLAIR.nii.gz",
        "sub-4_FLAIR.nii.gz",
    ]


def test_many_names_are_cut():
    assert summarise(["d", "b", "a", "c", "e", "a"]) == "a, b, c and 2 more"


@pytest.mark.parametrize("number", ["1", "2"])
def test_the_command_writes_every_format(cohort, number):
    words = [sys.executable, "-m", "msnmo.tables", "--table", number]
    (cohort / "excluded.tsv").write_text("scan\tby\treason\n")
    words += ["--cohort", cohort / "cohort.tsv", "--excluded", cohort / "excluded.tsv"]
    words += [f"--out-{name}={cohort / f'table.{name}'}" for name in ("tsv", "json", *FORMATS)]
    subprocess.run(words, check=True, capture_output=True)
    table = pd.read_csv(cohort / "table.tsv", sep="\t")
    assert list(table) == ["table", "panel", "row", "line", "column", "value"]
    for name in FORMATS:
        text = (cohort / f"table.{name}").read_text(encoding="utf-8")
        assert "Huang et al. 2024" in text
        assert "No scan was excluded." in text


def test_the_command_says_which_table_it_lacks(tmp_path):
    words = [sys.executable, "-m", "msnmo.tables", "--table", "2", "--excluded", "excluded.tsv"]
    words += [f"--out-{name}={tmp_path / name}" for name in ("tsv", "json", *FORMATS)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "table 2 needs --cohort" in done.stderr
