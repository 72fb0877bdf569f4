"""What the jobs of a real run import and read of the package, told by the jobs themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from msnmo.preprocess.steps import STEPS
from msnmo.viewing.assets import NAMES
from msnmo.workflow.code_version import code_version, file_digest
from msnmo.workflow.meaning import DATA_ENDINGS

STEP = r'command\("(\w+)"\)'

# every Python that a job starts runs this first, because the copy's src is on its path
RECORDER = """
import atexit
import json
import os
import sys
import uuid
from pathlib import Path

SOURCE = Path(__file__).parent
opened = set()


def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str | os.PathLike):
        opened.add(os.fspath(arguments[0]))


def record():
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = {str(file) for file in [*files, *opened] if str(file).startswith(f"{SOURCE}/msnmo/")}
    told = {
        "by": os.environ["IMPORTED_BY"],
        "command": sys.orig_argv,
        "files": sorted(file for file in files if "__pycache__" not in file),
    }
    path = SOURCE.parent / "imports" / f"{uuid.uuid4().hex}.json"
    path.write_text(json.dumps(told), encoding="utf-8")


if "IMPORTED_BY" in os.environ and "-m" in sys.orig_argv:
    sys.addaudithook(note)
    atexit.register(record)
"""


@dataclass(frozen=True)
class Job:
    """What one process of a rule's job was.

    Parameters
    ----------
    rule : str
    version : str
        Of the code, by the rule's params; empty where the rule has none.
    module : str
        Dotted name of what it ran.
    files : frozenset of Path
        The modules that it imported and the data files that it opened.
    """

    rule: str
    version: str
    module: str
    files: frozenset[Path]


def record_imports(clone: Path) -> None:
    """Make the jobs of a copy of the workflow tell what they import."""
    (clone / "imports").mkdir()
    (clone / "src/sitecustomize.py").write_text(RECORDER, encoding="utf-8")
    for path in (clone / "workflow/rules").glob("*.smk"):
        path.write_text("".join(map(_with_name, split_rules(path))), encoding="utf-8")


def _with_name(rule: str) -> str:
    if not rule.startswith(("rule ", "checkpoint ")):
        return rule
    version = "{params.code}" if re.search(r"^        code=", rule, re.MULTILINE) else ""
    started = f"IMPORTED_BY={{rule}}:{version} python -m msnmo"
    if re.search(STEP, rule):
        return re.sub(STEP, rf'command("\1").replace("python -m msnmo", "{started}")', rule)
    return rule.replace("python -m msnmo", started)


def modules_of_rules(clone: Path) -> dict[str, str]:
    """Return the module of ours that each rule of a copy runs, where it runs one."""
    files = (clone / "workflow/rules").glob("*.smk")
    rules = [rule for path in files for rule in split_rules(path)]
    return {rule.split()[1].rstrip(":"): module for rule in rules if (module := _module(rule))}


def _module(rule: str) -> str:
    """Return the module that a rule's command runs; a step's stands in the list of steps."""
    if step := re.search(STEP, rule):
        return f"msnmo.{STEPS[step[1]].module}"
    module = re.search(r"python -m (msnmo[\w.]*)", rule)
    return module[1] if module and rule.startswith(("rule ", "checkpoint ")) else ""


def split_rules(path: Path) -> list[str]:
    """Return the text of each rule of a file, after what stands before the first."""
    text = path.read_text(encoding="utf-8")
    return re.split(r"^(?=rule |checkpoint )", text, flags=re.MULTILINE)


def read_jobs(clone: Path) -> list[Job]:
    """Return what the jobs of a copy told."""
    jobs = []
    for path in (clone / "imports").glob("*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        rule, _, version = told["by"].partition(":")
        command = told["command"]
        module = command[command.index("-m") + 1]
        jobs.append(Job(rule, version, module, frozenset(map(Path, told["files"]))))
    return jobs


def names_of(files: frozenset[Path], source: Path) -> tuple[str, ...]:
    """Return the dotted names of those of the files that are modules."""
    parts = [
        path.relative_to(source).with_suffix("").parts for path in files if path.suffix == ".py"
    ]
    return tuple(sorted(".".join(part for part in each if part != "__init__") for each in parts))


STARTED = "started"
# trainings are kept whatever their code: nights are long
UNVERSIONED = {"train_fold"}
# rules of a target of their own, which the run does not ask for (test_robustness)
OF_OTHER_TARGETS = {
    *("perturb_scan", "predict_perturbed", "judge_robustness"),
    *("write_robustness_table", "draw_robustness"),
}
# rules that the run may have no job of: each is started and asked for its help
MAY_NOT_RUN = {
    *("judge_cohort", "map_regions", "refuse_overlap", "evaluate_applied"),
}
# files that rules rerun for although no job of the run needed them
CAN_NEED = {
    # engines that the run does not choose
    "preprocess/skullstrip/fsl.py": {"strip_skull"},
    "preprocess/skullstrip/hdbet.py": {"strip_skull"},
    # read by functions of modules that these import for others
    "tables/reported_results.csv": {
        *("describe_cohort", "make_bundle", "write_map_table", "write_report", "evaluate_applied"),
        *("write_lesion_table", "write_shortcut_table", "write_site_table"),
    },
    **{f"viewing/assets/{name}": {"draw_applied", "evaluate_applied"} for name in NAMES},
    # of a rule that the run has no job of
    **{f"viewing/{name}.html.jinja": {"evaluate_applied"} for name in ("base", "parts")},
    **{f"tables/table.{form}.jinja": {"evaluate_applied"} for form in ("html", "md", "tex")},
    "apply/evaluation.html.jinja": {"evaluate_applied"},
    # which template of its folder is filled is not known before
    "viewing/listing.html.jinja": {
        *("draw_applied", "write_report", "write_scan_page", "evaluate_applied"),
    },
    "viewing/scan.html.jinja": {"list_applied", "write_report", "evaluate_applied"},
}


def jobs_of_all_rules(clone: Path) -> list[Job]:
    """Return what the jobs of a copy told, with a start of each rule that the run has no job of."""
    source = clone / "src"
    modules = modules_of_rules(clone)
    without_job = modules.keys() - {job.rule for job in read_jobs(clone)} - OF_OTHER_TARGETS
    assert without_job <= MAY_NOT_RUN
    for rule in without_job:
        environment = os.environ | {"PYTHONPATH": str(source), "IMPORTED_BY": f"{rule}:{STARTED}"}
        command = [sys.executable, "-m", modules[rule], "--help"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    return [job for job in read_jobs(clone) if job.rule not in UNVERSIONED]


def assert_versions_follow_imports(clone: Path) -> None:
    """Assert that a change of each file in turn reruns the rules that import it, and no other."""
    source = clone / "src"
    runs: dict[tuple[str, str, tuple[str, ...]], str] = {}
    imported: dict[Path, set[str]] = defaultdict(set)
    for job in jobs_of_all_rules(clone):
        chosen = names_of(job.files, source)
        version = code_version(job.module, source, chosen)
        assert job.version in (version, STARTED), job.rule
        runs[job.rule, job.module, chosen] = version
        for file in job.files:
            imported[file].add(job.rule)
    wrong = {}
    for file in files_of_package(source):
        name = file.relative_to(source / "msnmo").as_posix()
        rerun = rules_rerun_by(file, runs, source)
        if stale := imported[file] - rerun:
            wrong[f"{name} changes without"] = sorted(stale)
        if wasted := rerun - imported[file] - CAN_NEED.get(name, set()):
            wrong[f"{name} reruns for nothing"] = sorted(wasted)
    assert wrong == {}, wrong


def files_of_package(source: Path) -> list[Path]:
    """Return the modules and the data files of the package."""
    files = sorted(path for path in (source / "msnmo").rglob("*") if path.is_file())
    return [path for path in files if path.name.endswith((".py", *DATA_ENDINGS))]


def rules_rerun_by(
    file: Path, runs: Mapping[tuple[str, str, tuple[str, ...]], str], source: Path
) -> set[str]:
    """Return the rules whose version is another when what a file means is another."""

    def digest(path: Path, source: Path) -> str:
        return "another" if path == file else file_digest(path, source)

    with mock.patch("msnmo.workflow.code_version.file_digest", digest):
        return {
            rule
            for (rule, module, chosen), version in runs.items()
            if code_version.__wrapped__(module, source, chosen) != version
        }
