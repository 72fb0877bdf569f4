"""The picture of the rules is of these rules, and nothing in it overlaps."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from msnmo.report.rule_graph import (
    BOX,
    draw,
    parse_rulegraph,
    read_rules,
    to_csv,
    without_shortcuts,
)

ROOT = Path(__file__).parents[2]
DOT = """digraph snakemake_dag {
    graph[bgcolor=white, margin=0];
	0[label = "all", color = "0.1 0.6 0.85", style="rounded"];
	1[label = "last", color = "0.1 0.6 0.85", style="rounded"];
	2[label = "first", color = "0.1 0.6 0.85", style="rounded"];
	3[label = "middle", color = "0.1 0.6 0.85", style="rounded"];
	1 -> 0
	3 -> 1
	2 -> 1
	2 -> 3
}
"""


def test_rulegraph_is_read_without_targets():
    needs = parse_rulegraph(DOT)
    assert needs == {"first": set(), "last": {"first", "middle"}, "middle": {"first"}}
    assert without_shortcuts(needs)["last"] == {"middle"}
    assert to_csv(needs) == "rule,needs\nfirst,\nlast,first middle\nmiddle,first\n"


@pytest.mark.skipif(not (ROOT / "Snakefile").is_file(), reason="the workflow is not here")
def test_stored_rules_are_the_workflows():
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "--nolock"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    remedy = "run: snakemake --rulegraph | python -m msnmo.report.rule_graph > "
    assert parse_rulegraph(done.stdout) == read_rules(), f"{remedy}src/msnmo/report/rules.csv"


def test_every_rule_has_its_box_below_all_that_it_waits_for():
    needs = read_rules()
    drawing = draw(needs)
    at = {box.rule: box for box in drawing.boxes}
    assert set(at) == set(needs)
    assert all(at[rule].y > at[other].y for rule in needs for other in needs[rule])
    assert all(
        box.x - box.width / 2 >= 0 and box.x + box.width / 2 <= drawing.width
        for box in drawing.boxes
    )


def test_no_two_boxes_overlap():
    for one, other in combinations(draw(read_rules()).boxes, 2):
        apart = abs(one.x - other.x) >= (one.width + other.width) / 2
        assert apart or abs(one.y - other.y) >= BOX, (one, other)


def test_equal_rules_give_equal_drawings():
    needs = read_rules()
    turned = dict(reversed(list(needs.items())))
    assert draw(needs) == draw(turned)
