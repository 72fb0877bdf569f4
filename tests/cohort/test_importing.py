"""An import becomes a table that the workflow accepts, or nothing at all."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from msnmo.cohort.__main__ import IMPORTERS, main, make_parser
from msnmo.cohort.importing import (
    Import,
    ImportedScan,
    LeftOut,
    clean_id,
    refuse_to_replace,
    write_scan_table,
)
from msnmo.cohort.table import read_scan_table
from msnmo.core.errors import InputError
from tests.command import run_here

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scan(tmp_path, nifti):
    masks = tuple(nifti(tmp_path / f"cohort/mask{n}.nii.gz") for n in (1, 2))
    flair = nifti(tmp_path / "elsewhere é/flair.nii.gz")
    return ImportedScan("01", "MS", flair, lesion_masks=masks, stripped=True, site="A")


def test_paths_are_relative_inside_the_tables_folder_and_absolute_outside(scan, tmp_path):
    path = tmp_path / "cohort/scans.tsv"
    write_scan_table(path, Import([scan], [LeftOut("x", "why")]))
    _, row = path.read_text(encoding="utf-8").splitlines()
    assert "mask1.nii.gz;mask2.nii.gz" in row
    assert str(tmp_path / "elsewhere é/flair.nii.gz") in row
    assert read_scan_table(path)["scan"].tolist() == ["sub-01"]
    notes = (tmp_path / "cohort/scans_left-out.tsv").read_text()
    assert notes == "file\treason\nx\twhy\n"


def test_no_cell_of_an_import_is_a_formula_and_paths_still_lead_there(scan, nifti, tmp_path):
    flair = nifti(tmp_path / "cohort/=1+1/@flair.nii.gz")
    path = tmp_path / "cohort/scans.tsv"
    write_scan_table(path, Import([replace(scan, flair=flair, site='=HYPERLINK("x")')]))
    cells = path.read_text(encoding="utf-8").splitlines()[1].split("\t")
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    (row,) = read_scan_table(path).to_dict("records")
    assert row["site"] == '\'=HYPERLINK("x")'
    assert Path(row["flair"]).samefile(flair)


def test_what_the_workflow_would_refuse_is_not_written(scan, tmp_path):
    path = tmp_path / "scans.tsv"
    twice = [scan, replace(scan, session="2", flair=tmp_path / "missing.nii.gz")]
    with pytest.raises(InputError) as caught:
        write_scan_table(path, Import(twice))
    assert all(finding.file.startswith(str(path)) for finding in caught.value.findings)
    assert len(caught.value.findings) >= 2
    assert list(tmp_path.glob("*.tsv")) == []
    assert list(tmp_path.glob(".tmp*")) == []


def test_two_files_of_one_scan_are_both_named(scan, nifti, tmp_path):
    other = nifti(tmp_path / "cohort/copy.nii.gz")
    with pytest.raises(InputError) as caught:
        write_scan_table(tmp_path / "scans.tsv", Import([scan, replace(scan, flair=other)]))
    (finding,) = caught.value.findings
    assert {finding.file, finding.found} == {str(other), f"sub-01, like {scan.flair}"}


def test_a_row_that_is_refused_is_named_by_its_scan(scan, tmp_path):
    gone = tmp_path / "gone.nii.gz"
    with pytest.raises(InputError) as caught:
        write_scan_table(
            tmp_path / "scans.tsv", Import([scan, replace(scan, subject="02", flair=gone)])
        )
    assert f"row 3, column flair (to be of {gone})" in str(caught.value)


def test_no_scan_is_an_error_that_says_what_was_left_out(tmp_path):
    with pytest.raises(InputError, match="a phantom"):
        write_scan_table(tmp_path / "scans.tsv", Import([], [LeftOut("x", "a phantom")]))


def test_ids_keep_letters_and_digits_alone():
    assert clean_id("sub-01 / Müller_3") == "sub01Mller3"
    with pytest.raises(ValueError, match="no letter"):
        clean_id("–_é")


@pytest.mark.parametrize("name", IMPORTERS)
def test_the_help_shows_an_example(name):
    done = run_here(main, name, "--help")
    assert done.returncode == 0
    assert f"msnmo cohort {name} " in done.stdout


@pytest.mark.parametrize("content", ["participant_id\tgroup\nsub-01\tMS\n", "a1b2\n", "\x00\x01"])
def test_a_file_that_is_no_scan_table_is_not_written_over(content, tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match="or a scan table to replace"):
        refuse_to_replace(path)


def test_a_scan_table_may_be_written_anew(scan, tmp_path):
    path = tmp_path / "scans.tsv"
    refuse_to_replace(path)
    write_scan_table(path, Import([scan]))
    refuse_to_replace(path)
    path.write_text("")
    refuse_to_replace(path)
    done = run_here(main, "open_ms", tmp_path, "--part", "mni", "--out", scan.flair)
    assert "or a scan table to replace" in done.stderr


def test_what_is_hidden_in_a_files_name_is_told(monkeypatch, scan, tmp_path):
    left_out = [LeftOut("a\u202e.nii", "no mask of this scan\u200b")]
    monkeypatch.setattr(IMPORTERS["open_ms"], "collect", lambda _: Import([scan], left_out))
    done = run_here(main, "open_ms", tmp_path, "--part", "mni", "--out", tmp_path / "scans.tsv")
    assert "  a[U+202E].nii: no mask of this scan[U+200B]" in done.stdout


def test_the_page_of_layouts_has_an_example_of_each_importer_that_its_command_takes():
    page = (ROOT / "docs/importers.md").read_text(encoding="utf-8")
    commands = re.findall(r"^ {4}msnmo cohort (.*)$|`msnmo cohort ([^`]*)`", page, re.MULTILINE)
    given = [shlex.split(indented or quoted) for indented, quoted in commands]
    examples = [words for words in given if "--out" in words]
    assert {words[0] for words in examples} == set(IMPORTERS)
    for words in examples:
        parsed = make_parser().parse_args(words)
        assert parsed.importer == words[0]
