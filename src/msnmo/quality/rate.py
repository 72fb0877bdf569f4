"""Serve the quality page on this machine, and write a rater's decisions as they are made."""

from __future__ import annotations

import argparse
import functools
import json
import secrets
from collections.abc import Sequence
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd

from msnmo.cohort.decisions import COLUMNS, EXCLUDE, KEEP, read_decisions, write_decisions
from msnmo.core.command import program
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import read_tsv
from msnmo.core.paths import path_argument

LARGEST_BODY = 10_000
LONGEST_REASON = 500
HEAD = "</head>"


class Rating:
    """A page and the table of decisions made on it.

    Parameters
    ----------
    page : Path
        index.html of `msnmo.quality.overview`; quality.tsv beside it lists the scans.
    decisions : Path
        Table of decisions; made with the first one.

    Raises
    ------
    InputError
        If the page, its table or the decisions cannot be read.
    """

    def __init__(self, page: Path, decisions: Path) -> None:
        if not page.is_file():
            remedy = "make it with `snakemake preprocess`"
            raise bad_input(page, "the quality page", "no such file", remedy)
        self.page, self.decisions = page, decisions
        self.scans = set(read_tsv(page.with_name("quality.tsv"), {"scan": str})["scan"])
        self.token = secrets.token_urlsafe()
        self._lock = Lock()
        self._table()

    def html(self) -> bytes:
        """Return the page with the token that its changes must bring."""
        text = self.page.read_text(encoding="utf-8")
        return text.replace(HEAD, f'<meta name="token" content="{self.token}">\n{HEAD}', 1).encode()

    def decide(self, scan: str, decision: str, reason: str) -> None:
        """Write one decision into the table.

        Raises
        ------
        ValueError
            If the scan is not on the page or the decision is neither keep nor exclude.
        """
        if scan not in self.scans:
            raise ValueError(f"no scan {scan!r} on this page")
        if decision not in (KEEP, EXCLUDE):
            raise ValueError(f"neither {KEEP} nor {EXCLUDE}: {decision!r}")
        reason = " ".join(reason.split())[:LONGEST_REASON].replace('"', "'")
        with self._lock:
            table = self._table()
            row = pd.DataFrame([(scan, decision, reason)], columns=list(COLUMNS))
            write_decisions(self.decisions, pd.concat([table[table["scan"] != scan], row]))

    def _table(self) -> pd.DataFrame:
        if not self.decisions.exists():
            return pd.DataFrame(columns=list(COLUMNS), dtype=object)
        return read_decisions(self.decisions)


class Handler(SimpleHTTPRequestHandler):
    """Gives out the page's folder and takes decisions, from this machine's browser alone."""

    def __init__(self, *arguments: Any, rating: Rating, **options: Any) -> None:
        self.rating = rating
        super().__init__(*arguments, directory=str(rating.page.parent), **options)

    def do_GET(self) -> None:
        """Answer with the page or one of its pictures."""
        if not self._is_ours():
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path.partition("?")[0] in ("/", f"/{self.rating.page.name}"):
            self._answer(HTTPStatus.OK, self.rating.html(), "text/html; charset=utf-8")
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Take one decision."""
        if not self._is_ours() or not secrets.compare_digest(
            self.headers.get("X-Token", "").encode(), self.rating.token.encode()
        ):
            self._answer(HTTPStatus.FORBIDDEN, b"not from this page: load it again")
            return
        try:
            self.rating.decide(**self._body())
        except (ValueError, TypeError, KeyError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error).encode())
        except OSError as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode())
        else:
            self._answer(HTTPStatus.OK, b"saved")

    def list_directory(self, path: object) -> None:
        """Refuse to list folders."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *arguments: object) -> None:
        """Say nothing of each picture that is loaded."""

    def _is_ours(self) -> bool:
        """Whether the request names this machine: another site's page in the browser does not."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        return host in ("127.0.0.1", "localhost")

    def _body(self) -> dict[str, str]:
        length = int(self.headers.get("Content-Length", 0))
        if not 0 < length <= LARGEST_BODY:
            raise ValueError(f"a decision of {length} bytes")
        content = json.loads(self.rfile.read(length))
        return {name: str(content[name]) for name in COLUMNS}

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def serve(rating: Rating, port: int) -> ThreadingHTTPServer:
    """Return a server of the page on 127.0.0.1 (port 0: any free one)."""
    return ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Handler, rating=rating))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C."""
    given = _parse(arguments)
    rating = Rating(given.page, given.decisions)
    try:
        server = serve(rating, given.port)
    except OSError as error:
        remedy = "give another one with --port"
        found = str(error.strerror)
        raise bad_input(f"port {given.port}", "a free port", found, remedy) from error
    port = server.server_address[1]
    print(f"Open http://127.0.0.1:{port}/ ; decisions go to {given.decisions}")
    print(f"From another machine: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE, then open the same")
    print("Ctrl-C ends it.", flush=True)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nended; every decision is in the table")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.quality.rate"),
        description=__doc__,
        epilog="Example:\n  msnmo rate --results results",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--results", type=path_argument, help="folder of a run that has its quality page"
    )
    parser.add_argument(
        "--page", type=path_argument, help="default: quality/index.html in the results"
    )
    parser.add_argument(
        "--decisions",
        type=path_argument,
        help="table to write (default: quality/decisions.tsv in the results, which the next run "
        "reads; else what the config's `decisions` names)",
    )
    parser.add_argument(
        "--port", type=int, default=8137, help="of the server (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    if not given.results and not (given.page and given.decisions):
        parser.error("give --results, or --page and --decisions")
    given.page = given.page or given.results / "quality/index.html"
    given.decisions = given.decisions or given.results / "quality/decisions.tsv"
    return given


if __name__ == "__main__":
    run_command(main)
