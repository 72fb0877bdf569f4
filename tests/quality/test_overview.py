"""The page shows every scan and obeys no text it is given; the table has every number."""

import re

import pandas as pd

DECISIONS = "scan\tdecision\treason\nsub-2\texclude\tmotion & more\nsub-7\texclude\told\n"


def test_each_scan_has_its_card_numbers_and_picture(make_page):
    page = make_page()
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 3
    assert ">1 of 3 scans is simulated." in text
    for number in (1, 2, 3):
        assert f'src="sub-{number}/sub-{number}.png"' in text
    assert "1330 ml" in text
    assert "http" not in text.replace("http.server", ""), "it opens without a network"
    table = pd.read_csv(page.with_name("quality.tsv"), sep="\t")
    assert table["brain_ml"].tolist() == [1310, 1320, 1330]
    assert table["scan"].tolist() == ["sub-1", "sub-2", "sub-3"]


def test_hostile_text_is_shown_and_not_run(make_page):
    text = make_page().read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)") == 2, "the site and the flag"
    assert text.count("<script>") == 1


def test_decisions_are_preset_and_those_of_other_scans_kept(make_page):
    text = make_page(DECISIONS).read_text(encoding="utf-8")
    (card,) = re.findall(r'<article[^>]*data-scan="sub-2".*?</article>', text, re.DOTALL)
    assert re.search(r'value="exclude" checked', card)
    assert 'value="motion &amp; more"' in card
    assert len(re.findall(" checked>", text)) == 1
    assert 'data-scan="sub-7" data-decision="exclude" data-reason="old"' in text


def test_outliers_are_flagged_in_cohorts_large_enough(make_page):
    flags = pd.read_csv(make_page(count=9).with_name("quality.tsv"), sep="\t")["flags"].fillna("")
    assert "brain volume unlike the cohort's" in flags[8]
    assert not flags[1:8].str.contains("unlike").any()
    few = pd.read_csv(make_page(count=3).with_name("quality.tsv"), sep="\t")["flags"].fillna("")
    assert not few.str.contains("unlike").any()


def test_equal_input_gives_equal_bytes(make_page):
    first = make_page(DECISIONS).read_bytes()
    assert make_page(DECISIONS).read_bytes() == first
