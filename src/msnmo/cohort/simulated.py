"""Which scans of a cohort are simulated, and the note shown with all their results."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

COLUMN = "simulated"
"""Column of the scan table and of cohort.tsv: yes or no. Older tables lack it."""
MANUFACTURER = "simulated"
"""What BIDS's key Manufacturer says in the JSON of a simulated scan."""


@dataclass(frozen=True)
class Simulated:
    """How many scans of a cohort are simulated.

    Parameters
    ----------
    scans : int
        Number of simulated scans.
    of : int
        Number of all scans.
    """

    scans: int
    of: int

    @classmethod
    def among(cls, cohort: pd.DataFrame) -> Simulated:
        """Count the simulated scans of a cohort. The column may be missing."""
        given = cohort.get(COLUMN, pd.Series("no", cohort.index))
        return cls(int((given == "yes").sum()), len(cohort))

    def __bool__(self) -> bool:
        return self.scans > 0

    @property
    def short(self) -> str:
        """The end of a caption; empty if no scan is simulated."""
        if not self:
            return ""
        return "simulated scans" if self.scans == self.of else f"{self._some} simulated"

    @property
    def note(self) -> str:
        """A note for tables, banners and cards; empty if no scan is simulated."""
        if not self:
            return ""
        if self.scans == self.of:
            return (
                "All scans are simulated. These results show that the software works. They say "
                "nothing about patients."
            )
        return (
            f"{self._some} {self._are} simulated. Their results say nothing about patients: leave "
            "them out before you report numbers."
        )

    def of_networks(self, accuracy: str = "") -> str:
        """Return the note on networks trained on the scans; empty if none is simulated.

        Parameters
        ----------
        accuracy : str
            How well they work, if that was measured.
        """
        if not self:
            return ""
        learned = (
            "only simulated scans"
            if self.scans == self.of
            else f"scans of which {self.scans} of {self.of} {self._are} simulated"
        )
        known = accuracy or "How well they work on patients is not known."
        return f"These networks learned from {learned}. {known}"

    @property
    def _some(self) -> str:
        return f"{self.scans} of {self.of} scans"

    @property
    def _are(self) -> str:
        return "is" if self.scans == 1 else "are"
