"""Table S2 says of each map what it finds, and which do not beat chance."""

from __future__ import annotations

import json
from html import unescape

import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.report.tables import shown_tables
from msnmo.tables.__main__ import main
from msnmo.tables.maps import page_of_maps, read_judged
from msnmo.tables.model import read_page, write_page
from msnmo.tables.render import FORMATS

# mean, low and high of the AUROC
AUROCS = {
    ("joint", "cam"): (0.87, 0.83, 0.91),
    ("joint", "gradcam"): (0.51, 0.46, 0.57),
    ("only_cls", "cam"): (0.31, 0.26, 0.37),
    ("intensity",): (0.9, 0.88, 0.93),
    ("random",): (0.5, 0.49, 0.51),
}


def judged(method: str, **changed) -> pd.DataFrame:
    """As `msnmo.evaluate.statistics.maps` writes it."""
    rows = []
    for key, (mean, low, high) in AUROCS.items():
        if key[0] not in (method, "intensity", "random"):
            continue
        for metric in ("auroc", "peak", "energy"):
            of_auroc = metric == "auroc"
            rows.append(
                {
                    "method": method,
                    "map": key[-1],
                    "metric": metric,
                    "mean": mean if of_auroc else 0.25,
                    "sd": 0.02,
                    "sd_seeds": None,
                    "ci_low": low if of_auroc else 0.2,
                    "ci_high": high if of_auroc else 0.3,
                    "interval": "bootstrap",
                    "confidence": 0.95,
                    "chance": 0.5 if of_auroc else 0.1,
                    "beats_chance": ("yes" if low > 0.5 else "no") if of_auroc else None,
                    "n_folds": 5,
                    "n_undefined_folds": 0,
                    "n_scans": 20,
                    "n_undefined_scans": 2,
                    "n_subjects": 17,
                    "n_maps": 20,
                    "n_flat": 3 if key[-1] == "gradcam" else 0,
                }
                | changed
            )
    return pd.DataFrame(rows)


@pytest.fixture
def files(tmp_path):
    paths = []
    for method in ("joint", "only_cls"):
        paths.append(tmp_path / f"{method}.tsv")
        write_tsv(paths[-1], judged(method))
    return paths


LABELS = [
    "Joint Model",
    "Only Cls Model",
    "Joint Model, Grad-CAM",
    "Image intensity",
    "Random map",
]


def test_rows_are_the_methods_then_gradcam_intensity_and_noise_once(files):
    page = page_of_maps(read_judged(files))
    (panel,) = page.panels
    assert [block.label for block in panel.blocks] == LABELS
    assert panel.columns == (
        "AUROC",
        "peak in a lesion (%)",
        "energy in lesions (%)",
        "beats chance",
    )
    mean, interval = panel.blocks[0].lines
    assert [cell.text for cell in mean.cells] == [
        "0.870 ± 0.020",
        "25.0 ± 2.0",
        "25.0 ± 2.0",
        "yes",
    ]
    assert [cell.text for cell in interval.cells] == ["0.830–0.910", "20.0–30.0", "20.0–30.0", ""]


def test_with_several_seeds_their_spread_has_a_line_and_the_notes_say_so(files):
    write_tsv(files[0], judged("joint", sd_seeds=0.01, n_maps=60))
    table = read_judged(files[:1])
    trained = table["map"] == "cam"
    table.loc[~trained, ["sd_seeds", "n_maps"]] = [float("nan"), 20]
    page = page_of_maps(table)
    of_method, of_gradcam, *_ = page.panels[0].blocks
    assert [line.name for line in of_method.lines] == ["mean ± SD", "between seeds", "95 % CI"]
    assert [cell.text for cell in of_method.lines[1].cells] == ["0.010", "1.0", "1.0", ""]
    assert [line.name for line in of_gradcam.lines] == ["mean ± SD", "95 % CI"]
    said = " ".join(page.notes)
    assert "17 subjects and 3 seeds" in said
    assert "Grad-CAM is only for the trainings of the first seed" in said
    assert "in 3 of 20 maps" in said


def test_each_map_carries_its_verdict(files, tmp_path):
    page = page_of_maps(read_judged(files))
    expected = dict(zip(LABELS, (True, False, False, True, False), strict=True))
    assert page.beats_chance == expected
    write_page(tmp_path / "table.json", page)
    assert json.loads((tmp_path / "table.json").read_text())["beats_chance"] == expected
    assert read_page(tmp_path / "table.json") == page
    said = [note for note in page.notes if "beat chance" in note]
    assert said == [
        "Only Cls Model; Joint Model, Grad-CAM; Random map: do not beat chance: the AUROC's "
        "interval reaches 0.5 or less."
    ]


def test_what_is_in_no_mean_and_what_shows_no_place_is_told(files):
    notes = " ".join(page_of_maps(read_judged(files)).notes)
    assert "Undefined for 2 scans without a lesion voxel in the brain, left out." in notes
    assert "Joint Model, Grad-CAM: flat or without a positive value in 3 of 20 maps." in notes
    assert "bootstrap of 17 subjects" in notes


def test_where_nothing_was_measured_nothing_is_claimed(tmp_path):
    numbers = dict.fromkeys(("mean", "sd", "ci_low", "ci_high", "beats_chance"))
    write_tsv(tmp_path / "joint.tsv", judged("joint", **numbers))
    page = page_of_maps(read_judged([tmp_path / "joint.tsv"]))
    assert set(page.beats_chance.values()) == {None}
    assert [cell.text for cell in page.panels[0].blocks[0].lines[0].cells] == ["n/a"] * 3 + ["–"]


def test_methods_tested_on_other_scans_are_refused(files):
    table = judged("only_cls")
    table.loc[table["map"] == "random", "mean"] = 0.52
    write_tsv(files[1], table)
    with pytest.raises(InputError, match=r"only_cls\.tsv"):
        read_judged(files)


def test_a_verdict_that_is_none_is_no_table(files, tmp_path):
    path = tmp_path / "table.json"
    write_page(path, page_of_maps(read_judged(files)))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"beats_chance": {"a": "yes"}}))
    with pytest.raises(InputError, match=r"table\.json"):
        read_page(path)


def test_the_command_writes_every_format_and_again_equal_bytes(files, tmp_path):
    (tmp_path / "excluded.tsv").write_text("scan\tby\treason\n")
    scans = [f"sub-{name}\t{name}\t{name}\tA\n" for name in ("MS", "NMOSD")]
    (tmp_path / "cohort.tsv").write_text("scan\tsubject\tdiagnosis\tsite\n" + "".join(scans))

    def written(folder: str) -> dict[str, str]:
        out = {name: tmp_path / folder / f"table.{name}" for name in ("tsv", "json", *FORMATS)}
        given = ["--localisation", *map(str, files), "--split=grouped", "--k=2"]
        given += [f"--{name}={tmp_path}/{name}.tsv" for name in ("cohort", "excluded")]
        main(["--table", "S2", *given, *(f"--out-{name}={path}" for name, path in out.items())])
        return {name: path.read_text(encoding="utf-8") for name, path in out.items()}

    first = written("one")
    assert written("two") == first
    for name in FORMATS:
        text = unescape(first[name]).replace("\\", "").replace("\u00a0", " ")
        assert "Localisation of lesions by class evidence" in text
        assert "do not beat chance" in text
        assert "Folds (grouped): balanced over folds" in text
        assert "Random map" in text
    assert "0.870 ± 0.020" in first["md"]
    table = pd.read_csv(tmp_path / "one/table.tsv", sep="\t")
    assert list(table["label"].unique()) == LABELS
    assert len(table) == 3 * len(LABELS)


def test_it_needs_its_own_files(tmp_path, capsys):
    out = [f"--out-{name}={tmp_path}/t.{name}" for name in ("tsv", "json", *FORMATS)]
    with pytest.raises(SystemExit):
        main(["--table", "S2", "--excluded", "e.tsv", *out])
    assert (
        "table S2 needs --localisation and --cohort and --split and --k" in capsys.readouterr().err
    )


def test_the_report_shows_both_lines_of_each_map(files):
    (table,) = shown_tables(page_of_maps(read_judged(files)))
    texts = [cell.text for row in table.rows for cell in row]
    assert "0.830–0.910" in texts
    assert len(table.rows) == 2 * len(LABELS)
