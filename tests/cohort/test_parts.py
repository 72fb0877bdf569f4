"""The lists of what a fold's jobs read: each side whole, apart, and of the files themselves."""

import pandas as pd
import pytest

from msnmo.cohort.folds import split_folds
from msnmo.cohort.parts import main, one_side, read_part
from msnmo.core.errors import DataLeakageError, InputError
from msnmo.core.files import write_tsv

FILES = ("image", "lesion")


@pytest.fixture
def study(tmp_path):
    """Six MS and six NMOSD scans of one subject each, of sites 0 and 1, and one without either."""
    rows = [
        (f"sub-{name}{n}", f"{name}{n}", None, name, "mask.nii.gz", str(n % 2))
        for name in ("MS", "NMOSD")
        for n in range(6)
    ]
    rows.append(("sub-New", "New", None, None, None, None))
    columns = ["scan", "subject", "session", "diagnosis", "lesion_mask", "site"]
    cohort = pd.DataFrame(rows, columns=columns)
    write_tsv(tmp_path / "results/cohort.tsv", cohort)
    for scan in cohort["scan"]:
        for name in FILES:
            (tmp_path / f"results/{scan}_{name}.nii.gz").write_text(scan + name)
    return tmp_path


def listed(study, side, *options, files=FILES, fold=0):
    out = study / f"results/folds/fold-{fold}/{side}.tsv"
    words = ["--cohort", study / "results/cohort.tsv", "--k", 3, "--seed", 1, "--fold", fold]
    for name in files:
        words += ["--pattern", f"{name}={study}/results/{{scan}}_{name}.nii.gz"]
    main([*map(str, [*words, "--side", side, "--out", out, *options])])
    return read_part(out, files)


def test_sides_are_those_of_the_folds_and_never_overlap(study):
    cohort = pd.read_csv(study / "results/cohort.tsv", sep="\t", dtype=str)
    folds = split_folds(cohort, 3, "grouped", 1).set_index("scan")["fold"]
    for fold in range(3):
        train, test = (listed(study, side, fold=fold) for side in ("train", "test"))
        assert set(test["scan"]) == set(folds.index[folds == fold])
        assert set(train["scan"]) == set(folds.index[folds != fold])
        assert list(train["scan"]) == sorted(train["scan"])


def test_a_site_left_out_is_on_one_side_and_leaves_both_classes_on_the_other(study):
    path = study / "results/cohort.tsv"
    options = ("--split", "site", "--classify")
    test = listed(study, "test", *options, fold=1)
    assert set(test["scan"].str[-1]) == {"1", "3", "5"}
    assert set(listed(study, "train", *options, fold=1)["scan"].str[-1]) == {"0", "2", "4"}
    cohort = pd.read_csv(path, sep="\t", dtype=str)
    of_one = cohort["diagnosis"].eq("MS") & cohort["site"].eq("0")
    write_tsv(path, cohort[~of_one])
    # the first scan is now of site 1
    assert set(listed(study, "train", "--split", "site")["diagnosis"]) == {"NMOSD"}
    with pytest.raises(InputError, match=r"fold 0, which tests site 1\b"):
        listed(study, "train", *options)


def test_moved_results_open_where_they_are(study):
    listed(study, "train")
    moved = study / "elsewhere"
    (study / "results").rename(moved)
    part = read_part(moved / "folds/fold-0/train.tsv", FILES)
    assert part["lesion"][0] == f"{moved}/{part['scan'][0]}_lesion.nii.gz"


def test_the_list_changes_with_its_own_files_alone(study):
    out = study / "results/folds/fold-0/train.tsv"
    trained = listed(study, "train")["scan"]
    tested = listed(study, "test")["scan"]
    before = out.read_bytes()
    (study / f"results/{tested[0]}_lesion.nii.gz").write_text("corrected")
    listed(study, "train")
    assert out.read_bytes() == before
    (study / f"results/{trained[0]}_lesion.nii.gz").write_text("corrected")
    listed(study, "train")
    assert out.read_bytes() != before
    images = listed(study, "train", files=("image",))
    assert "lesion" not in images


def test_a_subject_on_both_sides_is_refused_unless_the_split_is_random(study, capsys):
    folds = pd.DataFrame(
        {
            "scan": ["sub-A_ses-1", "sub-A_ses-2", "sub-B"],
            "subject": ["A", "A", "B"],
            "diagnosis": ["MS", "MS", "NMOSD"],
            "fold": [0, 1, 1],
        }
    )
    with pytest.raises(DataLeakageError, match=r"\(A\)"):
        one_side(folds, 0, "train", allow_leak=False)
    assert list(one_side(folds, 0, "train", allow_leak=True)["scan"]) == ["sub-A_ses-2", "sub-B"]
    assert "data leak: 1 subject (A)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda table: pd.concat([table, table[:1]]), "more than once"),
        (lambda table: table[:0], "at least one scan"),
        (lambda table: table.drop(columns="image"), "no column image"),
    ],
)
def test_a_damaged_list_is_named(study, edit, words):
    write_tsv(study / "part.tsv", edit(listed(study, "test")))
    with pytest.raises(InputError, match=words) as raised:
        read_part(study / "part.tsv", FILES)
    assert raised.value.findings[0].file == str(study / "part.tsv")


def test_a_fold_that_is_not_there_and_a_missing_file_are_named(study):
    with pytest.raises(InputError, match="a fold from 0 to 2"):
        listed(study, "test", fold=3)
    scan = listed(study, "test")["scan"][0]
    (study / f"results/{scan}_image.nii.gz").unlink()
    with pytest.raises(InputError, match=f"the image of scan {scan}"):
        listed(study, "test")
