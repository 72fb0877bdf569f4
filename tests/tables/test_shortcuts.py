"""Table S6 says who tells classes without lesions, and Table 4 says so of its own."""

from __future__ import annotations

import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.evaluate.aggregate import across_folds
from msnmo.report.tables import shown_tables
from msnmo.tables.__main__ import main
from msnmo.tables.model import read_page
from msnmo.tables.render import FORMATS
from msnmo.tables.shortcuts import page_of_shortcuts, read_judged, told_of_shortcuts
from tests.measured import of_folds

# of each method: AUC, low and high as evaluated, filled, and their difference
READ = ("metrics", "statistics", "site-alone", "excluded")
AUCS = {
    "joint": [(0.97, 0.91, 1.0), (0.71, 0.601, 0.8), (0.26, 0.15, 0.37)],
    "resnet50": [(0.8, 0.7, 0.9), (0.52, 0.41, 0.63), (0.28, -0.02, 0.4)],
}
FEATURES = (0.66, 0.55, 0.77)
ABOVE = {"joint": "yes", "resnet50": "no"}


def judged(method: str, features=FEATURES, **changed) -> pd.DataFrame:
    """As `msnmo.evaluate.statistics.shortcuts` writes it."""
    said = {"filled": ABOVE[method], "features": "yes" if features[1] > 0.5 else "no"}
    kinds = ("evaluated", "filled", "difference", "features")
    rows = [
        {
            "method": method,
            "images": kind,
            **{"auc": auc, "sd_seeds": None, "ci_low": low, "ci_high": high, "confidence": 0.95},
            "above_chance": said.get(kind),
            **{"n_folds": 5, "n_undefined_folds": 0, "n_seeds": 1},
            **{"n_scans": 20, "n_without_mask": 0, "n_subjects": 17},
        }
        | changed
        for kind, (auc, low, high) in zip(kinds, [*AUCS[method], features], strict=True)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{method}.tsv" for method in AUCS]
    for path in paths:
        write_tsv(path, judged(path.stem))
    return paths


def texts(line) -> list[str]:
    return [cell.text for cell in line.cells]


def test_rows_are_the_methods_and_the_features_once(files):
    page = page_of_shortcuts(read_judged(files), "grouped")
    (panel,) = page.panels
    assert [block.label for block in panel.blocks] == ["Joint Model", "ResNet50", "Image features"]
    assert panel.columns == (
        *("AUC (%)", "lesions filled (%)", "difference", "above chance without lesions"),
    )
    joint, resnet, features = (block.lines for block in panel.blocks)
    assert [line.name for line in joint] == ["mean", "95 % CI"]
    assert texts(joint[0]) == ["97.00", "71.00", "26.00", "yes"]
    assert texts(joint[1]) == ["91.00–100.00", "60.10–80.00", "15.00–37.00", ""]
    assert texts(resnet[1])[2] == "−2.00 to 40.00"
    assert texts(features[0]) == ["–", "66.00", "–", "yes"]


def test_what_is_found_is_said_with_its_numbers(files):
    notes = page_of_shortcuts(read_judged(files), "grouped").notes
    told = [
        "Joint Model (AUC 71.00 %, 95 % CI 60.10–80.00): tells classes without lesions, it may use "
        "scanner or site.",
        "Intensities, sharpness and voxel size alone also tell classes (AUC 66.00 %, 95 % CI "
        "55.00–77.00): site and class go together in these scans.",
    ]
    assert told_of_shortcuts(read_judged(files), "grouped") == told
    assert [note for note in notes if note in told] == told
    assert "20 test scans with a lesion mask" in " ".join(notes)


def test_where_sites_are_not_seen_no_site_is_blamed(files):
    told = told_of_shortcuts(read_judged(files), "site")
    assert told == [
        "Joint Model (AUC 71.00 %, 95 % CI 60.10–80.00): tells classes without lesions, at sites "
        "not seen in training.",
        "Intensities, sharpness and voxel size alone also tell classes (AUC 66.00 %, 95 % CI "
        "55.00–77.00): at sites not seen.",
    ]


@pytest.mark.parametrize(("high", "said"), [(0.49, True), (0.5, False)])
def test_who_is_below_chance_without_lesions_is_named(high, said, tmp_path):
    table = judged("resnet50").set_index("images")
    table.loc["filled", ["auc", "ci_low", "ci_high"]] = 0.3, 0.2, high
    write_tsv(tmp_path / "resnet50.tsv", table.reset_index())
    notes = page_of_shortcuts(read_judged([tmp_path / "resnet50.tsv"]), "grouped").notes
    found = [note for note in notes if "scores are reversed" in note]
    assert [note.split(":")[0] for note in found] == (
        ["ResNet50 (AUC 30.00 %, 95 % CI 20.00–49.00)"] * said
    )


def test_where_nothing_is_found_nothing_is_said(tmp_path):
    path = tmp_path / "resnet50.tsv"
    write_tsv(path, judged("resnet50", features=(0.5, 0.4, 0.6)))
    assert told_of_shortcuts(read_judged([path]), "grouped") == []


def test_scans_without_a_mask_seeds_and_folds_without_a_value_are_told(tmp_path):
    path = tmp_path / "joint.tsv"
    table = judged("joint", n_without_mask=3, n_undefined_folds=1, n_folds=4, n_seeds=2)
    write_tsv(path, table.assign(sd_seeds=[0.01, 0.02, 0.015, None]))
    page = page_of_shortcuts(read_judged([path]), "grouped")
    said = " ".join(page.notes)
    assert "3 test scans without a lesion mask are left out" in said
    assert "Undefined in 1 of 5 folds" in said
    assert "17 subjects and 2 seeds" in said
    joint, features = page.panels[0].blocks
    assert [line.name for line in joint.lines] == ["mean", "between seeds", "95 % CI"]
    assert texts(joint.lines[1]) == ["± 1.00", "± 2.00", "± 1.50", ""]
    assert [line.name for line in features.lines] == ["mean", "95 % CI"]


def test_where_no_scan_has_a_mask_nothing_is_claimed(tmp_path):
    path = tmp_path / "joint.tsv"
    numbers = dict.fromkeys(("auc", "ci_low", "ci_high", "above_chance"))
    write_tsv(path, judged("joint", **numbers))
    page = page_of_shortcuts(read_judged([path]), "grouped")
    assert texts(page.panels[0].blocks[0].lines[0]) == ["n/a", "n/a", "n/a", "–"]


def test_a_certain_classifier_is_named_without_an_interval(tmp_path):
    path = tmp_path / "joint.tsv"
    bounds = {"ci_low": None, "ci_high": None}
    write_tsv(path, judged("joint", auc=1.0, **bounds))
    page = page_of_shortcuts(read_judged([path]), "grouped")
    told = "Joint Model (AUC 100.00 %): tells classes without lesions, it may use scanner or site."
    assert told in page.notes
    assert "No 95 % CI for an AUC of 0 or 100 %, as the bootstrap's has no width." in page.notes


def test_methods_tested_on_other_scans_are_refused(files):
    write_tsv(files[1], judged("resnet50", features=(0.6, 0.5, 0.7)))
    with pytest.raises(InputError, match=r"resnet50\.tsv"):
        read_judged(files)


def test_the_command_writes_every_format_and_again_equal_bytes(files, tmp_path):
    (tmp_path / "excluded.tsv").write_text("scan\tby\treason\n")

    def written(folder: str) -> dict[str, bytes]:
        out = {name: tmp_path / folder / f"table.{name}" for name in ("tsv", "json", *FORMATS)}
        given = ["--shortcuts", *map(str, files), "--excluded", str(tmp_path / "excluded.tsv")]
        given += of_folds(tmp_path)
        main(["--table", "S6", *given, *(f"--out-{name}={path}" for name, path in out.items())])
        return {name: path.read_bytes() for name, path in out.items()}

    first = written("one")
    assert written("two") == first
    for name in FORMATS:
        assert "Classification without lesions" in first[name].decode()
        assert "classes without lesions, at sites not seen in training" in first[name].decode()
    table = pd.read_csv(tmp_path / "one/table.tsv", sep="\t")
    assert len(table) == 3 * len(AUCS) + 1
    (shown,) = shown_tables(read_page(tmp_path / "one/table.json"))
    assert "71.00" in [cell.text for row in shown.rows for cell in row]


def test_the_table_of_classifiers_says_which_tell_classes_without_lesions(
    joint_only, statistics, site_alone, tmp_path
):
    paths = {name: tmp_path / f"{name}.tsv" for name in (*READ, "joint")}
    write_tsv(paths["metrics"], joint_only)
    write_tsv(paths["statistics"], statistics(across_folds(joint_only)))
    paths["excluded"].write_text("scan\tby\treason\n")
    write_tsv(paths["site-alone"], site_alone)
    write_tsv(paths["joint"], judged("joint"))
    named = [f"--{name}={paths[name]}" for name in READ]
    out = [f"--out-{name}={tmp_path / name}" for name in ("tsv", "json", *FORMATS)]
    told = "Joint Model (AUC 71.00 %, 95 % CI 60.10–80.00): tells classes without lesions, at sites"
    for shortcuts, times in ([paths["joint"]], 1), ([], 0):
        main(["--table=4", *named, *of_folds(tmp_path), *out, "--shortcuts", *map(str, shortcuts)])
        notes = read_page(tmp_path / "json").notes
        assert sum(note.startswith(told) for note in notes) == times
        assert (told in (tmp_path / "html").read_text(encoding="utf-8")) == bool(times)


def test_it_needs_its_own_files(tmp_path, capsys):
    out = [f"--out-{name}={tmp_path}/t.{name}" for name in ("tsv", "json", *FORMATS)]
    with pytest.raises(SystemExit):
        main(["--table", "S6", "--excluded", "e.tsv", *of_folds(tmp_path), *out, "--shortcuts"])
    assert "table S6 needs --shortcuts" in capsys.readouterr().err
