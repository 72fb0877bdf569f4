"""What texts name exists: each `msnmo.x.y` and each path of the package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/msnmo"
DOTTED = re.compile(r"(?<![\w/.-])msnmo((?:\.[A-Za-z_]\w*)+)")
FILE = re.compile(r"(?<![\w.{}*-])([a-z_0-9]+(?:/[a-z_0-9]+)*/[a-z_0-9]+\.(?:py|smk))\b")
FILES_OF_OURS = ("sif",)
"""Endings of files that are called msnmo."""
FOLDERS = (ROOT, ROOT / "src", SOURCE, ROOT / "workflow", ROOT / "workflow/rules", ROOT / "tests")
TEXTS = [
    path
    for pattern in (
        *("src/msnmo/**/*.py", "src/msnmo/**/*.jinja", "src/msnmo/**/*.yaml", "envs/*.yaml"),
        *("workflow/**/*.smk", "workflow/**/*.yaml", "*.md", "docs/**/*.md", "config.yaml"),
        *("Makefile", "Snakefile", "profiles/**/*.yaml", "container/*"),
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and path.name != "CHANGELOG.md"
]


def names_of(module: Path) -> set[str]:
    """The names that a module has at its top, those of its classes' bodies included."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(each.asname or each.name).partition(".")[0] for each in node.names}
    return names


def exists(parts: list[str]) -> bool:
    """Whether a dotted name below msnmo is a module, or what a module has."""
    folder = SOURCE
    for place, part in enumerate(parts):
        if (folder / part).is_dir():
            folder /= part
            continue
        module = folder / f"{part}.py"
        if module.is_file():
            rest = parts[place + 1 :]
            return not rest or set(rest) <= names_of(module)
        return set(parts[place:]) <= names_of(folder / "__init__.py")
    return (folder / "__init__.py").is_file()


def missing(text: str) -> list[str]:
    """What a text names and is not there."""
    named = [match[1].removeprefix(".") for match in DOTTED.finditer(text)]
    files = [match[1] for match in FILE.finditer(text)]
    return [
        *(name for name in named if name not in FILES_OF_OURS and not exists(name.split("."))),
        *(file for file in files if not any((folder / file).exists() for folder in FOLDERS)),
    ]


def test_modules_and_files_that_texts_name_are_there() -> None:
    assert len(TEXTS) > 200
    found = {str(path): missing(path.read_text(encoding="utf-8")) for path in TEXTS}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("core.files.read_json", True),
        ("settings.config", True),
        ("apply", True),
        ("apply.regions", False),
        ("core.files.read_jsonl", False),
        ("core.none", False),
    ],
)
def test_the_search_tells_what_is_there(name: str, there: bool) -> None:
    assert exists(name.split(".")) == there


def test_dotted_names_and_files_are_looked_for() -> None:
    text = "see `msnmo.core.nothing`, apply/scan.py, check/accept.py and `msnmo.core.files`."
    assert missing(text) == ["core.nothing", "apply/scan.py"]
