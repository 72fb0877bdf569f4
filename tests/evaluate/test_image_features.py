"""Features of a scan are of its scanner, not of its lesions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from msnmo.core.errors import InputError
from msnmo.core.files import write_json, write_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume
from msnmo.evaluate.feature_classifier import main as classify
from msnmo.evaluate.feature_classifier import predict_folds
from msnmo.evaluate.image_features import FEATURES, main, measure

SHAPE = (24, 24, 24)
BRAIN = np.zeros(SHAPE, bool)
BRAIN[3:-3, 3:-3, 3:-3] = True
LESION = np.zeros(SHAPE, bool)
LESION[10:14, 10:14, 10:14] = True
GRID = Grid.from_affine(SHAPE, np.diag([1.0, -1.5, 3.0, 1.0]))


def scan(blur: float = 0.0) -> Volume:
    noise = np.random.default_rng(2).normal(0, 1, SHAPE)
    smooth = ndimage.gaussian_filter(noise, blur)
    return Volume((100 + 10 * smooth / smooth.std()).astype(np.float32), GRID)


def test_values_are_those_of_the_brain():
    features = measure(scan(), BRAIN, np.zeros(SHAPE, bool))
    assert tuple(features) == FEATURES
    assert features["variation"] == pytest.approx(0.1, rel=0.05)
    # of a normal distribution; white noise of variance 1 has a Laplacian of variance 42
    assert features["upper_to_lower"] == pytest.approx(1, rel=0.1)
    assert features["tails"] == pytest.approx(2 * 2.326 / (2 * 0.6745), rel=0.1)
    assert features["roughness"] == pytest.approx(np.sqrt(42), rel=0.1)
    assert (features["smallest_voxel_mm"], features["largest_voxel_mm"]) == (1.0, 3.0)


def test_lesions_do_not_count():
    bright = Volume(scan().data + 500 * LESION, GRID)
    without = measure(scan(), BRAIN, LESION)
    assert measure(bright, BRAIN, LESION) == without
    assert measure(bright, BRAIN, np.zeros(SHAPE, bool))["variation"] > 2 * without["variation"]


def test_what_is_around_the_brain_does_not_count():
    stripped = Volume(np.where(BRAIN, scan().data, 0), GRID)
    assert measure(stripped, BRAIN, LESION) == measure(scan(), BRAIN, LESION)


def test_a_blurred_scan_is_less_sharp():
    sharp, blurred = (measure(scan(blur), BRAIN, LESION) for blur in (0, 1))
    assert blurred["gradient"] < 0.9 * sharp["gradient"]
    assert blurred["roughness"] < 0.5 * sharp["roughness"]


def test_a_mean_of_zero_gives_a_number():
    centred = scan().data - scan().data[4:-4, 4:-4, 4:-4].mean()
    features = measure(Volume(centred, GRID), BRAIN, np.zeros(SHAPE, bool))
    assert features["variation"] <= 1000
    assert np.isfinite(list(features.values())).all()


@pytest.mark.parametrize(("brain", "value"), [(LESION, 1), (BRAIN, 0)], ids=["lesion", "flat"])
def test_what_cannot_be_measured_is_refused(tmp_path, brain, value):
    save_volume(tmp_path / "image.nii.gz", scan().data * value, GRID)
    save_volume(tmp_path / "brain.nii.gz", brain, GRID, np.uint8)
    save_volume(tmp_path / "lesion.nii.gz", LESION, GRID, np.uint8)
    named = [f"--{name}={tmp_path / name}.nii.gz" for name in ("image", "brain", "lesion")]
    with pytest.raises(InputError, match=r"image\.nii\.gz"):
        main([*named, f"--out={tmp_path / 'out.json'}"])


def test_the_command_writes_every_feature(tmp_path):
    save_volume(tmp_path / "image.nii.gz", scan().data, GRID)
    save_volume(tmp_path / "brain.nii.gz", BRAIN, GRID, np.uint8)
    save_volume(tmp_path / "lesion.nii.gz", LESION, GRID, np.uint8)
    named = [f"--{name}={tmp_path / name}.nii.gz" for name in ("image", "brain", "lesion")]
    main([*named, f"--out={tmp_path / 'out.json'}"])
    written = json.loads((tmp_path / "out.json").read_text())
    assert written == pytest.approx(measure(scan(), BRAIN, LESION), abs=1e-6)


@pytest.fixture
def cohort(tmp_path):
    """Twelve scans of two folds; voxels of NMOSD are larger in the first of two kinds."""
    rng = np.random.default_rng(1)
    rows = []
    for place in range(12):
        diagnosis = ("MS", "NMOSD")[place % 2]
        subject = f"{diagnosis}{place:02d}"
        rows.append((f"sub-{subject}", subject, diagnosis, place // 2 % 2))
        values = dict.fromkeys(FEATURES, 1.0) | {
            "smallest_voxel_mm": 1.0 + place % 2 + 0.1 * rng.random(),
            "tails": rng.random(),
        }
        write_json(tmp_path / f"sub-{subject}.json", values)
    folds = pd.DataFrame(rows, columns=["scan", "subject", "diagnosis", "fold"])
    write_tsv(tmp_path / "folds.tsv", folds)
    masks = [f"{scan}_mask.nii.gz" for scan in folds["scan"]]
    write_tsv(tmp_path / "cohort.tsv", folds[["scan"]].assign(lesion_mask=[*masks[:-1], None]))
    return tmp_path


def run(folder) -> pd.DataFrame:
    given = [f"--{name}={folder / name}.tsv" for name in ("cohort", "folds", "out")]
    classify([f"--features={folder}/{{scan}}.json", "--tested", "0", "1", *given])
    return pd.read_csv(folder / "out.tsv", sep="\t")


def test_classes_of_other_voxels_are_told_by_folds_that_were_not_trained_on(cohort, capsys):
    table = run(cohort)
    assert list(table.columns) == ["fold", "scan", "diagnosis", "p_nmosd"]
    assert len(table) == 11, "the scan without a mask is left out"
    of_nmosd = table["diagnosis"] == "NMOSD"
    assert table.loc[of_nmosd, "p_nmosd"].min() > table.loc[~of_nmosd, "p_nmosd"].max()
    assert "11 scans with a lesion mask, 1 without" in capsys.readouterr().out
    first = (cohort / "out.tsv").read_bytes()
    run(cohort)
    assert (cohort / "out.tsv").read_bytes() == first


def test_a_scan_is_not_in_the_regression_that_tells_of_it():
    """The odd scan would pull a regression that saw it to its side."""
    features = pd.DataFrame(
        np.repeat(np.array([[0.0], [1], [0], [1], [9]]), len(FEATURES), axis=1), index=list("abcde")
    )
    folds = pd.DataFrame(
        {
            "scan": list("abcde"),
            "diagnosis": ["MS", "NMOSD", "MS", "NMOSD", "MS"],
            "fold": [0, 0, 0, 0, 1],
        }
    )
    table = predict_folds(features, folds, [1])
    assert table["scan"].tolist() == ["e"]
    assert table["p_nmosd"][0] > 0.99


def test_of_one_class_its_share_is_said():
    features = pd.DataFrame(np.zeros((2, len(FEATURES))), index=["a", "b"])
    folds = pd.DataFrame({"scan": ["a", "b"], "diagnosis": ["MS", "NMOSD"], "fold": [0, 1]})
    assert predict_folds(features, folds, [0, 1])["p_nmosd"].tolist() == [1.0, 0.0]


def test_features_that_lack_one_are_named(cohort):
    write_json(cohort / "sub-MS00.json", {"tails": 1.0})
    (cohort / "sub-MS02.json").unlink()
    with pytest.raises(InputError) as raised:
        run(cohort)
    assert [each.file for each in raised.value.findings] == [
        str(cohort / "sub-MS00.json"),
        str(cohort / "sub-MS02.json"),
    ]
