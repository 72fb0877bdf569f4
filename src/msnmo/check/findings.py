"""What the check reports about a scan, and how the report is stored between steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msnmo.core.errors import Finding, bad_input
from msnmo.core.files import MAKE_AGAIN, read_json, write_json

if TYPE_CHECKING:  # a third of a second, in a job of each scan
    import pandas as pd

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""An error excludes a scan. A warning asks you to look. A note says how the scan is treated."""

COLUMNS = ("severity", "scan", "file", "expected", "found", "remedy")
"""Columns of the table of findings."""


@dataclass(frozen=True)
class Reported:
    """One finding of one scan.

    Parameters
    ----------
    severity : {"error", "warning", "note"}
    scan : str
        ``sub-X`` or ``sub-X_ses-Y``; ``row 7`` for a row of the scan table without a name;
        ``cohort`` for a finding that concerns no single scan.
    finding : Finding
    """

    severity: Severity
    scan: str
    finding: Finding


@dataclass(frozen=True)
class ScanReport:
    """Everything that the check found about one scan.

    Parameters
    ----------
    scan : str
    findings : list of Reported
    facts : dict
        What the comparison of scans needs and readers want to know: shape, voxel sizes (mm),
        orientation, digests of the voxels of scan and masks, lesion volumes (ml). Empty if the scan
        cannot be read.
    contents : dict
        For each opened file, the return value of `msnmo.core.contents.record`.
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
        """Read a report that `write` wrote.

        Raises
        ------
        InputError
            If the file is not such a report.
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
    """Sort findings: errors first, then warnings, then notes. Otherwise the order stays."""
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))


def findings_in(table: pd.DataFrame, severity: Severity) -> list[Finding]:
    """Return a table's findings of one severity, each once: two scans may share one.

    Parameters
    ----------
    table : DataFrame
        Columns `COLUMNS`.
    severity : {"error", "warning", "note"}
    """
    rows = table.loc[table["severity"] == severity, list(COLUMNS[2:])]
    return [Finding(*row) for row in dict.fromkeys(rows.itertuples(index=False, name=None))]
