"""What a change of data or config reruns: changes, and for each the exact jobs that must run."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from msnmo.settings.methods import METHODS
from tests.workflow.dag import jobs

# what follows of tables and metrics on the CPU; it is compared as a whole: all of it, or none
SHOWN = {
    *("aggregate_metrics", "calibrate_classes", "compare_methods", "judge_maps"),
    *("describe_cohort", "draw_figure", "draw_pathway", "list_complexity", "list_quality"),
    *(
        "list_statistics",
        "map_gradcam",
        "measure_maps",
        "measure_untrained_maps",
        "write_map_table",
        "compare_sites",
        "judge_site_alone",
        "write_site_table",
    ),
    *("measure_lesions", "describe_lesions", "write_lesion_table"),
    *("classify_features", "fill_lesions", "judge_shortcuts", "measure_features"),
    *("predict_filled", "write_shortcut_table"),
    *("write_report", "write_scan_page", "write_table", "all"),
    "list_tables_of_pages",
}
# of one scan, from the head to model space
STRIPPED = dict.fromkeys(
    (
        *("strip_skull", "correct_bias", "crop_background", "resize_scan", "zscore_scan"),
        *("resize_lesion", "draw_quality"),
    ),
    1,
)
CHECKED = {"list_findings": 1, "accept_cohort": 1}
# what reads the table of the cohort, and no scan
LISTED = CHECKED | {"list_manifest": 1, "split_folds": 1}


@dataclass(frozen=True)
class Study:
    """A finished run of all kinds of methods, two folds each.

    Parameters
    ----------
    cohort, results : Path
    config : dict
        That it was run with.
    """

    cohort: Path
    results: Path
    config: Mapping

    @property
    def table(self) -> Path:
        return self.cohort / "scans.tsv"

    def rows(self) -> pd.DataFrame:
        return pd.read_csv(self.table, sep="\t", dtype=str, keep_default_na=False)

    def write(self, rows: pd.DataFrame) -> None:
        rows.to_csv(self.table, sep="\t", index=False)

    def edit(self, column: str, value: str, row: int = 0) -> None:
        rows = self.rows()
        rows.loc[row, column] = value
        self.write(rows)

    def rated(self) -> int:
        """The number of scans that several raters have marked."""
        return int(self.rows()["lesion_mask"].str.contains(";").sum())

    def file(self, column: str, row: int = 0) -> Path:
        return self.cohort / self.rows().loc[row, column].split(";")[0]

    def methods(self, task: str = "") -> int:
        """The number of methods, or of those of a task."""
        return sum(task in ("", *METHODS[name].tasks) for name in self.config["methods"])

    @contextmanager
    def changed(self, change: Callable[["Study"], None]):
        """A change of the cohort or of a rater's decisions; at the end all is as it was."""
        kept = self.cohort.with_name("kept")
        shutil.copytree(self.cohort, kept)
        try:
            change(self)
            yield
        finally:
            shutil.rmtree(self.cohort)
            kept.rename(self.cohort)
            self.decisions.unlink(missing_ok=True)

    @property
    def decisions(self) -> Path:
        return self.results / "quality/decisions.tsv"

    def decide(self, decision: str) -> None:
        scan = pd.read_csv(self.results / "cohort.tsv", sep="\t")["scan"][0]
        self.decisions.write_text(f"scan\tdecision\treason\n{scan}\t{decision}\tn/a\n")


def shift(path: Path) -> None:
    """Move what a NIfTI file shows by a voxel, as a correction would."""
    image = nib.load(path)
    data = np.roll(np.asarray(image.dataobj), 1, 0)
    nib.save(nib.Nifti1Image(data, image.affine, image.header), path)


def shift_and_date_back(path: Path) -> None:
    """As a corrected file that is copied with an older time."""
    shift(path)
    os.utime(path, (1e9, 1e9))


def add_brain_mask(study: Study) -> None:
    image = nib.load(study.file("flair"))
    inside = np.asarray(image.dataobj) > np.percentile(image.dataobj, 60)
    path = study.cohort / "brain.nii.gz"
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), image.affine), path)
    study.write(study.rows().assign(brain_mask=["brain.nii.gz", *[""] * (len(study.rows()) - 1)]))


def add_new_scan(study: Study) -> None:
    shutil.copy(study.file("flair", 1), study.cohort / "new.nii.gz")
    row = {"subject": "NEW", "flair": "new.nii.gz", "stripped": "no", "bias_corrected": "no"}
    study.write(pd.concat([study.rows(), pd.DataFrame([row])]).fillna(""))


def move_cohort(study: Study) -> None:
    """The files to another folder, the table pointing there."""
    elsewhere = study.cohort / "elsewhere"
    elsewhere.mkdir()
    for path in [each for each in study.cohort.iterdir() if each.name.startswith("sub-")]:
        path.rename(elsewhere / path.name)
    rows = study.rows()
    for column in ("flair", "lesion_mask"):
        rows[column] = [
            ";".join(f"elsewhere/{each}" if each else "" for each in cell.split(";"))
            for cell in rows[column]
        ]
    study.write(rows)


def of_mask(study: Study) -> dict[str, int]:
    """A mask of one scan: the fold that tests it is evaluated, the other one trained."""
    segment, all_methods = study.methods("segmentation"), study.methods()
    return {
        **CHECKED,
        **{"check_scan": 1, "combine_raters": 1, "resize_lesion": 1, "draw_quality": 1},
        "compare_raters": 1,
        **{"list_part": 2, "list_manifest": 1, "split_folds": 1},
        **{"train_fold": segment, "predict_fold": segment, "evaluate_fold": segment + all_methods},
    }


def of_head(study: Study, checks: int = 1, raters: int = 1) -> dict[str, int]:
    """The head of one scan: one fold is trained on it, and both are predicted."""
    both = 2 * study.methods()
    return {
        **LISTED,
        **STRIPPED,
        **({"check_scan": checks} if checks else {}),
        **(dict.fromkeys(("combine_raters", "compare_raters"), raters) if raters else {}),
        **{"list_part": 4, "train_fold": study.methods()},
        **{"predict_fold": both, "evaluate_fold": both},
    }


def of_all(study: Study, *rules: str, images: bool = True, lesions: bool = True) -> dict[str, int]:
    """Steps of every scan, and all that follows in both folds."""
    scans, both = len(study.rows()), 2 * study.methods()
    trained = both if images else 2 * study.methods("segmentation")
    parts = 8 if images and lesions else 6 if images else 4
    return {
        **dict.fromkeys((*rules, "draw_quality"), scans),
        **{"list_part": parts, "list_manifest": 1, "train_fold": trained},
        **{"predict_fold": trained, "evaluate_fold": both},
    }


def of_folds(study: Study) -> dict[str, int]:
    """Other folds, or another class of a subject: every list of a fold, and so all that learns."""
    both = 2 * study.methods()
    return (
        LISTED
        | {"list_part": 8, "train_fold": both, "predict_fold": both}
        | {"evaluate_fold": both}
    )


def nothing(_: Study) -> dict[str, int]:
    return {}


def listed(_: Study) -> dict[str, int]:
    return dict(LISTED)


HEAD = ("strip_skull", "correct_bias", "crop_background", "resize_scan", "zscore_scan")
# what the first and second of these make is not kept, so that the last needs both again
MODEL_SPACE = HEAD[2:]
LESION = ("resize_lesion",)
Expected = Callable[[Study], dict[str, int]]
DATA: dict[str, tuple[Callable[[Study], None], Expected]] = {
    "mask": (lambda study: shift(study.file("lesion_mask")), of_mask),
    "mask, older": (lambda study: shift_and_date_back(study.file("lesion_mask")), of_mask),
    "FLAIR": (lambda study: shift(study.file("flair")), of_head),
    "FLAIR, older": (lambda study: shift_and_date_back(study.file("flair")), of_head),
    "FLAIR touched": (lambda study: study.file("flair").touch(), nothing),
    "mask touched": (lambda study: study.file("lesion_mask").touch(), nothing),
    "table touched": (lambda study: study.table.touch(), nothing),
    "brain mask": (add_brain_mask, lambda study: of_head(study, raters=0)),
    "unlabelled row added": (
        add_new_scan,
        lambda _: LISTED | {**STRIPPED, "check_scan": 1, "resize_lesion": 0},
    ),
    "row removed": (
        lambda study: study.write(study.rows().drop(index=0)),
        of_folds,
    ),
    "subject": (
        lambda study: study.edit("subject", "MS99"),
        lambda study: (
            of_folds(study) | STRIPPED | {"check_scan": 1, "combine_raters": 1, "compare_raters": 1}
        ),
    ),
    "diagnosis": (
        lambda study: study.write(
            study.rows().assign(diagnosis=lambda rows: rows["diagnosis"][::-1].to_numpy())
        ),
        of_folds,
    ),
    "bias_corrected": (
        lambda study: study.edit("bias_corrected", "yes"),
        lambda study: {
            rule: count
            for rule, count in of_head(study, checks=0, raters=0).items()
            if rule != "strip_skull"
        },
    ),
    "stripped": (
        lambda study: study.edit("stripped", "yes"),
        lambda study: of_head(study, raters=0),
    ),
    "site": (lambda study: study.edit("site", "corrected"), listed),
    "keep saved": (lambda study: study.decide("keep"), listed),
    "exclude saved": (lambda study: study.decide("exclude"), of_folds),
    "cohort moved": (
        move_cohort,
        lambda study: (
            of_all(study, "check_scan", "combine_raters", *HEAD, *LESION)
            | LISTED
            | {"compare_raters": study.rated()}
        ),
    ),
}
"""Of each change of the data: how it is made, and the jobs that it must plan, alone."""

CONFIG: dict[str, tuple[dict, Expected]] = {
    "lesion_masks.combine": (
        {"lesion_masks": {"combine": "union"}},
        lambda study: of_all(study, "combine_raters", *LESION, images=False),
    ),
    "lesion_masks.labels": (
        {"lesion_masks": {"labels": "any"}},
        lambda study: (
            of_all(study, "check_scan", "combine_raters", *LESION, images=False)
            | LISTED
            | {"compare_raters": study.rated()}
        ),
    ),
    "skull_strip": (
        {"skull_strip": {"frac": 0.3}},
        lambda study: of_all(study, *HEAD, *LESION),
    ),
    "n4": ({"n4": {"shrink": 2}}, lambda study: of_all(study, *HEAD[1:], *LESION)),
    "resize": (
        {"resize": {"mask": "nearest"}},
        lambda study: of_all(study, *MODEL_SPACE, *LESION),
    ),
    "zscore": (
        {"zscore": {"over": "whole_volume"}},
        lambda study: of_all(study, *MODEL_SPACE, *LESION),
    ),
    "folds.only": ({"folds": {"only": [0]}}, nothing),
    "seed": (
        {"seed": 7},
        lambda study: {
            rule: count
            for rule, count in of_folds(study).items()
            if rule not in (*CHECKED, "list_manifest")
        },
    ),
    "train": (
        {"train": {"epochs": 2}},
        lambda study: dict.fromkeys(
            ("train_fold", "predict_fold", "evaluate_fold"), 2 * (study.methods() - 1)
        ),
    ),
    "loss": (
        {"loss": {"cross": 0.5}},
        lambda study: dict.fromkeys(
            ("train_fold", "predict_fold", "evaluate_fold"),
            2 * sum(len(METHODS[name].tasks) == 2 for name in study.config["methods"]),
        ),
    ),
    "predict": (
        {"predict": {"threshold": 0.4}},
        lambda study: dict.fromkeys(("predict_fold", "evaluate_fold"), 2 * study.methods()),
    ),
    "metrics.smallest_lesion_mm3": (
        {"metrics": {"smallest_lesion_mm3": 50.0}},
        lambda study: {"evaluate_fold": 2 * study.methods(), "compare_raters": study.rated()},
    ),
    "metrics.lesion_sizes_ml": ({"metrics": {"lesion_sizes_ml": [0.2, 2.0]}}, nothing),
    "statistics": ({"statistics": {"replicates": 300}}, nothing),
    "bundle": ({"bundle": {"certain_from": 0.8}}, nothing),
    "compute.device": ({"compute": {"device": "auto"}}, nothing),
    "compute.threads": ({"compute": {"threads": 2}}, nothing),
    "compute, how networks are trained": (
        {
            "compute": {
                "folds_per_gpu": 3,
                "checkpoint_minutes": 9,
                "held_scans": "float16",
                "compile": True,
                "gradient_checkpointing": True,
            }
        },
        nothing,
    ),
    "on_bad_scan": (
        {"on_bad_scan": "exclude"},
        lambda _: {"accept_cohort": 1, "list_manifest": 1, "split_folds": 1},
    ),
}
"""Of each change of the config: what is changed in it, and the jobs that it must plan, alone."""


def planned(output: str) -> dict[str, int]:
    """The jobs that a dry run plans, but what only shows results."""
    counts = jobs(output)
    return {rule: count for rule, count in counts.items() if rule not in SHOWN and rule != "total"}


def expected(jobs_of: Expected, study: Study) -> dict[str, int]:
    return {rule: count for rule, count in jobs_of(study).items() if count}


def together(alone: dict[str, int]) -> dict[str, int]:
    """The jobs when a row is edited as well (its site): those, and what reads the table."""
    return alone | LISTED


def merged(config: Mapping, change: Mapping) -> dict:
    """A config with sections changed in part."""
    content = json.loads(json.dumps(config))
    for key, value in change.items():
        content[key] = content.get(key, {}) | value if isinstance(value, dict) else value
    return content
