"""Runs on the host, beside load.py: four clients that push as fast as they are answered, until its input ends.

They ask for layers (HEAD) and skip those that are there, mount them from each other's repositories, upload what is new,
move tags, push indexes, and delete manifests. Its first line of input is the password of user docker; prints `pushing`,
and at the end an object: `pushed`, `skipped`, `mounted`, `deleted`, and what was `refused`. Bounded to ten minutes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import sys
import threading
import time

sys.path.insert(0, "/root")
import load

INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DEADLINE = time.monotonic() + 600
LAYERS = [random.Random(number).randbytes(20_000) for number in range(40)]
ended = threading.Event()


class Pusher:
    """One client, in a repository of its own and in one that all share."""

    def __init__(self, secret: str, number: int) -> None:
        self.client = load.Client(secret, True)
        self.random = random.Random(number)
        self.own, self.number = f"push/{number}", number
        self.counts = dict.fromkeys(("pushed", "skipped", "mounted", "deleted"), 0)
        self.refused: list[str] = []
        self.known: list[tuple[str, str]] = []

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, str]:
        """The status, and where it says that something is. A kept connection may be closed as it is asked (RFC 9112,
        9.6): then once more, anew, as clients do."""
        link, used = self.client.connection()
        headers = self.client.headers | ({"Content-Type": kind} if kind else {})
        try:
            link.request(method, path, body=body, headers=headers)
            answer = link.getresponse()
        except load.LOST:
            self.client.close()
            if not used:
                raise
            return self.ask(method, path, body, kind)
        answer.read()
        if answer.status >= 500 or answer.status == 400:
            self.refused.append(f"{method} {path.partition('?')[0]}: {answer.status}")
        return answer.status, answer.getheader("Location") or ""

    def part(self, repository: str, content: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        described: dict[str, object] = {"mediaType": "x/y", "size": len(content), "digest": digest}
        if self.ask("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            self.counts["skipped"] += 1
            return described
        elsewhere = f"push/{self.random.randrange(4)}"
        status, place = self.ask("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={elsewhere}")
        if status == 201:
            self.counts["mounted"] += 1
        elif status == 202:
            where = f"{place}{'&' if '?' in place else '?'}digest={digest}"
            self.ask("PUT", where, content, "application/octet-stream")
        return described

    def image(self, repository: str, tag: str) -> dict[str, object]:
        layers = [self.part(repository, content) for content in self.random.sample(LAYERS, 3)]
        config = self.part(repository, self.random.randbytes(200))
        said = {"schemaVersion": 2, "mediaType": load.MANIFEST, "config": config, "layers": layers}
        return self.put(repository, tag, said, load.MANIFEST)

    def put(self, repository: str, tag: str, said: dict[str, object], kind: str) -> dict[str, object]:
        data = json.dumps(said).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self.ask("PUT", f"/v2/{repository}/manifests/{tag or digest}", data, kind)[0] == 201:
            self.counts["pushed"] += 1
            self.known.append((repository, digest))
        return {"mediaType": kind, "size": len(data), "digest": digest}

    def turn(self) -> None:
        repository = self.random.choice([self.own, self.own, "push/all"])
        tag = f"t{self.random.randrange(4)}"
        if self.random.random() < 0.2 and repository == self.own:
            children = [self.image(repository, "") for _ in range(2)]
            self.put(repository, "index", {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}, INDEX)
            self.known = self.known[:-3]  # children of an index that has a tag stay
            return
        self.image(repository, tag)
        if self.random.random() < 0.3 and len(self.known) > 3:
            where, digest = self.known.pop(self.random.randrange(len(self.known) - 1))
            self.counts["deleted"] += self.ask("DELETE", f"/v2/{where}/manifests/{digest}")[0] == 202

    def work(self) -> None:
        while not ended.is_set() and time.monotonic() < DEADLINE:
            try:
                self.turn()
            except OSError as error:
                self.refused.append(repr(error))
                self.client.close()


def main() -> None:
    secret = base64.b64encode(f"docker:{sys.stdin.readline().strip()}".encode()).decode()
    pushers = [Pusher(secret, number) for number in range(4)]
    threads = [threading.Thread(target=one.work) for one in pushers]
    for thread in threads:
        thread.start()
    print("pushing", flush=True)
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    counts = {name: sum(one.counts[name] for one in pushers) for name in pushers[0].counts}
    print(json.dumps({**counts, "refused": [said for one in pushers for said in one.refused]}))


if __name__ == "__main__":
    main()
