"""What docs/method.md and explanation/silent.md say: keys that exist, checks computed again."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from msnmo.settings.config import Config, complete_config
from msnmo.settings.findings import keys_of
from msnmo.tables.reported import read_reported

ROOT = Path(__file__).parents[2]
METHOD_PAGE = (ROOT / "docs/method.md").read_text(encoding="utf-8")
SILENT = (ROOT / "docs/explanation/silent.md").read_text(encoding="utf-8")
KEYS = [name for name, _ in keys_of(Config.rules())]
VERDICTS = ("same", "differs", "silent", "contradictory")


def tables(text, heading):
    """Yield the cells of each row of the tables whose header ends with `heading`."""
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[-1] == heading:
            inside = True
        elif inside and set(line) - set("|-"):
            yield cells


def keys_named(cells):
    return [(cells[0], word) for word in re.findall(r"`([^`]+)`", cells[-1])]


NAMED = [
    named
    for text, heading in ((METHOD_PAGE, "Key"), (SILENT, "key"))
    for cells in tables(text, heading)
    for named in keys_named(cells)
]


def test_there_are_keys_to_look_for():
    assert len(NAMED) > 60


@pytest.mark.parametrize(("point", "word"), NAMED)
def test_a_key_that_is_named_exists_and_takes_the_value_that_is_named(point, word):
    name, _, value = word.partition(": ")
    found = [key for key in KEYS if fnmatch(key, name)]
    assert found, f"{word} ({point})"
    if value:
        nested = yaml.safe_load(value)
        for part in reversed(found[0].split(".")):
            nested = {part: nested}
        complete_config(nested)


def test_every_point_has_one_of_four_verdicts_and_says_where_to_choose():
    rows = list(tables(METHOD_PAGE, "Key"))
    assert len(rows) > 80
    odd = [row for row in rows if not row[2].startswith(VERDICTS)]
    assert not odd
    assert not [row for row in rows if len(row) != 4 or not (row[3] == "-" or "`" in row[3])]


def different_rows(metrics):
    """Return the reported rows that have the metrics, each method once."""
    rows = {}
    for table in read_reported().values():
        for method, values in table.items():
            if set(metrics) <= set(values):
                assert rows.setdefault(method, [values[name] for name in metrics]) == [
                    values[name] for name in metrics
                ]
    return rows


def printed(heading):
    return {row[1]: [float(cell) for cell in row[2:]] for row in tables(METHOD_PAGE, heading)}


def test_accuracies_outside_of_sensitivity_and_specificity_are_those_that_are_listed():
    rows = different_rows(("ACC", "SN", "SP"))
    outside = {}
    for method, (acc, *both) in rows.items():
        gap = max(min(both) - acc, acc - max(both))
        if gap > 0:
            outside[method] = [acc, *both, round(gap, 2)]
    assert outside == printed("outside by")
    assert f"In {len(outside)} of the {len(rows)} different rows" in METHOD_PAGE


def test_dice_above_the_harmonic_mean_is_where_it_is_listed():
    above = {}
    rows = different_rows(("DSC", "PPV", "TPR"))
    for method, (dsc, ppv, tpr) in rows.items():
        most = 2 * ppv * tpr / (ppv + tpr)
        if dsc > most:
            above[method] = [dsc, ppv, tpr, round(most, 2), round(dsc - most, 2)]
    assert above == {
        name: pytest.approx(row, abs=0.011) for name, row in printed("above by").items()
    }
    assert f"In all {len(above)} different rows" in METHOD_PAGE
    assert len(above) == len(rows)


def test_as_printed_the_volume_difference_would_be_what_it_is_in_no_row():
    for tpr, vd in different_rows(("TPR", "VD")).values():
        assert abs(100 - tpr - vd) > 1
