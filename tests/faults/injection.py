"""Faults that are let loose in one job of a run, at a chosen moment of its writing."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

MOMENTS = ("before", "written", "renamed")
# Every file of ours is written through these functions. In the copy they do, once, what the
# environment says, if the job is the one that it names. They are there from the start, so that the
# digests of the code, which rerun rules, do not change.
HOOK = """

_atomic_path, _flush_to_disk = atomic_path, flush_to_disk


@contextlib.contextmanager
def atomic_path(path):
    _disturb("before", path)
    with _atomic_path(path) as temporary:
        yield temporary
    _disturb("renamed", path)


def flush_to_disk(path):
    _disturb("written", path)
    _flush_to_disk(path)


def _disturb(moment, path):
    import subprocess
    import sys

    main = sys.modules["__main__"].__spec__
    module = main and main.name.removesuffix(".__main__")
    for fault in json.loads(os.environ.get("FAULTS", "[]")):
        aimed = (module, moment) == (fault["module"], fault["moment"])
        outputs = [
            value
            for option, value in zip(sys.argv, sys.argv[1:])
            if option.startswith("--out") or option in ("--scan", "--site", "--folder")
        ]
        if aimed and any(output.endswith(fault["output"]) for output in outputs):
            with contextlib.suppress(FileExistsError):
                Path(fault["mark"]).touch(exist_ok=False)
                subprocess.run(
                    fault["command"], shell=True, check=True, env=os.environ | {"FILE": str(path)}
                )
"""
# the file that is being written loses its second half
KILL = 'truncate --size=$(($(stat --format=%s "$FILE") / 2)) "$FILE"; kill -9 $PPID'
KILL_AFTER = "kill -9 $PPID"


@dataclass(frozen=True)
class Fault:
    """A shell command that one job runs once.

    Parameters
    ----------
    module : str
        That the job runs.
    output : str
        How an output, or what else the job is told to make, ends for this job and for no other that
        runs the module.
    moment : {"before", "written", "renamed"}
        Before a file is opened, when it is written under its temporary name, when it is in place.
    command : str
        FILE is the file's name at this moment; the parent process is the job's.
    """

    module: str
    output: str
    moment: str
    command: str
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def told(self, marks: Path) -> dict[str, str]:
        """Return what the hook is told."""
        return {
            "module": self.module,
            "output": self.output,
            "moment": self.moment,
            "command": self.command,
            "mark": str(marks / self.name),
        }


@dataclass(frozen=True)
class Aim:
    """How one job of a rule is made to run, and is met.

    Parameters
    ----------
    module : str
        That the rule runs.
    lost : str
        A file or folder of the results whose loss makes the rule run.
    output : str
        One that the job makes; `lost` by default.
    spare : str
        What the job would take its outputs from, without making them.
    """

    module: str
    lost: str
    output: str = ""
    spare: str = ""

    def fault(self, moment: str, command: str) -> Fault:
        return Fault(f"msnmo.{self.module}", self.output or self.lost, moment, command)

    def lose(self, results: Path) -> Path:
        """Remove what makes the rule run from the results; return it."""
        if self.spare:
            remove(results / self.spare)
        remove(results / self.lost)
        return results / self.lost


ANAT = "derivatives/sub-MS01/anat/sub-MS01"
# without diagnosis and mask, so that the folds trained here are applied to it
NEW = "derivatives/sub-NMOSD03/anat/sub-NMOSD03"
MODEL_SPACE = f"{ANAT}_space-model_desc-zscore_FLAIR.nii.gz"
AIMS = {
    "check_scan": Aim("check.check_scan", "check/sub-MS01/sub-MS01.json"),
    "list_findings": Aim("check", "check/findings.tsv"),
    "accept_cohort": Aim("check.accept", "cohort.tsv"),
    "judge_cohort": Aim("check.verdict", "check/verdict.txt"),
    "combine_raters": Aim("preprocess.raters", f"{ANAT}_desc-lesion_mask.nii.gz"),
    "strip_skull": Aim("preprocess.skullstrip", f"{ANAT}_desc-brain_mask.nii.gz"),
    "correct_bias": Aim("preprocess.n4", f"{ANAT}_desc-n4_FLAIR.nii.gz"),
    # their outputs live for the next rule alone: they run for that of the last
    "crop_background": Aim("preprocess.crop", MODEL_SPACE, f"{ANAT}_desc-crop_FLAIR.nii.gz"),
    "resize_scan": Aim(
        "preprocess.resize", MODEL_SPACE, f"{ANAT}_space-model_desc-resize_FLAIR.nii.gz"
    ),
    "zscore_scan": Aim("preprocess.zscore", MODEL_SPACE),
    "resize_lesion": Aim("preprocess.lesion_mask", f"{ANAT}_space-model_desc-lesion_mask.nii.gz"),
    "draw_quality": Aim("quality", "quality/sub-MS01/sub-MS01.json"),
    "list_quality": Aim("quality.overview", "quality/index.html"),
    "list_manifest": Aim("cohort.manifest", "manifest.tsv"),
    "split_folds": Aim("cohort.folds", "folds.tsv"),
    "list_part": Aim("cohort.parts", "folds/fold-1/truth.tsv"),
    "train_fold": Aim(
        "train", "models/joint/fold-1/weights.safetensors", spare="models/joint/fold-1/.kept"
    ),
    "predict_fold": Aim("predict.fold", "predictions/joint/fold-1"),
    "evaluate_fold": Aim("evaluate", "metrics/joint/fold-1.tsv"),
    "aggregate_metrics": Aim("evaluate.aggregate", "metrics/table-9.tsv"),
    "compare_methods": Aim("evaluate.statistics", "statistics/table-9.tsv"),
    "list_statistics": Aim("evaluate.statistics", "tables/statistics.tsv"),
    "describe_cohort": Aim("tables", "tables/table-1.tex"),
    "write_table": Aim("tables", "tables/table-9.tex"),
    "calibrate_classes": Aim("evaluate.calibration", "tables/calibration.tsv"),
    "list_complexity": Aim("evaluate.complexity", "tables/complexity.tsv"),
    "map_gradcam": Aim("predict.gradcam", "gradcam/fold-1"),
    "measure_maps": Aim("evaluate.localisation", "localisation/joint/fold-1.tsv"),
    "measure_untrained_maps": Aim("evaluate.localisation", "localisation/untrained-fold-1.tsv"),
    "judge_maps": Aim("evaluate.statistics.maps", "localisation/joint.tsv"),
    "write_map_table": Aim("tables", "tables/table-S2.tex"),
    "judge_site_alone": Aim("evaluate.statistics.site_alone", "statistics/site-alone.tsv"),
    "compare_sites": Aim("evaluate.statistics.sites", "statistics/sites.tsv"),
    "write_site_table": Aim("tables", "tables/table-S3.tex"),
    "measure_lesions": Aim("evaluate.lesion_sizes", "lesions/joint/fold-1.tsv"),
    "compare_raters": Aim("evaluate.raters", "raters/sub-MS01/sub-MS01.tsv"),
    "describe_lesions": Aim("evaluate.statistics.lesions", "statistics/table-S5.tsv"),
    "write_lesion_table": Aim("tables", "tables/table-S5.tex"),
    "fill_lesions": Aim(
        "predict.fill", "shortcuts/filled/sub-MS01/sub-MS01_space-model_desc-filled_FLAIR.nii.gz"
    ),
    "predict_filled": Aim("predict.filled", "shortcuts/joint/fold-1.tsv"),
    "measure_features": Aim("evaluate.image_features", "shortcuts/features/sub-MS01/sub-MS01.json"),
    "classify_features": Aim("evaluate.feature_classifier", "shortcuts/by-features.tsv"),
    "judge_shortcuts": Aim("evaluate.statistics.shortcuts", "shortcuts/joint.tsv"),
    "write_shortcut_table": Aim("tables", "tables/table-S6.tex"),
    "draw_figure": Aim("figures", "figures/figure-8.svg"),
    "draw_pathway": Aim("figures.pathway", "figures/pathway.png"),
    "list_tables_of_pages": Aim("report.made_of", "report/made_of.json"),
    "write_scan_page": Aim("report.scan_page", "report/scans/sub-MS01.html", "sub-MS01"),
    "write_report": Aim("report", "report/provenance.html", "report"),
    "make_bundle": Aim("bundle", "bundle"),
    "map_regions": Aim("apply.location", f"{NEW}_desc-regions_dseg.nii.gz"),
    "apply_bundle": Aim("apply.apply_bundle", "applied/sub-NMOSD03/anat"),
    "draw_applied": Aim("apply.pages", "applied/report/scans/sub-NMOSD03.html", "NMOSD03"),
    "list_applied": Aim("apply.listing", "applied/predictions.tsv", "applied"),
}
"""For each rule that runs a module of ours, one of its jobs."""


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        for each in sorted(path.rglob("*"), reverse=True):
            each.rmdir() if each.is_dir() else each.unlink()
        path.rmdir()
    else:
        path.unlink()
