"""A rule reruns when its code changes, and not when only comments or docstrings do."""

from pathlib import Path

import pytest

from msnmo.workflow.code_version import code_version, read_code

FILES = {
    "__init__.py": '"""A package."""\n',
    "tool.py": "from package.helper import add\n\n\ndef run(x):\n    return add(x, 1)\n",
    "helper.py": "def add(a, b):\n    return a + b\n",
    "other.py": "VALUE = 1\n",
}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return tmp_path


def version_now(source: Path) -> str:
    code_version.cache_clear()
    read_code.cache_clear()
    return code_version("package.tool", source)


def version_after(source: Path, name: str, text: str) -> str:
    before = version_now(source)
    (source / "package" / name).write_text(text)
    return "same" if version_now(source) == before else "changed"


def test_a_comment_or_docstring_does_not_count(source):
    text = (
        '"""A tool."""\n# why\nfrom package.helper import add\n'
        'def run(x):\n    """Run."""\n    return add(x, 1)\n'
    )
    assert version_after(source, "tool.py", text) == "same"


def test_code_counts(source):
    assert version_after(source, "tool.py", FILES["tool.py"].replace("1)", "2)")) == "changed"


def test_code_of_an_imported_module_counts(source):
    assert version_after(source, "helper.py", FILES["helper.py"].replace("+", "-")) == "changed"


def test_code_of_another_module_does_not_count(source):
    assert version_after(source, "other.py", "VALUE = 2\n") == "same"


def test_an_import_inside_a_function_counts(source):
    lazy = "def run(x):\n    from package import other\n    return other.VALUE + x\n"
    (source / "package/tool.py").write_text(lazy)
    assert version_after(source, "other.py", "VALUE = 2\n") == "changed"


def test_a_template_of_the_package_counts(source):
    (source / "package" / "page.jinja").write_text("{{ x }}")
    assert version_after(source, "page.jinja", "{{ y }}") == "changed"


def test_every_rule_module_has_a_version():
    source = Path(__file__).parents[2] / "src"
    names = ("n4", "crop", "skullstrip", "evaluate", "tables")
    versions = {code_version(f"msnmo.{name}", source) for name in names}
    assert len(versions) == len(names)
