"""Maps are held against the lesions within the brain: exact on maps whose place is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_json, write_tsv
from msnmo.core.geometry import Crop, ModelSpace, Resize, same_extent
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.evaluate.localisation import main, measure, random_map
from msnmo.evaluate.maps import (
    AUROC,
    ENERGY,
    FLAT,
    PEAK,
    as_share,
    brain_in_model_space,
    read_class_evidence,
    read_map,
)

SHAPE = (4, 5, 6)
GRID = Grid.from_affine(SHAPE, np.diag([2.0, 2.0, 3.0, 1.0]))
BRAIN = np.zeros(SHAPE, dtype=bool)
BRAIN[:, 1:4, 1:5] = True  # 48 voxels
LESION = np.zeros(SHAPE, dtype=bool)
LESION[1:3, 2, 2:5] = True  # 6 voxels
SHARE = 6 / 48


def spike(place: tuple[int, int, int]) -> np.ndarray:
    values = np.zeros(SHAPE)
    values[place] = 3.0
    return values


def half_found() -> np.ndarray:
    """Half of the lesion and as many other voxels, at one height, over an even ground below 0."""
    values = np.full(SHAPE, -1.0)
    values[1, 2, 2:5] = 2.0
    values[0, 1, 1:4] = 2.0
    return values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # perfect, and whatever the height
        (LESION.astype(float), (1, 1, 1, 0)),
        (7.0 * LESION - 5, (1, 1, 1, 0)),
        # inverted: highest everywhere but in the lesion
        (1.0 - LESION, (0, 0, 0, 0)),
        # says nothing: every voxel is a maximum
        (np.full(SHAPE, 2.0), (0.5, SHARE, SHARE, 1)),
        (np.zeros(SHAPE), (0.5, SHARE, 0, 1)),
        # nothing above 0, but an order
        (LESION - 2.0, (1, 1, 0, 1)),
        # a spike in one of 6 lesion voxels: 1/6 of pairs won, 5/6 tied
        (spike((1, 2, 2)), (1 / 6 + 5 / 12, 1, 1, 0)),
        # a spike in one of 42 others: 1/42 of pairs lost, the rest tied
        (spike((0, 1, 1)), (0.5 - 1 / 84, 0, 0, 0)),
        # a spike outside the brain is not there
        (spike((0, 0, 0)), (0.5, SHARE, 0, 1)),
        # ties: (3 * (39 + 3/2) + 3 * 39/2) / (6 * 42) of pairs
        (half_found(), ((3 * 40.5 + 3 * 19.5) / 252, 0.5, 0.5, 0)),
    ],
)
def test_values_are_exact(values, expected):
    measured = measure(values, LESION, BRAIN)
    found = tuple(measured[name] for name in (AUROC, PEAK, ENERGY, FLAT))
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("lesion", [np.zeros(SHAPE, bool), ~BRAIN, BRAIN])
def test_without_lesion_voxels_in_the_brain_there_is_no_value(lesion):
    assert all(np.isnan(value) for value in measure(half_found(), lesion, BRAIN).values())


def test_other_shapes_are_a_mistake():
    with pytest.raises(ValueError, match="shapes differ"):
        measure(np.zeros((2, 2, 2)), LESION, BRAIN)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_the_auroc_is_the_share_of_right_pairs(voxels):
    values, lesion = np.array([v for v, _ in voxels], float), np.array([p for _, p in voxels])
    if lesion.any() and not lesion.all():
        pairs = [(a > b) + (a == b) / 2 for a in values[lesion] for b in values[~lesion]]
        found = measure(values, lesion, np.ones_like(lesion))[AUROC]
        assert found == pytest.approx(np.mean(pairs))


def test_a_random_map_is_chance_and_follows_from_the_scan_alone():
    shape = (60, 60, 60)
    lesion = np.zeros(shape, bool)
    lesion[20:40, 20:40, 20:30] = True
    measured = measure(random_map("sub-A", shape), lesion, np.ones(shape, bool))
    # 4,000 lesion voxels: the AUROC's standard error is 0.0046
    assert measured[AUROC] == pytest.approx(0.5, abs=0.02)
    assert measured[ENERGY] == pytest.approx(lesion.mean(), abs=0.001)
    np.testing.assert_array_equal(random_map("sub-A", shape), random_map("sub-A", shape))
    assert (random_map("sub-A", shape) != random_map("sub-B", shape)).any()


def test_a_share_is_cut_at_0_and_divided_by_its_maximum():
    assert list(as_share(np.array([-4.0, 1.0, 2.0]))) == [0.0, 0.5, 1.0]
    assert list(as_share(np.array([-4.0, -1.0, 0.0]))) == [0.0, 0.0, 0.0]


SCANS = ("sub-A", "sub-B", "sub-C")


@pytest.fixture
def fold(tmp_path: Path) -> Path:
    """Three test scans, of which the second has no lesion and the third no mask."""
    rows = []
    for scan in SCANS:
        stem = tmp_path / scan
        save_volume(f"{stem}_image.nii.gz", np.where(BRAIN, LESION - 0.5, 0), GRID)
        save_volume(f"{stem}_brain.nii.gz", BRAIN, GRID, np.uint8)
        lesion = LESION if scan == "sub-A" else np.zeros(SHAPE)
        save_volume(f"{stem}_lesion.nii.gz", lesion, GRID, np.uint8)
        # the three together are right, no one alone is
        parts = (LESION & (np.indices(SHAPE)[2] == height) for height in (2, 3, 4))
        for scale, part in enumerate(parts, start=1):
            path = tmp_path / f"fold-0/{scan}_space-model_desc-localisation{scale}_map.nii.gz"
            save_volume(path, part.astype(float), GRID)
        gradcam = tmp_path / f"gradcam/{scan}_space-model_desc-gradcam_map.nii.gz"
        save_volume(gradcam, np.zeros(SHAPE), GRID)
        names = {name: f"{scan}_{name}.nii.gz" for name in ("image", "brain", "lesion")}
        rows.append({"scan": scan, "subject": scan, "diagnosis": "MS", "fold": 0, **names})
    table = pd.DataFrame(rows)
    table.loc[table["scan"] == "sub-C", "lesion"] = None
    write_tsv(tmp_path / "test.tsv", table.drop(columns="lesion"))
    write_tsv(tmp_path / "truth.tsv", table[["scan", "subject", "diagnosis", "fold", "lesion"]])
    return tmp_path


def run(folder: Path, **changed: str) -> pd.DataFrame:
    options = {
        "scans": str(folder / "test.tsv"),
        "truth": str(folder / "truth.tsv"),
        "predictions": str(folder / "fold-0"),
        "gradcam": str(folder / "gradcam"),
        "method": "joint",
        "seed": "7",
        "fold": "0",
        "out": str(folder / "out.tsv"),
    } | changed
    main([part for name, value in options.items() if value for part in (f"--{name}", value)])
    columns = {"fold": int, "scan": str, "map": str, "metric": str, "value": float}
    return read_tsv(folder / "out.tsv", columns)


UNTRAINED = dict.fromkeys(("predictions", "gradcam", "method", "seed"), "")


def test_every_map_of_every_scan_has_its_rows_and_those_without_lesions_no_value(fold, capsys):
    table = run(fold)
    assert list(table.columns) == ["method", "fold", "seed", "scan", "map", "metric", "value"]
    assert set(table["method"]) == {"joint"}
    assert set(table["seed"]) == {7}
    assert len(table) == 3 * 2 * 4
    without = table["scan"] != "sub-A"
    assert table["value"].isna().equals(without)
    found = table[~without].set_index(["map", "metric"])["value"]
    assert found["cam", "auroc"] == 1
    assert found["gradcam", "energy"] == 0
    assert found["gradcam", "flat"] == 1
    said = capsys.readouterr().out
    assert "no lesion voxel in the brain, so no value: sub-B, sub-C" in said
    assert "gradcam: flat or without a value above 0 in sub-A" in said
    once = (fold / "out.tsv").read_bytes()
    run(fold)
    assert (fold / "out.tsv").read_bytes() == once


def test_without_predictions_the_maps_that_no_network_makes_are_measured(fold):
    table = run(fold, **UNTRAINED)
    assert list(table.columns) == ["fold", "scan", "map", "metric", "value"]
    found = table.dropna(subset="value").set_index(["map", "metric"])["value"]
    assert found["intensity", "auroc"] == 1
    assert 0 < found["random", "auroc"] < 1
    assert len(table) == 3 * 2 * 4


def test_a_method_without_gradcam_has_one_map(fold):
    assert set(run(fold, method="only_cls", gradcam="")["map"]) == {"cam"}


@pytest.mark.parametrize("left_out", ["method", "seed", "predictions"])
def test_maps_of_a_training_need_to_know_whose_they_are(fold, left_out, capsys):
    with pytest.raises(SystemExit):
        run(fold, **{left_out: ""})
    assert "needs --" in capsys.readouterr().err


def test_a_method_without_maps_is_refused(fold):
    with pytest.raises(InputError, match="unet, which has none"):
        run(fold, method="unet")


OTHER = Grid.from_affine(SHAPE, np.diag([2.0, 2.0, 4.0, 1.0]))


@pytest.mark.parametrize(
    "name",
    [
        "sub-A_brain.nii.gz",
        "sub-A_lesion.nii.gz",
        "gradcam/sub-B_space-model_desc-gradcam_map.nii.gz",
        "fold-0/sub-B_space-model_desc-localisation2_map.nii.gz",
    ],
)
def test_a_file_on_another_grid_is_refused_by_its_name(fold, name):
    save_volume(fold / name, BRAIN.astype(float), OTHER)
    with pytest.raises(InputError) as error:
        run(fold)
    assert error.value.findings[0].file == str(fold / name)
    assert not (fold / "out.tsv").exists()


def test_all_that_is_wrong_is_said_at_once(fold):
    (fold / "sub-A_brain.nii.gz").unlink()
    save_volume(fold / "sub-B_brain.nii.gz", np.zeros(SHAPE), GRID, np.uint8)
    with pytest.raises(InputError, match="no voxel in it") as error:
        run(fold)
    assert [Path(each.file).name[:5] for each in error.value.findings] == ["sub-A", "sub-B"]


def test_a_scan_that_only_one_list_has_is_named(fold):
    table = read_tsv(fold / "truth.tsv", {"scan": str})
    write_tsv(fold / "truth.tsv", table[table["scan"] != "sub-B"])
    with pytest.raises(InputError, match="only one has sub-B"):
        run(fold)


def test_a_missing_map_is_named(fold):
    (fold / "fold-0/sub-C_space-model_desc-localisation3_map.nii.gz").unlink()
    with pytest.raises(InputError, match="sub-C_space-model_desc-localisation3_map"):
        run(fold)


def test_the_map_of_a_method_is_the_sum_of_its_scales(fold):
    found = read_class_evidence(fold / "fold-0", "sub-A", GRID)
    np.testing.assert_array_equal(found, LESION)


def test_a_map_of_its_own_size_lies_where_the_scan_does(tmp_path):
    """Two voxels of the scan to one of the map; its centre is between theirs."""
    model = Grid.from_affine((8, 4, 4), np.diag([1.0, 2, 2, 1]))
    ramp = np.broadcast_to(np.arange(4.0)[:, None, None], (4, 2, 2))
    grid = same_extent(model, (4, 2, 2))
    np.testing.assert_allclose(grid.affine[:, 3], [0.5, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(grid.voxel_mm, [2.0, 4.0, 4.0])
    save_volume(tmp_path / "map.nii.gz", ramp, grid)
    found = read_map(tmp_path / "map.nii.gz", model)
    np.testing.assert_allclose(
        found[:, 1, 2], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], rtol=1e-6
    )


def test_the_brain_in_model_space_is_that_of_preprocessing(tmp_path):
    native = np.zeros((9, 8, 7), bool)
    native[2:8, 1:7, 1:6] = True
    native[2, 1, 1] = False
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    crop = Crop.around(native, Grid.from_affine(native.shape, affine))
    space = ModelSpace(crop, Resize.fit(crop.shape, crop.grid.voxel_mm, (16, 16, 16), "pad"))
    write_json(tmp_path / "x.json", {"geometry": space.to_json()})
    save_volume(tmp_path / "x.nii.gz", native, crop.native, np.uint8)
    brain = brain_in_model_space(tmp_path / "x.json", tmp_path / "x.nii.gz")
    assert brain.grid.matches(space.model)
    expected = space.to_model(native, order=1) >= 0.5
    assert expected.any()
    np.testing.assert_array_equal(brain.data, expected)
