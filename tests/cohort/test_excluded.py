"""Every table says how many scans were excluded, which, by whom and why."""

import pandas as pd

from msnmo.cohort.excluded import COLUMNS, MOST_NAMED, exclusion_note


def note(*rows):
    return exclusion_note(pd.DataFrame(rows, columns=list(COLUMNS), dtype=object))


def test_none():
    assert note() == "No scan was excluded."


def test_each_is_named_with_its_reason():
    said = note(("sub-1", "check", "found NaN"), ("sub-2", "rater", "motion"))
    assert said == (
        "Excluded: 2 scans, 1 by the check and 1 by the rater: sub-1 (found NaN); sub-2 (motion)."
    )


def test_many_are_counted():
    said = note(*((f"sub-{number}", "check", "x") for number in range(MOST_NAMED + 3)))
    assert said.startswith(f"Excluded: {MOST_NAMED + 3} scans, {MOST_NAMED + 3} by the check: ")
    assert said.endswith("; and 3 more in excluded.tsv.")
    assert f"sub-{MOST_NAMED} " not in said
