"""The page to open at the end of a run: the one that shows most of what was made."""

from pathlib import Path

import pytest

from msnmo.workflow.headline import page_to_open

RESULTS = Path("results")


@pytest.mark.parametrize(
    ("made", "page"),
    [
        (["check/findings.html"], "check/findings.html"),
        (["check/findings.html", "bundle"], "bundle/MODEL_CARD.md"),
        (["check/findings.html", "quality/index.html"], "quality/index.html"),
        (["check/findings.html", "tables/table-3.html"], "tables/table-3.html"),
        (["bundle", "tables/table-3.html", "report/index.html"], "report/index.html"),
        (["applied/report/index.html", "bundle"], "applied/report/index.html"),
        (["folds.tsv"], None),
    ],
)
def test_the_page_that_shows_most_is_opened(made, page):
    opened = page_to_open(RESULTS, [RESULTS / each for each in made])
    assert opened == (page and RESULTS / page)
