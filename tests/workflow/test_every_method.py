"""Every method of the paper, trained in the real DAG and shown in its tables and figures."""

import pandas as pd
import pytest

from msnmo.evaluate.metrics import VARIANTS
from msnmo.tables.layout import CAPTIONS
from tests.workflow.dag import PAPER, run, write_config


@pytest.mark.heavy
def test_every_method_of_the_paper_is_trained_and_shown(clone, cohort):
    config = write_config(clone, cohort, "everything")
    code, output = run(clone, config, "tables", "figures")
    assert code == 0, output
    results = clone / "everything"
    for number in CAPTIONS.keys() - {VARIANTS}:
        table = pd.read_csv(results / f"tables/table-{number}.tsv", sep="\t")
        assert set(table["status"]) == {"run"}, number
        assert (table["n_folds"] + table["n_undefined_folds"] == 2).all()
    statistics = pd.read_csv(results / "tables/statistics.tsv", sep="\t")
    assert set(statistics["method"]) == set(PAPER)
    complexity = pd.read_csv(results / "tables/complexity.tsv", sep="\t")
    assert complexity["method"].tolist() == PAPER * 2
    assert len(list((results / "gradcam").rglob("*_desc-gradcam_map.nii.gz"))) == 6
    code, output = run(clone, config, "--dry-run", "tables", "figures")
    assert code == 0
    assert "Nothing to be done" in output
