"""A config file that cannot be read is told of in words, before Snakemake's traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import msnmo
from msnmo.workflow.command_line import configs_named, refuse_unreadable_configs

ROOT = Path(msnmo.__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["preprocess", "--configfile", "a.yaml", "b.yaml", "--cores", "2"], ["a.yaml", "b.yaml"]),
        (["--configfile=a.yaml", "preprocess"], ["a.yaml", "preprocess"]),
        (["--configfiles", "a.yaml", "-n", "preprocess"], ["a.yaml"]),
        (["--config", "a=1", "--cores", "all"], []),
        ([], []),
    ],
)
def test_what_stands_behind_the_option_is_a_config(words, named):
    assert list(configs_named(words)) == named


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("my.yml", None, "No such file or directory"),
        ("folder", "", "a folder"),
        ("bad.yaml", b"a:\n\tb: 1\n", "line 2"),
        ("bytes.yaml", b"a: \xff\xfe\n", "no UTF-8"),
        ("object.yaml", b"seed: !!python/object/apply:os.getpid []\n", "line 1"),
        ("template.yaml", b"__use_yte__: true\n?print(1): 2\n", "__use_yte__"),
    ],
)
def test_each_config_that_cannot_be_read_is_named_with_a_remedy(
    tmp_path, capsys, name, content, said
):
    (tmp_path / "my.yaml").write_text("seed: 1\n")
    path = tmp_path / name
    if content == "":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as left:
        refuse_unreadable_configs(["-n", "--configfile", str(tmp_path / "my.yaml"), str(path)])
    assert left.value.code == 1
    written = capsys.readouterr().err
    assert written.startswith(f"msnmo: error: 1 input problem:\n  {path}\n")
    assert said in written
    assert (f"{tmp_path / 'my.yaml'} is there" in written) == (name == "my.yml")


@pytest.mark.parametrize("text", ["seed: 1\n", '{\n\t"seed": 1\n}', "a: &a [1]\nb: *a\n"])
def test_what_snakemake_reads_is_left_to_it(tmp_path, text):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    refuse_unreadable_configs(["--configfile", str(path)])


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_each_profile_tells_it_without_a_traceback(tmp_path, profile):
    missing = tmp_path / "missing.yaml"
    command = [sys.executable, "-m", "snakemake", "-n", "--workflow-profile", profile]
    done = subprocess.run(
        [*command, "--configfile", str(missing)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 1
    assert f"  {missing}\n    expected: a config file, YAML" in done.stderr
    assert "Traceback" not in done.stderr
