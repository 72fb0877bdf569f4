"""The command `python -m msnmo.preprocess.skullstrip`: files, sidecar, messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from msnmo.core import memory
from msnmo.core.errors import InputError, MsnmoError
from msnmo.core.files import sha256
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.preprocess import skullstrip
from msnmo.preprocess.skullstrip import __main__ as command
from msnmo.preprocess.skullstrip import surface
from msnmo.preprocess.skullstrip.extraction import Extraction


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the command in this process; returns the folder of its outputs."""
    # The engine is tested elsewhere: here 100 steps are enough
    monkeypatch.setattr(surface, "ITERATIONS", 100)
    monkeypatch.setenv("PATH", "/nowhere")

    def call(scan: Volume | Path, *options: str) -> Path:
        file = scan if isinstance(scan, Path) else tmp_path / "a head.nii.gz"
        if isinstance(scan, Volume):
            save_volume(file, scan.data, scan.grid)
        outputs = _outputs(tmp_path)
        command.main(["--flair", str(file), *outputs, *options])
        return tmp_path

    return call


def _outputs(folder: Path) -> list[str]:
    return [
        *("--out-image", str(folder / "out" / "s_desc-brain_FLAIR.nii.gz")),
        *("--out-mask", str(folder / "out" / "s_desc-brain_mask.nii.gz")),
        *("--out-sidecar", str(folder / "out" / "s.json")),
    ]


def _read(folder: Path) -> tuple[Volume, Volume, dict[str, Any]]:
    image = load_volume(folder / "out" / "s_desc-brain_FLAIR.nii.gz")
    mask = load_mask(folder / "out" / "s_desc-brain_mask.nii.gz")
    return image, mask, json.loads((folder / "out" / "s.json").read_text())["skullstrip"]


def test_files_lie_on_the_grid_of_the_scan(head: Any, tmp_path: Path) -> None:
    """The whole command, as the workflow runs it."""
    save_volume(tmp_path / "head.nii.gz", head.scan.data, head.scan.grid)
    line = [
        sys.executable,
        "-m",
        "msnmo.preprocess.skullstrip",
        "--flair",
        str(tmp_path / "head.nii.gz"),
    ]
    environment = os.environ | {"PATH": "/nowhere"}
    done = subprocess.run(
        [*line, *_outputs(tmp_path)], capture_output=True, text=True, check=True, env=environment
    )
    image, mask, sidecar = _read(tmp_path)
    assert head.dice(mask.data) > 0.95
    assert image.grid.matches(head.scan.grid)
    assert mask.grid.matches(head.scan.grid)
    np.testing.assert_array_equal(image.data, np.where(mask.data, head.scan.data, 0))
    disk = nib.load(tmp_path / "out" / "s_desc-brain_mask.nii.gz")
    assert disk.get_data_dtype() == np.uint8
    assert nib.load(tmp_path / "out" / "s_desc-brain_FLAIR.nii.gz").get_data_dtype() == np.float32
    millilitres = mask.data.sum() * head.scan.grid.voxel_ml
    assert sidecar == {
        "engine": "surface",
        "version": surface.VERSION,
        "settings": {"frac": 0.4, "b_t": 0.65, "robust": False, "smoothing": 1.0},
        "brain_ml": round(float(millilitres), 3),
        "flags": [],
        "form_conflict": None,
        "input_sha256": sha256(tmp_path / "head.nii.gz"),
    }
    expected = f"head.nii.gz: engine surface {surface.VERSION}, brain {millilitres:.0f} ml\n"
    assert done.stdout == expected


def test_auto_takes_fsl_where_there_is_bet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert skullstrip.choose_engine("auto") == "surface"
    (tmp_path / "bet").touch(mode=0o755)
    assert skullstrip.choose_engine("auto") == "fsl"
    assert skullstrip.choose_engine("surface") == "surface"
    assert skullstrip.choose_engine("hd-bet") == "hd-bet"


def test_conflict_of_the_forms_is_recorded(run: Any, head: Any) -> None:
    grid = head.scan.grid
    shifted = grid.affine.copy()
    shifted[0, 3] += 30.0
    scan = Volume(head.scan.data, Grid(grid.shape, grid.affine, grid.affine, shifted))
    _, _, sidecar = _read(run(scan, "--implausible", "flag"))
    assert "30.00 mm" in sidecar["form_conflict"]


def test_a_scan_stripped_on_arrival_needs_no_engine(run: Any, head: Any) -> None:
    stripped = np.where(head.brain, head.scan.data, 0).astype(np.float32)
    folder = run(Volume(stripped, head.scan.grid), "--stripped", "yes", "--engine", "hd-bet")
    image, mask, sidecar = _read(folder)
    np.testing.assert_array_equal(mask.data, head.brain)
    np.testing.assert_array_equal(image.data, stripped)
    assert sidecar["engine"] == "none (stripped on arrival)"


@pytest.mark.parametrize("background", [0.0, -1024.0])
def test_a_head_called_stripped_is_refused(run: Any, head: Any, background: float) -> None:
    scan = Volume(head.scan.data + np.float32(background), head.scan.grid)
    with pytest.raises(InputError, match="column `stripped` may be wrong"):
        run(scan, "--stripped", "yes")


def test_a_stripped_scan_without_a_voxel_is_refused_even_with_flag(run: Any, head: Any) -> None:
    empty = Volume(np.zeros_like(head.scan.data), head.scan.grid)
    with pytest.raises(InputError, match=r"0\.00 litres"):
        run(empty, "--stripped", "yes", "--implausible", "flag")


@pytest.mark.parametrize("litres", [0.3, 2.6])
def test_an_implausible_mask_is_an_error_or_a_flag(
    run: Any, head: Any, monkeypatch: pytest.MonkeyPatch, litres: float
) -> None:
    count = round(litres * 1000 / head.scan.grid.voxel_ml)
    mask = (np.arange(head.scan.data.size) < count).reshape(head.scan.data.shape)
    wrong = Extraction(mask, "surface", "1", {}, ["the brain surface intersects itself"])
    monkeypatch.setattr(surface, "extract_brain", lambda *_: wrong)
    with pytest.raises(InputError) as caught:
        run(head.scan)
    assert "a head.nii.gz" in str(caught.value)
    assert "frac" in str(caught.value)
    _, saved, sidecar = _read(run(head.scan, "--implausible", "flag"))
    np.testing.assert_array_equal(saved.data, mask)
    assert sidecar["flags"][0] == "the brain surface intersects itself"
    assert f"brain mask of {litres:.2f} litres" in sidecar["flags"][1]


def test_nothing_is_written_when_a_scan_is_refused(run: Any, tmp_path: Path) -> None:
    grid = Grid.from_affine((12, 12, 12), np.eye(4))
    with pytest.raises(InputError, match=r"a head\.nii\.gz"):
        run(Volume(np.full((12, 12, 12), 3.0, np.float32), grid))
    assert not (tmp_path / "out").exists()


def test_little_memory_is_said_in_words(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1000)
    grid = Grid.from_affine((12, 12, 12), np.eye(4))
    with pytest.raises(MsnmoError, match=r"tried:    skull stripping of .*engine auto"):
        run(Volume(np.full((12, 12, 12), 3.0, np.float32), grid))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("frac", ["1.5", "-0.1"])
def test_frac_out_of_range_is_refused(run: Any, head: Any, frac: str) -> None:
    with pytest.raises(InputError, match="frac between 0 and 1"):
        run(head.scan, "--frac", frac)


def test_a_frac_that_is_no_number_is_a_wrong_command(run: Any, head: Any) -> None:
    with pytest.raises(SystemExit):
        run(head.scan, "--frac", "nan")


def test_values_that_are_not_finite_are_refused(run: Any, tmp_path: Path) -> None:
    data = np.ones((5, 5, 5), np.float32)
    data[2, 2, 2] = np.nan
    nib.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "nan.nii.gz")
    with pytest.raises(InputError, match="1 voxel is NaN or infinite"):
        run(tmp_path / "nan.nii.gz")


def test_a_mask_that_came_with_the_scan_takes_the_engines_place(
    head: Any, run: Any, tmp_path: Path
) -> None:
    save_volume(tmp_path / "brain é.nii.gz", head.brain, head.scan.grid, np.uint8)
    image, mask, sidecar = _read(run(head.scan, "--brain", str(tmp_path / "brain é.nii.gz")))
    np.testing.assert_array_equal(mask.data, head.brain)
    np.testing.assert_array_equal(image.data, np.where(head.brain, head.scan.data, 0))
    assert sidecar["engine"] == "none (brain mask given)"
    assert sidecar["settings"] == {"mask_sha256": sha256(tmp_path / "brain é.nii.gz")}


def test_a_given_mask_must_be_a_brain_on_the_scans_grid(
    head: Any, run: Any, tmp_path: Path
) -> None:
    moved = Grid.from_affine(head.scan.grid.shape, head.scan.grid.affine @ np.diag([1, 1, 2, 1]))
    save_volume(tmp_path / "moved.nii.gz", head.brain, moved, np.uint8)
    with pytest.raises(InputError, match=r"moved\.nii\.gz"):
        run(head.scan, "--brain", str(tmp_path / "moved.nii.gz"))
    speck = np.zeros_like(head.brain)
    speck[20:24, 20:24, 20:24] = True
    save_volume(tmp_path / "speck.nii.gz", speck, head.scan.grid, np.uint8)
    with pytest.raises(InputError, match="column `brain_mask`"):
        run(head.scan, "--brain", str(tmp_path / "speck.nii.gz"))
