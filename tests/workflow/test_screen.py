"""What the terminal shows of a run, and says at its end, of a workflow as small as can be."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import msnmo
from msnmo.core.errors import bad_input
from msnmo.workflow.ending import failure
from msnmo.workflow.estimate import PlannedJob
from msnmo.workflow.run import Run
from tests.workflow.dag import plan

SOURCE = Path(msnmo.__file__).parents[1]
SNAKEFILE = f"""\
import sys
from pathlib import Path
sys.path.insert(0, {str(SOURCE)!r})
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from msnmo.core.errors import MsnmoError, bad_input
from msnmo.workflow import screen as shown
shown.SECONDS_IN_A_FILE = shown.SECONDS_ON_A_TERMINAL = 0.2
screen = shown.Screen.take_over(workflow, logger)
if screen:
    screen.about = shown.About(Path("results"), 0.95, lambda: {{}})
"""
JOBS = """
onstart:
    logger.info("the disk suffices")

rule all:
    input: "results/report/index.html", "results/cohort.tsv", "results/statistics/table-3.tsv"

checkpoint accept:
    output: "results/cohort.tsv"
    log: "results/logs/accept.log"
    shell: "sleep 0.6; printf 'scan\\tsimulated\\nsub-A\\tyes\\n' > {output}"

def scans(wildcards):
    checkpoints.accept.get()
    return [f"results/{name}.txt" for name in ("sub-A", "sub-B", "sub-C")]

rule strip:
    output: "results/{scan}.txt"
    log: "results/logs/strip/{scan}.log"
    benchmark: "results/benchmarks/strip/{scan}.tsv"
    shell: "COMMAND"

rule compare:
    input: scans
    output: "results/statistics/table-3.tsv"
    shell: "printf 'metric\\tspace\\tmethod\\testimate\\tci_low\\tci_high\\tn_scans\\tn_folds\\n"
        "DSC\\tmodel\\tunet\\t50\\t40\\t60\\t9\\t3\\nDSC\\tmodel\\tjoint\\t61.234\\t50\\t70\\t9\\t3\\n"
        "AUC\\tn/a\\tjoint\\t100\\tn/a\\tn/a\\t9\\t3\\n' > {output}"

rule report:
    input: scans
    output: "results/report/index.html"
    shell: "touch {output}"
"""
DONE = 7
"""Jobs of all."""


def write(folder, command="sleep 0.5; touch {output} 2> {log}", jobs=JOBS):
    text = SNAKEFILE + jobs.replace("COMMAND", command)
    (folder / "Snakefile").write_text(text, encoding="utf-8")


def run(folder, *arguments):
    return plan(folder, "--cores", "2", *arguments)


def end(output):
    """What stands after an empty line, at the end."""
    return f"\n{output}".rstrip("\n").rpartition("\n\n")[2].splitlines()


def test_a_run_shows_its_progress_and_ends_with_numbers_page_and_time(tmp_path):
    write(tmp_path)
    code, output = run(tmp_path)
    assert code == 0, output
    lines = end(output)
    assert lines[0].startswith("Done. All scans are simulated.")
    assert lines[1] == (
        "Joint Model: DSC 61.23 % (95 % interval 50.00 to 70.00), AUC 100.00 %, 3 folds, 9 scans"
    )
    assert lines[2] == f"Open {tmp_path / 'results/report/index.html'}"
    assert re.fullmatch(rf"Took \d+ s for {DONE} jobs; Snakemake's log: (.+)", lines[3])
    assert len(lines) == 4
    before = output.splitlines()[: -len(lines) - 1]
    told = [line for line in before if not line.startswith("[")]
    assert told == ["the disk suffices"]
    progress = [line for line in before if line.startswith("[")]
    assert any("check: 0 of" in line and "planned afterwards" in line for line in progress)
    assert any(f"of {DONE} jobs done, 2 running (strip);" in line for line in progress)
    assert any(re.search(r"(perhaps|about) \d+ s left", line) for line in progress)
    # what Snakemake says is in its log
    log = Path(lines[3].partition("log: ")[2]).read_text(encoding="utf-8")
    assert log.count("rule strip:") == 3
    code, output = run(tmp_path)
    assert code == 0
    assert end(output)[0].startswith("Nothing to be done: all requested files exist.")
    assert end(output)[1:] == lines[1:3]


def test_a_failure_is_told_once_at_the_end_with_message_log_and_what_is_kept(tmp_path):
    command = (
        "if [ {wildcards.scan} = sub-B -a ! -e mended ]; then"
        " echo 'msnmo: error: no brain' > {log}; exit 1; fi; touch {output}"
    )
    write(tmp_path, command)
    code, output = run(tmp_path, "--keep-going")
    assert code == 1
    log = tmp_path / "results/logs/strip/sub-B.log"
    lines = end(output)
    assert lines[:4] == [
        "1 job failed:",
        "  strip of sub-B",
        "    no brain",
        f"    log: {log}",
    ]
    kept, todo = lines[4].split(". Still to do: ")
    assert kept == f"Done and kept: 3 of {DONE} jobs"
    assert sorted(todo.removesuffix(".").split(", ")) == ["1 all", "1 compare", "1 report"]
    assert "the same command continues from here, once that is fixed" in lines[5]
    assert output.count("no brain") == 1
    assert "Error in rule" not in output
    assert "Exiting" not in output
    assert "WorkflowError" not in output
    (tmp_path / "mended").touch()
    code, output = run(tmp_path)
    assert code == 0
    assert "for 4 jobs" in end(output)[-1]


def test_a_killed_job_is_told_as_one_and_others_are_not(tmp_path):
    write(tmp_path, "if [ {wildcards.scan} = sub-B ]; then kill -9 $$; fi; exit 3")
    code, output = run(tmp_path, "--keep-going")
    assert code == 1
    text = "\n".join(end(output))
    assert "3 jobs failed:" in text
    killed = text.partition("strip of sub-B\n")[2]
    assert killed.startswith("    it ended without a message: its log is empty\n    it was killed")
    assert text.count("it was killed") == 1
    assert "died with" not in output


def test_a_job_that_made_nothing_has_failed(tmp_path):
    write(tmp_path, "true")
    code, output = run(tmp_path, "--keep-going", "--latency-wait", "0")
    assert code == 1
    assert "MissingOutputException" in output
    lines = end(output)
    assert lines[0] == "3 jobs failed:"
    assert lines[1].startswith("  strip of sub-")
    assert "is above" in lines[3]


def test_a_plan_that_is_refused_after_the_check_says_what_is_kept(tmp_path):
    refused = "checkpoints.accept.get()\n    raise bad_input('a', 'b', 'c', 'd')"
    write(tmp_path, jobs=JOBS.replace("checkpoints.accept.get()", refused))
    code, output = run(tmp_path)
    assert code == 1
    assert output.count(f"msnmo: error: {bad_input('a', 'b', 'c', 'd')}") == 1
    lines = end(output)
    assert lines[0].startswith("Done and kept: 1 of ")
    assert "once that is fixed" in lines[1]


def test_a_plan_that_an_error_breaks_off_after_the_check_is_not_done(tmp_path):
    broken = "    params: lambda wildcards: Path('results/cohort.tsv').exists() and None.x\n"
    write(tmp_path, jobs=JOBS.replace("rule compare:\n", f"rule compare:\n{broken}"))
    code, output = run(tmp_path, "results/statistics/table-3.tsv")
    assert code == 1
    assert "AttributeError" in output
    assert "Done." not in output
    assert "Not done: what follows could not be planned" in output
    assert "the same command continues from here, once that is fixed" in output


def test_a_job_that_ends_well_when_tried_again_has_not_failed(tmp_path):
    tried = "tried-{wildcards.scan}"
    command = f"if [ ! -e {tried} ]; then touch {tried}; exit 1; fi; touch {{output}}"
    write(tmp_path, command)
    code, output = run(tmp_path, "--retries", "1")
    assert code == 0, output
    assert end(output)[0].startswith("Done.")
    assert "failed:" not in output


def test_snakemakes_own_words_are_shown_where_asked_for_and_in_a_dry_run(tmp_path):
    write(tmp_path)
    _, output = run(tmp_path, "--dry-run")
    assert "rule all:" in output
    assert "This was a dry-run" in output
    assert "Done" not in output
    code, output = run(tmp_path, "--printshellcmds")
    assert code == 0
    assert output.count("rule strip:") == 3
    assert "Done." not in output


def test_what_was_asked_to_be_quiet_is(tmp_path):
    write(tmp_path)
    code, output = run(tmp_path, "--quiet", "progress")
    assert code == 0
    assert "jobs done" not in output
    assert end(output)[0].startswith("Done.")
    code, output = run(tmp_path, "--quiet", "all", "--forceall")
    assert (code, output) == (0, "")


@pytest.mark.parametrize(
    "jobs",
    [
        "try:\n    raise bad_input('a', 'b', 'c', 'd')\n"
        "except MsnmoError as error:\n    raise WorkflowError(str(error)) from error\n",
        "def lost(wildcards):\n    raise bad_input('a', 'b', 'c', 'd')\n"
        "rule all:\n    input: lost\n",
        "def lost(wildcards):\n    raise WorkflowError(str(bad_input('a', 'b', 'c', 'd')))\n"
        "rule all:\n    input: lost\n",
        JOBS.replace('logger.info("the disk suffices")', "raise bad_input('a', 'b', 'c', 'd')"),
    ],
    ids=["config", "plan", "plan, Snakemake's error", "start"],
)
def test_our_errors_are_told_in_our_words_alone(tmp_path, jobs):
    write(tmp_path, jobs=jobs)
    assert run(tmp_path) == (1, f"msnmo: error: {bad_input('a', 'b', 'c', 'd')}\n")


def test_a_wrong_target_is_answered(tmp_path):
    write(tmp_path)
    code, output = run(tmp_path, "reprot")
    assert code == 1
    assert output.startswith("msnmo: error: there is no target")
    assert "did you mean `report`?" in output


def test_snakemakes_other_words_stay(tmp_path):
    write(tmp_path)
    code, output = run(tmp_path, "--unlock")
    assert code == 0
    assert "Unlocked working directory." in output
    write(tmp_path, jobs="rule a:\n    input: 'none'\n    output: 'b'\n    shell: 'x'\n")
    code, output = run(tmp_path)
    assert code == 1
    assert "Missing input files" in output


def started(folder, **streams):
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    return subprocess.Popen(command, cwd=folder, **streams)


def test_ctrl_c_says_what_is_kept(tmp_path):
    write(
        tmp_path,
        "case {wildcards.scan} in sub-A) touch {output};; *) touch at-work; sleep 60;; esac",
    )
    told = tmp_path / "told"
    with told.open("wb") as stream:
        process = started(tmp_path, stdout=stream, stderr=stream, start_new_session=True)
        deadline = time.monotonic() + 120
        while not (tmp_path / "at-work").exists() or not (tmp_path / "results/sub-A.txt").exists():
            assert time.monotonic() < deadline, told.read_text()
            time.sleep(0.2)
        time.sleep(1)
        # as a terminal does, to all that run in it
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 1
    lines = end(told.read_text(encoding="utf-8"))
    assert lines[0] == "Stopped, as you asked."
    assert lines[1].startswith(f"Done and kept: 2 of {DONE} jobs.")
    assert "the same command continues from here; Snakemake's log" in lines[2]


def test_a_terminal_has_one_line_that_is_drawn_again(tmp_path):
    write(tmp_path)
    own, other = pty.openpty()
    process = started(tmp_path, stdout=other, stderr=other)
    os.close(other)
    output = b""
    while True:
        try:
            output += os.read(own, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
    assert process.wait() == 0
    text = output.decode()
    drawn = re.findall(r"\r\x1b\[K([^\r\n]+)", text)
    assert len(drawn) > 3
    assert all(len(line) < 80 for line in drawn)
    assert "\n" not in text.partition(drawn[0])[2].partition(drawn[-1])[0]
    # the last is taken away before the end
    assert text.partition(drawn[-1])[2].startswith("\r\x1b[K")
    assert "Done." in text.partition(drawn[-1])[2]


def test_of_a_group_of_jobs_the_one_that_failed_is_told(tmp_path):
    log, other, output = tmp_path / "a.log", tmp_path / "b.log", tmp_path / "made"
    jobs = {n: SimpleNamespace(wildcards_dict={"scan": "sub-A"}) for n in (1, 2, 3)}
    run = Run(jobs=jobs)
    log.write_text("msnmo: error: no brain", encoding="utf-8")
    other.write_text("fine", encoding="utf-8")
    output.touch()
    group = [
        {"jobid": 1, "rule_name": "raters", "log": [str(other)], "output": [str(output)]},
        {"jobid": 2, "rule_name": "strip", "log": [str(log)], "output": [str(tmp_path / "no")]},
        {"jobid": 3, "rule_name": "n4", "log": [str(tmp_path / "c")], "output": ["none"]},
    ]
    run.fail_group(group, ["slurm.log"])
    assert {number: each.name for number, each in run.failed.items()} == {2: "strip of sub-A"}
    # none began: what the cluster wrote is all there is
    run = Run(jobs=jobs)
    run.fail_group(group[2:], ["slurm.log"])
    assert run.failed[3].logs == (str(tmp_path / "c"), "slurm.log")


def test_what_failed_before_a_stop_is_told_and_what_the_stop_ended_is_not():
    run = Run(plan={number: PlannedJob(("strip", "")) for number in (1, 2, 3)})
    run.fail(1, "strip", [], "1")
    run.fail(2, "strip", [], "SIGINT")
    told = failure(run, stopped=True)
    assert told[:2] == ["Stopped, as you asked.", "1 job failed:"]
    assert told[-1] == "Done and kept: 0 of 3 jobs. Still to do: 2 strip."
    assert "2 jobs failed:" in failure(run, stopped=False)


def test_a_job_that_starts_again_has_not_failed_and_what_needs_a_failed_one_will_not_run():
    needs = {1: frozenset(), 2: frozenset({1}), 3: frozenset({2}), 4: frozenset()}
    run = Run(plan={each: PlannedJob(("n4", ""), needs=needs[each]) for each in needs})
    run.fail(1, "n4", [])
    assert set(run.still_to_run) == {4}
    run.start(1)
    assert set(run.still_to_run) == {1, 2, 3, 4}
    assert run.counted("submitted") == "0 of 4 jobs done, 1 submitted (n4)"
