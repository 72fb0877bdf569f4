"""What attacks share: a bundle, its copies, a served page; and the counts by kind at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.attacks.attack import Place
from tests.attacks.ended import Undisturbed, undisturbed
from tests.attacks.runs import WholeRun, whole_run
from tests.attacks.server import Served, page_of
from tests.bundle.made import bundle, config, make_bundle, training  # noqa: F401
from tests.quality.served import start


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A rating server in a process of its own, as `msnmo rate` starts it."""
    folder = tmp_path_factory.mktemp("served")
    page = page_of(folder)
    (folder / "out").mkdir()
    process, rater = start(str(page), str(folder / "out/decisions.tsv"))
    yield Served(rater, rater.cookie, folder / "out/decisions.tsv", process)
    process.kill()
    _, said = process.communicate()
    assert "Traceback" not in said, said[-3000:]


@pytest.fixture(scope="session")
def applied(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Undisturbed:
    """What `msnmo apply` makes of a scan where nobody ends it."""
    folder = tmp_path_factory.mktemp("applied") / "place"
    folder.mkdir()
    return undisturbed(Place.make(folder, request.getfixturevalue))


@pytest.fixture(scope="session")
def whole_run_of_workflow(tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    """What `snakemake` makes of a small cohort where nobody ends it."""
    return whole_run(tmp_path_factory.mktemp("workflow"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many attacks of each kind were tried and held."""
    tried, held = Counter(), Counter()
    for outcome in ("passed", "failed", "xfailed", "xpassed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            kinds = dict(getattr(report, "user_properties", []))
            if kind := kinds.get("attack"):
                tried[kind] += 1
                held[kind] += outcome == "passed"
    if not tried:
        return
    terminalreporter.section("attacks: held of those tried")
    for kind in tried:
        terminalreporter.write_line(f"{kind:28} {held[kind]:5} of {tried[kind]:5}")
    terminalreporter.write_line(f"{'all':28} {held.total():5} of {tried.total():5}")
