"""What the front writes for the log of who did what, and the program of docs/people.md that asks another server."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import re
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secreg_host.observe.audit import entries
from tests.real.program import CHECKOUT, Instance
from tests.real.test_logs import logs

PEOPLE = CHECKOUT / "docs/people.md"
RESERVED = "/v2/secure-registry-probe/tags/list"


def requests(instance: Instance) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (logs(instance) / "requests.log").read_bytes().splitlines()]


@pytest.mark.promise("who-did-what")
def test_what_is_refused_is_written_and_other_logs_go_on(serving: Instance) -> None:
    """And nothing else is: what people ask all day, nor a wrong password, which is in a log of its own."""
    log = logs(serving) / "requests.log"
    before, lines = len(log.read_bytes().splitlines()), (logs(serving) / "access.log").read_text().count("\n")
    assert serving.ask("/v2/", user="docker").status == 200
    assert serving.ask("/v2/", user="docker", password="wrong").status == 401
    assert serving.ask(RESERVED, user="docker").status == 403
    serving.wait_for("it", lambda: len(log.read_bytes().splitlines()) > before)
    [one] = requests(serving)[before:]
    assert (one["status"], one["uri"], one["user"]) == (403, RESERVED, ""), "before any password is asked for"
    found = entries.of_front(json.dumps(one).encode())
    assert found is not None and (found.did, found.said, found.repository) == (
        *("refused", f"GET {RESERVED}"),
        "secure-registry-probe",
    )
    serving.wait_for("nginx.conf's own", lambda: (logs(serving) / "access.log").read_text().count("\n") >= lines + 3)


class Stub(http.server.BaseHTTPRequestHandler):
    """Knows one password; what is asked is kept."""

    knows = b""

    def do_GET(self) -> None:
        said = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2])
        self.send_response(204 if said == self.knows else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.promise("another-check")
def test_the_program_that_asks_another_server(tmp_path: Path) -> None:
    """Yes, no, and not now; our own probe is asked of our own check."""
    [program] = re.findall(r"```python\n(.*?)```", PEOPLE.read_text(), re.DOTALL)
    theirs = type("Theirs", (Stub,), {"knows": b"carol:x"})
    ours = type("Ours", (Stub,), {"knows": b"secure-registry-probe:y"})
    there = http.server.ThreadingHTTPServer(("127.0.0.1", 0), theirs)
    here = Unix(str(tmp_path / "check"), ours)
    text = program.replace("127.0.0.1:9091", f"127.0.0.1:{there.server_address[1]}")
    text = text.replace("/run/secure-registry/auth/auth.sock", str(tmp_path / "check"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "queue"))
    listener.listen()
    child = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.dup2({listener.fileno()}, 3)\n{text}"], pass_fds=[listener.fileno()]
    )

    def asked(login: bytes | None) -> tuple[int, str | None]:
        link = http.client.HTTPConnection("x", timeout=20)
        link.sock = socket.socket(socket.AF_UNIX)
        link.sock.settimeout(20)
        link.sock.connect(str(tmp_path / "queue"))
        said = {} if login is None else {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        with contextlib.closing(link):
            link.request("GET", "/check", headers=said)
            answer = link.getresponse()
            return answer.status, answer.getheader("Vary")

    try:
        with running(here):
            with running(there):
                assert asked(b"carol:x") == (204, "Authorization")
                assert asked(b"carol:y")[0] == asked(b"secure-registry-probe:x")[0] == asked(None)[0] == 401
                assert asked(b"secure-registry-probe:y") == (204, "Authorization")
            assert asked(b"carol:x")[0] == 503 and asked(b"secure-registry-probe:y")[0] == 204
    finally:
        child.kill()
        child.wait()
        listener.close()
        (tmp_path / "queue").unlink()
