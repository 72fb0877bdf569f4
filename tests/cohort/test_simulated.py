"""Simulated scans are told of, wherever their results are shown."""

import pandas as pd
import pytest

from msnmo.cohort.simulated import Simulated


def cohort(*given: str) -> pd.DataFrame:
    return pd.DataFrame({"scan": [f"sub-{n}" for n in range(len(given))], "simulated": given})


@pytest.mark.parametrize(
    ("given", "short", "note"),
    [
        (("yes", "yes"), "simulated scans", "All scans are simulated."),
        (("yes", "no", "no"), "1 of 3 scans simulated", "1 of 3 scans is simulated."),
        (("yes", "yes", "no"), "2 of 3 scans simulated", "2 of 3 scans are simulated."),
        (("no", "no"), "", ""),
    ],
)
def test_captions_and_notes_say_how_many_are_simulated(given, short, note):
    told = Simulated.among(cohort(*given))
    assert told.short == short
    assert told.note.startswith(note)
    assert bool(told.note) == bool(note) == bool(told) == bool(told.of_networks())


def test_a_table_made_before_the_column_existed_has_no_simulated_scans():
    assert not Simulated.among(cohort("no", "no").drop(columns="simulated"))


def test_networks_are_said_to_have_learned_from_simulated_scans():
    alone, some = Simulated(8, 8), Simulated(2, 8)
    assert "only simulated scans" in alone.of_networks()
    assert "2 of 8" in some.of_networks()
    assert some.of_networks("Dice .7.").endswith("simulated. Dice .7.")
