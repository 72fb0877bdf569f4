"""Table S7 says what each condition costs, of how many scans, and what was not run."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.report.tables import shown_tables
from msnmo.robustness.statistics import COLUMNS
from msnmo.tables.__main__ import main
from msnmo.tables.model import read_page
from msnmo.tables.render import FORMATS
from msnmo.tables.robustness import page_of_robustness, read_judged
from tests.measured import of_folds

CONDITIONS = {
    ("none", "none"): (20, None),
    ("noise", "0.05"): (20, None),
    ("noise", "0.1"): (20, None),
    ("slice_mm", "3"): (12, "slices are as thick already (8)"),
    ("brain_mask_mm", "-1"): (20, None),
    ("engines", "fsl"): (0, "engine not installed (20)"),
    ("engines", "hd-bet"): (19, "arrived without its skull (1)"),
}


def judged(method: str = "joint", **changed: object) -> pd.DataFrame:
    """As `msnmo.robustness.statistics` writes it."""
    rows = []
    for (perturbation, severity), (scans, why) in CONDITIONS.items():
        row = {
            **{"method": method, "perturbation": perturbation, "severity": severity},
            **{"n_scans": scans, "n_left_out": 20 - scans, "n_dsc": scans, "n_subjects": 17},
            **{"n_classified": scans, "n_flips": 2, "dsc": 0.612, "dsc_low": 0.5, "dsc_high": 0.7},
            **{"difference": -0.0304, "difference_low": -0.05, "difference_high": 0.0102},
            **{"flips": 0.1, "flips_low": 0.028, "flips_high": 0.301, "confidence": 0.95},
            **{"seed": 7, "left_out": why},
        }
        if not scans:
            row |= dict.fromkeys(("dsc", "difference", "flips"))
        rows.append(row | changed)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def classifying(method: str = "resnet50") -> pd.DataFrame:
    of_masks = [name for name in COLUMNS if name.startswith(("dsc", "difference"))]
    return judged(method, **dict.fromkeys(of_masks), n_dsc=0)


@pytest.fixture
def write(tmp_path: Path):
    """A function: writes tables and returns their paths."""

    def make(*tables: pd.DataFrame) -> list[Path]:
        paths = [tmp_path / f"judged-{place}.tsv" for place in range(len(tables))]
        for path, table in zip(paths, tables, strict=True):
            write_tsv(path, table)
        return paths

    return make


def texts(line) -> list[str]:
    return [cell.text for cell in line.cells]


def test_each_perturbation_has_a_panel_with_a_line_for_each_severity(write) -> None:
    page = page_of_robustness(read_judged(write(judged(), classifying())))
    assert [panel.title for panel in page.panels] == [
        "Scans as they are",
        "Noise (SD over brain mean)",
        "Slice thickness (mm)",
        "Brain mask (mm dilated (−: eroded))",
        "Skull strip (engine)",
    ]
    for panel in page.panels:
        assert [block.label for block in panel.blocks] == ["Joint Model", "ResNet50"]
    as_is, noise, slices, mask, engines = page.panels
    assert texts(as_is.blocks[0].lines[0]) == ["20", "61.2", "–", "–"]
    assert noise.columns == ("scans", "DSC (%)", "difference, 95 % CI", "class flips (%), 95 % CI")
    lines = noise.blocks[0].lines
    assert [line.name for line in lines] == ["0.05", "0.1"]
    assert texts(lines[0]) == ["20", "61.2", "−3.0 (−5.0 to 1.0)", "10.0 (2.8–30.1)"]
    assert lines[0].cells[2].value == pytest.approx(-3.04)
    assert texts(noise.blocks[1].lines[0]) == ["20", "–", "–", "10.0 (2.8–30.1)"]
    assert texts(slices.blocks[0].lines[0])[0] == "12"
    assert [line.name for line in mask.blocks[0].lines] == ["−1"]
    assert [line.name for line in engines.blocks[0].lines] == ["hd-bet"]


def test_below_stands_which_seed_how_many_scans_and_what_was_not_run(write) -> None:
    notes = page_of_robustness(read_judged(write(classifying(), judged()))).notes
    assert notes[0] == (
        "20 held-out scans of 17 subjects; networks of seed 7 only. DSC: mean over folds, for "
        "scans with a mask (20)."
    )
    assert notes[-3:] == (
        "Slice thickness 3: scans left out: slices are as thick already (8).",
        "Skull strip fsl: not run: engine not installed (20).",
        "Skull strip hd-bet: scans left out: arrived without its skull (1).",
    )
    assert any("Wilson" in note for note in notes)


def test_where_all_scans_differ_by_the_same_there_is_no_interval(write) -> None:
    table = judged(difference=-0.02, difference_low=None, difference_high=None)
    page = page_of_robustness(read_judged(write(table)))
    assert texts(page.panels[1].blocks[0].lines[0])[2] == "−2.0 (no interval)"


def test_a_difference_of_nothing_has_no_sign(write) -> None:
    page = page_of_robustness(read_judged(write(judged(difference=-0.0001))))
    assert texts(page.panels[1].blocks[0].lines[0])[2].startswith("0.0 (")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (judged("unet", perturbation="age"), "perturbations bias_field"),
        (judged("unet")[:-1], "the conditions and scans of"),
        (judged("unet", n_scans=3), "the conditions and scans of"),
        (judged("unet")[:0], "perturbations bias_field"),
    ],
)
def test_tables_that_do_not_fit_are_refused(write, other: pd.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_judged(write(judged(), other))


def test_the_command_writes_every_format_and_the_report_shows_it(write, tmp_path: Path) -> None:
    paths = [str(path) for path in write(judged(), classifying())]
    write_tsv(tmp_path / "excluded.tsv", pd.DataFrame(columns=["scan", "by", "reason"]))
    outs = {name: tmp_path / f"table.{name}" for name in ("tsv", "json", *FORMATS)}
    main(
        [
            *("--table", "S7", "--robustness", *paths, *of_folds(tmp_path)),
            *("--excluded", str(tmp_path / "excluded.tsv")),
            *(word for name, path in outs.items() for word in (f"--out-{name}", str(path))),
        ]
    )
    for name in FORMATS:
        text = unescape(outs[name].read_text(encoding="utf-8"))
        assert "61.2" in text
        assert "engine not installed" in text
    table = pd.read_csv(outs["tsv"], sep="\t", dtype=str)
    assert set(table["table"]) == {"S7"}
    assert len(table) == 2 * len(CONDITIONS)
    shown = shown_tables(read_page(outs["json"]))
    assert [each.caption for each in shown][1] == "Noise (SD over brain mean)"
    assert shown[-1].notes


def test_the_command_asks_for_what_it_needs(tmp_path: Path, capsys) -> None:
    outs = [f"--out-{name}={tmp_path / name}" for name in ("tsv", "json", *FORMATS)]
    with pytest.raises(SystemExit):
        main(["--table", "S7", "--excluded", "excluded.tsv", *outs])
    assert "table S7 needs --robustness" in capsys.readouterr().err
