"""Every rule runs in an environment of its own, with a stand-in for conda (see there)."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from tests.conda.stand_in import install
from tests.workflow.dag import ROOT, SNAKEMAKE, write_config

pytestmark = pytest.mark.conda
# what an environment has, and what it must do without
HAVE = {
    "skullstrip": ("nipype", "torch"),
    "n4": ("ants", "nipype"),
    "image": ("SimpleITK", "ants"),
    "torch-cpu": ("monai", "ants"),
    "report": ("jinja2", "torch"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The micro config with one method, run with --sdm conda; its folder."""
    folder = tmp_path_factory.mktemp("conda")
    for name in ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "src"):
        (folder / name).symlink_to(ROOT / name)
    plan = ["--ms", "2", "--nmosd", "2", "--follow-ups", "0", "--stripped", "0"]
    cohort = ["--out", folder / "cohort", "--min-voxel-mm", "3"]
    subprocess.run([sys.executable, "-m", "msnmo.demo", *plan, *cohort], check=True)
    config = write_config(folder, folder / "cohort", "results", methods=["joint"])
    command = [*SNAKEMAKE, "--sdm", "conda", "--cores", "2", "--configfile", str(config)]
    path = os.pathsep.join([str(install(folder / "base")), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def environments(folder):
    """The environments that were made, by name."""
    made = {}
    for file in (folder / ".snakemake/conda").glob("*.yaml"):
        name = yaml.safe_load(file.read_text())["name"].removeprefix("msnmo-")
        made[name] = file.with_suffix("")
    return made


def imports(environment, package, **variables):
    command = [environment / "bin/python", "-c", f"import {package}"]
    done = subprocess.run(
        command, cwd="/", env=variables, capture_output=True, text=True, check=False
    )
    return done.returncode == 0


def test_everything_was_made_in_them(finished):
    assert set(environments(finished)) == set(HAVE)
    table = pd.read_csv(finished / "results/tables/table-9.tsv", sep="\t")
    assert (table.loc[table["method"] == "joint", "status"] == "run").all()


@pytest.mark.parametrize("name", HAVE)
def test_each_has_what_it_pins_and_no_more(finished, name):
    environment, (has, lacks) = environments(finished)[name], HAVE[name]
    assert imports(environment, has)
    assert not imports(environment, lacks)


@pytest.mark.parametrize("name", HAVE)
def test_our_package_reaches_each_by_its_path_alone(finished, name):
    environment = environments(finished)[name]
    assert not imports(environment, "msnmo")
    assert imports(environment, "msnmo.core.volumes", PYTHONPATH=str(ROOT / "src"))


def test_a_pin_of_another_version_is_refused(tmp_path):
    (tmp_path / "env.yaml").write_text("dependencies: [python=3.11, numpy=1.0.0]\n")
    command = [install(tmp_path / "base") / "conda", "env", "create", "--file"]
    command += [tmp_path / "env.yaml", "--prefix", tmp_path / "made"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "numpy=1.0.0 is pinned" in done.stderr
