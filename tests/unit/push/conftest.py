"""A store, what clients push there, and a registry that answers as distribution does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.generation.behind import Behind
from secreg_host.images import layout
from secreg_host.images.layout import Repository
from secreg_host.push import answers, steps, upstream
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked
from secreg_host.push.trashed import Runs
from tests.distribution import Distribution, Refused
from tests.stores import Store

MARK = ".secure-registry-store-1"


class Registry:
    """In the place of the registry: what it was asked, in order; deletes: whether it lets manifests be deleted."""

    def __init__(self, store: Store) -> None:
        self.distribution = Distribution(store.tree)
        self.store, self.deletes = store, True
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[], None] = lambda: None

    def ask(self, asked: Asked, reference: str | None = None) -> Answer:
        wanted = asked.reference if reference is None else reference
        self.asked.append((asked.method, wanted))
        self.before()
        if asked.method == "DELETE":
            return self._delete(asked.repository, wanted)
        try:
            tag = "" if ":" in wanted else wanted
            digest = self.distribution.put(asked.repository, tag, asked.body)
        except Refused:
            return answers.refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        except Exception:
            return answers.refusal(400, "MANIFEST_INVALID", "manifest invalid")
        return Answer(201, (("Docker-Content-Digest", digest), ("X-Own", "yes")))

    def _delete(self, name: str, digest: str) -> Answer:
        if not self.deletes:
            return answers.refusal(405, "UNSUPPORTED", "The operation is unsupported.")
        if not Path(Repository(self.store.tree, name).revision(digest)).exists():
            found = answers.refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return replace(found, headers=(*found.headers, ("X-Own", "yes")))
        self.store.delete(name, digest)
        return Answer(202)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    (tmp_path / MARK).write_text("")
    found.push("team/app", "one", "v1", "latest")
    return found


@pytest.fixture
def registry(store: Store, monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = Registry(store)
    monkeypatch.setattr(upstream, "ask", found.ask)
    monkeypatch.setattr(steps, "RUNS", Runs())
    return found


@pytest.fixture
def behind(store: Store) -> Behind:
    return Behind("unix:/nowhere", str(store.tree.root), MARK)


def body(store: Store, name: str, words: str) -> bytes:
    """An image of which the blobs are there already."""
    parts = [{"digest": store.layer(name, data)} for data in (b"{}", words.encode())]
    return json.dumps({"config": parts[0], "layers": parts[1:]}).encode()


def of(behind: Behind, method: str, reference: str, data: bytes = b"", name: str = "team/app") -> Asked:
    return Asked(method, name, reference, "alice", "10.0.0.7", behind, body=data)


def is_now(store: Store, tag: str, name: str = "team/app") -> str | None:
    return layout.linked(Repository(store.tree, name).current(tag))
