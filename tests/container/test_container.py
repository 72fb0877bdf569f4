"""The recipes for containers install what `make` installs, by one script."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "container/install.sh"


def test_the_script_installs_what_make_does():
    makefile = (ROOT / "Makefile").read_text()
    (torch,) = re.findall(r"^TORCH := (\S+)$", makefile, re.MULTILINE)
    script = SCRIPT.read_text()
    assert f'TORCH="{torch}"' in script
    steps = re.findall(r"pip install (.*)", makefile)
    ours = re.findall(r"pip install --no-cache-dir (.*)", script)
    assert len(ours) == len(steps) == 3
    for made, step in zip(ours, steps, strict=True):
        # make compiles in a step of its own, on all cores
        wanted = step.replace("--quiet ", "").replace("--no-compile ", "")
        # and installs the lock in two halves, side by side
        wanted = wanted.replace("--require-hashes", "--require-hashes -r requirements.lock")
        wanted = wanted.replace("$(TORCH)", '"$TORCH"')
        assert made == wanted


@pytest.mark.parametrize("recipe", ["Dockerfile", "Apptainer.def"])
def test_both_recipes_run_the_one_script(recipe):
    text = (ROOT / "container" / recipe).read_text()
    assert text.count("/opt/msnmo/container/install.sh") == 1
    assert "pip install" not in text
    assert "python:3.11-slim" in text


@pytest.mark.parametrize("recipe", ["Dockerfile", "Apptainer.def"])
def test_both_say_how_to_run_the_workflow_on_data_outside_the_image(recipe):
    text = (ROOT / "container" / recipe).read_text()
    assert "--snakefile /opt/msnmo/Snakefile --directory" in text
    assert "msnmo doctor" in text


def test_the_script_is_sound_shell():
    assert SCRIPT.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", SCRIPT], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", SCRIPT], check=True)
