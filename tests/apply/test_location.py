"""Regions of the template, the rule of location, and the way from the template to a scan."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from msnmo.apply import location
from msnmo.apply.lesion_table import label_lesions
from msnmo.apply.location import (
    CLASSES,
    RULE,
    Regions,
    find_regions,
    locate,
    read_regions,
    sidecar_of,
    write_regions,
)
from msnmo.apply.template import Region, load_template, regions_in_template
from msnmo.core.errors import InputError
from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume, load_mask, load_volume

DATA = os.environ.get("MSNMO_REAL_DATA")
SCAN = Path("sub-1_FLAIR.nii.gz")
# MNI place and radius in mm of lesions in white matter, each well within its class
PLANTED = {
    "periventricular": (((34, -46, 10), 3), ((-34, -46, 10), 3)),
    "juxtacortical": (((45, -10, 42), 3), ((-38, -60, 30), 3)),
    "infratentorial": (((0, -26, -30), 4), ((-20, -60, -36), 4)),
    "deep": (((28, -10, 34), 4), ((-28, -34, 32), 4)),
}
PLACES = [(name, place, radius) for name, balls in PLANTED.items() for place, radius in balls]


def region_at(place):
    grid = regions_in_template().grid
    index = np.rint(np.linalg.solve(grid.affine, [*place, 1])[:3]).astype(int)
    return Region(regions_in_template().data[tuple(index)])


def world(grid):
    index = np.indices(grid.shape).reshape(3, -1)
    return (grid.affine[:3, :3] @ index + grid.affine[:3, 3:]).reshape(3, *grid.shape)


def plant(mm):
    """Return labels of the planted lesions, given the MNI place of every voxel."""
    labels = np.zeros(mm.shape[1:], dtype=np.int32)
    for number, (_, place, radius) in enumerate(PLACES, start=1):
        labels[((mm - np.reshape(place, (3, 1, 1, 1))) ** 2).sum(axis=0) <= radius**2] = number
    return labels


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(
    ("place", "region"),
    [
        ((5, 12, 10), Region.VENTRICLE),  # frontal horn
        ((10, -10, 20), Region.VENTRICLE),  # body
        ((26, -44, 8), Region.VENTRICLE),  # atrium
        ((35, -10, -22), Region.VENTRICLE),  # temporal horn
        ((0, -8, -6), Region.VENTRICLE),  # third ventricle
        ((0, -40, 2), Region.ELSEWHERE),  # quadrigeminal cistern
        ((14, 0, -16), Region.ELSEWHERE),  # suprasellar cistern's side
        ((0, -48, -34), Region.INFRATENTORIAL),  # fourth ventricle
        ((5, -25, -10), Region.INFRATENTORIAL),  # midbrain
        ((5, -25, -30), Region.INFRATENTORIAL),  # pons
        ((3, -40, -55), Region.INFRATENTORIAL),  # medulla
        ((40, -60, -40), Region.INFRATENTORIAL),  # cerebellar hemisphere
        ((0, -55, -10), Region.INFRATENTORIAL),  # upper vermis
        ((8, -18, 8), Region.ELSEWHERE),  # thalamus
        ((26, 4, 2), Region.ELSEWHERE),  # putamen
        ((12, 12, 8), Region.ELSEWHERE),  # caudate
        ((38, 4, 2), Region.CORTEX),  # insula
        ((4, -85, 5), Region.CORTEX),  # calcarine
        ((4, 40, 10), Region.CORTEX),  # cingulate
        ((34, -60, -14), Region.CORTEX),  # fusiform, above the tentorium
        ((28, -10, 34), Region.ELSEWHERE),  # centrum semiovale
        ((0, -30, 18), Region.ELSEWHERE),  # splenium and what lies under it
    ],
)
def test_the_template_has_its_regions_where_anatomy_has_them(place, region, side):
    assert region_at((side * place[0], *place[1:])) == region


def test_the_regions_have_the_volumes_of_a_brain():
    counts = np.bincount(regions_in_template().data.ravel(), minlength=len(Region)) / 1000
    assert 15 < counts[Region.VENTRICLE] < 25
    assert 210 < counts[Region.INFRATENTORIAL] < 270
    assert 550 < counts[Region.CORTEX] < 850


def test_the_ventricles_are_one_in_each_half_and_leak_nowhere():
    ventricles = regions_in_template().data == Region.VENTRICLE
    np.testing.assert_array_equal(ventricles, ventricles[::-1])  # as the template
    outside = ndimage.distance_transform_edt(load_template().brain)
    # the front wall of the third ventricle, which lies on a cistern, is nearest
    assert outside[ventricles].min() > 1.5


def test_planted_lesions_have_their_classes_in_the_template_itself():
    regions = regions_in_template()
    assert locate(plant(world(regions.grid)), Regions(regions.data, 1, 1, 0), regions.grid) == [
        name for name, _, _ in PLACES
    ]


# On a line of voxels: a region at index 2, and lesions further and further away
GRID = Grid.from_affine((12, 3, 3), np.eye(4))


def located(region, first, last=None, grid=GRID, extra=None):
    regions = np.zeros(grid.shape, dtype=np.uint8)
    regions[2] = region
    if extra is not None:
        regions[extra[0]] = extra[1]
    labels = np.zeros(grid.shape, dtype=np.int32)
    labels[first : (last or first) + 1, 1, 1] = 1
    return locate(labels, Regions(regions, 1, 1, 0), grid)[0]


@pytest.mark.parametrize(
    ("region", "index", "name"),
    [
        (Region.VENTRICLE, 5, "periventricular"),
        (Region.VENTRICLE, 6, "deep"),
        (Region.CORTEX, 3, "juxtacortical"),
        (Region.CORTEX, 4, "deep"),
        (Region.INFRATENTORIAL, 2, "infratentorial"),
        (Region.INFRATENTORIAL, 3, "deep"),
    ],
)
def test_a_lesion_counts_up_to_the_stated_distance_and_no_further(region, index, name):
    assert located(region, index) == name


def test_distances_are_in_mm_and_the_next_thick_slice_still_touches():
    thick = Grid.from_affine(GRID.shape, np.diag([4.0, 1, 1, 1]))
    assert located(Region.VENTRICLE, 3, grid=thick) == "periventricular"
    assert located(Region.VENTRICLE, 4, grid=thick) == "deep"
    thin = Grid.from_affine(GRID.shape, np.diag([-0.5, 1, 1, 1]))
    assert located(Region.VENTRICLE, 8, grid=thin) == "periventricular"
    assert located(Region.VENTRICLE, 9, grid=thin) == "deep"


def test_most_of_a_lesion_must_be_infratentorial_half_is_not_enough():
    assert located(Region.INFRATENTORIAL, 1, 2) == "deep"
    assert located(Region.INFRATENTORIAL, 1, 3, extra=(3, Region.INFRATENTORIAL)) == (
        "infratentorial"
    )


def test_where_two_rules_hold_the_first_one_named_decides():
    assert located(Region.VENTRICLE, 3, extra=(4, Region.CORTEX)) == "periventricular"
    assert located(Region.INFRATENTORIAL, 2, extra=(3, Region.VENTRICLE)) == "infratentorial"


def test_classes_come_in_the_order_of_lesion_ids_and_no_lesion_has_none():
    regions = np.zeros(GRID.shape, dtype=np.uint8)
    regions[0], regions[11] = Region.VENTRICLE, Region.CORTEX
    labels = np.zeros(GRID.shape, dtype=np.int32)
    labels[1, 1, 1], labels[6, 1, 1], labels[10, 1, 1] = 3, 1, 2
    assert locate(labels, Regions(regions, 1, 1, 0), GRID) == [
        "deep",
        "juxtacortical",
        "periventricular",
    ]
    assert locate(np.zeros_like(labels), Regions(regions, 1, 1, 0), GRID) == []


def test_the_printed_rule_names_every_class_and_both_distances():
    for part in (*CLASSES, "3 mm", "1.5 mm"):
        assert part in RULE


@pytest.mark.parametrize(
    ("overlap", "brightness", "good"),
    [(0.97, 0.6, True), (0.89, 0.6, False), (0.97, 0.8, False), (0.97, np.inf, False)],
)
def test_a_registration_that_is_not_believable_names_the_file_and_the_way_on(
    monkeypatch, overlap, brightness, good
):
    shape = (4, 4, 4)
    found = Regions(np.zeros(shape, np.uint8), overlap, 0.2, brightness)
    monkeypatch.setattr(location, "_register", lambda *_: found)
    scan = Volume(np.ones(shape, np.float32), Grid.from_affine(shape, np.eye(4)))
    if good:
        assert find_regions(scan, np.ones(shape, bool), SCAN) is found
        return
    with pytest.raises(InputError, match=r"sub-1_FLAIR(.|\n)*run without locations"):
        find_regions(scan, np.ones(shape, bool), SCAN)


def test_the_brightness_of_ventricles_is_that_of_their_median_voxel_over_the_rest():
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[0], labels[1] = Region.VENTRICLE, Region.CORTEX
    image = np.full(labels.shape, 80.0)
    image[0], image[1], image[0, 0, 0] = 20, 500, 1000
    brain = np.ones(labels.shape, bool)
    assert location._ventricle_brightness(image, brain, labels) == 0.25
    assert location._ventricle_brightness(image, brain & (labels > 1), labels) == np.inf


def test_an_empty_brain_mask_is_refused():
    shape = (4, 4, 4)
    scan = Volume(np.ones(shape, np.float32), Grid.from_affine(shape, np.eye(4)))
    with pytest.raises(InputError, match="an empty brain mask"):
        find_regions(scan, np.zeros(shape, bool), SCAN)


def columns_of(*columns):
    return np.transpose(columns).astype(float)


@pytest.mark.parametrize(
    "axes",
    [
        Rotation.from_euler("xyz", (20, 30, 10), degrees=True).as_matrix() @ np.diag([1, 0.8, 2]),
        columns_of((-1, 0, 0), (0, 1, 0), (0, 0, 1.5)),
        columns_of((1, 0, 0), (0.4, 1, 0), (0, 0.2, 1.5)),
        columns_of((0, 0, 1.1), (-1.2, 0, 0), (0, 1.3, 0)),
    ],
    ids=["oblique", "left-handed", "sheared", "permuted"],
)
def test_labels_come_to_each_voxel_of_any_grid_from_its_place_in_the_template(axes, tmp_path):
    """Read 3 mm to the left, 2 mm behind and 1 mm below: ITK has x and y the other way round."""
    location.use_one_thread()
    import ants

    coarse = Grid.from_affine((40, 40, 40), np.diag([1.5, 1.5, 1.5, 1]))
    i, j, k = np.indices(coarse.shape)
    values = (1 + i // 8 + 5 * (j // 8) + 25 * (k // 8)).astype(np.uint8)
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = 30 - axes @ (7, 7, 5) + 0.31
    grid = Grid.from_affine((15, 15, 11), affine)
    shift = ants.create_ants_transform(
        transform_type="AffineTransform", dimension=3, translation=(3.0, 2.0, -1.0)
    )
    ants.write_transform(shift, str(tmp_path / "shift.mat"))
    native = location.to_ants(np.zeros(grid.shape), grid)
    carried = location._carried(values, coarse, native, [str(tmp_path / "shift.mat")])
    index = np.rint((world(grid) + np.reshape((-3, -2, -1), (3, 1, 1, 1))) / 1.5).astype(int)
    np.testing.assert_array_equal(carried, values[tuple(index)])


def like_flair(affine, shape):
    """Return the template as a FLAIR shows it, moved and on a grid of its own, and its MNI places.

    Grey matter is brighter than white; the head is turned, smaller, and elsewhere in the scanner.
    """
    template = load_template()
    grid = Grid.from_affine(shape, affine)
    head = np.eye(4)
    turn = Rotation.from_euler("xyz", (12, -6, 9), degrees=True).as_matrix()
    head[:3, :3] = turn * 0.93
    head[:3, 3] = (14, -20, 31)
    to_mni = np.linalg.inv(head) @ grid.affine
    index = np.linalg.solve(template.grid.affine, to_mni)

    def seen(values, order):
        return ndimage.affine_transform(
            values.astype(np.float32), index[:3, :3], index[:3, 3], output_shape=shape, order=order
        )

    fluid = template.brain * (1 - template.grey - template.white)
    image = seen(100 * template.grey + 75 * template.white + 15 * fluid, 1)
    image += np.random.default_rng(4).normal(0, 3, shape)
    truth = seen(regions_in_template().data, 0).astype(np.uint8)
    mm = world(Grid.from_affine(shape, to_mni))
    return Volume(image.astype(np.float32), grid), seen(template.brain, 0) > 0, truth, mm


def left_handed(shape, voxel_mm):
    """Return the affine of an oblique grid around the head: stored up, to the left, forwards."""
    turn = Rotation.from_euler("xyz", (-8, 5, 4), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0]]) @ np.diag(voxel_mm)
    affine[:3, 3] = (14, -36, 36) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.fixture
def written(tmp_path):
    """Regions in a file, and their grid."""
    grid = Grid.from_affine((4, 5, 6), np.diag([-1.0, 1.0, 2.0, 1.0]))
    labels = np.random.default_rng(1).integers(0, 4, grid.shape).astype(np.uint8)
    path = tmp_path / "sub-1_desc-regions_dseg.nii.gz"
    write_regions(path, Regions(labels, 0.97, 0.21, 0.4), grid)
    return path, labels, grid


def test_regions_come_back_from_their_file(written):
    path, labels, grid = written
    regions = read_regions(path, grid)
    np.testing.assert_array_equal(regions.labels, labels)
    assert (regions.brain_overlap, regions.ventricle_brightness) == (0.97, 0.4)
    assert RULE in sidecar_of(path).read_text(encoding="utf-8")


def test_regions_of_another_scan_and_damaged_ones_are_named(written):
    path, _, grid = written
    with pytest.raises(InputError, match="another grid"):
        read_regions(path, Grid.from_affine(grid.shape, np.eye(4)))
    sidecar_of(path).write_text("{}")
    with pytest.raises(InputError, match=r"desc-regions_dseg\.json"):
        read_regions(path, grid)


@pytest.mark.heavy
def test_planted_lesions_of_a_moved_brain_get_their_classes_and_two_runs_agree():
    shape = (160, 140, 84)
    affine = left_handed(shape, (1.3, 1.2, 2.6))
    assert np.linalg.det(affine) < 0
    scan, brain, truth, mm = like_flair(affine, shape)
    lesions = plant(mm)
    assert np.unique(lesions).size == len(PLACES) + 1
    scan.data[lesions > 0] = 130  # brighter than all else, as in the contrast
    regions = find_regions(scan, brain, SCAN)
    assert dice(regions.labels == Region.VENTRICLE, truth == Region.VENTRICLE) > 0.85
    assert dice(regions.labels == Region.INFRATENTORIAL, truth == Region.INFRATENTORIAL) > 0.95
    assert locate(lesions, regions, scan.grid) == [name for name, _, _ in PLACES]
    again = find_regions(scan, brain, SCAN)
    np.testing.assert_array_equal(again.labels, regions.labels)
    assert again.mutual_information == regions.mutual_information


@pytest.mark.heavy
def test_a_head_stored_upside_down_is_refused():
    """Its brain mask is made to fit all the same: what should be ventricles is too bright."""
    shape = (92, 112, 92)
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-80, -130, -50)
    scan, brain, _, _ = like_flair(affine, shape)
    wrong = Volume(scan.data[:, :, ::-1], scan.grid)
    with pytest.raises(InputError, match=r"ventricles \d\.\d+ times"):
        find_regions(wrong, brain[:, :, ::-1], SCAN)


@pytest.mark.real
@pytest.mark.heavy
@pytest.mark.skipif(DATA is None, reason="MSNMO_REAL_DATA is not set")
def test_a_real_brain_moved_and_stored_otherwise_keeps_its_regions():
    folder = Path(DATA) / "open_ms/cross_sectional/MNI/patient26"
    scan = load_volume(
        folder / "FLAIR_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz"
    )
    lesions = load_mask(
        folder / "GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI.nii.gz"
    )
    brain = ndimage.binary_opening(scan.data > 0.02 * np.percentile(scan.data, 99))
    brain = ndimage.binary_fill_holes(brain)
    here = find_regions(scan, brain, SCAN)

    move = np.eye(4)
    turn = Rotation.from_euler("xyz", (10, -5, 8), degrees=True).as_matrix()
    move[:3, :3], move[:3, 3] = turn * 1.06, (20, -15, 30)
    to_old = np.array(
        [[0, 0, 1, 0], [-1, 0, 0, scan.grid.shape[1] - 1], [0, 1, 0, 0], [0, 0, 0, 1]]
    )

    def turned(data):
        return np.ascontiguousarray(data.transpose(1, 2, 0)[::-1])

    grid = Grid.from_affine(turned(brain).shape, move @ scan.grid.affine @ to_old)
    there = find_regions(Volume(turned(scan.data), grid), turned(brain), SCAN)
    for region, least in ((Region.VENTRICLE, 0.85), (Region.INFRATENTORIAL, 0.95)):
        assert dice(turned(here.labels) == region, there.labels == region) > least
    labels = label_lesions(lesions.data)
    one = locate(labels, here, scan.grid)
    other = locate(turned(labels), there, grid)
    assert np.mean(np.array(one) == np.array(other)) > 0.85
