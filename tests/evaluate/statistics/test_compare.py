"""The comparisons of a table, against tests done by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from msnmo.cohort.folds import split_folds
from msnmo.core.diagnoses import NO_DIAGNOSIS, VARIABLE
from msnmo.core.files import read_tsv, write_tsv
from msnmo.core.numbers import as_text, fixed
from msnmo.evaluate.aggregate import COLUMNS as METRIC_COLUMNS
from msnmo.evaluate.aggregate import across_folds
from msnmo.evaluate.metrics import METRICS, TABLE_METRICS, metrics_of, primary_first
from msnmo.evaluate.statistics.__main__ import main
from msnmo.evaluate.statistics.bootstrap import (
    Drawn,
    FoldStatistic,
    draw_seeds,
    draw_subjects,
    interval,
    mean,
    p_value,
    replicate,
)
from msnmo.evaluate.statistics.compare import COLUMNS, COUNTS, NUMBERS, compare_tables
from msnmo.settings.methods import METHODS
from tests.command import run_here
from tests.evaluate.statistics.test_paired import by_scipy
from tests.measured import with_folds

SCANS = 40
WRITTEN = (*NUMBERS, *COUNTS)
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
    """Metrics of a method whose masks are better, and classes clearer, by `shift`; one training."""
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
        rows += [(name, scan.fold, 1, scan.scan, m, v, space) for (m, space), v in values.items()]
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


@pytest.fixture(scope="module")
def metrics(folds):
    names = [name for name, method in METHODS.items() if set(method.tables) & {3, 7}]
    parts = [
        method_rows(name, folds, 0.1 if name == "joint" else 0.0, seed)
        for seed, name in enumerate(names)
    ]
    return pd.concat(parts, ignore_index=True).fillna({"space": "n/a"})


def evaluated(metrics, folds):
    """The metrics of scans, and of the folds as evaluation writes them."""
    return with_folds(metrics, folds.set_index("scan")["diagnosis"])


def compare(table, metrics, folds, **options):
    seeds = sorted(set(metrics["seed"]))
    drawn = Drawn(draw_subjects(folds, 300, 1), draw_seeds(seeds, 300, 2))
    given = {"confidence": 0.95, "space": "model"} | options
    return compare_tables([table], evaluated(metrics, folds), folds, drawn, **given)


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
        assert (row["n_scans"], row["n_subjects"]) == (40, 20)
        assert (row["n_folds"], row["n_seeds"]) == (4, 1)
    difference = table.loc[("only_local", "DSC")]
    assert difference["difference"] == pytest.approx(
        100 * (by_fold["only_local"] - by_fold["joint"])
    )
    assert difference["difference_low"] < difference["difference"] < difference["difference_high"]


def of_subjects(metrics, folds, metric, space="model"):
    """The mean of each subject's scans, of only_local and of the joint model."""
    subjects = folds.set_index("scan")["subject"]
    tables = []
    for name in ("only_local", "joint"):
        rows = metrics[(metrics["method"] == name) & (metrics["metric"] == metric)]
        rows = rows[rows["space"] == space].set_index("scan")["value"]
        tables.append(rows.groupby(subjects).mean())
    return tables


def test_masks_are_compared_by_wilcoxons_signed_rank_of_subjects(compared, metrics, folds):
    row = compared.set_index(["metric", "method"]).loc[("DSC", "only_local")]
    own, joint = of_subjects(metrics, folds, "DSC")
    assert len(own) == 20
    assert row["p"] == pytest.approx(stats.wilcoxon(own, joint).pvalue)
    assert row["test"] == "signed_rank"


def test_classes_are_compared_by_the_permutation_of_subjects_signs(compared, metrics, folds):
    table = compared.set_index(["metric", "method"])
    about = folds.set_index("scan")
    own, joint = (
        metrics[(metrics["method"] == name) & (metrics["metric"] == "ACC")].set_index("scan")[
            "value"
        ]
        for name in ("only_local", "joint")
    )
    for metric, classes in (("ACC", ("MS", "NMOSD")), ("SN", ("NMOSD",)), ("SP", ("MS",))):
        counted = about.index[about["diagnosis"].isin(classes)]
        expected = by_scipy((own - joint)[counted], about["subject"][counted])
        row = table.loc[(metric, "only_local")]
        assert row["p"] == pytest.approx(expected)
        assert row["test"] == "sign_flip"
        assert (row["n_scans"], row["n_subjects"]) == (len(counted), len(counted) / 2)


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
    missing = (gone["scan"] == scan) & (gone["metric"] == "TPR")
    gone.loc[missing & (gone["method"] == "joint"), "value"] = np.nan
    row = compare("7", gone, folds).set_index(["metric", "method"]).loc[("TPR", "only_local")]
    own, joint = of_subjects(gone[~missing], folds, "TPR")
    assert row["p"] == pytest.approx(stats.wilcoxon(own, joint).pvalue)
    whole, _ = of_subjects(gone, folds, "TPR")
    assert (own != whole).sum() == 1


def test_tables_hold_the_methods_that_were_run_in_the_registrys_order(metrics, folds):
    three = compare("3", metrics, folds)
    rows = [name for name, method in METHODS.items() if 3 in method.tables]
    assert three["method"].unique().tolist() == rows
    supplement = compare("S1", metrics, folds)
    assert set(supplement["method"]) == set(metrics["method"])
    assert set(supplement["space"]) == {"native"}
    assert supplement["metric"].unique().tolist() == primary_first(TABLE_METRICS["S1"])
    assert set(supplement.loc[supplement["metric"] == "VC", "test"].dropna()) == {"bootstrap"}


def test_without_the_joint_model_intervals_stay(metrics, folds):
    table = compare("7", metrics[metrics["method"] != "joint"], folds)
    assert table["ci_low"].notna().all()
    assert table[["difference", "p", "test", "p_holm"]].isna().all(axis=None)


def run(tmp_path, *words, out="statistics.tsv"):
    return run_here(main, *words, "--out", tmp_path / out), tmp_path / out


def test_the_command_gives_equal_bytes_whatever_the_order_of_rows(metrics, folds, tmp_path):
    texts = []
    metrics = evaluated(metrics, folds)
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


SEEDS = (3, 8, 5, 4, 9)


def of_seeds(metrics, moved):
    """The metrics of trainings with several seeds: by how much each is above those given."""
    parts = [
        metrics.assign(seed=seed, value=metrics["value"] + above) for seed, above in moved.items()
    ]
    return pd.concat(parts, ignore_index=True)


def masks_of(name, folds, shift=0.0, seed=0):
    """DSC of a method in model space, and no other metric."""
    rows = method_rows(name, folds, shift, seed)
    return rows[(rows["metric"] == "DSC") & (rows["space"] == "model")]


def dsc_of(metrics, folds, name):
    table = compare("7", metrics, folds)
    return table[(table["metric"] == "DSC") & (table["method"] == name)].iloc[0]


def width(row, of="ci"):
    return row[f"{of}_high"] - row[f"{of}_low"]


@pytest.fixture(scope="module")
def moving_together(folds):
    """Two methods whose seeds move by 0.2 together, and those whose seeds move on their own."""
    moved = dict(zip(SEEDS, (-0.2, -0.1, 0.0, 0.1, 0.2), strict=True))
    joint, other = masks_of("joint", folds, 0.1), masks_of("only_local", folds, seed=1)
    backwards = dict(zip(moved, reversed(moved.values()), strict=True))
    together = pd.concat([of_seeds(joint, moved), of_seeds(other, moved)])
    return together, pd.concat([of_seeds(joint, moved), of_seeds(other, backwards)])


def test_estimates_of_several_seeds_are_the_means_over_them(folds):
    rng = np.random.default_rng(11)
    parts = [
        masks_of(name, folds, seed=20 + n).assign(seed=seed, value=rng.uniform(0, 1, SCANS))
        for n, name in enumerate(("joint", "only_local"))
        for seed in SEEDS
    ]
    metrics = pd.concat(parts, ignore_index=True)
    of_fold = {
        key: np.mean(rows["value"]) for key, rows in metrics.groupby(["method", "seed", "fold"])
    }
    means = {
        name: np.mean([np.mean([of_fold[name, seed, fold] for fold in range(4)]) for seed in SEEDS])
        for name in ("joint", "only_local")
    }
    joint, other = (dsc_of(metrics, folds, name) for name in means)
    assert joint["estimate"] == pytest.approx(100 * means["joint"])
    assert other["estimate"] == pytest.approx(100 * means["only_local"])
    assert other["difference"] == pytest.approx(100 * (means["only_local"] - means["joint"]))
    for row in (joint, other):
        assert (row["n_scans"], row["n_subjects"], row["n_folds"], row["n_seeds"]) == (40, 20, 4, 5)


def test_a_difference_is_paired_by_fold_and_seed(folds, moving_together):
    """Seeds that move both methods alike are not in the difference, only in each number."""
    together, apart = (dsc_of(metrics, folds, "only_local") for metrics in moving_together)
    alone = dsc_of(moving_together[0].query("seed == 3"), folds, "only_local")
    assert width(together, "difference") == pytest.approx(width(alone, "difference"))
    assert width(together) > 2 * width(alone)
    # the same numbers, each seed of one method beside another seed of the other
    assert together["difference"] == pytest.approx(apart["difference"])
    assert width(together) == pytest.approx(width(apart), rel=0.1)
    assert width(apart, "difference") > 2 * width(together, "difference")
    # the seeds' difference has a sample of 5 of sd 0.2 * sqrt(2)
    assert width(apart, "difference") > 100 * 2 * 1.96 * np.std([-0.4, -0.2, 0, 0.2, 0.4]) / 5**0.5


def test_folds_of_one_seed_are_drawn_together(folds):
    """Folds that a seed moves to opposite sides leave its mean where it was."""
    metrics = of_seeds(masks_of("joint", folds), dict.fromkeys(SEEDS, 0.0))
    side = metrics["fold"].map({0: 1, 1: -1, 2: 1, 3: -1})
    strength = metrics["seed"].map(dict(zip(SEEDS, (-0.4, -0.2, 0.0, 0.2, 0.4), strict=True)))
    opposite = metrics.assign(value=metrics["value"] + side * strength)
    alike = metrics.assign(value=metrics["value"] + strength)
    still, moved = dsc_of(opposite, folds, "joint"), dsc_of(alike, folds, "joint")
    # but for replicates in which a fold has no subject
    assert width(still) == pytest.approx(width(dsc_of(metrics, folds, "joint")), rel=0.02)
    assert width(moved) > 2 * width(still)


def test_an_interval_widens_with_the_spread_between_seeds(folds):
    one = masks_of("joint", folds)
    around = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    widths = []
    for spread in (0.0, 0.05, 0.2, 0.8):
        moved = dict(zip(SEEDS, spread * around, strict=True))
        widths.append(width(dsc_of(of_seeds(one, moved), folds, "joint")))
    assert widths == sorted(widths)
    assert widths[-1] > 5 * widths[0]
    # where seeds make most of it, it is the normal one of a mean of five draws of them
    assert widths[-1] == pytest.approx(100 * 2 * 1.96 * 0.8 * np.std(around) / 5**0.5, rel=0.15)
    assert widths[0] == pytest.approx(width(dsc_of(one, folds, "joint")))


def test_one_seed_gives_what_subjects_alone_give(metrics, folds):
    """To the last byte, whatever the seed is called: nothing of it is drawn."""
    text = as_text(compare("7", metrics, folds), WRITTEN)
    renamed = as_text(compare("7", metrics.assign(seed=77), folds), WRITTEN)
    assert text.to_csv() == renamed.to_csv()

    subjects = draw_subjects(folds, 300, 1)
    replicates = {}
    for name in ("joint", "only_local"):
        rows = metrics[(metrics["method"] == name) & (metrics["metric"] == "DSC")]
        rows = rows[rows["space"] == "model"].drop(columns="fold").merge(folds, on="scan")
        parts = [
            FoldStatistic(fold["subject"].to_numpy(), mean(fold["value"].to_numpy()))
            for _, fold in rows.sort_values("scan").groupby("fold")
        ]
        replicates[name] = 100 * replicate(parts, subjects)
    own, joint = replicates["only_local"], replicates["joint"]
    low, high = interval(own[1:], 0.95)
    difference_low, difference_high = interval((own - joint)[1:], 0.95)
    wanted = {
        "estimate": own[0],
        "ci_low": low,
        "ci_high": high,
        "difference": own[0] - joint[0],
        "difference_low": difference_low,
        "difference_high": difference_high,
    }
    row = text[(text["metric"] == "DSC") & (text["method"] == "only_local")].iloc[0]
    assert {name: row[name] for name in wanted} == {
        name: f"{value:.12g}" for name, value in wanted.items()
    }
    assert (row["test"], row["n_seeds"]) == ("signed_rank", "1")


def test_of_several_seeds_every_p_is_the_bootstraps(metrics, folds):
    shaken = [
        metrics.assign(
            seed=seed,
            value=metrics["value"] + np.random.default_rng(seed).normal(0, 0.02, len(metrics)),
        )
        for seed in SEEDS[:2]
    ]
    several = pd.concat(shaken, ignore_index=True)
    table = compare("7", several, folds)
    tested = table[table["method"] != "joint"]
    assert set(tested["test"]) == {"bootstrap"}
    assert set(table["n_seeds"]) == {2}
    assert tested["p_holm"].ge(tested["p"]).all()
    assert tested["family_size"].eq(3).all()

    # by hand: each replicate's mean over the seeds drawn, of means over folds
    subjects, seeds = draw_subjects(folds, 300, 1), draw_seeds(sorted(SEEDS[:2]), 300, 2)
    replicates = {}
    for name in ("joint", "only_local"):
        rows = several[(several["method"] == name) & (several["metric"] == "DSC")]
        rows = rows[rows["space"] == "model"].drop(columns="fold").merge(folds, on="scan")
        of_seed = {}
        for seed, part in rows.groupby("seed"):
            of_folds = []
            for _, fold in part.groupby("fold"):
                counts = subjects.loc[fold["subject"]].to_numpy().T
                # a fold none of whose subjects was drawn has no mean
                scans = np.where(counts.any(axis=1), counts.sum(axis=1), np.nan)
                of_folds.append(counts @ fold["value"].to_numpy() / scans)
            of_seed[seed] = np.nanmean(of_folds, axis=0)
        values = [of_seed[seed] * seeds.loc[seed].to_numpy() for seed in of_seed]
        replicates[name] = np.sum(values, axis=0) / 2
    differences = replicates["only_local"] - replicates["joint"]
    row = tested[(tested["metric"] == "DSC") & (tested["method"] == "only_local")].iloc[0]
    assert row["p"] == p_value(differences[1:])
    assert row["difference"] == pytest.approx(100 * differences[0])
    low, high = np.quantile(differences[1:], [0.025, 0.975])
    assert row["difference_low"] == pytest.approx(100 * low)
    assert row["difference_high"] == pytest.approx(100 * high)


def test_the_order_of_rows_and_so_of_seeds_is_of_no_consequence(folds, moving_together, tmp_path):
    metrics = evaluated(moving_together[1], folds)
    write_tsv(tmp_path / "folds.tsv", folds)
    texts = set()
    for state in (0, 1, 2):
        write_tsv(tmp_path / "metrics.tsv", metrics.sample(frac=1, random_state=state))
        words = ["--metrics", tmp_path / "metrics.tsv", "--folds", tmp_path / "folds.tsv"]
        done, out = run(tmp_path, *words, "--replicates", 200, "--seed", 4, "--tables", "7")
        assert (done.returncode, done.stderr) == (0, "")
        texts.add(out.read_bytes())
    assert len(texts) == 1
    table = pd.read_csv(out, sep="\t")
    assert set(table.loc[table["metric"] == "DSC", "n_seeds"]) == {5}


def test_primary_endpoints_stand_first_and_all_are_named(compared, metrics, folds):
    primary = compared["endpoint"] == "primary"
    assert compared.loc[primary, "metric"].unique().tolist() == ["DSC", "AUC"]
    assert compared.loc[~primary, "metric"].unique().tolist() == [
        *("PPV", "TPR", "VD", "ACC", "SN", "SP")
    ]
    assert primary.tolist() == sorted(primary, reverse=True)
    assert set(compare("S1", metrics, folds)["endpoint"]) == {"secondary"}


@pytest.mark.parametrize(("right", "bounds"), [(1.0, (None, 100)), (0.0, (0, None))])
def test_a_share_of_all_or_none_has_the_exact_interval_of_its_subjects(right, bounds, folds):
    """Of n subjects all right, the lower bound is the share of which 2.5 % have n of n."""
    rows = []
    for name, p_true in (("joint", right), ("only_local", 0.6)):
        table = method_rows(name, folds)
        rows.append(table[table["metric"].isin(("P_NMOSD", "ACC"))])
        nmosd = rows[-1]["scan"].map(folds.set_index("scan")["diagnosis"]) == "NMOSD"
        of_class = np.where(nmosd, p_true, 1 - p_true)
        values = np.where(rows[-1]["metric"] == "ACC", float(p_true > 0.5), of_class)
        rows[-1] = rows[-1].assign(value=values, space="n/a")
    table = compare("7", pd.concat(rows), folds).set_index(["metric", "method"])
    for metric, subjects in (("ACC", 20), ("SN", 8), ("SP", 12)):
        row = table.loc[(metric, "joint")]
        assert row["n_subjects"] == subjects
        edge = 100 * 0.025 ** (1 / subjects)
        low, high = bounds
        expected = (edge if low is None else low, 100 - edge if high is None else high)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(expected)
        assert row["interval"] == "exact"
    # all pairs are in order, or none: of an AUC nothing is known beside it
    assert table.loc[("AUC", "joint"), ["ci_low", "ci_high", "interval"]].isna().all()
    assert table.loc[("AUC", "joint"), "estimate"] == 100 * right


def test_two_shares_of_all_have_no_interval_of_their_difference(folds):
    one = method_rows("joint", folds)
    one = one[one["metric"] == "ACC"].assign(value=1.0, space="n/a")
    both = pd.concat([one, one.assign(method="only_local")])
    row = compare("7", both, folds).set_index(["metric", "method"]).loc[("ACC", "only_local")]
    assert (row["difference"], row["p"]) == (0, 1)
    assert row[["difference_low", "difference_high"]].isna().all()


def test_every_other_interval_is_the_bootstraps(compared):
    assert set(compared["interval"]) == {"bootstrap"}


def test_estimates_are_the_numbers_of_the_tables_to_the_last_bit(compared, metrics, folds):
    """So that the same number cannot be rounded to another one in another place."""
    summary = across_folds(evaluated(metrics, folds)).set_index(["method", "metric", "space"])
    for row in compared.itertuples():
        shown = METRICS[row.metric].scale * summary.loc[(row.method, row.metric, row.space), "mean"]
        assert row.estimate == shown
        if row.method != "joint":
            joint = compared[(compared["metric"] == row.metric) & (compared["method"] == "joint")]
            assert row.difference == row.estimate - joint["estimate"].iloc[0]


def test_what_is_written_is_read_as_the_same_numbers(compared, tmp_path):
    write_tsv(tmp_path / "statistics.tsv", as_text(compared, WRITTEN))
    numbers = ["estimate", "ci_low", "ci_high", "difference", "p", "p_holm"]
    read = read_tsv(tmp_path / "statistics.tsv", dict.fromkeys(numbers, float))
    pd.testing.assert_frame_equal(read[numbers], compared[numbers].astype(float), rtol=1e-11)
    for name in numbers:
        shown = [[fixed(each, 2) for each in table[name].dropna()] for table in (read, compared)]
        assert shown[0] == shown[1]


def test_the_command_says_what_is_missing(tmp_path):
    done, out = run(tmp_path, "--tables", "3")
    assert done.returncode == 2
    assert "--metrics, --folds, --seed must be given" in done.stderr
    assert not out.exists()


def test_other_labels_give_the_same_numbers(compared, metrics, folds, monkeypatch):
    monkeypatch.setenv(VARIABLE, "MS,ZZZ")  # which sorts as NMOSD does: the same draws
    other = compare(
        "7",
        metrics.replace({"metric": {"P_NMOSD": "P_ZZZ"}}),
        folds.replace({"diagnosis": {"NMOSD": "ZZZ"}}),
    )
    pd.testing.assert_frame_equal(other, compared)


def test_masks_of_scans_without_a_diagnosis_have_intervals_and_no_test(metrics, folds):
    segmented = metrics[metrics["method"] == "unet"]
    table = compare("3", segmented, folds.assign(diagnosis=NO_DIAGNOSIS)).set_index("metric")
    of_dsc = table.loc["DSC"]
    assert of_dsc["ci_low"] < of_dsc["estimate"] < of_dsc["ci_high"]
    assert of_dsc["n_scans"] == SCANS
    assert table["p"].isna().all()
