"""The page of a study: methods side by side, and what becomes of the paper's claims."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from msnmo.core.files import read_tsv, write_tsv
from msnmo.tables.study import (
    Study,
    claims_table,
    main,
    maps_table,
    methods_table,
    plus_table,
    without_a_lesion,
)

SEEDS = (1, 2, 3)
SUBJECTS = [(f"MS{n}", "MS", n % 2) for n in range(8)] + [
    (f"NMOSD{n}", "NMOSD", n % 2) for n in range(8)
]
# of each method: its DSC, and how sure it is of the right class
METHODS = {
    "joint": (0.6, 0.8),
    "only_seg": (0.5, None),
    "only_local": (0.7, 0.8),
    "without_cross_loss": (0.6, 0.8),
}


def rows(method, seed):
    """Metrics of a method's trainings of one seed, with noise that all methods share."""
    noise = np.random.default_rng(seed).normal(0, 0.02, len(SUBJECTS))
    dsc, sure = METHODS[method]
    for fold in (0, 1):
        tested = [n for n, (_, _, of) in enumerate(SUBJECTS) if of == fold]
        for n in tested:
            subject, diagnosis, _ = SUBJECTS[n]
            where = (method, fold, seed, f"sub-{subject}")
            yield (*where, "DSC", dsc + noise[n] * (1 + (n % 3)), "model")
            if sure is not None:
                p = sure + noise[n]
                yield (*where, "P_NMOSD", p if diagnosis == "NMOSD" else 1 - p, "n/a")
                yield (*where, "LL", -np.log(p), "n/a")
        yield (method, fold, seed, "n/a", "DSC", dsc, "model")
        if sure is not None:
            yield (method, fold, seed, "n/a", "AUC", 1.0, "n/a")
            yield (method, fold, seed, "n/a", "LL", 0.2, "n/a")


# of each method with maps: mean, low and high of the AUROC
AUROCS = {
    "joint": (0.9, 0.85, 0.95),
    "only_local": (0.8, 0.7, 0.9),
    "without_cross_loss": (0.45, 0.4, 0.52),
}


def judged(method):
    """How the maps of a method lie on lesions, and noise."""
    of_maps = {"cam": AUROCS[method], "random": (0.5, 0.49, 0.51)}
    counts = {"n_folds": 2, "n_undefined_folds": 0, "n_subjects": 16, "n_flat": 0}
    counts |= {"n_scans": 16, "n_undefined_scans": 0, "n_maps": 48}
    return pd.DataFrame(
        {
            **{"method": method, "map": name, "metric": metric, "sd": 0.1, "sd_seeds": 0.1},
            **dict(zip(("mean", "ci_low", "ci_high"), numbers, strict=True)),
            **{"interval": "bootstrap", "confidence": 0.95, "chance": 0.5, "beats_chance": "yes"},
            **counts,
        }
        for name, numbers in of_maps.items()
        for metric in ("auroc", "peak", "energy")
    )


def write_results(tmp_path):
    for method in AUROCS:
        write_tsv(tmp_path / f"localisation/{method}.tsv", judged(method))
    columns = ["method", "fold", "seed", "scan", "metric", "value", "space"]
    table = [row for method in METHODS for seed in SEEDS for row in rows(method, seed)]
    write_tsv(tmp_path / "metrics/all.tsv", pd.DataFrame(table, columns=columns))
    folds = [(f"sub-{subject}", subject, *rest) for subject, *rest in SUBJECTS]
    columns = ["scan", "subject", "diagnosis", "fold"]
    write_tsv(tmp_path / "folds.tsv", pd.DataFrame(folds, columns=columns))
    return tmp_path


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Read-only: resampling takes seconds."""
    results = write_results(tmp_path_factory.mktemp("study"))
    return Study.read(results, replicates=300, confidence=0.95, seed=1)


def cells(table, *starts):
    """The cells of the line that begins with these."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    (line,) = [line for line in lines if line[: len(starts)] == list(starts)]
    return line


def test_a_claim_holds_is_refuted_or_stays_open(study):
    table = claims_table(study)
    assert cells(table, "5", "Only Seg Model", "DSC")[-1] == "holds"
    assert cells(table, "7", "Only local", "DSC")[-1] == "refuted"
    assert cells(table, "9", "w/o cross loss", "DSC")[-1] == "open"
    assert cells(table, "5", "Only Seg Model", "DSC")[3] == "+10.0 (+10.0 to +10.0)"


def test_claims_about_methods_that_were_not_run_are_not_made(study):
    assert "Only Cls Model" not in claims_table(study)
    assert "w/o LGM" not in claims_table(study)


def test_every_method_has_its_numbers_and_its_difference_to_the_joint_model(study):
    table = methods_table(study)
    joint, local = cells(table, "Joint Model"), cells(table, "Only local")
    assert joint[2].startswith("60.")
    assert joint[3] == ""
    assert local[3].startswith("+10.0 (+10.0 to +10.0), p 0.0")
    assert cells(table, "Only Seg Model")[4:] == ["", "", "", ""]


def test_trainings_that_found_nothing_are_counted(study):
    assert without_a_lesion(study) == ""
    metrics = study.metrics.copy()
    failed = (metrics["method"] == "only_local") & (metrics["fold"] == 1) & (metrics["seed"] > 1)
    metrics.loc[failed & (metrics["metric"] == "DSC"), "value"] = 0.0
    # one scan with a lesion found is enough
    some = metrics.index[failed & (metrics["metric"] == "DSC") & (metrics["seed"] == 3)][0]
    metrics.loc[some, "value"] = 0.1
    assert without_a_lesion(replace(study, metrics=metrics)) == "`only_local` 1 of 6"


def test_the_maps_of_every_method_are_beside_noise(study):
    table = maps_table(study)
    expected = ["Joint Model", "0.900 (0.850 to 0.950)", *["90.0 (85.0 to 95.0)"] * 2]
    assert cells(table, "Joint Model") == expected
    assert cells(table, "w/o cross loss")[1] == "0.450 (0.400 to 0.520)"
    assert cells(table, "Random map")[1] == "0.500 (0.490 to 0.510)"
    assert "Only Seg Model" not in table


def test_without_methods_of_maps_there_is_no_table_of_them(results):
    metrics = read_tsv(results / "metrics/all.tsv", {"method": str})
    write_tsv(results / "metrics/all.tsv", metrics[metrics["method"] == "only_seg"])
    study = Study.read(results, replicates=50, confidence=0.95, seed=1)
    assert maps_table(study) == "No method that has maps was run."


def test_the_page_says_what_it_is_of_and_is_written_twice_alike(results, tmp_path):
    texts = []
    for name in ("one.md", "two.md"):
        main(["--results", str(results), "--replicates", "200", "--out", str(tmp_path / name)])
        texts.append((tmp_path / name).read_text(encoding="utf-8").replace(name, "out"))
    assert texts[0] == texts[1]
    assert "16 subjects, 16 scans, 2 folds, seeds 1, 2, 3." in texts[0]
    assert "simulated" in texts[0]
    assert "Not run yet" not in texts[0]
    words = ["--replicates", "50", "--planned", "joint", "unet", "lgm_dot", "--configs", "a", "b"]
    main(["--results", str(results), *words, "--out", str(tmp_path / "part.md")])
    said = (tmp_path / "part.md").read_text(encoding="utf-8")
    assert "**Not run yet:** `unet`, `lgm_dot`." in said
    assert "--configfile a b\n" in said


def test_every_segmenting_method_is_compared_with_the_joint_model_beyond_the_paper(study):
    assert "was not run" in plus_table(study)
    renamed = study.metrics.replace({"method": {"only_local": "joint_plus"}})
    table = plus_table(replace(study, metrics=renamed))
    assert cells(table, "Joint Model")[2].startswith("−10.0 (−10.0 to −10.0), p ")
    assert cells(table, "Only Seg Model")[2].startswith("−20.0 (−20.0 to −20.0), p ")
    assert "Joint Model+ " not in table.split("\n", 2)[2]
