"""Scans are told by the labels of the bundle that was applied to them."""

import numpy as np
import pandas as pd

from msnmo.apply.apply_bundle import _class, in_words
from msnmo.apply.classes import columns_of
from msnmo.apply.ensemble import Consensus
from msnmo.apply.listing import IN_MODEL_SPACE, list_runs
from msnmo.apply.pages import facts, write_index
from msnmo.bundle.contents import Bundle

FOLDS = np.array([[0.3, 0.7], [0.1, 0.9]])
NUMBERS = {"certain_from": 0.75, "temperature": 1.0}


def said(tmp_path, labels):
    content = NUMBERS | {"labels": dict(zip("01", labels, strict=True))}
    return _class(Bundle(tmp_path, content, "id"), Consensus(None, (), FOLDS, None))


def run_of(name, of_class):
    return {
        "scan": name,
        "bundle": {"id": "id", "method": "joint"},
        "class": of_class,
        "lesions": {"count": 2, "load_ml": 1.5, "load_ml_of_folds_in_model_space": [1.0, 2.0]},
        "input": {"voxel_mm": [1, 1, 3], "shape": [4, 4, 4], "form_conflict": ""},
        "skullstrip": {},
    }


def test_the_papers_labels_have_their_names_and_are_not_told(tmp_path):
    told = said(tmp_path, ("MS", "NMOSD"))
    assert "labels" not in told
    assert (told["named"], told["p_ms"], told["p_nmosd"]) == ("NMOSD", 0.2, 0.8)
    assert "(P(NMOSD) 0.80)" in in_words(run_of("sub-1", told))
    assert columns_of([run_of("sub-1", told)]) == [
        *("class", "p_ms", "p_nmosd", "sd_nmosd", "folds_agreeing", "uncertain", "doubts")
    ]


def test_others_have_theirs(tmp_path):
    told = said(tmp_path, ("MS", "MOGAD"))
    assert told["labels"] == ["MS", "MOGAD"]
    assert (told["named"], told["p_mogad"]) == ("MOGAD", 0.8)
    assert told["p_mogad_of_folds"] == [0.7, 0.9]
    run = run_of("sub-1", told)
    assert "MOGAD (P(MOGAD) 0.80)" in in_words(run)
    assert dict(facts(run))["P(MOGAD)"] == "0.80 (0.70 to 0.90 by single folds)"
    assert "NMOSD" not in str(facts(run))


def test_scans_of_several_bundles_stand_in_one_list(tmp_path):
    pairs = {"sub-1": ("MS", "NMOSD"), "sub-2": ("MS", "MOGAD")}
    runs = [run_of(name, said(tmp_path, labels)) for name, labels in pairs.items()]
    runs.append(run_of("sub-3", None))
    table = list_runs(runs)
    assert list(table["class"].iloc[:2]) == ["NMOSD", "MOGAD"]
    assert pd.isna(table["p_mogad"].iloc[0])
    assert table["p_mogad"].iloc[1] == 0.8
    page = write_index(tmp_path, runs, table).read_text(encoding="utf-8")
    assert "P(NMOSD)" in page
    assert "P(MOGAD)" in page
    assert page.count("0.70 to 0.90") == 2, "a range for each class named"


def test_volumes_are_compared_within_one_space(tmp_path):
    run = run_of("sub-1", None)
    run["lesions"]["load_ml_in_model_space"] = 1.75
    told = dict(facts(run))
    assert told["lesions"] == "2, 1.50 ml"
    assert told["lesions in model space"] == (
        "1.75 ml by all folds together, 1.00 to 2.00 ml by single folds"
    )
    run["lesions"]["load_ml_of_folds_in_model_space"] = [1.0]
    assert "lesions in model space" not in dict(facts(run)), "one fold has no spread"


def test_a_run_that_was_written_before_its_keys_named_the_space_can_be_listed(tmp_path):
    old, new = run_of("sub-1", None), run_of("sub-2", None)
    old["lesions"]["load_ml_of_folds"] = old["lesions"].pop("load_ml_of_folds_in_model_space")
    new["lesions"]["load_ml_in_model_space"] = 1.75
    table = list_runs([old, new])
    assert table["model_load_ml_least"].tolist() == [1.0, 1.0]
    assert table["model_load_ml_most"].tolist() == [2.0, 2.0]
    assert table["model_load_ml"].isna().tolist() == [True, False]
    assert dict(facts(old))["lesions in model space"] == "1.00 to 2.00 ml by single folds"


def test_a_bundle_that_names_no_class_makes_no_column_of_classes(tmp_path):
    runs = [run_of("sub-1", None)]
    table = list_runs(runs)
    assert list(table) == [*("scan", "lesions", "load_ml", *IN_MODEL_SPACE, "bundle", "warning")]
    page = write_index(tmp_path, runs, table).read_text(encoding="utf-8")
    assert "P(" not in page
    assert "folds agreeing" not in page
    assert "Lesions of new scans" in page
    assert "not named, as the networks segment alone" in page
