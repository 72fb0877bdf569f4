"""The whole report of a small run: everything is there, linked, escaped and repeatable."""

import argparse
import json
import re
import shutil
import socket
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from msnmo.core.errors import InputError
from msnmo.core.volumes import load_mask
from msnmo.report.overview import draw_worst
from msnmo.report.results import Results, add_arguments
from msnmo.report.scan_page import layers_of as scan_layers
from msnmo.report.summary import lead, left_out_facts, overview_facts
from msnmo.viewing.pages import PAGES
from tests.report.small_run import HOSTILE, SCANS, WITHOUT_LESION, judge_maps, make_run


class Links(HTMLParser):
    """The addresses and the ids of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.ids = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.addresses += [named[key] for key in ("href", "src") if named.get(key)]
        self.ids += [named["id"]] if "id" in named else []


def text_of(path):
    return path.read_text(encoding="utf-8")


def layers_of(site, scan):
    text = text_of(site / f"scans/{scan}.js")
    return json.loads(text.removeprefix("var msnmoLayers = ").removesuffix(";\n"))


def test_every_page_is_there_and_says_what_it_is_not_for(site):
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    wanted = [address for _, address in PAGES] + [f"scans/{scan}.html" for scan in SCANS]
    assert pages == sorted(wanted)
    for page in pages:
        text = text_of(site / page)
        assert "not for diagnosis" in text
        assert "1 of 6 scans is simulated." in text
        assert HOSTILE not in text
        assert not re.search(r"https?:", text), page


def test_links_resolve_within_the_run(site, run):
    """Within the report, but for the pages of quality and of the check."""
    beside = {run.folder / "quality/index.html", run.folder / "check/findings.html"}
    ids = {path: Links(text_of(path)).ids for path in (*site.rglob("*.html"), *beside)}
    for page, named in ids.items():
        assert len(set(named)) == len(named), page
        for address in Links(text_of(page)).addresses:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            assert not parts.scheme, address
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.is_file(), (page, address)
            assert target.is_relative_to(site.resolve()) or target in beside
            if parts.fragment:
                assert parts.fragment in ids[target], (page, address)


def test_of_several_seeds_the_first_is_shown(run, tmp_path):
    """Its predictions are, so its metrics: another seed's change nothing."""
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("report"))
    path = folder / "metrics/all.tsv"
    first = pd.read_csv(path, sep="\t", keep_default_na=False)
    second = first.assign(
        seed=2, value=["n/a" if each == "n/a" else 0.0 for each in first["value"]]
    )
    pd.concat([first, second]).to_csv(path, sep="\t", index=False)
    options = replace(run, folder=folder).options(tmp_path / "report")
    shown, alone = (read_results(words) for words in (options, run.options(tmp_path / "report")))
    pd.testing.assert_frame_equal(shown.metrics, alone.metrics)
    assert set(shown.metrics["seed"]) == {1}
    assert dict(overview_facts(shown))["seeds"] == (
        "1, 2: tables are of all, scans and figures of the first, 1"
    )
    assert "seeds" not in dict(overview_facts(alone))


def read_results(words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return Results.read(parser.parse_args(words))


def test_equal_results_give_equal_bytes(run, site):
    # beside the first, as pages link to others of the run
    other = run.write(run.folder / "again")
    files = sorted(path.relative_to(site) for path in site.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    for name in files:
        assert (site / name).read_bytes() == (other / name).read_bytes(), name


def test_a_scan_is_shown_by_the_fold_that_did_not_train_on_it(site):
    names = [layer["name"] for layer in layers_of(site, "sub-N1")]
    assert names == ["scan", "truth", "prediction", "probability", "localisation", "unet"]
    assert [layer["name"] for layer in layers_of(site, "sub-X1")] == ["scan"]
    text = text_of(site / "scans/sub-N1.html")
    assert "by fold 1, whose networks were trained on other scans" in text
    assert text.count("<tr>") == 2 * (1 + 3), "two tables of three methods"


def test_a_scan_leads_to_its_quality_the_check_and_the_next_worse_and_better(site, run):
    ordered = read_results(run.options()).of_scans("DSC")["joint"].dropna().sort_values().index
    text = text_of(site / f"scans/{ordered[1]}.html")
    assert f'<a href="../../quality/index.html#{ordered[1]}">quality of this scan</a>' in text
    assert '<a href="../../check/findings.html">check</a>' in text
    assert "where the report was copied alone, they are not there" in text
    assert f'<a href="{ordered[0]}.html">next worse: {ordered[0]}</a>' in text
    assert f'<a href="{ordered[2]}.html">next better: {ordered[2]}</a>' in text
    assert "next worse" not in text_of(site / f"scans/{ordered[0]}.html")
    assert "next" not in re.sub("<script.*?>", "", text_of(site / "scans/sub-X1.html"))


def test_a_misclassified_scan_says_so_on_its_page(site, run):
    results = read_results(run.options())
    scores, truth = results.of_scans("P_NMOSD")["joint"].dropna(), results.cohort["diagnosis"]
    wrong = {scan for scan in scores.index if (scores[scan] > 0.5) != (truth[scan] == "NMOSD")}
    assert set() < wrong < set(scores.index)
    for scan in SCANS:
        text = text_of(site / f"scans/{scan}.html")
        assert ("Misclassified: Joint Model says" in text) == (scan in wrong), scan
        assert ("(wrong)" in text) == (scan in wrong), scan


def test_a_map_that_does_not_beat_chance_says_so_wherever_it_is_shown(site):
    said = "This map does not find lesions better than chance (AUROC 0.51, 95 % interval 0.46 to"
    for page in ("index.html", "scans/sub-N1.html"):
        assert said in text_of(site / page), page
    (layer,) = [each for each in layers_of(site, "sub-N1") if each["name"] == "localisation"]
    assert layer["label"] == "localisation map (not better than chance)"
    assert said not in text_of(site / "scans/sub-X1.html"), "no network saw it"


@pytest.mark.parametrize(
    ("numbers", "label", "said"),
    [
        ((0.87, 0.83, 0.91), "AUROC 0.87", "AUROC against lesions 0.87 (95 % interval 0.83 to"),
        (None, "not measured", "Whether this map finds lesions was not measured."),
    ],
)
def test_other_maps_say_what_is_known_of_them(tmp_path, numbers, label, said):
    run = make_run(tmp_path, ("joint",))
    if numbers:
        judge_maps(tmp_path, *numbers)
    else:
        (tmp_path / "localisation/joint.tsv").unlink()
    run.write_scan("sub-N1")
    (layer,) = [each for each in layers_of(run.site, "sub-N1") if each["name"] == "localisation"]
    assert layer["label"] == f"localisation map ({label})"
    assert said in text_of(run.site / "scans/sub-N1.html")


def test_a_localisation_map_is_of_the_brain(run):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    results = Results.read(parser.parse_args(run.options()))
    predictions = f"{run.folder}/predictions/{{method}}/fold-{{fold}}"
    layers = {each.name: each.volume.data for each in scan_layers(results, "sub-N1", predictions)}
    brain = load_mask(results.manifest.loc["sub-N1", "native_brain"]).data
    assert (layers["localisation"][brain] > 0.3).all()
    assert not layers["localisation"][~brain].any()


def test_a_page_shows_the_brain_alone_where_that_is_asked_for(run, tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    results = Results.read(parser.parse_args(run.options()))
    predictions = f"{run.folder}/predictions/{{method}}/fold-{{fold}}"
    brain = load_mask(results.manifest.loc["sub-N1", "native_brain"]).data
    head, *_ = scan_layers(results, "sub-N1", predictions)
    alone, *others = scan_layers(results, "sub-N1", predictions, deface=True)
    assert head.volume.data[~brain].any()
    assert not alone.volume.data[~brain].any()
    np.testing.assert_array_equal(alone.volume.data[brain], head.volume.data[brain])
    assert others[0].name == "truth"
    run.write_scan("sub-N1", tmp_path, "--deface")
    assert layers_of(tmp_path, "sub-N1")[0]["label"] == "scan as it arrived, brain alone"


def test_what_is_copied_names_no_folder_user_or_machine(run, site):
    """The run lies in a folder of its own, whose whole path every command was given."""
    words = {str(run.folder), f"@{socket.gethostname()}", "/home/", "/root/"}
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".js", ".svg")]
    assert len(files) > len(SCANS)
    for path in files:
        if path.parent.name != "assets":
            text = path.read_text(encoding="utf-8")
            assert not [word for word in words if word in text], path


def test_overview_names_exclusions_engines_and_versions(site):
    text = text_of(site / "index.html")
    for told in ("6 of 5 subjects", "sub-Z9", "surface", "torch", "abc and changes", "Joint Model"):
        assert told in text, told


def test_overview_is_read_at_a_glance(site, run):
    text = text_of(site / "index.html")
    assert "DSC 87.0 %, interval 80.0 to 95.0; reported 74.9" in text
    assert 'class="curve" points="46.0,272.0 ' in text, "from 0, 0"
    values = read_results(run.options()).of_scans("DSC")["joint"].dropna().sort_values()
    shown = re.findall(r'<li><a href="scans/(.*?)\.html"><img src="(.*?)" alt="(.*?)">', text)
    assert [scan for scan, _, _ in shown] == list(values.index[:3]), "the worst first"
    assert [(site / file).is_file() for _, file, _ in shown] == [True] * 3
    assert all(scan in alt for scan, _, alt in shown)


def test_the_worst_scans_may_be_shown_without_a_face(run, tmp_path):
    results, predictions = read_results(run.options()), f"{run.folder}/predictions"
    pattern = predictions + "/{method}/fold-{fold}"
    (whole, *_) = draw_worst(results, pattern, tmp_path / "whole")
    (alone, *_) = draw_worst(results, pattern, tmp_path / "alone", deface=True)
    shown = [imread(tmp_path / name / "worst-1.png")[..., :3] for name in ("whole", "alone")]
    assert whole.file == alone.file == "figures/worst-1.png"
    assert (shown[0][:4] > 0.1).any(), "the head reaches the edge"
    assert not (shown[1][:4] > 0.1).any()


def test_scans_are_listed_with_what_is_wrong_of_them(site, run):
    text = text_of(site / "scans.html")
    results = read_results(run.options())
    scores = results.of_scans("P_NMOSD")["joint"]
    truth = results.cohort["diagnosis"]
    wrong = ((scores > 0.5) != (truth == "NMOSD")) & scores.notna() & truth.notna()
    assert text.count("(wrong)") == wrong.sum() > 0


def test_tables_have_ours_reported_and_difference(site):
    text = text_of(site / "tables.html")
    assert 'aria-label="DSC (%), primary, difference"' in text
    assert "not run" in text
    assert "90.00 ±\u00a01.50" in text
    assert "+19.36" in text, "90.00 - 70.64"
    assert "Excluded: 1 scan, 1 by the rater" in text


def test_tables_are_downloaded_from_the_report(site, run):
    text = text_of(site / "tables.html")
    for ending in ("tsv", "tex"):
        assert f'<a href="tables/table-3.{ending}" download' in text
        copy, made = (folder / f"tables/table-3.{ending}" for folder in (site, run.folder))
        assert copy.read_bytes() == made.read_bytes()
    assert "tables/table-1." not in text, "has no such files"


def test_figures_have_their_captions_and_what_is_seen_in_words(site, tmp_path):
    text = text_of(site / "figures.html")
    assert "</strong> The caption of figure-8: &#34;&gt;&lt;script&gt;" in text
    assert "The caption of pathway" not in text, "it has no SVG"
    seen = re.findall(r'alt="([^"]*)"', text)
    assert len(seen) == 3
    assert all(len(each) > 80 for each in seen)
    assert "left out, as" not in text
    alone = make_run(tmp_path, ("joint",)).write()
    assert "it would be the same as Figure 9." in text_of(alone / "figures.html")


def test_abbreviations_are_told_once_a_page(site):
    text = text_of(site / "tables.html")
    assert text.count("Dice similarity coefficient") == 1
    assert "<strong>DSC</strong> Dice similarity coefficient," in text
    assert "<strong>VC</strong>" in text, "of Table S1"
    assert "expected calibration error" not in text, "no table has it"
    assert "Dice" not in text_of(site / "scans/sub-X1.html")


def test_regions_of_a_page_have_names_of_their_own(site):
    for page in site.glob("*.html"):
        names = re.findall(r'role="region" (aria-label(?:ledby)?="[^"]*")', text_of(page))
        assert len(set(names)) == len(names), page
        for picture in re.findall(r'<svg[^>]*role="img".*?</svg>', text_of(page), re.DOTALL):
            assert "<a " not in picture, page


def test_points_lead_to_their_scans(site):
    text = text_of(site / "scans.html")
    points = re.findall(r'<a href="scans/([^"]+)\.html" tabindex="-1"><title>([^<]*)', text)
    # the scan without a lesion has no DSC; of the two tasks' methods, two each
    assert len(points) == 2 * 4 + 2 * 5
    assert all(told.startswith(scan) for scan, told in points)
    assert "2 points are missing" in text
    assert WITHOUT_LESION in {scan for scan, _ in points}


def test_provenance_has_the_config_the_rules_and_their_costs(site):
    text = text_of(site / "provenance.html")
    assert "scans: é &lt;b&gt;.tsv" in text
    assert 'id="rule-train_fold"' in text
    assert 'data-value="200.0">3 min<' in text, "both trainings"
    assert 'data-value="0.2">0.2 s<' in text
    assert re.search(r">\d\.\d MB on average, \d\.\d MB at most<", text)
    assert "820" in text
    assert 'class="idle"' in text, "most rules had no job"


@pytest.mark.parametrize(
    ("methods", "layers", "missing"),
    [
        (("unet", "vnet"), {"scan", "truth", "prediction", "probability", "vnet"}, "Probability"),
        (("resnet50",), {"scan", "truth"}, "DSC of each scan"),
        (("only_seg", "joint"), {"scan", "truth", "localisation", "only_seg"}, None),
    ],
)
def test_any_choice_of_methods_has_a_report(tmp_path, methods, layers, missing):
    site = make_run(tmp_path, methods).write()
    assert {layer["name"] for layer in layers_of(site, "sub-N1")} >= layers
    text = text_of(site / "scans.html")
    assert missing is None or f"<h2>{missing}" not in text


def test_folds_that_were_not_run_and_figures_that_were_not_drawn(tmp_path):
    site = make_run(tmp_path, folds=(1,), figures=()).write()
    assert [layer["name"] for layer in layers_of(site, "sub-M2")] == ["scan", "truth"]
    assert "by none of the folds that were run" in text_of(site / "scans/sub-M2.html")
    assert "No figure was drawn" in text_of(site / "figures.html")


def test_no_scan_may_lack_its_page(run, tmp_path):
    run.write_scan("sub-N1", tmp_path / "site")
    with pytest.raises(InputError, match="the page of sub-N2") as caught:
        run.write_site(tmp_path / "site")
    assert len(caught.value.findings) == len(SCANS) - 1


def test_every_bad_record_is_named(run, site, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    broken = type(run)(folder, run.methods, run.folds)
    (folder / "models/joint/fold-0/run.json").write_text("{}")
    (folder / "models/unet/fold-1/run.json").unlink()
    with pytest.raises(InputError) as caught:
        broken.write_site()
    assert len(caught.value.findings) == 2


def test_costs_are_summed_by_rule(run):
    from msnmo.report.costs import read_costs

    costs = read_costs(run.folder / "benchmarks")
    assert costs.loc["train_fold"].tolist() == [2, 200.0, 100.0, 110.0, 820.1]
    assert pd.isna(costs.loc["split_folds", "max_rss_mb"])
    assert read_costs(run.folder / "nowhere").empty


def test_pages_of_scans_that_were_excluded_since_are_removed(run, site, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(site, copy)
    for name in ("sub-Gone.html", "sub-Gone.js", ".tmp-a1b2-sub-N1.js"):
        (copy / "scans" / name).write_text("of a scan that is not to be seen")
    run.write_site(copy)
    left = sorted(path.name for path in (copy / "scans").iterdir())
    assert left == sorted(f"{scan}{ending}" for scan in SCANS for ending in (".html", ".js"))


def test_what_is_left_out_of_one_class_is_named_with_its_tables_and_figures(run):
    results = read_results(run.options(run.folder / "report"))
    cohort = results.cohort.assign(diagnosis="MS", lesion_mask="mask.nii.gz")
    shown = replace(results, cohort=cohort, methods=("only_seg", "unet"))
    facts = dict(left_out_facts(shown, ["joint", "only_cls"]))
    assert facts["left out"] == ("Left out, since the cohort has one class (MS): joint, only_cls.")
    assert facts["tables left out with them"] == "4, 6, 7, 8, 9, S2, S6"
    assert "ROC curves without and with joint learning" in facts["figures left out with them"]
    assert left_out_facts(shown, []) == []
    assert "NMOSD" not in dict(overview_facts(shown))
    assert lead(["joint"]) == "Lesion segmentation"
    assert lead([]) == "Joint lesion segmentation and classification of MS and NMOSD"
