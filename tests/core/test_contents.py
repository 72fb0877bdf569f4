"""Content is known without reading, and never from a file's time alone."""

import hashlib
import json
import os

import pytest

from msnmo.core import contents
from msnmo.core.contents import content, record


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def checked(tmp_path):
    """A file and the check's report that knows it."""
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(b"first")
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"contents": {str(path): record(path)}}))
    return path, report


def test_a_recorded_file_is_not_read(checked, monkeypatch):
    path, report = checked
    monkeypatch.setattr(contents, "sha256", lambda _: pytest.fail("it was read"))
    assert content(path, report) == digest(b"first")


def test_a_corrected_file_of_equal_size_and_older_time_is_seen(checked):
    path, report = checked
    path.write_bytes(b"other")
    os.utime(path, (1, 1))
    assert content(path, report) == digest(b"other")


def test_a_touched_file_has_the_same_content(checked):
    path, report = checked
    os.utime(path)
    assert content(path, report) == digest(b"first")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"contents": 3}', '{"contents": null}'])
def test_without_a_record_the_file_is_read(checked, text):
    path, report = checked
    report.write_text(text)
    assert content(path, report) == digest(b"first")
    report.unlink()
    assert content(path, report) == digest(b"first")
