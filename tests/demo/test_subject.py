"""Individual anatomy: different people, nobody folded, the parts of a head where they belong."""

import numpy as np
import pytest

from msnmo.demo.subject import FIELD_MM, Contrast, Subject, flair_head, true_brain


@pytest.mark.parametrize("seed", range(8))
def test_deformation_folds_nothing(model, seed):
    u = Subject(model, seed).displacement
    slope = np.stack([np.stack(np.gradient(part, FIELD_MM)) for part in u])
    jacobian = np.linalg.det(np.eye(3) + np.moveaxis(slope, (0, 1), (-2, -1)))
    assert jacobian.min() > 0.1


def test_people_differ_by_millimetres(model):
    one, two = (Subject(model, seed).displacement for seed in (1, 2))
    assert 1.5 < np.sqrt(np.mean((one - two) ** 2)) < 6


@pytest.fixture(scope="module")
def person(model):
    subject = Subject(model, 4)
    return flair_head(subject)[0], Contrast.draw(subject.rng("tissue"))


# Places in MNI mm, each well inside its structure.
@pytest.mark.parametrize(
    ("place", "part"),
    [
        ((33, 62, -36), "csf"),  # vitreous body of the eye
        ((-6, 12, 14), "csf"),  # lateral ventricle
        ((0, -46, -31), "csf"),  # fourth ventricle
        ((25, -25, 35), "white"),
        ((-25, 30, 20), "white"),
        ((30, 45, -36), "fat"),  # orbit
        ((31, 52, -66), "air"),  # maxillary sinus
        ((0, -46, -90), "white"),  # cord
        ((85, -110, 90), "air"),
    ],
)
def test_structures_have_their_flair_intensity(model, person, place, part):
    image, contrast = person
    expected = {"csf": contrast.csf, "white": 1.0, "fat": contrast.fat, "air": 0.0}[part]
    index = tuple(np.rint(model.to_index(np.array(place, dtype=float))).astype(int))
    around = image[tuple(slice(i - 1, i + 2) for i in index)]
    assert np.median(around) == pytest.approx(expected, abs=0.12 + 0.15 * expected)


def test_cortex_is_brighter_than_white_matter(model, person):
    image, contrast = person
    grey = (model.brain > 0.99) & (np.abs(model.t1 - 0.64) < 0.02) & (model.cortex_mm == 0)
    assert np.median(image[grey]) == pytest.approx(contrast.grey, abs=0.1)


def test_skull_stripping_has_work(model, person):
    """A dark rim parts brain and scalp, and the scalp is not dark."""
    image, contrast = person
    z = model.to_mm(np.arange(image.shape[2])[:, None] * np.ones(3))[:, 2]
    depth = np.where(z > 10, model.brain_mm - contrast.rim_mm, np.nan)  # 0 at the dura
    inner_table = (depth > 0.7) & (depth < 1.5)
    scalp = np.isfinite(depth) & (model.skin_mm < -2) & (model.skin_mm > -4)
    assert np.median(image[inner_table]) < 0.3
    assert np.median(image[scalp]) > 0.3


def test_true_brain_ends_at_the_foramen_magnum(model):
    brain = true_brain(model) > 0.5
    lowest = model.to_mm(np.argwhere(brain).astype(float))[:, 2].min()
    assert lowest == pytest.approx(-70, abs=2)
    fluid = tuple(np.rint(model.to_index(np.array([-6.0, 12, 14]))).astype(int))
    assert brain[fluid]


def test_a_scanner_changes_grey_matter_and_nothing_else_of_a_person():
    usual, strong = (
        vars(Contrast.draw(np.random.default_rng(3), *grey)) for grey in ((), ((1.4, 1.5),))
    )
    assert 1.2 <= usual.pop("grey") <= 1.34
    assert 1.4 <= strong.pop("grey") <= 1.5
    assert usual == strong
