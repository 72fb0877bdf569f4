"""Which scans of a cohort are simulated, and what is said wherever results of theirs are shown."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

COLUMN = "simulated"
"""Of the scan table and of cohort.tsv: yes or no; tables made before it existed lack it."""


@dataclass(frozen=True)
class Simulated:
    """How many scans of a cohort are simulated.

    Parameters
    ----------
    scans : int
        Those that are.
    of : int
        All of them.
    """

    scans: int
    of: int

    @classmethod
    def among(cls, cohort: pd.DataFrame) -> Simulated:
        """Count the simulated scans of a cohort, which may lack the column."""
        given = cohort.get(COLUMN, pd.Series("no", cohort.index))
        return cls(int((given == "yes").sum()), len(cohort))

    def __bool__(self) -> bool:
        return self.scans > 0

    @property
    def short(self) -> str:
        """What a caption ends with; empty where no scan is simulated."""
        if not self:
            return ""
        return "simulated scans" if self.scans == self.of else f"{self._some} simulated"

    @property
    def note(self) -> str:
        """A sentence for notes, banners and cards; empty where no scan is simulated."""
        if not self:
            return ""
        if self.scans == self.of:
            return (
                "All scans are simulated. These results show that the software works. They say "
                "nothing about patients."
            )
        return (
            f"{self._some} {self._are} simulated. Results of them say nothing about patients: "
            "leave them out before you report numbers."
        )

    @property
    def of_networks(self) -> str:
        """What is said of networks that learned from the scans; empty where none is simulated."""
        if not self:
            return ""
        learned = (
            "simulated scans alone"
            if self.scans == self.of
            else f"scans of which {self.scans} of {self.of} {self._are} simulated"
        )
        return f"These networks learned from {learned}. How they do on patients is not known."

    @property
    def _some(self) -> str:
        return f"{self.scans} of {self.of} scans"

    @property
    def _are(self) -> str:
        return "is" if self.scans == 1 else "are"
