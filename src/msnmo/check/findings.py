"""What the check says of a scan, and how it is kept between its steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from msnmo.core.errors import Finding, bad_input
from msnmo.core.files import MAKE_AGAIN, read_json, write_json

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""An error keeps a scan out, a warning asks for a look, a note says what is done with the scan."""

COLUMNS = ("severity", "scan", "file", "expected", "found", "remedy")
"""Of the table of findings."""


@dataclass(frozen=True)
class Reported:
    """One finding of one scan.

    Parameters
    ----------
    severity : {"error", "warning", "note"}
    scan : str
        ``sub-X`` or ``sub-X_ses-Y``; ``row 7`` for a row of the scan table that names none,
        ``cohort`` for what is of no single scan.
    finding : Finding
    """

    severity: Severity
    scan: str
    finding: Finding


@dataclass(frozen=True)
class ScanReport:
    """All that the check found of one scan.

    Parameters
    ----------
    scan : str
    findings : list of Reported
    facts : dict
        What the comparison of scans needs and readers want to know: shape, voxel sizes (mm),
        orientation, digests of the voxels of scan and masks, lesion volumes (ml). Empty for a scan
        that cannot be read.
    contents : dict
        Of each file that was opened what `msnmo.core.contents.record` returns.
    """

    scan: str
    findings: list[Reported]
    facts: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        findings = [{"severity": each.severity, **asdict(each.finding)} for each in self.findings]
        content = {"scan": self.scan, "findings": findings, "facts": self.facts}
        write_json(path, content | {"contents": self.contents})

    @classmethod
    def read(cls, path: Path) -> ScanReport:
        """Return the report that `write` wrote.

        Raises
        ------
        InputError
            If the file is no such report.
        """
        content = read_json(path)
        try:
            scan = content["scan"]
            findings = [
                Reported(each.pop("severity"), scan, Finding(**each))
                for each in content["findings"]
            ]
            return cls(scan, findings, content["facts"], content["contents"])
        except (KeyError, TypeError) as error:
            raise bad_input(
                path, "the check's report of a scan", repr(error), MAKE_AGAIN
            ) from error


def by_severity(findings: Iterable[Reported]) -> list[Reported]:
    """Return findings with errors first, then warnings, then notes; else in their order."""
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))


def findings_in(table: pd.DataFrame, severity: Severity) -> list[Finding]:
    """Return the findings of a severity in a table, each once: two scans may have one in common.

    Parameters
    ----------
    table : DataFrame
        Columns `COLUMNS`.
    severity : {"error", "warning", "note"}
    """
    rows = table.loc[table["severity"] == severity, list(COLUMNS[2:])]
    return [Finding(*row) for row in dict.fromkeys(rows.itertuples(index=False, name=None))]
