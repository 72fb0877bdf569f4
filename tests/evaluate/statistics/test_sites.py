"""Every metric by site, and the AUC of pairs within sites, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from msnmo.core.diagnoses import NO_DIAGNOSIS, VARIABLE
from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.evaluate.aggregate import COLUMNS as METRIC_COLUMNS
from msnmo.evaluate.statistics.bootstrap import Drawn, auc
from msnmo.evaluate.statistics.sites import by_site, columns, main
from tests.measured import with_folds

# scan, diagnosis, site, fold, probability of NMOSD, DSC
SCANS = [
    ("sub-a1", "MS", "A", 0, 0.2, 0.5),
    ("sub-a2", "NMOSD", "A", 0, 0.1, 0.7),
    ("sub-b1", "MS", "B", 0, 0.3, 0.2),
    ("sub-b2", "NMOSD", "B", 0, 0.9, 0.4),
    ("sub-a3", "MS", "A", 1, 0.6, np.nan),
    ("sub-b3", "NMOSD", "B", 1, 0.5, 0.6),
    ("sub-b4", "MS", "B", 1, 0.5, 0.8),
]


@pytest.fixture
def folds():
    table = pd.DataFrame(SCANS, columns=["scan", "diagnosis", "site", "fold", "p", "dsc"])
    return table.assign(subject=table["scan"].str.removeprefix("sub-"))


@pytest.fixture
def sites(folds):
    return folds.set_index("scan")["site"]


def measured(folds, seeds=(1,)):
    """Metrics of the joint model; of the second seed every scan is scored right and surely."""
    rows = []
    for place, seed in enumerate(seeds):
        for scan in folds.itertuples():
            true = float(scan.diagnosis == "NMOSD")
            p = true if place else scan.p
            values = {"P_NMOSD": p, "ACC": float((p > 0.5) == (true == 1))}
            rows += [("joint", scan.fold, seed, scan.scan, m, v, "n/a") for m, v in values.items()]
            rows.append(("joint", scan.fold, seed, scan.scan, "DSC", scan.dsc, "model"))
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def compared(folds, sites, **options):
    diagnoses = folds.set_index("scan")["diagnosis"]
    metrics = with_folds(measured(folds, **options), diagnoses)
    drawn = Drawn.draw(folds, metrics["seed"], 400, 3)
    table = by_site(metrics, folds, sites, drawn, confidence=0.95, space="model")
    return table.set_index(["metric", "scope", table["site"].fillna("")]).sort_index()


def test_auc_counts_pairs_of_one_fold_and_within_sites_of_one_site(folds, sites):
    auc_of = compared(folds, sites).loc["AUC"]
    # fold 0: a2 and b2 against a1 and b1, b2 alone right; fold 1: b3 against a3 wrong, b4 a tie
    assert auc_of.loc[("all", ""), "value"] == pytest.approx(100 * 2.5 / 6)
    # a2 against a1 wrong, b2 against b1 right, b3 against b4 a tie
    assert auc_of.loc[("within", ""), "value"] == pytest.approx(100 * 1.5 / 3)
    assert auc_of.loc[("site", "A"), "value"] == 0
    assert auc_of.loc[("site", "B"), "value"] == pytest.approx(100 * 1.5 / 2)
    assert auc_of["n_pairs"].to_dict() == {
        ("all", ""): 6,
        ("within", ""): 3,
        ("site", "A"): 1,
        ("site", "B"): 2,
    }


def test_other_metrics_are_means_over_the_scans_of_a_site(folds, sites):
    table = compared(folds, sites)["value"]
    expected = {
        ("ACC", "all", ""): 4 / 7,
        ("ACC", "site", "A"): 1 / 3,
        ("ACC", "site", "B"): 3 / 4,
        ("SN", "all", ""): 1 / 3,
        ("SN", "site", "A"): 0,
        ("SN", "site", "B"): 1 / 2,
        ("SP", "all", ""): 3 / 4,
        ("SP", "site", "A"): 1 / 2,
        ("SP", "site", "B"): 1,
        ("DSC", "all", ""): 3.2 / 6,
        ("DSC", "site", "A"): 0.6,
        ("DSC", "site", "B"): 0.5,
    }
    for place, value in expected.items():
        assert table[place] == pytest.approx(100 * value), place
    assert "within" not in table["ACC"].index.get_level_values("scope")


def test_each_number_says_what_it_is_of(folds, sites):
    table = compared(folds, sites)
    counts = ["n_scans", "n_undefined_scans", "n_subjects", "n_ms", "n_nmosd", "n_seeds"]
    assert table.loc[("DSC", "site", "A"), counts].tolist() == [2, 1, 2, 1, 1, 1]
    assert table.loc[("SN", "site", "B"), counts].tolist() == [2, 0, 2, 0, 2, 1]
    assert table.loc[("ACC", "all", ""), counts].tolist() == [7, 0, 7, 4, 3, 1]
    assert table["n_pairs"].drop("AUC").isna().all()


def test_a_share_of_none_has_the_exact_interval_of_its_subjects(folds, sites):
    """The one scan of NMOSD of site A is named MS."""
    none = compared(folds, sites).loc[("SN", "site", "A")]
    assert (none["value"], none["ci_low"], none["interval"]) == (0, 0, "exact")
    assert none["ci_high"] == pytest.approx(100 * (1 - 0.025 ** (1 / none["n_subjects"])))


def test_volumes_of_two_scans_have_no_correlation(folds, sites):
    metrics = measured(folds)
    true = dict(zip(folds["scan"], (1.0, 2.0, 1.0, 2.0, 3.0, 5.0, 8.0), strict=True))
    volumes = [
        ("joint", scan.fold, 1, scan.scan, name, true[scan.scan] * part, "native")
        for scan in folds.itertuples()
        for name, part in (("V_TRUE", 1), ("V_PRED", -1))
    ]
    metrics = pd.concat([metrics, pd.DataFrame(volumes, columns=list(METRIC_COLUMNS))])
    metrics = with_folds(metrics, folds.set_index("scan")["diagnosis"])
    drawn = Drawn.draw(folds, [1], 400, 3)
    two = sites.where(~sites.index.isin(["sub-a3"]), "B")
    for where, value in ((sites, -1), (two, np.nan)):
        table = by_site(metrics, folds, where, drawn, confidence=0.95, space="model")
        of_site = table[(table["metric"] == "VC") & (table["site"] == "A")].iloc[0]
        assert of_site["value"] == pytest.approx(value, nan_ok=True)
        assert np.isnan(of_site["ci_low"]) == np.isnan(value)


def test_a_site_of_one_class_has_no_auc_and_no_rate_of_the_other(folds, sites):
    one = sites.where(sites != "A", folds.set_index("scan")["diagnosis"].map({"MS": "A"}.get))
    table = compared(folds, one.fillna("B"))
    assert np.isnan(table.loc[("AUC", "site", "A"), "value"])
    assert table.loc[("AUC", "site", "A"), "n_pairs"] == 0
    assert np.isnan(table.loc[("SN", "site", "A"), "value"])
    assert table.loc[("SN", "site", "A"), "n_scans"] == 0
    # b1 against a2 and b2, b4 against b3: pairs of B alone
    assert table.loc[("AUC", "within", ""), "value"] == pytest.approx(100 * 1.5 / 3)


def test_several_seeds_are_averaged_and_their_scores_never_paired(folds, sites):
    auc_of = compared(folds, sites, seeds=(1, 2)).loc["AUC"]
    assert auc_of.loc[("all", ""), "value"] == pytest.approx(100 * (2.5 / 6 + 1) / 2)
    assert auc_of.loc[("within", ""), "value"] == pytest.approx(100 * (1.5 / 3 + 1) / 2)
    assert auc_of.loc[("all", ""), ["n_pairs", "n_seeds", "n_scans"]].tolist() == [6, 2, 7]


def test_intervals_hold_the_number_and_follow_from_the_draws(folds, sites):
    table = compared(folds, sites)
    drawn = table[table["interval"].notna()]
    assert (drawn["ci_low"] <= drawn["value"]).all()
    assert (drawn["value"] <= drawn["ci_high"]).all()
    # an AUC of one pair is right or not however often it is drawn: that says nothing
    of_pair = table.loc[("AUC", "site", "A")]
    assert of_pair["value"] == 0
    assert of_pair[["ci_low", "ci_high", "interval"]].isna().all()
    acc = table.loc[("ACC", "all", "")]
    assert acc["ci_low"] < acc["value"] < acc["ci_high"]


def test_pairs_of_a_group_count_as_often_as_both_are_drawn():
    rng = np.random.default_rng(2)
    nmosd, p = rng.random(14) < 0.5, rng.random(14).round(1)
    group = rng.integers(0, 3, 14)
    counts = rng.integers(0, 3, (5, 14))
    values = auc(nmosd, p, group)(counts)
    for row, value in zip(counts, values, strict=True):
        drawn = np.repeat(np.arange(14), row)
        pairs = [
            (p[one] > p[other]) + 0.5 * (p[one] == p[other])
            for one in drawn[nmosd[drawn]]
            for other in drawn[~nmosd[drawn]]
            if group[one] == group[other]
        ]
        assert value == pytest.approx(np.mean(pairs))
    assert auc(nmosd, p, np.zeros(14))(counts).tolist() == auc(nmosd, p)(counts).tolist()


@pytest.fixture
def files(folds, tmp_path):
    write_tsv(tmp_path / "folds.tsv", folds[["scan", "subject", "diagnosis", "fold"]])
    write_tsv(tmp_path / "cohort.tsv", folds[["scan", "subject", "diagnosis", "site"]])
    write_tsv(tmp_path / "metrics.tsv", with_folds(measured(folds)))
    return tmp_path


def run_main(folder, out):
    names = ("metrics", "folds", "cohort")
    given = [f"--{name}={folder / name}.tsv" for name in names]
    main([*given, "--seed=1", "--replicates=100", f"--out={folder / out}"])
    return (folder / out).read_bytes()


def test_the_command_writes_equal_bytes(files):
    assert run_main(files, "one.tsv") == run_main(files, "two.tsv")
    table = pd.read_csv(files / "one.tsv", sep="\t", na_values="n/a", keep_default_na=False)
    assert list(table.columns) == list(columns())
    assert set(table["site"].dropna()) == {"A", "B"}


def test_scans_without_a_site_are_together_and_an_unknown_scan_is_named(files, folds):
    cohort = folds[["scan", "subject", "diagnosis", "site"]]
    write_tsv(files / "cohort.tsv", cohort.assign(site=cohort["site"].replace("A", None)))
    assert b"no site given" in run_main(files, "one.tsv")
    write_tsv(files / "cohort.tsv", cohort[1:])
    with pytest.raises(InputError, match="none of sub-a1"):
        run_main(files, "one.tsv")


def test_other_labels_give_the_same_numbers_under_their_names(folds, sites, monkeypatch):
    expected = compared(folds, sites).rename(columns={"n_nmosd": "n_mogad"})
    metrics = measured(folds).replace({"metric": {"P_NMOSD": "P_MOGAD"}})
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    folds = folds.replace({"diagnosis": {"NMOSD": "MOGAD"}})
    drawn = Drawn.draw(folds, metrics["seed"], 400, 3)
    table = by_site(metrics, folds, sites, drawn, confidence=0.95, space="model")
    assert list(table.columns) == list(columns())
    table = table.set_index(["metric", "scope", table["site"].fillna("")]).sort_index()
    # classes are drawn in the order of their names: intervals are those of other draws
    kept = [name for name in table if name not in ("ci_low", "ci_high")]
    pd.testing.assert_frame_equal(table[kept], expected[kept])


@pytest.mark.parametrize("name", ["MS", NO_DIAGNOSIS])
def test_scans_of_one_class_or_none_have_a_dsc_by_site(folds, sites, name):
    folds = folds.assign(diagnosis=name)
    metrics = measured(folds)
    metrics = metrics[metrics["metric"] == "DSC"].assign(method="only_seg")
    drawn = Drawn.draw(folds, metrics["seed"], 400, 3)
    table = by_site(metrics, folds, sites, drawn, confidence=0.95, space="model")
    whole = table[table["scope"] == "all"].set_index("metric").loc["DSC"]
    assert whole["value"] == pytest.approx(100 * np.nanmean([scan[-1] for scan in SCANS]))
    assert whole["ci_low"] < whole["value"] < whole["ci_high"]
    assert (whole["n_ms"], whole["n_nmosd"]) == (6 * (name == "MS"), 0)
