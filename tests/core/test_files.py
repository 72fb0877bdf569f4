"""A file is whole or not there, and is read back as it was written."""

import errno
import math
import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msnmo.core.cells import as_cell
from msnmo.core.errors import DiskError, InputError
from msnmo.core.files import (
    atomic_folder,
    atomic_path,
    read_json,
    read_tsv,
    sha256,
    write_json,
    write_text,
    write_tsv,
)
from tests.published import look

KILLED = """
import sys, time
from msnmo.core.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    with temporary.open("w") as stream:
        stream.write("half of it")
        stream.flush()
        print("writing", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("before", [None, "the earlier result"])
def test_kill_9_in_the_middle_of_a_write_leaves_what_was_there(tmp_path, before):
    path = tmp_path / "result.txt"
    if before:
        path.write_text(before)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert (path.read_text() if path.exists() else None) == before
    assert [p.name for p in tmp_path.glob("*.txt") if not p.name.startswith(".tmp-")] == (
        ["result.txt"] if before else []
    )


def test_the_next_write_removes_what_a_killed_one_left_and_nothing_that_is_being_written(tmp_path):
    path = tmp_path / "result [1].txt"
    (tmp_path / ".tmp-k1ll_3d_-result [1].txt").write_text("half of it")
    (tmp_path / ".tmp-k1ll_3d_-other.txt").write_text("half of another")
    with atomic_path(path) as one:
        write_text(path, "of a second process")
        one.write_text("of the first")
    assert path.read_text() == "of the first"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        ".tmp-k1ll_3d_-other.txt",
        path.name,
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_takes_no_file_is_explained_and_the_file_named(tmp_path, number):
    def fail():
        with atomic_path(tmp_path / "result.txt"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(DiskError) as caught:
        fail()
    assert f"cannot write {tmp_path}/result.txt: {os.strerror(number)}" in str(caught.value)
    assert "remedy:" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_a_write_are_not_the_disks(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "result.txt"):
        (tmp_path / "gone").read_text()


def test_an_error_leaves_neither_result_nor_temporary(tmp_path):
    def fail():
        with atomic_path(tmp_path / "new" / "result.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        fail()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_reader_sees_the_old_or_the_new_text_and_never_less(tmp_path):
    path = tmp_path / "result.txt"
    texts = {"a" * 300_000, "b" * 300_000}
    write_text(path, min(texts))
    code = (
        "import sys; from msnmo.core.files import write_text\n"
        "for n in range(60): write_text(sys.argv[1], 'ba'[n % 2] * 300_000)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as process:
        seen = set()
        while process.poll() is None:
            seen.add(path.read_text())
            time.sleep(0.002)
    assert process.returncode == 0
    assert seen <= texts


def test_temporary_lies_beside_and_keeps_the_ending(tmp_path):
    with atomic_path(tmp_path / "a b" / "scän.nii.gz") as temporary:
        assert temporary.parent == tmp_path / "a b"
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"x")
    assert (tmp_path / "a b" / "scän.nii.gz").read_bytes() == b"x"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_results_have_the_users_permissions(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "shared.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "shared.txt").stat().st_mode) == mode


def test_json_returns_as_written_in_the_same_order(tmp_path):
    content = {"b": [1, 2.5, None], "a": {"ü": "ß", "x": 1e-300}, "deep": [[True]]}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content
    assert list(read_json(tmp_path / "x.json")) == ["b", "a", "deep"]
    assert "ü" in (tmp_path / "x.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_refuses_numbers_that_are_no_json_and_leaves_no_file(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"3", b'{"a": 1} {'])
def test_broken_json_is_named(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(path)
    with pytest.raises(InputError, match="gone"):
        read_json(tmp_path / "gone")


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            texts.filter(lambda text: text != "n/a"),
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(-(2**62), 2**62),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_table_returns_bit_by_bit(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "table.tsv"
    table = pd.DataFrame(rows, columns=["text", "number", "count"])
    write_tsv(path, table)
    read = read_tsv(path, {"text": str, "number": float, "count": int})
    table["text"] = table["text"].map(as_cell)
    pd.testing.assert_frame_equal(read, table, check_exact=True)


def test_ids_stay_text_and_missing_is_na(tmp_path):
    table = pd.DataFrame({"scan": ["001", None, "NA", "1e5", ""], "value": [0.1, None, 1, 2, 3]})
    write_tsv(tmp_path / "x.tsv", table)
    assert (tmp_path / "x.tsv").read_text().splitlines()[2] == "n/a\tn/a"
    read = read_tsv(tmp_path / "x.tsv", {"scan": str, "value": float})
    assert read["scan"].tolist()[0] == "001"
    assert read["scan"].isna().tolist() == [False, True, False, False, False]
    assert read["scan"].tolist()[2:] == ["NA", "1e5", ""]
    np.testing.assert_array_equal(read["value"], [0.1, np.nan, 1, 2, 3])


@pytest.mark.parametrize(
    "content",
    ["", "scan\n1\n", "scan\tfold\n1\tx\n", "scan\tfold\n1\t\n", "scan\tfold\n1\t2\t3\t4\n1\n"],
)
def test_damaged_tables_are_named(tmp_path, content):
    path = tmp_path / "folds.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"folds\.tsv"):
        read_tsv(path, {"scan": str, "fold": int})


@pytest.mark.parametrize("lost", [1, 2, 5, 8])
def test_a_table_that_breaks_off_within_a_line_is_named(tmp_path, lost):
    path = tmp_path / "metrics.tsv"
    write_tsv(path, pd.DataFrame({"scan": ["a", "b"], "value": [0.25, 0.75]}))
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(InputError, match=r"metrics\.tsv"):
        read_tsv(path, {"scan": str, "value": float})


def test_a_cut_number_is_told_with_its_column_and_line(tmp_path):
    """Of a table that was cut where a value was missing: n/a became n/."""
    path = tmp_path / "joint.tsv"
    columns = {"map": str, "ci_low": float}
    for cut, found in (("", "'n/' in column ci_low of line 3"), ("\n", "truncated")):
        whole = "map\tci_low\ncam\t0.5\nrandom\tn/\n"
        path.write_text(whole.removesuffix(cut) if cut else whole)
        with pytest.raises(InputError) as caught:
            read_tsv(path, columns)
        (finding,) = caught.value.findings
        assert finding.file == str(path)
        assert found in finding.found
        assert finding.expected
        assert finding.remedy


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan", "inf", "-Infinity", "+INF", "1e999"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_cell_that_is_no_number_is_no_missing_one(tmp_path, text, place):
    path = tmp_path / "metrics.tsv"
    row = f"{text}\t1" if place == "first" else f"1\t{text}"
    path.write_text(f"value\tvolume\n0.5\tn/a\n{row}\n")
    with pytest.raises(InputError) as caught:
        read_tsv(path, {"value": float, "volume": float})
    column = "value" if place == "first" else "volume"
    assert caught.value.findings[0].found.startswith(f"{text!r} in column {column} of line 3")


def test_text_may_be_called_nan(tmp_path):
    path = tmp_path / "metrics.tsv"
    path.write_text("scan\tsite\tvalue\nnan\tInf\t0.5\n")
    read = read_tsv(path, {"scan": str, "site": str, "value": float})
    assert read.iloc[0].tolist() == ["nan", "Inf", 0.5]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"threshold": NaN}', "NaN instead of a finite number"),
        ('{"folds": [{"seed": -Infinity}]}', "-Infinity instead"),
        ('{"temperature": 1e999}', "1e999 instead"),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, "recursion"),
        ('{"fold": ' + "1" * 5000 + "}", "digits"),
    ],
)
def test_json_of_no_numbers_or_no_end_is_named(tmp_path, content, found):
    path = tmp_path / "bundle.json"
    path.write_text(content)
    with pytest.raises(InputError, match=found) as caught:
        read_json(path)
    assert caught.value.findings[0].file == str(path)


def test_json_that_is_no_file_or_too_large_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="a pipe"):
        read_json(tmp_path / "pipe.json")
    with (tmp_path / "large.json").open("wb") as stream:
        stream.truncate(2**34)  # a hole: no disk is filled
    with pytest.raises(InputError, match=str(2**34)):
        read_json(tmp_path / "large.json")


def test_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.tsv"):
        read_tsv(tmp_path / "gone.tsv", {"scan": str})


def test_equal_tables_give_equal_bytes(tmp_path):
    table = pd.DataFrame({"x": [0.1 + 0.2, 1e-17], "y": ["a", None]})
    for name in ("one", "two"):
        write_tsv(tmp_path / name, table)
    assert (tmp_path / "one").read_bytes() == b"x\ty\n0.30000000000000004\ta\n1e-17\tn/a\n"
    assert sha256(tmp_path / "one") == sha256(tmp_path / "two")


def test_sha256_of_known_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "x") == expected


PUBLISH = """
import os, sys
from pathlib import Path
from msnmo.core.files import atomic_folder
while True:
    with atomic_folder(Path(sys.argv[1])) as folder:
        for number in range(7):
            (folder / f"{number}.txt").write_text(sys.argv[2])
"""


def test_a_folder_that_eight_write_at_once_is_whole_and_one_writers_even_under_kills(tmp_path):
    path = tmp_path / "out" / "anat"
    path.parent.mkdir()

    def start(writer):
        return subprocess.Popen([sys.executable, "-c", PUBLISH, str(path), str(writer)])

    writers = [start(writer) for writer in range(8)]
    seen = set()
    try:
        for kill in range(10):
            deadline = time.monotonic() + 60
            for _ in range(40):
                while not (found := look(path)) and time.monotonic() < deadline:
                    pass
                assert sorted(found) == [f"{number}.txt" for number in range(7)]
                assert len(set(found.values())) == 1
                seen |= set(found.values())
            # whatever it is doing
            writers[kill].kill()
            writers.append(start(8 + kill))
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert len(seen) > 1
    with atomic_folder(path) as folder:
        (folder / "last.txt").touch()
    assert [each.name for each in path.iterdir()] == ["last.txt"]
    # but for those killed before there was anything in it, which go when nobody can be at them
    left = list(path.parent.glob(".tmp-*"))
    assert not [each for each in left if (each / "held").exists()]
    left.append(path.with_name(".tmp-k1ll_3d_-anat"))
    left[-1].mkdir()
    for each in left:
        os.utime(each, (0, 0))
    with atomic_folder(path) as folder:
        (folder / "very last.txt").touch()
    assert [each.name for each in path.parent.iterdir()] == ["anat"]
