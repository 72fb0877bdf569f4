"""Columns and metrics are named after the classes' labels, those of the paper by default."""

import argparse

import pytest

from msnmo.core import diagnoses as module
from msnmo.core.diagnoses import VARIABLE, add_diagnoses, use_given
from msnmo.core.errors import InputError


def names():
    return (
        *(module.diagnoses(), module.positive(), module.probabilities(), module.score()),
        *(module.score_in_words(), module.in_words()),
    )


def test_those_of_the_paper_where_nobody_says_otherwise(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert names() == (
        *(("MS", "NMOSD"), "NMOSD", ("p_ms", "p_nmosd"), "P_NMOSD"),
        *("P(NMOSD)", "MS or NMOSD"),
    )


def test_others_name_their_own_columns(monkeypatch):
    monkeypatch.setenv(VARIABLE, "MS,Mogad2")
    assert names() == (
        *(("MS", "Mogad2"), "Mogad2", ("p_ms", "p_mogad2"), "P_MOGAD2"),
        *("P(Mogad2)", "MS or Mogad2"),
    )
    # those of a bundle, whatever this process's are
    assert module.probabilities(("A", "B")) == ("p_a", "p_b")
    assert module.score_in_words(("A", "B")) == "P(B)"


@pytest.mark.parametrize("wrong", [("MS", "ms"), ("MS", "no one"), ("MS", "2"), ("", "MS")])
def test_labels_that_name_no_two_columns_are_refused(wrong, monkeypatch):
    monkeypatch.setenv(VARIABLE, "MS,NMOSD")
    with pytest.raises(InputError, match="--diagnoses"):
        use_given(wrong)
    assert module.diagnoses() == ("MS", "NMOSD")


def test_a_command_takes_two(monkeypatch):
    monkeypatch.setenv(VARIABLE, "MS,NMOSD")
    parser = argparse.ArgumentParser()
    add_diagnoses(parser)
    use_given(parser.parse_args(["--diagnoses", "MS", "MOGAD"]).diagnoses)
    assert module.diagnoses() == ("MS", "MOGAD")
    use_given(parser.parse_args([]).diagnoses)
    assert module.diagnoses() == ("MS", "NMOSD")
