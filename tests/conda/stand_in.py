"""A stand-in for `conda`, where there is none: environments of links to what is installed here.

It makes an environment of exactly the packages that a file pins and of what they require, and
refuses a pin of another version than is installed. So it proves that each rule finds its
environment, that its pins are the tested ones and that nothing it imports is missing. It does not
prove that conda-forge has these builds, nor that its solver is content with them.
"""

from __future__ import annotations

import json
import re
import sys
import venv
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement

CONDA_NAMES = dict.fromkeys(("pytorch", "pytorch-cpu", "pytorch-gpu"), "torch")
# the interpreter is the venv's; no package index has FSL
NOT_PYTHON = {"python", "fsl-bet2"}


def main(arguments: list[str]) -> None:
    """Answer what Snakemake asks of conda."""
    base = Path(__file__).parent
    answers = {
        ("--version",): "conda 24.7.1",
        ("clean", "-y", "--tarballs"): "",
        ("info", "--json"): json.dumps({"conda_prefix": str(base), "platform": "linux-64"}),
        ("config", "--get", "channel_priority", "--json"): json.dumps(
            {"get": {"channel_priority": "strict"}}
        ),
    }
    if tuple(arguments) in answers:
        print(answers[tuple(arguments)])
    elif arguments[:2] == ["env", "create"]:
        options = dict(re.findall(r"--(file|prefix)[ =](\S+)", " ".join(arguments)))
        create(Path(options["file"].strip("\"'")), Path(options["prefix"].strip("\"'")))
    else:
        sys.exit(f"the stand-in for conda does not know: {' '.join(arguments)}")


def create(file: Path, prefix: Path) -> None:
    """Make the environment that a file pins."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    pins = dict(dependency.split("=") for dependency in content["dependencies"])
    wanted: dict[str, metadata.Distribution] = {}
    for name, version in pins.items():
        if name in NOT_PYTHON:
            continue
        require(CONDA_NAMES.get(name, name), wanted)
        installed = wanted[canonical(CONDA_NAMES.get(name, name))].version
        if installed.partition("+")[0] != version:
            sys.exit(f"{file}: {name}={version} is pinned, {installed} is what was tested")
    venv.create(prefix, symlinks=True, with_pip=False)
    (target,) = prefix.glob("lib/python*/site-packages")
    for distribution in wanted.values():
        for top in {Path(each).parts[0] for each in distribution.files or []} - {
            "..",
            "__pycache__",
        }:
            link = target / top
            if not link.exists():
                link.symlink_to(distribution.locate_file(top))


def require(name: str, wanted: dict[str, metadata.Distribution]) -> None:
    """Add a package and all that it requires."""
    if canonical(name) in wanted:
        return
    distribution = metadata.distribution(name)
    wanted[canonical(name)] = distribution
    for text in distribution.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            require(requirement.name, wanted)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def install(folder: Path) -> Path:
    """Put the stand-in into a folder as conda's base; return the folder to be on PATH."""
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    (folder / "stand_in.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    command = binaries / "conda"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/stand_in.py" "$@"\n')
    command.chmod(0o755)
    activate = 'export CONDA_PREFIX="$1"\nexport PATH="$1/bin:$PATH"\n'
    (binaries / "activate").write_text(activate)
    return binaries


if __name__ == "__main__":
    main(sys.argv[1:])
