from __future__ import annotations

import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.tables import summary


def test_every_method_metric_and_space_is_printed(joint_only, tmp_path, capsys):
    write_tsv(tmp_path / "all.tsv", joint_only)
    words = ["--metrics", str(tmp_path / "all.tsv"), "--results", "results/demo"]
    summary.main(words)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    model = "Joint Model model space 4 71.00 ± 1.41 63.00 ± 4.24 72.21 ± 0.00 40.00 ± 14.14"
    native = "Joint Model native space 4 70.00 ± 1.41 62.00 ± 4.24 71.21 ± 0.00 39.00 ± 14.14"
    classes = "Joint Model 4 85.00 ± 7.07 75.00 ± 35.36 75.00 ± 0.00 90.00 ± 7.07"
    for expected in (model, native, classes, "Results: results/demo"):
        assert expected.split() in lines


def test_the_head_says_how_many_folds_and_seeds_there_are(as_metrics, joint_only):
    head, *_ = summary.summarise(joint_only).splitlines()
    assert head == "Mean ± sample standard deviation of the values of 2 folds, percent"
    three = as_metrics({"joint": {"DSC": [0.70, 0.72]}}, {4: 0.0, 9: 0.04, 6: 0.02})
    metrics = pd.concat([joint_only[joint_only["metric"] != "DSC"].assign(seed=4), three])
    head, *lines = summary.summarise(metrics).splitlines()
    assert head == (
        "Mean ± sample standard deviation of the values of 2 folds, each the mean of 3 seeds, "
        "percent"
    )
    assert any("73.00 ± 1.41" in " ".join(line.split()) for line in lines)


def test_the_folder_of_results_is_enough(joint_only, tmp_path, capsys):
    write_tsv(tmp_path / "metrics/all.tsv", joint_only)
    summary.main(["--results", str(tmp_path)])
    assert "Joint Model" in capsys.readouterr().out


def test_a_run_that_is_not_finished_is_named(tmp_path):
    with pytest.raises(InputError, match=r"(?s)all\.tsv.*a finished run.*snakemake"):
        summary.main(["--results", str(tmp_path)])


def test_nothing_to_read_from_is_a_wrong_command_line(capsys):
    with pytest.raises(SystemExit) as left:
        summary.main([])
    assert left.value.code == 2
    assert "give --results or --metrics" in capsys.readouterr().err
