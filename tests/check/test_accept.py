"""What goes on is written; or the run stops, every error on the terminal, nothing on disk."""

import pandas as pd
import pytest

from msnmo.check.accept import accept, main
from msnmo.check.findings import COLUMNS
from msnmo.cohort.table import COHORT_COLUMNS
from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_tsv
from tests.command import run_here


@pytest.fixture
def scans(tmp_path):
    lines = ["subject\tdiagnosis\tflair\tlesion_mask"]
    for name in ("01", "02", "03"):
        (tmp_path / f"{name}.nii.gz").touch()
        (tmp_path / f"{name}_mask.nii.gz").touch()
        lines.append(f"{name}\tMS\t{name}.nii.gz\t{name}_mask.nii.gz")
    lines.append("04\t\t04.nii.gz\t")
    (tmp_path / "04.nii.gz").touch()
    path = tmp_path / "scans.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def table(*rows):
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def error(scan, found="NaN", severity="error"):
    return (severity, scan, f"{scan}.nii.gz", "finite values", found, "mend it")


def decide(scans, *rows):
    path = scans.with_name("decisions.tsv")
    lines = ["scan\tdecision\treason", *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def run_module(scans, findings, *options):
    write_tsv(scans.with_name("findings.tsv"), findings)
    outputs = {name: scans.parent / "out" / f"{name}.tsv" for name in ("cohort", "excluded")}
    command = ["--scans", scans, "--findings", scans.with_name("findings.tsv"), *options]
    command += [f"--out-{name}={path}" for name, path in outputs.items()]
    return run_here(main, *command), outputs


def test_a_clean_cohort_goes_on(scans):
    done, outputs = run_module(scans, table(error("sub-01", severity="warning")))
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 scans of 4 subjects: 3 MS" in done.stdout
    assert "1 scan without a diagnosis" in done.stdout
    cohort = read_tsv(outputs["cohort"], dict.fromkeys(COHORT_COLUMNS, str))
    assert cohort["diagnosis"].isna().tolist() == [False, False, False, True]
    assert outputs["excluded"].read_text() == "scan\tby\treason\n"


def test_errors_stop_with_all_of_them_and_no_file(scans):
    done, outputs = run_module(scans, table(error("sub-01"), error("sub-03", "a hole")))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "2 input problems" in done.stderr
    assert "sub-03.nii.gz" in done.stderr
    assert not any(path.exists() for path in outputs.values())


def test_errors_exclude_if_the_user_wants_that(scans):
    findings = table(error("sub-01"), error("sub-01", "another"), error("row 9"))
    done, outputs = run_module(scans, findings, "--on-bad-scan=exclude")
    assert done.returncode == 0
    cohort = read_tsv(outputs["cohort"], {"scan": str})
    assert cohort["scan"].tolist() == ["sub-02", "sub-03", "sub-04"]
    excluded = read_tsv(outputs["excluded"], {"scan": str, "by": str, "reason": str})
    assert excluded.to_dict("list") == {
        "scan": ["sub-01", "row 9"],
        "by": ["check", "check"],
        "reason": ["expected finite values; found NaN"] * 2,
    }
    assert "excluded by check: sub-01: expected finite values; found NaN" in done.stdout


def test_a_raters_exclusions_hold_and_his_keeps_change_nothing(scans):
    decisions = decide(
        scans,
        ("sub-02", "exclude", "motion"),
        ("sub-03", "keep", ""),
        ("sub-99", "keep", "a scan of another cohort"),
        ("sub-04", "exclude", ""),
    )
    cohort, excluded = accept(scans, table(), decisions, "stop")
    assert cohort["scan"].tolist() == ["sub-01", "sub-03"]
    assert excluded.to_dict("records") == [
        {"scan": "sub-02", "by": "rater", "reason": "motion"},
        {"scan": "sub-04", "by": "rater", "reason": "no reason given"},
    ]


def test_nothing_left_is_an_error(scans):
    findings = table(*(error(f"sub-0{number}") for number in (1, 2, 3, 4)))
    with pytest.raises(InputError, match="all are excluded"):
        accept(scans, findings, None, "exclude")


def test_wrong_decisions_are_named_by_row(scans):
    decisions = decide(scans, ("sub-01", "maybe", ""), ("sub-02", "keep"), ("sub-02", "exclude"))
    with pytest.raises(InputError) as caught:
        accept(scans, table(), decisions, "stop")
    said = [finding.file.rpartition(", ")[2] for finding in caught.value.findings]
    assert said == ["row 2", "row 4"]


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("02", "write sub-02 if you meant that"),
        ("SUB-03", "write sub-03 if you meant that"),
        ("sub-3", "write sub-03 if you meant that"),
        ("sub-02_ses-1", "write sub-02 if you meant that"),
        ("somebody", "correct the name, or remove the row"),
    ],
)
def test_an_exclusion_of_nobody_is_refused_as_the_one_who_was_meant_would_go_on(
    scans, written, remedy
):
    decisions = decide(scans, ("sub-01", "exclude", ""), (written, "exclude", "motion"))
    with pytest.raises(InputError) as caught:
        accept(scans, table(), decisions, "stop")
    (finding,) = caught.value.findings
    assert finding.file == f"{decisions}, row 3"
    assert finding.found == f"'{written}', to be excluded"
    assert finding.remedy.startswith(remedy)


def test_rows_that_a_stray_quotation_mark_swallows_are_told(scans):
    rows = [("sub-01", "exclude", '"motion'), ("sub-02", "exclude", ""), ("sub-03", "keep", 'a"')]
    with pytest.raises(InputError, match="quotation mark"):
        accept(scans, table(), decide(scans, *rows), "stop")


def test_masks_without_a_diagnosis_are_counted_apart(scans):
    scans.write_text(scans.read_text().replace("\tMS\t", "\t\t"))
    done, _ = run_module(scans, table())
    assert done.returncode == 0, done.stderr
    assert "3 scans with a lesion mask and no diagnosis" in done.stdout
    assert "1 scan without a diagnosis: prediction only" in done.stdout
