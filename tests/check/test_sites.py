"""Where site tells class it is said, by a rule worked out by hand."""

from math import comb, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from msnmo.check.across import compare_scans
from msnmo.check.sites import LEVEL, TELLING, count_subjects, cramers_v, exact_p, telling_sites


def cohort(**counts):
    """A cohort of so many MS and NMOSD subjects of each site, one scan each."""
    rows = [
        (f"sub-{site}{name}{n}", f"{site}{name}{n}", name, "" if site == "none" else site)
        for site, of_classes in counts.items()
        for name, count in zip(("MS", "NMOSD"), of_classes, strict=True)
        for n in range(count)
    ]
    table = pd.DataFrame(rows, columns=["scan", "subject", "diagnosis", "site"])
    return table.assign(flair=table["scan"] + ".nii.gz")


def test_v_is_corrected_for_chance_by_hand():
    # 2 x 2, 20 subjects: chi2 = 20 (8 * 8 - 2 * 2)^2 / (10 * 10 * 10 * 10) = 7.2
    counts = np.array([[8, 2], [2, 8]])
    phi2, least = 7.2 / 20 - 1 / 19, 2 - 1 / 19 - 1
    assert cramers_v(counts) == pytest.approx(sqrt(phi2 / least))
    # both margins are 10, 10: two tables are as rare, each side's sum is doubled
    tail = sum(comb(10, k) * comb(10, 10 - k) for k in (8, 9, 10)) / comb(20, 10)
    assert exact_p(counts) == pytest.approx(2 * tail)
    assert cramers_v(np.array([[10, 0], [0, 10]])) == pytest.approx(1)
    assert cramers_v(np.array([[5, 5], [5, 5]])) == 0
    # 3 x 2 and V of chance alone: chi2 = 2 of 12 subjects, expected (3 - 1) (2 - 1) = 2
    assert cramers_v(np.array([[3, 1], [2, 2], [1, 3]])) == 0


def test_p_of_several_sites_is_simulated_the_same_each_time():
    counts = np.array([[6, 1], [1, 6], [4, 4]])
    # tables of these margins, by the probability of their first column
    total, ms = comb(22, 11), [(a, b, 11 - a - b) for a in range(8) for b in range(8)]
    chance = {
        each: comb(7, each[0]) * comb(7, each[1]) * comb(8, each[2]) / total
        for each in ms
        if 0 <= each[2] <= 8
    }
    exact = sum(p for p in chance.values() if p <= chance[6, 1, 4] * (1 + 1e-9))
    assert sum(chance.values()) == pytest.approx(1)
    assert exact_p(counts) == pytest.approx(exact, abs=0.006)
    assert exact_p(counts) == exact_p(counts)


def test_a_warning_says_the_rule_its_numbers_and_the_sites_of_one_class():
    (reported,) = telling_sites(cohort(Bern=(12, 0), Rome=(4, 6), Graz=(0, 5)))
    finding = reported.finding
    assert (reported.severity, reported.scan) == ("warning", "cohort")
    assert f"V of diagnosis and site below {TELLING:g}" in finding.expected
    assert f"of {LEVEL:g} or more" in finding.expected
    assert finding.found.startswith("V 0.")
    assert "p below 0.0001" in finding.found or "p 0.000" in finding.found
    assert "of 27 subjects at 3 sites" in finding.found
    assert finding.found.endswith("with one class only: Bern (12 MS), Graz (5 NMOSD)")
    assert "folds.split: site" in finding.remedy


def test_both_parts_of_the_rule_are_needed():
    few, weak = cohort(A=(2, 0), B=(0, 2)), cohort(A=(120, 80), B=(80, 120))
    for table in (few, weak):
        v, p = (each(count_subjects(table).to_numpy()) for each in (cramers_v, exact_p))
        assert (v >= TELLING) != (p < LEVEL)
    # four subjects cannot show it; their sites are noted
    (reported,) = telling_sites(few)
    assert reported.severity == "note"
    assert reported.finding.found == "sites with one class only: A (2 MS), B (2 NMOSD)"
    assert list(telling_sites(weak)) == []


def test_many_small_sites_do_not_tell_by_chance():
    rng, said = np.random.default_rng(4), 0
    for _ in range(60):
        table = cohort(A=(30, 30)).assign(site=[f"s{n}" for n in rng.integers(0, 12, 60)])
        plain = stats.contingency.association(count_subjects(table).to_numpy())
        assert plain > 0.15
        said += any(each.severity == "warning" for each in telling_sites(table))
    # of 60 at a level of 0.05, more than 8 come about three times in a thousand
    assert said <= 8


def test_subjects_count_once_and_those_without_a_site_or_class_do_not():
    scans = cohort(A=(9, 1), B=(1, 9), none=(5, 5))
    twice = pd.concat([scans, scans.assign(scan=scans["scan"] + "_ses-2")])
    odd = scans.iloc[:1].assign(scan="sub-x", subject="x", diagnosis="")
    assert count_subjects(pd.concat([twice, odd])).to_numpy().tolist() == [[9, 1], [1, 9]]


@pytest.mark.parametrize("counts", [{"A": (9, 9)}, {"A": (9, 0), "B": (9, 0)}, {"none": (9, 9)}])
def test_one_site_or_one_class_tells_nothing(counts):
    assert list(telling_sites(cohort(**counts))) == []


def test_it_is_among_what_scans_beside_each_other_say():
    rows = cohort(A=(9, 1), B=(1, 9))
    told = compare_scans(rows.assign(told_as=rows["scan"], usable=True), [])
    assert [(each.severity, each.scan) for each in told] == [("warning", "cohort")]
