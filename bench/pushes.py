"""How long a PUT of a manifest takes through the front and the manifest service, beside the same registry alone."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.real.program import NOBODY, Instance, installed
from tests.real.test_manifest_service import OCI, image

NAME = "bench/pushed"
TURNS, EACH, FIRST = 10, 50, 20
"""Turns of each, one after the other; PUTs in one; such that come before, and are not counted."""


class Pusher:
    """Who puts manifests, over one connection."""

    def __init__(self, link: http.client.HTTPConnection, body: bytes, password: str) -> None:
        login = base64.b64encode(f"docker:{password}".encode()).decode()
        self.link, self.content = link, json.loads(body)
        self.headers = {"Content-Type": OCI, "Authorization": f"Basic {login}"}

    def put(self) -> float:
        """Milliseconds that one takes that the registry does not have."""
        body = json.dumps({**self.content, "annotations": {"at": str(time.time_ns())}})
        begin = time.perf_counter()
        self.link.request("PUT", f"/v2/{NAME}/manifests/latest", body, self.headers)
        answer = self.link.getresponse()
        answer.read()
        assert answer.status == http.client.CREATED, answer.status
        return 1000 * (time.perf_counter() - begin)


def alone(instance: Instance) -> http.client.HTTPConnection:
    """A connection to the registry itself."""
    [path] = (instance.root / "run/secure-registry").glob("registry-*/registry.sock")
    link = http.client.HTTPConnection("localhost")
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.connect(str(path))
    return link


def measure(say: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """Milliseconds of a PUT, through all of it and of the registry alone; and how many times as much the one is."""
    directory = Path(tempfile.mkdtemp(prefix="sr-", dir="/var/tmp"))
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    with installed() as program:
        instance = Instance(directory, program)
        try:
            instance.start()
            say("manifests")
            body = image(instance, NAME, "words")
            with instance.connection() as tls:
                links = {"ours": tls, "registry": alone(instance)}
                who = {name: Pusher(link, body, instance.password) for name, link in links.items()}
                took: dict[str, list[float]] = {name: [] for name in who}
                for turn in range(2 if quick else TURNS + 1):
                    for name, one in who.items():
                        found = [one.put() for _ in range(EACH if turn else FIRST)]
                        took[name] += found if turn else []
        finally:
            instance.stop()
            shutil.rmtree(directory, ignore_errors=True)
    medians = {name: statistics.median(values) for name, values in took.items()}
    return {"figures": {"put": medians, "times": {"ours": medians["ours"] / medians["registry"]}}}
