"""Make a bundle: trained folds, how to preprocess for them, and a card that describes them.

The workflow knows all these files: `snakemake bundle` does it in one line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
import yaml

from msnmo.bundle.contents import (
    CHECKSUMS,
    DESCRIPTION,
    FORMAT,
    NOT_FOR_DIAGNOSIS,
    Certainty,
    check_content,
)
from msnmo.bundle.reference import reference_pass
from msnmo.check.findings import ScanReport
from msnmo.cohort.manifest import COHORT_COLUMNS
from msnmo.cohort.simulated import Simulated
from msnmo.compute.device import prepare
from msnmo.core.arguments import from_half_to_1
from msnmo.core.command import program
from msnmo.core.diagnoses import NO_DIAGNOSIS, diagnoses
from msnmo.core.errors import Finding, InputError, bad_input, run_command
from msnmo.core.files import (
    MAKE_AGAIN,
    PREDICT_AGAIN,
    atomic_folder,
    read_json,
    read_tsv,
    sha256,
    write_json,
    write_text,
)
from msnmo.core.fingerprint import seal
from msnmo.core.names import path_of_scan
from msnmo.core.provenance import git_state, versions
from msnmo.core.templates import templates
from msnmo.core.volumes import load_volume
from msnmo.evaluate.aggregate import across_folds, read_metrics
from msnmo.evaluate.calibration import Fit, deployed_fit
from msnmo.evaluate.inputs import PREDICTION_TABLE, prediction_columns
from msnmo.evaluate.maps import CAM
from msnmo.evaluate.verdict import Verdict, read_verdicts
from msnmo.networks import NETWORK_VERSION
from msnmo.predict.fold import RETRAIN, load_model
from msnmo.settings.methods import Method, get_method
from msnmo.settings.skullstrip import Engine
from msnmo.tables.summary import summarise

CPU = torch.device("cpu")
CARD = "MODEL_CARD.md"
# the steps with settings, copied here: importing their list would count all its modules as code
PREPROCESSING = ("skull_strip", "n4", "resize", "zscore")
DISEASES = {
    "MS": "multiple\nsclerosis (MS)",
    "NMOSD": "neuromyelitis optica spectrum disorder (NMOSD)",
}
"""Labels in full, for the card's first line."""


def describe_fold(run_path: Path, weights: Path, method: str) -> dict[str, Any]:
    """Describe a fold: how it was trained, and only the number of its scans.

    The description includes the network's outputs for a made-up scan, on the CPU.

    Raises
    ------
    InputError
        If the two files do not belong to one training of the method.
    """
    run = read_json(run_path)
    try:
        fold = {key: run[key] for key in ("fold", "seed", "settings", "epochs", "weights_sha256")}
        trained, size = run["method"], run["size"]
        count = len(run["training_scans"])
    except KeyError as error:
        raise bad_input(run_path, "run.json of a training", f"no {error}", MAKE_AGAIN) from error
    if trained != method:
        raise bad_input(run_path, f"a training of method {method}", f"of {trained}", MAKE_AGAIN)
    if not weights.is_file() or sha256(weights) != fold["weights_sha256"]:
        found = "another checksum" if weights.is_file() else "no such file"
        raise bad_input(weights, f"the weights that {run_path} describes", found, MAKE_AGAIN)
    name = f"fold-{fold['fold']}.safetensors"
    return fold | {
        "size": size,
        "training_scans": count,
        "weights": name,
        "reference": _reference(weights, run),
    }


def _reference(weights: Path, run: dict[str, Any]) -> dict[str, list[float]]:
    numbers = reference_pass(load_model(weights, run, CPU))
    if not np.isfinite(np.concatenate(list(numbers.values()))).all():
        raise bad_input(weights, "a network that gives numbers", "NaN or infinity", RETRAIN)
    return numbers


def describe_cohort(cohort: pd.DataFrame, metrics: pd.DataFrame, sidecar: str) -> dict[str, Any]:
    """Describe the scans that the folds learned from, by counts and ranges only.

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, subject, diagnosis, flair, lesion_mask, site, simulated. Scans without a
        lesion mask were not used for training.
    metrics : DataFrame
        Metrics of every fold, with the lesion volume of each scan.
    sidecar : str
        Path of the JSON files beside the brain images, with ``{scan}`` and ``{folder}``.
    """
    learned = cohort[cohort["lesion_mask"].notna()].fillna({"diagnosis": NO_DIAGNOSIS})
    volumes = metrics[(metrics["metric"] == "V_TRUE") & (metrics["scan"] != "n/a")]
    by_scan = volumes.groupby("scan")["value"].first()
    paths = [path_of_scan(sidecar, scan) for scan in learned["scan"]]
    strips = [read_json(path).get("skullstrip", {}) for path in paths]
    classes = [
        {
            "diagnosis": diagnosis,
            "scans": len(rows),
            "subjects": int(rows["subject"].nunique()),
            "sites": int(rows["site"].nunique()),
            "lesion_ml": _median_and_range(by_scan.reindex(rows["scan"]).dropna()),
        }
        for diagnosis in (*diagnoses(), NO_DIAGNOSIS)
        if len(rows := learned[learned["diagnosis"] == diagnosis])
    ]
    return {
        "classes": classes,
        "engines": sorted({each.get("engine", "n/a") for each in strips}),
        "voxel_mm": _voxel_sizes(learned["flair"]),
        "simulated": asdict(Simulated.among(learned)),
    }


def _voxel_sizes(paths: Iterable[str]) -> str:
    sizes = np.concatenate([load_volume(path).grid.voxel_mm for path in paths])
    return f"{sizes.min():.2g} to {sizes.max():.2g}"


def _median_and_range(values: pd.Series) -> str:
    if values.empty:
        return "n/a"
    return f"{values.median():.1f} ({values.min():.1f} to {values.max():.1f})"


def preprocessing_of(config: Mapping[str, Any], engines: Sequence[str]) -> dict[str, Any]:
    """Return the config's preprocessing sections, with the engine that skull-stripped the scans.

    If `auto` chose the same engine for all scans, new scans will use it too.
    """
    sections = {name: dict(config[name]) for name in PREPROCESSING}
    used = [name for name in engines if name in get_args(Engine)]
    if len(used) == 1:
        sections["skull_strip"]["engine"] = used[0]
    return sections


def seal_scans(runs: Iterable[Path], reports: str, salt: str) -> dict[str, Any]:
    """Return seals of all scans that any fold learned from.

    They are sorted, so that their order reveals nothing. Nothing says to whom they belong.

    Parameters
    ----------
    runs : iterable of Path
        run.json of each fold, already checked by `describe_fold`.
    reports : str
        Path of the check's report of a scan, with ``{scan}`` and ``{folder}``. The check has read
        every scan in full.
    salt : str
        Hexadecimal.

    Raises
    ------
    InputError
        Names every report that is missing or has no fingerprint.
    """
    scans = sorted({scan for run in runs for scan in read_json(run)["training_scans"]})
    seals, findings = set(), []
    for path in (path_of_scan(reports, scan) for scan in scans):
        try:
            seals.add(seal(ScanReport.read(path).facts["voxels"], salt))
        except InputError as error:
            findings += error.findings
        except KeyError:
            expected = "the fingerprint of a scan that a fold learned from"
            findings.append(Finding(str(path), expected, "none", MAKE_AGAIN))
    if findings:
        raise InputError(findings)
    return {"salt": salt, "seals": sorted(seals)}


def salt_of(folds: Iterable[Mapping[str, Any]]) -> str:
    """Return a salt of 32 bytes, unique to this bundle, made from the folds' weights.

    It is not a secret. It is not random either, because equal trainings must give equal bundles.
    """
    weights = "".join(fold["weights_sha256"] for fold in folds)
    return hashlib.sha256(f"salt of training seals {weights}".encode()).hexdigest()


def temperature_of(folders: Sequence[Path]) -> Fit:
    """Return the temperature fitted on the held-out predictions of all folds, with its note."""
    tables = [
        read_tsv(folder / PREDICTION_TABLE, prediction_columns(), PREDICT_AGAIN)
        for folder in folders
    ]
    return deployed_fit(pd.concat(tables, ignore_index=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder of a bundle."""
    given = _parse(arguments)
    method = get_method(given.method)
    prepare(CPU, threads=1)
    config = json.loads(given.config)
    folds = _describe_folds(given)
    metrics = pd.concat([read_metrics(path) for path in given.metrics], ignore_index=True)
    cohort = read_tsv(given.cohort, COHORT_COLUMNS | {"flair": str, "site": str})
    cohort["site"] = cohort["site"].fillna("not stated")
    told = describe_cohort(cohort, metrics, given.brain_sidecar)
    scaling = _temperature(given, method.tasks)
    maps = _verdict(given.localisation, method)
    told["combine"] = config["lesion_masks"]["combine"]
    content = {
        "format": FORMAT,
        "network_version": NETWORK_VERSION,
        "warning": NOT_FOR_DIAGNOSIS,
        "method": method.name,
        "labels": {str(label): name for label, name in enumerate(diagnoses())},
        "threshold": config["predict"]["threshold"],
        "temperature": scaling.temperature,
        "temperature_note": scaling.note,
        "certain_from": given.certain_from,
        "uncertain_rule": Certainty(given.certain_from).rule,
        "preprocessing": preprocessing_of(config, told["engines"]),
        "folds": folds,
        "training_cohort": told,
        "training_seals": seal_scans(given.runs, given.check_reports, salt_of(folds)),
        "performance": _performance(metrics),
        "localisation": None if maps is None else maps.to_json(),
        "versions": versions(),
        "git": git_state(),
    }
    check_content(given.out / DESCRIPTION, content)
    card = _card(content, metrics, maps)
    with atomic_folder(given.out) as folder:
        for weights, fold in zip(given.weights, folds, strict=True):
            shutil.copyfile(weights, folder / fold["weights"])
        write_json(folder / DESCRIPTION, content)
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        write_text(folder / "config.yaml", f"# {NOT_FOR_DIAGNOSIS}\n{text}")
        write_text(folder / CARD, card)
        files = sorted(path for path in folder.iterdir())
        sums = "".join(f"{sha256(path)}  {path.name}\n" for path in files)
        write_text(folder / CHECKSUMS, sums)
    print(f"{given.out}: {len(folds)} folds of {method.label}, {_megabytes(given.out):.0f} MB")


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def _describe_folds(given: argparse.Namespace) -> list[dict[str, Any]]:
    folds, findings = [], []
    for run, weights in zip(given.runs, given.weights, strict=True):
        try:
            folds.append(describe_fold(run, weights, given.method))
        except InputError as error:
            findings += error.findings
    sizes = {tuple(fold["size"]) for fold in folds}
    if len(sizes) > 1:
        found = " and ".join("x".join(map(str, size)) for size in sorted(sizes))
        findings.append(Finding("--runs", "folds trained at one size", found, MAKE_AGAIN))
    if findings:
        raise InputError(findings)
    return folds


def _temperature(given: argparse.Namespace, tasks: frozenset[str]) -> Fit:
    if not given.predictions or "classification" not in tasks:
        return Fit(1.0, "probabilities as the networks give them")
    return temperature_of(given.predictions)


def _performance(metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """Return mean and standard deviation over folds of each metric, as JSON types."""
    summary = across_folds(metrics)[["metric", "space", "mean", "sd", "n_folds", "n_scans"]]
    plain = summary.astype(object).where(summary.notna(), None)
    return plain.to_dict(orient="records")


def _verdict(path: Path | None, method: Method) -> Verdict | None:
    """Return whether the method's own maps find lesions; None without a table on it."""
    if path is None:
        return None
    verdicts = read_verdicts(path)
    if (verdict := verdicts.get((method.name, CAM))) is None:
        expected, found = f"the maps of method {method.name}", "none of them"
        raise bad_input(path, expected, found, MAKE_AGAIN)
    return verdict


def _card(content: Mapping[str, Any], metrics: pd.DataFrame, maps: Verdict | None) -> str:
    return (
        templates(__package__)
        .get_template("card.md.jinja")
        .render(
            **dict(content)
            | {
                "method": get_method(content["method"]),
                "rule": content["uncertain_rule"],
                "cohort": content["training_cohort"],
                "simulated": Simulated(**content["training_cohort"]["simulated"]).of_networks(),
                "performance": summarise(metrics),
                "maps": maps,
                "diseases": [DISEASES.get(label, label) for label in content["labels"].values()],
                "learned": [row["diagnosis"] for row in content["training_cohort"]["classes"]],
            }
        )
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.bundle"),
        description=__doc__,
        epilog="Example, for a finished or unfinished run:\n"
        "  snakemake bundle --cores all --configfile my.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--method", required=True, help="the method of these folds")
    parser.add_argument(
        "--weights", type=Path, nargs="+", required=True, help="weights of each fold"
    )
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run.json of each fold")
    parser.add_argument(
        "--metrics", type=Path, nargs="+", required=True, help="metrics of each fold"
    )
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv of the run")
    parser.add_argument(
        "--brain-sidecar",
        required=True,
        help="path of a brain image's JSON, with {scan} and {folder}",
    )
    parser.add_argument(
        "--check-reports",
        required=True,
        help="path of a scan's check report (JSON), with {scan} and {folder}: the bundle keeps "
        "salted digests of its fingerprints, to detect overlap with other cohorts",
    )
    parser.add_argument("--config", required=True, metavar="JSON", help="the config, without paths")
    parser.add_argument(
        "--certain-from",
        type=from_half_to_1,
        default=0.75,
        help="mean probability from which a class is certain, 0.5 to 1",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="*",
        default=[],
        help="folders of the folds' predictions: with them, class probabilities are calibrated "
        "by temperature scaling",
    )
    parser.add_argument(
        "--localisation",
        type=Path,
        help="table of msnmo.evaluate.statistics.maps, on whether the maps find lesions",
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    given = parser.parse_args(arguments)
    if not len(given.weights) == len(given.runs) == len(given.metrics):
        parser.error("--weights, --runs and --metrics need one file per fold, in the same order")
    return given


if __name__ == "__main__":
    run_command(main)
