"""The agreement of raters, worked out by hand, and on files."""

from __future__ import annotations

import math

import numpy as np
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.evaluate.raters import COLUMNS, agreement, main, mean_lesions

SHAPE = (20, 20, 20)
GRID = Grid.from_affine(SHAPE, np.diag([1.0, 2.0, 5.0, 1.0]))
"""Voxels of 10 mm3."""


def mask(*boxes):
    volume = np.zeros(SHAPE, dtype=bool)
    for first, last in boxes:
        volume[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))] = True
    return volume


# 5, 2 and 1 voxels; the second has marked 4 voxels of the first lesion and no other
ONE = mask(((0, 0, 0), (4, 0, 0)), ((10, 0, 0), (11, 0, 0)), ((15, 15, 15), (15, 15, 15)))
OTHER = mask(((0, 0, 0), (3, 0, 0)))
# one of 5 voxels against one of 8, none of them the same
THIRD = mask(((0, 10, 10), (7, 10, 10)))
TWO = {
    "DSC": 2 * 4 / (8 + 4),
    # the first's lesions of 20 mm3 and more: one of two; the second's: one of one
    "LTPR": (1 / 2 + 1) / 2,
    "LFPR": (0 + 1 / 2) / 2,
    "LF1": 2 / 3,
}


def test_two_raters_are_each_held_against_the_other():
    assert agreement([ONE, OTHER], GRID, 20.0) == pytest.approx(TWO)
    assert agreement([OTHER, ONE], GRID, 20.0) == pytest.approx(TWO)
    assert mean_lesions([ONE, OTHER], GRID, 20.0) == 1.5
    # with lesions of one voxel the first has three, of which one is found
    every = agreement([ONE, OTHER], GRID, 0.0)
    assert (every["LTPR"], every["LFPR"]) == pytest.approx(((1 / 3 + 1) / 2, (0 + 2 / 3) / 2))


def test_of_three_raters_it_is_the_mean_over_pairs():
    agreed = agreement([ONE, OTHER, THIRD], GRID, 20.0)
    # the third agrees with nobody: two more pairs of DSC 0, LTPR 0, LFPR 1
    assert agreed == pytest.approx(
        {
            "DSC": TWO["DSC"] / 3,
            "LTPR": TWO["LTPR"] / 3,
            "LFPR": (TWO["LFPR"] + 2) / 3,
            "LF1": TWO["LF1"] / 3,
        }
    )


def test_raters_who_saw_nothing_agree():
    nothing = mask()
    assert agreement([nothing] * 2, GRID, 3.0) == {"DSC": 1, "LTPR": 1, "LFPR": 0, "LF1": 1}
    # where one saw nothing, the other's lesions are not found
    assert agreement([nothing, OTHER], GRID, 3.0) == {"DSC": 0, "LTPR": 0, "LFPR": 0.5, "LF1": 0}


@pytest.fixture
def scan(tmp_path):
    """A head and the masks of two raters."""
    save_volume(tmp_path / "flair.nii.gz", np.ones(SHAPE), GRID)
    for name, marked in (("one", ONE), ("other", OTHER)):
        save_volume(tmp_path / f"{name}.nii.gz", marked, GRID, np.uint8)
    return tmp_path


def run(folder, *options: str, masks: tuple[str, ...] = ("one", "other")):
    given = [str(folder / f"{name}.nii.gz") for name in masks]
    flair, out = str(folder / "flair.nii.gz"), folder / "agreement.tsv"
    words = ["--scan", "sub-A", "--flair", flair, "--masks", *given]
    main([*words, "--smallest-lesion-mm3", "20", *options, "--out", str(out)])
    return read_tsv(out, {"scan": str, "metric": str, "value": float, "lesions": float})


def test_the_command_writes_what_two_files_say(scan, capsys):
    table = run(scan)
    assert list(table) == list(COLUMNS)
    assert set(table["scan"]) == {"sub-A"}
    assert table.set_index("metric")["value"].to_dict() == pytest.approx(TWO, abs=1e-6)
    assert set(table["lesions"]) == {1.5}
    assert "2 raters, 1.5 lesions on average" in capsys.readouterr().out
    once = (scan / "agreement.tsv").read_bytes()
    run(scan)
    assert (scan / "agreement.tsv").read_bytes() == once


def test_a_mask_on_another_grid_follows_the_config_as_where_raters_are_combined(scan):
    fine = Grid.from_affine((40, 20, 20), GRID.affine @ shifted(-0.25, np.diag([0.5, 1, 1, 1])))
    save_volume(scan / "other.nii.gz", np.repeat(OTHER, 2, axis=0), fine, np.uint8)
    with pytest.raises(InputError, match=r"other\.nii\.gz"):
        run(scan)
    table = run(scan, "--other-grid", "resample")
    assert table.set_index("metric")["value"].to_dict() == pytest.approx(TWO, abs=1e-6)


def test_the_labels_that_are_lesion_are_those_of_the_config(scan):
    labelled = OTHER.astype(np.uint8)
    labelled[THIRD] = 2
    save_volume(scan / "other.nii.gz", labelled, GRID, np.uint8)
    with pytest.raises(InputError, match=r"lesion_masks\.labels"):
        run(scan)
    table = run(scan, "--lesion-labels", "1")
    assert table.set_index("metric")["value"].to_dict() == pytest.approx(TWO, abs=1e-6)


def shifted(by: float, affine: np.ndarray) -> np.ndarray:
    """An affine whose first axis begins a little earlier."""
    moved = affine.copy()
    moved[0, 3] = by
    return moved


def test_one_rater_is_refused(scan):
    with pytest.raises(InputError, match="two raters or more"):
        run(scan, masks=("one",))


def test_a_scan_whose_lesions_are_all_too_small_is_agreed_on():
    small = mask(((15, 15, 15), (15, 15, 15)))
    agreed = agreement([small, mask()], GRID, 20.0)
    assert (agreed["LTPR"], agreed["LFPR"], agreed["LF1"]) == (1, 0, 1)
    assert not math.isnan(agreed["DSC"])
