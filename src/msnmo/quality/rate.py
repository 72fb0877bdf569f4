"""Serve the quality page on this machine, and write a rater's decisions as they are made.

Only a browser that opens the printed address can see the page or decide. The address holds a
secret, which is new at each start.
"""

from __future__ import annotations

import argparse
import errno
from collections.abc import Sequence

from msnmo.core.command import program
from msnmo.core.errors import bad_input, run_command
from msnmo.core.paths import path_argument
from msnmo.quality.rating import Rating
from msnmo.quality.server import Server

LARGEST_PORT = 65535
PORT = 8137


def serve(rating: Rating, port: int) -> Server:
    """Return a server of the page on 127.0.0.1 (port 0: any free one).

    Raises
    ------
    InputError
        If the port is taken, or not open to normal users.
    """
    try:
        return Server(port, rating)
    except OSError as error:
        remedy = "give another one above 1023 with --port; 0 takes any free one"
        if error.errno == errno.EADDRINUSE:
            remedy = f"use the `msnmo rate` that may run already; or {remedy}"
        found = str(error.strerror)
        raise bad_input(f"port {port}", "a free port", found, remedy) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C."""
    given = _parse(arguments)
    try:
        rating = Rating(given.page, given.decisions, given.rater)
        with serve(rating, given.port) as server:
            _tell(server, rating)
            try:
                server.serve_forever()
            finally:
                rating.finish()
    except KeyboardInterrupt:
        print("\nended; all decisions that the page showed as saved are in the table", flush=True)


def _tell(server: Server, rating: Rating) -> None:
    port = server.server_address[1]
    print(f"Open {server.address}")
    print(
        f"Decisions go to {rating.decisions}. Keep the address secret: anyone who has it can rate."
    )
    print(f"From another machine: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE, then open the same")
    if not rating.has_locks():
        print("The table's disk has no locks: do not start a second `msnmo rate` for this table.")
    print("Ctrl-C ends it.", flush=True)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST_PORT):
        raise argparse.ArgumentTypeError(f"a number from 0 to {LARGEST_PORT} is expected: {text!r}")
    return int(text)


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
        "reads; otherwise give the file that the config's `decisions` names)",
    )
    parser.add_argument(
        "--rater", default="", help="your name, for the table (default: the page asks for it)"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=PORT,
        help="port of the server; 0: any free one (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    if not given.results and not (given.page and given.decisions):
        parser.error("give --results, or --page and --decisions")
    given.page = given.page or given.results / "quality/index.html"
    given.decisions = given.decisions or given.results / "quality/decisions.tsv"
    return given


if __name__ == "__main__":
    run_command(main)
