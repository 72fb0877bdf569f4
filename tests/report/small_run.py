"""The results of a small run, as the workflow leaves them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from msnmo.core.files import write_json, write_tsv
from msnmo.core.geometry import Crop, ModelSpace, Resize
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.evaluate.metrics import TABLE_METRICS
from msnmo.report import __main__ as site_module
from msnmo.report import scan_page as scan_module
from msnmo.settings.methods import METHODS
from msnmo.settings.training import Settings
from msnmo.tables.compare import ComparedCell, ComparedRow, Ours, Sureness
from msnmo.tables.content import page
from msnmo.tables.layout import lay_out
from msnmo.tables.model import Block, Line, Page, Panel, Text, write_page
from msnmo.tables.render import to_tex
from msnmo.viewing.slices import save
from tests.measured import with_folds

SHAPE = (40, 48, 24)
# left-handed, oblique, slices thicker than wide
AFFINE = np.array(
    [[-1.9, 0.1, 0.0, 40.0], [0.1, 1.8, -0.2, -44.0], [0.0, 0.15, 3.1, -30.0], [0, 0, 0, 1.0]]
)
BRAIN, LESION = (20, 24, 12), (24, 28, 13)
"""Voxels in the middle of each."""
GRID = Grid.from_affine(SHAPE, AFFINE)
SCANS = {
    "sub-M1_ses-1": "MS",
    "sub-M1_ses-2": "MS",
    "sub-M2": "MS",
    "sub-N1": "NMOSD",
    "sub-N2": "NMOSD",
    "sub-X1": None,  # no diagnosis, no mask: only preprocessed
}
WITHOUT_LESION = "sub-M2"
HOSTILE = '"><script>alert(1)</script>'


@dataclass(frozen=True)
class Run:
    """The results of a run: their folder, methods, and the folds that were evaluated."""

    folder: Path
    methods: tuple[str, ...]
    folds: tuple[int, ...]

    @property
    def site(self) -> Path:
        """Folder of the report."""
        return self.folder / "report"

    def options(self, site: Path | None = None) -> list[str]:
        """Return the options that both commands take."""
        named = {
            "cohort": "cohort.tsv",
            "manifest": "manifest.tsv",
            "quality": "quality/quality.tsv",
            "folds": "folds.tsv",
            "metrics": "metrics/all.tsv",
        }
        options = [f"--{name}={self.folder / path}" for name, path in named.items()]
        judged = ["--localisation", *map(str, self.folder.glob("localisation/*.tsv"))]
        return [*options, f"--site={site or self.site}", "--methods", *self.methods, *judged]

    def write_scan(self, scan: str, site: Path | None = None, *more: str) -> None:
        """Write a scan's page as the workflow does."""
        pattern = f"{self.folder}/predictions/{{method}}/fold-{{fold}}"
        arguments = [
            f"--scan={scan}",
            f"--predictions={pattern}",
            f"--quality-page={self.folder / 'quality/index.html'}",
            f"--check-page={self.folder / 'check/findings.html'}",
            *self.options(site),
            *more,
        ]
        scan_module.main(arguments)

    def write_site(self, site: Path | None = None, **changed: Sequence[str]) -> None:
        """Write all other pages."""
        folder = self.folder
        several = {
            "tables": sorted(map(str, (folder / "tables").glob("*"))),
            "figures": sorted(map(str, (folder / "figures").glob("*"))),
            "evaluated": [str(fold) for fold in self.folds],
        } | changed
        model = f"{folder}/models/{{method}}/fold-{{fold}}"
        arguments = [
            *(part for name, values in several.items() for part in (f"--{name}", *values)),
            f"--excluded={folder / 'excluded.tsv'}",
            f"--runs={model}/run.json",
            f"--predictions={folder}/predictions/{{method}}/fold-{{fold}}",
            f"--histories={model}/history.tsv",
            f"--sidecars={folder}/derivatives/{{folder}}/{{scan}}_brain.json",
            f"--bias-sidecars={folder}/derivatives/{{folder}}/{{scan}}_n4.json",
            f"--benchmarks={folder / 'benchmarks'}",
            '--config={"seed": 1, "scans": "é <b>.tsv"}',
            *self.options(site),
        ]
        site_module.main(arguments)

    def write(self, site: Path | None = None) -> Path:
        """Write the whole report and return its folder."""
        for scan in SCANS:
            self.write_scan(scan, site)
        self.write_site(site)
        return site or self.site


def make_run(
    folder: Path,
    methods: tuple[str, ...] = ("joint", "unet", "resnet50"),
    folds: tuple[int, ...] = (0, 1),
    figures: tuple[str, ...] = ("figure-8", "training-curves", "pathway"),
) -> Run:
    """Write the results of a run."""
    generator = np.random.default_rng(5)
    space = _space()
    cohort = [_write_scan(folder, generator, scan, space) for scan in SCANS]
    _write_tables_of_scans(folder, cohort)
    _write_pages_beside(folder)
    run = Run(folder, methods, folds)
    tested = {scan: place % 2 for place, scan in enumerate(SCANS) if SCANS[scan]}
    for method in methods:
        for fold in folds:
            scans = [scan for scan, of in tested.items() if of == fold]
            place = folder / f"predictions/{method}/fold-{fold}"
            _write_predictions(place, generator, method, scans, space)
            _write_training(folder, method, fold)
    write_tsv(folder / "metrics/all.tsv", _metrics(generator, methods, tested, folds))
    _write_results(folder, methods, figures)
    if "joint" in methods:
        judge_maps(folder, 0.51, 0.46, 0.57)
    return run


def judge_maps(folder: Path, auroc: float, low: float, high: float) -> None:
    """Write what is read of whether the joint model's maps find lesions."""
    numbers = {"mean": auroc, "ci_low": low, "ci_high": high, "confidence": 0.95}
    counts = {"n_scans": 5, "n_undefined_scans": 1, "n_subjects": 3}
    row = {"method": "joint", "map": "cam", "metric": "auroc", **numbers, **counts}
    write_tsv(folder / "localisation/joint.tsv", pd.DataFrame([row]))


def _space() -> ModelSpace:
    brain = _ball(BRAIN, 10)
    crop = Crop.around(brain, GRID)
    return ModelSpace(crop, Resize.fit(crop.shape, crop.grid.voxel_mm, (16, 16, 16), "stretch"))


def _ball(centre: tuple[int, int, int], radius: float) -> np.ndarray:
    offsets = np.indices(SHAPE) - np.array(centre)[:, None, None, None]
    return ((offsets * GRID.voxel_mm[:, None, None, None]) ** 2).sum(axis=0) < (2 * radius) ** 2


def _write_scan(
    folder: Path, generator: np.random.Generator, scan: str, space: ModelSpace
) -> dict[str, object]:
    place = folder / f"derivatives/{scan.replace('_', '/')}"
    brain = _ball(BRAIN, 10)
    lesion = _ball(LESION, 3) if scan != WITHOUT_LESION else np.zeros(SHAPE, bool)
    image = 60 + 200 * brain + 150 * lesion + generator.normal(0, 12, SHAPE)
    save_volume(place / f"{scan}_FLAIR.nii.gz", image, GRID)
    save_volume(place / f"{scan}_brain.nii.gz", brain, GRID, np.uint8)
    save_volume(place / f"{scan}_lesion.nii.gz", lesion, GRID, np.uint8)
    engine = {"engine": "surface", "version": "1", "settings": {"frac": 0.4, "b_t": 1.5}}
    write_json(place / f"{scan}_brain.json", {"skullstrip": engine})
    n4 = {"method": "N4, antspyx 0.6.3", "shrink": 4, "iterations": [50, 50], "tolerance": 1e-7}
    write_json(place / f"{scan}_n4.json", {"bias_correction": n4})
    model = {"resize": {"mode": "stretch"}, "zscore": {"over": "brain"}}
    write_json(place / f"{scan}_space.json", {"geometry": space.to_json(), **model})
    subject, _, session = scan.removeprefix("sub-").partition("_ses-")
    known = SCANS[scan] is not None
    return {
        "scan": scan,
        "subject": subject,
        "session": session or None,
        "diagnosis": SCANS[scan],
        "flair": str(place / f"{scan}_FLAIR.nii.gz"),
        "site": HOSTILE if known else None,
        "simulated": "no" if known else "yes",
        "sidecar": str(place / f"{scan}_space.json"),
        "native_lesion": str(place / f"{scan}_lesion.nii.gz") if known else None,
        "native_brain": str(place / f"{scan}_brain.nii.gz"),
    }


def _write_tables_of_scans(folder: Path, rows: list[dict[str, object]]) -> None:
    table = pd.DataFrame(rows)
    write_tsv(
        folder / "cohort.tsv",
        table[["scan", "subject", "session", "diagnosis", "flair", "site", "simulated"]],
    )
    write_tsv(folder / "manifest.tsv", table[["scan", "sidecar", "native_lesion", "native_brain"]])
    known = table[table["diagnosis"].notna()].reset_index(drop=True)
    folds = known[["scan", "subject", "diagnosis"]].assign(fold=[n % 2 for n in known.index])
    write_tsv(folder / "folds.tsv", folds)
    flags = ["strong bias" if n == 0 else "" for n in table.index]
    numbers = {"engine": "surface", "brain_ml": 1310.5, "flags": flags}
    write_tsv(folder / "quality/quality.tsv", table[["scan"]].assign(**numbers))
    excluded = pd.DataFrame([("sub-Z9", "rater", HOSTILE)], columns=["scan", "by", "reason"])
    write_tsv(folder / "excluded.tsv", excluded)


def _write_predictions(
    place: Path,
    generator: np.random.Generator,
    method: str,
    scans: list[str],
    space: ModelSpace,
) -> None:
    tasks = METHODS[method].tasks
    for scan in scans:
        if "segmentation" in tasks:
            probability = np.clip(
                _ball((25, 28, 13), 3) * 0.9 + generator.uniform(0, 0.1, SHAPE), 0, 1
            )
            save_volume(place / f"{scan}_desc-lesion_probseg.nii.gz", probability, GRID)
            mask = probability > 0.5
            save_volume(place / f"{scan}_desc-lesion_mask.nii.gz", mask, GRID, np.uint8)
        if method == "joint":
            # high in all of model space, whose corners are no brain
            seen = np.ones(space.model.shape, np.float32)
            seen[8:12, 8:12, 8:12] = 3.0
            stem = f"{scan}_space-model_desc"
            for scale in (1, 2, 3):
                save_volume(place / f"{stem}-localisation{scale}_map.nii.gz", seen, space.model)


def _write_training(folder: Path, method: str, fold: int) -> None:
    place = folder / f"models/{method}/fold-{fold}"
    losses = {"segmentation": 0.5, "classification": 0.2, "cross": np.nan, "lr": 1e-3}
    history = pd.DataFrame({"epoch": [1, 2], "total": [1.5, 0.7], **losses})
    write_tsv(place / "history.tsv", history)
    record = {"method": method, "fold": fold, "seconds": 12.5, "epochs": 2, "parameters": 1000}
    versions = {"python": "3.11.7", "msnmo": "0.1.0", "torch": "2.0", "monai": "1.6.1"}
    record |= {"device_name": "a processor", "versions": versions, "precision": "float32"}
    record |= {"settings": Settings.from_mapping({}, METHODS[method]).to_json(), "start": None}
    record |= {"training_scans": ["sub-M2", "sub-N2"]}
    write_json(place / "run.json", record | {"git": {"commit": "abc", "dirty": True}})


def _metrics(
    generator: np.random.Generator,
    methods: tuple[str, ...],
    tested: dict[str, int],
    folds: tuple[int, ...],
) -> pd.DataFrame:
    rows = []
    for method in methods:
        tasks = METHODS[method].tasks
        for scan, fold in tested.items():
            if fold not in folds:
                continue
            if "segmentation" in tasks:
                dsc = np.nan if scan == WITHOUT_LESION else generator.uniform(0.4, 0.9)
                rows += [(method, fold, 1, scan, "DSC", dsc, "model")]
                rows += [(method, fold, 1, scan, "V_TRUE", 2.5, "native")]
                rows += [(method, fold, 1, scan, "HD95", 4.25, "native")]
            if "classification" in tasks:
                rows += [(method, fold, 1, scan, "P_NMOSD", generator.uniform(), "n/a")]
    return with_folds(rows)


def _write_results(folder: Path, methods: tuple[str, ...], figures: tuple[str, ...]) -> None:
    for number in ("3", "4", "S1"):
        write_page(folder / f"tables/table-{number}.json", _table(number, methods))
        (folder / f"tables/table-{number}.tsv").write_text(f"table\n{number}\n", encoding="utf-8")
        tex = to_tex(_table(number, methods))
        (folder / f"tables/table-{number}.tex").write_text(tex, encoding="utf-8")
    sources = tuple(
        Line(name, (Text(f"{count}", value=count),)) for name, count in {"A": 3, "B": 12}.items()
    )
    panels = (Panel("Ours", ("Samples",), (Block("MS", sources),)),)
    described = Page("1", "MS and NMOSD datasets", "class", "source", panels, ())
    write_page(folder / "tables/table-1.json", described)
    for name in figures:
        figure = Figure((3, 2))
        figure.set_label(f"The caption of {name}: {HOSTILE}")
        save(figure, folder / f"figures/{name}.png")
        if name != "pathway":
            save(figure, folder / f"figures/{name}.svg")
    (folder / "figures").mkdir(exist_ok=True)
    jobs = {"train_fold/joint/fold-0": (90.0, "800.5"), "train_fold/joint/fold-1": (110.0, "820.1")}
    for name, (seconds, memory) in (jobs | {"split_folds": (0.2, "NA")}).items():
        path = folder / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t{memory}\n", encoding="utf-8")


def _write_pages_beside(folder: Path) -> None:
    """Write the pages of a run that the report links to."""
    cards = "".join(f'<article id="{scan}"></article>' for scan in SCANS)
    for name, text in (("quality/index.html", cards), ("check/findings.html", "")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _table(number: str, methods: tuple[str, ...]) -> Page:
    """Return a table of results whose best and worst are known: the first row has most."""
    table = lay_out()[number]
    rows = [
        ComparedRow(
            row.label,
            row.method,
            tuple(
                _compared(metric, row.reported.get(metric), place, row.method in methods)
                for metric in TABLE_METRICS[number]
            ),
        )
        for place, row in enumerate(table.rows)
    ]
    made = page(table, rows, 0.95, "underlined")
    return replace(made, notes=(*made.notes, "Excluded: 1 scan, 1 by the rater."))


def _compared(metric: str, reported: float | None, place: int, run: bool) -> ComparedCell:
    if not run:
        return ComparedCell(metric, "model", None, reported)
    p = (0.04, 0.08, "signed_rank") if place else (math.nan, math.nan, None)
    ours, sure = Ours(90.0 - place, 1.5, math.nan, 2, 0, 1, 5, 0), Sureness(80.0, 95.0, *p, 5, 4)
    return ComparedCell(metric, "model", ours, reported, None if place else 1, sure)
