"""The plan of docs/architecture.md: every room is in it, and imports point one way."""

import ast
import re
from pathlib import Path

import msnmo

SOURCE = Path(msnmo.__file__).parent
PAGE = SOURCE.parents[1] / "docs/architecture.md"
# from the ground up; a room imports none that stands after it
ORDER = (
    *("core", "settings", "compute", "cohort", "check", "preprocess", "networks", "train"),
    *("predict", "evaluate", "robustness", "viewing", "tables", "figures", "quality", "report"),
    *("bundle", "apply", "demo", "starter", "doctor", "benchmark", "workflow", "cli"),
)


def imported(path):
    """The modules of ours that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from msnmo import core` names the room itself
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
            yield from names if node.module == "msnmo" else names[:1]


def rooms():
    return {path.stem for path in SOURCE.iterdir() if not path.name.startswith(("_", "py"))}


def test_every_room_has_its_place():
    assert rooms() == set(ORDER)
    listed = re.findall(r"^      ([a-z/. ]+?)  ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {word.removesuffix("/").removesuffix(".py") for each in listed for word in each.split()}
    assert rooms() <= named | {"quality", "report"}, "docs/architecture.md shows the plan"


def test_no_room_imports_a_later_one():
    wrong = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in SOURCE.rglob("*.py")
        if path.parent != SOURCE or path.stem in ORDER
        for name in imported(path)
        if name.startswith("msnmo.")
        and ORDER.index(name.split(".")[1])
        > ORDER.index(path.relative_to(SOURCE).parts[0].removesuffix(".py"))
    ]
    assert wrong == []
