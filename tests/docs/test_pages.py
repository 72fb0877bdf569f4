"""The pages agree with the sources, lead somewhere, and are written in short sentences."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path

import pytest

from msnmo.cli import COMMANDS
from msnmo.figures.catalogue import FIGURES
from tests.docs.prose import LONG, long_share, paragraphs, sentences

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
AT_THE_TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [*AT_THE_TOP, *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]
MADE = {"reference/commands.md"}
"""Pages that git ignores: they are made with the site."""
BY_PEOPLE = [
    path
    for path in PAGES
    if not path.read_text(encoding="utf-8").startswith(("<!-- Generated", "```{include}"))
    and path.name not in {"study.md", "study-gpu.md"}
    and path.parent / path.name not in {DOCS / each for each in MADE}
]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
MOST_LONG = 0.1
MOST_LINES = 130


@pytest.mark.parametrize("page", ["registry", "scan-table"])
def test_pages_of_the_sources_are_those_that_are_generated(page: str) -> None:
    command = [sys.executable, "docs/generate.py", page]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    kept = (DOCS / f"reference/{page}.md").read_text(encoding="utf-8")
    assert done.stdout == kept, f"run: python docs/generate.py {page} > docs/reference/{page}.md"


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        yield match[1] or match[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_to_files(page: Path) -> None:
    local = [link.partition("#")[0] for link in links(page) if "://" not in link]
    made = {(DOCS / each).resolve() for each in MADE}
    missing = [
        link
        for link in local
        if link and not (page.parent / link).exists() and (page.parent / link).resolve() not in made
    ]
    assert not missing


def test_every_page_of_how_to_is_in_its_index() -> None:
    listed = (DOCS / "how-to/index.md").read_text(encoding="utf-8").split()
    assert {path.stem for path in (DOCS / "how-to").glob("*.md")} - {"index"} <= {*listed}


def test_targets_that_are_listed_exist() -> None:
    text = (DOCS / "reference/outputs.md").read_text(encoding="utf-8")
    table = text.partition("## Targets")[2].partition("\n## ")[0]
    named = {name for row in table.splitlines() if row.startswith("| `") for name in _targets(row)}
    rules = {
        name
        for path in (ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk"))
        for name in re.findall(r"^ *(?:rule|checkpoint) (\w+):", path.read_text(), re.MULTILINE)
    }
    figures = {name.replace("-", "_") for name in FIGURES}
    assert figures <= named | {f"figure_{number}" for number in (9, 10, 11)}
    assert not {name for name in named if not name.startswith("table_")} - rules - figures


def _targets(row: str) -> list[str]:
    return re.findall(r"`(\w+)`", row.split("|")[1])


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("page", BY_PEOPLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    long, total = long_share(text)
    found = [each for each in sentences(text) if len(each.split()) > LONG]
    assert long <= max(1, MOST_LONG * total), "\n".join(found)


def shown() -> Iterator[tuple[str, list[str]]]:
    """Yield each command of ours that a page shows: its page and its words."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", "1"), comments=True)
                if words[:1] == ["msnmo"] and ">" not in words:
                    yield str(page.relative_to(ROOT)), words


@pytest.mark.torch
def test_commands_that_pages_show_are_understood() -> None:
    found = list(shown())
    assert {"apply", "check", "cohort", "rate"} <= {words[1] for _, words in found}
    generate = run_path(str(DOCS / "generate.py"))
    parsers = {}
    for page, (_, name, *rest) in found:
        if name not in parsers:
            parsers[name] = generate["parser_of"](COMMANDS[name])
        try:
            parsers[name].parse_args(rest)
        except SystemExit as refused:
            pytest.fail(f"{page}: msnmo {name} {shlex.join(rest)}: {refused}")


def test_sentences_are_told_apart() -> None:
    page = (
        "# Title of a page\n\nOne `a b. c` two. Three\nfour!\n\n- An item [of words](x.md).\n"
        "  Its second line.\n\n```sh\nno prose here. At all.\n```\n\n| a. B | c |\n"
    )
    assert sentences(page) == [
        "One `code` two.",
        "Three four!",
        "An item of words.",
        "Its second line.",
    ]
    assert len(paragraphs(page)) == 2
    assert long_share(" ".join(["word"] * 26) + ". Short.") == (1, 2)
