"""A DICOM export becomes the FLAIRs of its patients, in their place, and nobody's name."""

import gzip
import json
import os
import re
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest

from msnmo.cohort.dicom_flair import not_flair
from msnmo.cohort.dicom_patients import conflict, read_salt
from msnmo.cohort.dicom_reading import read_folder
from msnmo.cohort.dicom_words import plain_words
from msnmo.cohort.table import read_scan_table
from msnmo.core.errors import InputError
from tests.cohort.dicom_study import (
    ANNA,
    BERT,
    COLUMNS,
    CORNER,
    FLAIR,
    LOCALIZER,
    MPRAGE,
    ORIENTATION,
    ROWS,
    SLICES,
    SPACING,
    THICKNESS,
    dates_of,
    normal,
    write_classic,
    write_enhanced,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two patients' export, their names in folders too: three series, and one enhanced."""
    root = tmp_path_factory.mktemp("in") / "export é" / "Quastenflosser Annabella"
    write_classic(root / "1 loc", ANNA, "a", 1, LOCALIZER, slices=3)
    write_classic(root / "2 t1", ANNA, "a", 2, MPRAGE, seed=2)
    write_classic(root / "3 flair", ANNA, "a", 3, FLAIR, seed=3)
    enhanced = FLAIR | {"SeriesDescription": "3D FLAIR Berthold"}
    write_enhanced(root.parent / "Knüppeldick/EnIm1", BERT, "b", 7, enhanced, seed=4)
    (root / "report.txt").write_text("Annabella Quastenflosser")
    (root / "picture.jpg").write_bytes(b"\xff\xd8\xff")
    return root.parent


@pytest.fixture
def export(made, tmp_path):
    """A copy to break."""
    return shutil.copytree(made, tmp_path / made.name)


@pytest.fixture(scope="module")
def hashed(made, imported_by_command, tmp_path_factory):
    """What becomes of the export with ids that are hashes."""
    folder = tmp_path_factory.mktemp("hashed")
    return run(imported_by_command, made, folder, "--salt-file", folder / "secret.salt")


@pytest.fixture(scope="module")
def mapped(made, imported, tmp_path_factory):
    """What becomes of it with ids from a map."""
    folder = tmp_path_factory.mktemp("mapped")
    ids = [f"{ANNA.patient}\tA01\tMS\tmain", f"{BERT.patient}\tB01\tNMOSD\tmain", "other\tC\t\t"]
    return run(imported, made, folder, "--subjects", map_of(folder, *ids))


def run(importer, folder, place, *options):
    """Import an export; return scan table, notes, series.tsv and the folder."""
    out = place / "nifti out"
    table, notes = importer("dicom", folder, "--nifti", out, *options, out=out / "scans.tsv")
    return table, notes, pd.read_csv(out / "series.tsv", sep="\t"), out


@pytest.fixture
def take(imported, tmp_path):
    """A function that imports an export with the options given."""

    def take(folder, *options):
        options = options or ("--salt-file", tmp_path / "secret.salt")
        return run(imported, folder, tmp_path, *options)

    return take


def map_of(tmp_path, *rows, header="patient_id\tsubject\tdiagnosis\tsite"):
    path = tmp_path / "map.tsv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def decisions(series):
    return dict(zip(series["series_number"], series["decision"], strict=True))


def reasons(series):
    return dict(zip(series["series_number"], series["reason"], strict=True))


def test_the_flair_alone_of_each_patient_is_taken(hashed):
    table, _, series, out = hashed
    assert len(table) == 2
    assert table["session"].tolist() == ["", ""]
    assert decisions(series) == {1: "rejected", 2: "rejected", 3: "chosen", 7: "chosen"}
    assert reasons(series)[1] == "a localiser"
    assert "not T2-weighted" in reasons(series)[2]
    assert (
        read_scan_table(out / "scans.tsv")["flair"].map(lambda path: path.endswith(".nii.gz")).all()
    )
    sidecar = json.loads(next(out.rglob("*_FLAIR.json")).read_text())
    assert sidecar["InversionTime"] == 2.37
    assert sidecar["RepetitionTime"] == 8
    assert sidecar["EchoTime"] == 0.12


def test_no_identifying_text_is_in_any_output(hashed):
    *_, out = hashed
    texts = [text for person in (ANNA, BERT) for text in person.identifying() + dates_of(person)]
    texts += [part for text in texts for part in re.split(r"[\s^]+", text) if len(part) > 3]
    texts += ["20210304", "2021-03-04", "101503", "10:15:03"]
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) >= 7
    for path in files:
        content = path.read_bytes()
        assert_nameless(str(path.relative_to(out.parent)).encode(), texts)
        assert_nameless(content, texts)
        if path.name.endswith(".gz"):
            assert content[3] & 8 == 0, "gzip keeps no file name"
            assert content[4:8] == b"\0\0\0\0", "gzip keeps no time"
            header = gzip.decompress(content)[:352]
            assert_nameless(header, texts)
            loaded = nib.load(path).header
            assert not loaded.extensions
            assert all(loaded[name].item() == b"" for name in ("descrip", "aux_file", "db_name"))


def assert_nameless(content, texts):
    for text in texts:
        for encoding in ("utf-8", "latin-1", "utf-16-le"):
            for written in {text, text.lower(), text.upper()}:
                assert written.encode(encoding) not in content, text


@pytest.mark.parametrize("person", ["classic", "enhanced"])
def test_voxels_lie_where_the_dicom_says(mapped, person):
    *_, out = mapped
    name, seed = {"classic": ("A01", 3), "enhanced": ("B01", 4)}[person]
    image = nib.load(out / f"sub-{name}/anat/sub-{name}_FLAIR.nii.gz")
    data = np.asarray(image.dataobj)
    values = np.random.default_rng(seed).integers(0, 4000, (SLICES, ROWS, COLUMNS), dtype=np.uint16)
    assert sorted(data.shape) == sorted(values.shape)
    to_voxel = np.linalg.inv(image.affine)
    for slice_, row, column in [(0, 0, 0), (SLICES - 1, 5, 40), (11, 63, 2)]:
        # DICOM PS3.3 C.7.6.2.1.1, and from LPS to RAS
        place = CORNER + slice_ * THICKNESS * normal()
        place = place + np.array(ORIENTATION[:3]) * SPACING[1] * column
        place = place + np.array(ORIENTATION[3:]) * SPACING[0] * row
        voxel = (to_voxel @ [*(place * [-1, -1, 1]), 1])[:3]
        np.testing.assert_allclose(voxel, np.round(voxel), atol=1e-3)
        assert data[tuple(np.round(voxel).astype(int))] == values[slice_, row, column]


def test_the_same_export_gives_the_same_bytes_and_ids(made, hashed, take):
    *_, first = hashed
    *_, second = take(made, "--salt-file", first.parent / "secret.salt")
    one, other = (
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (first, second)
    )
    assert one == other


def test_ids_need_the_salt(made, hashed, take, tmp_path):
    one, *_ = hashed
    two, *_ = take(made, "--salt-file", tmp_path / "two.salt")
    assert not set(one["subject"]) & set(two["subject"])
    assert stat.S_IMODE((tmp_path / "two.salt").stat().st_mode) == 0o600
    assert len(read_salt(tmp_path / "two.salt")) >= 32


def _salt(path, content=None, mode=0o600):
    path.parent.mkdir(exist_ok=True)
    path.write_text(content or os.urandom(32).hex())
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_salt_that_others_can_read_is_refused(tmp_path, mode):
    with pytest.raises(InputError, match=f"mode {mode:04o}"):
        read_salt(_salt(tmp_path / "s", mode=mode))


@pytest.mark.parametrize("content", ["a" * 64, "0" * 32, "secret" * 8, "0123456789abcdef" * 4])
def test_a_constant_salt_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="a repeating one"):
        read_salt(_salt(tmp_path / "s", content))


def test_a_random_salt_is_taken(tmp_path):
    for _ in range(200):
        assert read_salt(_salt(tmp_path / "s"))


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("folder", "a folder"),
        ("pipe", "a pipe, socket or device"),
        ("device", "a pipe, socket or device"),
        ("dangling", "a link that leads to no file"),
        ("loop", "a link that leads to no file"),
        ("long", "a longer file"),
        ("below a file", "File exists: "),
    ],
)
def test_what_is_no_file_of_a_key_is_refused_at_once(tmp_path, kind, found):
    path = tmp_path / "s"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/zero")
        case "dangling":
            path.symlink_to(tmp_path / "gone/s")
        case "loop":
            path.symlink_to(path)
        case "long":
            path.write_bytes(os.urandom(70_000))
            path.chmod(0o600)
        case _:
            path = _salt(path) / "s"
    with pytest.raises(InputError, match=found) as raised:
        read_salt(path)
    (finding,) = raised.value.findings
    assert finding.file == str(path)
    assert finding.remedy


def test_a_salt_that_would_be_handed_on_is_refused(made, refused, tmp_path):
    out = tmp_path / "nifti"
    for folder in (out, made):
        salt = folder / "sub" / ".." / "s.salt"
        given = ("dicom", made, "--nifti", out, "--salt-file", salt)
        assert "which is handed on" in refused(*given, out=tmp_path / "scans.tsv")
        assert not (folder / "s.salt").exists()


def test_a_salt_that_git_keeps_is_refused(tmp_path):
    salt = _salt(tmp_path / "s.salt")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert read_salt(salt)
    subprocess.run(["git", "-C", tmp_path, "add", "s.salt"], check=True)
    with pytest.raises(InputError, match="a file tracked by git"):
        read_salt(salt)


def test_a_map_gives_ids_sites_and_diagnoses(mapped):
    table, notes, _, out = mapped
    assert table["subject"].tolist() == ["A01", "B01"]
    assert table["site"].tolist() == ["main", "main"]
    # a diagnosis without a mask is no row to train on: it is kept beside the table
    assert table["diagnosis"].tolist() == ["", ""]
    known = pd.read_csv(out / "diagnoses.tsv", sep="\t")
    assert known.to_numpy().tolist() == [["A01", "MS"], ["B01", "NMOSD"]]
    assert all("until a mask is drawn" in reason for reason in notes.values())


def test_every_patient_who_is_not_in_the_map_is_told_by_file(made, refused, tmp_path):
    path = map_of(tmp_path, "nobody\tX\t\t")
    out = tmp_path / "out"
    said = refused("dicom", made, "--nifti", out, "--subjects", path, out=out / "scans.tsv")
    assert "2 input problems" in said
    assert ANNA.patient not in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (
            ("a\tsub-1\t\t", "b\t../x\t\t", "\tY\t\t", "\tZ\t\t"),
            ["other characters", "other characters", "the patient_id of row 4"],
        ),
        (("a\t1\t\t", "a\t2\t\t"), ["the patient_id of row 2"]),
        (("a\tx1\t\t", "b\tX1\t\t"), ["the subject of row 2"]),
        (("a\t1\tRRMS\t",), ["another word in column diagnosis"]),
        (("a\t\tMS\t",), ["an empty subject"]),
    ],
)
def test_a_wrong_map_is_refused_row_by_row(made, refused, tmp_path, rows, found):
    path = map_of(tmp_path, *rows)
    said = refused(
        "dicom", made, "--nifti", tmp_path / "o", "--subjects", path, out=tmp_path / "s.tsv"
    )
    assert said.count(f"{path}, row ") == len(found)
    # what is wrong of several rows alike is told once, with each of them
    for line, words in zip(re.findall("found: .*", said), dict.fromkeys(found), strict=True):
        assert words in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Quastenflosser^Emil"}, "2 names"),
        ({"born": "19630518"}, "2 birth dates"),
        ({"texts": {"IssuerOfPatientID": "B"}}, "2 issuers"),
        ({"texts": {"IssuerOfPatientID": "A", "PatientSex": "M"}}, "2 sexes"),
        ({"texts": {"IssuerOfPatientID": "A", "PatientSex": "O"}}, ""),
        ({"texts": {"IssuerOfPatientID": "A", "PatientSex": ""}}, ""),
        ({"name": "QUASTENFLOSSER^ANNABELLA^^"}, ""),
        ({"name": "", "born": ""}, ""),
    ],
)
def test_one_id_of_two_people_stops_that_patient_alone(tmp_path, change, said):
    anna = replace(ANNA, texts={"IssuerOfPatientID": "A", "PatientSex": "F"})
    for place, person in enumerate([anna, replace(anna, **change), BERT]):
        write_classic(tmp_path / str(place), person, str(place), 3, FLAIR, slices=2)
    reasons = {
        series[0].first.patient: conflict(series)
        for series in grouped(read_folder(tmp_path).series).values()
    }
    assert said in reasons[ANNA.patient]
    assert bool(reasons[ANNA.patient]) == bool(said)
    assert not reasons[BERT.patient]
    assert "Quasten" not in reasons[ANNA.patient]


def grouped(series):
    patients = {}
    for each in series:
        patients.setdefault(each.first.patient, []).append(each)
    return patients


def test_of_two_people_with_one_id_no_scan_is_taken_and_of_others_it_is(tmp_path, take):
    folder = tmp_path / "in"
    other = replace(ANNA, name="Nasenbär^Nora")
    for place, person in enumerate([ANNA, other, BERT]):
        write_classic(folder / str(place), person, str(place), 3, FLAIR)
    ids = [f"{ANNA.patient}\tA\t\t", f"{BERT.patient}\tB\t\t"]
    table, notes, series, _ = take(folder, "--subjects", map_of(tmp_path, *ids))
    assert table["subject"].tolist() == ["B"]
    assert "2 names with one PatientID" in notes["sub-A_ses-1"]
    assert series["decision"].tolist() == ["rejected", "rejected", "chosen"]
    assert "Nasenb" not in (folder.parent / "nifti out/series.tsv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("person", "said"),
    [(replace(ANNA, patient=""), ""), (replace(ANNA, patient="", born=""), "2 studies without")],
)
def test_studies_without_an_id_are_of_one_person_if_name_and_birth_date_say_so(
    tmp_path, person, said
):
    for study in ("a", "b"):
        write_classic(tmp_path / study, person, study, 3, FLAIR, slices=1)
    reason = conflict(read_folder(tmp_path).series)
    assert said in reason
    assert bool(reason) == bool(said)


@pytest.mark.parametrize(("rows", "subjects"), [((), ["B"]), (("\tN\t\t",), ["B", "N"])])
def test_files_without_an_id_stop_nobody_and_a_row_of_the_map_names_them(
    tmp_path, take, rows, subjects
):
    folder = tmp_path / "in"
    write_classic(folder / "1", replace(ANNA, patient=" "), "a", 3, FLAIR)
    write_classic(folder / "2", BERT, "b", 3, FLAIR)
    ids = map_of(tmp_path, f"{BERT.patient}\tB\t\t", *rows)
    table, notes, *_ = take(folder, "--subjects", ids)
    assert table["subject"].tolist() == subjects
    told = notes.get(f"{SLICES} files, the first file 1 of {2 * SLICES}, sorted by path", "")
    assert ("a row whose patient_id is empty" in told) == (not rows)


def test_visits_are_numbered_by_date_which_is_not_kept(tmp_path, take):
    folder = tmp_path / "in"
    for study, date in (("late", "20220909"), ("early", "20190101")):
        write_classic(folder / study, ANNA, study, 3, FLAIR, seed=len(study), date=date)
    ids = f"{ANNA.patient}\tA\t\t"
    table, _, series, out = take(folder, "--subjects", map_of(tmp_path, ids))
    assert table["session"].tolist() == ["1", "2"]
    data = np.asarray(nib.load(out / "sub-A/ses-1/anat/sub-A_ses-1_FLAIR.nii.gz").dataobj)
    early = np.random.default_rng(len("early")).integers(0, 4000, data.size, dtype=np.uint16)
    assert sorted(data.ravel()) == sorted(early)
    assert "2019" not in (out / "series.tsv").read_text()
    assert series["session"].tolist() == [1, 2]


def test_of_several_flairs_the_finest_3d_one_is_taken(tmp_path, take):
    folder = tmp_path / "in"
    flat = FLAIR | {"MRAcquisitionType": "2D", "SeriesDescription": "t2_tirm_tra_dark-fluid"}
    write_classic(folder / "2d", ANNA, "a", 4, flat, seed=1)
    write_classic(folder / "3d", ANNA, "a", 5, FLAIR, seed=2)
    derived = FLAIR | {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}
    write_classic(folder / "mpr", ANNA, "a", 6, derived, seed=3)
    t1 = FLAIR | {"EchoTime": 9.0, "SeriesDescription": "T1 FLAIR"}
    write_classic(folder / "t1", ANNA, "a", 7, t1, seed=4)
    _, _, series, _ = take(folder)
    assert decisions(series) == {4: "rejected", 5: "chosen", 6: "rejected", 7: "rejected"}
    said = reasons(series)
    assert said[4] == "a T2-FLAIR, but series 5 is 3-D"
    assert "derived" in said[6]
    assert "not T2-weighted" in said[7]


def test_a_series_can_be_asked_for_of_one_subject(tmp_path, take, refused):
    folder = tmp_path / "in"
    derived = FLAIR | {"ImageType": ["DERIVED", "SECONDARY"], "SeriesDescription": "Mine 7"}
    write_classic(folder / "1", ANNA, "a", 3, FLAIR)
    write_classic(folder / "2", ANNA, "a", 4, derived)
    ids = ("--subjects", map_of(tmp_path, f"{ANNA.patient}\tA\t\t"))
    place = {"out": tmp_path / "s.tsv"}
    said = refused("dicom", folder, "--nifti", tmp_path / "o", *ids, "--series", "sub-B:4", **place)
    assert "sub-B:4" in said
    _, notes, series, _ = take(folder, *ids, "--series", "sub-A:mine 7")
    assert decisions(series) == {3: "rejected", 4: "chosen"}
    assert any("because of --series, although: derived" in note for note in notes.values())


def test_broken_files_and_holes_are_told_of_without_a_name(export, take):
    folder = export / "Quastenflosser Annabella/3 flair"
    middle = sorted(folder.iterdir())[10]
    middle.write_bytes(middle.read_bytes()[:200])
    table, notes, series, _ = take(export)
    assert len(table) == 1
    assert "missing or unevenly spaced" in reasons(series)[3]
    told = " ".join([*notes, *notes.values()])
    assert "cannot be read" in told
    assert "no T2-FLAIR among its 3 series" in told
    assert "Quastenflosser" not in told


@pytest.mark.parametrize(
    ("lost", "reason"), [(4000, "one of its files is truncated"), (500, "dcm2niix makes no image")]
)
def test_a_slice_cut_short_is_not_converted(export, take, lost, reason):
    folder = export / "Quastenflosser Annabella/3 flair"
    path = sorted(folder.iterdir())[3]
    path.write_bytes(path.read_bytes()[:-lost])
    *_, series, _ = take(export)
    assert reason in reasons(series)[3]


def test_a_file_exported_twice_counts_once(export, take):
    folder = export / "Quastenflosser Annabella/3 flair"
    copy = export / "again"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    table, _, series, _ = take(export)
    assert len(table) == 2
    assert series.set_index("series_number").loc[3, "slices"] == SLICES


def test_pixels_in_a_form_that_cannot_be_read_are_told_of(tmp_path, take, refused):
    folder = tmp_path / "in"
    write_classic(folder / "s", ANNA, "a", 3, FLAIR)
    for path in (folder / "s").iterdir():
        image = pydicom.dcmread(path)
        image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG2: never of MR
        image.PixelData = pydicom.encaps.encapsulate([b"\0" * 100])
        image["PixelData"].VR = "OB"
        image.save_as(path)
    out = tmp_path / "out"
    said = refused(
        "dicom", folder, "--nifti", out, "--salt-file", tmp_path / "s", out=out / "scans.tsv"
    )
    assert "no T2-FLAIR among its 1 series" in said
    assert "dcm2niix makes no image" in (out / "series.tsv").read_text()


def test_a_folder_without_dicom_is_refused(tmp_path, refused):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("x")
    said = refused(
        "dicom",
        tmp_path / "in",
        "--nifti",
        tmp_path / "o",
        "--salt-file",
        tmp_path / "s",
        out=tmp_path / "o/scans.tsv",
    )
    assert "1 file, none DICOM" in said


def test_an_id_is_asked_for(made, refused, tmp_path):
    said = refused("dicom", made, "--nifti", tmp_path / "o", out=tmp_path / "o/scans.tsv")
    assert "--salt-file" in said


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("msnmo.cohort.dicom_conversion.sys.executable", "/nowhere/python")
    from msnmo.cohort.dicom_conversion import program_path
    from msnmo.core.errors import InputError

    with pytest.raises(InputError, match="pip install dcm2niix"):
        program_path()


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        ({"EchoTime": 0.12, "InversionTime": 2.37}, ""),
        ({"EchoTime": 0.12, "InversionTime": 0.15}, "InversionTime 0.15"),
        ({"EchoTime": 0.009, "InversionTime": 2.0}, "not T2-weighted"),
        ({"EchoTime": 0.12, "SeriesDescription": "Ax T2 FLAIR"}, ""),
        ({"EchoTime": 0.12, "ProtocolName": "t2_tse_tra"}, "no name contains FLAIR"),
        ({"EchoTime": 0.12, "InversionTime": 2.4, "SeriesDescription": "DIR"}, "double inversion"),
        ({"InversionTime": 2.4}, "no echo time"),
        ({"EchoTime": 0.12, "InversionTime": 2.4, "ScanningSequence": "EP\\IR"}, "echo-planar"),
    ],
)
def test_physics_tells_a_flair_before_names(sidecar, said):
    reason = not_flair(sidecar)
    assert said in reason
    assert bool(reason) == bool(said)


def test_of_descriptions_only_the_words_of_mr_are_kept():
    assert plain_words("T2_SPACE dark-fluid sag, Müller 17.05.1963 1mm") == (
        "t2 space dark fluid sag ? 1mm"
    )
    assert plain_words("Quastenflosser^Annabella") == "?"
