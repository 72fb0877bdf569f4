"""Done means done with these inputs and options, and one scan's results are no other's.

Networks and steps are stood in for: what is tested is who writes where, and what is believed.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from msnmo.apply import scans
from msnmo.apply.listing import write_listing
from msnmo.apply.parts import Part, part_argument
from msnmo.apply.preprocess import Arrived
from msnmo.apply.records import (
    NotOursError,
    lock_scan,
    made_of,
    note_failures,
    options_of,
    refuse_other,
    what_differs,
    without_path,
)
from msnmo.apply.scans import apply_all, part_of
from msnmo.core.errors import MsnmoError
from msnmo.core.files import atomic_folder, sha256, write_json, write_text
from tests.published import look

OPTIONS = argparse.Namespace(
    engine="auto",
    locations=False,
    mni=False,
    dicom_seg=False,
    deface=False,
    classes=False,
    again=False,
    truth=None,
)
FILES = ("desc-brain_mask.nii.gz", "desc-lesion_mask.nii.gz", "desc-lesion_table.tsv")


@dataclass(frozen=True)
class StandIn:
    """A bundle and its networks, as far as anybody asks here."""

    path: Path
    models: tuple[str, ...] = ()

    @property
    def bundle(self):
        return self

    def preprocessing(self, engine):
        return {"skull_strip": {"engine": engine}}


def run_of(name, digest):
    return {
        "scan": name,
        "input": {"sha256": digest},
        "bundle": {"id": "0123", "method": "joint"},
        "class": None,
        "skullstrip": {"engine": "surface"},
        "device_name": "a processor",
        "versions": dict.fromkeys(("msnmo", "python", "torch", "monai", "numpy"), "1"),
        "git": {"commit": "n/a", "dirty": "n/a"},
        "lesions": {"count": 1, "load_ml": 0.5, "load_ml_of_folds_in_model_space": [0.4, 0.6]},
    }


def write_results(_ensemble, prepared, folder, _regions=None):
    if prepared.flair.read_text().startswith("bad"):
        raise MsnmoError(f"{prepared.flair}: skullstrip failed")
    with atomic_folder(folder) as new:
        for ending in FILES:
            (new / f"{prepared.name}_{ending}").write_text(prepared.flair.read_text())
            time.sleep(0.002)
        run = run_of(prepared.name, sha256(prepared.flair))
        write_json(new / f"{prepared.name}_run.json", run)
    return run


def draw(site, _folder, scan, flair, *, deface):
    assert not deface
    for ending in (".js", ".html"):
        write_text(site / f"scans/{scan}{ending}", f"picture of {flair.read_text()}")


@pytest.fixture
def stood_in(monkeypatch, tmp_path):
    """An ensemble; steps and networks take no time."""
    monkeypatch.setattr(
        scans, "preprocess", lambda scan, *_: SimpleNamespace(name=scan.name, flair=scan.flair)
    )
    monkeypatch.setattr(scans, "apply_to_scan", write_results)
    monkeypatch.setattr(scans, "write_page", draw)
    monkeypatch.setattr(scans, "register", lambda *_, **__: None)
    monkeypatch.setattr(scans, "in_words", str)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/bundle.json").write_text("{}")
    return StandIn(tmp_path / "bundle")


@pytest.fixture
def given(tmp_path):
    return argparse.Namespace(**vars(OPTIONS), out=tmp_path / "out")


def scan_of(folder, name, content="head", **more):
    path = folder / f"{name}.nii"
    path.write_text(content)
    return Arrived(name, path, **more)


def asked(scan, ensemble, given):
    return made_of(scan, ensemble.bundle, options_of(scan, given))


def apply(ensemble, scan, given, **changed):
    failed = apply_all(ensemble, [scan], argparse.Namespace(**(vars(given) | changed)))
    return failed.get(scan.name)


def test_what_is_done_is_done_with_these_inputs_and_options(stood_in, given, tmp_path, capsys):
    scan = scan_of(tmp_path, "sub-1")
    assert apply(stood_in, scan, given) is None
    assert what_differs(given.out, asked(scan, stood_in, given)) == []
    assert apply(stood_in, scan, given) is None
    assert "done before" in capsys.readouterr().err
    for changed, said in (
        ({"engine": "surface"}, "--engine was auto, is surface"),
        ({"locations": True}, "--locations was not given, is given"),
        ({"mni": True}, "--mni was not given, is given"),
        ({"classes": True}, "--class was not given, is given"),
    ):
        assert apply(stood_in, scan, given, **changed) is None
        told = capsys.readouterr().err
        assert said in told
        assert "done before" not in told
    for more, said in (
        ({"stripped": True}, "--stripped was not given, is given"),
        ({"bias_corrected": True}, "--bias-corrected was not given, is given"),
        ({"brain": (scan.flair,)}, "brain mask was none, is"),
    ):
        assert apply(stood_in, scan_of(tmp_path, "sub-1", **more), given) is None
        assert said in capsys.readouterr().err
    (stood_in.path / "bundle.json").write_text('{"another": 1}')
    assert apply(stood_in, scan, given) is None
    assert "bundle was" in capsys.readouterr().err


@pytest.mark.parametrize(
    "output",
    [
        *(f"sub-1/anat/sub-1_{ending}" for ending in (*FILES, "run.json")),
        *("report/scans/sub-1.html", "report/scans/sub-1.js"),
        ".msnmo/records/sub-1.json",
    ],
)
def test_an_output_that_is_gone_cut_or_edited_is_made_again(
    stood_in, given, tmp_path, capsys, output
):
    scan = scan_of(tmp_path, "sub-1")
    apply(stood_in, scan, given)
    path = given.out / output
    before = path.read_bytes()
    for damaged in (None, before[:-3], before.replace(b"a", b"b")):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        capsys.readouterr()
        assert apply(stood_in, scan, given) is None
        assert "done before" not in capsys.readouterr().err
        assert path.read_bytes() == before


def test_another_scan_of_the_name_is_refused_and_replaces_nothing(stood_in, given, tmp_path):
    apply(stood_in, scan_of(tmp_path, "sub-1", "patient 1"), given)
    before = {path: path.read_bytes() for path in given.out.rglob("*") if path.is_file()}
    other = scan_of(tmp_path, "sub-1", "patient 2")
    for again in (False, True):
        error = apply(stood_in, other, given, again=again)
        assert isinstance(error, NotOursError)
        assert "--ids" in str(error)
    assert isinstance(apply(stood_in, scan_of(tmp_path, "sub-1", "x"), given), NotOursError)
    after = {path: path.read_bytes() for path in given.out.rglob("*") if path.is_file()}
    assert after == before
    (given.out / ".msnmo/records/sub-1.json").unlink()
    assert isinstance(apply(stood_in, other, given), NotOursError), "run.json tells too"


def test_a_name_that_some_disks_hold_for_the_same_is_refused(stood_in, given, tmp_path):
    apply(stood_in, scan_of(tmp_path, "sub-a"), given)
    with pytest.raises(NotOursError, match="sub-a"):
        refuse_other(given.out, "sub-A", sha256(tmp_path / "sub-a.nii"))


def test_no_file_of_the_users_is_replaced(stood_in, given, tmp_path):
    """An --out that is the dataset itself, and a mask that somebody drew beside ours."""
    raw = given.out / "sub-1/anat/sub-1_FLAIR.nii.gz"
    raw.parent.mkdir(parents=True)
    raw.write_text("the only copy")
    error = apply(stood_in, Arrived("sub-1", raw), given)
    assert isinstance(error, NotOursError)
    assert raw.read_text() == "the only copy"
    scan = scan_of(tmp_path, "sub-2")
    apply(stood_in, scan, given)
    drawn = given.out / "sub-2/anat/sub-2_desc-manual_mask.nii.gz"
    drawn.write_text("drawn")
    assert apply(stood_in, scan, given) is None, "what is done is done"
    error = apply(stood_in, scan, given, engine="surface")
    assert "sub-2_desc-manual_mask.nii.gz" in str(error)
    assert drawn.read_text() == "drawn"


def test_a_kill_between_results_and_page_leaves_no_other_picture(
    stood_in, given, tmp_path, monkeypatch
):
    one = scan_of(tmp_path, "sub-1", "patient 1")
    apply(stood_in, one, given)
    for path in (given.out / "sub-1/anat").iterdir():
        path.unlink()
    (given.out / "sub-1/anat").rmdir()
    two = scan_of(tmp_path, "sub-1", "patient 2")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as until:
        until.setattr(scans, "write_page", killed)
        with pytest.raises(KeyboardInterrupt):
            apply(stood_in, two, given)
    assert not list((given.out / "report/scans").iterdir())
    write_listing(given.out)
    assert "scans/sub-1.html" not in (given.out / "report/index.html").read_text()
    assert apply(stood_in, two, given) is None
    assert (given.out / "report/scans/sub-1.html").read_text() == "picture of patient 2"


def test_a_scan_that_is_replaced_while_it_is_read_leaves_nothing(
    stood_in, given, tmp_path, monkeypatch
):
    scan = scan_of(tmp_path, "sub-1", "half a copy")

    def copied(*arguments, **options):
        draw(*arguments, **options)
        scan.flair.write_text("the whole of it")

    monkeypatch.setattr(scans, "write_page", copied)
    assert "the scan that was begun" in str(apply(stood_in, scan, given))
    left = [path for path in given.out.rglob("*") if path.is_file()]
    assert left == []


def test_what_failed_is_listed_with_its_reason_until_it_is_done(stood_in, given, tmp_path):
    good, bad = scan_of(tmp_path, "sub-1"), scan_of(tmp_path, "sub-2", "bad head")
    failed = apply_all(stood_in, [bad, good], given)
    assert list(failed) == ["sub-2"]
    note_failures(given.out, failed, {"sub-2": bad.flair})
    write_listing(given.out)
    table = pd.read_csv(given.out / "predictions.tsv", sep="\t", dtype=str).set_index("scan")
    assert table["failed"].fillna("").to_dict() == {
        "sub-1": "",
        "sub-2": "the scan: skullstrip failed",
    }
    assert table.loc["sub-1", "lesions"] == "1"
    page = (given.out / "report/index.html").read_text()
    assert "skullstrip failed" in page
    assert "scans/sub-2.html" not in page
    bad.flair.write_text("a good head")
    assert apply(stood_in, bad, given) is None
    write_listing(given.out)
    table = pd.read_csv(given.out / "predictions.tsv", sep="\t")
    assert list(table["scan"]) == ["sub-1", "sub-2"]
    assert "failed" not in table


def test_a_reason_names_no_file_of_a_person(tmp_path):
    source = tmp_path / "Müller 1970.nii"
    said = f"{source}\n    found: Müller 1970.nii is cut"
    assert without_path(said, source) == "the scan found: the scan is cut"
    assert len(without_path("x" * 5000, source)) == 400


def test_a_scan_that_another_process_makes_is_left_to_it(stood_in, given, tmp_path):
    one, two = scan_of(tmp_path, "sub-1"), scan_of(tmp_path, "sub-2")
    with lock_scan(given.out, "sub-1"):
        failed = apply_all(stood_in, [one, two], given)
    assert "held by msnmo apply to sub-1, process" in str(failed.pop("sub-1"))
    assert failed == {}
    assert not (given.out / "sub-1").exists()


def test_parts_are_all_scans_each_once_with_the_names_that_the_whole_gives():
    names = {f"sub-{number}": number for number in range(20)}
    parts = [part_of(names, Part(place, 8)) for place in range(1, 9)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert {len(part) for part in parts} == {2, 3}
    assert part_of(names, None) == names
    assert part_argument("3/8") == Part(3, 8)
    for wrong in ("0/8", "9/8", "3", "3/0", "-1/8", "a/b", "3/8/1", "٣/8"):
        with pytest.raises(argparse.ArgumentTypeError, match=r"3/8"):
            part_argument(wrong)


def in_processes(work, count):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    return processes


def test_eight_jobs_that_list_at_once_lose_no_row(stood_in, given, tmp_path):
    scans_of = [[scan_of(tmp_path, f"sub-{job}x{each}") for each in range(4)] for job in range(8)]

    def job(number):
        for scan in scans_of[number]:
            apply_all(stood_in, [scan], given)
            write_listing(given.out)

    processes = in_processes(job, 8)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    table = pd.read_csv(given.out / "predictions.tsv", sep="\t")
    names = sorted(scan.name for each in scans_of for scan in each)
    assert list(table["scan"]) == names
    page = (given.out / "report/index.html").read_text()
    assert all(f"scans/{name}.html" in page for name in names)


def test_two_patients_forced_into_one_name_are_never_mixed_even_under_kills(
    stood_in, given, tmp_path
):
    """Whoever comes first has the name; every moment shows one patient, whole or nothing."""
    patients = [scan_of(tmp_path / f"{n}", "sub-1", f"patient {n % 2}") for n in _made(tmp_path)]
    folder = given.out / "sub-1/anat"

    def job(number):
        while True:
            apply_all(
                stood_in, [patients[number]], argparse.Namespace(**vars(given) | {"again": 1})
            )

    processes = in_processes(job, 8)
    seen = set()
    try:
        for victim in range(8):
            deadline = time.monotonic() + 120
            for _ in range(10):
                time.sleep(0.02)
                while not (shown := _shown(folder)) and time.monotonic() < deadline:
                    time.sleep(0.001)
                assert shown, "whoever was killed, the others go on"
                seen |= shown
            os.kill(processes[victim].pid, signal.SIGKILL)
            processes += in_processes(lambda _, number=victim: job(number), 1)
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert len(seen) == 1, "of two patients one"
    winner = next(each for each in patients if each.flair.read_text() in seen)
    assert apply(stood_in, winner, given) is None
    assert what_differs(given.out, asked(winner, stood_in, given)) == []
    # but for one of a process killed before there was anything in it
    assert not list(folder.parent.glob(".tmp-*/held"))
    assert not list((given.out / ".msnmo/locks").glob("*.lock"))


def _made(folder):
    for number in range(8):
        (folder / f"{number}").mkdir()
        yield number


def _shown(folder):
    """Whose results a folder shows: nobody's, or one patient's, all of them."""
    files = look(folder)
    if not files:
        return set()
    assert set(files) == {f"sub-1_{ending}" for ending in (*FILES, "run.json")}
    contents = {data.decode() for name, data in files.items() if not name.endswith("run.json")}
    assert len(contents) == 1
    run = json.loads(files["sub-1_run.json"])
    assert run["input"]["sha256"] == hashlib.sha256(contents.copy().pop().encode()).hexdigest()
    return contents


@pytest.mark.parametrize("damage", ["[]", "{}", '{"scan": "sub-1", "input": 3}', "nothing"])
def test_a_damaged_record_is_none(stood_in, given, tmp_path, damage):
    scan = scan_of(tmp_path, "sub-1")
    apply(stood_in, scan, given)
    (given.out / ".msnmo/records/sub-1.json").write_text(damage)
    assert what_differs(given.out, asked(scan, stood_in, given)) == [
        "no record tells that all of it was written"
    ]
    assert apply(stood_in, scan, given) is None
    record = json.loads((given.out / ".msnmo/records/sub-1.json").read_text())
    assert set(record["outputs"]) >= {"report/scans/sub-1.html", "report/scans/sub-1.js"}
