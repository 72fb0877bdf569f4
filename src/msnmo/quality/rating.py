"""Serve a rater's page and its pictures, and write each decision at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from msnmo.cohort.decisions import (
    ARTEFACTS,
    COLUMNS,
    DETAILS,
    EXCLUDE,
    GRADES,
    KEEP,
    change_decision,
    join_artefacts,
    locked,
    no_decisions,
    read_decisions,
)
from msnmo.core.errors import bad_input
from msnmo.core.files import read_tsv
from msnmo.core.paths import CONTROL

LONGEST_REASON, LONGEST_NAME = 500, 80
HEAD, SCRIPT = "</head>", "<script>"


class Rating:
    """A page and the table of decisions made on it.

    Parameters
    ----------
    page : Path
        index.html of `msnmo.quality.overview`; quality.tsv beside it lists the scans.
    decisions : Path
        Table of decisions. It is created with the first decision.
    rater : str
        The rater's name at the page's start; may be empty.

    Raises
    ------
    InputError
        If the page, its table or the decisions cannot be read.
    """

    def __init__(self, page: Path, decisions: Path, rater: str = "") -> None:
        if not page.is_file():
            remedy = "make it with `snakemake preprocess`"
            raise bad_input(page, "the quality page", "no such file", remedy)
        self.page, self.decisions, self.rater = page, decisions, one_line(rater, LONGEST_NAME)
        self.folder = page.parent.resolve()
        self.scans = set(read_tsv(page.with_name("quality.tsv"), {"scan": str})["scan"])
        # for threads; the lock for processes is a file, which some network disks do not support
        self._lock = Lock()
        _refuse_endless_link(decisions)
        self.read()

    def html(self, token: str, nonce: str) -> bytes:
        """Return the page with the token that its changes must send. Only its script may run."""
        text = self.page.read_text(encoding="utf-8")
        text = text.replace(HEAD, f'<meta name="token" content="{token}">\n{HEAD}', 1)
        before, _, script = text.rpartition(SCRIPT)
        return f'{before}<script nonce="{nonce}">{script}'.encode()

    def picture(self, path: str) -> Path | None:
        """Return the picture at a path in the page's folder; None for all else and links out."""
        if CONTROL.search(path) or path.startswith("/") or not path.endswith(".png"):
            return None
        try:
            found = (self.folder / path).resolve(strict=True)
        except (OSError, RuntimeError):  # no such file, a name too long, a link to itself
            return None
        return found if found.is_relative_to(self.folder) and found.is_file() else None

    def read(self) -> dict[str, Any]:
        """Return the page's data: the current decisions in the table, and the rater."""
        table = read_decisions(self.decisions) if self.decisions.exists() else no_decisions()
        kept = table[[*COLUMNS, *DETAILS]].to_dict("records")
        # the browser stores filter and place under this key, as all served pages have one address
        study = hashlib.sha256(os.fsencode(self.page.resolve())).hexdigest()[:16]
        return {"study": study, "rater": self.rater, "decisions": kept}

    def decide(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Write one decision into the table. Return the row, empty if the decision was removed.

        Parameters
        ----------
        given : mapping
            scan and decision (keep, exclude, or empty to take it back) at least; reason, grade,
            artefacts (a list) and rater.

        Raises
        ------
        ValueError
            If it is no decision about a scan of this page.
        MsnmoError, OSError
            If the table cannot be read or written. It then stays as it was.
        """
        scan, row = self._checked(given)
        with self._lock:
            change_decision(self.decisions, scan, row or None)
        return row

    def has_locks(self) -> bool:
        """Whether the disk of the table lets processes lock it."""
        with locked(self.decisions) as held:
            return held

    def finish(self) -> None:
        """Wait until the current decision is written to the table."""
        with self._lock:
            pass

    def _checked(self, given: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        words = {name: _text(given, name) for name in (*COLUMNS, "grade", "rater")}
        scan, decision, grade = words["scan"], words["decision"], words["grade"]
        if not decision:
            # for any scan: one that was excluded before is no longer on the page
            return scan, {}
        if scan not in self.scans:
            raise ValueError(f"no scan {scan!r} on this page")
        if decision not in (KEEP, EXCLUDE):
            raise ValueError(f"neither {KEEP} nor {EXCLUDE}: {decision!r}")
        if grade and (grade not in GRADES or (grade == EXCLUDE) != (decision == EXCLUDE)):
            raise ValueError(f"no grade of a scan to {decision}: {grade!r}")
        ticked = given.get("artefacts", [])
        if not isinstance(ticked, list) or not all(each in ARTEFACTS for each in ticked):
            raise ValueError(f"artefacts that are not in the list: {ticked!r}")
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return scan, {
            "decision": decision,
            "reason": one_line(words["reason"], LONGEST_REASON),
            "grade": grade,
            "artefacts": join_artefacts(ticked),
            "rater": one_line(words["rater"], LONGEST_NAME),
            "time": now,
        }


def one_line(text: str, longest: int) -> str:
    """Return text as a cell that every table reader accepts: one line, no quotation mark."""
    # half of a UTF-16 pair, which JSON can hold but UTF-8 cannot
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(CONTROL.sub(" ", whole).split())[:longest].strip().replace('"', "'")


def _text(given: Mapping[str, Any], name: str) -> str:
    text = given.get(name, "")
    if not isinstance(text, str):
        raise ValueError(f"no text as {name}: {text!r}")
    return text


def _refuse_endless_link(decisions: Path) -> None:
    """Refuse a link that leads to itself: the first decision would take its place."""
    try:
        decisions.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        remedy = "correct --decisions"
        raise bad_input(decisions, "a table of decisions", str(error.strerror), remedy) from error
