"""Two visits whose truth is known: balls on grids that differ, and simulated heads."""

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from msnmo.apply.compare_visits import main
from msnmo.apply.visits import OUTSIDE, TOO_SMALL, Rules, Visit, compare_lesions, in_space_of
from msnmo.apply.visits_registration import register_visits
from msnmo.core.errors import InputError
from msnmo.core.files import write_json
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.demo.cohort import Plan, make_cohort

MOVE = np.eye(4)
MOVE[:3, :3] = Rotation.from_euler("xyz", (9, -6, 14), degrees=True).as_matrix()
MOVE[:3, 3] = (11.0, -7.0, 5.0)
"""From the first visit's scanner mm to the second's."""
TILT = np.eye(4)
TILT[:3, :3] = Rotation.from_euler("xyz", (-5, 8, 6), degrees=True).as_matrix()
# places in the first visit's mm, radii at the first and second visit (0: not there), what they are
BALLS = {
    "stable": ((-40, -30, 0), 6.0, 6.0),
    "enlarged": ((0, -30, 0), 5.0, 8.0),
    "shrunk": ((40, -30, 0), 8.0, 5.0),
    "gone": ((-40, 30, 0), 4.0, 0.0),
    "new": ((0, 30, 0), 0.0, 4.0),
    TOO_SMALL: ((40, 30, 0), 0.0, 0.5),
}
GRIDS = {
    "1 mm": (np.diag([1.0, 1.0, 1.0, 1.0]), (140, 120, 60)),
    "thick": (np.diag([0.8, 0.9, 2.5, 1.0]), (175, 134, 24)),
    "flipped": (np.diag([-1.0, 1.2, -1.1, 1.0]), (140, 100, 55)),
}


def placed(name, move):
    """A grid about the origin, moved."""
    affine, shape = (each.copy() if name else each for each in map(np.array, GRIDS[name]))
    affine[:3, 3] = -affine[:3, :3] @ (shape - 1) / 2
    return Grid.from_affine(tuple(int(side) for side in shape), move @ affine)


def painted(grid, move, which):
    """Balls on a grid that lies in mm that `move` takes the first visit's to."""
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    to_first = np.linalg.inv(move) @ grid.affine
    mm = index @ to_first[:3, :3].T + to_first[:3, 3]
    mask = np.zeros(grid.shape, bool)
    for place, *radii in BALLS.values():
        distance = np.linalg.norm(mm - place, axis=-1)
        if radii[which] >= 1:
            mask |= distance <= radii[which]
        elif radii[which]:
            mask.flat[distance.argmin()] = True
    return Volume(mask, grid)


def compared(first="1 mm", second="1 mm", rules=None):
    one = painted(placed(first, np.eye(4)), np.eye(4), 0)
    # the head has moved, and the slices lie otherwise in it
    other = painted(placed(second, MOVE @ TILT), MOVE, 1)
    visits = Visit.of(one), Visit.of(other, np.linalg.inv(MOVE))
    return compare_lesions(*visits, rules or Rules())


def named(found):
    """Which ball each row is, by where it lies."""
    places = {name: np.array(place) for name, (place, *_) in BALLS.items()}
    return {
        min(
            places, key=lambda name: np.linalg.norm(places[name] - (row.x_mm, row.y_mm, row.z_mm))
        ): row
        for row in found.table.itertuples()
    }


@pytest.mark.parametrize("second", GRIDS)
@pytest.mark.parametrize("first", GRIDS)
def test_each_lesion_is_what_became_of_it(first, second):
    found = compared(first, second)
    rows = named(found)
    assert len(rows) == len(found.table) == len(BALLS)
    assert {name: row.status for name, row in rows.items()} == {name: name for name in BALLS}
    for name, (place, *radii) in BALLS.items():
        row = rows[name]
        assert np.linalg.norm(np.subtract((row.x_mm, row.y_mm, row.z_mm), place)) < 1.3
        for volume, radius in zip((row.volume_first_ml, row.volume_second_ml), radii, strict=True):
            if radius != 0.5:
                assert volume == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.12)
        assert row.change_ml == pytest.approx(row.volume_second_ml - row.volume_first_ml)
    assert np.isnan(rows["new"].change_percent)
    assert rows["gone"].change_percent == -100
    new = found.mask("second", "new")
    assert new.sum() * found.second.grid.voxel_ml == pytest.approx(rows["new"].volume_second_ml)
    there = in_space_of(new, found.second.grid, found.first.grid)
    volume = there.sum() * found.first.grid.voxel_ml
    assert volume == pytest.approx(rows["new"].volume_second_ml, rel=0.2)


def test_thresholds_are_the_users():
    strict = named(compared(rules=Rules(smallest_mm3=0.0, growth_percent=500)))
    assert strict[TOO_SMALL].status == "new"
    assert strict["enlarged"].status == strict["shrunk"].status == "stable"
    assert named(compared(rules=Rules(smallest_mm3=400)))["new"].status == TOO_SMALL


def boxes(*corners):
    """A mask of boxes on a grid of 1 mm."""
    mask = np.zeros((40, 40, 40), bool)
    for low, high in corners:
        mask[tuple(slice(*each) for each in zip(low, high, strict=True))] = True
    return Volume(mask, Grid.from_affine(mask.shape, np.eye(4)))


def statuses(one, other, **rules):
    found = compare_lesions(Visit.of(one), Visit.of(other), Rules(**rules))
    return list(found.table["status"])


def test_a_voxel_of_misregistration_is_no_change():
    here, beside = boxes(((5, 5, 5), (7, 7, 7))), boxes(((7, 5, 5), (9, 7, 7)))
    assert statuses(here, beside) == ["stable"]
    assert sorted(statuses(here, beside, tolerance_voxels=0)) == ["gone", "new"]
    # twice the volume, and all of it within a voxel of what was there
    wide = boxes(((5, 5, 5), (9, 7, 7)))
    assert statuses(boxes(((6, 5, 5), (8, 7, 7))), wide) == ["stable"]
    assert statuses(boxes(((6, 5, 5), (8, 7, 7))), wide, tolerance_voxels=0) == ["enlarged"]


def test_lesions_that_grow_together_are_one_row():
    apart = boxes(((5, 5, 5), (9, 9, 9)), ((15, 5, 5), (19, 9, 9)))
    together = boxes(((5, 5, 5), (19, 9, 9)))
    found = compare_lesions(Visit.of(apart), Visit.of(together), Rules())
    (row,) = found.table.itertuples()
    assert (row.status, row.lesions_first, row.lesions_second) == ("enlarged", "1 2", "1")
    assert row.volume_first_ml == pytest.approx(0.128)


def test_what_the_other_scan_did_not_see_is_not_new():
    small = Volume(np.zeros((40, 40, 20), bool), Grid.from_affine((40, 40, 20), np.eye(4)))
    assert statuses(small, boxes(((5, 5, 30), (9, 9, 34)))) == [OUTSIDE]


def test_no_lesions_are_no_rows():
    found = compare_lesions(Visit.of(boxes()), Visit.of(boxes()), Rules())
    assert found.table.empty
    assert not found.mask("first", "gone").any()


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """Two sessions of a simulated person; the second in another place, its axes turned round."""
    folder = tmp_path_factory.mktemp("visits é")
    plan = Plan(seed=11, ms=2, nmosd=0, follow_ups=1, stripped=0, raters=0, min_voxel_mm=3.0)
    make_cohort(folder, plan)
    files = {}
    for session, move in (("1", np.eye(4)), ("2", MOVE)):
        (flair,) = folder.glob(f"sub-*/ses-{session}/**/*_FLAIR.nii.gz")
        name = flair.name.removesuffix("_FLAIR.nii.gz")
        for kind in ("FLAIR", "lesion", "brain"):
            (path,) = [flair] if kind == "FLAIR" else folder.glob(f"truth/**/{name}*{kind}*.nii.gz")
            image = load_volume(path)
            data, affine = image.data, move @ image.grid.affine
            if session == "2":
                flip = np.diag([-1.0, 1.0, 1.0, 1.0])
                flip[0, 3] = data.shape[0] - 1
                data, affine = data[::-1], affine @ flip
            out = folder / f"{kind} {session}.nii.gz"
            save_volume(out, data, Grid.from_affine(data.shape, affine))
            files[kind, session] = out
    drawn = json.loads((folder / "truth/drawn.json").read_text())
    poses = [np.array(drawn[f"sub-MS01_ses-{each}"]["scanner_to_head"]) for each in "12"]
    files["to first"] = np.linalg.inv(poses[0]) @ poses[1] @ np.linalg.inv(MOVE)
    return files


def command(visits, out):
    pairs = {
        kind: [str(visits[kind, each]) for each in "12"] for kind in ("FLAIR", "lesion", "brain")
    }
    return [
        *pairs["FLAIR"],
        *("--masks", *pairs["lesion"], "--brains", *pairs["brain"], "--out", str(out)),
    ]


def test_a_moved_second_visit_is_found_and_compared(visits, tmp_path, capsys):
    main(command(visits, tmp_path / "out"))
    assert "new" in capsys.readouterr().out
    run = json.loads((tmp_path / "out/visits.json").read_text())
    to_first = visits["to first"]
    found = np.array(run["registration"]["second_to_first"]) @ np.linalg.inv(to_first)
    head = load_mask(visits["brain", "1"])
    corners = np.argwhere(head.data)[:: max(1, int(head.data.sum()) // 200)]
    places = corners @ head.grid.affine[:3, :3].T + head.grid.affine[:3, 3]
    moved = places @ found[:3, :3].T + found[:3, 3]
    assert np.linalg.norm(moved - places, axis=1).max() < 1.5, "half a voxel of 3 mm"
    table = pd.read_csv(tmp_path / "out/visits.tsv", sep="\t")
    one, other = (load_mask(visits["lesion", each]) for each in "12")
    truth = compare_lesions(Visit.of(one), Visit.of(other, to_first), Rules()).table
    assert (truth["status"] == "new").sum() >= 1
    for name in ("new", "gone"):
        assert (table["status"] == name).sum() == (truth["status"] == name).sum()
    assert run["lesions"]["new"] == (table["status"] == "new").sum()
    assert run["doubts"] == run["scans"] == []
    assert not run["simulated"]
    for space, session in (("first", "1"), ("second", "2")):
        mask = nib.load(tmp_path / f"out/space-{space}_desc-new_mask.nii.gz")
        scan = nib.load(visits["FLAIR", session])
        assert mask.shape == scan.shape
        np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-4)
        assert mask.get_fdata().any()
    page = (tmp_path / "out/report/scans/visits.html").read_text(encoding="utf-8")
    assert "Not validated on patients" in page
    assert "Research output, not for diagnosis." in page
    names = ("visits.tsv", "space-first_desc-new_mask.nii.gz", "report/scans/visits.js")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    main(command(visits, tmp_path / "out"))
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in names}


def test_what_apply_wrote_is_compared_and_named(visits, tmp_path):
    simulated = "These networks learned from only simulated scans."
    for session in "12":
        anat = tmp_path / f"new/sub-P/ses-{session}/anat"
        anat.mkdir(parents=True)
        stem = anat / f"sub-P_ses-{session}"
        for kind in ("lesion", "brain"):
            Path(f"{stem}_desc-{kind}_mask.nii.gz").symlink_to(visits[kind, session])
        write_json(Path(f"{stem}_run.json"), {"bundle": {"simulated": simulated}})
    scans = [str(visits["FLAIR", session]) for session in "12"]
    applied = ["--applied", str(tmp_path / "new"), "--ids", "P_ses-1", "P_ses-2"]
    main([*scans, *applied, "--out", str(tmp_path / "out")])
    run = json.loads((tmp_path / "out/visits.json").read_text())
    assert run["scans"] == ["sub-P_ses-1", "sub-P_ses-2"]
    assert run["simulated"] == simulated
    page = (tmp_path / "out/report/scans/visits.html").read_text(encoding="utf-8")
    for said in (simulated, "sub-P_ses-1, then sub-P_ses-2", "away from all lesions"):
        assert said in page
    table = pd.read_csv(tmp_path / "out/visits.tsv", sep="\t", keep_default_na=False)
    new = table[table["status"] == "new"]
    assert set(new["lesions_first"]) == {"n/a"}
    assert "n/a" not in set(new["lesions_second"])
    assert len(re.findall('data-mm="', page)) == len(table)
    row = table.iloc[0]
    assert f'data-mm="{row["x_mm"]} {row["y_mm"]} {row["z_mm"]}"' in page


def test_what_cannot_be_compared_is_refused(visits, tmp_path, capsys):
    arguments = command(visits, tmp_path / "out")
    with pytest.raises(InputError, match="very file of the first"):
        main([arguments[0], *arguments[:1], *arguments[2:]])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(InputError, match="replaced as a whole"):
        main(command(visits, tmp_path / "mine"))
    swapped = [each.replace("lesion 2", "brain 1") for each in arguments]
    with pytest.raises(InputError, match="grid"):
        main(swapped)
    with pytest.raises(SystemExit):
        main([*arguments, "--applied", str(tmp_path)])
    assert "give --applied, or --masks" in capsys.readouterr().err
    with pytest.raises(InputError, match="run msnmo apply"):
        main([*arguments[:2], "--applied", str(tmp_path), "--ids", "A", "B", "--out", "x"])
    assert not (tmp_path / "out").exists()


def with_mask(visits, folder, kind, change):
    """The command with one mask of the first visit that is another one."""
    mask = load_mask(visits[kind, "1"])
    path = folder / "changed.nii.gz"
    save_volume(path, change(mask.data).astype(np.uint8), mask.grid)
    return path, command({**visits, (kind, "1"): path}, folder / "out")


def corner(mask):
    """A lesion in the corner of the volume, where no head is."""
    corner = np.zeros_like(mask)
    corner[:6, :6, :6] = True
    return corner


@pytest.mark.parametrize(
    ("kind", "change", "found"),
    [
        ("lesion", corner, "100% of them outside"),
        ("lesion", np.ones_like, "ml of lesions"),
        ("brain", np.zeros_like, "brain mask of 0.00 litres"),
        ("brain", corner, "litres, outside 0.5 to 2.5 litres"),
    ],
)
def test_masks_that_the_check_refuses_are_refused(visits, tmp_path, kind, change, found):
    path, arguments = with_mask(visits, tmp_path, kind, change)
    with pytest.raises(InputError, match=found) as raised:
        main(arguments)
    assert str(path) in {finding.file for finding in raised.value.findings}
    assert not (tmp_path / "out").exists()


def test_masks_that_the_check_warns_of_are_told_and_taken(visits, tmp_path, capsys):
    brain = load_mask(visits["brain", "1"])

    def large(mask):
        """Slices of the brain that hold some 200 ml."""
        volumes = np.cumsum(brain.data.sum(axis=(0, 1))) * brain.grid.voxel_ml
        return brain.data & (volumes < 200)

    path, arguments = with_mask(visits, tmp_path, "lesion", large)
    main(arguments)
    told = capsys.readouterr().err
    assert f"warning: {path}" in told
    assert "expected: up to 150 ml of lesions" in told
    (doubt,) = json.loads((tmp_path / "out/visits.json").read_text())["doubts"]
    assert doubt.startswith("first: expected up to 150 ml of lesions, found 1")
    assert doubt in (tmp_path / "out/report/scans/visits.html").read_text(encoding="utf-8")


def test_ids_beside_masks_are_refused(visits, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([*command(visits, tmp_path / "out"), "--ids", "A", "B"])
    assert "--ids is for --applied" in capsys.readouterr().err


def test_heads_that_are_hardly_alike_are_told_and_compared(visits, tmp_path, capsys):
    second, brain = load_volume(visits["FLAIR", "2"]), load_mask(visits["brain", "2"])
    spread = second.data[brain.data].std()
    noise = np.random.default_rng(1).normal(0, 1.7 * spread, second.data.shape)
    path = tmp_path / "noisy.nii.gz"
    save_volume(path, (second.data + noise).astype(np.float32), second.grid)
    main(command({**visits, ("FLAIR", "2"): path}, tmp_path / "out"))
    run = json.loads((tmp_path / "out/visits.json").read_text())
    assert 0.5 < run["registration"]["correlation"] < 0.7
    (doubt,) = run["doubts"]
    assert "the same person" in doubt
    assert f"warning: {path}" in capsys.readouterr().err


def test_another_persons_head_is_not_believed(visits):
    first, brain = load_volume(visits["FLAIR", "1"]), load_mask(visits["brain", "1"])
    noise = np.random.default_rng(1).normal(100, 30, first.data.shape).astype(np.float32)
    file = Path("other.nii.gz")
    with pytest.raises(InputError, match="a visit of the same person") as raised:
        register_visits(first, brain.data, Volume(noise, first.grid), brain.data, file)
    assert raised.value.findings[0].file == str(file)
