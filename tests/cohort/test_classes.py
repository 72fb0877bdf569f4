"""A cohort of one class trains what segments alone, and names what is left out."""

import pandas as pd
import pytest

from msnmo.cohort.classes import (
    left_out_note,
    note_of,
    packed,
    refuse_lost_class,
    refuse_none_left,
    trainable,
)
from msnmo.cohort.excluded import COLUMNS
from msnmo.cohort.table import Survey
from msnmo.core.errors import InputError
from msnmo.settings.methods import METHODS

MANY = ["joint", "unet", "resnet50", "only_seg", "only_cls"]


@pytest.mark.parametrize("classes", [["MS"], ["NMOSD"], []])
def test_what_classifies_is_left_out_of_one_class(classes):
    assert trainable(MANY, classes) == (["unet", "only_seg"], ["joint", "resnet50", "only_cls"])


def test_nothing_is_left_out_of_two():
    assert trainable(MANY, ["MS", "NMOSD"]) == (MANY, [])
    refuse_none_left(["unet"], [], ["MS"])


def test_every_method_but_those_that_segment_alone_is_left_out():
    kept, left_out = trainable(list(METHODS), ["MS"])
    assert kept == ["unet", "vnet", "attention_unet", "only_seg", "nnunet_plain", "swin_unetr"]
    assert {*kept, *left_out} == set(METHODS)


def test_where_none_is_left_the_remedy_names_what_could_be_trained():
    kept, left_out = trainable(["joint", "resnet50"], ["MS"])
    with pytest.raises(InputError) as refused:
        refuse_none_left(kept, left_out, ["MS"])
    (finding,) = refused.value.findings
    assert finding.file == "config: methods"
    assert "one class (MS)" in finding.expected
    assert finding.found == "joint, resnet50, which classify"
    assert "only_seg" in finding.remedy
    assert "joint" not in finding.remedy


@pytest.mark.parametrize(
    ("method", "trained", "classes", "expected"),
    [
        ("joint", MANY, ["MS", "NMOSD"], "joint"),
        ("joint", ["unet", "only_seg"], ["MS"], "only_seg"),
        ("joint", ["vnet", "unet"], ["MS"], "vnet"),
        ("joint", [], ["MS"], "only_seg"),
        ("unet", ["vnet", "unet"], ["MS"], "unet"),
        ("unet", ["vnet", "unet"], [], "unet"),
    ],
)
def test_a_bundle_holds_what_could_be_trained(method, trained, classes, expected):
    assert packed(method, trained, classes) == expected


def test_the_note_says_which_and_why():
    said = left_out_note(["joint", "only_cls"], ["MS"])
    assert said == "Left out, since the cohort has one class (MS): joint, only_cls."
    assert left_out_note([], ["MS"]) == ""


def test_the_note_is_of_the_scans_that_are_learned_from():
    rows = [("a", "MS", "m"), ("b", None, None)]
    cohort = pd.DataFrame(rows, columns=["scan", "diagnosis", "lesion_mask"])
    cohort = cohort.assign(subject=cohort["scan"], site=None)
    assert "one class (MS): joint." in note_of(cohort, ["joint"])
    nobody = cohort.assign(diagnosis=None)
    assert note_of(nobody, ["joint"]) == "Left out, since the cohort has no diagnosis: joint."


NAMED = {"sub-1": "MS", "sub-2": "MS", "sub-3": "NMOSD", "sub-4": ""}


def judge(*excluded, named=NAMED):
    table = pd.DataFrame(excluded, columns=list(COLUMNS))
    left = {scan: name for scan, name in named.items() if scan not in set(table["scan"])}
    cohort = pd.DataFrame(left.items(), columns=["scan", "diagnosis"])
    refuse_lost_class(Survey(cohort, [], named), cohort, table)


def test_a_class_that_the_check_leaves_no_scan_of_is_refused_and_its_scans_named():
    with pytest.raises(InputError) as stopped:
        judge(("sub-3", "check", "found NaN"), ("sub-1", "check", "cut"))
    (finding,) = stopped.value.findings
    assert finding.file == "cohort, class NMOSD"
    assert finding.found == "all scans of NMOSD are excluded: sub-3 (by the check: found NaN)"
    assert "remove the rows of NMOSD" in finding.remedy


def test_a_class_of_which_a_scan_is_left_goes_on():
    judge(("sub-1", "check", "cut"))
    # a rater's decisions are known when methods are planned: of one class then
    judge(("sub-3", "rater", "motion"))
    judge(("sub-3", "rater", "motion"), ("sub-1", "check", "cut"))
    judge(("sub-1", "check", "cut"), named={"sub-1": "MS", "sub-2": "MS"})
