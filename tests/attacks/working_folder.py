"""Commands that are called in a folder of somebody else's files: no code of theirs runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msnmo
from msnmo.apply.preprocess import run_module
from msnmo.cli import COMMANDS
from msnmo.doctor import software
from msnmo.workflow.environment import prepare_jobs, shell_prefix
from tests.attacks.attack import SECONDS, Attack, Place, done

SOURCE = str(Path(msnmo.__file__).parents[1])
TRAP = "open('ran', 'w').close()\nraise SystemExit(66)\n"
LIBRARIES = (
    *("pandas", "numpy", "torch", "yaml", "nibabel", "jinja2", "scipy", "monai", "pydantic"),
    *("argparse", "json", "pathlib", "csv", "tempfile", "logging", "random", "string", "socket"),
)
SCRIPT = ("-P", "-c", "from msnmo.cli import main; main()")
"""What pip installs has its own folder on the path, not the working one."""
PACKAGE = "msnmo"
KNOWN = "python -m looks for the package itself in the working folder; call `msnmo` there"


def _traps(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / f"{name}.py").write_text(TRAP)


def _called(
    *arguments: str, make: Callable[[Path], object], before: Sequence[str] = ("-m",)
) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        here = place.folder / "here"
        make(here)
        environment = os.environ | {"PYTHONPATH": SOURCE, "HOME": str(place.folder / "home")}
        environment.pop("PYTHONSAFEPATH", None)
        command = [sys.executable, *before, *arguments]
        ended = subprocess.run(
            command,
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert not (here / "ran").exists(), "code of the working folder ran"
        assert ended.returncode == 0, ended.stderr[-2000:]
        assert "Traceback" not in ended.stderr

    return run


def _package(folder: Path) -> None:
    (folder / PACKAGE).mkdir()
    for name in ("__init__", "cli", "__main__"):
        (folder / PACKAGE / f"{name}.py").write_text(TRAP)


def _folder_of(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(TRAP)

    return make


def _everything(folder: Path) -> None:
    _traps(folder, (*LIBRARIES, "types", "sitecustomize"))
    _package(folder)


STEP = ("-m", "msnmo.preprocess.crop", "--help")


def _step_of_apply(_: list[str]) -> None:
    run_module("sub-x", STEP)


def _job_of_a_rule(_: list[str]) -> None:
    prepare_jobs(1)
    command = f"{shell_prefix(Path(SOURCE))} python {shlex.join(STEP)}"
    subprocess.run(["bash", "-c", command], check=True)


def _program_asked(_: list[str]) -> None:
    software.NEEDED = {"PyYAML": "yaml", "pandas": "pandas"}
    wrong = [line for line in software.look_at_packages() if line.state != "ok"]
    assert not wrong, wrong


def _started(main: Callable[[list[str]], None]) -> Callable[[Place], None]:
    """A process that we start, in a folder of traps."""

    def run(place: Place) -> None:
        _everything(place.folder / "here")
        done(place.run(main))

    return run


def _file(name: str, text: str = TRAP) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


OTHER = {
    "sitecustomize.py": TRAP,
    "usercustomize.py": TRAP,
    "evil.pth": "import os; open('ran', 'w').close()\n",
    "pyvenv.cfg": "home = .\n",
    "python311._pth": ".\n",
    "matplotlibrc": "backend: module://evil\n",
    "setup.cfg": "[metadata]\nname = evil\n",
    "pyproject.toml": "[tool.evil]\n",
    "conftest.py": TRAP,
    ".env": "PYTHONSTARTUP=evil.py\n",
}

ATTACKS = [
    *(
        Attack(
            "code in the working folder",
            f"python -m {command.module}, libraries of all names beside it",
            _called(command.module, "--help", make=lambda folder: _traps(folder, LIBRARIES)),
        )
        for command in COMMANDS.values()
    ),
    *(
        Attack(
            "code in the working folder",
            f"msnmo {name}, libraries of all names and a package msnmo",
            _called(
                name,
                "--help",
                make=lambda folder: (_traps(folder, LIBRARIES), _package(folder)),
                before=SCRIPT,
            ),
        )
        for name in COMMANDS
    ),
    *(
        Attack(
            "code in the working folder",
            f"a folder {name} for a library",
            _called("msnmo.check.check_cohort", "--help", make=_folder_of(name)),
        )
        for name in LIBRARIES
    ),
    *(
        Attack(
            "code in the working folder",
            f"a file {name}",
            _called("msnmo.check.check_cohort", "--help", make=_file(name, text)),
        )
        for name, text in OTHER.items()
    ),
    *(
        Attack("code in the working folder", f"{name}, all of these beside it", _started(main))
        for name, main in {
            "a step that msnmo apply starts": _step_of_apply,
            "a job that a rule starts": _job_of_a_rule,
            "a library that msnmo doctor tries": _program_asked,
        }.items()
    ),
    Attack(
        "code in the working folder",
        "python -P -m msnmo.cli, all of these beside it",
        _called("msnmo.cli", "--help", make=_everything, before=("-P", "-m")),
    ),
    Attack(
        "code in the working folder",
        "python -m msnmo.cli, a package msnmo beside it",
        _called("msnmo.cli", "--help", make=_package),
        KNOWN,
    ),
    Attack(
        "code in the working folder",
        "python -m msnmo.cli, types.py beside it",
        _called("msnmo.cli", "--help", make=_file("types.py")),
        "Python loads some of its own libraries from there before ours; call `msnmo` there",
    ),
]
