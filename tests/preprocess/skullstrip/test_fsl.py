"""The call of FSL BET through nipype.

Most tests put a small stand-in named `bet` on the PATH. It proves that our call, our environment
and our checks of what came back are right, and that each way in which BET and nipype fail silently
ends in a message. It proves nothing about the quality of BET's masks; the last test asks the real
BET, where there is one.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msnmo.core.errors import InputError
from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.preprocess.skullstrip import fsl

# What the call sets for its own time
SET = ("FSLDIR", "FSLOUTPUTTYPE", "NO_ET", "NIPYPE_NO_ET")
REAL_BET = shutil.which("bet")
SHAPE = (7, 8, 9)

# Marks voxels above 50 as brain, and notes how it was called
WORKING_BET = f"""#!{sys.executable}
import json, os, sys
import nibabel, numpy
noted = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "home": os.environ["FSLDIR"],
         "type": os.environ["FSLOUTPUTTYPE"]}}
with open(os.environ["BET_NOTES"], "w") as stream:
    json.dump(noted, stream)
scan = nibabel.load(sys.argv[1])
mask = (scan.get_fdata() > 50).astype("int16")
nibabel.Nifti1Image(mask, scan.affine).to_filename(sys.argv[2].replace(".nii", "_mask.nii"))
"""


class Stage:
    """A folder on the PATH that holds a stand-in `bet`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.bin = folder / "fsl" / "bin"
        self.bin.mkdir(parents=True)
        self.notes = folder / "notes.json"
        monkeypatch.setenv("PATH", f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin")
        monkeypatch.setenv("BET_NOTES", str(self.notes))
        monkeypatch.delenv("FSLDIR", raising=False)
        monkeypatch.setenv("FSLOUTPUTTYPE", "NIFTI_PAIR")

    def bet(self, text: str) -> None:
        script = self.bin / "bet"
        script.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


@pytest.fixture
def scan() -> Volume:
    data = np.random.default_rng(1).uniform(0, 100, SHAPE).astype(np.float32)
    affine = np.array([[0, -2.0, 0, 3], [1.5, 0, 0, -4], [0, 0, 3.0, 5], [0, 0, 0, 1]])
    return Volume(data, Grid.from_affine(SHAPE, affine))


def _set() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in SET}


def test_mask_settings_and_environment(
    stage: Stage, scan: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    stage.bet(WORKING_BET)
    version = tmp_path / "fsl" / "etc" / "fslversion"
    version.parent.mkdir()
    version.write_text("6.0.7.4\n")
    # A temporary folder with a space is where BET fails without a word
    spaced = tmp_path / "two words"
    spaced.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spaced))
    environment = _set()

    found = fsl.extract_brain(scan, frac=0.35, robust=True)

    np.testing.assert_array_equal(found.mask, scan.data > 50)
    assert (found.engine, found.version, found.flags) == ("fsl", "6.0.7.4", [])
    assert found.settings == {"frac": 0.35, "robust": True}
    noted = json.loads(stage.notes.read_text())
    assert noted["argv"] == ["scan.nii", "brain.nii.gz", "-f", "0.35", "-m", "-R"]
    assert " " not in noted["cwd"]
    assert noted["home"] == str(tmp_path / "fsl")
    assert noted["type"] == "NIFTI_GZ"
    assert _set() == environment
    assert not Path(noted["cwd"]).exists()
    assert not any(spaced.iterdir())


def test_fsldir_of_the_user_is_kept(
    stage: Stage, scan: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.bet(WORKING_BET)
    monkeypatch.setenv("FSLDIR", str(tmp_path / "elsewhere"))
    fsl.extract_brain(scan)
    assert f'"home": "{tmp_path / "elsewhere"}"' in stage.notes.read_text()
    assert os.environ["FSLDIR"] == str(tmp_path / "elsewhere")


def test_home_is_found_behind_a_link_or_a_wrapper(tmp_path: Path) -> None:
    version = tmp_path / "opt" / "etc" / "fslversion"
    version.parent.mkdir(parents=True)
    version.touch()
    wrapper = tmp_path / "opt" / "share" / "fsl" / "bin" / "bet"
    wrapper.parent.mkdir(parents=True)
    wrapper.touch()
    link = tmp_path / "usr" / "bin" / "bet"
    link.parent.mkdir(parents=True)
    link.symlink_to(wrapper)
    assert fsl._fsl_home(link) == tmp_path / "opt"


def test_version_is_what_bet_calls_itself_without_a_version_file(
    stage: Stage, scan: Volume
) -> None:
    usage = 'if len(sys.argv) < 2: print("\\nBET v9.9 - a stand-in"); sys.exit()'
    stage.bet(WORKING_BET.replace("import nibabel, numpy", f"{usage}\nimport nibabel, numpy"))
    assert fsl.extract_brain(scan).version == "BET v9.9 - a stand-in"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("exit 0", "it wrote nothing"),
        ("exit 3", "exit code 3"),
        ("echo 'Cannot open volume' >&2", "Cannot open volume"),
        ("echo 'Killed' >&2; exit 137", "Killed"),
        ("touch brain.nii brain_mask.nii", "it wrote brain.nii, brain_mask.nii"),
        ("touch brain.nii.gz", "it wrote brain.nii.gz"),
        ("echo junk > brain_mask.nii.gz", "a mask that cannot be used"),
        (WORKING_BET.replace("get_fdata()", "get_fdata()[:5]"), "a mask of shape (5, 8, 9)"),
        (WORKING_BET.replace(" > 50", ""), "a mask that cannot be used: values"),
        ("#!/no/such/interpreter", "not found"),
    ],
)
def test_failures_that_nipype_lets_pass_or_garbles(
    stage: Stage, scan: Volume, script: str, found: str
) -> None:
    stage.bet(script)
    before = _set()
    with pytest.raises(InputError) as caught:
        fsl.extract_brain(scan)
    (finding,) = caught.value.findings
    assert found in finding.found
    assert "surface" in finding.remedy
    assert _set() == before


def test_an_empty_mask_is_no_brain(stage: Stage, scan: Volume) -> None:
    stage.bet(WORKING_BET.replace("> 50", "> 5000"))
    with pytest.raises(ValueError, match="its mask is empty"):
        fsl.extract_brain(scan)


def test_an_exit_code_beside_a_mask_is_flagged(stage: Stage, scan: Volume) -> None:
    stage.bet(WORKING_BET + "sys.exit(4)\n")
    found = fsl.extract_brain(scan)
    assert found.mask.any()
    assert found.flags == ["`bet` ended with exit code 4"]


def test_a_missing_bet_says_how_to_get_it(scan: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="install FSL"):
        fsl.extract_brain(scan)


@pytest.mark.skipif(REAL_BET is None, reason="FSL's `bet` is not installed here")
def test_the_real_bet(head: Any) -> None:
    found = fsl.extract_brain(head.scan)
    assert head.dice(found.mask) > 0.9
    assert found.version != "unknown"
