"""A scan's conditions go through the workflow's own steps, and lesions are found there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import read_json, write_json
from msnmo.core.geometry import ModelSpace
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_volume
from msnmo.predict.fold import Prediction, load_scans
from msnmo.preprocess import crop, n4, resize, zscore
from msnmo.preprocess.steps import STEPS
from msnmo.robustness.conditions import LIES_ON, TABLE
from msnmo.robustness.perturb import main, prepare
from msnmo.robustness.perturbations import Head
from msnmo.robustness.predict import measure
from msnmo.settings.config import complete_config
from tests.robustness.conftest import BRAIN, LESION

SIZE = (48, 48, 48)
SEVERITIES = {
    "bias_field": [1.5],
    "noise": [0.05],
    "slice_mm": [9],
    "gamma": [0.7],
    "rotation_degrees": [8],
    "brain_mask_mm": [-4, 4],
    "engines": ["surface"],
}
SETTINGS: dict[str, Any] = complete_config(
    {"n4": {"iterations": [20, 20]}, "resize": {"size": list(SIZE)}, "robustness": SEVERITIES}
)


def write_head(head: Head, folder: Path) -> list[str]:
    """Write a head as it arrived; return the options of the command but for the scan's name."""
    folder.mkdir(exist_ok=True)
    save_volume(folder / "flair.nii.gz", head.scan.data, head.scan.grid)
    save_volume(folder / "brain.nii.gz", head.brain, head.scan.grid, np.uint8)
    write_json(folder / "brain.json", {"skullstrip": {"engine": "surface"}})
    return options_of(folder)


def options_of(folder: Path) -> list[str]:
    return [
        *("--flair", str(folder / "flair.nii.gz"), "--brain", str(folder / "brain.nii.gz")),
        *("--sidecar", str(folder / "brain.json"), "--stripped", "no", "--bias-corrected", "no"),
        *("--settings", json.dumps(SETTINGS), "--seed", "7"),
    ]


@pytest.fixture
def perturbed(head: Head, tmp_path: Path) -> Path:
    options = write_head(head, tmp_path / "arrived")
    main([*options, "--scan", "sub-A", "--out", str(tmp_path / "perturbed")])
    return tmp_path / "perturbed"


def test_a_scan_as_it_is_comes_out_as_the_workflow_makes_it(head: Head, tmp_path: Path) -> None:
    """Bytes of image and mask, and the geometry, whatever the files between steps are called."""
    write_head(replace(head, scan=Volume(head.scan.data * head.brain, head.scan.grid)), tmp_path)
    files: dict[str, Any] = {
        "n4": {"image": "flair", "brain": "brain", "out_image": "n4", "out_sidecar": "n4"},
        "crop": {
            **{"image": "n4", "brain": "brain"},
            **{"out_image": "crop", "out_brain": "cropped", "out_sidecar": "crop"},
        },
        "resize": {
            **{"image": "crop", "brain": "cropped", "sidecar": "crop"},
            **{"out_image": "resize", "out_brain": "model", "out_sidecar": "resize"},
        },
        "zscore": {
            **{"image": "resize", "brain": "model", "sidecar": "resize"},
            **{"out_image": "zscore", "out_sidecar": "zscore"},
        },
    }
    for name, run in {"n4": n4, "crop": crop, "resize": resize, "zscore": zscore}.items():
        step = STEPS[name]
        places = {
            key: tmp_path / f"{file}.{'json' if 'sidecar' in key else 'nii.gz'}"
            for key, file in files[name].items()
        }
        options = step.options(SETTINGS, {"bias_corrected": "no"})
        run.main(step.command(places, options)[2:])

    made = prepare(head, tmp_path / "as-is", SETTINGS, "no")
    assert made["image"].read_bytes() == (tmp_path / "zscore.nii.gz").read_bytes()
    assert made["brain"].read_bytes() == (tmp_path / "model.nii.gz").read_bytes()
    sidecar = read_json(made["sidecar"])
    assert Grid.from_json(sidecar.pop(LIES_ON)).matches(head.scan.grid)
    assert sidecar == read_json(tmp_path / "zscore.json")


def test_a_scan_that_arrived_corrected_is_not_corrected_again(head: Head, tmp_path: Path) -> None:
    images = [
        load_volume(prepare(head, tmp_path / told, SETTINGS, told)["image"]).data
        for told in ("no", "yes")
    ]
    assert not np.array_equal(*images)


def conditions(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / TABLE, sep="\t", dtype=str, na_values=["n/a"])


def test_every_condition_is_listed_with_its_files_or_why_there_are_none(perturbed: Path) -> None:
    table = conditions(perturbed)
    named = list(zip(table["perturbation"], table["severity"], strict=True))
    assert named == [(name, str(each)) for name, all_of in SEVERITIES.items() for each in all_of]
    left = table[table["left_out"].notna()]
    assert list(left["left_out"]) == ["the engine that made the mask"]
    assert left[["image", "sidecar", "brain"]].isna().all(axis=None)
    files = {TABLE, *table[["image", "sidecar", "brain"]].stack()}
    assert {path.name for path in perturbed.iterdir()} == files
    for name in table["image"].dropna():
        assert load_volume(perturbed / name).grid.shape == SIZE


def test_equal_seeds_and_names_give_equal_bytes_and_no_others(
    perturbed: Path, tmp_path: Path
) -> None:
    options = options_of(tmp_path / "arrived")
    for scan, out in (("sub-A", "again"), ("sub-B", "other")):
        main([*options, "--scan", scan, "--out", str(tmp_path / out)])
    same = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert same == {path.name: path.read_bytes() for path in perturbed.iterdir()}
    drawn = {"bias_field_1.5", "noise_0.05", "rotation_degrees_8"}
    differ = {
        name.partition("_FLAIR")[0]
        for name, content in same.items()
        if content != (tmp_path / "other" / name).read_bytes() and "_mask" not in name
    }
    assert differ == drawn


def test_an_ideal_network_finds_the_lesions_of_every_condition_where_they_were(
    perturbed: Path, head: Head, lesions: np.ndarray
) -> None:
    """What is bright is lesion: the way there and back is all that can be wrong."""
    truth = Volume(lesions, head.scan.grid)

    def predict(image: np.ndarray) -> Prediction:
        inside = image[image != 0]
        low, high = np.percentile(inside, [50, 99.9])
        share = (image - low) / (high - low)
        return Prediction(np.clip(share, 0, 1).astype(np.float32), None, ())

    found = {}
    for row in conditions(perturbed).dropna(subset=["image"]).to_dict("records"):
        files = {name: str(perturbed / row[name]) for name in ("image", "sidecar", "brain")}
        (scan,) = load_scans(pd.DataFrame([{"scan": "sub-A", **files}]), SIZE)
        told = measure(scan, files["sidecar"], truth, predict, 0.5)
        found[f"{row['perturbation']} {row['severity']}"] = told["dsc"]
        assert np.isnan(told["p_nmosd"])
    assert min(found.values()) > 0.85, found
    # half the slices carry less of a border
    assert found["slice_mm 9"] == min(found.values())


def test_a_map_that_was_not_taken_back_would_miss_them(
    perturbed: Path, head: Head, lesions: np.ndarray
) -> None:
    image = load_volume(perturbed / "rotation_degrees_8_FLAIR.nii.gz").data
    space = ModelSpace.from_sidecar(perturbed / "rotation_degrees_8_FLAIR.json")
    there = space.to_native((image > np.percentile(image, 98)).astype(np.float32)) > 0.5
    assert 2 * (there & lesions).sum() / (there.sum() + lesions.sum()) < 0.75


def test_a_condition_that_preprocessing_refuses_is_a_result(head: Head, tmp_path: Path) -> None:
    """Ten voxels of brain are gone after 4 mm."""
    small = np.zeros_like(head.brain)
    small[20:22, 14, 28:33] = True
    options = write_head(replace(head, brain=small), tmp_path / "arrived")
    main([*options, "--scan", "sub-A", "--out", str(tmp_path / "perturbed")])
    table = conditions(tmp_path / "perturbed").set_index(["perturbation", "severity"])
    told = table.loc[("brain_mask_mm", "-4"), "left_out"]
    assert told == "preprocessing failed: an empty brain mask"


def test_a_mask_of_another_grid_and_a_sidecar_of_something_else_are_refused(
    head: Head, tmp_path: Path
) -> None:
    options = [*write_head(head, tmp_path), "--scan", "sub-A", "--out", str(tmp_path / "out")]
    write_json(tmp_path / "brain.json", {"n4": {}})
    with pytest.raises(InputError, match="the engine of a brain mask"):
        main(options)
    smaller = head.brain[1:]
    grid = Grid.from_affine(smaller.shape, head.scan.grid.affine)
    save_volume(tmp_path / "brain.nii.gz", smaller, grid, np.uint8)
    with pytest.raises(InputError, match=r"brain\.nii\.gz"):
        main(options)
    assert not (tmp_path / "out").exists()


def test_sections_that_are_missing_are_named(head: Head, tmp_path: Path) -> None:
    options = write_head(head, tmp_path)
    options[options.index("--settings") + 1] = json.dumps({"n4": {}, "resize": {}})
    with pytest.raises(InputError, match="no robustness, skull_strip, zscore"):
        main([*options, "--scan", "sub-A", "--out", str(tmp_path / "out")])


def test_the_phantom_is_bright_where_lesions_are(head: Head, lesions: np.ndarray) -> None:
    inside = head.scan.data[head.brain & ~lesions]
    assert (inside.mean(), head.scan.data[lesions].mean()) == (
        pytest.approx(BRAIN, abs=1),
        pytest.approx(LESION, abs=1),
    )
