"""A path means the same wherever a user writes it."""

import argparse
from pathlib import Path

import pytest

from msnmo.core.paths import WrongPath, expand, not_a_folder, path_argument


@pytest.fixture(autouse=True)
def _home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("STUDY", "ms 1")
    monkeypatch.delenv("UNSET", raising=False)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("out", "out"),
        ("out/", "out"),
        ("./out//a/./b/", "out/a/b"),
        ("/", "/"),
        ("//data//x/", "/data/x"),
        ("../out", "../out"),
        ("a/../b", "a/../b"),
        ("~", "/home/me"),
        ("~/out", "/home/me/out"),
        ("a/~/b", "a/~/b"),
        ("~root/x", "/root/x"),
        ("$HOME/out", "/home/me/out"),
        ("${HOME}/out", "/home/me/out"),
        ("/data/$STUDY/x", "/data/ms 1/x"),
        ("/data/${STUDY}2", "/data/ms 12"),
        ("cost$", "cost$"),
        ("5$/x", "5$/x"),
        ("é ü", "é ü"),
        ("x" * 255, "x" * 255),
        ("a/" * 512, "a/" * 511 + "a"),
    ],
)
def test_home_and_variables_are_put_in_and_empty_slashes_taken_out(written, meant):
    assert expand(written) == meant


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "an empty one"),
        ("  ", "an empty one"),
        ("a/" + "x" * 256 + "/b", "260 bytes and a name of 256"),
        ("é" * 128, "256 bytes and a name of 256"),
        ("a/" * 513, "1025 bytes and a name of 1"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\tb", "control character"),
        ("{scan}.nii", "without { }"),
        ("a}b", "without { }"),
        ("-out", "begins with no dash"),
        ("./-out", "begins with no dash"),
        ("$UNSET/x", "UNSET is not set"),
        ("${UNSET}/x", "UNSET is not set"),
        ("${}/x", "no variable is not set"),
        ("${HOME/x", "without { }"),
        ("$EMPTY", "EMPTY is not set"),
        ("$BRACES/x", "correct the variable"),
        ("~nobody-of-that-name/x", "a user of this machine"),
        ("http://server/scan.nii.gz", "download the file"),
        ("file:///data/scan.nii.gz", "without http:// or file://"),
        ("s3://bucket/scan.nii.gz", "a path on this machine"),
    ],
)
def test_what_cannot_be_a_path_is_refused_in_words(written, said, monkeypatch):
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("BRACES", "{a}")
    with pytest.raises(WrongPath) as error:
        expand(written)
    assert said in str(error.value)


def test_options_expand_too_and_take_what_is_there_as_it_is_written(tmp_path, monkeypatch):
    assert path_argument("~/scan.nii") == Path("/home/me/scan.nii")
    monkeypatch.chdir(tmp_path)
    for name in ("~", "$HOME", "scan{1}.nii"):
        (tmp_path / name).touch()
        assert path_argument(name) == Path(name)
    for wrong in ("", "a\0b", "$UNSET", "new{1}.nii"):
        with pytest.raises(argparse.ArgumentTypeError):
            path_argument(wrong)


def test_the_file_in_a_folders_way_is_found(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    assert not_a_folder(str(tmp_path)) is None
    assert not_a_folder(str(tmp_path / "new/er")) is None
    assert not_a_folder(str(tmp_path / "file")) == tmp_path / "file"
    assert not_a_folder(str(tmp_path / "file/a/b")) == tmp_path / "file"
    assert not_a_folder(str(tmp_path / "broken")) == tmp_path / "broken"
