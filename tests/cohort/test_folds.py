"""No subject on both sides, every scan tested once, each class in each fold."""

import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msnmo.cohort import folds as folds_module
from msnmo.cohort.balance import folds_note, strata, told_of_balance
from msnmo.cohort.folds import (
    count_folds,
    leaking_subjects,
    read_folds,
    refuse_leak,
    refuse_one_class,
    split_folds,
    write_folds,
)
from msnmo.core.diagnoses import NO_DIAGNOSIS, VARIABLE
from msnmo.core.errors import DataLeakageError, InputError
from msnmo.core.files import write_tsv


def make_cohort(scans_by_class):
    """One row a scan; `scans_by_class` gives the number of scans of each subject of a class."""
    rows = [
        (f"sub-{diagnosis or 'x'}{subject}_ses-{visit}", f"{diagnosis or 'x'}{subject}", diagnosis)
        for diagnosis, counts in scans_by_class.items()
        for subject, count in enumerate(counts)
        for visit in range(count)
    ]
    return pd.DataFrame(rows, columns=["scan", "subject", "diagnosis"])


PAPER = make_cohort({"MS": [4, 4, 4, 4, 5] + [1] * 48, "NMOSD": [1] * 62})
scans_of_subjects = st.lists(st.integers(1, 6), min_size=5, max_size=25)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.fixed_dictionaries(
        {
            "MS": scans_of_subjects,
            "NMOSD": scans_of_subjects,
            "": st.lists(st.integers(1, 2), max_size=2),
        }
    ),
    k=st.integers(2, 5),
    seed=st.integers(0, 2**31),
    order=st.randoms(use_true_random=False),
)
def test_grouped_folds_of_any_cohort(counts, k, seed, order):
    cohort = make_cohort(counts)
    folds = split_folds(cohort, k, "grouped", seed)

    known = cohort[cohort["diagnosis"] != ""]
    assert sorted(folds["scan"]) == sorted(known["scan"])
    assert (folds.groupby("subject")["fold"].nunique() == 1).all()
    assert set(folds.groupby("fold")["diagnosis"].nunique()) == {2}
    assert sorted(folds["fold"].unique()) == list(range(k))
    assert [leaking_subjects(folds, fold) for fold in range(k)] == [[]] * k

    shuffled = order.sample(range(len(cohort)), len(cohort))
    pd.testing.assert_frame_equal(split_folds(cohort.iloc[shuffled], k, "grouped", seed), folds)


@settings(max_examples=30, deadline=None)
@given(ms=scans_of_subjects, nmosd=scans_of_subjects, k=st.integers(2, 5), seed=st.integers(0, 99))
def test_scans_of_a_class_are_spread_as_evenly_as_its_subjects_allow(ms, nmosd, k, seed):
    cohort = make_cohort({"MS": ms, "NMOSD": nmosd})
    folds = split_folds(cohort, k, "grouped", seed)
    counts = folds.groupby(["diagnosis", "fold"]).size()
    for diagnosis, sizes in (("MS", ms), ("NMOSD", nmosd)):
        # whoever goes to the emptiest fold, largest first, leaves at most one subject's difference
        assert counts[diagnosis].max() - counts[diagnosis].min() <= max(sizes)


def test_the_papers_cohort_is_balanced_to_one_scan():
    folds = split_folds(PAPER, 5, "grouped", seed=0)
    counts = folds.groupby(["diagnosis", "fold"]).size()
    assert sorted(counts["MS"]) == [13, 14, 14, 14, 14]
    assert sorted(counts["NMOSD"]) == [12, 12, 12, 13, 13]


def with_sites(cohort, *sites):
    """Give the subjects of each class the sites in turn."""
    number = cohort["subject"].str.extract(r"(\d+)")[0].astype(int)
    return cohort.assign(site=[sites[each % len(sites)] for each in number])


@settings(max_examples=60, deadline=None)
@given(
    ms=scans_of_subjects,
    nmosd=scans_of_subjects,
    sites=st.integers(1, 6),
    k=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_sites_are_balanced_within_classes(ms, nmosd, sites, k, seed):
    """And each class is still in each fold, whatever sites there are."""
    cohort = with_sites(make_cohort({"MS": ms, "NMOSD": nmosd}), *"abcdef"[:sites])
    folds = split_folds(cohort, k, "grouped", seed)
    assert (folds.groupby("subject")["fold"].nunique() == 1).all()
    assert set(folds.groupby("fold")["diagnosis"].nunique()) == {2}
    merged = folds.merge(cohort[["scan", "site"]], on="scan")
    for diagnosis, sizes in (("MS", ms), ("NMOSD", nmosd)):
        for site in range(sites):
            of_site = sizes[site::sites]
            if len(of_site) >= k:
                rows = merged["diagnosis"].eq(diagnosis) & merged["site"].eq("abcdef"[site])
                counts = merged[rows].groupby("fold").size().reindex(range(k), fill_value=0)
                assert counts.max() - counts.min() <= max(of_site)


def test_a_site_tells_no_class_of_a_fold_by_its_share():
    """Three sites in equal shares of two classes: each fold has the same of each."""
    cohort = with_sites(make_cohort({"MS": [1] * 18, "NMOSD": [1] * 18}), "a", "b", "c")
    folds = split_folds(cohort, 3, "grouped", 0).merge(cohort[["scan", "site"]], on="scan")
    assert set(folds.groupby(["fold", "diagnosis", "site"]).size()) == {2}


def test_folds_follow_from_who_shares_a_site_and_not_from_its_name():
    cohort = with_sites(PAPER, "a", "b")
    folds = split_folds(cohort, 5, "grouped", 0)
    renamed = cohort.assign(site=cohort["site"].map({"a": "Z\u00fcrich", "b": "A"}))
    pd.testing.assert_frame_equal(split_folds(renamed, 5, "grouped", 0), folds)
    # a site of too few subjects to be in each fold changes nothing, however it is called
    few = with_sites(make_cohort({"MS": [1] * 4, "NMOSD": [1] * 4}), "a", "b", "c", "d")
    alone = split_folds(few.drop(columns="site"), 2, "grouped", 0)
    for empty in (few, few.assign(site=""), few.assign(site=None)):
        pd.testing.assert_frame_equal(split_folds(empty, 2, "grouped", 0), alone)


def test_a_subject_of_two_sites_is_of_that_of_most_scans():
    cohort = make_cohort({"MS": [3, 2], "NMOSD": [1]})
    cohort["site"] = ["b", "a", "b", "b", "a", "c"]
    found = strata(cohort, 1)
    assert found.tolist() == ["MS, b"] * 3 + ["MS, a"] * 2 + ["NMOSD, c"]


def test_what_cannot_be_balanced_is_said():
    cohort = with_sites(make_cohort({"MS": [1] * 7, "NMOSD": [1] * 3}), "a", "a", "a", "a", "b")
    balanced, few = told_of_balance(cohort, 3)
    assert balanced == (
        "balanced over folds: MS, a (6 subjects); MS, other sites (1 subject); "
        "NMOSD, a (3 subjects)"
    )
    assert few == "fewer than 3 subjects, balanced within other sites only: MS, b (1)"


SITES = pd.DataFrame(
    [
        ("sub-a1", "a1", "NMOSD", "Rome"),
        ("sub-b1", "b1", "MS", "Bern"),
        ("sub-b2", "b2", "NMOSD", "Bern"),
        ("sub-c1_ses-1", "c1", "MS", "Rome"),
        ("sub-c1_ses-2", "c1", "MS", "Bern"),
        ("sub-c1_ses-3", "c1", "MS", "Bern"),
        ("sub-d1", "d1", "MS", "10"),
        ("sub-e1", "e1", "", ""),
    ],
    columns=["scan", "subject", "diagnosis", "site"],
)
"""Rome has one NMOSD scan, Bern three MS of two subjects and one NMOSD; c1 was once in Rome."""


def test_each_site_is_left_out_once_with_all_scans_of_its_subjects():
    folds = split_folds(SITES, 5, "site", 0)
    assert count_folds(SITES, 5, "site") == 3
    assert count_folds(SITES, 5, "grouped") == 5
    # in the order of the scans: Rome, Bern, 10
    assert folds.set_index("scan")["fold"].to_dict() == {
        "sub-a1": 0,
        "sub-b1": 1,
        "sub-b2": 1,
        "sub-c1_ses-1": 1,
        "sub-c1_ses-2": 1,
        "sub-c1_ses-3": 1,
        "sub-d1": 2,
    }
    for other_k, other_seed in ((2, 0), (5, 9)):
        pd.testing.assert_frame_equal(split_folds(SITES, other_k, "site", other_seed), folds)
    shuffled = SITES.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(split_folds(shuffled, 5, "site", 0), folds)


@settings(max_examples=30, deadline=None)
@given(ms=scans_of_subjects, nmosd=scans_of_subjects, sites=st.integers(2, 5))
def test_no_site_and_no_subject_is_on_both_sides_of_a_fold_of_a_site(ms, nmosd, sites):
    cohort = with_sites(make_cohort({"MS": ms, "NMOSD": nmosd}), *"abcde"[:sites])
    folds = split_folds(cohort, 5, "site", 0).merge(cohort[["scan", "site"]], on="scan")
    assert sorted(folds["scan"]) == sorted(cohort["scan"])
    assert (folds.groupby("site")["fold"].nunique() == 1).all()
    assert (folds.groupby("fold")["site"].nunique() == 1).all()
    assert (folds.groupby("subject")["fold"].nunique() == 1).all()
    assert sorted(folds["fold"].unique()) == list(range(count_folds(cohort, 5, "site")))


def test_a_sites_name_moves_no_fold():
    renamed = SITES.assign(site=SITES["site"].map({"Rome": "Aa", "Bern": "Zz", "10": "Mm"}))
    pd.testing.assert_frame_equal(
        split_folds(renamed, 5, "site", 0), split_folds(SITES, 5, "site", 0)
    )


def test_what_folds_of_sites_cannot_balance_is_said():
    each, alone, moved = told_of_balance(SITES, 5, "site")
    assert each.endswith(
        "nothing is balanced: 0: Rome (0 MS, 1 NMOSD scans); 1: Bern (4 MS, 1 NMOSD scans); "
        "2: 10 (1 MS, 0 NMOSD scans)"
    )
    assert alone.endswith("rate for the other class: Rome (NMOSD); 10 (MS)")
    assert moved == "with scans from several sites, in the fold of most: 1 subject (c1)"
    both = SITES[SITES["site"].isin(["Bern"])]
    twin = both.assign(scan=both["scan"] + "x", subject=both["subject"] + "x", site="Turin")
    assert len(told_of_balance(pd.concat([both, twin]), 5, "site")) == 1


def test_the_note_of_tables_says_the_split_and_every_line():
    for split in ("grouped", "site", "random"):
        note = folds_note(SITES, 2, split)
        assert note.startswith(f"Folds ({split}): ")
        assert note.endswith(".")
        assert all(line[1:] in note for line in told_of_balance(SITES, 2, split))
        assert not re.search(r"\. [a-z]", note), "a sentence begins with a capital letter"


def test_the_note_of_tables_says_how_often_folds_were_drawn():
    once, twice = (folds_note(SITES, 2, "grouped", repeats) for repeats in (1, 2))
    assert "repeated" not in once
    assert twice.startswith(once)
    assert "repeated 2 times, each time with its own seed and 2 new folds" in twice


def test_fewer_than_two_sites_or_a_scan_without_one_is_refused_with_a_remedy():
    with pytest.raises(InputError, match=r"found:\s+one: Bern") as caught:
        split_folds(SITES[SITES["site"] == "Bern"], 5, "site", 0)
    (finding,) = caught.value.findings
    assert "at least two sites" in finding.expected
    assert "folds.split: grouped" in finding.remedy
    with pytest.raises(InputError, match=r"found:\s+none of sub-b1$|none of sub-b1\n") as caught:
        split_folds(SITES.assign(site=["Rome", None, *SITES["site"][2:]]), 5, "site", 0)
    assert "fill the column site" in caught.value.findings[0].remedy
    many = make_cohort({"MS": [1] * 6, "NMOSD": [1] * 6}).assign(site=None)
    with pytest.raises(InputError, match="sub-NMOSD3_ses-0 and 2 more"):
        split_folds(many, 5, "site", 0)
    with pytest.raises(InputError, match=r"found:\s+none"):
        split_folds(SITES[:0], 5, "site", 0)


def test_training_scans_of_one_class_are_refused_and_the_site_is_named():
    cohort = SITES[SITES["site"] != "Rome"]  # only Bern has an NMOSD scan
    folds = split_folds(cohort, 5, "site", 0)
    refuse_one_class(folds, 1, cohort)
    with pytest.raises(InputError) as caught:
        refuse_one_class(folds, 0, cohort)
    (finding,) = caught.value.findings
    assert finding.file == "fold 0, which tests site Bern"
    assert finding.found == "only MS: all others are of site Bern"
    assert "folds.only" in finding.remedy


def test_random_split_tests_every_scan_once_and_leaks():
    folds = split_folds(PAPER, 5, "random", seed=0)
    assert sorted(folds["scan"]) == sorted(PAPER["scan"])
    assert sorted(folds.groupby("fold").size()) == [26, 26, 26, 26, 27]
    repeated = {f"MS{subject}" for subject in range(5)}
    leaking = set().union(*(leaking_subjects(folds, fold) for fold in range(5)))
    assert leaking
    assert leaking <= repeated


def test_seed_changes_the_folds():
    one, other = (split_folds(PAPER, 5, "grouped", seed)["fold"] for seed in (0, 1))
    assert not one.equals(other)


def test_missing_diagnosis_is_left_out_however_it_is_written():
    cohort = make_cohort({"MS": [1] * 3, "NMOSD": [1] * 3, "": [2]})
    as_nan = cohort.assign(diagnosis=cohort["diagnosis"].replace("", None))
    for table in (cohort, as_nan):
        assert set(split_folds(table, 3, "grouped", 0)["diagnosis"]) == {"MS", "NMOSD"}


def test_too_few_subjects_names_every_class_and_the_remedy():
    cohort = make_cohort({"MS": [9, 9, 9], "NMOSD": [1] * 4})  # many scans do not help
    with pytest.raises(InputError) as caught:
        split_folds(cohort, 5, "grouped", 0)
    ms, nmosd = caught.value.findings
    assert "MS" in ms.file
    assert ms.found.startswith("3 subjects")
    assert "at least 5 subjects" in ms.expected
    assert "set folds.k to at most 3" in ms.remedy
    assert nmosd.found.startswith("4 subjects")


def test_one_fold_is_refused():
    with pytest.raises(InputError, match="at least 2 folds"):
        split_folds(PAPER, 1, "grouped", 0)


@pytest.mark.parametrize("split", ["grouped", "random", "site"])
def test_a_cohort_of_one_class_is_split(split):
    cohort = make_cohort({"MS": [3, 1, 1, 1, 2, 1]}).assign(site=list("AAAAAABBB"))
    folds = split_folds(cohort, 2, split, 0)
    assert sorted(folds["scan"]) == sorted(cohort["scan"])
    assert sorted(folds["fold"].unique()) == [0, 1]
    assert set(folds["diagnosis"]) == {"MS"}
    if split != "random":
        assert not leaking_subjects(folds, 0)
    assert "NMOSD" not in folds_note(cohort, 2, split)


def unnamed(visits):
    """Scans with lesion masks and no diagnosis, and one without a mask."""
    cohort = make_cohort({"": [*visits, 1]})
    masks = ["mask.nii.gz"] * (len(cohort) - 1) + [None]
    return cohort.assign(site="Bern", lesion_mask=masks)


def test_masks_without_a_diagnosis_are_split_and_balanced_by_site():
    cohort = unnamed([2, 1, 1, 1])
    folds = split_folds(cohort, 2, "grouped", 0)
    assert sorted(folds["scan"]) == sorted(cohort["scan"][:-1])
    assert set(folds["diagnosis"]) == {NO_DIAGNOSIS}
    assert told_of_balance(cohort, 2) == ["balanced over folds: no diagnosis, Bern (4 subjects)"]
    sites = cohort.assign(site=["A", "A", "B", "B", "C", "C"][: len(cohort)])
    assert "0: A (2 scans); 1: B (2 scans)" in told_of_balance(sites, 2, "site")[0]


def test_a_class_and_masks_without_one_are_split_together():
    cohort = unnamed([1, 1]).assign(diagnosis=["MS", "", ""])
    folds = split_folds(cohort, 2, "grouped", 0)
    assert sorted(folds["fold"]) == [0, 1]
    assert set(folds["diagnosis"]) == {"MS", NO_DIAGNOSIS}


@pytest.mark.parametrize(
    ("cohort", "found", "remedy"),
    [
        (make_cohort({"MS": [4, 4]}), "2 subjects with this diagnosis", "with diagnosis MS or set"),
        (unnamed([4, 4]), "2 subjects with a lesion mask", "subjects with a lesion mask or set"),
        (unnamed([]), "0 subjects with a lesion mask", "subjects with a lesion mask"),
    ],
)
def test_fewer_subjects_than_folds_are_refused_whatever_their_class(cohort, found, remedy):
    with pytest.raises(InputError) as refused:
        split_folds(cohort, 3, "grouped", 0)
    (finding,) = refused.value.findings
    assert finding.found == found
    assert remedy in finding.remedy


def test_folds_follow_the_labels_of_the_config(monkeypatch):
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    cohort = make_cohort({"MS": [1] * 4, "MOGAD": [1] * 4, "NMOSD": [1] * 4}).assign(site="A")
    folds = split_folds(cohort, 2, "grouped", 0)
    assert set(folds["diagnosis"]) == {"MS", "MOGAD"}
    assert told_of_balance(cohort, 2, "site")[0].endswith("0: A (4 MS, 4 MOGAD scans)")
    assert folds.groupby("fold")["diagnosis"].value_counts().eq(2).all()


LEAKY = pd.DataFrame(
    {
        "scan": ["sub-a_ses-1", "sub-a_ses-2", "sub-b_ses-1", "sub-b_ses-2", "sub-c"],
        "subject": ["a", "a", "b", "b", "c"],
        "diagnosis": ["MS", "MS", "NMOSD", "NMOSD", "MS"],
        "fold": [0, 1, 0, 1, 2],
    }
)


def test_leak_is_refused_naming_all_subjects():
    with pytest.raises(DataLeakageError, match=r"2 subjects \(a, b\).* fold 0"):
        refuse_leak(LEAKY, 0, allow=False)
    refuse_leak(LEAKY, 2, allow=False)


def test_allowed_leak_is_printed_with_its_count(capsys):
    refuse_leak(LEAKY, 1, allow=True)
    assert "2 subjects (a, b)" in capsys.readouterr().out
    refuse_leak(LEAKY, 2, allow=True)
    assert capsys.readouterr().out == ""


def test_unknown_fold_is_no_fold_without_a_leak():
    with pytest.raises(ValueError, match="no fold 7"):
        refuse_leak(LEAKY, 7, allow=False)


def test_folds_survive_the_file(tmp_path):
    folds = split_folds(PAPER.assign(subject="00" + PAPER["subject"]), 5, "grouped", 3)
    write_tsv(tmp_path / "folds.tsv", folds)
    pd.testing.assert_frame_equal(read_folds(tmp_path / "folds.tsv"), folds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="fold"), "no column fold"),
        (lambda t: t.assign(fold=["0", "1", "0", "1", "n/a"]), "problem"),
        (lambda t: t.assign(fold=["0", "1", "0", "1", "half"]), "half"),
        (lambda t: t.assign(fold=[0, 1, 0, 1, 3]), "0, 1, 3"),
        (lambda t: t.assign(fold=[1, 1, 2, 2, 1]), "1, 2"),
        (lambda t: t.assign(fold=0), "at least two"),
        (lambda t: t.iloc[:0], "at least two"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "sub-a_ses-1 more than once"),
        (lambda t: t.assign(diagnosis=["MS", "MS", "NMOSD", "HC", "MS"]), "sub-b_ses-2"),
        (lambda t: t.assign(subject=["a", "a", "b", None, "c"]), "an empty cell"),
        (lambda t: t.assign(diagnosis=["MS", "NMOSD", "MS", "MS", "MS"]), "several of 1 subject"),
    ],
)
def test_damaged_folds_are_refused(tmp_path, change, message):
    write_tsv(tmp_path / "folds.tsv", change(LEAKY))
    with pytest.raises(InputError, match=message):
        read_folds(tmp_path / "folds.tsv")


def change(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: change(text, "\tMS\t", "\tNMOSD\t"),
        lambda text: "\n".join(text.splitlines()[:-1]) + "\n",
        lambda text: text + text.splitlines()[1].replace("sub-", "sub-new") + "\n",
        lambda text: change(text, "\tMS\t0\t", "\tMS\t1\t"),
        lambda text: change(text, "\nsub-", '\n"sub-'),
        lambda text: change(text, "\t0\t", '"\t0\t'),
        lambda text: change(change(text, "\nsub-", '\n"sub-'), "\t1\t", '\t1"\t'),
    ],
    ids=["diagnosis", "row lost", "row added", "fold", "quote", "quote within", "rows in quotes"],
)
def test_folds_edited_by_hand_are_refused(tmp_path, edit):
    path = tmp_path / "folds.tsv"
    write_folds(path, split_folds(PAPER, 5, "grouped", 3))
    pd.testing.assert_frame_equal(read_folds(path), split_folds(PAPER, 5, "grouped", 3))
    path.write_text(edit(path.read_text()))
    with pytest.raises(InputError, match="delete the file and run the workflow again"):
        read_folds(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\n".join(f"{line}\tnote" for line in text.splitlines()) + "\n\n",
        lambda text: re.sub(r"[^\t\n]+", r'"\g<0>"', text),
    ],
    ids=["line ends", "byte-order mark", "a column more", "quoted"],
)
def test_what_a_spreadsheet_adds_to_folds_changes_nothing(tmp_path, edit):
    path = tmp_path / "folds.tsv"
    folds = split_folds(PAPER, 5, "grouped", 3)
    write_folds(path, folds)
    path.write_bytes(edit(path.read_text()).encode())
    pd.testing.assert_frame_equal(read_folds(path), folds)


def test_zeros_that_a_spreadsheet_drops_are_not_taken_for_other_subjects(tmp_path):
    path = tmp_path / "folds.tsv"
    folds = split_folds(PAPER, 5, "grouped", 3)
    numbers = folds["subject"].map(
        {name: f"{place:04d}" for place, name in enumerate(folds["subject"].unique(), 1)}
    )
    write_folds(path, folds.assign(subject=numbers))
    path.write_text(re.sub(r"\t0+([1-9])", r"\t\1", path.read_text()))
    with pytest.raises(InputError, match="rows that were edited"):
        read_folds(path)


def run_main(*arguments):
    folds_module.main([*map(str, arguments)])


def test_command_prints_leaks_left_out_scans_and_absent_classes(tmp_path, capsys):
    cohort = make_cohort({"MS": [4, 4], "NMOSD": [1, 1], "": [3]}).assign(site=None)
    write_tsv(tmp_path / "cohort.tsv", cohort.replace("", None))
    arguments = ["--cohort", tmp_path / "cohort.tsv", "--k", 2, "--seed", 2]
    run_main(*arguments, "--split", "random", "--out", tmp_path / "random.tsv")
    printed = capsys.readouterr().out
    assert "3 scans without a lesion mask" in printed
    assert "data leak: 2 subjects (MS0, MS1)" in printed
    assert "nothing is balanced" in printed

    run_main(*arguments, "--out", tmp_path / "grouped.tsv")
    printed = capsys.readouterr().out
    assert "no data leak" in printed
    assert (
        "balanced over folds: MS, no site given (2 subjects); NMOSD, no site given (2 subjects)"
        in printed
    )
    assert len(read_folds(tmp_path / "grouped.tsv")) == 10

    sites = pd.concat([cohort.assign(site="A"), LEAKY.assign(site="B")]).replace("", None)
    write_tsv(tmp_path / "cohort.tsv", sites)
    run_main(*arguments, "--split", "site", "--out", tmp_path / "site.tsv")
    printed = capsys.readouterr().out
    assert "0: A (8 MS, 2 NMOSD scans); 1: B (3 MS, 2 NMOSD scans)" in printed
    assert "no data leak" in printed

    absent = LEAKY.assign(fold=[0, 0, 0, 0, 1])
    folds_module._report(LEAKY, absent, "random", 2)
    assert "warning: fold 1 tests no scan of class NMOSD" in capsys.readouterr().out


@pytest.mark.parametrize("nothing", [None, ""])
def test_scans_that_can_only_be_judged_by_are_no_part_of_folds(nothing):
    cohort = make_cohort({"MS": [1] * 4, "NMOSD": [1] * 4, "": [1]}).assign(lesion_mask="m.nii")
    cohort.loc[cohort["diagnosis"] == "", "lesion_mask"] = nothing
    assert len(split_folds(cohort, 2, "grouped", 1)) == 8
    cohort.loc[[1, 6], "lesion_mask"] = nothing
    with pytest.raises(InputError, match=r"none of sub-MS1_ses-0, sub-NMOSD2_ses-0"):
        split_folds(cohort, 2, "grouped", 1)
