"""Paths of the config reach the rules as they are meant."""

from tests.workflow.dag import ROOT, plan


def dry_run(**changed):
    options = [f"{name}={value}" for name, value in changed.items()]
    arguments = ["--dry-run", "--nolock", "--config", *options, "--", "check"]
    return plan(ROOT, *arguments, STUDY="/tmp/a study")  # noqa: S108 - nothing is written


def test_variables_are_put_in_and_a_slash_at_the_end_warns_of_nothing():
    code, output = dry_run(results="$STUDY//out/", scans="./example/scans.tsv")
    assert code == 0, output
    assert "output: /tmp/a study/out/cohort.tsv" in output
    assert "input: example/scans.tsv" in output
    assert "discouraged" not in output


def test_paths_that_cannot_be_are_refused_together_and_relative_ones_shown_whole():
    code, output = dry_run(results="README.md", decisions="$NOT_SET_ANYWHERE/x")
    assert code == 1
    assert "2 input problems" in output
    assert f"the file {ROOT}/README.md" in output
    assert "NOT_SET_ANYWHERE is not set" in output
    _, output = dry_run(scans="no/such.tsv")
    assert f"{ROOT}/no/such.tsv" in output
