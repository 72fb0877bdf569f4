"""The server of the quality page: for one rater's browser, whoever else is on this machine."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import socket
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote

from msnmo.core.errors import DiskError, InputError, MsnmoError
from msnmo.quality.rating import Rating

LARGEST_BODY = 10_000
MOST_DRAINED = 1_000_000
SECONDS_TO_ASK = 10.0
"""In all, from connecting to the end of the request."""
SECONDS_TO_TAKE = 60.0
"""In which a browser takes a part of an answer."""
MOST_WAITING = 64
"""Connections that have not asked yet; one more ends the oldest."""
HOST = re.compile(r"(?:127\.0\.0\.1|localhost)(?::(\d{1,5}))?", re.ASCII)
CLOSED = (
    "the rating of this page is only for who has the address that `msnmo rate` printed: open it"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Server(ThreadingHTTPServer):
    """Serves one page on 127.0.0.1. Idle connections are closed, so that they cannot block others.

    Parameters
    ----------
    port : int
        0 for any free one.
    rating : Rating
    """

    request_queue_size = 128

    def __init__(self, port: int, rating: Rating) -> None:
        self.rating = rating
        self.secret, self.token = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.nonce = secrets.token_urlsafe(16)
        # browsers send a cookie to every port of this machine, so to servers of other users too;
        # within a folder of a name that these do not know, to ours alone
        self.folder = f"/{secrets.token_hex(8)}/"
        self._silent: dict[socket.socket, float] = {}
        self._lock = Lock()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def address(self) -> str:
        """The page's address with the secret, for the rater alone."""
        return f"http://127.0.0.1:{self.server_address[1]}/?token={self.secret}"

    def server_bind(self) -> None:
        """Bind, without asking a name server what this machine is called."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note when a connection was made, and end the oldest silent one if there are too many."""
        with self._lock:
            if len(self._silent) >= MOST_WAITING:
                self._end(next(iter(self._silent)))
            self._silent[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End connections that have not asked in time."""
        oldest = time.monotonic() - SECONDS_TO_ASK
        with self._lock:
            late = [each for each, since in self._silent.items() if since < oldest]
            for each in late:
                self._end(each)

    def has_asked(self, request: socket.socket) -> None:
        """Take a connection off the silent ones: its request was read."""
        with self._lock:
            self._silent.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection with its end."""
        self.has_asked(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in a line what went wrong; nothing of browsers that went away."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            said = f"{type(error).__name__}: {error}"
            print(f"msnmo: a request could not be answered: {said}", file=sys.stderr, flush=True)

    def _end(self, connection: socket.socket) -> None:
        """Wake the thread that waits for a connection to ask; it closes it."""
        del self._silent[connection]
        with contextlib.suppress(OSError):  # it went of itself
            connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Gives out the page and its pictures, and takes decisions."""

    server: Server
    timeout = SECONDS_TO_ASK
    server_version, sys_version = "msnmo", ""

    def do_GET(self) -> None:
        """Answer with the page, the decisions or a picture."""
        self.server.has_asked(self.connection)
        self.connection.settimeout(SECONDS_TO_TAKE)
        path, _, query = self.path.partition("?")
        if self._host() is None:
            self._say(HTTPStatus.FORBIDDEN, "this server has another name")
        elif self._has_secret(query):
            self._let_in()
        elif not self._has_cookie():
            self._say(HTTPStatus.FORBIDDEN, CLOSED)
        else:
            self._give(unquote(path, errors="replace").removeprefix(self.server.folder))

    do_HEAD = do_GET  # noqa: N815 - `_answer` leaves the body out

    def do_POST(self) -> None:
        """Take one decision."""
        try:
            body = self._body()
        finally:
            self.server.has_asked(self.connection)
        self.connection.settimeout(SECONDS_TO_TAKE)
        sent = self.headers.get("X-Token", "").encode()
        if self._host() is None or not self._has_cookie():
            self._say(HTTPStatus.FORBIDDEN, CLOSED)
        elif not secrets.compare_digest(sent, self.server.token.encode()):
            self._say(HTTPStatus.FORBIDDEN, "not from this page: load it again")
        elif self.path != f"{self.server.folder}decisions":
            self._say(HTTPStatus.NOT_FOUND, "decisions go to decisions beside the page")
        else:
            self._decide(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing of each picture that is loaded, and nothing of secrets."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request in words of its status: nothing that was sent comes back."""
        super().send_error(code)

    def end_headers(self) -> None:
        """Close the page to frames, other pages and caches, whatever the answer is."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", POLICY.format(nonce=self.server.nonce))
        super().end_headers()

    def _host(self) -> str | None:
        """Return the port that the browser asked for, or None if it asked for another machine.

        This refuses the page of another site whose name resolves to this machine.
        """
        hosts = self.headers.get_all("Host", [])
        match = HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        return (match[1] or "80") if match else None

    def _has_secret(self, query: str) -> bool:
        """Whether this is the address that the command printed."""
        return self._is_secret(parse_qs(query, errors="replace").get("token", [""])[0])

    def _is_secret(self, sent: str) -> bool:
        """Whether this is the secret, told in the same time however much of it is right."""
        return secrets.compare_digest(sent.encode("utf-8", "replace"), self.server.secret.encode())

    def _has_cookie(self) -> bool:
        """Whether the browser opened the address with the secret before."""
        pairs = [
            pair.strip().partition("=")
            for line in self.headers.get_all("Cookie", [])
            for pair in line.split(";")
        ]
        return any(name == self._cookie() and self._is_secret(value) for name, _, value in pairs)

    def _cookie(self) -> str:
        # cookies are of a machine, not of a port; through ssh the browser's port is another one
        return f"msnmo-rate-{self._host()}"

    def _let_in(self) -> None:
        """Keep the secret in the browser, and take it out of the address."""
        self.send_response(HTTPStatus.SEE_OTHER)
        folder = self.server.folder
        kept = f"{self._cookie()}={self.server.secret}; Path={folder}; HttpOnly; SameSite=Strict"
        self.send_header("Set-Cookie", kept)
        self.send_header("Location", folder)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _give(self, path: str) -> None:
        try:
            if path in ("", self.server.rating.page.name):
                page = self.server.rating.html(self.server.token, self.server.nonce)
                self._answer(HTTPStatus.OK, page, "text/html; charset=utf-8")
            elif path == "decisions":
                self._answer(HTTPStatus.OK, _json(self.server.rating.read()), "application/json")
            elif picture := self.server.rating.picture(path):
                with picture.open("rb") as stream:
                    self._send_picture(stream)
            else:
                self._say(HTTPStatus.NOT_FOUND, "no such picture on this page")
        except (MsnmoError, OSError) as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, f"{self._words(error)}.")

    def _send_picture(self, stream: Any) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        if self.command != "HEAD":
            shutil.copyfileobj(stream, self.wfile)

    def _decide(self, body: bytes | None) -> None:
        try:
            row = self.server.rating.decide(_decision(body))
        except ValueError as error:
            self._say(HTTPStatus.BAD_REQUEST, str(error))
        except (MsnmoError, OSError) as error:
            # of a disk, the system's words are enough: remedies are those of the workflow
            said = f"{self._words(error)}. The table is as it was before."
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, said)
        else:
            self._answer(HTTPStatus.OK, _json(row), "application/json")

    def _words(self, error: MsnmoError | OSError) -> str:
        """Return an error in a line; the remedies of the workflow are not those of a rater."""
        if isinstance(error, InputError):
            return "; ".join(
                f"{each.file}: expected {each.expected}, found {each.found}"
                for each in error.findings
            )
        cause = error.__cause__ if isinstance(error, DiskError) else error
        reason = getattr(cause, "strerror", None)
        return f"{reason} ({self.server.rating.decisions})" if reason else str(error)

    def _body(self) -> bytes | None:
        """Return what was sent, or None where it is none of ours: no length, or too much."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            return None
        if int(length) > LARGEST_BODY:
            # unread, it would cost the browser the answer
            self.rfile.read(min(int(length), MOST_DRAINED))
            return None
        return self.rfile.read(int(length))

    def _say(self, status: HTTPStatus, words: str) -> None:
        self._answer(status, f"{words}\n".encode("utf-8", "replace"), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _decision(body: bytes | None) -> dict[str, Any]:
    """Return the decision in the body of a request.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not body:
        raise ValueError(f"a decision of 1 to {LARGEST_BODY} bytes is expected, with its length")
    try:
        content = json.loads(body)
    except RecursionError as error:
        raise ValueError("no decision: brackets within brackets") from error
    if not isinstance(content, dict) or not {"scan", "decision"} <= set(content):
        raise ValueError("a decision has a scan and a decision")
    return content
