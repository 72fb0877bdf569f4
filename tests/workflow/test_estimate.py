"""How long a run still takes."""

import math

import pytest
import yaml

from msnmo.check.costs import CORE_TFLOPS, GPU_TFLOPS
from msnmo.cohort.table import survey_scan_table
from msnmo.settings.config import complete_config
from msnmo.workflow import estimate
from msnmo.workflow.estimate import (
    SECONDS_OF_OTHERS,
    PlannedJob,
    Room,
    Timing,
    duration,
    expected_seconds,
    expects_gpu,
    time_left,
)
from tests.workflow.dag import ROOT

TRAIN, DRAW = ("train_fold", "joint"), ("draw_figure", "")


def timing(**seconds):
    made = Timing({TRAIN: 100.0})
    for rule, taken in seconds.items():
        for each in taken:
            made.add((rule, ""), each)
    return made


def test_what_a_job_takes_is_the_mean_of_those_that_ended_and_before_what_is_expected():
    made = timing(draw_figure=[10.0, 20.0])
    assert made.seconds(DRAW) == 15.0
    assert made.seconds(TRAIN) == 100.0
    assert made.seconds(("write_table", "")) == SECONDS_OF_OTHERS
    made.add(TRAIN, 30.0)
    assert made.seconds(TRAIN) == 30.0


@pytest.mark.parametrize(
    ("jobs", "room", "seconds"),
    [
        # as much work as cores do at once
        ({1: PlannedJob(DRAW), 2: PlannedJob(DRAW), 3: PlannedJob(DRAW)}, Room(2, 1), 15.0),
        ({1: PlannedJob(DRAW, threads=4), 2: PlannedJob(DRAW)}, Room(4, 1), 12.5),
        # one GPU, however many cores
        ({n: PlannedJob(TRAIN, gpus=1) for n in range(5)}, Room(64, 1), 500.0),
        ({n: PlannedJob(TRAIN, gpus=1) for n in range(5)}, Room(64, 5), 100.0),
        # a cluster starts all at once, but not what waits for another job
        ({n: PlannedJob(TRAIN, gpus=1) for n in range(5)}, Room(200, math.inf), 100.0),
        (
            {1: PlannedJob(TRAIN), 2: PlannedJob(DRAW, needs=frozenset({1, 99}))},
            Room(200, math.inf),
            110.0,
        ),
        ({}, Room(2, 1), 0.0),
    ],
)
def test_the_time_left_is_that_of_the_work_or_of_the_longest_chain(jobs, room, seconds):
    assert time_left(jobs, {}, timing(draw_figure=[10.0]), room).seconds == seconds


def test_what_runs_has_done_a_part_and_what_runs_longer_than_thought_is_not_nearly_done():
    jobs, made = {1: PlannedJob(DRAW)}, timing(draw_figure=[10.0])
    assert time_left(jobs, {1: 4.0}, made, Room(2, 1)).seconds == 6.0
    assert time_left(jobs, {1: 1000.0}, made, Room(2, 1)).seconds == 250.0
    # nor are those that follow of its kind
    both = jobs | {2: PlannedJob(DRAW)}
    assert time_left(both, {1: 1000.0}, made, Room(1, 1)).seconds == 1500.0
    assert time_left(jobs, {99: 1000.0}, made, Room(1, 1)).seconds == 10.0


def test_it_says_perhaps_until_most_of_it_was_timed():
    jobs = {1: PlannedJob(TRAIN), 2: PlannedJob(DRAW)}
    assert str(time_left(jobs, {}, timing(draw_figure=[10.0]), Room(1, 1))) == "perhaps 2 min left"
    assert str(time_left(jobs, {}, timing(draw_figure=[200.0]), Room(1, 1))) == "about 5 min left"
    assert str(time_left({}, {}, timing(), Room(1, 1))) == "nearly done"


def test_trainings_and_predictions_are_expected_by_the_costs_of_each_method():
    config = complete_config(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    cohort = survey_scan_table(ROOT / "example/scans.tsv").cohort
    on_gpu = expected_seconds(config, ["joint", "resnet50"], cohort, on_gpu=True)
    assert set(on_gpu) == {
        (rule, name) for rule in ("train_fold", "predict_fold") for name in ("joint", "resnet50")
    }
    assert on_gpu[TRAIN] > on_gpu["predict_fold", "joint"] > SECONDS_OF_OTHERS
    on_cores = expected_seconds(config, ["joint"], cohort, on_gpu=False)
    slower = GPU_TFLOPS / CORE_TFLOPS / config["compute"]["threads"]
    ratio = (on_cores[TRAIN] - SECONDS_OF_OTHERS) / (on_gpu[TRAIN] - SECONDS_OF_OTHERS)
    assert ratio == pytest.approx(slower)
    # of one training: more seeds are more jobs, and no longer ones
    more = expected_seconds(config | {"seeds": [1, 2, 3]}, ["joint"], cohort, on_gpu=True)
    assert more[TRAIN] == pytest.approx(on_gpu[TRAIN])
    assert expected_seconds(config, ["joint"], cohort.iloc[:0], on_gpu=True) == {}


def test_a_gpu_is_expected_where_one_is_named_or_found(monkeypatch):
    assert expects_gpu("cuda", local=True)
    assert not expects_gpu("cpu", local=False)
    assert expects_gpu("auto", local=False)
    monkeypatch.setattr(estimate.sys, "platform", "linux")
    monkeypatch.setattr(estimate.shutil, "which", lambda name: None)
    assert not expects_gpu("auto", local=True)
    monkeypatch.setattr(estimate.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert expects_gpu("auto", local=True)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3.2, "3 s"),
        (59.6, "1 min"),
        (754, "13 min"),
        (3599, "1 h 0 min"),
        (8000, "2 h 13 min"),
        (100_000, "28 h"),
    ],
)
def test_durations_are_round(seconds, words):
    assert duration(seconds) == words
