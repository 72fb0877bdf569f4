"""Bundles: all that new scans need, nothing of a patient, and no damage that goes unseen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from msnmo.bundle.__main__ import PREPROCESSING, describe_fold, preprocessing_of, salt_of
from msnmo.bundle.contents import Certainty, Seals, read_bundle
from msnmo.check.findings import ScanReport
from msnmo.core.diagnoses import VARIABLE
from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, sha256, write_tsv
from msnmo.core.fingerprint import seal
from msnmo.evaluate.verdict import Verdict
from msnmo.networks import NETWORK_VERSION
from msnmo.preprocess.steps import STEPS
from msnmo.settings.config import shareable
from tests.bundle.made import LEARNED


@pytest.fixture
def broken(bundle: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(bundle, tmp_path / "bundle")


def _rewrite(folder: Path, **changed: object) -> None:
    """Change bundle.json, its checksum along with it: a bundle of another make."""
    path = folder / "bundle.json"
    before = sha256(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(before, sha256(path)))


def test_a_bundle_holds_what_it_names_and_no_more(bundle: Path) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "bundle.json",
        "config.yaml",
        "fold-0.safetensors",
        "fold-1.safetensors",
        "fold-2.safetensors",
    ]
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_its_checksums_are_those_that_sha256sum_reads(bundle: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=bundle, capture_output=True, text=True, check=True
    )
    assert done.stdout.count(": OK") == 6


def test_it_says_how_to_preprocess_threshold_and_doubt(bundle: Path, config: dict) -> None:
    read = read_bundle(bundle)
    assert read.size == (32, 32, 32)
    assert read.threshold == config["predict"]["threshold"]
    assert read.temperature == 1
    assert read.certainty.certain_from == 0.75
    assert read.preprocessing()["n4"] == config["n4"]
    # auto chose one engine for all scans that the folds learned from: new ones get the same
    assert read.preprocessing()["skull_strip"]["engine"] == "surface"
    assert read.preprocessing("hd-bet")["skull_strip"]["engine"] == "hd-bet"
    assert read.preprocessing("hd-bet")["n4"] == config["n4"]
    assert [run["fold"] for _, run in read.runs] == [0, 1, 2]


def test_nothing_in_it_names_a_patient_a_site_or_a_path(bundle: Path, training: Path) -> None:
    secrets = ["secret1", "sub-A", "sub-B", "Zwieselbach", str(training), "scans.tsv", "cohort.tsv"]
    for path in bundle.iterdir():
        content = path.read_bytes()
        assert not [text for text in secrets if text.encode() in content], path.name


def test_it_knows_the_scans_that_its_folds_learned_from_and_shows_no_one(bundle: Path) -> None:
    seals = read_bundle(bundle).training_seals
    assert seals is not None
    assert all(seals.know(digest) for digest in LEARNED.values())
    assert not seals.know("03" * 32)
    told = json.loads((bundle / "bundle.json").read_text())["training_seals"]
    assert told["seals"] == sorted(seal(digest, told["salt"]) for digest in LEARNED.values())
    for path in bundle.iterdir():
        assert not [digest for digest in LEARNED.values() if digest.encode() in path.read_bytes()]
    assert "holds 2 salted digests" in (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_bundles_of_other_weights_have_other_salts() -> None:
    first, second = (salt_of([{"weights_sha256": each * 64}]) for each in "ab")
    assert first != second
    assert salt_of([{"weights_sha256": "a" * 64}]) == first
    digest = LEARNED["sub-secret1"]
    assert not Seals(second, frozenset({seal(digest, first)})).know(digest)


def test_reports_without_a_fingerprint_are_all_named(
    make_bundle: Callable[..., None], training: Path, tmp_path: Path
) -> None:
    reports = tmp_path / "check"
    reports.mkdir()
    ScanReport("sub-secret1", []).write(reports / "sub-secret1.json")
    with pytest.raises(InputError, match="2 input problems") as error:
        make_bundle(tmp_path / "out", **{"check-reports": f"{reports}/{{scan}}.json"})
    assert [Path(each.file).name for each in error.value.findings] == [
        "sub-secret1.json",
        "sub-secret2.json",
    ]
    assert not (tmp_path / "out").exists()


def test_a_bundle_of_before_has_no_seals_and_loads(broken: Path) -> None:
    path = broken / "bundle.json"
    content = json.loads(path.read_text())
    del content["training_seals"]
    before = sha256(path)
    path.write_text(json.dumps(content))
    sums = broken / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(before, sha256(path)))
    assert read_bundle(broken).training_seals is None


def test_the_card_counts_the_scans_that_the_folds_learned_from(bundle: Path) -> None:
    card = (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| MS | 3 | 2 | 2 | 2.0 (1.0 to 3.0) |" in card
    assert "| NMOSD | 1 | 1 | 1 | 4.0 (4.0 to 4.0) |" in card
    assert "not for diagnosis" in card
    assert "60.00 ± 0.00" in card, "the metrics of the folds that were left out"
    assert "1 to 3 mm" in card


def test_it_says_that_its_folds_learned_from_simulated_scans(bundle: Path) -> None:
    said = "These networks learned from only simulated scans."
    assert f"**{said}" in (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert read_bundle(bundle).simulated.startswith(said)


def test_the_config_in_it_is_whole_but_for_paths(bundle: Path, config: dict) -> None:
    content = yaml.safe_load((bundle / "config.yaml").read_text(encoding="utf-8"))
    # where the weights lie that a training started from is this site's own
    assert content["train"] | {"start_from": ""} == config["train"]
    assert "start_from" not in content["train"]
    assert not {"scans", "results", "decisions"} & set(content)
    assert "not for diagnosis" in (bundle / "config.yaml").read_text(encoding="utf-8")


def test_equal_trainings_give_equal_bytes(
    bundle: Path, make_bundle: Callable[..., None], tmp_path: Path
) -> None:
    make_bundle(tmp_path / "again")
    again = read_bundle(tmp_path / "again")
    assert again.id == read_bundle(bundle).id
    for path in bundle.iterdir():
        assert (again.path / path.name).read_bytes() == path.read_bytes()


def test_temperature_is_fitted_on_held_out_predictions_where_asked_for(
    make_bundle: Callable[..., None], training: Path, tmp_path: Path
) -> None:
    folders = [str(training / f"predictions-{fold}") for fold in range(3)]
    make_bundle(tmp_path / "scaled", "--predictions", *folders)
    assert 0.05 < read_bundle(tmp_path / "scaled").temperature < 0.99, "the folds were too modest"


def _judged(path: Path, method: str = "joint") -> str:
    numbers = {"mean": 0.51, "ci_low": 0.46, "ci_high": 0.57, "confidence": 0.95}
    counts = {"n_scans": 5, "n_undefined_scans": 1, "n_subjects": 3}
    row = {"method": method, "map": "cam", "metric": "auroc", **numbers, **counts}
    write_tsv(path, pd.DataFrame([row]))
    return str(path)


def test_it_says_whether_its_maps_find_lesions(
    make_bundle: Callable[..., None], bundle: Path, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "judged", "--localisation", _judged(tmp_path / "joint.tsv"))
    said = read_bundle(tmp_path / "judged").localisation
    assert said == Verdict(0.51, 0.46, 0.57, 0.95, 4, 3)
    assert said.beats_chance is False
    content = json.loads((tmp_path / "judged/bundle.json").read_text())
    assert content["localisation"]["beats_chance"] is False
    card = (tmp_path / "judged/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "does not find lesions better than chance (AUROC 0.51" in card
    assert read_bundle(bundle).localisation is None
    assert json.loads((bundle / "bundle.json").read_text())["localisation"] is None


def test_maps_of_another_method_are_refused(
    make_bundle: Callable[..., None], tmp_path: Path
) -> None:
    judged = _judged(tmp_path / "other.tsv", "only_cls")
    with pytest.raises(InputError, match="the maps of method joint"):
        make_bundle(tmp_path / "judged", "--localisation", judged)
    assert not (tmp_path / "judged").exists()


@pytest.mark.parametrize("name", ["fold-1.safetensors", "config.yaml", "bundle.json"])
def test_a_damaged_file_is_named(broken: Path, name: str) -> None:
    path = broken / name
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_bundle(broken)


def test_all_missing_files_are_named_at_once(broken: Path) -> None:
    (broken / "fold-0.safetensors").unlink()
    (broken / "fold-2.safetensors").unlink()
    with pytest.raises(InputError, match="2 input problems") as error:
        read_bundle(broken)
    assert [finding.found for finding in error.value.findings] == ["no such file"] * 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": 2}, "a newer one needs a newer msnmo"),
        ({"method": "none_such"}, r"bundle\.json(.|\n)*none_such(.|\n)*copy the bundle again"),
        ({"threshold": 2}, "threshold"),
        ({"mirrored": "yes"}, "true if answers for the scan and for its mirror image"),
        ({"threshold": float("nan")}, "NaN instead of a finite number"),
        ({"temperature": float("inf")}, "Infinity instead of a finite number"),
        ({"certain_from": float("nan")}, "NaN instead of a finite number"),
        ({"folds": []}, "folds"),
        ({"localisation": {"auroc": 0.9}}, "localisation maps find lesions"),
        ({"localisation": "better"}, "localisation maps find lesions"),
        ({"labels": {"0": "MS"}}, "labels of class 0 and class 1"),
        ({"labels": {"0": "MS", "1": "no one"}}, "a label of letters and digits"),
        ({"labels": {"0": "MS", "1": "NMOSD", "2": "MOGAD"}}, "labels of class 0 and class 1"),
        ({"network_version": NETWORK_VERSION + 1}, r"apply the bundle with the msnmo that made it"),
        ({"network_version": "1"}, "network_version"),
        ({"versions": "0.1.0"}, "versions"),
        ({"training_seals": {"salt": "", "seals": ["ab" * 32]}}, "training_seals.salt"),
        ({"training_seals": {"salt": "ab" * 32, "seals": ["sub-01"]}}, "training_seals.seals"),
        ({"git": {"commit": "\x1b[31m"}}, "git.commit"),
    ],
)
def test_a_bundle_of_another_make_is_refused(broken: Path, changed: dict, said: str) -> None:
    _rewrite(broken, **changed)
    with pytest.raises(InputError, match=said):
        read_bundle(broken)


def test_preprocessing_that_no_config_may_say_is_refused(broken: Path) -> None:
    sections = json.loads((broken / "bundle.json").read_text())["preprocessing"]
    sections["resize"]["size"] = [160, 160, 150]
    sections["n4"]["tolerance"] = -1.0
    _rewrite(broken, preprocessing=sections)
    with pytest.raises(InputError) as error:
        read_bundle(broken)
    places = [
        finding.file.partition("config: preprocessing.")[2] for finding in error.value.findings
    ]
    assert places == ["n4.tolerance", "resize.size.2"]
    del sections["resize"]["size"]
    _rewrite(broken, preprocessing=sections)
    with pytest.raises(InputError, match="'size' is a required property"):
        read_bundle(broken)


def test_a_bundle_that_was_made_under_the_names_of_before_loads(
    make_bundle: Callable[..., None], config: dict, tmp_path: Path
) -> None:
    """Its config.yaml has the section export, and locations under predict; nothing reads it."""
    old = shareable(config)
    old["export"] = old.pop("bundle")
    old["predict"]["locations"] = old.pop("apply")["locations"]
    make_bundle(tmp_path / "old", config=json.dumps(old))
    content = yaml.safe_load((tmp_path / "old/config.yaml").read_text(encoding="utf-8"))
    assert content["export"]["method"] == "joint"
    assert content["predict"] == {"threshold": 0.5, "locations": False}
    assert read_bundle(tmp_path / "old").threshold == 0.5


def _first_fold(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["folds"][0][key] = value

    return change


def _wide(content: dict[str, Any]) -> None:
    content["folds"][1]["settings"]["model"]["base_channels"] = 4 * 10**8


def _many(content: dict[str, Any]) -> None:
    (one, *_) = content["folds"]
    content["folds"] = [
        one | {"fold": fold, "weights": f"fold-{fold}.safetensors"} for fold in range(3000)
    ]


def _preprocessed(step: str, key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["preprocessing"][step][key] = value

    return change


def _more_simulated(content: dict[str, Any]) -> None:
    content["training_cohort"]["simulated"] = {"scans": 5, "of": 3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_first_fold("fold", 1), "each fold and its weights once"),
        (_first_fold("weights", "fold-2.safetensors"), "each fold and its weights once"),
        (_first_fold("fold", 10**30), r"folds\.0\.fold"),
        (_first_fold("size", [48, 48, 48]), "trained at the size of model space, 32 x 32 x 32"),
        (_many, "200 at most"),
        (_wide, r"folds\.1.*base_channels"),
        (_preprocessed("n4", "iterations", [10**9]), r"n4\.iterations\.0"),
        (_preprocessed("n4", "iterations", [50] * 5000), r"n4\.iterations"),
        (_preprocessed("resize", "size", [160_000] * 3), r"resize\.size\.0"),
        (_preprocessed("resize", "size", [48] * 3), "found:    32 x 32 x 32"),
        (lambda content: content.update(temperature=1e300), "0.01 to 100"),
        (lambda content: content.update(versions={"msnmo": {"a": "b" * 10**6}}), r"versions"),
        (_more_simulated, "5 of 3"),
    ],
)
def test_an_absurd_value_is_refused_in_few_words(
    broken: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    content = json.loads((broken / "bundle.json").read_text())
    change(content)
    _rewrite(broken, **content)
    with pytest.raises(InputError, match=said) as error:
        read_bundle(broken)
    for finding in error.value.findings:
        assert finding.file.startswith(str(broken / "bundle.json"))
        assert len(str(finding)) < 1500
        assert "copy the bundle again" in finding.remedy


def test_nested_json_is_refused(broken: Path) -> None:
    (broken / "bundle.json").write_text('{"a": ' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(InputError, match=r"bundle\.json") as error:
        read_bundle(broken)
    assert "copy the bundle again" in error.value.findings[0].remedy


@pytest.mark.parametrize("name", ["pandas.py", ".hidden", "torch/__init__.py"])
def test_a_file_that_the_checksums_do_not_name_is_refused(broken: Path, name: str) -> None:
    (broken / name).parent.mkdir(exist_ok=True)
    (broken / name).write_text("")
    with pytest.raises(InputError, match="a file that is not part of the bundle") as error:
        read_bundle(broken)
    (finding,) = error.value.findings
    assert finding.file == str(broken / name.partition("/")[0])


def test_the_mark_that_snakemake_leaves_in_a_folder_is_no_foreign_file(broken: Path) -> None:
    mark = broken / ".snakemake_timestamp"
    mark.touch()
    assert read_bundle(broken).method.name == "joint"
    mark.write_text("import os")
    with pytest.raises(InputError, match="a file that is not part of the bundle"):
        read_bundle(broken)


@pytest.mark.parametrize("name", ["fold-1.safetensors", "bundle.json", "config.yaml"])
def test_a_link_out_of_a_bundle_is_refused_and_one_within_is_not(broken: Path, name: str) -> None:
    moved = (broken / name).rename(broken.with_name(name))
    (broken / name).symlink_to(moved)
    with pytest.raises(InputError, match="a link out of it") as error:
        read_bundle(broken)
    assert error.value.findings[0].file == str(broken / name)
    (broken / name).unlink()
    moved.rename(broken / name)
    linked = broken.with_name("linked")
    linked.symlink_to(broken)
    assert read_bundle(linked).labels == ("MS", "NMOSD")


@pytest.mark.parametrize("name", ["SHA256SUMS", "config.yaml", "fold-0.safetensors"])
def test_a_pipe_in_a_bundle_is_not_waited_for(broken: Path, name: str) -> None:
    (broken / name).unlink()
    os.mkfifo(broken / name)
    with pytest.raises(InputError, match=r"no such file|no file of checksums"):
        read_bundle(broken)


def test_weights_outside_the_folder_are_refused(broken: Path) -> None:
    folds = json.loads((broken / "bundle.json").read_text())["folds"]
    folds[0]["weights"] = "../elsewhere.safetensors"
    _rewrite(broken, folds=folds)
    with pytest.raises(InputError, match=r"folds\.0\.weights"):
        read_bundle(broken)


@pytest.mark.parametrize(
    "reference", [None, {}, {"lesion_logits": [1.0, "2"]}, {"path": [1.0, 2.0]}]
)
def test_a_reference_pass_of_another_form_is_refused(broken: Path, reference: object) -> None:
    folds = json.loads((broken / "bundle.json").read_text())["folds"]
    folds[1]["reference"] = reference
    _rewrite(broken, folds=folds)
    with pytest.raises(InputError, match=r"folds\.1\.reference"):
        read_bundle(broken)


def test_a_fold_without_its_reference_pass_is_refused(broken: Path) -> None:
    folds = json.loads((broken / "bundle.json").read_text())["folds"]
    del folds[2]["reference"]
    _rewrite(broken, folds=folds)
    with pytest.raises(InputError, match="a fold with its reference pass"):
        read_bundle(broken)


def test_weights_without_a_checksum_are_refused(broken: Path) -> None:
    sums = broken / "SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines() if "fold-1" not in line]
    sums.write_text("\n".join(kept) + "\n")
    with pytest.raises(InputError, match=r"a checksum of fold-1\.safetensors"):
        read_bundle(broken)


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="snakemake bundle"):
        read_bundle(tmp_path)


def test_weights_of_another_training_are_not_packed(training: Path) -> None:
    with pytest.raises(InputError, match="another checksum"):
        describe_fold(training / "run-0.json", training / "weights-1.safetensors", "joint")


def test_two_engines_leave_the_choice_to_the_config(config: dict) -> None:
    both = preprocessing_of(config, ["fsl", "surface"])
    assert both["skull_strip"]["engine"] == config["skull_strip"]["engine"] == "auto"
    stripped = preprocessing_of(config, ["none (stripped on arrival)", "fsl"])
    assert stripped["skull_strip"]["engine"] == "fsl"


@pytest.mark.parametrize(
    ("named", "agreeing", "count"),
    [(0.9, 5, 0), (0.75, 5, 0), (0.74, 5, 1), (0.9, 4, 1), (0.6, 3, 2)],
)
def test_a_class_is_uncertain_by_the_stated_rule(named: float, agreeing: int, count: int) -> None:
    assert len(Certainty(0.75).doubts(named, agreeing, 5)) == count


def test_a_bundle_holds_the_settings_of_every_step():
    assert tuple(step.section for step in STEPS.values() if step.section) == PREPROCESSING


def _relabel(training: Path, folder: Path, labels: dict[str, str | None]) -> Path:
    """Return the cohort's table with other labels."""
    table = read_tsv(training / "cohort.tsv", {"scan": str, "subject": str})
    table["diagnosis"] = table["diagnosis"].map(labels)
    write_tsv(folder / "cohort.tsv", table)
    return folder / "cohort.tsv"


def test_a_bundle_of_other_labels_says_them(
    training: Path,
    make_bundle: Callable[..., None],
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    cohort = _relabel(training, tmp_path, {"MS": "MS", "NMOSD": "MOGAD"})
    make_bundle(tmp_path / "made", cohort=str(cohort))
    # whatever the labels are of the process that reads it
    monkeypatch.setenv(VARIABLE, "MS,NMOSD")
    read = read_bundle(tmp_path / "made")
    assert read.labels == ("MS", "MOGAD")
    assert read_bundle(bundle).labels == ("MS", "NMOSD")
    of_one, of_other = (
        each.content["folds"][0]["reference"] for each in (read, read_bundle(bundle))
    )
    assert list(of_one) == ["lesion_logits", "class_logits", "evidence_ms", "evidence_mogad"]
    assert list(of_one.values()) == list(of_other.values())
    card = (tmp_path / "made/MODEL_CARD.md").read_text()
    assert "tells multiple\nsclerosis (MS) from MOGAD." in card
    assert "| MOGAD | 1 | 1 |" in card
    assert "NMOSD" not in card


def test_a_bundle_of_masks_without_a_diagnosis_counts_its_scans(
    training: Path, make_bundle: Callable[..., None], tmp_path: Path
) -> None:
    cohort = _relabel(training, tmp_path, {"MS": None, "NMOSD": None})
    make_bundle(tmp_path / "made", cohort=str(cohort))
    (row,) = read_bundle(tmp_path / "made").content["training_cohort"]["classes"]
    assert (row["diagnosis"], row["scans"]) == ("no diagnosis", 4)
