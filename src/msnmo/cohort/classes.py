"""Cohorts of one class, or of none: which methods can be trained, and the note on the others.

To tell two classes apart, a network needs scans of both. If a cohort has scans of only one class,
or lesion masks without any diagnosis, methods that classify are left out and named. This includes
the joint model and its ablations, as the class is half of what they learn. Methods that only
segment stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from msnmo.cohort.balance import classes_of, learned
from msnmo.cohort.excluded import RATER
from msnmo.cohort.table import Survey
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.settings.methods import METHODS, SEGMENTATION, get_method

ONLY_SEG = "only_seg"
"""The method with only the joint model's segmentation."""


def trainable(methods: Sequence[str], classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the methods that can be trained on a cohort, and the methods left out.

    Parameters
    ----------
    methods : sequence of str
        Names from the config.
    classes : sequence of str
        Labels of the cohort's scans.
    """
    if len(classes) >= len(diagnoses()):
        return list(methods), []
    kept = [name for name in methods if get_method(name).tasks == SEGMENTATION]
    return kept, [name for name in methods if name not in kept]


def refuse_none_left(kept: Sequence[str], left_out: Sequence[str], classes: Sequence[str]) -> None:
    """Stop if every method of the config is left out.

    Raises
    ------
    InputError
        Names them and the methods that could be trained.
    """
    if kept or not left_out:
        return
    segmenting = [name for name, each in METHODS.items() if each.tasks == SEGMENTATION]
    raise bad_input(
        "config: methods",
        f"a method that only segments, as the cohort has {in_words(classes)}",
        f"{', '.join(left_out)}, which classify",
        f"name some of {', '.join(segmenting)}; or add scans of the other class to the scan table",
    )


def refuse_lost_class(survey: Survey, cohort: pd.DataFrame, excluded: pd.DataFrame) -> None:
    """Stop if the check left no scan of one of two classes: planned methods need both.

    Parameters
    ----------
    survey : Survey
        The survey of the scan table.
    cohort : DataFrame
        The scans that go on.
    excluded : DataFrame
        As returned by `msnmo.cohort.excluded.read_excluded`.

    Raises
    ------
    InputError
        Names each scan of the class and why it was excluded.
    """
    planned = survey.classes(set(excluded.loc[excluded["by"] == RATER, "scan"]))
    lost = [name for name in planned if name not in set(cohort["diagnosis"])]
    if len(planned) < len(diagnoses()) or not lost:
        return
    both = " and of ".join(planned)
    findings = []
    for name in lost:
        of_class = [survey.named.get(scan) == name for scan in excluded["scan"]]
        rows = excluded[of_class].itertuples()
        told = "; ".join(f"{row.scan} (by the {row.by}: {row.reason})" for row in rows)
        findings.append(
            Finding(
                f"cohort, class {name}",
                f"a scan of {both} that can be used, as planned methods tell them apart",
                f"all scans of {name} are excluded: {told}",
                f"fix one of them; or remove the rows of {name} from the scan table: in a cohort "
                "of one class, methods that classify are left out",
            )
        )
    raise InputError(findings)


def packed(method: str, trained: Sequence[str], classes: Sequence[str]) -> str:
    """Return the method whose folds a bundle holds. Segmentation may replace the joint model.

    Parameters
    ----------
    method : str
        The method in the config.
    trained, classes : sequence of str
        The methods that are trained, and the labels of the cohort's scans.
    """
    if trainable([method], classes)[0]:
        return method
    return ONLY_SEG if ONLY_SEG in trained or not trained else trained[0]


def in_words(classes: Sequence[str]) -> str:
    """Return in words the classes of a cohort that has not two."""
    return f"one class ({classes[0]})" if classes else "no diagnosis"


def left_out_note(left_out: Sequence[str], classes: Sequence[str]) -> str:
    """Return the sentence on methods that are left out; empty if there are none."""
    if not left_out:
        return ""
    return f"Left out, since the cohort has {in_words(classes)}: {', '.join(left_out)}."


def note_of(cohort: pd.DataFrame, left_out: Sequence[str]) -> str:
    """Return the sentence of `left_out_note` for a cohort.

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, diagnosis, lesion_mask.
    left_out : sequence of str
        Names of the methods left out.
    """
    there = classes_of(learned(cohort))
    return left_out_note(left_out, [name for name in there if name in diagnoses()])
