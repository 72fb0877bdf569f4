"""Kill -9 at every rule: what it had not finished is done again, to the same bytes."""

import pytest
from dag import jobs
from disturbed import empty
from injection import AIMS, KILL, KILL_AFTER, remove

pytestmark = pytest.mark.faults
# name_accepted has a command, though none of ours, and a test of its own; the others have none
WITHOUT_MODULE = {"all", "tables", "figures", "preprocess", "check", "name_accepted"}


def test_no_rule_is_left_out(site):
    code, output = site.run("--list-rules")
    assert code == 0, output
    code, planned = site.run("--dry-run", "--forceall")
    assert code == 0, planned
    assert set(jobs(planned)) - {"all", "total"} == set(AIMS)
    listed = {line.strip() for line in output.splitlines() if line.strip().isidentifier()}
    targets = {name for name in listed if name.startswith(("table_", "figure_"))}
    targets |= {"training_curves", "bland_altman", "confusion"}
    assert listed - targets - WITHOUT_MODULE == set(AIMS)


def kill(site, rule, moment, command):
    """Kill one job of a rule while it writes; return what Snakemake said."""
    aim = AIMS[rule]
    lost = site.results / aim.lost
    remove(lost)
    fault = aim.fault(moment, command)
    code, output = site.run(lost, faults=(fault,))
    assert code == 1, output[-4000:]
    assert site.happened(fault)
    assert "Killed" in output
    assert f"Error in rule {rule}:" in output
    assert not lost.exists(), "what looks finished is not"
    return lost


@pytest.mark.parametrize("rule", AIMS)
def test_a_job_killed_in_the_middle_of_a_write_is_done_again(kept, rule):
    lost = kill(kept, rule, "written", KILL)
    kept.recovers(lost)


@pytest.mark.parametrize("moment", ["before", "renamed"])
def test_a_training_killed_when_its_epochs_are_done_gives_the_same_weights(kept, moment):
    lost = kill(kept, "train_fold", moment, KILL_AFTER)
    kept.recovers(lost)
    assert not list(lost.parent.glob("checkpoint*"))


def test_a_night_in_which_every_rule_is_killed_once_ends_with_the_same_results(kept):
    faults = tuple(aim.fault("renamed", KILL_AFTER) for aim in AIMS.values())
    empty(kept.results)
    for _ in faults:
        code, output = kept.run(faults=faults)
        if code == 0:
            break
        assert "Killed" in output, output[-4000:]
    assert [fault for fault in faults if not kept.happened(fault)] == []
    kept.recovers()
