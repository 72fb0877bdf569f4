"""What cannot be written or read is told first, in the words of a command without a config."""

import errno
import json
import os
import re
import tempfile
from pathlib import Path

import pytest

from msnmo.apply import remedies, writable
from msnmo.apply.__main__ import OTHER_OUT, main
from msnmo.apply.arrivals import receive
from msnmo.apply.naming import is_folder
from msnmo.apply.records import NAME
from msnmo.apply.remedies import as_options
from msnmo.apply.writable import require_writable
from msnmo.core.errors import DiskError, InputError, explain_refusal, other_disk

SOURCE = Path(writable.__file__).parents[1]


def test_an_out_that_can_be_written_is_left_as_it_is(tmp_path):
    require_writable(tmp_path / "new" / "out")
    require_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["out", "out/report", "out/report/scans", "out/.msnmo/locks"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_what_takes_no_file_is_named_with_no_remedy_of_a_config(
    tmp_path, monkeypatch, place, number
):
    (tmp_path / place).mkdir(parents=True)
    made = tempfile.TemporaryFile

    def refuse(dir):  # noqa: A002 - as tempfile calls it
        if Path(dir) == tmp_path / place:
            raise OSError(number, os.strerror(number))
        return made(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(DiskError) as caught, other_disk(OTHER_OUT):
        require_writable(tmp_path / "out")
    assert f"cannot write {tmp_path / place}: {os.strerror(number)}" in str(caught.value)
    assert "--out on another disk" in str(caught.value)
    assert "config" not in str(caught.value)


def test_other_remedies_come_back_after_the_block(tmp_path):
    def refused():
        with pytest.raises(DiskError) as caught, explain_refusal(tmp_path):
            raise OSError(errno.ENOSPC, "full")
        return str(caught.value)

    with other_disk("go"):
        with other_disk("away"):
            assert refused().endswith("make room on its disk, or away")
        assert refused().endswith("make room on its disk, or go")
    assert "`results` in the config" in refused()


@pytest.mark.parametrize("file", ["out", "out/report", "out/.msnmo/records"])
def test_a_file_in_the_place_of_a_folder_is_told(tmp_path, file):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / file}\n")):
        require_writable(tmp_path / "out")


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path):
    (tmp_path / "out/predictions.tsv").mkdir(parents=True)
    with pytest.raises(InputError, match="a file of results"):
        require_writable(tmp_path / "out")


@pytest.mark.parametrize("name", ["dataset_description.json", "predictions.tsv", ".bidsignore"])
def test_a_file_of_something_else_is_not_replaced(tmp_path, name):
    (tmp_path / name).write_text('{"Name": "my study"}')
    with pytest.raises(InputError, match="which would be replaced") as refused:
        require_writable(tmp_path)
    (finding,) = refused.value.findings
    assert (finding.file, finding.remedy) == (str(tmp_path / name), "give another --out")


def test_results_of_msnmo_apply_are_added_to(tmp_path):
    """Those of a listing, and those of a run that was stopped before its first."""
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed/predictions.tsv").touch()
    (tmp_path / "listed/dataset_description.json").write_text(json.dumps({"Name": NAME}))
    require_writable(tmp_path / "listed")
    (tmp_path / "stopped/.msnmo").mkdir(parents=True)
    (tmp_path / "stopped/predictions.tsv").touch()
    require_writable(tmp_path / "stopped")


def test_where_the_system_takes_no_files_at_all_is_told():
    with pytest.raises(InputError, match="a folder that takes files"):
        require_writable(Path("/proc/out"))


def test_an_out_that_cannot_be_written_is_told_before_networks_are_read(
    bundle, heads, tmp_path, monkeypatch
):
    (tmp_path / "out").touch()
    monkeypatch.setattr("msnmo.apply.scans.load_ensemble", lambda *_: pytest.fail("too late"))
    arguments = ["--bundle", bundle, "--out", tmp_path / "out", heads[0], "--device", "cpu"]
    with pytest.raises(InputError, match="a folder for results"):
        main([str(each) for each in arguments])


def test_a_folder_that_may_not_be_read_stops_no_other(tmp_path, monkeypatch):
    """Tests may run as root, who may read all."""
    closed = tmp_path / "closed/scan.nii"
    (tmp_path / "open.nii").touch()
    found = os.stat

    def refuse(path, **more):
        if "closed" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return found(path, **more)

    monkeypatch.setattr(os, "stat", refuse)
    assert not is_folder(closed)
    arrived, failed = receive([closed, tmp_path / "open.nii"], ["sub-1", "sub-2"], tmp_path)
    assert [scan.name for scan in arrived] == ["sub-2"]
    assert "Permission denied" in str(failed["sub-1"])
    assert str(closed) in str(failed["sub-1"])


def test_remedies_that_are_replaced_are_still_what_checks_and_steps_say():
    text = "".join(
        path.read_text(encoding="utf-8")
        for room in ("check", "preprocess")
        for path in (SOURCE / room).rglob("*.py")
    )
    # strings that the formatter has broken over lines
    said = re.sub(r'"\n\s+f?"', "", text)
    for remedy in remedies.WITHOUT_CONFIG | remedies.WITHOUT_TABLE:
        assert remedy in said


def test_no_key_of_a_config_is_left_in_a_remedy():
    for remedy in remedies.WITHOUT_CONFIG | remedies.WITHOUT_TABLE:
        told = as_options(remedy)
        assert "--" in told
        assert "column" not in told
        assert "`" not in told
    column = "write `no` in the scan table's column `stripped` if this is a head"
    assert as_options(column, has_table=True) == column
