"""Read what participants.tsv and the session tables of a BIDS dataset say about each scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msnmo.cohort.bids_names import composed
from msnmo.cohort.delimited import read_rows
from msnmo.cohort.table_rows import MISSING
from msnmo.core.counts import counted
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.fetched import not_fetched

SUBJECT, SESSION = "participant_id", "session_id"
ABSENT = "no such file, so no scan has a diagnosis or site from it"


@dataclass(frozen=True)
class _Row:
    """One row of one table. The session is empty if the row is about the subject."""

    where: str
    subject: str
    session: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Tables:
    """The rows of participants.tsv and of every ``sub-X_sessions.tsv``.

    Parameters
    ----------
    participants : Path
    columns : frozenset of str
        Of participants.tsv; empty without the file.
    rows : tuple of _Row
    """

    participants: Path
    columns: frozenset[str]
    rows: tuple[_Row, ...]

    @classmethod
    def read(cls, dataset: Path, wanted: Iterable[str]) -> Tables:
        """Read the tables for the columns wanted.

        Raises
        ------
        InputError
            If a table cannot be read, or no table has a wanted column.
        """
        path, wanted = dataset / "participants.tsv", list(wanted)
        if not wanted:
            return cls(path, frozenset(), ())
        columns: frozenset[str] = frozenset()
        rows: list[_Row] = []
        if path.exists() or path.is_symlink():
            header, rows = _table(path, SUBJECT)
            columns = frozenset(header)
        seen = set(columns)
        for sessions in sorted(dataset.glob("sub-*/sub-*_sessions.tsv")):
            subject = composed(sessions.parent.name).removeprefix("sub-")
            header, more = _table(sessions, SESSION, subject)
            seen |= set(header)
            rows += more
        missing = [name for name in wanted if name not in seen]
        if seen and missing:
            remedy = "name another with --diagnosis-column or --site-column"
            expected, found = f"columns {', '.join(missing)}", f"columns {', '.join(sorted(seen))}"
            raise bad_input(path, expected, found, remedy)
        return cls(path, columns, tuple(rows))

    def without(self, subjects: Collection[str]) -> list[_Row]:
        """Return the first row of every subject except these."""
        others = {row.subject: row for row in reversed(self.rows) if row.subject not in subjects}
        return [*reversed(others.values())]

    def stated(self, column: str | None, means: Callable[[str], str] = str) -> Stated:
        """Return the content of a column.

        Words with the same meaning do not contradict each other.
        """
        known = defaultdict(list)
        for row in self.rows:
            if column is not None and column in row.cells:
                known[row.subject].append((row, row.cells[column]))
        return Stated(self.participants, column in self.columns, known, means)


@dataclass(frozen=True)
class Stated:
    """What one column of the tables says about subjects and their sessions."""

    path: Path
    listed: bool
    by_subject: Mapping[str, list[tuple[_Row, str]]]
    means: Callable[[str], str]

    def of(self, subject: str, session: str) -> str | None:
        """Return the entry for a scan; empty if it is unknown, None if a row is missing.

        The session's own row comes first, then the subject's row, then the value that all its rows
        share.
        """
        rows = self.by_subject.get(subject)
        if not rows:
            return None if self.listed else ""
        for wanted in (session, ""):
            if said := [word for row, word in rows if row.session == wanted and word]:
                return said[0]
        words = {self.means(word): word for _, word in rows if word}
        return next(iter(words.values())) if len(words) == 1 else None if words else ""

    def contradictions(self, classes: bool = False) -> dict[str, Finding]:
        """Find, by subject, contradicting rows of one session, or of one subject in two classes."""
        found: dict[str, Finding] = {}
        for subject, rows in sorted(self.by_subject.items()):
            groups = defaultdict(list)
            for row, word in rows:
                if word:
                    groups[row.session].append((row, word))
            known = [each for group in groups.values() for each in group]
            in_class = [each for each in known if self.means(each[1]) in diagnoses()]
            for group in (*groups.values(), *([in_class] if classes else [])):
                if len({self.means(word) for _, word in group}) > 1:
                    found.setdefault(subject, _contradiction(subject, group))
        return found


def _contradiction(subject: str, rows: Iterable[tuple[_Row, str]]) -> Finding:
    rows = list(rows)
    found = ", ".join(f"{word!r} in {row.where}" for row, word in rows)
    remedy = "correct the wrong row; several visits need one row each, with its own session_id"
    return Finding(rows[0][0].where, f"one word for sub-{subject}", found, remedy)


def _table(path: Path, key: str, subject: str = "") -> tuple[list[str], list[_Row]]:
    """Return a table's columns and rows. `subject` is its owner, if it has only one."""
    if reason := not_fetched(path):
        raise bad_input(path, "a table", reason, "fetch it first")
    header, *rows = read_rows(path)
    columns = list(header.cells)
    while columns and not columns[-1]:
        columns.pop()  # spreadsheets write them past the table
    if key not in columns or len(set(columns)) < len(columns):
        expected = f"a name for every column, one of them {key}"
        raise bad_input(path, expected, f"columns {', '.join(columns)}", "correct the header")
    wrong, found = [], []
    for row in rows:
        where = f"{path}, row {row.number}"
        if len(row.cells) != len(columns) and (
            len(row.cells) < len(columns) or any(row.cells[len(columns) :])
        ):
            expected = f"{counted(len(columns), 'cell')}, as in the header"
            remedy = "look for a missing or extra tab; empty cells need a tab too"
            wrong.append(Finding(where, expected, counted(len(row.cells), "cell"), remedy))
            continue
        cells = dict(zip(columns, map(_known, row.cells), strict=False))
        name = subject or composed(cells[SUBJECT]).removeprefix("sub-")
        session = composed(cells.get(SESSION, "")).removeprefix("ses-")
        found.append(_Row(where, name, session, cells))
    if wrong:
        raise InputError(wrong)
    return columns, found


def _known(cell: str) -> str:
    return "" if cell == MISSING else cell
