"""The manifest names the files of every scan, and every one that is not there."""

import json
from pathlib import Path

import pandas as pd
import pytest

from msnmo.cohort import manifest
from msnmo.cohort.manifest import PATTERNS, build_manifest, parse_patterns
from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_tsv

COHORT = pd.DataFrame(
    {
        "scan": ["sub-001_ses-2", "sub-B"],
        "subject": ["001", "B"],
        "session": ["2", None],
        "diagnosis": ["NMOSD", None],
        "lesion_mask": ["/raw/m1.nii.gz;/raw/m2.nii.gz", None],
    }
)


def patterns_in(folder):
    return {name: f"{folder}/{{folder}}/{{scan}}_{name}_{{subject}}.nii.gz" for name in PATTERNS}


@pytest.fixture
def preprocessed(tmp_path):
    """Every file that the two scans of COHORT must have."""
    for scan, subject, folder in (
        ("sub-001_ses-2", "001", "sub-001/ses-2"),
        ("sub-B", "B", "sub-B"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        for name in PATTERNS:
            if scan != "sub-B" or "lesion" not in name:
                (tmp_path / folder / f"{scan}_{name}_{subject}.nii.gz").touch()
    return tmp_path


def test_paths_of_every_scan(preprocessed):
    table = build_manifest(COHORT, patterns_in(preprocessed))
    assert list(table.columns) == ["scan", "subject", "diagnosis", *PATTERNS, "content"]
    first, second = table.to_dict("records")
    for name in PATTERNS:
        path = f"{preprocessed}/sub-001/ses-2/sub-001_ses-2_{name}_001.nii.gz"
        assert first[name] == path
    assert second["image"] == f"{preprocessed}/sub-B/sub-B_image_B.nii.gz"
    assert pd.isna(second["lesion"])
    assert pd.isna(second["native_lesion"])
    assert Path(second["native_brain"]).is_file()


def test_every_missing_file_is_named_at_once(preprocessed):
    gone = [
        preprocessed / "sub-001/ses-2/sub-001_ses-2_lesion_001.nii.gz",
        preprocessed / "sub-001/ses-2/sub-001_ses-2_sidecar_001.nii.gz",
        preprocessed / "sub-B/sub-B_image_B.nii.gz",
    ]
    for path in gone:
        path.unlink()
    with pytest.raises(InputError) as caught:
        build_manifest(COHORT, patterns_in(preprocessed))
    assert [finding.file for finding in caught.value.findings] == list(map(str, gone))
    assert "sidecar of scan sub-001_ses-2" in caught.value.findings[1].expected


def run_main(*arguments):
    manifest.main([*map(str, arguments)])


def test_the_folder_of_the_scans_is_described_as_a_bids_derivative(preprocessed):
    write_tsv(preprocessed / "cohort.tsv", COHORT)
    patterns = [f"--pattern={name}={path}" for name, path in patterns_in(preprocessed).items()]
    out = preprocessed / "manifest.tsv"
    run_main(f"--cohort={preprocessed / 'cohort.tsv'}", f"--out={out}", *patterns)
    assert not list(preprocessed.glob("*.json"))
    folder = f"--derivatives={preprocessed}"
    run_main(f"--cohort={preprocessed / 'cohort.tsv'}", f"--out={out}", *patterns, folder)
    written = {path.name: json.loads(path.read_text()) for path in preprocessed.glob("*.json")}
    assert set(written) == set(manifest.DESCRIBING_DERIVATIVES)
    assert written["dataset_description.json"]["DatasetType"] == "derivative"
    assert written["FLAIR.json"]["SkullStripped"] is True
    assert all("SpatialReference" in written[name] for name in ("FLAIR.json", "mask.json"))


def test_command_keeps_leading_zeros_and_writes_missing_as_na(preprocessed):
    write_tsv(preprocessed / "cohort.tsv", COHORT)
    out = preprocessed / "manifest.tsv"
    options = [f"--pattern={name}={path}" for name, path in patterns_in(preprocessed).items()]
    run_main("--cohort", preprocessed / "cohort.tsv", *options, "--out", out)
    columns = dict.fromkeys(["scan", "subject", "diagnosis", *PATTERNS], str)
    table = read_tsv(out, columns)
    assert list(table["subject"]) == ["001", "B"]
    assert table["lesion"].isna().tolist() == [False, True]
    assert out.read_text().splitlines()[2].split("\t")[2] == "n/a"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: {**p, "image": "{folder}/image.nii.gz"}, r"needs \{scan\}"),
        (lambda p: {**p, "image": "{scan}/{session}.nii.gz"}, "session"),
        (lambda p: {**p, "image": "{scan.nii.gz"}, r"image=\{scan.nii.gz"),
        (lambda p: {**p, "mask": "{scan}.nii.gz"}, "takes each of image"),
    ],
)
def test_wrong_patterns_are_refused_as_a_wrong_command(change, message, capsys):
    options = [f"{name}={path}" for name, path in change(patterns_in("x")).items()]
    with pytest.raises(ValueError, match=message):
        parse_patterns(options)
    command = [word for option in options for word in ("--pattern", option)]
    with pytest.raises(SystemExit) as stopped:
        run_main("--cohort", "c.tsv", *command, "--out", "m.tsv")
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_content_changes_with_a_file_and_with_no_other_thing(preprocessed):
    before = build_manifest(COHORT, patterns_in(preprocessed))
    path = Path(before["image"].iloc[0])
    path.write_bytes(path.read_bytes())
    same = build_manifest(COHORT, patterns_in(preprocessed))
    assert same.equals(before)
    path.write_bytes(path.read_bytes() + b"x")
    changed = build_manifest(COHORT, patterns_in(preprocessed))
    assert list(changed["content"] != before["content"]) == [True, *[False] * (len(COHORT) - 1)]
