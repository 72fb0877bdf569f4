"""What is said of jobs that failed, and of targets that are none."""

from pathlib import Path

import pytest

from msnmo.core.errors import bad_input
from msnmo.workflow.failures import LAST_LINES, Failure, message_of, of_wildcards, tell
from msnmo.workflow.targets import wrong_target

PROBLEM = str(bad_input("a.nii.gz", "three axes", "four", "take one volume"))


def written(folder, text, name="job.log"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"msnmo: error: {PROBLEM}\n", PROBLEM),
        (f"a warning\nmsnmo: error: {PROBLEM}\n", PROBLEM),
        # an attempt before failed too
        (f"msnmo: error: before\nmsnmo: error: {PROBLEM}\n", PROBLEM),
        (
            "Traceback (most recent call last):\n  File\nKeyError: 'x'\n",
            "a bug in msnmo, please report it with the log: KeyError: 'x'",
        ),
        ("\n".join(map(str, range(20))), "\n".join(map(str, range(20 - LAST_LINES, 20)))),
        ("", "it ended without a message: its log is empty"),
    ],
    ids=["alone", "after others", "again", "bug", "another program", "empty"],
)
def test_what_a_log_says_to_the_user(tmp_path, text, message):
    assert message_of(written(tmp_path, text)) == message


def test_a_log_that_is_missing_or_cannot_be_read_is_said(tmp_path):
    assert message_of(tmp_path / "none.log").startswith("no log was written")
    assert message_of(tmp_path) == "its log cannot be read: Is a directory"


def test_a_log_of_gigabytes_is_read_at_its_end(tmp_path):
    path = written(tmp_path, "x" * 3_000_000 + f"\nmsnmo: error: {PROBLEM}\n")
    assert message_of(path) == PROBLEM


@pytest.mark.parametrize("status", ["137", "SIGKILL"])
def test_a_job_that_was_killed_is_told_as_one(tmp_path, status):
    failure = Failure("n4", "sub-A", (str(written(tmp_path, "")),), status)
    assert "it was killed, most likely because it ran out of memory" in failure.message()
    assert "killed" not in Failure("n4", "sub-A", failure.logs, "1").message()


def test_what_a_cluster_says_is_told_and_a_rule_without_log_has_a_message():
    assert Failure("n4", "", reason="SLURM status OUT_OF_MEMORY").message().splitlines() == [
        "it has no log",
        "SLURM status OUT_OF_MEMORY",
    ]


def test_a_clusters_log_is_told_where_ours_says_nothing(tmp_path):
    cluster = written(tmp_path, "slurmstepd: error: Detected 1 oom_kill event", "slurm.log")
    ours = written(tmp_path, f"msnmo: error: {PROBLEM}")
    assert Failure("n4", "", (str(ours), str(cluster))).message() == PROBLEM
    missing = str(tmp_path / "none.log")
    assert Failure("n4", "", (missing, str(ours))).message() == PROBLEM
    ours.write_text("", encoding="utf-8")
    told = Failure("n4", "", (str(ours), str(cluster))).message()
    assert "its log is empty" in told
    assert "oom_kill" in told


def test_jobs_that_failed_alike_share_a_paragraph(tmp_path):
    def failure(scan, text):
        log = written(tmp_path, f"msnmo: error: {scan}: {text}\n", f"{scan}.log")
        return Failure("strip_skull", scan, (str(log),))

    alike = [failure(f"sub-{n}", "`bet` is not found") for n in range(1, 6)]
    first, second = tell([*alike[:2], failure("sub-9", "no brain"), *alike[2:]])
    assert first.splitlines() == [
        "  strip_skull of sub-1, sub-2, sub-3 and 2 more",
        "    sub-1: `bet` is not found",
        f"    log: {tmp_path / 'sub-1.log'} (and 4 more beside it)",
    ]
    assert second.splitlines()[:2] == ["  strip_skull of sub-9", "    sub-9: no brain"]
    assert tell([Failure("list_parts", "")])[0].splitlines()[0] == "  list_parts"


@pytest.mark.parametrize(
    ("wildcards", "words"),
    [
        ({"folder": "sub-A/ses-1", "scan": "sub-A_ses-1"}, "sub-A_ses-1"),
        ({"method": "joint", "fold": "0", "seed": ""}, "method joint, fold 0"),
        ({"method": "joint", "fold": "0", "seed": "/seed-7"}, "method joint, fold 0, seed 7"),
        ({}, ""),
    ],
)
def test_what_a_job_is_of(wildcards, words):
    assert of_wildcards(wildcards) == words


def test_a_wrong_target_is_answered_with_the_nearest_right_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "No rule to produce {} (if you use input functions make sure that they don't raise)."
    rules = ["table_3", "table_4", "figure_8", "all"]
    assert "did you mean `table_3`?" in wrong_target(words.format("tabel_3"), rules)
    assert "did you mean" not in wrong_target(words.format("xyz"), rules)
    assert "--list-target-rules" in wrong_target(words.format("xyz"), rules)
    Path("results").mkdir()
    assert "a folder here" in wrong_target(words.format("results"), rules)
    assert wrong_target("something else", rules) == "something else"
