"""The comparisons of a table, against tests done by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from msnmo.cohort.folds import split_folds
from msnmo.core.files import write_tsv
from msnmo.evaluate.aggregate import COLUMNS as METRIC_COLUMNS
from msnmo.evaluate.metrics import TABLE_METRICS, metrics_of
from msnmo.evaluate.statistics.__main__ import main, scans_of
from msnmo.evaluate.statistics.bootstrap import draw_subjects
from msnmo.evaluate.statistics.compare import COLUMNS, compare_tables
from msnmo.settings.methods import METHODS
from tests.command import run_here
from tests.measured import with_folds

SCANS = 40
BOTH = ("DSC", "PPV", "TPR", "VD")


@pytest.fixture(scope="module")
def folds():
    rows = [
        (f"sub-{n // 2:02d}_ses-{n % 2}", f"{n // 2:02d}", "NMOSD" if n < 16 else "MS")
        for n in range(SCANS)
    ]
    return split_folds(
        pd.DataFrame(rows, columns=["scan", "subject", "diagnosis"]), 4, "grouped", 0
    )


def method_rows(name, folds, shift=0.0, seed=0):
    """Metrics of a method whose masks are better, and classes clearer, by `shift`."""
    rng = np.random.default_rng(seed)
    rows = []
    for scan in folds.itertuples():
        true = 1.0 if scan.diagnosis == "NMOSD" else 0.0
        values = {}
        if "segmentation" in METHODS[name].tasks:
            for space in ("model", "native"):
                values |= {(metric, space): rng.uniform(0.4, 0.8) + shift for metric in BOTH}
            values |= {
                (metric, "native"): rng.uniform(1, 9)
                for metric in (*metrics_of("segmentation", paper=False)[:-1], "V_TRUE", "V_PRED")
            }
        if "classification" in METHODS[name].tasks:
            p = float(np.clip(rng.normal(0.5 + (0.1 + shift) * (2 * true - 1), 0.2), 0, 1))
            values |= {("P_NMOSD", None): p, ("ACC", None): float((p > 0.5) == (true == 1))}
        rows += [(name, scan.fold, scan.scan, m, v, space) for (m, space), v in values.items()]
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


@pytest.fixture(scope="module")
def metrics(folds):
    names = [name for name, method in METHODS.items() if set(method.tables) & {3, 7}]
    parts = [
        method_rows(name, folds, 0.1 if name == "joint" else 0.0, seed)
        for seed, name in enumerate(names)
    ]
    return pd.concat(parts, ignore_index=True).fillna({"space": "n/a"})


def compare(table, metrics, folds, **options):
    drawn = draw_subjects(folds, 300, 1)
    given = {"confidence": 0.95, "space": "model"} | options
    return compare_tables([table], scans_of(metrics, folds), drawn, **given)


@pytest.fixture(scope="module")
def compared(metrics, folds):
    """Table 7; read-only: resampling subjects takes seconds."""
    return compare("7", metrics, folds)


def values_of(metrics, method, metric, space="model"):
    rows = metrics[(metrics["method"] == method) & (metrics["metric"] == metric)]
    return rows[rows["space"] == space].sort_values("scan")["value"].to_numpy()


def test_estimates_are_the_means_over_folds_of_the_folds_means(compared, metrics):
    table = compared.set_index(["method", "metric"])
    rows = metrics[(metrics["space"] == "model") & (metrics["metric"] == "DSC")]
    by_fold = rows.groupby(["method", "fold"])["value"].mean().groupby("method").mean()
    for name in ("joint", "only_local"):
        row = table.loc[(name, "DSC")]
        assert row["estimate"] == pytest.approx(100 * by_fold[name])
        assert row["ci_low"] < row["estimate"] < row["ci_high"]
        assert (row["n_scans"], row["n_subjects"], row["n_folds"]) == (40, 20, 4)
    difference = table.loc[("only_local", "DSC")]
    assert difference["difference"] == pytest.approx(
        100 * (by_fold["only_local"] - by_fold["joint"])
    )
    assert difference["difference_low"] < difference["difference"] < difference["difference_high"]


def test_masks_are_compared_by_wilcoxons_signed_rank(compared, metrics):
    table = compared.set_index(["metric", "method"])
    for name in ("without_sharing", "only_local", "only_global"):
        expected = stats.wilcoxon(*(values_of(metrics, n, "DSC") for n in (name, "joint"))).pvalue
        assert table.loc[("DSC", name), "p"] == pytest.approx(expected)
        assert table.loc[("DSC", name), "test"] == "wilcoxon"


def test_classes_are_compared_by_mcnemars_exact_test_within_their_scans(compared, metrics, folds):
    table = compared.set_index(["metric", "method"])
    order = folds.sort_values("scan")["diagnosis"].to_numpy()
    own, joint = (values_of(metrics, n, "ACC", "n/a") == 1 for n in ("only_local", "joint"))
    for metric, scans in (("ACC", order != ""), ("SN", order == "NMOSD"), ("SP", order == "MS")):
        better, worse = (own & ~joint)[scans].sum(), (~own & joint)[scans].sum()
        expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
        row = table.loc[(metric, "only_local")]
        assert row["p"] == pytest.approx(expected)
        assert row["n_scans"] == scans.sum()


def test_sensitivity_and_specificity_are_means_over_folds_of_their_class(compared, metrics, folds):
    table = compared.set_index(["metric", "method"])
    right = metrics[(metrics["metric"] == "ACC") & (metrics["method"] == "joint")]
    right = right.merge(folds[["scan", "diagnosis"]])
    by_fold = right.groupby(["diagnosis", "fold"])["value"].mean().groupby("diagnosis").mean()
    assert table.loc[("SN", "joint"), "estimate"] == pytest.approx(100 * by_fold["NMOSD"])
    assert table.loc[("SP", "joint"), "estimate"] == pytest.approx(100 * by_fold["MS"])


def test_holm_multiplies_the_smallest_p_by_the_number_of_methods(compared):
    dsc = compared[(compared["metric"] == "DSC") & compared["p"].notna()].sort_values("p")
    assert (dsc["family_size"] == 3).all()
    raw = dsc["p"].to_numpy()
    expected = np.minimum(np.maximum.accumulate(raw * [3, 2, 1]), 1)
    np.testing.assert_allclose(dsc["p_holm"], expected)


def test_equal_methods_have_no_difference_and_p_one(metrics, folds):
    twin = metrics[metrics["method"] == "joint"].replace({"method": {"joint": "only_local"}})
    both = pd.concat([metrics[metrics["method"] == "joint"], twin])
    table = compare("7", both, folds).set_index(["method", "metric"]).loc["only_local"]
    assert (table["difference"] == 0).all()
    assert (table["p"] == 1).all()


def test_scans_without_a_value_are_in_no_pair(metrics, folds):
    scan = folds["scan"][0]
    gone = metrics.copy()
    gone.loc[(gone["scan"] == scan) & (gone["metric"] == "TPR"), "value"] = np.nan
    row = compare("7", gone, folds).set_index(["metric", "method"]).loc[("TPR", "only_local")]
    kept = gone.dropna(subset="value")
    pair = [values_of(kept, name, "TPR") for name in ("only_local", "joint")]
    assert row["p"] == pytest.approx(stats.wilcoxon(*pair).pvalue)
    assert len(pair[0]) == SCANS - 1


def test_tables_hold_the_methods_that_were_run_in_the_registrys_order(metrics, folds):
    three = compare("3", metrics, folds)
    rows = [name for name, method in METHODS.items() if 3 in method.tables]
    assert three["method"].unique().tolist() == rows
    supplement = compare("S1", metrics, folds)
    assert set(supplement["method"]) == set(metrics["method"])
    assert set(supplement["space"]) == {"native"}
    assert supplement["metric"].unique().tolist() == list(TABLE_METRICS["S1"])
    assert set(supplement.loc[supplement["metric"] == "VC", "test"].dropna()) == {"bootstrap"}


def test_without_the_joint_model_intervals_stay(metrics, folds):
    table = compare("7", metrics[metrics["method"] != "joint"], folds)
    assert table["ci_low"].notna().all()
    assert table[["difference", "p", "test", "p_holm"]].isna().all(axis=None)


def run(tmp_path, *words, out="statistics.tsv"):
    return run_here(main, *words, "--out", tmp_path / out), tmp_path / out


def test_the_command_gives_equal_bytes_whatever_the_order_of_rows(metrics, folds, tmp_path):
    texts = []
    metrics = with_folds(metrics)
    for seed in (0, 1):
        write_tsv(tmp_path / "metrics.tsv", metrics.sample(frac=1, random_state=seed))
        write_tsv(tmp_path / "folds.tsv", folds.sample(frac=1, random_state=seed))
        words = ["--metrics", tmp_path / "metrics.tsv", "--folds", tmp_path / "folds.tsv"]
        words += ["--replicates", 50, "--seed", 4]
        done, out = run(tmp_path, *words, "--tables", "3", "7")
        assert (done.returncode, done.stderr) == (0, "")
        texts.append(out.read_bytes())
    assert texts[0] == texts[1]
    assert texts[0].decode().splitlines()[0].split("\t") == list(COLUMNS)

    parts = [run(tmp_path, *words, "--tables", n, out=f"{n}.tsv")[1] for n in ("3", "7")]
    assert run(tmp_path, "--combine", *parts, out="both.tsv")[1].read_bytes() == texts[0]


def test_the_command_says_what_is_missing(tmp_path):
    done, out = run(tmp_path, "--tables", "3")
    assert done.returncode == 2
    assert "--metrics, --folds, --seed must be given" in done.stderr
    assert not out.exists()
