"""The figure of perturbed scans: severities in order, levels and lines where the numbers are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.files import write_tsv
from msnmo.figures.robustness import draw, main, severities
from msnmo.figures.style import method_style
from msnmo.report.pictures import shown_figures
from msnmo.tables.robustness import read_judged
from tests.tables.test_robustness import classifying, judged


@pytest.fixture
def read(tmp_path: Path):
    def make(*tables: pd.DataFrame) -> pd.DataFrame:
        paths = [tmp_path / f"judged-{place}.tsv" for place in range(len(tables))]
        for path, table in zip(paths, tables, strict=True):
            write_tsv(path, table)
        return read_judged(paths)

    return make


def panels_of(figure) -> dict[str, tuple]:
    """The panels of DSC and of flips, by the title of the first."""
    titled = [axes for axes in figure.axes if axes.get_title()]
    below = [axes for axes in figure.axes if not axes.get_title()]
    return {one.get_title(): (one, other) for one, other in zip(titled, below, strict=True)}


def lines_of(axes) -> dict[str, list[float]]:
    """By colour, the values of the lines that are no level."""
    return {
        line.get_color(): [round(float(each), 3) for each in line.get_ydata()]
        for line in axes.get_lines()
        if line.get_marker() == "o"
    }


def test_a_line_leads_from_the_scan_as_it_is_over_severities(read) -> None:
    table = judged()
    noise = table["perturbation"] == "noise"
    table.loc[noise, "difference"] = [-0.112, -0.312]
    table.loc[noise, "flips"] = [0.1, 0.4]
    table.loc[table["perturbation"] == "none", "flips"] = 0.0
    figure = draw(read(table))
    panels = panels_of(figure)
    assert list(panels) == ["Noise", "Slice thickness", "Brain mask", "Skull strip"]
    dsc, flips = panels["Noise"]
    black = method_style("joint")["color"]
    assert lines_of(dsc) == {black: [61.2, 50.0, 30.0]}
    assert lines_of(flips) == {black: [0.0, 10.0, 40.0]}
    assert [tick.get_text() for tick in flips.get_xticklabels()] == ["0", "0.05", "0.1"]
    assert flips.get_xlabel() == "SD over brain mean"
    mask, _ = panels["Brain mask"]
    assert [tick.get_text() for tick in mask.get_xticklabels()] == ["−1", "0"]
    # one scale for all panels of a quantity, and nothing cut off
    assert {axes.get_ylim() for axes, _ in panels.values()} == {(26.0, 65.2)}
    assert {axes.get_ylim() for _, axes in panels.values()} == {(-4.0, 44.0)}
    level = [line for line in dsc.get_lines() if line.get_marker() != "o"]
    assert [line.get_ydata()[0] for line in level] == pytest.approx([61.2])


def test_a_method_has_the_lines_of_its_tasks(read) -> None:
    dsc, flips = panels_of(draw(read(judged(), classifying())))["Noise"]
    assert len(lines_of(dsc)) == 1
    assert len(lines_of(flips)) == 2


def test_severities_stand_in_order_with_what_changes_nothing_in_its_place() -> None:
    rows = pd.DataFrame({"severity": ["0.7", "1.5", "0.85", "0.7"]})
    assert severities(rows, "gamma") == ["0.7", "0.85", "1", "1.5"]
    masks = pd.DataFrame({"severity": ["-3", "-1", "2"]})
    assert severities(masks, "brain_mask_mm") == ["-3", "-1", "0", "2"]
    engines = pd.DataFrame({"severity": ["fsl", "hd-bet"]})
    assert severities(engines, "engines") == ["as is", "fsl", "hd-bet"]


def test_the_note_says_what_was_left_out_and_not_run(read) -> None:
    figure = draw(read(judged()))
    note = " ".join(" ".join(text.get_text().split()) for text in figure.texts)
    assert "20 held-out scans of 17 subjects, networks of seed 7." in note
    assert "Slice thickness 3 (8), Skull strip hd-bet (1)." in note
    assert "Not run: Skull strip fsl." in note


def test_where_nothing_was_run_that_is_said(read) -> None:
    table = judged()
    kept = table[table["perturbation"].isin(["none"]) | (table["severity"] == "fsl")]
    figure = draw(read(kept))
    assert figure.axes == []
    assert "Not run: Skull strip fsl." in " ".join(figure.texts[-1].get_text().split())


def of_scans(folder: Path, simulated: str) -> str:
    """Write a cohort of one scan; return its path."""
    (folder / "cohort.tsv").write_text(f"scan\tsimulated\nsub-1\t{simulated}\n")
    return str(folder / "cohort.tsv")


def test_equal_tables_give_equal_pictures(read, tmp_path: Path) -> None:
    read(judged(), classifying())
    made = []
    cohort = of_scans(tmp_path, "no")
    for name in ("one", "other"):
        outs = [tmp_path / f"{name}.{ending}" for ending in ("png", "svg")]
        main(
            [
                *("--robustness", str(tmp_path / "judged-0.tsv"), str(tmp_path / "judged-1.tsv")),
                *("--cohort", cohort, "--out-png", str(outs[0]), "--out-svg", str(outs[1])),
            ]
        )
        made.append([path.read_bytes() for path in outs])
    assert made[0] == made[1]


def test_the_report_knows_the_figures_title(read, tmp_path: Path) -> None:
    read(judged())
    png, svg = tmp_path / "robustness.png", tmp_path / "robustness.svg"
    main(
        [
            *("--robustness", str(tmp_path / "judged-0.tsv")),
            *("--cohort", of_scans(tmp_path, "yes"), "--out-png", str(png), "--out-svg", str(svg)),
        ]
    )
    assert "All scans are simulated." in svg.read_text(encoding="utf-8")
    (shown,) = shown_figures([png, svg])
    assert shown["title"] == "DSC and class flips of perturbed scans"
    assert shown["vector"]
    assert np.min([shown["width"], shown["height"]]) > 300
