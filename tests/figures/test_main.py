"""The command draws a figure of the catalogue in two formats, and says all that it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from msnmo.cohort.folds import read_folds, write_folds
from msnmo.core.errors import InputError
from msnmo.figures.__main__ import chosen_methods, main
from msnmo.figures.catalogue import get_figure


def options(folder: Path, figure: str, **more: str) -> list[str]:
    given = {
        "figure": figure,
        "manifest": str(folder / "manifest.tsv"),
        "cohort": str(folder / "cohort.tsv"),
        "folds": str(folder / "folds.tsv"),
        "augment": "{}",
        "seed": "1",
        "out-png": str(folder / "out.png"),
        "out-svg": str(folder / "out.svg"),
    } | more
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def sources(folder: Path) -> dict[str, str]:
    return {
        "metrics": str(folder / "metrics.tsv"),
        "predictions": str(folder / "predictions/{method}/fold-{fold}"),
        "gradcam": str(folder / "gradcam/fold-{fold}"),
        "localisation": str(folder / "localisation.tsv"),
    }


@pytest.mark.parametrize("figure", ["figure-2", "figure-8", "figure-10", "figure-12"])
def test_a_figure_is_written_twice_and_again_in_equal_bytes(tmp_path, write_run, figure):
    write_run()
    line = options(tmp_path, figure, **({} if figure == "figure-2" else sources(tmp_path)))
    main(line)
    once = [(tmp_path / f"out.{ending}").read_bytes() for ending in ("png", "svg")]
    assert once[0].startswith(b"\x89PNG")
    assert b"<svg" in once[1]
    main(line)
    assert [(tmp_path / f"out.{ending}").read_bytes() for ending in ("png", "svg")] == once


def test_metrics_that_lost_their_last_line_are_refused(tmp_path, write_run):
    write_run()
    path = tmp_path / "metrics.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    told = r"metrics\.tsv\n +expected: each metric of the whole fold"
    with pytest.raises(InputError, match=told):
        main(options(tmp_path, "figure-8", **sources(tmp_path)))
    assert not (tmp_path / "out.png").exists()


def test_folds_that_were_edited_are_refused(tmp_path, write_run):
    write_run()
    path = tmp_path / "folds.tsv"
    write_folds(path, read_folds(path))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="edited, added or removed"):
        main(options(tmp_path, "figure-2"))


def test_all_that_is_missing_is_said_at_once(tmp_path, write_run):
    write_run()
    with pytest.raises(InputError) as caught:
        main(options(tmp_path, "figure-12"))
    assert [finding.file for finding in caught.value.findings] == [
        "--gradcam",
        "--localisation",
        "--metrics",
        "--predictions",
    ]
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_augment_must_be_a_json_object(tmp_path, write_run, text):
    write_run()
    with pytest.raises(InputError, match="--augment"):
        main(options(tmp_path, "figure-2", augment=text))


def test_methods_are_the_named_ones_else_those_of_the_metrics():
    figure = get_figure("figure-8")
    metrics = pd.DataFrame({"method": ["joint", "joint", "senet50", "vnet"]})
    assert chosen_methods(figure, None, metrics) == ("vnet", "joint")
    assert chosen_methods(figure, ["joint"], metrics) == ("joint",)
    assert chosen_methods(get_figure("figure-2"), None, None) == ()
    for wrong in (["senet50"], ["nonsense"], []):
        with pytest.raises(InputError):
            chosen_methods(figure, wrong, metrics)
    with pytest.raises(InputError, match="joint"):
        chosen_methods(get_figure("figure-12"), ["unet"], metrics)


def test_figures_of_results_import_no_torch(tmp_path, write_run):
    write_run()
    line = options(tmp_path, "figure-8", **sources(tmp_path))
    code = (
        "import sys; from msnmo.figures.__main__ import main;"
        f"main({line!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
