"""Numbers as text: rounded once, with true signs."""

import numpy as np
import pytest

from msnmo.core.numbers import duration, fixed, plain, rounded


@pytest.mark.parametrize(
    ("value", "decimals", "sign", "text"),
    [
        (21.55496, 2, "", "21.55"),
        (-21.55496, 2, "", "−21.55"),
        (1.5, 1, "+", "+1.5"),
        (-1.5, 1, "+", "−1.5"),
        (0.0, 2, "+", "0.00"),
        # what is shown as 0 points nowhere
        (-0.0049, 2, "+", "0.00"),
        (0.0049, 2, "+", "0.00"),
        (-0.4, 0, "", "0"),
        (62, 0, "", "62"),
    ],
)
def test_fixed(value, decimals, sign, text):
    assert fixed(value, decimals, sign) == text


@pytest.mark.parametrize("value", [0.1 + 0.2, 21.555, 2.675, 0.125, 1 / 3, -1e-9, 1234.5])
def test_the_last_digit_of_an_addition_moves_no_text(value):
    """Two ways to add make numbers apart by some 1e-16 of them, on both sides of a half."""
    for near in (np.nextafter(value, np.inf), np.nextafter(value, -np.inf), value * (1 + 4e-16)):
        assert plain(near) == plain(value)
        assert fixed(near, 2) == fixed(value, 2) == fixed(float(plain(value)), 2)


def test_machines_have_twelve_digits():
    assert [plain(each) for each in (66.0, 1 / 3, 0.0101, 62)] == [
        *("66", "0.333333333333", "0.0101", "62")
    ]


@pytest.mark.parametrize("value", [21.555, 21.5549999999, 0.125, 2.675, -0.001, 1e-9, 74.865])
def test_what_is_rounded_is_what_is_shown(value):
    assert fixed(rounded(value, 2), 2) == fixed(value, 2)
    assert str(rounded(-1e-9, 2)) == "0.0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (4337.9, "72 min"),
        (7199.0, "2 h 0 min"),
        (90061.0, "25 h 1 min"),
    ],
)
def test_times_are_rounded_to_what_people_read(seconds, text):
    assert duration(seconds) == text
