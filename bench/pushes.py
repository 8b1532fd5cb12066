"""How long a PUT of a manifest takes through the front and the manifest service, beside the same registry alone.

What the front by itself adds, by TLS, the password and passing on, is told apart by a PUT of as many bytes that goes by
it to the registry, past the service, and is refused there at once.
"""

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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.real.program import NOBODY, Instance, installed
from tests.real.test_manifest_service import OCI, image

NAME = "bench/pushed"
TAKEN = f"/v2/{NAME}/manifests/latest", http.client.CREATED
REFUSED = f"/v2/{NAME}/blobs/sha256:{64 * '0'}", http.client.METHOD_NOT_ALLOWED
"""Where something is put, and how that is answered: a blob can't be put in this way."""

TURNS, EACH, FIRST = 10, 50, 20
"""Turns of each, one after the other; PUTs in one; such that come before, and are not counted."""


class Pusher:
    """Who puts manifests, over one connection."""

    def __init__(self, link: http.client.HTTPConnection, body: bytes, password: str) -> None:
        login = base64.b64encode(f"docker:{password}".encode()).decode()
        self.link, self.content = link, json.loads(body)
        self.headers = {"Content-Type": OCI, "Authorization": f"Basic {login}"}

    def put(self, place: str, status: int) -> float:
        """Milliseconds that one takes that the registry does not have, at `place`."""
        body = json.dumps({**self.content, "annotations": {"at": str(time.time_ns())}})
        begin = time.perf_counter()
        self.link.request("PUT", place, body, self.headers)
        answer = self.link.getresponse()
        answer.read()
        assert answer.status == status, answer.status
        return 1000 * (time.perf_counter() - begin)


def alone(instance: Instance) -> http.client.HTTPConnection:
    """A connection to the registry itself."""
    [path] = (instance.root / "run/secure-registry").glob("registry-*/registry.sock")
    link = http.client.HTTPConnection("localhost")
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.connect(str(path))
    return link


def measure(say: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """Milliseconds of a PUT, through all of it and of the registry alone, how many times as much the one is, and whose
    the difference is."""
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
                kinds = {"put": TAKEN, "refused": REFUSED}
                took = {(kind, name): list[float]() for kind in kinds for name in who}
                for turn in range(2 if quick else TURNS + 1):
                    for (kind, name), all_of_it in took.items():
                        found = [who[name].put(*kinds[kind]) for _ in range(EACH if turn else FIRST)]
                        all_of_it += found if turn else []
        finally:
            instance.stop()
            shutil.rmtree(directory, ignore_errors=True)
    return {"figures": split({one: statistics.median(values) for one, values in took.items()})}


def split(medians: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    """The figures of what was put (put, refused) through all of it and at the registry alone (ours, registry)."""
    put, refused = ({name: medians[kind, name] for name in ("ours", "registry")} for kind in ("put", "refused"))
    front = refused["ours"] - refused["registry"]
    fronted = put["registry"] + front
    return {
        "put": put,
        "times": {"ours": put["ours"] / put["registry"]},
        "refused": refused,
        "front": {"ours": front},
        "service": {"ours": put["ours"] - fronted},
        "served": {"ours": put["ours"] / fronted},
    }
