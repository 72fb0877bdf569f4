"""A scan table is read right or every one of its problems is named, in one pass."""

import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from msnmo.cohort.table import COHORT_COLUMNS, read_scan_table, survey_scan_table
from msnmo.cohort.table_rows import SCHEMA
from msnmo.core.diagnoses import VARIABLE
from msnmo.core.errors import InputError

HEADER = ["subject", "session", "diagnosis", "flair", "lesion_mask", "stripped", "site"]


@pytest.fixture
def folder(tmp_path):
    """A folder with scans f0.nii.gz to f59.nii.gz and masks m0.nii.gz to m59.nii.gz."""
    for number in range(60):
        (tmp_path / f"f{number}.nii.gz").touch()
        (tmp_path / f"m{number}.nii.gz").touch()
    return tmp_path


def write(folder, rows, *, header=HEADER, end="\n", encoding="utf-8"):
    text = end.join("\t".join(cells) for cells in [header, *rows]) + end
    path = folder / "scans.tsv"
    path.write_bytes(text.encode(encoding))
    return path


def findings_of(path):
    with pytest.raises(InputError) as caught:
        read_scan_table(path)
    return caught.value.findings


def row(number, **changes):
    """One good row that uses the files of this number, with changes."""
    cells = {
        "subject": f"{number:02d}",
        "session": "",
        "diagnosis": "MS",
        "flair": f"f{number}.nii.gz",
        "lesion_mask": f"m{number}.nii.gz",
        "stripped": "no",
        "site": "",
    }
    return list((cells | changes).values())


def test_a_good_table_gives_the_cohort(folder):
    rows = [
        row(1, subject="001", session="1", site="Köln, scanner 2"),
        row(2, subject="001", session="2", lesion_mask="m2.nii.gz; m3.nii.gz"),
        row(4, diagnosis="", lesion_mask="n/a", stripped="yes"),
    ]
    cohort = read_scan_table(write(folder, rows))
    assert tuple(cohort.columns) == COHORT_COLUMNS
    assert list(cohort["scan"]) == ["sub-001_ses-1", "sub-001_ses-2", "sub-04"]
    assert list(cohort["subject"]) == ["001", "001", "04"]
    assert list(cohort["diagnosis"]) == ["MS", "MS", ""]
    assert list(cohort["flair"]) == [str(folder / f"f{n}.nii.gz") for n in (1, 2, 4)]
    assert list(cohort["lesion_mask"]) == [
        f"{folder}/m1.nii.gz",
        f"{folder}/m2.nii.gz;{folder}/m3.nii.gz",
        "",
    ]
    assert list(cohort["stripped"]) == ["no", "no", "yes"]
    assert list(cohort["bias_corrected"]) == ["no", "no", "no"]
    assert list(cohort["site"]) == ["Köln, scanner 2", "", ""]


def test_optional_columns_may_be_absent_and_columns_come_in_any_order(folder):
    path = write(folder, [["f1.nii.gz", "", "01"]], header=["flair", "diagnosis", "subject"])
    (scan,) = read_scan_table(path).to_dict("records")
    assert scan == {
        "scan": "sub-01",
        "subject": "01",
        "session": "",
        "diagnosis": "",
        "flair": str(folder / "f1.nii.gz"),
        "lesion_mask": "",
        "brain_mask": "",
        "stripped": "no",
        "bias_corrected": "no",
        "site": "",
        "simulated": "no",
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_spreadsheets_add_does_no_harm(folder, end, encoding):
    past = ["", ""]  # empty cells past the table
    blank = [""] * len([*HEADER, *past])
    quoted = row(2, site='"a ""quoted"" site"') + past
    rows = [row(1, subject=" 01 ") + past, blank, quoted, blank, []]
    path = write(folder, rows, header=[*HEADER, *past], end=end, encoding=encoding)
    cohort = read_scan_table(path)
    assert list(cohort["scan"]) == ["sub-01", "sub-02"]
    assert cohort["site"][1] == 'a "quoted" site'


def test_rows_are_numbered_as_a_spreadsheet_shows_them(folder):
    quoted_over_two_lines = row(1, site='"two\nlines"')
    path = write(folder, [row(0), [""], quoted_over_two_lines, row(2, diagnosis="ms")])
    places = [finding.file for finding in findings_of(path)]
    assert places == [f"{path}, row 4, column site", f"{path}, row 5, column diagnosis"]


def test_paths_with_spaces_and_unicode_and_absolute_paths(folder):
    strange = folder / "Bögen und Räume (1)" / '患者 (x) "y" $z [1]'
    strange.mkdir(parents=True)
    (strange / "fl air.nii").touch()
    (folder / "sub").mkdir()
    rows = [
        row(1, flair=f"../{strange.relative_to(folder)}/fl air.nii"),
        row(2, flair=str(folder / "f2.nii.gz"), lesion_mask="../m2.nii.gz"),
    ]
    rows[0][4] = "../m1.nii.gz"
    cohort = read_scan_table(write(folder / "sub", rows))
    assert Path(cohort["flair"][0]).samefile(strange / "fl air.nii")
    assert cohort["flair"][1] == str(folder / "f2.nii.gz")


def test_home_and_variables_in_paths_where_no_file_is_named_so(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("MASKS", ".")
    (folder / "$HOME").mkdir()
    (folder / "$HOME/f4.nii.gz").touch()
    rows = [
        row(1, flair="~/f1.nii.gz", lesion_mask="$MASKS/m1.nii.gz;${MASKS}/m2.nii.gz"),
        row(3, flair="${HOME}/f3.nii.gz"),
        row(4, flair="$HOME/f4.nii.gz"),
    ]
    cohort = read_scan_table(write(folder, rows))
    assert list(cohort["flair"]) == [
        f"{folder}/f1.nii.gz",
        f"{folder}/f3.nii.gz",
        f"{folder}/$HOME/f4.nii.gz",
    ]
    assert cohort["lesion_mask"][0] == f"{folder}/m1.nii.gz;{folder}/m2.nii.gz"


def test_relative_to_the_table_not_to_the_working_directory(folder, monkeypatch):
    write(folder, [row(1)])
    monkeypatch.chdir(folder.parent)
    (flair,) = read_scan_table(f"{folder.name}/scans.tsv")["flair"]
    assert flair == str(folder / "f1.nii.gz")


LONG = "x" * 300
# changes to a good row; column; words of what was found; words of the remedy
BAD_ROWS = [
    ({"subject": ""}, "subject", "an empty cell", "fill in the subject's id"),
    ({"subject": "n/a"}, "subject", "an empty cell", "fill in"),
    ({"subject": "sub-77"}, "subject", "'sub-77'", "write 77, without the prefix sub-"),
    ({"subject": "P 1"}, "subject", "'P 1'", "letters and digits only"),
    ({"subject": "P_1"}, "subject", "'P_1'", "letters and digits only"),
    ({"subject": "Jürgen"}, "subject", "'Jürgen'", "letters and digits only"),
    ({"subject": "٣"}, "subject", "'٣'", "letters and digits only"),
    ({"subject": "../../etc"}, "subject", "'../../etc'", "letters and digits only"),
    ({"subject": "1.0"}, "subject", "'1.0'", "letters and digits only"),
    ({"subject": LONG}, "subject", "(300 characters)", "letters and digits only"),
    ({"session": "ses-1"}, "session", "'ses-1'", "write 1, without the prefix ses-"),
    ({"session": "2019/01"}, "session", "'2019/01'", "letters and digits only"),
    ({"diagnosis": "ms"}, "diagnosis", "'ms'", "write MS"),
    ({"diagnosis": "Nmosd"}, "diagnosis", "'Nmosd'", "write NMOSD"),
    ({"diagnosis": "NMO"}, "diagnosis", "'NMO'", "write NMOSD"),
    ({"diagnosis": "healthy"}, "diagnosis", "'healthy'", "MS or NMOSD, or leave the cell empty"),
    ({"diagnosis": ""}, "diagnosis", "no diagnosis", "remove the lesion mask"),
    ({"lesion_mask": ""}, "lesion_mask", "no lesion mask", "remove the diagnosis"),
    ({"flair": ""}, "flair", "an empty cell", "fill in the path"),
    ({"flair": "gone.nii.gz"}, "flair", "No such file", "relative to the table"),
    ({"flair": "~/gone.nii.gz"}, "flair", "/gone.nii.gz': No such file", "correct the path"),
    ({"flair": "~no-such-user/f1.nii.gz"}, "flair", "'~no-such-user'", "the user's name"),
    ({"flair": "$NO_SUCH/f1.nii.gz"}, "flair", "NO_SUCH is not set", "set NO_SUCH"),
    ({"lesion_mask": "${NO_SUCH}.nii"}, "lesion_mask", "NO_SUCH is not set", "set NO"),
    ({"flair": "new{1}.nii"}, "flair", "new{1}.nii", "rename the folder or file"),
    ({"flair": "there{1}.nii"}, "flair", "there{1}.nii", "rename the folder or file"),
    ({"lesion_mask": "-new.nii"}, "lesion_mask", "'-new.nii'", "write the whole path"),
    ({"flair": '"a\nb.nii"'}, "flair", r"'a\nb.nii'", "control character"),
    ({"flair": "folder.nii.gz"}, "flair", "is a folder", "name the file in it"),
    ({"flair": "scan.mgz"}, "flair", "'scan.mgz'", "dcm2niix"),
    ({"flair": f"{LONG}.nii"}, "flair", "a name of 304", "give a shorter one"),
    ({"flair": "f0.nii.gz/x.nii"}, "flair", "Not a directory", "correct the path"),
    ({"flair": "f0.nii.gz"}, "flair", "in row 2, column flair too", "its own file"),
    ({"flair": "./f0.nii.gz"}, "flair", "in row 2, column flair too", "its own file"),
    ({"flair": "link.nii.gz"}, "flair", "in row 2, column flair too", "its own file"),
    ({"flair": "m0.nii.gz"}, "flair", "in row 2, column lesion_mask too", "its own file"),
    ({"lesion_mask": "m0.nii.gz"}, "lesion_mask", "in row 2, column lesion_mask", "its own file"),
    ({"lesion_mask": "m58.nii.gz;m58.nii.gz"}, "lesion_mask", "m58.nii.gz", "its own file"),
    ({"lesion_mask": "m59.nii.gz;"}, "lesion_mask", "'m59.nii.gz;'", "remove the semicolon"),
    ({"lesion_mask": "m57.nii.gz,m56.nii.gz"}, "lesion_mask", "No such file", "correct the path"),
    ({"lesion_mask": "gone.nii"}, "lesion_mask", "No such file", "correct the path"),
    ({"stripped": "Yes"}, "stripped", "'Yes'", "write yes"),
    ({"stripped": "TRUE"}, "stripped", "'TRUE'", "yes or no"),
    ({"stripped": "1"}, "stripped", "'1'", "yes or no"),
    ({"subject": "00"}, "", "sub-00, which is in row 2 too", "its own session"),
    (
        {"subject": "00", "session": "9", "diagnosis": "NMOSD"},
        "diagnosis",
        "MS in row 2",
        "correct",
    ),
    ({"subject": "00", "session": "a"}, None, "", ""),
    ({"subject": "00", "session": "A"}, "session", "'A' here and 'a' in row", "rename one"),
    ({"subject": "Q"}, None, "", ""),
    ({"subject": "q"}, "subject", "'q' here and 'Q' in row", "rename one"),
    ({"site": '"a\nb"'}, "site", r"'a\nb'", "control character"),
]


def test_every_bad_row_has_its_own_line_in_one_pass(folder):
    (folder / "folder.nii.gz").mkdir()
    (folder / "scan.mgz").touch()
    (folder / "there{1}.nii").touch()
    (folder / "link.nii.gz").symlink_to("f0.nii.gz")
    rows = [row(0)] + [row(n, **bad[0]) for n, bad in enumerate(BAD_ROWS, start=1)]
    path = write(folder, rows)
    findings = findings_of(path)
    for number, (_, column, found, remedy) in enumerate(BAD_ROWS, start=3):
        where = f"{path}, row {number}"
        here = [f for f in findings if f.file == where or f.file.startswith(f"{where},")]
        if column is None:
            assert here == []
            continue
        (finding,) = here
        assert finding.file == (f"{where}, column {column}" if column else where)
        assert found in finding.found
        assert remedy in finding.remedy
        assert finding.expected


def test_one_row_may_have_several_problems(folder):
    bad = row(1, subject="", diagnosis="x", flair="~/a.mgz", stripped="maybe")
    columns = [finding.file.rpartition(" ")[2] for finding in findings_of(write(folder, [bad]))]
    assert columns == ["subject", "diagnosis", "flair", "flair", "stripped"]


def test_problems_of_header_and_rows_come_together(folder):
    header = ["Subject", "diagnosis", "flair", "flair", "lesions", "", "scan"]
    rows = [["01", "MS", "f1.nii.gz", "f1.nii.gz", "m1.nii.gz", "?", "44"], ["02", "MS"]]
    findings = findings_of(write(folder, rows, header=header))
    text = "\n".join(map(str, findings))
    for part in (
        "unknown column 'Subject'",
        "rename it to subject",
        "unknown column 'lesions'",
        "unknown column ''",
        "name the column",
        "unknown column 'scan'",
        "give the column another name",
        "2 columns flair",
        "no column subject",
        "row 2, column lesion_mask",
        "2 cells",
    ):
        assert part in text


def test_a_table_of_very_many_columns_is_refused_at_once(folder):
    path = folder / "scans.tsv"
    path.write_text("\t".join(f"c{number}" for number in range(100_000)) + "\n")
    with pytest.raises(InputError, match=r"1000 columns at most(.|\n)*100000 columns"):
        read_scan_table(path)


def test_columns_of_the_users_own_are_carried_along(folder):
    header = ["age", "subject", "diagnosis", "flair", "lesion_mask", "EDSS score"]
    rows = [["44", "01", "MS", "f1.nii.gz", "m1.nii.gz", "2.5"]]
    rows += [["n/a", "02", "MS", "f2.nii.gz", "m2.nii.gz", ""]]
    cohort = read_scan_table(write(folder, rows, header=header))
    assert list(cohort.columns) == [*COHORT_COLUMNS, "age", "EDSS score"]
    assert cohort["age"].tolist() == ["44", ""]
    assert cohort["EDSS score"].tolist() == ["2.5", ""]
    (finding,) = findings_of(write(folder, rows, header=["age", *header[1:5], "age"]))
    assert finding.found == "2 columns age"
    (finding,) = findings_of(write(folder, [[*rows[0][:5], "a\x07b"]], header=header))
    assert finding.found == repr("a\x07b")


def test_a_missing_tab_is_found_and_never_shifts_cells(folder):
    header = ["subject", "diagnosis", "flair", "lesion_mask", "stripped", "bias_corrected"]
    shifted = ["01", "MS", "f1.nii.gz", "m1.nii.gz", "yes"]
    (finding,) = findings_of(write(folder, [shifted], header=header))
    assert finding.file.endswith("row 2")
    assert (finding.expected, finding.found) == ("6 cells, as in the header", "5 cells")
    (finding,) = findings_of(write(folder, [[*shifted, "no", "yes"]], header=header))
    assert finding.found == "7 cells"


@pytest.mark.parametrize("name", ["a;b", "{scan}", "a}"])
def test_paths_that_the_workflow_could_not_pass_on(folder, name):
    odd = folder / name
    odd.mkdir()
    for file in ("f1.nii.gz", "m1.nii.gz"):
        (odd / file).touch()
    findings = findings_of(write(odd, [row(1)]))
    assert [finding.remedy for finding in findings] == ["rename the folder or file"] * 2
    assert all(name in finding.found for finding in findings)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\xef\xbb\xbf\r\n\r\n", "an empty file"),
        (b"subject,diagnosis,flair\n01,MS,f1.nii.gz\n", "separated by commas"),
        (b"subject;diagnosis;flair\n01;MS;f1.nii.gz\n", "separated by semicolons"),
        (b"subject diagnosis flair\n01 MS f1.nii.gz\n", "separated by spaces"),
        ("subject\tflair\n".encode("utf-16"), "UTF-16"),
        ("subject\tflair\n".encode("utf-16-le"), "zero bytes"),
        ("subject\tsite\n01\tKöln\n".encode("latin-1"), "byte 0xf6 in line 2"),
        (b"PK\x03\x04rest of a workbook", "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "Excel 97-2003"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b'subject\tsite\n01\t"open\n02\tx\n', "unexpected end"),
        (b"subject\tdiagnosis\tflair\n", "only a header"),
        (b"# mine\nsubject\tflair\n01\tf1.nii.gz\n", "one cell, '# mine', and several"),
        (b"\n\nCohort of 2019\nsubject\tflair\n", "one cell, 'Cohort of 2019', and several"),
    ],
)
def test_files_that_are_no_scan_table(tmp_path, content, found):
    path = tmp_path / "scans.tsv"
    path.write_bytes(content)
    (finding,) = findings_of(path)
    assert found in finding.found
    assert str(path) in finding.file
    assert finding.remedy


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_no_table_at_all(tmp_path, make):
    make(tmp_path / "scans.tsv")
    (finding,) = findings_of(tmp_path / "scans.tsv")
    assert "the config (scans) or in the command" in finding.remedy


def test_schema_is_valid_closed_and_described():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["additionalProperties"] is False
    assert all(entry["description"] for entry in SCHEMA["properties"].values())


def test_package_and_workflow_share_one_schema():
    root = Path(__file__).parents[2]
    assert yaml.safe_load((root / "workflow/schemas/scans.schema.yaml").read_text()) == SCHEMA


def test_a_survey_sets_wrong_rows_apart(folder):
    rows = [
        row(1),
        row(2, diagnosis="ms"),
        row(3, subject="../3"),
        row(4, subject="4", session="1"),
        row(5, subject="4", session="2"),
        row(6, subject="4", session="3", diagnosis="NMOSD"),
        row(7, flair="f8.nii.gz"),
        row(8),
        row(9),
    ]
    survey = survey_scan_table(write(folder, rows))
    assert list(survey.cohort["scan"]) == ["sub-01", "sub-09"]
    assert [each.scans for each in survey.findings] == [
        ("sub-02",),
        ("row 4",),
        # which of a subject's diagnoses is right cannot be told
        ("sub-4_ses-1", "sub-4_ses-2", "sub-4_ses-3"),
        ("sub-07", "sub-08"),
    ]
    assert survey.names[:2] == ["sub-01", "sub-09"]
    assert set(survey.names) >= {"sub-02", "row 4", "sub-4_ses-3"}


def test_other_labels_are_mapped_where_they_are_named(folder):
    path = write(folder, [row(1, diagnosis="rrms"), row(2, diagnosis="NMO")])
    labels = {"rrms": "MS", "nmo": "NMOSD"}
    assert list(read_scan_table(path, labels)["diagnosis"]) == ["MS", "NMOSD"]
    assert len(findings_of(path)) == 2


def test_reading_a_scan_table_loads_no_imaging_library():
    heavy = "{'nibabel', 'torch', 'SimpleITK', 'ants', 'nipype', 'monai', 'sklearn'}"
    code = f"import msnmo.cohort.table, sys; print({heavy} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_for_a_bundle_a_diagnosis_alone_will_do_and_a_mask_alone_will_not(folder):
    rows = [row(1, lesion_mask=""), row(2, diagnosis="NMOSD"), row(3, diagnosis="")]
    path = write(folder, rows)
    assert survey_scan_table(path).cohort["scan"].tolist() == ["sub-02"]
    survey = survey_scan_table(path, diagnosis_alone=True)
    assert survey.cohort["scan"].tolist() == ["sub-01", "sub-02"]
    (wrong,) = survey.findings
    assert wrong.scans == ("sub-03",)
    assert wrong.finding.expected.startswith("a diagnosis, as the scan has a lesion mask")


def test_a_label_beside_the_two_is_named_with_its_row(folder):
    path = write(folder, [row(1), row(2, diagnosis="MOGAD"), row(3, diagnosis="nmosd")])
    other, case = findings_of(path)
    assert other.file == f"{path}, row 3, column diagnosis"
    assert other.expected.startswith("MS or NMOSD")
    assert other.found == "'MOGAD'"
    assert other.remedy.startswith(
        "write MS or NMOSD, or leave the cell empty; to use other labels"
    )
    assert "the config (diagnoses)" in other.remedy
    assert case.remedy.startswith("write NMOSD")


def test_labels_are_those_of_the_config(folder, monkeypatch):
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    rows = [row(1), row(2, diagnosis="MOGAD")]
    assert read_scan_table(write(folder, rows))["diagnosis"].tolist() == ["MS", "MOGAD"]
    (finding,) = findings_of(write(folder, [*rows, row(3, diagnosis="NMOSD")]))
    assert (finding.found, finding.expected.partition(";")[0]) == ("'NMOSD'", "MS or MOGAD")


@pytest.mark.parametrize("first", ["MS", ""])
def test_masks_without_a_diagnosis_are_learned_from_where_there_are_not_two_classes(folder, first):
    path = write(folder, [row(1, diagnosis=first), row(2, diagnosis="")])
    survey = survey_scan_table(path)
    assert not survey.findings
    assert survey.cohort["diagnosis"].tolist() == [first, ""]
    assert survey.classes() == [name for name in ("MS",) if first]


def test_masks_need_a_diagnosis_where_there_are_two_classes(folder):
    path = write(folder, [row(1), row(2, diagnosis="NMOSD"), row(3, diagnosis="")])
    (finding,) = findings_of(path)
    assert finding.file == f"{path}, row 4, column diagnosis"
    assert finding.found == "no diagnosis"


def test_classes_are_those_that_rows_name_usable_or_not(folder):
    (folder / "f2.nii.gz").unlink()
    survey = survey_scan_table(write(folder, [row(1), row(2, diagnosis="NMOSD")]))
    assert survey.cohort["scan"].tolist() == ["sub-01"]
    assert survey.classes() == ["MS", "NMOSD"]
    assert survey.classes({"sub-02"}) == ["MS"]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "scans.tsv")
    (finding,) = findings_of(tmp_path / "scans.tsv")
    assert finding.found == "a pipe, socket or device"


def test_an_address_says_to_download_the_file(folder):
    rows = [["1", "", "MS", "https://server/f1.nii.gz", "m1.nii.gz", "no", ""]]
    (finding,) = findings_of(write(folder, rows))
    assert finding.found == "the address 'https://server/f1.nii.gz'"
    assert finding.remedy.startswith("download the file")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('subject\tsite\n01\t"open\n02\tx\n', 2),
        ('subject\tsite\n01\t"two\nlines"\n\n02\t"open\n03\tx\n04\tx\n', 5),
        ('subject\tsite\n01\t"open\n02\t"x\n03\tx\n', 2),
    ],
)
def test_an_open_quotation_is_told_where_it_begins(tmp_path, content, line):
    path = tmp_path / "scans.tsv"
    path.write_text(content)
    (finding,) = findings_of(path)
    assert finding.file == f"{path}, line {line}"


@pytest.mark.parametrize("code", ["200b", "202e"])
def test_what_nobody_sees_of_an_id_is_named(folder, code):
    (finding,) = findings_of(write(folder, [row(0, subject=f"01{chr(int(code, 16))}")]))
    assert finding.found == f"'01[U+{code.upper()}]'"
    assert finding.remedy == "give an id of letters and digits only"


def test_scans_of_wrong_rows_are_there_to_be_opened_each_by_a_name_of_its_own(folder):
    rows = [
        row(1),
        row(2, diagnosis="healthy", stripped="perhaps"),
        row(3, subject="two words", session="1"),
        row(4),
        row(5, subject="04", lesion_mask="m5.nii.gz;gone.nii.gz"),
        row(6, flair="gone.nii.gz"),
        row(7, flair="f7.mha"),
        row(8, subject="04row6"),
        row(9, subject="row4"),
    ]
    survey = survey_scan_table(write(folder, rows))
    assert survey.cohort["scan"].tolist() == ["sub-01", "sub-04row6", "sub-row4"]
    unusable = survey.unusable
    # the name of row 6, and of row 4, are those of other scans
    assert unusable["scan"].tolist() == ["sub-02", "sub-row4row4", "sub-04", "sub-04row6row6"]
    assert unusable["told_as"].tolist() == ["sub-02", "row 4", "sub-04", "sub-04"]
    assert unusable["stripped"].tolist() == ["no"] * 4
    assert unusable["lesion_mask"].iloc[-1] == str(folder / "m5.nii.gz")
    assert survey.opened["usable"].tolist() == [True] * 3 + [False] * 4
    assert not survey.opened["scan"].duplicated().any()


def test_a_good_table_has_no_unusable_rows(folder):
    survey = survey_scan_table(write(folder, [row(1), row(2)]))
    assert len(survey.unusable) == 0
    assert survey.opened["told_as"].tolist() == survey.opened["scan"].tolist()
