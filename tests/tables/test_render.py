"""The four formats: golden files, escaping, the same bytes each time.

The golden files hold Table 5 with three methods; a wanted change of the look changes them too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msnmo.core.cells import escape_markdown
from msnmo.core.files import read_tsv, write_tsv
from msnmo.core.numbers import fixed
from msnmo.evaluate.aggregate import across_folds
from msnmo.evaluate.metrics import METRICS, TABLE_METRICS
from msnmo.settings.methods import METHODS
from msnmo.tables.__main__ import main
from msnmo.tables.compare import compare
from msnmo.tables.content import page
from msnmo.tables.layout import lay_out
from msnmo.tables.model import Block, Line, Page, Panel, Text, read_page
from msnmo.tables.render import FORMATS, SECOND, escape_tex, to_tsv
from tests.measured import of_folds

GOLDEN = Path(__file__).parent / "golden"
LABEL = "50% & a_b <c|d>"


@pytest.fixture
def compared(statistics):
    """A function: a table and its rows."""

    def make(number, metrics, registry=None, space="model"):
        table = (lay_out(registry) if registry else lay_out())[str(number)]
        summary = across_folds(metrics)
        return table, compare(table, summary, statistics(summary), space)

    return make


@pytest.fixture
def text(compared):
    """A function: a table in one format."""

    def make(ending, *given, **options):
        return FORMATS[ending](page(*compared(*given, **options), 0.95, SECOND[ending]))

    return make


@pytest.mark.parametrize("ending", FORMATS)
def test_golden(ending, registry, three_methods, text):
    assert text(ending, 5, three_methods, registry) == (GOLDEN / f"table-5.{ending}").read_text(
        encoding="utf-8"
    )


def test_golden_tsv(registry, three_methods, compared, tmp_path):
    write_tsv(tmp_path / "table.tsv", to_tsv(*compared(5, three_methods, registry)))
    assert (tmp_path / "table.tsv").read_text() == (GOLDEN / "table-5.tsv").read_text()


@pytest.mark.parametrize("ending", FORMATS)
def test_what_was_not_run_is_said_and_its_reported_number_shown(ending, joint_only, text):
    shown = text(ending, 7, joint_only)
    assert shown.count("not run") == 3 * 8
    assert "73.80" in shown
    assert "Only local" in shown


@pytest.mark.parametrize("ending", FORMATS)
def test_one_method_is_not_called_best(ending, joint_only, text):
    shown = text(ending, 3, joint_only)
    marks = {"md": r"\*\*\d|_\d", "tex": r"\\textbf|\\underline", "html": r"<strong>|<u>"}
    assert not re.search(marks[ending], shown)
    assert "best is" not in shown


@pytest.mark.parametrize("ending", FORMATS)
def test_notes_state_folds_scans_space_and_what_is_left_out(ending, joint_only, text):
    gap = (joint_only["scan"] == "sub-1a") & (joint_only["metric"] == "TPR")
    joint_only.loc[gap, "value"] = np.nan
    of_fold = (joint_only["scan"] == "n/a") & (joint_only["fold"] == 0)
    joint_only.loc[of_fold & (joint_only["metric"] == "AUC"), "value"] = np.nan
    shown = text(ending, 9, joint_only, space="native")
    for words in (
        "2 folds",
        "Segmentation: 4 test scans, masks compared in native space.",
        "Classification: 4 test scans; SN counts the 4 of NMOSD; SP counts the 4 of MS.",
        "Undefined for 1 scan without a true lesion, left out: Joint Model TPR.",
        "Undefined in 1 of 2 folds, left out: Joint Model AUC.",
        "Huang et al. 2024",
    ):
        assert words in shown
    assert ("85.00 ± n/a" if ending != "tex" else r"85.00 $\pm$ n/a") in shown.replace(
        "\u00a0", " "
    )


def test_a_table_of_which_nothing_was_run_says_so(joint_only, text):
    shown = text("md", 3, joint_only[joint_only["metric"] == "ACC"])
    assert "None of these methods was run." in shown
    assert shown.count("not run") == 4 * 4


@pytest.mark.parametrize("number", [5, 7, 8])
def test_markdown_columns_line_up_and_fit_a_terminal(number, joint_only, text):
    lines = text("md", number, joint_only).splitlines()
    pipes = [line for line in lines if line.startswith("|")]
    panels = 2 if number == 7 else 1
    assert len({len(line) for line in pipes}) <= panels
    assert max(map(len, pipes)) <= 102


def test_html_is_whole_labelled_and_escaped(registry, three_methods, text):
    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.text, self.scopes = [], [], []

        def handle_starttag(self, tag, attributes):
            if tag not in ("meta",):
                self.open.append(tag)
            if tag == "th":
                self.scopes.append(dict(attributes).get("scope"))

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

        def handle_data(self, data):
            self.text.append(data)

    reader = Reader()
    shown = text("html", 5, three_methods, registry)
    reader.feed(shown)
    assert reader.open == []
    assert LABEL in reader.text
    assert set(reader.scopes) == {"col", "row", "rowgroup"}
    assert "<caption" in shown
    assert not re.search(r"(src|href)=|@import|url\(", shown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% & a_b <c>", r"50\% \& a\_b \textless{}c\textgreater{}"),
        ("{x}\\~^#$|", r"\{x\}\textbackslash{}\textasciitilde{}\textasciicircum{}\#\$\textbar{}"),
        ("−1.00 ± 2.00", r"$-$1.00 $\pm$ 2.00"),
    ],
)
def test_tex_escapes(text, expected):
    assert escape_tex(text) == expected


def test_markdown_escapes():
    assert escape_markdown("50% & a_b <c|d> *x* [y]") == r"50% \& a\_b \<c\|d\> \*x\* \[y\]"


@pytest.mark.parametrize("place", ["heading", "lines", "column", "label", "line", "cell"])
def test_no_text_breaks_a_markdown_table_or_starts_a_tag(place):
    texts = dict.fromkeys(("heading", "lines", "column", "label", "line", "cell"), "x")
    texts[place] = "<img src=x>|y"
    block = Block(texts["label"], (Line(texts["line"], (Text(texts["cell"]),)),))
    panel = Panel("", (texts["column"],), (block,))
    shown = FORMATS["md"](Page("1", "c", texts["heading"], texts["lines"], (panel,), ()))
    assert shown.count(r"\<img src=x\>\|y") == 1
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


def test_the_command_writes_equal_bytes(joint_only, statistics, tmp_path):
    metrics, sure = tmp_path / "all.tsv", tmp_path / "statistics.tsv"
    write_tsv(metrics, joint_only)
    write_tsv(sure, statistics(across_folds(joint_only)))
    excluded = tmp_path / "excluded.tsv"
    excluded.write_text("scan\tby\treason\nsub-9\trater\tmotion_artefact & more\n")

    def written(folder: str) -> dict[str, bytes]:
        paths = {
            ending: tmp_path / folder / f"table.{ending}" for ending in ("tsv", "json", *FORMATS)
        }
        words = [f"--out-{ending}={path}" for ending, path in paths.items()]
        command = [sys.executable, "-m", "msnmo.tables", "--table", "7"]
        command += ["--metrics", metrics, "--statistics", sure, "--excluded", excluded]
        command += of_folds(tmp_path)
        subprocess.run([*command, *words], check=True, capture_output=True)
        return {ending: path.read_bytes() for ending, path in paths.items()}

    first = written("one")
    assert written("two") == first
    table = pd.read_csv(tmp_path / "one" / "table.tsv", sep="\t", na_values="n/a")
    dsc = table[(table["method"] == "joint") & (table["metric"] == "DSC")].iloc[0]
    assert (dsc["ours_mean"], dsc["reported"], dsc["difference"]) == (71.0, 74.87, -3.87)
    assert (dsc["n_folds"], dsc["n_scans"], dsc["n_subjects"]) == (2, 4, 3)
    assert (dsc["ci_low"], dsc["ci_high"]) == (68.0, 74.0)
    assert (table["status"] == "not run").sum() == 3 * 8
    said = "Excluded: 1 scan, 1 by the rater: sub-9 (motion_artefact & more)."
    assert said in first["md"].decode().replace("\\", "")
    assert said in first["tex"].decode().replace("\\", "")
    assert said.replace("&", "&amp;") in first["html"].decode()
    assert "Folds (site): each fold tests a site" in first["md"].decode()
    assert "0: A (1 MS, 0 NMOSD scans); 1: B (0 MS, 1 NMOSD scans)" in first["html"].decode()


@pytest.mark.parametrize("number", ["4", "6"])
def test_what_sites_alone_tell_is_the_last_row_ranked_and_tested_against_none(
    number, joint_only, statistics, site_alone, tmp_path
):
    files = {"metrics": joint_only, "statistics": statistics(across_folds(joint_only))}
    for name, table in (files | {"site-alone": site_alone}).items():
        write_tsv(tmp_path / f"{name}.tsv", table)
    (tmp_path / "excluded.tsv").write_text("scan\tby\treason\n")
    given = [f"--{name}={tmp_path / name}.tsv" for name in (*files, "excluded")]
    given += [f"--table={number}", *of_folds(tmp_path)]
    given += [f"--out-{ending}={tmp_path}/table.{ending}" for ending in ("tsv", "json", *FORMATS)]
    with pytest.raises(SystemExit):
        main(given)
    main([*given, f"--site-alone={tmp_path / 'site-alone.tsv'}"])

    table = pd.read_csv(tmp_path / "table.tsv", sep="\t")
    row = table[table["label"] == "Site alone"].set_index("metric")
    assert table["label"].iloc[-1] == "Site alone"
    assert row["method"].isna().all()
    assert set(row["status"]) == {"reference"}
    assert row["ours_mean"].tolist() == [61.0] * 4
    assert row.loc["AUC", ["ci_low", "ci_high", "n_subjects"]].tolist() == [55.5, 66.0, 3]
    assert row[["rank", "test", "p", "reported"]].isna().all(axis=None)
    assert table[table["method"] == "joint"]["rank"].isna().all(), "it is no second method"
    made = read_page(tmp_path / "table.json")
    (block,) = [each for each in made.panels[0].blocks if each.label == "Site alone"]
    assert [line.name for line in block.lines] == ["ours", "95 % CI"]
    assert block.lines[0].cells[0].text == "61.00 ± 4.00"
    assert block.lines[1].cells[3].text == "55.50–66.00"
    notes = " ".join(made.notes)
    assert "Site alone: no network. A scan's score is the share of NMOSD" in notes
    assert "Undefined in 1 of 2 folds, left out: Site alone AUC." in notes


def test_the_supplement_says_which_lesions_are_counted(as_metrics, statistics, tmp_path):
    values = {metric: [0.5, 0.7] for metric in TABLE_METRICS["S1"]}
    metrics = as_metrics({"joint": values})
    write_tsv(tmp_path / "all.tsv", metrics)
    write_tsv(tmp_path / "sure.tsv", statistics(across_folds(metrics)))
    (tmp_path / "excluded.tsv").write_text("scan\tby\treason\n")
    given = {"metrics": "all.tsv", "statistics": "sure.tsv", "excluded": "excluded.tsv"}
    given |= {f"out-{name}": f"out.{name}" for name in ("tsv", "json", *FORMATS)}
    words = [f"--{name}={tmp_path / file}" for name, file in given.items()]
    words += of_folds(tmp_path)
    main(["--table", "S1", "--smallest-lesion-mm3", "4.5", *words])
    said = "Lesions smaller than 4.5 mm3 on the scan's own grid are not counted"
    assert said in (tmp_path / "out.md").read_text()
    main(["--table", "3", "--smallest-lesion-mm3", "4.5", *words])
    assert said not in (tmp_path / "out.md").read_text()


def test_statistics_that_lost_their_last_line_are_refused(joint_only, statistics, tmp_path):
    metrics, sure, excluded = (tmp_path / f"{name}.tsv" for name in ("all", "sure", "excluded"))
    write_tsv(metrics, joint_only)
    of_table = statistics(across_folds(joint_only)).query("table == '7'")
    write_tsv(sure, of_table.iloc[:-1])
    excluded.write_text("scan\tby\treason\n")
    command = [sys.executable, "-m", "msnmo.tables", "--table", "7", "--metrics", metrics]
    command += ["--statistics", sure, "--excluded", excluded, *of_folds(tmp_path)]
    outputs = [f"--out-{ending}={tmp_path}/table.{ending}" for ending in ("tsv", "json", *FORMATS)]
    done = subprocess.run([*command, *outputs], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert str(sure) in done.stderr
    assert f"none of {of_table['metric'].iloc[-1]} of joint" in done.stderr
    assert not list(tmp_path.glob("table.*"))


@pytest.mark.parametrize("ending", FORMATS)
def test_how_sure_the_numbers_are_stands_beside_them(ending, registry, three_methods, text):
    shown = text(ending, 5, three_methods, registry)
    for words in (
        "63.00--69.00" if ending == "tex" else "63.00–69.00",
        "0.020",
        "DSC, PPV, TPR, VD by Wilcoxon",
        "bootstrap of 3 subjects",
        "with subjects as units",
        "DSC is primary. The other metrics are secondary",
    ):
        assert words in shown.replace("&#39;", "'")
    assert shown.count("primary") == 2
    assert len(re.findall(r"p \(Holm\)", shown)) == 2


@pytest.mark.parametrize("ending", FORMATS)
def test_scans_with_one_empty_mask_are_counted(ending, as_metrics, text):
    """Of the second scan nothing is predicted, and the fourth has neither lesions nor any found."""
    metrics = as_metrics({"joint": {"HD95": [80.0, 4.0], "ASD": [70.0, 2.0], "AVD": [1.0, 1.0]}})
    volumes = {"sub-0a": (2, 3), "sub-0b": (2, 0), "sub-1a": (1, 1), "sub-1b": (0, 0)}
    rows = [
        ("joint", int(scan[4]), 1, scan, name, volume, "native")
        for scan, pair in volumes.items()
        for name, volume in zip(("V_TRUE", "V_PRED"), pair, strict=True)
    ]
    metrics = pd.concat([metrics, pd.DataFrame(rows, columns=list(metrics))], ignore_index=True)
    metrics = metrics[metrics["space"] == "native"]
    shown = text(ending, "S1", metrics)
    said = "Set to the diagonal of the grid for 1 scan with one empty mask: Joint Model HD95, ASD."
    assert said in shown
    assert "All metrics of this table are secondary" in shown
    assert "LF1: harmonic mean of LTPR and 1 - LFPR." in shown
    assert "Undefined" not in shown


@pytest.mark.parametrize("ending", FORMATS)
def test_shares_of_all_scans_say_how_their_interval_is_made(ending, joint_only, statistics, text):
    shown = text(ending, 6, joint_only)
    assert "exact" not in shown
    assert "has no width" not in shown

    perfect = joint_only.copy()
    perfect.loc[perfect["metric"].isin(("SN", "AUC")), "value"] = 1.0
    summary = across_folds(perfect)
    given = statistics(summary)
    given.loc[given["metric"] == "SN", ["n_subjects", "interval"]] = [62, "exact"]
    bounds = ["ci_low", "ci_high", "interval"]
    given.loc[given["metric"] == "AUC", bounds] = [np.nan, np.nan, None]
    table = lay_out()["6"]
    rows = compare(table, summary, given, "model")
    shown = FORMATS[ending](page(table, rows, 0.95, SECOND[ending])).replace(r"\%", "%")
    for words in (
        "95 % CI of a share of 0 or 100 %: exact (Clopper and Pearson), for the number of "
        "subjects: Joint Model SN (62).",
        "No 95 % CI, as the bootstrap's has no width at 0 or 100 %: Joint Model AUC.",
    ):
        assert words in shown.replace("&#39;", "'")


def test_the_scans_of_a_class_are_those_that_its_metric_counts(joint_only, statistics):
    summary = across_folds(joint_only)
    given = statistics(summary)
    given.loc[given["metric"] == "SN", "n_scans"] = 3
    given.loc[given["metric"] == "SP", "n_scans"] = 1
    table = lay_out()["6"]
    rows = compare(table, summary, given, "model")
    machine = to_tsv(table, rows).set_index(["method", "metric"])["n_scans"]
    assert machine["joint"].to_dict() == {"ACC": "4", "SN": "3", "SP": "1", "AUC": "4"}
    made = page(table, rows, 0.95, "underlined")
    assert "Classification: 4 test scans; SN counts the 3 of NMOSD; SP counts the 1 of MS." in (
        made.notes
    )
    columns = made.details.columns
    (block,) = made.details.blocks
    assert [line.name for line in block.lines] == ["AUC", "ACC", "SN", "SP"]
    shown = {line.name: dict(zip(columns, line.cells, strict=True)) for line in block.lines}
    assert {name: cells["scans"].text for name, cells in shown.items()} == {
        **{"AUC": "4", "ACC": "4", "SN": "3", "SP": "1"}
    }
    endpoints = [cells["endpoint"].text for cells in shown.values()]
    assert endpoints == ["primary", "secondary", "secondary", "secondary"]


def test_a_number_is_rounded_once_wherever_it_is_shown(as_metrics, statistics):
    """21.55496 is 21.55; by way of four decimals, 21.5550, it would be 21.56 in some places."""
    number = 21.55496
    metrics = as_metrics({"joint": {"HD95": [number + 0.01] * 2}})
    summary = across_folds(metrics)
    given = statistics(summary).assign(ci_low=number, ci_high=number)
    table = lay_out()["S1"]
    rows = compare(table, summary, given, "model")
    made = page(table, rows, 0.95, "underlined")
    texts = [
        cell.text
        for panel in (*made.panels, made.details)
        for block in panel.blocks
        for line in block.lines
        for cell in line.cells
        if "21" in cell.text
    ]
    assert texts == ["21.55 ± 0.00", "21.55–21.55", "21.55", "21.55", "21.55"]
    machine = to_tsv(table, rows).set_index("metric").loc["HD95"]
    for name in ("ours_mean", "ci_low", "ci_high"):
        assert float(machine[name]) == pytest.approx(number, abs=1e-12)
        assert fixed(float(machine[name]), 2) == "21.55"


@pytest.fixture
def of_three_seeds(as_metrics):
    """Two methods, each of three seeds that are 0.00, 0.04 and 0.02 above the folds' numbers."""
    joint = {"DSC": [0.70, 0.72], "PPV": [0.60, 0.66], "TPR": [0.7, 0.7], "VD": [0.3, 0.5]}
    other = {"DSC": [0.65, 0.67], "PPV": [0.70, 0.68], "TPR": [0.6, 0.7], "VD": [0.2, 0.3]}
    metrics = as_metrics({"only_seg": other, "joint": joint}, {4: 0.0, 9: 0.04, 6: 0.02})
    # the seeds of the joint model's PPV lie twice as far apart: median of sd 0.02 and 0.04
    wide = (metrics["method"] == "joint") & (metrics["metric"] == "PPV")
    moved = metrics["seed"].map({4: -0.02, 9: 0.02, 6: 0.0})
    return metrics.assign(value=metrics["value"] + wide * moved)


ONE_SEED = "is unknown, and a small difference may come from the seed"


@pytest.mark.parametrize("ending", FORMATS)
def test_one_seed_says_that_nothing_is_known_of_another(ending, registry, three_methods, text):
    shown = text(ending, 5, three_methods, registry)
    assert shown.count(ONE_SEED) == 1
    assert "for the networks as trained" in shown
    # the note alone, and no line of a method
    assert shown.count("between seeds") == 1
    for words in ("Typical variation between seeds", "seeds ±"):
        assert words not in shown


@pytest.mark.parametrize("ending", FORMATS)
def test_several_seeds_are_averaged_and_their_spread_is_shown(ending, of_three_seeds, text):
    shown = text(ending, 5, of_three_seeds).replace("\u00a0", " ").replace(r"$\pm$", "±")
    for words in (
        # 70 and 72, and 2 more of the seeds' mean; folds apart by 2, seeds by 2 each
        "73.00 ± 1.41",
        "± 2.00",
        "± 4.00",
        "Ours: mean over 2 folds and 3 seeds ± sample standard deviation of the folds",
        "between seeds: that of the seeds",
        "bootstrap of 3 subjects and 3 seeds.",
        "Typical variation between seeds (median standard deviation): DSC 2.00, PPV 3.00, "
        "TPR 2.00, VD 2.00.",
    ):
        assert words in shown
    # a line for each method, and two notes
    assert shown.count("between seeds") == 4
    assert ONE_SEED not in shown
    assert "as trained" not in shown


def test_the_table_for_machines_has_the_seeds(of_three_seeds, joint_only, compared):
    rows = to_tsv(*compared(5, of_three_seeds)).set_index(["method", "metric"])
    of_dsc = rows.loc[("joint", "DSC"), ["ours_mean", "ours_sd", "ours_sd_seeds"]]
    assert of_dsc.astype(float).tolist() == pytest.approx([73, 2**0.5, 2])
    assert float(rows.loc[("joint", "PPV"), "ours_sd_seeds"]) == pytest.approx(4)
    assert set(rows["n_seeds"]) == {"3"}
    one = to_tsv(*compared(5, joint_only)).set_index(["method", "metric"])
    assert one.loc[("joint", "DSC"), "n_seeds"] == "1"
    assert one["ours_sd_seeds"].isna().all()
    # of a method that was not run nothing is known
    assert one.loc[("only_seg", "DSC"), ["n_seeds", "ours_sd_seeds"]].isna().all()


@pytest.fixture
def every(as_metrics):
    """Metrics of all methods of the registry, of two folds of two scans."""
    rng = np.random.default_rng(0)
    values = {
        name: {
            metric.name: list(rng.uniform(0.5, 0.9, 2))
            for metric in METRICS.values()
            if metric.task in method.tasks
        }
        for name, method in METHODS.items()
    }
    return as_metrics(values)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
@pytest.mark.parametrize("number", [3, 4, 7, 9, "S1"])
def test_tex_compiles_alone_and_within_a_document(number, every, text, tmp_path):
    """On pages as many as there are floats, without a line that runs out of the page."""
    (tmp_path / "table.tex").write_text(text("tex", number, every), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\usepackage[margin=2cm]{geometry}"
        r"\begin{document}\input{table}\end{document}"
    )
    for name in ("table", "paper"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in done.stdout
        assert "too large for page" not in done.stdout


def test_what_is_left_out_of_a_cohort_of_one_class_is_told(as_metrics, statistics, tmp_path):
    metrics = as_metrics({"only_seg": {metric: [0.5, 0.7] for metric in TABLE_METRICS["5"]}})
    write_tsv(tmp_path / "all.tsv", metrics)
    write_tsv(tmp_path / "sure.tsv", statistics(across_folds(metrics)))
    (tmp_path / "excluded.tsv").write_text("scan\tby\treason\n")
    words = of_folds(tmp_path)
    cohort = read_tsv(tmp_path / "cohort.tsv", {"scan": str}).assign(diagnosis="MS")
    write_tsv(tmp_path / "cohort.tsv", cohort)
    given = {"metrics": "all.tsv", "statistics": "sure.tsv", "excluded": "excluded.tsv"}
    given |= {f"out-{name}": f"out.{name}" for name in ("tsv", "json", *FORMATS)}
    words += [f"--{name}={tmp_path / file}" for name, file in given.items()]
    main(["--table", "5", *words, "--left-out=joint", "--left-out=only_cls"])
    said = "Left out, since the cohort has one class (MS): joint, only_cls."
    assert said in (tmp_path / "out.html").read_text()
    main(["--table", "5", *words])
    assert "Left out" not in (tmp_path / "out.html").read_text()


def test_a_table_of_simulated_scans_says_so_in_its_caption_and_first(
    joint_only, statistics, tmp_path
):
    write_tsv(tmp_path / "all.tsv", joint_only)
    write_tsv(tmp_path / "sure.tsv", statistics(across_folds(joint_only)))
    (tmp_path / "excluded.tsv").write_text("scan\tby\treason\n")
    words = of_folds(tmp_path)
    cohort = read_tsv(tmp_path / "cohort.tsv", {"scan": str}).assign(simulated=["yes", "no"])
    write_tsv(tmp_path / "cohort.tsv", cohort)
    given = {"metrics": "all.tsv", "statistics": "sure.tsv", "excluded": "excluded.tsv"}
    given |= {f"out-{name}": f"out.{name}" for name in ("tsv", "json", *FORMATS)}
    main(["--table", "3", *words, *(f"--{name}={tmp_path / file}" for name, file in given.items())])
    made = read_page(tmp_path / "out.json")
    assert made.caption.endswith("(1 of 2 scans simulated)")
    assert made.notes[0].startswith("1 of 2 scans is simulated.")
    for name in FORMATS:
        text = " ".join((tmp_path / f"out.{name}").read_text(encoding="utf-8").split())
        assert "1 of 2 scans is simulated." in text
        assert "is not a score to beat" in text
