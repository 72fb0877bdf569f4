"""AUC as evaluated, with lesions filled and of image features, over folds, seeds and subjects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_tsv
from msnmo.evaluate.statistics.shortcuts import COLUMNS, main
from tests.measured import with_folds

SUBJECTS = [(f"{name}{place}", name) for name in ("MS", "NMOSD") for place in range(6)]
FOLD_OF = {subject: int(subject[-1]) % 2 for subject, _ in SUBJECTS}


def probabilities(good: bool, seed: int) -> list[float]:
    """Of a classifier that is right, or that knows nothing."""
    rng = np.random.default_rng(seed)
    classes = np.array([name == "NMOSD" for _, name in SUBJECTS])
    noise = rng.random(len(SUBJECTS))
    return list(0.6 * classes + 0.3 * noise if good else np.tile([0.2, 0.4, 0.6, 0.8, 0.3, 0.7], 2))


@pytest.fixture
def write(tmp_path):
    """A function that writes what the command reads, by how good each classifier is."""

    def make(filled: bool, features: bool, seeds=(1,), without: str = ""):
        folds = [(f"sub-{s}", s, name, FOLD_OF[s]) for s, name in SUBJECTS]
        columns = ["scan", "subject", "diagnosis", "fold"]
        write_tsv(tmp_path / "folds.tsv", pd.DataFrame(folds, columns=columns))
        rows = [
            ("joint", FOLD_OF[s], seed, f"sub-{s}", "P_NMOSD", p, "n/a")
            for seed in seeds
            for (s, _), p in zip(SUBJECTS, probabilities(True, seed), strict=True)
        ]
        write_tsv(tmp_path / "metrics.tsv", with_folds(rows))
        for seed in seeds:
            for fold in (0, 1):
                part = [
                    ("joint", fold, seed, f"sub-{s}", name, p)
                    for (s, name), p in zip(SUBJECTS, probabilities(filled, seed), strict=True)
                    if FOLD_OF[s] == fold and s != without
                ]
                columns = ["method", "fold", "seed", "scan", "diagnosis", "p_nmosd"]
                place = tmp_path / f"filled-{fold}-{seed}.tsv"
                write_tsv(place, pd.DataFrame(part, columns=columns))
        part = [
            (FOLD_OF[s], f"sub-{s}", name, p)
            for (s, name), p in zip(SUBJECTS, probabilities(features, 9), strict=True)
            if s != without
        ]
        columns = ["fold", "scan", "diagnosis", "p_nmosd"]
        write_tsv(tmp_path / "features.tsv", pd.DataFrame(part, columns=columns))
        return tmp_path

    return make


def run(folder, method: str = "joint") -> pd.DataFrame:
    given = [f"--{name}={folder / name}.tsv" for name in ("metrics", "features", "folds", "out")]
    filled = sorted(map(str, folder.glob("filled-*.tsv")))
    main([f"--method={method}", "--seed=1", "--replicates=300", *given, "--filled", *filled])
    table = read_tsv(folder / "out.tsv", dict.fromkeys(COLUMNS, str))
    assert tuple(table.columns) == COLUMNS
    return table.set_index("images")


def test_a_classifier_of_lesions_alone_falls_to_chance(write):
    table = run(write(filled=False, features=False))
    assert list(table.index) == ["evaluated", "filled", "difference", "features"]
    assert table["auc"].tolist() == ["1", "0.5", "0.5", "0.5"]
    assert table.loc[["filled", "features"], "above_chance"].tolist() == ["no", "no"]
    assert table.loc[["evaluated", "difference"], "above_chance"].isna().all()
    low, high = table.loc["difference", ["ci_low", "ci_high"]].astype(float)
    assert low < 0.5 < high
    # all pairs are in order in every replicate, which says nothing of how sure that is
    assert table.loc["evaluated", ["ci_low", "ci_high"]].isna().all()
    counts = table.loc["filled", ["n_folds", "n_scans", "n_subjects", "n_without_mask"]]
    assert counts.tolist() == ["2", "12", "12", "0"]


def test_one_that_goes_by_something_else_stays_above(write):
    table = run(write(filled=True, features=True))
    assert table.loc[["filled", "features"], "above_chance"].tolist() == ["yes", "yes"]
    assert table["auc"].tolist() == ["1", "1", "0", "1"]
    assert table[["ci_low", "ci_high"]].isna().all(axis=None)


def test_seeds_are_averaged_and_their_spread_told_but_of_the_features(write):
    table = run(write(filled=True, features=True, seeds=(1, 2)))
    assert table["n_seeds"].tolist() == ["2", "2", "2", "1"]
    assert table.loc["filled", "sd_seeds"] == "0"
    assert pd.isna(table.loc["features", "sd_seeds"])


def test_both_are_of_the_scans_that_have_a_mask(write):
    table = run(write(filled=True, features=True, without="MS3"))
    assert table["n_scans"].tolist() == ["11"] * 4
    assert table["n_without_mask"].tolist() == ["1"] * 4


def test_without_any_mask_nothing_is_claimed(write):
    folder = write(filled=True, features=True)
    for path in [*folder.glob("filled-*.tsv"), folder / "features.tsv"]:
        path.write_text(path.read_text().splitlines()[0] + "\n")
    table = run(folder)
    assert table[["auc", "ci_low", "ci_high", "above_chance"]].isna().all(axis=None)
    assert table["n_without_mask"].tolist() == ["12"] * 4


def test_other_scans_or_methods_are_refused(write):
    folder = write(filled=True, features=True)
    path = folder / "filled-0-1.tsv"
    whole = path.read_text()
    path.write_text("\n".join(whole.splitlines()[:-1]) + "\n")
    with pytest.raises(InputError, match=r"features\.tsv"):
        run(folder)
    path.write_text(whole + whole.splitlines()[-1] + "\n")
    with pytest.raises(InputError, match=r"filled-0-1\.tsv"):
        run(folder)
    path.write_text(whole)
    with pytest.raises(InputError, match="predictions of only_cls"):
        run(folder, "only_cls")
