"""Whether a map finds lesions better than chance, in numbers and in the words that go with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msnmo.core.files import read_tsv
from msnmo.core.numbers import fixed

CHANCE = 0.5
"""The AUROC of a map that says nothing of lesions."""
VERDICT_COLUMNS = {
    **dict.fromkeys(("method", "map", "metric"), str),
    **dict.fromkeys(("mean", "ci_low", "ci_high", "confidence"), float),
    **dict.fromkeys(("n_scans", "n_undefined_scans", "n_subjects"), int),
}
NOT_TOLD = "Whether this map finds lesions was not measured."


@dataclass(frozen=True)
class Verdict:
    """The AUROC of a map against lesions on held-out scans, and what follows from it.

    Parameters
    ----------
    auroc, ci_low, ci_high : float
        Mean over folds and its interval over subjects, 0 to 1; NaN without a scan that has
        lesions.
    confidence : float
        Of the interval, within 0 and 1.
    scans, subjects : int
        That the numbers are made of.
    """

    auroc: float
    ci_low: float
    ci_high: float
    confidence: float
    scans: int
    subjects: int

    @property
    def is_known(self) -> bool:
        """Whether any scan has lesions to measure the map by."""
        return not math.isnan(self.auroc) and not math.isnan(self.ci_low)

    @property
    def beats_chance(self) -> bool | None:
        """Whether the whole interval is above chance; None where nothing was measured."""
        return self.ci_low > CHANCE if self.is_known else None

    @property
    def in_words(self) -> str:
        """The sentence that goes with the map."""
        if not self.is_known:
            return NOT_TOLD
        low, high = fixed(self.ci_low, 2), fixed(self.ci_high, 2)
        level = f"{100 * self.confidence:g} % interval {low} to {high}"
        if self.beats_chance:
            return f"AUROC against lesions {fixed(self.auroc, 2)} ({level}) in held-out scans."
        return (
            "This map does not find lesions better than chance "
            f"(AUROC {fixed(self.auroc, 2)}, {level}, held-out scans)."
        )

    @property
    def in_short(self) -> str:
        """A few words for the title of a picture or the label of a layer."""
        if not self.is_known:
            return "not measured"
        return f"AUROC {fixed(self.auroc, 2)}" if self.beats_chance else "not better than chance"

    def to_json(self) -> dict[str, Any] | None:
        """Return the verdict as JSON types; None where nothing was measured."""
        if not self.is_known:
            return None
        return asdict(self) | {"beats_chance": self.beats_chance}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Verdict:
        """Return the verdict that `to_json` described."""
        return cls(**{key: value for key, value in content.items() if key != "beats_chance"})


def read_verdicts(path: Path | str) -> dict[tuple[str, str], Verdict]:
    """Return the verdicts of one method's maps, by method and map.

    Parameters
    ----------
    path : Path or str
        As `msnmo.evaluate.statistics.maps` writes.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    table = read_tsv(path, VERDICT_COLUMNS)
    return {
        (row.method, row.map): Verdict(
            *(row.mean, row.ci_low, row.ci_high, row.confidence),
            *(row.n_scans - row.n_undefined_scans, row.n_subjects),
        )
        for row in table[table["metric"] == "auroc"].itertuples()
    }
