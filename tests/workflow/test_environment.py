"""What the workflow does before its jobs start."""

import errno
import os
import site
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock
import pytest

from msnmo.core.errors import DiskError, InputError
from msnmo.workflow import environment
from msnmo.workflow.environment import (
    find_scans,
    refuse_example,
    require_executor,
    require_writable,
    shell_prefix,
)
from tests.workflow.dag import ROOT


def test_results_that_can_be_written_are_left_as_they_are(tmp_path):
    require_writable(tmp_path / "new" / "results")
    assert list((tmp_path / "new/results").iterdir()) == []


def test_results_that_cannot_be_written_are_named(tmp_path, monkeypatch):
    def refuse(**_where):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(DiskError, match=f"{tmp_path}: Read-only file system"):
        require_writable(tmp_path)


def test_a_file_in_the_place_of_results_is_named(tmp_path):
    (tmp_path / "notes").write_text("")
    with pytest.raises(InputError, match="name another folder under results: in the config"):
        require_writable(tmp_path / "notes" / "results")


def test_a_command_keeps_a_way_to_the_terminal_when_its_stderr_goes_to_a_log(tmp_path):
    command = (
        shell_prefix(tmp_path)
        + 'echo "$PYTHONPATH $PYTHONNOUSERSITE"; (echo full >&"$MSNMO_SPARE_STDERR") 2> log'
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path} 1\n"
    assert done.stderr == "full\n"
    assert (tmp_path / "log").read_text() == ""


def test_a_command_does_not_import_from_the_folder_of_a_study(tmp_path):
    (tmp_path / "json.py").write_text("raise RuntimeError('the study of somebody')")
    command = f"{shell_prefix(tmp_path / 'src')} {sys.executable} -m json.tool --help"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True)


def test_what_is_installed_at_home_stays_in_reach_of_jobs(tmp_path, monkeypatch):
    home = str(Path(filelock.__file__).parents[1])
    monkeypatch.setattr(site, "getusersitepackages", lambda: home)
    assert "PYTHONNOUSERSITE" not in shell_prefix(tmp_path)


def test_the_example_of_the_config_is_not_run_and_a_copy_of_it_is(tmp_path, monkeypatch):
    table = find_scans("example/scans.tsv", ROOT)
    with pytest.raises(InputError, match=r"(?s)your scan table.*--configfile my.yaml.*--dry-run"):
        refuse_example(table, ROOT)
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="cannot be run"):
        refuse_example("example/scans.tsv", ROOT)
    monkeypatch.chdir(tmp_path)
    refuse_example("example/scans.tsv", ROOT)


def test_jobs_for_slurm_need_sbatch_and_those_of_this_machine_do_not(on_path):
    require_executor("local")
    with pytest.raises(InputError, match=r"(?s)`sbatch` on the PATH.*no such command.*login node"):
        require_executor("slurm")
    on_path("sbatch", "")
    require_executor("slurm")


def test_a_slurm_that_does_not_answer_is_named(on_path, monkeypatch):
    on_path("sbatch", "")
    on_path("sinfo", "echo cpu up 1-00:00:00")
    require_executor("slurm")
    on_path("sinfo", "echo slurm_load_partitions: Unable to contact >&2; exit 1")
    with pytest.raises(InputError, match=r"an answer of Slurm.*\n.*Unable to contact"):
        require_executor("slurm")
    monkeypatch.setattr(environment, "SECONDS_FOR_SLURM", 0.2)
    on_path("sinfo", "while :; do :; done")
    with pytest.raises(InputError, match=r"no answer in 0.2 s"):
        require_executor("slurm")


def test_the_example_is_found_in_the_checkout_and_every_other_table_where_snakemake_works(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert find_scans("example/scans.tsv", ROOT) == str(ROOT / "example/scans.tsv")
    assert find_scans("mine/scans.tsv", ROOT) == "mine/scans.tsv"
    (tmp_path / "example").mkdir()
    (tmp_path / "example/scans.tsv").touch()
    assert find_scans("example/scans.tsv", ROOT) == "example/scans.tsv"
