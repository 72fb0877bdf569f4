"""Several cohorts become one without mixing their subjects up."""

from functools import partial

import pytest

from msnmo.cohort.__main__ import main
from tests.command import run_here


@pytest.fixture
def tables(tmp_path, nifti):
    """Two cohorts that call their first subject 01, by other labels."""
    for name, label in (("isbi", "MS"), ("hospital", "nmo")):
        folder = tmp_path / name
        nifti(folder / "a.nii.gz")
        nifti(folder / "m.nii.gz")
        nifti(folder / "b.nii.gz")
        lines = [
            "subject\tsession\tdiagnosis\tflair\tlesion_mask\tstripped\tsite",
            f"01\t1\t{label}\ta.nii.gz\tm.nii.gz\tyes\tn/a",
            "02\t\t\tb.nii.gz\t\tno\tBeijing",
        ]
        (folder / "scans.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path / "isbi/scans.tsv", tmp_path / "hospital/scans.tsv"


@pytest.fixture
def run_merge():
    """A function that merges tables, whether that works or not."""
    return partial(run_here, main, "merge")


def test_ids_are_kept_apart_and_labels_become_one(tables, imported_by_command, tmp_path):
    one, two = tables
    out = tmp_path / "all/scans.tsv"
    table, _ = imported_by_command(
        "merge", one, f"clinic={two}", "--labels", "NMOSD=NMO,Devic", out=out
    )
    assert table["subject"].tolist() == ["clinic01", "clinic02", "isbi01", "isbi02"]
    assert table["diagnosis"].tolist() == ["NMOSD", "", "MS", ""]
    assert table["site"].tolist() == ["clinic", "Beijing", "isbi", "Beijing"]
    assert table["stripped"].tolist() == ["yes", "no", "yes", "no"]
    assert table["flair"][0] == str(two.parent / "a.nii.gz")


def test_columns_of_ones_own_are_carried(tables, imported_by_command, tmp_path):
    """Where a table has no such column, its scans have nothing in it."""
    one, two = tables
    for path, names, values in ((one, "age\tmy score", "41\t=1"), (two, "age\tarm", "52\tn/a")):
        header, first, second = path.read_text().splitlines()
        rows = [f"{header}\t{names}", f"{first}\t{values}", f"{second}\t\t"]
        path.write_text("\n".join(rows) + "\n")
    out = tmp_path / "all/scans.tsv"
    table, _ = imported_by_command(
        "merge", f"a={one}", f"b={two}", "--labels", "NMOSD=NMO", out=out
    )
    assert table["subject"].tolist() == ["a01", "a02", "b01", "b02"]
    assert table["age"].tolist() == ["41", "", "52", ""]
    assert table["my score"].tolist() == ["'=1", "", "", ""], "no formula of a spreadsheet"
    assert table["arm"].tolist() == ["", "", "", ""]


def test_a_label_nobody_named_is_refused_with_its_row(tables, refused, tmp_path):
    said = refused("merge", *tables, out=tmp_path / "all.tsv")
    assert "hospital/scans.tsv, row 2, column diagnosis" in said
    assert "'nmo'" in said


def test_all_that_is_wrong_of_all_tables_is_told_at_once(tables, refused, tmp_path):
    one, two = tables
    (one.parent / "b.nii.gz").unlink()
    said = refused("merge", f"a={one}", f"A={two}", out=tmp_path / "all.tsv")
    assert "which another table has too" in said
    assert "b.nii.gz" in said
    assert "'nmo'" in said


@pytest.mark.parametrize("label", ["MS", "MS=", "HC=healthy", "MS=a"])
def test_a_wrong_label_map_is_refused(label, tables, refused, tmp_path):
    labels = [label, "NMOSD=a,nmo"]
    said = refused("merge", *tables, "--labels", *labels, out=tmp_path / "all.tsv")
    assert "command line" in said


def test_a_table_without_a_name_is_refused(tables, refused, tmp_path):
    said = refused("merge", f"=={tables[0]}", out=tmp_path / "all.tsv")
    assert "a name of letters and digits" in said


def test_a_table_that_is_read_is_not_written_over(tables, run_merge):
    one, two = tables
    lines = [line.replace("\tnmo\t", "\tNMOSD\t") for line in two.read_text().splitlines()]
    two.write_text("\n".join([lines[0], lines[2]]) + "\n")
    other = two.with_name("all_left-out.tsv")
    two.rename(other)
    link = two.with_name("link.tsv")
    link.hardlink_to(one)
    before = one.read_bytes(), other.read_bytes()
    for out in (one, link, other.with_name("all.tsv")):
        done = run_merge(f"a={one}", f"b={other}", "--out", out)
        assert done.returncode == 1
        assert "which is an input" in done.stderr
    assert (one.read_bytes(), other.read_bytes()) == before
    assert not other.with_name("all.tsv").exists()
    assert run_merge(f"a={one}", f"b={other}", "--out", other.with_name("c.tsv")).returncode == 0
