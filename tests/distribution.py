"""What distribution 2.8 does on disk, step by step, for tests that race it: each step can be held up.

Sources: distribution, registry/storage/{linkedblobstore,blobwriter,blobstore,manifeststore,tagstore}.go and
driver/filesystem/driver.go. A HEAD leaves no trace; links are written in
place (create, truncate, write); bytes that are there are kept, and only the link is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from secreg_host.base import waiting
from secreg_host.images import bringing, flight, layout, manifests
from secreg_host.images.layout import Repository, Tree
from tests.stores import digest_of


class Refused(Exception):
    """The registry's answer is an error."""


class Distribution:
    """A registry that writes to `tree`. pause: what happens between two steps; served: manifests come by the manifest
    service, which has what they name brought back."""

    def __init__(self, tree: Tree, pause: Callable[[], None] = lambda: None, *, served: bool = False) -> None:
        self.tree, self.pause, self.served = tree, pause, served
        self.turn = threading.Lock()
        self.doing: set[object] = set()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """One request, which `settled` waits for."""
        one = object()
        with self.turn:
            self.doing.add(one)
        try:
            yield
        except OSError as error:
            raise Refused(str(error)) from error
        finally:
            with self.turn:
                self.doing.discard(one)

    def settled(self) -> None:
        """Return when every request has ended that is under way now."""
        with self.turn:
            before = set(self.doing)
        assert waiting.until(lambda: not before & self.doing, 30, 0.002)

    def _write(self, path: str, data: bytes) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.pause()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            self.pause()
            os.ftruncate(descriptor, 0)
            self.pause()
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        self.pause()

    def _has(self, link: str) -> bool:
        found = next((one for _ in waiting.looks(1.0, 0.001) if (one := _whole(link)) is not None), "")
        self.pause()
        return bool(found) and self.tree.size(found) is not None

    def head(self, name: str, digest: str) -> bool:
        with self.request():
            return self._has(Repository(self.tree, name).layer(digest))

    def mount(self, name: str, digest: str, source: str) -> bool:
        with self.request():
            if not self._has(Repository(self.tree, source).layer(digest)):
                return False
            self.pause()
            self._write(Repository(self.tree, name).layer(digest), digest.encode())
            return True

    def upload(self, name: str, data: bytes) -> str:
        """POST, PATCH, and the PUT that ends it; the last alone is a request that is waited for."""
        one, digest = Repository(self.tree, name), digest_of(data)
        place = f"{one.path}/_uploads/{uuid.uuid4()}"
        with self.request():
            self._write(f"{place}/startedat", b"2026-11-30T10:00:00Z")
            self._write(f"{place}/data", data)
        with self.request():
            target = self.tree.blob(digest)
            if self.tree.size(digest) is None:
                self.pause()
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                self.pause()
                Path(f"{place}/data").rename(target)
            self.pause()
            self._write(one.layer(digest), digest.encode())
            shutil.rmtree(place)
        return digest

    def put(self, name: str, tag: str, body: bytes) -> str:
        """A manifest, by the tag (or "", by digest)."""
        if not self.served:
            return self._put(name, tag, body)
        with flight.putting(self.tree, name):
            bringing.named(self.tree, name, manifests.read(body))
            bringing.itself(self.tree, name, digest_of(body))
            return self._put(name, tag, body)

    def _put(self, name: str, tag: str, body: bytes) -> str:
        one, digest, found = Repository(self.tree, name), digest_of(body), manifests.read(body)
        with self.request():
            for blob in found.blobs:
                if not self._has(one.layer(blob)):
                    raise Refused(f"{blob} is unknown to {name}")
            for child in found.children:
                if not self._has(one.revision(child)):
                    raise Refused(f"{child} is unknown to {name}")
            self.pause()
            if self.tree.size(digest) is None:
                self._write(self.tree.blob(digest), body)
            self._write(one.revision(digest), digest.encode())
            if tag:
                self._write(one.once(tag, digest), digest.encode())
                self._write(one.current(tag), digest.encode())
        return digest

    def delete(self, name: str, digest: str) -> None:
        """By digest: the tags that lead there, and the revision."""
        one = Repository(self.tree, name)
        with self.request():
            if not self._has(one.revision(digest)):
                return
            for tag in list(one.tags()):
                with contextlib.suppress(layout.Malformed):
                    if layout.linked(one.current(tag)) == digest:
                        self.pause()
                        shutil.rmtree(f"{one.path}/_manifests/tags/{tag}")
            with contextlib.suppress(FileNotFoundError):
                Path(one.revision(digest)).unlink()

    def wrong(self) -> list[str]:
        """What of the images that have a tag is not there, or has other bytes; nobody pushes meanwhile."""
        return [why for one in self.tree.repositories() for tag in one.tags() for why in self._wrong(one, tag)]

    def _wrong(self, one: Repository, tag: str) -> Iterator[str]:
        top = layout.linked(one.current(tag))
        todo = [top] if top else []
        while todo:
            digest = todo.pop()
            if not self._has(one.revision(digest)):
                yield f"{one.name}:{tag}: manifest {digest}"
                continue
            found = manifests.read(Path(self.tree.blob(digest)).read_bytes())
            for blob in found.blobs:
                if not self._has(one.layer(blob)):
                    yield f"{one.name}:{tag}: blob {blob}"
                elif digest_of(Path(self.tree.blob(blob)).read_bytes()) != blob:
                    yield f"{one.name}:{tag}: bytes of {blob}"
            todo += found.children


def _whole(link: str) -> str | None:
    """What `link` holds; None: it is empty, for somebody else is writing it. (The registry answers an error then,
    whoever collects: two clients that push one blob to one repository are in each other's way.)"""
    try:
        return layout.linked(link) or ""
    except layout.Malformed:
        return None


def image(*layers: str, words: str = "") -> bytes:
    """A manifest that names a configuration and layers, by their digests; another one for other `words`."""
    parts = [{"digest": one, "mediaType": "x"} for one in layers]
    said = {"annotations": {"words": words}} if words else {}
    return json.dumps({"schemaVersion": 2, "config": parts[0], "layers": parts[1:], **said}).encode()


def index(*children: str) -> bytes:
    """A manifest that names others."""
    return json.dumps({"schemaVersion": 2, "manifests": [{"digest": one} for one in children]}).encode()


def slow(seconds: float, chance: object) -> Callable[[], None]:
    """A pause now and then."""
    return lambda: time.sleep(seconds) if chance.random() < 0.2 else None  # type: ignore[attr-defined]
