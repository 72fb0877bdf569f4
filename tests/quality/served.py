"""A served quality page, and a browser's requests to it."""

import http.client
import json
import re
import socket
import subprocess
import sys
from dataclasses import dataclass

from msnmo.quality.server import Server

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)(/\?token=\S+)")


def request(port, method, path, body=None, headers=None):
    """Return status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


@dataclass
class Rater:
    """A browser that opened the printed address."""

    port: int
    folder: str
    cookie: str
    token: str

    @classmethod
    def enter(cls, port: int, path: str) -> "Rater":
        """Open the address with the secret, then the page."""
        status, headers, _ = request(port, "GET", path)
        assert status == 303
        folder, cookie = headers["Location"], headers["Set-Cookie"].partition(";")[0]
        page = request(port, "GET", folder, headers={"Cookie": cookie})[2].decode()
        (token,) = re.findall(r'<meta name="token" content="([^"]+)">', page)
        return cls(port, folder.rstrip("/"), cookie, token)

    @classmethod
    def of(cls, server: Server) -> "Rater":
        return cls.enter(*_parts(server.address))

    def ask(self, path: str, method: str = "GET", **headers: str):
        """Return the answer to a request of what lies beside the page."""
        sent = {"Cookie": self.cookie} | headers
        return request(self.port, method, f"{self.folder}{path}", headers=sent)

    def post(self, body, **headers: str):
        """Return status and words of the answer to a body."""
        sent = {"Cookie": self.cookie, "X-Token": self.token} | headers
        status, _, said = request(self.port, "POST", f"{self.folder}/decisions", body, sent)
        return status, said.decode()

    def decide(self, **changes):
        return self.post(json.dumps({"scan": "sub-1", "decision": "exclude"} | changes))

    def send(self, data: bytes) -> bytes:
        """Return all that comes back of raw bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer


def _parts(address: str) -> tuple[int, str]:
    match = ADDRESS.search(address)
    assert match, address
    return int(match[1]), match[2]


def start(page, decisions, *options):
    """Return a process of `msnmo rate`, and the browser that opened what it printed."""
    command = [sys.executable, "-m", "msnmo.quality.rate", "--page", page]
    command += ["--decisions", decisions, "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return process, Rater.enter(*_parts(line))
