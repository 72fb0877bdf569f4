"""The check's last word is right: what goes on, which folds, which methods."""

import pandas as pd
import pytest

from msnmo.check.verdict import COLUMNS, judge
from msnmo.settings.config import complete_config


def cohort(**subjects: int) -> pd.DataFrame:
    """A scan of each of so many subjects of a class, half of them at each of two sites."""
    rows = []
    for name, count in subjects.items():
        for place in range(count):
            subject = f"{name}{place}"
            diagnosis = "" if name == "new" else name
            mask = "" if name == "new" else f"/{subject}_mask.nii"
            site = "AB"[place % 2]
            rows.append((f"sub-{subject}", subject, diagnosis, f"/{subject}.nii", mask, site))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def config(**changed):
    return complete_config({"methods": ["joint", "unet"], **changed})


def test_a_cohort_that_can_be_run_is_told_in_numbers():
    verdict = judge(config(), cohort(MS=6, NMOSD=5, new=2))
    assert verdict.problems == ()
    assert verdict.text.splitlines()[:5] == [
        "13 scans of 13 subjects can be used.",
        "MS: 6 scans of 6 subjects; NMOSD: 5 scans of 5 subjects; for prediction only: 2 scans.",
        "Subjects by site: A (3 MS, 3 NMOSD), B (3 MS, 2 NMOSD).",
        "5 folds can be made (grouped).",
        "Methods that can be trained: joint, unet.",
    ]
    assert verdict.text.endswith("A run of everything can go on.")
    assert "hours" in verdict.text
    assert "disk" in verdict.text


def test_too_few_subjects_for_the_folds_are_told_with_a_remedy_that_the_config_takes():
    few = cohort(MS=6, NMOSD=2)
    verdict = judge(config(), few)
    (problem,) = verdict.problems
    assert problem.found == "2 subjects with this diagnosis"
    assert "set folds.k to at most 2" in problem.remedy
    assert verdict.text.endswith("A run of everything would stop: 1 problem.")
    assert judge(config(folds={"k": 2}), few).problems == (), "the remedy, followed"


def test_of_one_class_what_segments_alone_is_left():
    verdict = judge(config(), cohort(MS=6))
    assert verdict.problems == ()
    assert "Methods that can be trained: unet." in verdict.text
    assert "Left out, since the cohort has one class (MS): joint." in verdict.text


def test_scans_to_predict_only_train_nothing():
    verdict = judge(config(), cohort(new=3))
    (problem,) = verdict.problems
    assert "msnmo apply" in problem.remedy
    assert "Nothing can be trained." in verdict.text


def test_of_no_scan_nothing_is_told_but_that():
    lines = judge(config(), cohort()).text.splitlines()
    assert lines[:2] == ["0 scans of 0 subjects can be used.", "Nothing can be trained."]


def test_many_sites_are_counted():
    many = cohort(MS=10, NMOSD=10)
    many["site"] = [f"site {place}" for place in range(20)]
    assert "Sites: 20." in judge(config(), many).text


@pytest.mark.parametrize("split", ["site", "random"])
def test_other_splits_are_judged_too(split):
    verdict = judge(config(folds={"split": split}), cohort(MS=6, NMOSD=6))
    assert f"folds can be made ({split})." in verdict.text
