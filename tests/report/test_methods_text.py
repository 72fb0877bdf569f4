"""The methods text says what a run's records say, and refers to what it cites alone."""

import argparse
import json

import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.report.methods_of_run import methods_of_run
from msnmo.report.methods_text import NETWORKS, REFERENCES, listed
from msnmo.report.results import Results, add_arguments
from msnmo.settings.methods import METHODS
from msnmo.settings.training import Settings
from msnmo.tables.model import read_page
from tests.report.small_run import SCANS, make_run

CONFIG = {
    "predict": {"threshold": 0.5},
    "lesion_masks": {"combine": "staple"},
    "statistics": {"replicates": 2000, "confidence": 0.95},
}
METHODS_RUN = ("joint", "unet", "resnet50")
BOTH = ("brain", "n4")
NO_GEOMETRY = ("derivatives/**/*_space.json", {"geometry": {}})


@pytest.fixture
def made(tmp_path):
    """A function that writes the text of a small run whose records are changed before."""
    folder = make_run(tmp_path / "run", METHODS_RUN).folder

    def write(records=(), config=CONFIG, **changed):
        """`records`: pairs of a pattern of files and what is put into their JSON."""
        for pattern, content in records:
            paths = sorted(folder.glob(pattern))
            assert paths, pattern
            for path in paths:
                path.write_text(json.dumps(json.loads(path.read_text()) | content))
        run = make_options(folder)
        paths = [
            folder / f"models/{name}/fold-{n}/run.json" for name in METHODS_RUN for n in (0, 1)
        ]
        runs = [json.loads(path.read_text()) for path in paths]
        metrics = changed.pop("metrics", pd.DataFrame({"fold": 0, "seed": [1], "scan": ["a"]}))
        given = {
            "sidecars": tuple(f"{folder}/derivatives/{{folder}}/{{scan}}_{x}.json" for x in BOTH),
            "pages": [read_page(path) for path in sorted(folder.glob("tables/table-[34].json"))],
            "config": config,
            "excluded": 0,
            "snakemake": "9.23.1",
        }
        return methods_of_run(run, metrics, runs, **(given | changed))

    return write


def make_options(folder):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    names = {"quality": "quality/quality.tsv", "metrics": "metrics/all.tsv"}
    options = [
        f"--{name}={folder / names.get(name, f'{name}.tsv')}"
        for name in ("cohort", "manifest", "quality", "folds", "metrics")
    ]
    methods = ["--methods", *METHODS_RUN]
    return Results.read(parser.parse_args([*options, f"--site={folder}", *methods]))


def test_what_was_done_is_told_with_versions_settings_and_references(made):
    text = made(excluded=2)
    for said in (
        "6 T2-FLAIR scans of 5 subjects were processed (3 scans of 2 subjects with MS and 2 scans",
        "2 further scans were excluded.",
        "1 of 6 scans is simulated.",
        "CC0 (https://creativecommons.org/publicdomain/zero/1.0/)",
        "msnmo 0.1.0 (commit abc with changes)",
        "Snakemake workflow (version 9.23.1; Mölder et al. 2021)",
        "Python 3.11.7, PyTorch 2.0 and MONAI 1.6.1",
        "(engine `surface`, version 1; Smith 2002), with a fractional intensity threshold of 0.4.",
        "antspyx 0.6.3; shrink factor 4, at most 50 x 50 iterations, convergence threshold 1e-07",
        "resized to 16 x 16 x 16 voxels, each axis by its own factor.",
        "over the voxels of the brain, and set to 0 outside it.",
        "Joint Model (Huang L. et al. 2024); 3D UNet (Falk et al. 2019); and ResNet50 (He et al.",
        "trained for 2 epochs with Adam (Kingma and Ba 2015) on batches of 2 scans, in float32.",
        "The learning rate was 0.0001, multiplied by 0.5 when",
        "cross-validation with 2 folds:",
        "voxels above 0.5 were called lesion",
        "Wilcoxon's signed rank test",
        "corrected by the method of Holm 1979",
    ):
        assert said in text, said
    for other in (
        "FSL's BET",
        "HD-BET",
        "nipype",
        "STAPLE",
        "arrived without",
        "of which",
        "repeated",
    ):
        assert other not in text, other


def test_every_work_that_is_cited_is_listed_and_no_other(made):
    text = made()
    body, _, works = text.partition("## References")
    for short, entry in REFERENCES.values():
        assert (short in body) == (f"- {entry}\n" in works), short
    assert works.count("\n- ") == works.count("- ") > 5


@pytest.mark.parametrize(
    ("engine", "settings", "said", "other"),
    [
        (
            "fsl",
            {"frac": 0.5, "robust": True},
            "FSL's BET (version 6; Smith 2002), run through nipype",
            "HD-BET",
        ),
        ("hd-bet", {}, "with HD-BET (version 6; Isensee et al. 2019)", "Smith"),
        ("none (stripped on arrival)", {}, "6 scans arrived without skull", "Smith"),
        ("none (brain mask given)", {}, "a given brain mask took", "Smith"),
    ],
)
def test_the_engine_that_stripped_is_named_and_no_other(made, engine, settings, said, other):
    made_by = {"engine": engine, "version": "6", "settings": settings | {"holes_filled": 3}}
    text = made([("derivatives/**/*_brain.json", {"skullstrip": made_by})])
    assert said in text
    assert other not in text
    assert ("threshold of 0.5 and the robust search" in text) == (engine == "fsl")
    assert "engine `surface`" not in text


def test_scans_that_differ_are_counted(made):
    arrived = {"method": "none (corrected on arrival)"}
    text = made([("derivatives/sub-N*/*_n4.json", {"bias_correction": arrived})])
    assert "Intensity inhomogeneity of 4 scans was corrected" in text
    assert "2 scans arrived bias corrected and were not corrected again." in text
    text = made([("derivatives/**/*_n4.json", {"bias_correction": arrived})])
    assert "Tustison" not in text
    assert "N4" not in text


def test_settings_of_space_and_training_are_those_of_the_records(made):
    settings = Settings.from_mapping({}, METHODS["unet"]).to_json()
    settings["train"] |= {"segmentation_loss": "dice_ce", "learning_rate": 0.01}
    settings["augment"] |= {"flip_probability": 0.0, "rotation_probability": 0.0}
    text = made(
        [
            ("derivatives/**/*_space.json", {"resize": {"mode": "pad"}}),
            ("derivatives/**/*_space.json", {"zscore": {"over": "whole_volume"}}),
            ("models/unet/*/run.json", {"settings": settings, "epochs": 7, "start": {"file": "x"}}),
        ]
    )
    assert "with its proportions kept" in text
    assert "over the whole volume." in text
    assert "Each network of 3D UNet was trained for 7 epochs" in text
    assert "The learning rate was 0.01," in text
    assert "Training scans were not augmented. Trainings started from given weights." in text
    assert "Each network of Joint Model and ResNet50 was trained for 2 epochs" in text
    assert "segmentation of Joint Model was the soft Dice loss." in text
    assert (
        "segmentation of 3D UNet was the sum of the soft Dice loss and the cross-entropy." in text
    )


def test_folds_seeds_and_statistics_follow_from_the_tables(made):
    metrics = pd.DataFrame({"fold": [0, 0], "seed": [1, 2], "scan": ["a", "a"]})
    assert "Each network was trained 2 times" in made(metrics=metrics)
    assert "and of the seeds" not in made()
    repeated = metrics.assign(fold=[0, 1])
    text = made(metrics=repeated)
    assert "repeated cross-validation with 2 folds, repeated 2 times with other folds" in text
    assert "Each network was trained 2 times" not in text
    assert "Scans of 1 subject were in more than one fold" in text
    assert "2000 bootstrap samples of the subjects" not in made(config={}, pages=[])
    without = made(config={}, pages=[])
    assert "Holm" not in without
    assert "called lesion" not in without


def test_raters_are_told_where_scans_had_several(made, tmp_path):
    path = tmp_path / "run/cohort.tsv"
    cohort = pd.read_csv(path, sep="\t", keep_default_na=False)
    cohort["lesion_mask"] = ["a.nii;b.nii" if n < 2 else "a.nii" for n in cohort.index]
    cohort["site"] = [f"site{n}" if n < 2 else "n/a" for n in cohort.index]
    cohort.to_csv(path, sep="\t", index=False)
    text = made()
    assert "which 2 scans had, were combined by STAPLE (Warfield et al. 2004)." in text
    assert "tested the scans of one site" not in text


def test_a_fold_for_each_site_is_told(made, tmp_path):
    folds = pd.read_csv(tmp_path / "run/folds.tsv", sep="\t")
    path = tmp_path / "run/cohort.tsv"
    cohort = pd.read_csv(path, sep="\t", keep_default_na=False).set_index("scan", drop=False)
    for scan, fold in zip(folds["scan"], folds["fold"], strict=True):
        cohort.loc[scan, "site"] = f"site {fold}"
    cohort.to_csv(path, sep="\t", index=False)
    assert "Each fold tested the scans of one site" in made()


def test_records_that_do_not_say_what_was_done_are_all_named(made):
    with pytest.raises(InputError, match=rf"(?s){min(SCANS)}.*sub-X1") as raised:
        made([NO_GEOMETRY])
    assert "how it was brought to model space" in str(raised.value)


def test_every_network_has_the_work_that_describes_it():
    assert {method.function for method in METHODS.values()} == set(NETWORKS)
    assert set(NETWORKS.values()) <= set(REFERENCES)


def test_words_are_listed_as_in_a_sentence():
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
