"""What is said of a map, wherever it is shown."""

import math

import pytest

from msnmo.evaluate.verdict import NOT_TOLD, Verdict

BETTER = Verdict(0.87, 0.83, 0.91, 0.95, 20, 18)
CHANCE = Verdict(0.51, 0.46, 0.57, 0.95, 20, 18)
WORSE = Verdict(0.31, 0.26, 0.37, 0.9, 20, 18)
UNKNOWN = Verdict(math.nan, math.nan, math.nan, 0.95, 0, 0)


@pytest.mark.parametrize(
    ("verdict", "beats", "short", "words"),
    [
        (
            BETTER,
            True,
            "AUROC 0.87",
            "AUROC against lesions 0.87 (95 % interval 0.83 to 0.91) in held-out scans.",
        ),
        (
            CHANCE,
            False,
            "not better than chance",
            "This map does not find lesions better than chance (AUROC 0.51, 95 % interval 0.46 to "
            "0.57, held-out scans).",
        ),
        (
            WORSE,
            False,
            "not better than chance",
            "This map does not find lesions better than chance (AUROC 0.31, 90 % interval 0.26 to "
            "0.37, held-out scans).",
        ),
        (UNKNOWN, None, "not measured", NOT_TOLD),
    ],
)
def test_a_map_is_called_better_only_by_its_whole_interval(verdict, beats, short, words):
    assert verdict.beats_chance is beats
    assert verdict.in_short == short
    assert verdict.in_words == words


def test_an_interval_that_touches_chance_does_not_beat_it():
    assert Verdict(0.6, 0.5, 0.7, 0.95, 4, 4).beats_chance is False


@pytest.mark.parametrize("verdict", [BETTER, CHANCE])
def test_json_holds_all_of_it(verdict):
    content = verdict.to_json()
    assert content["beats_chance"] is verdict.beats_chance
    assert Verdict.from_json(content) == verdict


def test_what_was_not_measured_is_no_number():
    assert UNKNOWN.to_json() is None
