"""A rule reruns when code that it can import changes, and for nothing else."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from msnmo.settings.methods import METHODS
from msnmo.workflow import code_version as versions
from msnmo.workflow.code_version import code_version, files_of
from msnmo.workflow.meaning import DATA_ENDINGS, read_meaning

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
FILES = {
    "__init__.py": '"""A package."""\n',
    "tool.py": "from package.helper import add\n\n\ndef run(x):\n    return add(x, 1)\n",
    "helper.py": "def add(a, b):\n    return a + b\n",
    "other.py": "VALUE = 1\n",
    "parts/__init__.py": "",
    "parts/__main__.py": "print()\n",
    "parts/one.py": "ONE = 1\n",
    "parts/two.py": "TWO = 2\n",
    "parts/page.jinja": "{% extends 'base.jinja' %}",
    "parts/base.jinja": "",
    "parts/table.csv": "",
}


@pytest.fixture
def source(tmp_path):
    (tmp_path / "package/parts").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / "package" / name).write_text(text)
    return tmp_path


def version_now(source: Path) -> str:
    for each in vars(versions).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()
    return code_version("package.tool", source)


def version_after(source: Path, name: str, text: str) -> str:
    before = version_now(source)
    (source / "package" / name).write_text(text)
    return "same" if version_now(source) == before else "changed"


def reached(source: Path, code: str, *chosen: str, name: str = "tool.py") -> set[str]:
    """Return the files that count for the tool, beside itself, when one of them has this code."""
    (source / "package" / name).write_text(code)
    version_now(source)
    files = files_of("package.tool", source, chosen)
    own = {"__init__.py", "tool.py"}
    return {path.relative_to(source / "package").as_posix() for path in files} - own


def test_a_comment_or_docstring_does_not_count(source):
    text = (
        '"""A tool."""\n# why\nfrom package.helper import add\n\n'
        'def run(x):\n    """Run."""\n    return add(x, 1)\n'
    )
    assert version_after(source, "tool.py", text) == "same"
    assert version_after(source, "parts/__init__.py", '"""Parts."""\n') == "same"


def test_the_text_below_a_name_does_not_count(source):
    (source / "package/tool.py").write_text("LIMIT = 1\n")
    assert version_after(source, "tool.py", 'LIMIT = 1\n"""In mm."""\n') == "same"


def test_code_counts(source):
    assert version_after(source, "tool.py", FILES["tool.py"].replace("1)", "2)")) == "changed"


def test_code_of_an_imported_module_counts(source):
    assert version_after(source, "helper.py", FILES["helper.py"].replace("+", "-")) == "changed"


def test_code_of_another_module_does_not_count(source):
    assert version_after(source, "other.py", "VALUE = 2\n") == "same"


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("def run():\n    from package import other", {"other.py"}),
        ("from . import other", {"other.py"}),
        ("from .parts.one import ONE", {"parts/__init__.py", "parts/one.py"}),
        ("import package.parts.two", {"parts/__init__.py", "parts/two.py"}),
        # importing a package runs no __main__ of it
        ("import package.parts", {"parts/__init__.py"}),
        ("import elsewhere.other\nfrom elsewhere.package import other", set()),
        ("if TYPE_CHECKING:\n    from package import other", set()),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from package import other", {"other.py"}),
        ("import_module('package.other')", {"other.py"}),
        ("run([sys.executable, '-m', 'package.other'])", {"other.py"}),
        ("raise ValueError('package.other is not there')", set()),
    ],
)
def test_what_can_be_imported_counts(source, code, files):
    assert reached(source, code) == files


PARTS = {"parts/__init__.py", "parts/__main__.py", "parts/one.py", "parts/two.py"}
PUT_TOGETHER = "import_module(f'package.parts.{name}')"


def test_an_import_by_a_name_that_is_put_together_counts_all_that_it_can_be(source):
    assert reached(source, PUT_TOGETHER) == PARTS


def test_of_such_an_import_the_chosen_modules_count(source):
    assert reached(source, PUT_TOGETHER, "package.parts.two") == {
        "parts/__init__.py",
        "parts/two.py",
    }
    # chosen for another import
    assert reached(source, PUT_TOGETHER, "package.other") == PARTS


@pytest.mark.parametrize("argument", ["name", "f'{name}.x'", "'.one', 'package.parts'", "name=x"])
def test_an_import_by_an_unknown_name_counts_everything(source, argument):
    everything = {name for name in FILES if name.endswith(".py")} - {"__init__.py", "tool.py"}
    assert reached(source, f"importlib.import_module({argument})") >= everything
    assert reached(source, f"print({argument})").isdisjoint(everything - PARTS)


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("read(Path(__file__).with_name('table.csv'))", {"parts/table.csv"}),
        ("read(files(__package__) / 'table.csv')", {"parts/table.csv"}),
        # and what a template is made of
        ("load(__package__, 'page.jinja')", {"parts/page.jinja", "parts/base.jinja"}),
        ("load(__package__, f'{page}.jinja')", {"parts/page.jinja", "parts/base.jinja"}),
        ("load(__package__)", {"parts/page.jinja", "parts/base.jinja", "parts/table.csv"}),
        ("write('table.csv')", set()),
    ],
)
def test_data_files_count_for_the_module_that_reads_them(source, code, files):
    (source / "package/tool.py").write_text("from package.parts import one")
    assert reached(source, code, name="parts/one.py") - PARTS == files
    elsewhere = code.replace("__package__", "'package.parts'")
    assert reached(source, elsewhere) - PARTS == (set() if "__file__" in code else files)


def test_a_change_of_a_data_file_counts(source):
    (source / "package/tool.py").write_text("load('package.parts', 'table.csv')")
    assert version_after(source, "parts/base.jinja", "x") == "same"
    assert version_after(source, "parts/table.csv", "x") == "changed"


def test_running_a_package_runs_its_main(source):
    version_now(source)
    files = files_of("package.parts", source)
    assert source / "package/parts/__main__.py" in files


@pytest.mark.parametrize("names", [("package.tol",), ("package.tool", "package.parts.three")])
def test_a_module_that_is_not_there_is_refused(source, names):
    version_now(source)
    with pytest.raises(ModuleNotFoundError, match=names[-1]):
        code_version(names[0], source, names[1:])


def test_an_editors_files_are_no_modules(source):
    assert version_after(source, "parts/.#one.py", "broken(") == "same"
    assert reached(source, PUT_TOGETHER) == PARTS


def test_a_file_that_is_not_python_is_named(source):
    (source / "package/helper.py").write_text("def add(:\n")
    with pytest.raises(SyntaxError) as caught:
        version_now(source)
    assert caught.value.filename == str(source / "package/helper.py")


def test_data_files_are_those_that_an_installation_has():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = project["tool"]["setuptools"]["package-data"]["*"]
    assert {*installed} - {"py.typed"} == {f"*{ending}" for ending in DATA_ENDINGS}


def ours(module: str, *chosen: str) -> set[str]:
    files = files_of(f"msnmo.{module}", SOURCE, tuple(f"msnmo.{name}" for name in chosen))
    return {path.relative_to(SOURCE / "msnmo").as_posix() for path in files}


def test_a_network_counts_where_it_is_built_and_for_its_own_methods_alone():
    modules = {method.module for method in METHODS.values()}
    assert modules >= {"baselines", "joint"}
    for module in modules:
        built = ours("predict.fold", f"networks.{module}")
        assert {f"networks/{name}.py" for name in modules} & built == {f"networks/{module}.py"}
        for room in ("evaluate.complexity", "apply.apply_bundle", "predict.gradcam", "bundle"):
            assert f"networks/{module}.py" in ours(room)
    assert "networks/segmentation.py" in ours("predict.fold", "networks.joint")
    for room in ("tables", "figures", "report", "evaluate"):
        assert not any(name.startswith("networks/") for name in ours(room)), room


# What Pythons write differently: strings between the values of an f-string, empty format specs,
# fields that 3.12 brought, empty fields, None where nothing stands, text that an older Unicode does
# not know, integers with more digits than are printed.
TRICKY = r'''
"""A module."""
from __future__ import annotations
import a.b as c, tricky.x
from . import y
from ..z import *
LONG = 0x{long}
"""Text below a name."""
TEXT = u"caf\N{LATIN SMALL LETTER E WITH ACUTE}" "\U0001fae8\U0001f6dc\u2028"
BYTES = b"\xff" rb"\d"
NUMBERS = (1e400, -0.0, 1j, 10**30, 1_000, True, None, ...)
F = f"" f"a{{b}}" "c" f"{x}" f'{x!r:>{w}.{p}f}' f"{x:}" f"{x = }{y=!s}{z=:%H:%M}" rf"\d{x}" "end"
PLAIN = f"nothing " "in it"
MORE = f"""{
    f"{a}{'b'}" + "c"
} {d:{e!r}{"f"}} \N{BULLET}{{}}"""
D = {**a, None: 1, "k": [*b], **{}}
@d
class K(B, metaclass=M):
    """A class."""
    x: int
    y: list[int] = field(default_factory=list)
    async def m(self, p, /, q=None, *args: int, r, s=None, **kw) -> None:
        """A method."""
        async with o as (u, v), w: await g()
        return (yield)
def f(*, a, b=None):
    """Nothing but text."""
def h(a, b=1, *c):
    global G
    try:
        del a[1:2, ::3], b.c
    except* (E, F) as e: raise X from e
    else: assert (n := 1) < 2 <= 3, "m"
    finally: pass
    while not -1 @ 2: break
    match s:
        case [1, *_, None] | {"k": v, **rest}: lambda x, *y, z=1: ~x
        case P(a, b=-1 + 2j) as q if q: [i async for i, in j if k if l]
        case _: import_module(f"tricky.{s}")
if TYPE_CHECKING:
    from tricky import hidden
'''.replace("{long}", "f" * 5000)
GOLDEN = "962157d06eec3e27a21d725b640437cef756f25f4f69c5309e5c4806cec6ead9"


def test_the_digest_is_that_of_any_python(tmp_path):
    """One that is not installed here writes what these wrote, or this fails there."""
    (tmp_path / "file.py").write_text(TRICKY, encoding="utf-8")
    meaning = read_meaning(tmp_path / "file.py", "tricky.package")
    assert meaning.digest == GOLDEN
    imports = {"x", "package", "package.y", "z", "z.*"}
    assert meaning.imports == {f"tricky.{name}" for name in imports}
    assert meaning.named == {"tricky.*"}


def test_what_differs_in_meaning_differs_in_digest(tmp_path):
    """Pairs that a digest without empty fields could mix up."""
    pairs = [
        ("{**a}", "{None: a}"),
        ("def f(*, a): pass", "def f(*, a=None): pass"),
        ("return_ = None", "return_ = ..."),
        ("x = 1", "x = True"),
        ("x = 1", "x = 1.0"),
        ("x = 0.0", "x = -0.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = 'a'", "x = a"),
        ("f'{a}b'", "f'{a}' + 'b'"),
        ("f'{a!r}'", "f'{a!s}'"),
        ("f'{a:1}'", "f'{a:2}'"),
        ("x[1:]", "x[:1]"),
        ("x[:, 1]", "x[1]"),
        ("f(a, b)", "f((a, b))"),
        ("f(*a)", "f(a)"),
        ("try: a\nexcept E: b", "try: a\nexcept* E: b"),
        ("from . import a", "from .. import a"),
        ("match a:\n case None: b", "match a:\n case True: b"),
        ("[[a], b]", "[[a, b]]"),
    ]
    path = tmp_path / "file.py"

    def digest(text: str) -> str:
        path.write_text(f"{text}\n", encoding="utf-8")
        return read_meaning(path, "package").digest

    assert [pair for pair in pairs if digest(pair[0]) == digest(pair[1])] == []


READ = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from msnmo.workflow.code_version import modules_of, read_code
from msnmo.workflow.meaning import read_meaning
read = {name: read_code(path, Path(sys.argv[1])) for name, path in
        modules_of("msnmo", Path(sys.argv[1])).items()}
read["tricky"] = read_meaning(Path(sys.argv[2]), "tricky.package")
told = {name: [one.digest, *map(sorted, (one.imports, one.named, one.data))]
        for name, one in read.items()}
print(json.dumps([sys.version_info[:2], told]))
"""


def read_by(minor: int, *words: object) -> dict[str, list] | None:
    """Return what a Python 3 of that minor version reads; None if there is none here."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = [*root.glob(f"3.{minor}.*/bin/python"), shutil.which(f"python3.{minor}")]
    for python in filter(None, found):
        command = [python, "-I", "-B", "-c", READ, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # pyenv has a command for each version that it knows, chosen or not
        if done.returncode != 127:
            assert done.returncode == 0, (python, done.stderr)
            version, told = json.loads(done.stdout)
            assert version == [3, minor]
            return told
    return None


def test_every_python_here_reads_all_modules_alike(tmp_path):
    (tmp_path / "file.py").write_text(TRICKY, encoding="utf-8")
    read = {minor: read_by(minor, SOURCE, tmp_path / "file.py") for minor in (11, 12, 13, 14)}
    told = {minor: each for minor, each in read.items() if each is not None}
    if set(told) <= {sys.version_info.minor}:
        pytest.skip(f"no other Python than 3.{sys.version_info.minor} is here")
    first, *others = told.values()
    assert len(first) > 100
    for other in others:
        assert other == first


def test_labels_count_as_code_of_what_can_read_them():
    labels = "msnmo.core.diagnoses"
    assert versions.reads(labels, "msnmo.cohort.folds", SOURCE)
    assert versions.reads(labels, "msnmo.evaluate", SOURCE)
    assert not versions.reads(labels, "msnmo.preprocess.n4", SOURCE)
    assert not versions.reads(labels, "msnmo.preprocess.resize", SOURCE)
