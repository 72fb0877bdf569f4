"""Table S5 says of each class of size and load what is found, of how many, and how raters agree."""

from __future__ import annotations

from html import unescape

import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.evaluate.statistics.lesions import COLUMNS, METRICS, OF_RATERS
from msnmo.report.tables import shown_tables
from msnmo.tables.__main__ import main
from msnmo.tables.lesions import page_of_lesions, read_described
from msnmo.tables.model import read_page, write_page
from msnmo.tables.render import FORMATS
from tests.measured import of_folds

GROUPS = {
    "all": ["all"],
    "size": ["under 0.1 ml", "0.1 to 1 ml", "1 ml or more"],
    "load": ["up to 1.67 ml", "over 1.67, up to 5.33 ml", "over 5.33 ml"],
    "raters": ["raters"],
}
MEANS = {"DSC": 0.612, "LTPR": 0.7, "LFPR": 0.25, "LF1": 0.72}
TITLES = [
    "All lesions",
    *(f"Lesions {size}" for size in GROUPS["size"]),
    *(f"Scans with a load {load}" for load in GROUPS["load"]),
    "Scans of several raters",
]


def described(methods=("joint", "unet"), kinds=tuple(GROUPS), **changed) -> pd.DataFrame:
    """As `msnmo.evaluate.statistics.lesions` writes it."""
    rows = []
    for kind in kinds:
        for group in GROUPS[kind]:
            for method in (None, *methods) if kind == "raters" else methods:
                for metric in OF_RATERS if kind == "raters" else METRICS:
                    numbers = {
                        **{"mean": MEANS[metric], "sd": 0.05, "sd_seeds": None},
                        **{"ci_low": MEANS[metric] - 0.1, "ci_high": MEANS[metric] + 0.1},
                        **{"interval": "bootstrap", "confidence": 0.95},
                        **{"n_folds": 5, "n_undefined_folds": 0},
                        **{"n_seeds": 1, "n_scans": 20, "n_undefined_scans": 3},
                        **{"n_subjects": 17, "n_lesions": 41},
                    }
                    if group == "all":
                        numbers |= {"n_undefined_scans": 0}
                    key = {"method": method, "kind": kind, "group": group, "metric": metric}
                    rows.append(key | numbers | changed)
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def read(tmp_path):
    """A function: the table as it is read, of what was written."""

    def make(table: pd.DataFrame) -> pd.DataFrame:
        write_tsv(tmp_path / "table.tsv", table)
        return read_described(tmp_path / "table.tsv")

    return make


def texts(line) -> list[str]:
    return [cell.text for cell in line.cells]


def test_each_class_has_a_panel_with_every_method(read):
    page = page_of_lesions(read(described()), 3.0)
    assert [panel.title for panel in page.panels] == TITLES
    for panel in page.panels[:-1]:
        assert panel.columns == ("DSC (%)", "LTPR (%)", "LFPR (%)")
        assert [block.label for block in panel.blocks] == ["Joint Model", "3D UNet"]
    mean, interval, made_of = page.panels[1].blocks[0].lines
    assert texts(mean) == ["61.2 ± 5.0", "70.0 ± 5.0", "25.0 ± 5.0"]
    assert mean.cells[0].value == pytest.approx(61.2)
    assert (interval.name, texts(interval)[0]) == ("95 % CI", "51.2–71.2")
    assert (made_of.name, texts(made_of)) == ("scans (lesions)", ["17 of 20 (41)"] * 3)
    # where no scan is left out, how many there are is enough
    assert texts(page.panels[0].blocks[0].lines[-1]) == ["20 (41)"] * 3


def test_raters_stand_above_the_methods_on_the_same_scans(read):
    page = page_of_lesions(read(described()), 3.0)
    panel = page.panels[-1]
    assert panel.columns == ("DSC (%)", "LTPR (%)", "LFPR (%)", "LF1 (%)")
    assert [block.label for block in panel.blocks] == [
        *("Raters (20 scans)", "Joint Model", "3D UNet")
    ]
    assert any("each compared with each other" in note for note in page.notes)
    without = page_of_lesions(read(described(kinds=("all", "size", "load"))), 3.0)
    assert [panel.title for panel in without.panels] == TITLES[:-1]
    assert "so their agreement is unknown" in " ".join(without.notes)


def test_a_number_that_is_not_there_is_said_and_counted(read):
    table = described()
    none = (table["group"] == "1 ml or more") & (table["metric"] == "LFPR")
    table.loc[none, ["mean", "sd", "ci_low", "ci_high"]] = None
    table.loc[none, ["n_folds", "n_undefined_folds", "n_undefined_scans", "n_lesions"]] = [
        *(0, 5, 20, 0)
    ]
    some = (table["group"] == "over 5.33 ml") & (table["method"] == "joint")
    table.loc[some, ["n_folds", "n_undefined_folds"]] = [3, 2]
    page = page_of_lesions(read(table), 3.0)
    mean, interval, made_of = page.panels[3].blocks[0].lines
    assert (texts(mean)[2], texts(interval)[2], texts(made_of)[2]) == ("n/a", "–", "0 of 20 (0)")
    assert mean.cells[2].value is None
    # 8 panels of two methods: 7 of three metrics and one of four
    assert "2 of 50 numbers are n/a: no scan has such a lesion." in page.notes
    assert "3 of 50 numbers lack one or more folds without such a scan." in page.notes


def test_one_fold_has_no_spread(read):
    page = page_of_lesions(read(described(sd=None, n_folds=1)), 3.0)
    assert texts(page.panels[0].blocks[0].lines[0])[0] == "61.2 ± n/a"
    assert "of folds, as there is only one." in page.notes[0]


def test_an_exact_interval_is_named(read):
    assert "Clopper" not in " ".join(page_of_lesions(read(described()), 3.0).notes)
    page = page_of_lesions(read(described(interval="exact")), 3.0)
    assert "exact (Clopper and Pearson), for the number of subjects" in " ".join(page.notes)


def test_with_several_seeds_their_spread_has_a_line(read):
    table = described(n_seeds=3, sd_seeds=0.013, n_lesions=41.3)
    of_raters = table["method"].isna()
    table.loc[of_raters, ["n_seeds", "sd_seeds"]] = [1, None]
    page = page_of_lesions(read(table), 3.0)
    of_raters, of_method, _ = page.panels[-1].blocks
    assert [line.name for line in of_method.lines] == [
        *("mean ± SD", "between seeds", "95 % CI", "scans (lesions)")
    ]
    assert texts(of_method.lines[1])[0] == "± 1.3"
    assert texts(of_method.lines[3])[0] == "17 of 20 (41.3)"
    assert [line.name for line in of_raters.lines] == ["mean ± SD", "95 % CI", "scans (lesions)"]
    assert "17 subjects and 3 seeds" in " ".join(page.notes)


@pytest.mark.parametrize(
    ("smallest", "said"),
    [
        (3.0, "Lesions smaller than 3 mm3 on the scan's own grid are not counted"),
        (0.0, "Lesions of every size are counted"),
    ],
)
def test_which_lesions_are_counted_is_said(read, smallest, said):
    notes = " ".join(page_of_lesions(read(described()), smallest).notes)
    assert said in notes
    assert "metrics.smallest_lesion_mm3" in notes


def test_the_page_is_read_as_it_was_written(read, tmp_path):
    page = page_of_lesions(read(described()), 3.0)
    write_page(tmp_path / "page.json", page)
    assert read_page(tmp_path / "page.json") == page


def test_the_report_shows_a_table_of_each_class(read):
    tables = shown_tables(page_of_lesions(read(described()), 3.0))
    assert [table.caption for table in tables] == TITLES
    assert len(tables[0].rows) == 2 * 3
    assert len(tables[-1].rows) == 3 * 3
    assert not tables[0].notes
    assert tables[-1].notes


def written(folder, source, *options: str) -> dict[str, str]:
    (folder / "excluded.tsv").parent.mkdir(exist_ok=True)
    (folder / "excluded.tsv").write_text("scan\tby\treason\n")
    out = {name: folder / f"out.{name}" for name in ("tsv", "json", *FORMATS)}
    given = ["--lesions", str(source), "--excluded", str(folder / "excluded.tsv"), *options]
    given += of_folds(folder)
    main(["--table", "S5", *given, *(f"--out-{name}={path}" for name, path in out.items())])
    return {name: path.read_text(encoding="utf-8") for name, path in out.items()}


def test_the_command_writes_every_format_and_again_equal_bytes(tmp_path):
    write_tsv(tmp_path / "table.tsv", described())
    options = ("--smallest-lesion-mm3", "3")
    first = written(tmp_path / "one", tmp_path / "table.tsv", *options)
    assert written(tmp_path / "two", tmp_path / "table.tsv", *options) == first
    for name in FORMATS:
        text = unescape(first[name]).replace("\\", "").replace("\u00a0", " ")
        for said in (*TITLES, "Raters (20 scans)", "17 of 20 (41)", "smaller than 3 mm3"):
            assert said in text, (name, said)
        assert "61.2 ± 5.0" in text.replace("$pm$", "±")
    table = pd.read_csv(tmp_path / "one/out.tsv", sep="\t", keep_default_na=False)
    assert list(table) == ["table", "label", *COLUMNS]
    assert set(table["table"]) == {"S5"}
    assert len(table) == len(described())


def test_each_panel_of_the_printed_table_is_a_page_with_its_title(tmp_path):
    write_tsv(tmp_path / "table.tsv", described())
    tex = written(tmp_path / "one", tmp_path / "table.tsv", "--smallest-lesion-mm3", "3")["tex"]
    assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") == len(TITLES)
    assert [tex.index(rf"\textit{{{title}}}") for title in TITLES] == sorted(
        tex.index(rf"\textit{{{title}}}") for title in TITLES
    )


def test_it_needs_its_own_options(tmp_path, capsys):
    out = [f"--out-{name}={tmp_path}/t.{name}" for name in ("tsv", "json", *FORMATS)]
    with pytest.raises(SystemExit):
        main(["--table", "S5", "--excluded", "e.tsv", *out])
    said = capsys.readouterr().err
    assert "table S5 needs --lesions and --smallest-lesion-mm3 and --cohort" in said
    with pytest.raises(SystemExit):
        main(["--table", "S1", "--excluded", "e.tsv", *out])
    assert "--split and --k and --smallest-lesion-mm3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.assign(kind="colour"), "colour"),
        (lambda table: table[table["kind"] == "all"], "the kinds all, size, load, raters"),
        (lambda table: table.iloc[:-1], "not all of raters raters"),
        (lambda table: table.iloc[1:], "not all of all all"),
        (lambda table: pd.concat([table, table.iloc[-1:]]), "not all of raters raters"),
        (
            lambda table: table[(table["kind"] != "load") | (table["method"] != "unet")],
            "not all of load over 1.67, up to 5.33 ml, load over 5.33 ml, load up to 1.67 ml",
        ),
    ],
)
def test_what_lost_rows_is_refused(read, change, said):
    with pytest.raises(InputError, match=said):
        read(change(described()))
