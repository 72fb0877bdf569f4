"""The figure of a bundle on an outside cohort: what its panels show, and what they cannot."""

import pandas as pd
import pytest

from msnmo.figures.outside import NO_CURVE, draw_outside


def scans(*diagnoses: str) -> pd.DataFrame:
    count = len(diagnoses)
    return pd.DataFrame(
        {
            "scan": [f"sub-{n}" for n in range(count)],
            "subject": [str(n) for n in range(count)],
            "site": "A",
            "diagnosis": diagnoses,
            "DSC": [0.5 + n / 10 for n in range(count)],
            "P_NMOSD": [0.1 + n / 5 for n in range(count)],
            "p_nmosd": [0.1 + n / 5 for n in range(count)],
        }
    )


@pytest.mark.parametrize(
    ("diagnoses", "curves", "said"),
    [(("MS", "NMOSD", "NMOSD"), 2, ""), (("MS", "MS"), 1, "no curve\nscans of one diagnosis")],
)
def test_a_panel_without_a_curve_says_why(diagnoses, curves, said):
    figure = draw_outside(scans(*diagnoses), scans(*diagnoses))
    panel = next(axes for axes in figure.axes if axes.get_title() == "NMOSD against MS")
    assert len(panel.lines) == curves
    assert "".join(text.get_text() for text in panel.texts) == said
    captions = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert (NO_CURVE in captions) == bool(said)
