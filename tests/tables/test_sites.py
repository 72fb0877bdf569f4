"""Table S3 shows every metric by site, the AUC within sites beside the overall one, and n."""

from __future__ import annotations

from html import unescape

import numpy as np
import pandas as pd
import pytest

from msnmo.core.diagnoses import VARIABLE
from msnmo.core.files import write_tsv
from msnmo.evaluate.metrics import METRICS
from msnmo.evaluate.statistics.sites import columns
from msnmo.report.tables import details_of, shown_tables
from msnmo.settings.methods import METHODS
from msnmo.tables.__main__ import main
from msnmo.tables.model import read_page, write_page
from msnmo.tables.render import FORMATS
from msnmo.tables.sites import page_of_sites, read_sites

VALUES = {"all": 80.0, "within": 55.5, "Bern": 70.0, "Rome": 60.0, "no site given": np.nan}
CLASSES = {"all": (7, 5), "within": (7, 5), "Bern": (4, 2), "Rome": (2, 3), "no site given": (1, 0)}
PAIRS = {"all": 14, "within": 9, "Bern": 5, "Rome": 4, "no site given": 0}


def judged(methods=("joint", "unet"), sites=("Bern", "Rome", "no site given"), **changed):
    """As `msnmo.evaluate.statistics.sites` writes it."""
    rows = []
    for method in methods:
        for metric in ("DSC", "PPV", "VC", "ACC", "SN", "AUC", "LL"):
            if METRICS[metric].task not in METHODS[method].tasks:
                continue
            for name in ("all", *(("within",) if metric == "AUC" else ()), *sites):
                ms, nmosd = CLASSES[name]
                value = VALUES[name] if metric == "AUC" else 50.0
                rows.append(
                    {
                        "method": method,
                        "metric": metric,
                        "space": "n/a" if METRICS[metric].task == "classification" else "model",
                        "scope": name if name in ("all", "within") else "site",
                        "site": None if name in ("all", "within") else name,
                        "value": value,
                        "ci_low": value - 5,
                        "ci_high": value + 5,
                        "interval": "bootstrap",
                        "confidence": 0.95,
                        "n_scans": ms + nmosd,
                        "n_undefined_scans": 2 if metric == "PPV" and name == "all" else 0,
                        "n_subjects": ms + nmosd,
                        "n_ms": 0 if metric == "SN" else ms,
                        "n_nmosd": nmosd,
                        "n_pairs": PAIRS[name] if metric == "AUC" else None,
                        "n_seeds": 1,
                    }
                    | changed
                )
    return pd.DataFrame(rows, columns=list(columns()))


@pytest.fixture
def page(tmp_path):
    """A function: the page of such a table."""

    def make(*given, **changed):
        write_tsv(tmp_path / "sites.tsv", judged(*given, **changed))
        return page_of_sites(read_sites(tmp_path / "sites.tsv"))

    return make


def lines_of(panel, label):
    (block,) = [block for block in panel.blocks if block.label == label]
    return {line.name: [cell.text for cell in line.cells] for line in block.lines}


def test_each_method_has_a_line_of_all_within_and_of_each_site(page):
    segmentation, classification = page().panels
    assert segmentation.columns == ("DSC (%)", "PPV (%)", "VC (r)", "MS / NMOSD")
    assert classification.columns == (
        "ACC (%)",
        "SN (%)",
        "AUC (%)",
        "LL (nat)",
        "MS / NMOSD",
        "pairs",
    )
    assert [block.label for block in segmentation.blocks] == ["Joint Model", "3D UNet"]
    assert [block.label for block in classification.blocks] == ["Joint Model"]
    lines = lines_of(classification, "Joint Model")
    assert list(lines) == [
        "all sites",
        "all sites, 95 % CI",
        "within sites",
        "within sites, 95 % CI",
        "site Bern",
        "site Rome",
        "no site given",
    ]
    assert lines["all sites"] == ["50.00", "50.00", "80.00", "50.00", "7 / 5", "14"]
    assert lines["all sites, 95 % CI"][2] == "75.00–85.00"
    assert lines["within sites"] == ["–", "–", "55.50", "–", "7 / 5", "9"]
    assert lines["within sites, 95 % CI"][2] == "50.50–60.50"
    assert lines["site Rome"] == ["50.00", "50.00", "60.00", "50.00", "2 / 3", "4"]
    assert lines["no site given"][2] == "n/a"
    assert lines_of(segmentation, "3D UNet")["site Bern"] == ["50.00"] * 3 + ["4 / 2"]


def test_what_is_undefined_and_how_pairs_are_made_is_told(page):
    notes = " ".join(page().notes)
    assert "pairs of one NMOSD and one MS scan of the same fold and seed" in notes
    assert "Only one class, so no AUC: no site given." in notes
    assert "Undefined for 2 scans without a true lesion, left out: PPV." in notes
    assert "bootstrap of 12 subjects of all sites, for the networks as trained." in notes
    assert "LL: lower is better." in notes
    assert "bootstrap of 12 subjects of all sites and 3 seeds." in " ".join(page(n_seeds=3).notes)


NOT_SHOWN = "within sites it is not shown to be"


@pytest.mark.parametrize(
    ("overall", "within", "told"),
    [
        # the intervals are 5 to either side; within sites: the AUC and its pairs
        (80.0, (50.0, 9), f"{NOT_SHOWN} (50.00 %, 95 % CI 45.00–55.00, 9 pairs)"),
        (80.0, (55.0, 1), f"{NOT_SHOWN} (55.00 %, 95 % CI 50.00–60.00, 1 pair)"),
        (80.0, (np.nan, 0), "there is no pair within a site"),
        (80.0, (55.5, 9), None),
        (55.0, (50.0, 9), None),
    ],
)
def test_who_tells_classes_over_all_sites_alone_is_named(overall, within, told, page, monkeypatch):
    value, pairs = within
    monkeypatch.setitem(VALUES, "all", overall)
    monkeypatch.setitem(VALUES, "within", value)
    monkeypatch.setitem(PAIRS, "within", pairs)
    named = [note for note in page().notes if note.startswith("Joint Model: ")]
    above = "the AUC of all sites is above 50 % (80.00 %, 95 % CI 75.00–85.00, 14 pairs)"
    expected = f"Joint Model: {above}; {told}. It may tell sites but no disease."
    assert named == ([] if told is None else [expected])


def test_an_auc_without_an_interval_is_judged_by_itself(page):
    made = page(("joint",), value=100.0, ci_low=np.nan, ci_high=np.nan)
    assert not [note for note in made.notes if note.startswith("Joint Model: ")]


def test_one_site_is_said_to_be_one(page):
    assert "All scans are from one site: site Bern." in page(("joint",), ("Bern",)).notes
    assert not [note for note in page().notes if note.startswith("All scans are")]


def test_the_report_shows_every_line_and_every_interval(page, tmp_path):
    made = page()
    write_page(tmp_path / "table.json", made)
    assert read_page(tmp_path / "table.json") == made
    segmentation, classification = shown_tables(made)
    assert len(segmentation.rows) == 2 * 5
    assert len(classification.rows) == 7
    (details,) = details_of(made)
    # joint: 7 metrics of 4 lines and within; unet: 3 of 4
    assert len(details.rows) == 7 * 4 + 1 + 3 * 4
    texts = {(row[0].text, row[1].text): [cell.text for cell in row[2:]] for row in details.rows}
    assert texts["Joint Model, within sites", "AUC"] == [
        *("55.50", "50.50", "60.50", "bootstrap"),
        *("12", "7", "5", "9", "12"),
    ]


def test_the_command_writes_every_format_and_again_equal_bytes(tmp_path):
    write_tsv(tmp_path / "sites.tsv", judged())
    (tmp_path / "excluded.tsv").write_text("scan\tby\treason\n")
    cohort = [("sub-1", "1", "MS", "Bern"), ("sub-2", "2", "NMOSD", "Rome")]
    columns = ["scan", "subject", "diagnosis", "site"]
    write_tsv(tmp_path / "cohort.tsv", pd.DataFrame(cohort, columns=columns))

    def written(folder: str) -> dict[str, str]:
        out = {name: tmp_path / folder / f"table.{name}" for name in ("tsv", "json", *FORMATS)}
        given = [f"--{name}={tmp_path / name}.tsv" for name in ("sites", "excluded", "cohort")]
        given += ["--table=S3", "--split=site", "--k=5"]
        main([*given, *(f"--out-{name}={path}" for name, path in out.items())])
        return {name: path.read_text(encoding="utf-8") for name, path in out.items()}

    first = written("one")
    assert written("two") == first
    for name in FORMATS:
        text = unescape(first[name]).replace("\\", "").replace("\u00a0", " ")
        assert "Every metric by site" in text
        assert "within sites" in text
        assert "55.50" in text
        assert "Folds (site)" in text
    table = pd.read_csv(
        tmp_path / "one/table.tsv", sep="\t", na_values="n/a", keep_default_na=False
    )
    assert len(table) == len(judged())
    assert table.loc[table["scope"] == "within", "value"].tolist() == [55.5]


def test_scans_are_counted_by_the_labels_of_the_config(tmp_path, monkeypatch):
    made = judged(("joint",)).rename(columns={"n_nmosd": "n_mogad"})
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    write_tsv(tmp_path / "sites.tsv", made)
    page = page_of_sites(read_sites(tmp_path / "sites.tsv"))
    assert page.panels[0].columns[-1] == "MS / MOGAD"
    assert "pairs of one MOGAD and one MS scan" in " ".join(page.notes)
    assert "NMOSD" not in str(page)


def test_of_no_class_scans_alone_are_counted(page):
    made = page(("unet",), n_ms=0, n_nmosd=0)
    (panel,) = made.panels
    assert panel.columns[-1] == "scans"
    assert lines_of(panel, "3D UNet")["site Bern"][-1] == "6"
    assert "AUC" not in " ".join(made.notes)
