"""One set of versions: conda environments, the lock and the direct dependencies agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch": "torch"}
# the interpreter comes from conda alone
NOT_LOCKED = {"python"}


@pytest.fixture(scope="module")
def locked():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = dict(re.match(r"([a-z0-9.-]+)==(\S+)", line).groups() for line in lines if "==" in line)
    torch = re.search(r"^TORCH := torch==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return pins | {"torch": torch.group(1)}


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_pins_are_those_of_the_lock(path, locked):
    content = yaml.safe_load(path.read_text())
    assert content["channels"] == ["conda-forge", "nodefaults"]
    pins = dict(dependency.split("=") for dependency in content["dependencies"])
    for name, version in pins.items():
        if name not in NOT_LOCKED:
            assert locked[CONDA_NAMES.get(name, name)] == version, name


def test_direct_dependencies_are_those_of_the_lock(locked):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = project["dependencies"] + project["optional-dependencies"]["dev"]
    for dependency in direct:
        name, version = dependency.split("==")
        assert locked[name] == version


def test_the_lock_has_a_hash_for_every_package():
    text = (ROOT / "requirements.lock").read_text()
    packages = re.findall(
        r"^[a-z0-9.-]+==.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+", text, re.MULTILINE
    )
    assert len(packages) == len(re.findall(r"^[a-z0-9.-]+==", text, re.MULTILINE))
    assert "torch==" not in text.replace("pytorch", "")


def test_every_rule_with_a_command_names_an_environment():
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^(?:rule|checkpoint) ", path.read_text(), flags=re.MULTILINE)[1:]:
            if "shell:" in rule:
                (name,) = re.findall(r'"../../envs/(\w+)\.yaml"', rule)
                assert (ROOT / f"envs/{name}.yaml").is_file()
