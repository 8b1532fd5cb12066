"""Clients: wrk for many small requests, Python for large ones, handshakes and pulls. Loopback only, bounded in time."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.content import MANIFEST, Image

HOST = "127.0.0.1"
ACCEPT = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
SCRIPT = Path(__file__).with_name("requests.lua")
PIECE = 1 << 20
TIMEOUT = 60.0


@dataclass(frozen=True)
class Door:
    """Where a peer answers, and who asks."""

    port: int
    user: str
    password: str

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def line(self, path: str) -> str:
        """A request as requests.lua reads it."""
        return f"{path}\t{self.authorization}"

    def as_other(self, user: str, password: str) -> Door:
        return Door(self.port, user, password)


@dataclass(frozen=True)
class Load:
    """What wrk saw: latencies in ms; `refused` are answers that were not 2xx or 3xx."""

    requests: int
    bytes: int
    seconds: float
    p50: float
    p99: float
    refused: int
    failed: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def gigabytes(self) -> float:
        """GB/s."""
        return self.bytes / self.seconds / 1e9


@contextmanager
def _wrk(
    door: Door, lines: list[str], connections: int, threads: int, seconds: float
) -> Iterator[subprocess.Popen[str]]:
    with tempfile.NamedTemporaryFile("w", prefix="secreg-bench-") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        argv = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", f"{TIMEOUT:.0f}s"]
        argv += ["-s", str(SCRIPT), f"https://{HOST}:{door.port}", "--", file.name, ACCEPT]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()


def ask(door: Door, lines: list[str], connections: int = 16, threads: int = 2, seconds: float = 3) -> Load:
    """Send `lines` over and over for some seconds. Raises RuntimeError unless every answer was a good one.

    A peer that has answered nothing in that time has a latency of all of it.
    """
    with _wrk(door, lines, connections, threads, seconds) as process:
        said, _ = process.communicate(timeout=seconds + TIMEOUT)
    if process.returncode != 0:
        raise RuntimeError(f"wrk failed: {said}")
    load = Load(**json.loads(said.splitlines()[-1]))
    if load.refused or load.failed:
        path = lines[0].partition("\t")[0]
        raise RuntimeError(f"{load.requests} requests, {load.refused} refused, {load.failed} failed: {path}")
    return load if load.requests else replace(load, requests=1, p50=seconds * 1e3, p99=seconds * 1e3)


@contextmanager
def wrong_passwords(door: Door, path: str, connections: int = 16) -> Iterator[None]:
    """Wrong passwords, never the same one soon again, while the block runs."""
    lines = [door.as_other(door.user, secrets.token_hex(8)).line(path) for _ in range(5000)]
    with _wrk(door, lines, connections, 1, 5 * TIMEOUT) as process:
        time.sleep(1)  # the flood is to be there before anything is measured
        yield
        if process.poll() is not None:
            raise RuntimeError("the flood of wrong passwords ended early")


def context() -> ssl.SSLContext:
    """TLS without a look at the certificate: whether it is right is for the tests."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    return found


@contextmanager
def connection(door: Door, source: str = HOST) -> Iterator[http.client.HTTPSConnection]:
    """A new TLS connection, from the address `source`."""
    link = http.client.HTTPSConnection(
        HOST, door.port, context=context(), timeout=TIMEOUT, source_address=(source, 0), blocksize=PIECE
    )
    try:
        yield link
    finally:
        link.close()


def login(door: Door, source: str = HOST) -> tuple[int, float]:
    """What `docker login` asks, over a new connection: the status and how long it took."""
    begin = time.perf_counter()
    with connection(door, source) as link:
        link.request("GET", "/v2/", headers={"Authorization": door.authorization})
        answer = link.getresponse()
        answer.read()
    return answer.status, time.perf_counter() - begin


def upload(door: Door, repository: str, file: Path, digest: str) -> float:
    """Push one blob as `docker push` does (POST, PATCH, PUT); seconds."""
    headers = {"Authorization": door.authorization}
    begin = time.perf_counter()
    with connection(door) as link:
        link.request("POST", f"/v2/{repository}/blobs/uploads/", headers=headers)
        location = _location(link, 202)
        size = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
        with file.open("rb") as data:
            link.request("PATCH", location, body=data, headers=headers | size)
            location = _location(link, 202)
        joint = "&" if "?" in location else "?"
        link.request("PUT", f"{location}{joint}digest={digest}", headers=headers | {"Content-Length": "0"})
        _location(link, 201)
    return time.perf_counter() - begin


def handshakes(door: Door, count: int) -> None:
    """Connections one after the other, each with a full handshake."""
    for _ in range(count):
        with connection(door) as link:
            link.connect()


def pull(door: Door, image: Image) -> int:
    """What `docker pull` asks on a clean store, over one new connection; the bytes that came."""
    headers = {"Authorization": door.authorization, "Accept": ACCEPT}
    buffer = bytearray(PIECE)
    total = 0
    with connection(door) as link:
        link.request("GET", "/v2/")
        expect(link.getresponse(), 401).read()
        for method, path in (("HEAD", image.tagged), ("GET", image.by_digest), *(("GET", p) for p in image.blob_paths)):
            link.request(method, path, headers=headers)
            answer = expect(link.getresponse(), 200)
            while count := answer.readinto(buffer):
                total += count
    return total


def expect(answer: http.client.HTTPResponse, status: int) -> http.client.HTTPResponse:
    if answer.status != status:
        raise RuntimeError(f"answer {answer.status} instead of {status}: {answer.read()[:300]!r}")
    return answer


def _location(link: http.client.HTTPSConnection, status: int) -> str:
    """The end of an answer of the upload API: where to go on, without scheme and host."""
    answer = expect(link.getresponse(), status)
    answer.read()
    location = answer.headers["Location"]
    return "/" + location.split("/", 3)[3] if "://" in location else location
