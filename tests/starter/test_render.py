"""Simulated scans as the network meets them."""

import numpy as np
import pytest
import torch

from msnmo.demo.lesions import draw_lesion
from msnmo.starter import lesions
from msnmo.starter.bright import BEYOND, BRIGHT, with_bright_places
from msnmo.starter.head import Fields, Head, Pose, places_of
from msnmo.starter.library import LEAST_MM3, collect, shapes
from msnmo.starter.render import HEALTHY, SELLA_MM, brain_mask, simulate
from msnmo.starter.template import template

SIZE = 48
SEEDS = range(30)


@pytest.fixture(scope="module")
def scans():
    return [simulate(seed, ("MS", "NMOSD")[seed % 2], SIZE) for seed in SEEDS]


def test_equal_seeds_give_equal_scans_and_others_others():
    one, same, other = simulate(7, "MS", 32), simulate(7, "MS", 32), simulate(8, "MS", 32)
    assert torch.equal(one.image, same.image)
    assert torch.equal(one.lesion, same.lesion)
    assert not torch.equal(one.image, other.image)


def test_the_threads_of_the_machine_change_no_scan():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = simulate(7, "MS", 32)
        torch.set_num_threads(2)
        two = simulate(7, "MS", 32)
    finally:
        torch.set_num_threads(threads)
    assert torch.allclose(one.image, two.image, atol=1e-5)
    assert torch.equal(one.lesion, two.lesion)


def test_a_scan_is_stripped_cropped_and_z_scored(scans):
    for scan in scans:
        assert scan.image.shape == scan.lesion.shape == (1, SIZE, SIZE, SIZE)
        brain = scan.image[0] != 0
        assert float(scan.image[0][brain].mean()) == pytest.approx(0, abs=1e-3)
        assert float(scan.image[0][brain].std()) == pytest.approx(1, abs=1e-3)
        assert not (scan.lesion[0] & ~brain).any()
        for axis in range(3):  # the brain reaches every side of the box, or nearly
            held = torch.nonzero(brain.movedim(axis, 0).flatten(1).any(dim=1)).flatten()
            assert held[0] <= 1
            assert held[-1] >= SIZE - 2


def test_a_brain_has_the_size_of_a_brain(scans):
    volumes = [
        float((scan.image[0] != 0).sum()) * float(np.prod(scan.voxel_mm)) / 1000 for scan in scans
    ]
    assert min(volumes) > 900
    assert max(volumes) < 2400


def test_loads_are_light_and_heavy_and_some_brains_have_none(scans):
    drawn = [scan.lesion_ml for scan in scans]
    assert 0.02 < np.mean(np.array(drawn) == 0) < HEALTHY + 0.35  # at this size spots vanish
    assert np.quantile(drawn, 0.9) > 8
    assert np.median(drawn) < 6


def test_lesions_are_brighter_than_the_white_matter_around_them(scans):
    differences = [
        float(scan.intensity[scan.lesion[0]].mean() - scan.intensity[scan.intensity > 0].median())
        for scan in scans
        if scan.lesion.sum() > 100
    ]
    assert len(differences) > 8
    assert np.mean(np.array(differences) > 0) > 0.9


def test_depth_of_a_lesion_is_of_its_ellipsoid_or_of_the_real_shape():
    known = template()
    lesion = draw_lesion(known.model, "deep-white", np.random.default_rng(0))
    centre = torch.tensor(lesion.centre_mm, dtype=torch.float32).reshape(1, 1, 1, 3)
    assert float(lesions.depth_mm(lesion, centre)) > 0
    assert float(lesions.depth_mm(lesion, centre + lesions.reach_mm(lesion))) < 0
    shape = max(shapes(), key=lambda each: each.volume_mm3)
    placed = lesions.Placed(shape, shape.centre_mm, np.eye(3), 1.0)
    index = np.argwhere(shape.depth_mm > 0)
    places = torch.tensor(shape.corner_mm + index, dtype=torch.float32).reshape(-1, 1, 1, 3)
    depth = lesions.depth_mm(placed, places).flatten().numpy()
    assert depth == pytest.approx(shape.depth_mm[shape.depth_mm > 0], abs=1e-3)


def test_the_library_keeps_each_components_place_and_voxels():
    mask = np.zeros((20, 24, 22), dtype=bool)
    mask[3:6, 4:9, 5:8] = True
    mask[12, 12, 12] = True  # a lone voxel
    kept = collect([(mask, np.array([-90.0, -126.0, -72.0]))])
    assert kept["sizes"].tolist() == [[3, 5, 3]]
    assert kept["corners"].tolist() == [[-87, -122, -67]]
    assert np.unpackbits(kept["bits"])[:45].all()


def test_the_shipped_library_is_of_twenty_patients_and_of_lesions():
    assert len({shape.patient for shape in shapes()}) == 20
    assert min(shape.volume_mm3 for shape in shapes()) >= LEAST_MM3
    white = template().model
    inside = [
        white.brain[tuple(np.rint(white.to_index(shape.centre_mm)).astype(int))] > 0.5
        for shape in shapes()
    ]
    assert np.mean(inside) > 0.97


def test_bright_places_only_brighten_and_only_there():
    known = template()
    for places in (BRIGHT, BEYOND):
        pose = Pose.draw(known, np.random.default_rng(0))
        fields = Fields(5, (60, 60, 60), pose.size_mm)
        head = Head(places_of(known, pose, fields), pose, fields)
        added = with_bright_places(torch.zeros(60, 60, 60), places, "bright", head)
        far = torch.full((60, 60, 60), np.inf)
        for place in places:
            for side in (1, -1):
                centre = torch.tensor(place.centre_mm) * torch.tensor((side, 1, 1))
                far = torch.minimum(far, (head.places - centre).norm(dim=-1))
        assert float(added.min()) == 0
        assert 0.1 < float(added.max()) < 2 * max(place.most for place in places)
        assert float(added[far > 50].abs().max()) < 1e-3


def test_brain_masks_may_hold_the_pituitary_gland():
    known = template()
    pose = Pose.draw(known, np.random.default_rng(0))
    held = []
    for seed in range(20):
        fields = Fields(seed, (60, 60, 60), pose.size_mm)
        head = Head(places_of(known, pose, fields), pose, fields)
        _, brain, _ = known.fine.at(head.places)
        _, hull_mm = known.smooth.at(head.places)
        near = (head.places - torch.tensor(SELLA_MM)).norm(dim=-1) < 3
        held.append(float(brain_mask(brain, hull_mm, head)[near].float().mean()))
    assert max(held) == 1
    assert min(held) == 0
