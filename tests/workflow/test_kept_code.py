"""Code is read once between runs, and again whenever it changes."""

import json
import shutil
from pathlib import Path

import pytest

import msnmo
from msnmo.workflow import code_version as versions
from msnmo.workflow import kept_code
from msnmo.workflow.kept_code import keep_code

SOURCE = Path(msnmo.__file__).parents[1]
CACHES = (
    *(versions.read_code, versions.kept_as, versions.files_of),
    *(versions.code_version, versions.modules_of),
)


@pytest.fixture(autouse=True)
def _a_new_process():
    """Forget what this process has read."""
    for known in (
        versions.read_code,
        versions.files_of,
        versions.code_version,
        versions.modules_of,
    ):
        known.cache_clear()
    versions.KEPT.clear()
    yield
    versions.KEPT.clear()
    for known in (
        versions.read_code,
        versions.files_of,
        versions.code_version,
        versions.modules_of,
    ):
        known.cache_clear()


@pytest.fixture
def source(tmp_path):
    """A small part of the package."""
    for name in ("workflow", "core"):
        shutil.copytree(SOURCE / "msnmo" / name, tmp_path / "src/msnmo" / name)
    return tmp_path / "src"


def read_again(monkeypatch, source, file):
    """The names of the files that a new process reads."""
    read = []

    def reader(path, package):
        read.append(path.name)
        return read_meaning(path, package)

    read_meaning = versions.read_meaning
    with monkeypatch.context() as patched:
        patched.setattr(versions, "read_meaning", reader)
        versions.KEPT.clear()
        versions.read_code.cache_clear()
        versions.kept_as.cache_clear()
        keep_code(source, file)
    return read


def test_what_is_kept_is_what_is_read(source, tmp_path, monkeypatch):
    file = tmp_path / "kept/code.json"
    assert len(read_again(monkeypatch, source, file)) > 10
    paths = versions.modules_of("msnmo", source).values()
    first = {path: versions.read_code(path, source) for path in paths}
    assert read_again(monkeypatch, source, file) == []
    assert {path: versions.read_code(path, source) for path in paths} == first


def test_a_file_that_changed_is_read_and_others_are_not(source, tmp_path, monkeypatch):
    file = tmp_path / "code.json"
    read_again(monkeypatch, source, file)
    path = source / "msnmo/core/seeds.py"
    before = versions.read_code(path, source)
    path.write_text(path.read_text(encoding="utf-8") + "\nMORE = 1\n", encoding="utf-8")
    assert read_again(monkeypatch, source, file) == ["seeds.py"]
    assert versions.read_code(path, source) != before
    assert read_again(monkeypatch, source, file) == []


def test_a_change_of_how_files_are_read_reads_all(source, tmp_path, monkeypatch):
    file = tmp_path / "code.json"
    every = read_again(monkeypatch, source, file)
    reader = tmp_path / "meaning.py"
    reader.write_text("# another\n", encoding="utf-8")
    monkeypatch.setattr(versions, "READER", reader)
    assert sorted(read_again(monkeypatch, source, file)) == sorted(every)


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": {"digest": 1}}', '{"a": 3}', "\0"])
def test_what_is_damaged_is_made_again(source, tmp_path, monkeypatch, text):
    file = tmp_path / "code.json"
    every = read_again(monkeypatch, source, file)
    whole = file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    assert sorted(read_again(monkeypatch, source, file)) == sorted(every)
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(whole)


def test_where_nothing_can_be_written_the_run_goes_on(source, tmp_path, monkeypatch):
    def refuse(path, text):
        raise kept_code.DiskError(f"{path}: read-only")

    monkeypatch.setattr(kept_code, "write_text", refuse)
    assert len(read_again(monkeypatch, source, tmp_path / "code.json")) > 10
