"""Where lesions lie: classes differ by place, and not by how much there is."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from msnmo.demo.lesions import (
    KINDS,
    PRIORS,
    draw_lesion,
    draw_lesions,
    follow_up,
    paint_lesions,
)

PER_CLASS = 40


def value_at(model, field, lesion):
    index = model.to_index(np.array(lesion.centre_mm))[:, None]
    return float(ndimage.map_coordinates(field, index, order=1)[0])


def features(model, diagnosis, seed):
    """Load (ml), mean distance from midline, mean y, z, spread of z, distance of ventricle (mm)."""
    lesions = draw_lesions(model, diagnosis, np.random.default_rng(seed))
    tissue = (model.t1 > 0.5).astype(np.float32)
    _, share = paint_lesions(np.zeros_like(model.t1), tissue, model, lesions, session=1)
    inside = share >= 0.5
    place = model.to_mm(np.argwhere(inside).astype(float))
    near = model.ventricle_mm[inside].mean()
    load = inside.sum() * model.spacing_mm**3 / 1000
    return [load, np.abs(place[:, 0]).mean(), *place[:, 1:].mean(axis=0), place[:, 2].std(), near]


@pytest.fixture(scope="module")
def table(model):
    rows = {
        name: [features(model, name, (label, seed)) for seed in range(PER_CLASS)]
        for label, name in enumerate(PRIORS)
    }
    return {name: np.array(values) for name, values in rows.items()}


def test_loads_are_of_several_ml_and_do_not_tell_the_class(table):
    loads = {name: values[:, 0] for name, values in table.items()}
    assert all(5 < np.median(load) < 25 for load in loads.values())
    labels = np.repeat([0, 1], PER_CLASS)
    area = roc_auc_score(labels, np.concatenate([loads["MS"], loads["NMOSD"]]))
    assert 0.25 < area < 0.75


def test_places_tell_the_class(table):
    values = np.concatenate([table["MS"], table["NMOSD"]])
    labels = np.repeat([0, 1], PER_CLASS)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    score = cross_val_predict(model, values, labels, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(labels, score) > 0.85


def test_ms_lesions_lie_closer_to_the_lateral_ventricles(table):
    assert np.median(table["MS"][:, 5]) < np.median(table["NMOSD"][:, 5]) - 2


def test_no_single_kind_decides_the_class():
    kinds = {name: {prior.kind for prior in priors} for name, priors in PRIORS.items()}
    shared = kinds["MS"] & kinds["NMOSD"]
    assert {"periventricular", "large-hemispheric", "third-ventricle"} <= shared


def test_periventricular_lesions_point_away_from_the_ventricle(model):
    rng = np.random.default_rng(0)
    for _ in range(20):
        lesion = draw_lesion(model, "periventricular", rng)
        assert 0 < value_at(model, model.ventricle_mm, lesion) < 6
        step = np.array(lesion.along) * 3
        ends = [np.array(lesion.centre_mm) + step * sign for sign in (-1, 1)]
        index = model.to_index(np.array(ends)).T
        distance = ndimage.map_coordinates(model.ventricle_mm, index, order=1)
        # over 6 mm along the long axis the distance changes by most of it
        assert abs(distance[1] - distance[0]) > 3.0
        assert lesion.radii_mm[0] > 1.2 * lesion.radii_mm[1]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_lies_in_tissue(model, kind):
    """Fluid and other tissue take no more than half of an ellipsoid, as a rule."""
    rng = np.random.default_rng(1)
    tissue = ((model.t1 > 0.5) * model.brain).astype(np.float32)
    filled = []
    for _ in range(20):
        lesion = draw_lesion(model, kind, rng)
        _, share = paint_lesions(tissue, tissue, model, [lesion], session=1)
        whole = 4 / 3 * np.pi * np.prod(lesion.radii_mm)
        filled.append(share.sum() * model.spacing_mm**3 / whole)
    assert np.median(filled) > 0.5


def test_lesions_stay_within_tissue_and_brighten_it(model):
    rng = np.random.default_rng(2)
    lesions = [draw_lesion(model, kind, rng) for kind in KINDS]
    tissue = (model.t1 > 0.5).astype(np.float32)
    image, share = paint_lesions(tissue, tissue, model, lesions, session=1)
    assert share.max() == 1.0
    assert not share[tissue == 0].any()
    np.testing.assert_array_equal(image[share == 0], tissue[share == 0])
    assert (image[share > 0] > 1.0).all()
    assert 1.4 < image.max() < 1.75


def test_follow_up_keeps_grows_and_adds(model):
    first = draw_lesions(model, "MS", np.random.default_rng(5))
    second = follow_up(model, "MS", first, np.random.default_rng(6))
    assert [one.centre_mm for one in second[: len(first)]] == [one.centre_mm for one in first]
    assert any(one.growth > 1 for one in second)
    assert {one.session for one in second[len(first) :]} == {2}
    tissue = np.ones_like(model.t1)
    shares = [paint_lesions(tissue, tissue, model, second, session)[1] for session in (1, 2)]
    before = paint_lesions(tissue, tissue, model, first, 1)[1]
    np.testing.assert_array_equal(shares[0], before)
    assert (shares[1] >= 0.5).sum() > (shares[0] >= 0.5).sum()
