"""Clients that push to an instance over TLS while its space is freed, and who judges what is there by pulling it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from secreg_host.base import waiting
from tests.real.program import Answer, Instance

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
NAMES = ("chaos/a", "chaos/b", "chaos/b/c", "chaos")
"""Repositories that all push to; two hold others."""

POOL, LARGEST = 40, 60_000
"""Layers that images are made of, and the bytes of the largest one."""

MOST = 20_000
"""Pushes of one client, at the most."""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Refused(Exception):
    """A client's push fails."""


@dataclass
class Client:
    """Requests of user docker, over a connection that is kept."""

    instance: Instance
    secret: str
    link: http.client.HTTPSConnection | None = None

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Answer:
        headers = {"Authorization": f"Basic {self.secret}", "Accept": f"{IMAGE}, {INDEX}"}
        headers |= {"Content-Type": kind} if kind else {}
        for last in (False, True):  # a connection that was idle may be closed by now
            fresh = self.link is None
            link = self.link = self.link or http.client.HTTPSConnection(
                "localhost", self.instance.port, context=self.instance.context(), timeout=60
            )
            try:
                link.request(method, path, body=body, headers=headers)
                answer = link.getresponse()
                return Answer(answer.status, dict(answer.getheaders()), answer.read())
            except (http.client.HTTPException, OSError):
                self.close()
                if fresh or last:
                    raise
        raise AssertionError("the second one returns, or raises")

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
        self.link = None


@dataclass
class Chaos:
    """What clients of `instance` do for so many `seconds`, by chances of a `seed`. count: of what was done;
    acknowledged: what a tag is by the last answer; spoilt: tags of which that can't be said; refused: pushes that were,
    and whether they had skipped an upload; broken: what is."""

    instance: Instance
    seed: int
    seconds: float
    count: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: list[tuple[bool, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    longest: float = 0.0
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.until = waiting.within(self.seconds)
        self.secret = base64.b64encode(f"docker:{self.instance.password}".encode()).decode()
        self.pool = [
            random.Random(f"{self.seed} {number}").randbytes(1_000 + number * LARGEST // POOL) for number in range(POOL)
        ]

    def client(self) -> Client:
        return Client(self.instance, self.secret)

    def run(self, *others: Callable[[], None], pushers: int = 4) -> None:
        """Four clients push, one pulls; each of `others` is done again and again meanwhile."""
        works = [Pusher(self, number).turn for number in range(pushers)] + [Puller(self).turn, *others]
        threads = [threading.Thread(target=self._again, args=(work,)) for work in works]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert self.errors == []

    def _again(self, work: Callable[[], None]) -> None:
        try:
            for _ in range(MOST):
                if self.until.over:
                    return
                work()
        except BaseException as error:
            self.errors.append(error)
            raise

    def counting(self, **more: int) -> None:
        with self.turn:
            self.count.update(more)

    def wrong(self) -> list[str]:
        """What is wrong with all images that are there, by pulling each; nobody pushes meanwhile."""
        client, found = self.client(), list[str]()
        for name in client.ask("GET", "/v2/_catalog?n=1000").json["repositories"]:
            if not name.startswith("chaos"):
                continue
            for tag in client.ask("GET", f"/v2/{name}/tags/list").json.get("tags") or ():
                found += pull(client, name, tag)
                self.count["pulled in the end"] += 1
        for (name, tag), digest in self.acknowledged.items():
            there = client.ask("HEAD", f"/v2/{name}/manifests/{tag}")
            if there.headers.get("Docker-Content-Digest") != digest:
                found.append(f"{name}:{tag} is not {digest}, which was acknowledged: {there.status}")
        return found


def pull(client: Client, name: str, reference: str) -> list[str]:
    """What is wrong with an image: all of it is pulled, and hashed."""
    found, todo, seen = list[str](), [reference], set[str]()
    while todo:
        here = todo.pop()
        answer = client.ask("GET", f"/v2/{name}/manifests/{here}")
        said = answer.headers.get("Docker-Content-Digest", "")
        if answer.status != 200 or digest_of(answer.body) != said or here not in (said, reference):
            found.append(f"{name}: manifest {here}: {answer.status}")
            continue
        content = answer.json
        todo += [one["digest"] for one in content.get("manifests", ())]
        for part in (*([content["config"]] if "config" in content else ()), *content.get("layers", ())):
            if (digest := part["digest"]) not in seen:
                seen.add(digest)
                blob = client.ask("GET", f"/v2/{name}/blobs/{digest}")
                if blob.status != 200 or digest_of(blob.body) != digest:
                    found.append(f"{name}: {here}: blob {digest}: {blob.status}, {len(blob.body)} bytes")
    return found


class Pusher:
    """One client: it asks for layers and skips them, mounts, uploads, moves tags, pushes images of several
    architectures and signatures, deletes by digest, and pushes again what was deleted."""

    def __init__(self, chaos: Chaos, number: int) -> None:
        self.chaos, self.number, self.client = chaos, number, chaos.client()
        self.chance = random.Random(f"{chaos.seed} pusher {number}")
        self.gone: list[tuple[str, bytes, list[bytes]]] = []
        self.skipped = False

    def turn(self) -> None:
        name, began = self.chance.choice(NAMES), time.monotonic()
        tag = f"t{self.number}-{self.chance.randrange(2)}"
        self.skipped = False
        try:
            self._push(name, tag)
        except Refused as error:
            with self.chaos.turn:
                self.chaos.refused.append((self.skipped, str(error)))
                self.chaos.acknowledged.pop((name, tag), None)
        with self.chaos.turn:
            self.chaos.longest = max(self.chaos.longest, time.monotonic() - began)

    def _push(self, name: str, tag: str) -> None:
        kind = self.chance.random()
        if kind < 0.2 and self.gone:
            name, body, parts = self.gone.pop(self.chance.randrange(len(self.gone)))
            for data in parts:
                self._blob(name, data)
            self.chaos.counting(again=1)
            digest = self._put(name, tag, body, IMAGE)
        elif kind < 0.4:
            children = [self._image(name, "") for _ in range(2)]
            digest = self._put(name, tag, _index(children), INDEX)
            self.chaos.counting(indexes=1)
        else:
            body, parts = self._made(name)
            digest = self._put(name, tag, body, IMAGE)
            if kind > 0.8:
                self._signed(name, digest, len(body))
            elif kind > 0.65:
                self._deleted(name, tag, digest, body, parts)

    def _signed(self, name: str, digest: str, size: int) -> None:
        """As cosign does: by a tag, and by what refers to it, of which an index is tagged."""
        about = {"mediaType": IMAGE, "digest": digest, "size": size}
        self._image(name, f"{digest.replace(':', '-')}.sig")
        referrer = self._image(name, "", subject=about)
        self._put(name, digest.replace(":", "-"), _index([referrer]), INDEX)
        self.chaos.counting(signed=1)

    def _deleted(self, name: str, tag: str, digest: str, body: bytes, parts: list[bytes]) -> None:
        with self.chaos.turn:
            self.chaos.acknowledged.pop((name, tag), None)
        answer = self.client.ask("DELETE", f"/v2/{name}/manifests/{digest}")
        if answer.status not in (202, 404):
            raise Refused(f"DELETE of {digest}: {answer.status} {answer.body!r}")
        self.gone.append((name, body, parts))
        self.chaos.counting(deleted=1)

    def _image(self, name: str, tag: str, **more: object) -> dict[str, object]:
        body, _ = self._made(name, **more)
        return {"mediaType": IMAGE, "digest": self._put(name, tag, body, IMAGE), "size": len(body)}

    def _made(self, name: str, **more: object) -> tuple[bytes, list[bytes]]:
        """An image whose parts are there: three layers that others may have, and a configuration of its own."""
        parts = [self.chance.randbytes(200), *self.chance.sample(self.chaos.pool, 3)]
        for data in parts:
            self._blob(name, data)
        said = [{"mediaType": "x/y", "size": len(data), "digest": digest_of(data)} for data in parts]
        content = {"schemaVersion": 2, "mediaType": IMAGE, "config": said[0], "layers": said[1:], **more}
        return json.dumps(content).encode(), parts

    def _blob(self, name: str, data: bytes) -> None:
        digest, ask = digest_of(data), self.client.ask
        if ask("HEAD", f"/v2/{name}/blobs/{digest}").status == 200:
            self.skipped = True
            self.chaos.counting(skipped=1)
            return
        source = self.chance.choice(NAMES)
        begun = ask("POST", f"/v2/{name}/blobs/uploads/?mount={digest}&from={source}")
        if begun.status == 201:
            self.skipped = True
            self.chaos.counting(mounted=1)
            return
        for _ in range(5):  # as docker does, which tries again
            place = begun.headers.get("Location", "")
            where = f"{place}{'&' if '?' in place else '?'}digest={digest}"
            kind = "application/octet-stream"
            if begun.status == 202 and ask("PUT", where, data, kind).status == 201:
                self.chaos.counting(uploaded=1)
                return
            self.chaos.counting(tried_again=1)
            begun = ask("POST", f"/v2/{name}/blobs/uploads/")
        raise Refused(f"upload of {digest} to {name}: {begun.status} {begun.body!r}")

    def _is_there(self, name: str, body: bytes) -> bool:
        """Whether all is there that the manifest `body` names: who refused it read a link that another client was
        writing just then (the registry writes it in place), whoever frees space."""
        said = json.loads(body)
        blobs = [*said.get("layers", ()), *([said["config"]] if "config" in said else ())]
        paths = [f"blobs/{one['digest']}" for one in blobs]
        paths += [f"manifests/{one['digest']}" for one in said.get("manifests", ())]
        return all(self.client.ask("HEAD", f"/v2/{name}/{path}").status == 200 for path in paths)

    def _put(self, name: str, tag: str, body: bytes, kind: str) -> str:
        digest = digest_of(body)
        answer = self.client.ask("PUT", f"/v2/{name}/manifests/{tag or digest}", body, kind)
        if answer.status != 201 and self._is_there(name, body):
            self.chaos.counting(in_each_others_way=1)
            answer = self.client.ask("PUT", f"/v2/{name}/manifests/{tag or digest}", body, kind)
        if answer.status != 201:
            raise Refused(f"PUT of {name}:{tag or digest}: {answer.status} {answer.body!r}")
        if tag.startswith("t"):
            with self.chaos.turn:
                self.chaos.acknowledged[name, tag] = digest
        self.chaos.counting(manifests=1)
        return digest


def _index(children: list[dict[str, object]]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()


class Puller:
    """Who pulls what was acknowledged: bytes are right, whatever is deleted meanwhile."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos, self.client = chaos, chaos.client()
        self.chance = random.Random(f"{chaos.seed} puller")

    def turn(self) -> None:
        with self.chaos.turn:
            known = sorted(self.chaos.acknowledged.items())
        if not known:
            time.sleep(0.1)
            return
        (name, tag), digest = self.chance.choice(known)
        wrong = pull(self.client, name, digest)
        with self.chaos.turn:
            self.chaos.count["pulled"] += 1
            if wrong and self.chaos.acknowledged.get((name, tag)) == digest:
                self.chaos.broken += wrong
