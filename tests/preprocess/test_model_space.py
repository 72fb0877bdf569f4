"""Crop, resize, z-score and lesion as commands: one scan to model space, its lesion mask along."""

import contextlib
import importlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from msnmo.core.errors import run_command
from msnmo.core.files import read_json, write_json
from msnmo.core.geometry import ModelSpace
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_mask, load_volume

SHAPE = (30, 41, 22)
AFFINE = np.array([[0, 0, 3, -30], [-1.1, 0.1, 0, 20], [0.1, 1.2, 0.2, -9], [0, 0, 0, 1.0]])
REAL = os.environ.get("MSNMO_REAL_DATA")


@dataclass
class Result:
    """What a command left behind."""

    returncode: int
    stderr: str


def command(module, **options):
    """Run a module's command in this process, which spares each step a start of its own."""
    words = []
    for name, value in options.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    main = importlib.import_module(f"msnmo.preprocess.{module}").main
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr), pytest.raises(SystemExit) as left:
        run_command(lambda: main(words))
    return Result(left.value.code, stderr.getvalue())


def to_model_space(folder: Path, size=(32, 16, 48), mode="stretch"):
    """Take scan.nii.gz, brain.nii.gz and lesion.nii.gz in a folder to model space."""
    steps = [
        command(
            "crop",
            image=folder / "scan.nii.gz",
            brain=folder / "brain.nii.gz",
            out_image=folder / "crop.nii.gz",
            out_brain=folder / "crop_brain.nii.gz",
            out_sidecar=folder / "crop.json",
        ),
        command(
            "resize",
            image=folder / "crop.nii.gz",
            brain=folder / "crop_brain.nii.gz",
            sidecar=folder / "crop.json",
            size=size,
            mode=mode,
            out_image=folder / "resize.nii.gz",
            out_brain=folder / "resize_brain.nii.gz",
            out_sidecar=folder / "resize.json",
        ),
        command(
            "zscore",
            image=folder / "resize.nii.gz",
            brain=folder / "resize_brain.nii.gz",
            sidecar=folder / "resize.json",
            out_image=folder / "model.nii.gz",
            out_sidecar=folder / "model.json",
        ),
        command(
            "lesion_mask",
            mask=folder / "lesion.nii.gz",
            sidecar=folder / "model.json",
            out=folder / "model_lesion.nii.gz",
        ),
    ]
    for step in steps:
        assert step.returncode == 0, step.stderr


@pytest.fixture
def scan(tmp_path):
    folder = tmp_path / "a scan é"
    folder.mkdir()
    grid = Grid.from_affine(SHAPE, AFFINE)
    rng = np.random.default_rng(0)
    brain = np.zeros(SHAPE, bool)
    brain[4:27, 6:38, 3:20] = True
    lesion = np.zeros(SHAPE, bool)
    lesion[8:14, 20:27, 8:12] = True
    image = rng.normal(100, 10, SHAPE) + 60 * lesion
    save_volume(folder / "scan.nii.gz", np.where(brain, image, 0), grid)
    save_volume(folder / "brain.nii.gz", brain, grid, np.uint8)
    save_volume(folder / "lesion.nii.gz", lesion, grid, np.uint8)
    return folder


@pytest.mark.parametrize("mode", ["stretch", "pad"])
def test_image_and_lesion_go_the_same_way_and_come_back(scan, mode):
    to_model_space(scan, size=(48, 48, 48), mode=mode)
    image, brain = load_volume(scan / "model.nii.gz"), load_mask(scan / "resize_brain.nii.gz")
    lesion = load_mask(scan / "model_lesion.nii.gz")
    assert image.data.shape == lesion.data.shape == (48, 48, 48)
    assert image.grid.matches(lesion.grid)
    inside = image.data[brain.data]
    assert inside.mean() == pytest.approx(0, abs=1e-4)
    assert inside.std() == pytest.approx(1, abs=1e-4)
    assert (image.data[~brain.data] == 0).all()
    # lesions are 6 sd brighter on arrival: where the mask went, the image is bright
    assert image.data[lesion.data].mean() > image.data[brain.data & ~lesion.data].mean() + 2

    space = ModelSpace.from_sidecar(scan / "model.json")
    back = space.to_native(lesion.data.astype(np.float32)) >= 0.5
    truth = load_mask(scan / "lesion.nii.gz")
    assert space.native.matches(truth.grid)
    assert 2 * (back & truth.data).sum() / (back.sum() + truth.data.sum()) > 0.9


def test_equal_inputs_give_equal_bytes(scan, tmp_path):
    to_model_space(scan)
    names = ("model.nii.gz", "model.json", "model_lesion.nii.gz")
    first = {name: (scan / name).read_bytes() for name in names}
    for name in names:
        (scan / name).unlink()
    to_model_space(scan)
    assert {name: (scan / name).read_bytes() for name in names} == first


def test_an_empty_lesion_mask_goes_along(scan):
    grid = Grid.from_affine(SHAPE, AFFINE)
    save_volume(scan / "lesion.nii.gz", np.zeros(SHAPE), grid, np.uint8)
    to_model_space(scan)
    assert not load_mask(scan / "model_lesion.nii.gz").data.any()


def refused(result, *words):
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert all(str(word) in result.stderr for word in words), result.stderr


def test_an_empty_brain_mask_is_named(scan):
    grid = Grid.from_affine(SHAPE, AFFINE)
    save_volume(scan / "brain.nii.gz", np.zeros(SHAPE), grid, np.uint8)
    outputs = {name: scan / f"{name}.nii.gz" for name in ("out_image", "out_brain", "out_sidecar")}
    result = command("crop", image=scan / "scan.nii.gz", brain=scan / "brain.nii.gz", **outputs)
    refused(result, "brain.nii.gz", "empty")
    assert not any(path.exists() for path in outputs.values())


def test_a_lesion_mask_on_another_grid_is_named(scan):
    to_model_space(scan)
    shifted = AFFINE.copy()
    shifted[0, 3] += 3  # one voxel along k
    save_volume(scan / "lesion.nii.gz", np.zeros(SHAPE), Grid.from_affine(SHAPE, shifted), np.uint8)
    result = command(
        "lesion_mask",
        mask=scan / "lesion.nii.gz",
        sidecar=scan / "model.json",
        out=scan / "x.nii.gz",
    )
    refused(result, "lesion.nii.gz", "model.json")


def test_a_size_the_network_cannot_halve_is_refused(scan):
    to_model_space(scan)
    result = command(
        "resize",
        image=scan / "crop.nii.gz",
        brain=scan / "crop_brain.nii.gz",
        sidecar=scan / "crop.json",
        size=(48, 48, 50),
        out_image=scan / "x.nii.gz",
        out_brain=scan / "y.nii.gz",
        out_sidecar=scan / "x.json",
    )
    refused(result, "48 x 48 x 50", "divisible by 16")


@pytest.mark.parametrize("content", [{}, {"geometry": {"crop": 3}}, {"geometry": {}}])
def test_a_sidecar_without_geometry_is_named(scan, content):
    write_json(scan / "broken.json", content)
    result = command(
        "lesion_mask",
        mask=scan / "lesion.nii.gz",
        sidecar=scan / "broken.json",
        out=scan / "x.nii.gz",
    )
    refused(result, "broken.json")


def test_the_sidecar_says_how_it_was_made(scan):
    to_model_space(scan, mode="pad")
    sidecar = read_json(scan / "model.json")
    assert sidecar["resize"] == {"mode": "pad"}
    assert sidecar["zscore"] == {"over": "brain"}


@pytest.mark.real
@pytest.mark.skipif(REAL is None, reason="MSNMO_REAL_DATA is not set: no real scans to try")
@pytest.mark.parametrize("patient", ["07", "26"])
def test_real_lesions_there_and_back_at_full_size(patient, tmp_path):
    """Stripped MNI scans at 160³; patient 07 has pin-point lesions."""
    folder = Path(REAL) / f"open_ms/cross_sectional/MNI/patient{patient}"
    (flair,), (gold,) = folder.glob("FLAIR*"), folder.glob("GOLD*")
    scan, truth = load_volume(flair), load_mask(gold)
    save_volume(tmp_path / "scan.nii.gz", scan.data, scan.grid)
    save_volume(tmp_path / "brain.nii.gz", scan.data != 0, scan.grid, np.uint8)
    save_volume(tmp_path / "lesion.nii.gz", truth.data, truth.grid, np.uint8)
    to_model_space(tmp_path, size=(160, 160, 160))
    model = load_mask(tmp_path / "model_lesion.nii.gz").data.astype(np.float32)
    back = ModelSpace.from_sidecar(tmp_path / "model.json").to_native(model) >= 0.5
    dice = 2 * (back & truth.data).sum() / (back.sum() + truth.data.sum())
    print(f"patient {patient}: Dice {dice:.4f} there and back")
    assert dice >= 0.98
