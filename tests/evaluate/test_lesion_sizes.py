"""Lesions by size: planted lesions of known volumes, worked out by hand, and a fold on disk."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.evaluate.fold import evaluate_fold
from msnmo.evaluate.lesion_detection import Lesions
from msnmo.evaluate.lesion_sizes import (
    ALL,
    COLUMNS,
    LOAD,
    TOO_SMALL,
    Classed,
    Sizes,
    main,
    predicted_classes,
    size_metrics,
)

SHAPE = (30, 30, 30)
GRID = Grid.from_affine(SHAPE, np.diag([1.0, 2.0, 5.0, 1.0]))
"""Voxels of 10 mm3: 10 of them are 0.1 ml, 100 are 1 ml."""
SIZES = Sizes(20.0, (0.1, 1.0))
SMALL, MIDDLE, LARGE = SIZES.names


def mask(*boxes):
    """A mask of boxes given by their first and last voxels."""
    volume = np.zeros(SHAPE, dtype=bool)
    for first, last in boxes:
        volume[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))] = True
    return volume


# of 5, 2, 1, 20 and 100 voxels: small, small, too small to count, middle, large
TRUTH = mask(
    ((0, 0, 0), (4, 0, 0)),
    ((10, 0, 0), (11, 0, 0)),
    ((15, 0, 0), (15, 0, 0)),
    ((0, 10, 0), (4, 13, 0)),
    ((0, 0, 10), (9, 9, 10)),
)
# 4 voxels, 2 of them in the first; 2 voxels over the third; 10, half of the fourth; all of the
# fifth; and of 3, 12 and 1 voxels, on nothing
PREDICTION = mask(
    ((0, 0, 0), (1, 1, 0)),
    ((15, 0, 0), (16, 0, 0)),
    ((0, 10, 0), (4, 11, 0)),
    ((0, 0, 10), (9, 9, 10)),
    ((20, 20, 20), (22, 20, 20)),
    ((20, 0, 20), (25, 1, 20)),
    ((29, 29, 29), (29, 29, 29)),
)
EXPECTED = {
    # masks of 128 and 132 voxels, 113 in common; 3 of 4 found, 2 of 6 wrong
    (ALL, "DSC"): (226 / 260, 4),
    (ALL, "LTPR"): (3 / 4, 4),
    (ALL, "LFPR"): (2 / 6, 6),
    (ALL, "LF1"): (12 / 17, 4),
    (ALL, LOAD): (1.28, 4),
    # 7 true voxels; those predicted on the first and the 3 on nothing; not those on the third
    (SMALL, "DSC"): (2 * 2 / (7 + 4 + 3), 2),
    (SMALL, "LTPR"): (1 / 2, 2),
    (SMALL, "LFPR"): (1 / 3, 3),
    # 10 voxels are 0.1 ml, which is of the middle class
    (MIDDLE, "DSC"): (2 * 10 / (20 + 10 + 12), 1),
    (MIDDLE, "LTPR"): (1, 1),
    (MIDDLE, "LFPR"): (1 / 2, 2),
    (LARGE, "DSC"): (1, 1),
    (LARGE, "LTPR"): (1, 1),
    (LARGE, "LFPR"): (0, 1),
}


def measured(prediction, truth, sizes=SIZES):
    """Value and number of lesions by class and metric."""
    rows = size_metrics(prediction, truth, GRID, sizes)
    return {(size, metric): (value, lesions) for size, metric, value, lesions in rows}


def test_planted_lesions_are_found_by_their_size():
    found = measured(PREDICTION, TRUTH)
    assert list(found) == list(EXPECTED)
    assert {key: number for key, (_, number) in found.items()} == {
        key: number for key, (_, number) in EXPECTED.items()
    }
    values = {key: value for key, (value, _) in EXPECTED.items()}
    assert {key: value for key, (value, _) in found.items()} == pytest.approx(values)


def test_a_class_without_a_lesion_has_no_value():
    only_small = mask(((0, 0, 0), (4, 0, 0)))
    # a large lesion that is invented, and nothing else
    found = measured(mask(((0, 0, 10), (9, 9, 10))), only_small)
    assert found[SMALL, "DSC"] == (0, 1)
    assert found[SMALL, "LTPR"] == (0, 1)
    assert found[LARGE, "LFPR"] == (1, 1)
    undefined = {key for key, (value, _) in found.items() if math.isnan(value)}
    assert undefined == {
        *((SMALL, "LFPR"), (MIDDLE, "DSC"), (MIDDLE, "LTPR"), (MIDDLE, "LFPR")),
        *((LARGE, "DSC"), (LARGE, "LTPR")),
    }
    assert all(found[key][1] == 0 for key in undefined)


@pytest.mark.parametrize("prediction", [mask(), TRUTH])
def test_empty_masks_follow_the_rules_of_the_whole(prediction):
    found = measured(prediction, mask())
    clean = float(not prediction.any())
    assert found[ALL, "DSC"][0] == clean
    assert found[ALL, "LFPR"][0] == 1 - clean
    assert found[ALL, LOAD] == (0, 0)
    assert math.isnan(found[SMALL, "DSC"][0])
    assert math.isnan(found[SMALL, "LTPR"][0])


def test_a_prediction_on_lesions_of_two_sizes_is_parted_half_way():
    """A row of 30 voxels from a lesion of 3 to one of 100, the 7 between going to the nearer."""
    truth = mask(((0, 0, 0), (2, 0, 0)), ((10, 0, 0), (29, 4, 0)))
    found = measured(mask(((0, 0, 0), (29, 0, 0))), truth)
    # of the 7, the one in the middle is as near to both, and goes to the smaller
    assert found[SMALL, "DSC"][0] == pytest.approx(2 * 3 / (3 + 3 + 4))
    assert found[LARGE, "DSC"][0] == pytest.approx(2 * 20 / (100 + 20 + 3))
    assert (found[SMALL, "LTPR"][0], found[LARGE, "LTPR"][0]) == (1, 1)
    # the prediction of 30 voxels is of the middle size, and right
    assert found[MIDDLE, "LFPR"] == (0, 1)


def test_near_is_meant_in_millimetres():
    """Slices are 5 mm apart: two slices above the large lesion, 3 voxels are nearer than it."""
    truth = mask(((0, 0, 0), (9, 9, 0)), ((12, 9, 2), (13, 9, 2)))
    prediction = mask(((9, 9, 0), (9, 9, 2)), ((9, 9, 2), (12, 9, 2)))
    found = measured(prediction, truth)
    assert found[SMALL, "DSC"][0] == pytest.approx(2 * 1 / (2 + 4))
    assert found[LARGE, "DSC"][0] == pytest.approx(2 * 1 / (100 + 2))


@pytest.mark.parametrize("seed", range(8))
def test_each_predicted_voxel_counts_once_and_true_ones_for_their_own_lesion(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = (
        mask(*((corner, corner + rng.integers(0, 5, 3)) for corner in rng.integers(0, 9, (8, 3))))
        for _ in range(2)
    )
    true, predicted = (
        Classed(lesions.labels, SIZES.of(lesions.volumes_mm3))
        for lesions in (Lesions.of_mask(each, GRID) for each in (truth, prediction))
    )
    classes = predicted_classes(true, predicted, GRID)
    assert ((classes >= TOO_SMALL) == prediction).all()
    both = truth & prediction
    assert both.any()
    assert (classes[both] == true.of_voxels[both]).all()
    # what touches no true lesion is of its own size
    alone = ~np.isin(predicted.labels, predicted.labels[both])
    assert (classes[alone] == predicted.of_voxels[alone]).all()


def test_classes_have_names_and_bounds_are_of_the_class_above():
    sizes = Sizes(3.0, (0.05, 0.1, 1.5))
    assert sizes.names == (
        "under 0.05 ml",
        "0.05 to 0.1 ml",
        "0.1 to 1.5 ml",
        "1.5 ml or more",
    )
    volumes = np.array([2.999, 3.0, 49.999, 50.0, 99.999, 100.0, 1499.999, 1500.0])
    assert sizes.of(volumes).tolist() == [TOO_SMALL, 1, 1, 2, 2, 3, 3, 4]
    assert Sizes(0.0, (0.1,)).of(np.array([0.001])).tolist() == [1]


def run(study, **changed: str) -> pd.DataFrame:
    study.write()
    words = {
        "predictions": str(study.directory),
        "scans": str(study.root / "truth.tsv"),
        **{"method": "joint", "fold": "0", "seed": "7", "smallest-lesion-mm3": "3"},
        "out": str(study.root / "sizes.tsv"),
    } | changed
    options = [word for name, value in words.items() for word in (f"--{name}", value)]
    main([*options, "--lesion-sizes-ml", "0.01", "0.05"])
    kinds = dict.fromkeys(("method", *COLUMNS), str) | {"value": float, "lesions": int}
    return read_tsv(Path(words["out"]), kinds)


def test_a_fold_has_every_scan_and_all_lesions_are_those_of_the_metrics(study):
    table = run(study)
    assert list(table) == ["method", "fold", "seed", *COLUMNS]
    assert set(table["scan"]) == set(study.tests["scan"])
    assert set(table["method"]) == {"joint"}
    assert (table[["fold", "seed"]] == [0, 7]).all(axis=None)
    tasks = {"segmentation", "classification"}
    metrics = evaluate_fold(study.directory, study.manifest, study.tests, tasks, 3.0)
    native = metrics[metrics["space"] == "native"].set_index(["scan", "metric"])["value"]
    whole = table[table["size"] == ALL].set_index(["scan", "metric"])["value"]
    assert len(whole) == 4 * 5
    for place, value in whole.items():
        assert value == pytest.approx(native[place], abs=1e-6)


def test_lesions_of_the_classes_are_those_of_the_whole(study):
    table = run(study)
    rows = table[table["metric"].isin(["LTPR", "LFPR"])]
    counts = rows.groupby(["scan", "metric", rows["size"] == ALL])["lesions"].sum().unstack()
    assert (counts[True] == counts[False]).all()
    assert (counts[True] > 0).all()


def test_a_scan_without_a_lesion_mask_is_left_out_and_told(study, capsys):
    study.manifest.loc[study.manifest["scan"] == "sub-B", ["lesion", "native_lesion"]] = None
    assert set(run(study)["scan"]) == {"sub-A", "sub-C", "sub-D"}
    printed = capsys.readouterr().out
    assert "3 test scans" in printed
    assert "left out, as they have no lesion mask: sub-B" in printed


def test_a_method_without_masks_is_refused(study):
    with pytest.raises(InputError, match="resnet50, which has no masks"):
        run(study, method="resnet50")


def test_every_mask_that_cannot_be_used_is_named(study):
    study.mask_path("sub-A", "desc").unlink()
    other = Grid.from_affine((9, 8, 6), np.eye(4))
    save_volume(study.mask_path("sub-C", "desc"), np.ones((9, 8, 6)), other, np.uint8)
    with pytest.raises(InputError) as caught:
        run(study)
    assert [Path(each.file).name.partition("_")[0] for each in caught.value.findings] == [
        "sub-A",
        "sub-C",
    ]


def test_equal_inputs_give_equal_bytes(study):
    run(study)
    once = (study.root / "sizes.tsv").read_bytes()
    run(study)
    assert (study.root / "sizes.tsv").read_bytes() == once
