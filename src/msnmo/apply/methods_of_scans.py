"""What was done to new scans, as a text for an article: made of their run.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msnmo.apply.loads import of_single_folds
from msnmo.report.methods_text import (
    NETWORKS,
    SOFTWARE,
    commits_of,
    software_of,
    space_of,
    stripping_of,
    ways,
    write_text_of,
)
from msnmo.settings.methods import get_method

Run = Mapping[str, Any]
"""Contents of a scan's run.json."""


def methods_of_scans(runs: Sequence[Run]) -> str:
    """Return the methods text of scans; what a run.json of before does not tell is left out."""
    told = [told_of(run) for run in runs]
    versions = [each["versions"] for each in told]
    located = [each["locations"] for each in told if each["locations"]]
    return write_text_of(
        "methods.md.jinja",
        __package__,
        simulated=" ".join(sorted({each["simulated"] for each in told} - {""})),
        scans=len(runs),
        msnmo=" and ".join(dict.fromkeys(each["msnmo"] for each in versions)),
        commit=commits_of(runs),
        software=software_of(versions),
        devices=list(dict.fromkeys(each["device"] for each in told)),
        strips=ways(each["strip"] for each in told),
        biases=ways(each["bias"] for each in told if each["bias"]),
        spaces=ways(each["space"] for each in told if each["space"]),
        bundles=ways(each["bundle"] for each in told),
        located=len(located),
        locations=located[0] if located else "",
    )


def told_of(run: Run) -> dict[str, Any]:
    """Return what the text tells of a scan.

    Raises
    ------
    KeyError, TypeError
        If its run.json does not say it.
    """
    steps, lesions = run.get("preprocessing", {}), run["lesions"] or {}
    return {
        "simulated": run["bundle"].get("simulated", ""),
        "versions": {name: run["versions"][name] for name in ("msnmo", *SOFTWARE)},
        "device": run["device_name"],
        "strip": stripping_of(run["skullstrip"]),
        "bias": steps.get("bias_correction", {}),
        "space": space_of(steps) if steps else {},
        "bundle": _of_bundle(run),
        "locations": lesions.get("location_rule", "").rstrip("."),
    }


def _of_bundle(run: Run) -> dict[str, Any]:
    """Return what the networks of a scan's bundle were asked."""
    bundle, said, lesions = run["bundle"], run["class"], run["lesions"]
    method = get_method(bundle["method"])
    return {
        "id": bundle["id"],
        "label": method.label,
        "key": NETWORKS[method.function],
        "folds": len(of_single_folds(lesions)) if lesions else said["folds"],
        "lesions": lesions is not None,
        "threshold": bundle.get("threshold"),
        "mirrored": bundle.get("mirrored", False),
        "rule": said["rule"] if said else "",
        "temperature": said["temperature"] if said else 1,
    }
