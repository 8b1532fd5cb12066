"""Which image is pulled for the proof, and what is wrong with what comes. (That it comes: tests/booted.)"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from secreg_host.apply.asking import Client, Request
from secreg_host.formats.listening import Listen
from secreg_host.formats.users import PROBE
from secreg_host.host.host import Host
from secreg_host.images.layout import Repository
from secreg_host.upkeep import pulling
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.placing import Part
from secreg_host.upkeep.refill import Wanted
from tests.stores import Store, digest_of
from tests.unit.upkeep.conftest import Back


def pushed(store: Store, name: str, words: str, tag: str, seconds: int) -> str:
    digest = store.push(name, words, tag)
    os.utime(Repository(store.tree, name).current(tag), (seconds, seconds))
    return digest


def test_the_newest_that_is_not_too_large(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(store, "a", "old", "1", 1000)
    new = pushed(store, "b", "new", "2", 2000)
    pushed(store, "b", "large" * 1000, "3", 3000)
    name = back().name
    found = pulling.image(there, Wanted(name))
    assert found is not None and (found.name, found.size > 5000) == ("b:3", True)
    monkeypatch.setattr(pulling, "LARGEST", 2000)
    found = pulling.image(there, Wanted(name))
    assert found is not None and found.name == "b:2" and [digest for digest, _ in found.part.revisions] == [new]
    monkeypatch.setattr(pulling, "LARGEST", 1)
    found = pulling.image(there, Wanted(name))
    assert found is not None and found.name in ("a:1", "b:2"), "the smallest"
    found = pulling.image(there, Wanted(name, "a"))
    assert found is not None and found.name == "a:1"


def test_none_without_a_tag_or_where_it_was_broken(store: Store, there: Place, back: Back) -> None:
    store.push("a", "one")
    assert pulling.image(there, Wanted(back().name)) is None
    store.push("b", "two", "1")
    Path(store.tree.blob(digest_of(b"two"))).unlink()
    assert pulling.image(there, Wanted(back().name)) is None


def test_the_probes_repository_is_linked_for_that_time(host: Host, store: Store, there: Place, back: Back) -> None:
    one = store.push("a", "one", "1")
    found = pulling.image(there, Wanted(back().name))
    assert found is not None
    before = store.entries()
    probe = Repository(store.tree, PROBE)
    with pulling._linked(host, store.tree.root, found.part):
        assert Path(probe.revision(one)).read_text() == one
        assert Path(probe.layer(digest_of(b"one"))).read_text() == digest_of(b"one")
    assert list(Path(probe.path).iterdir()) == [] and store.entries() == before


def answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([("200 OK", b"{}"), ("200 OK", b"layer")], []),
        ([("404 Not Found", b""), ("200 OK", b"layer")], [f"{digest_of(b'{}')} is answered by HTTP 404"]),
        ([("200 OK", b"{}"), ("200 OK", b"other")], [f"{digest_of(b'layer')} comes with other bytes"]),
    ],
)
def test_each_byte_is_looked_at(answers: list[tuple[str, bytes]], said: list[str]) -> None:
    ours, theirs = socket.socketpair()

    def serve() -> None:
        for one in answers:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += theirs.recv(4096)
            assert b"Accept: application/vnd.docker.distribution.manifest.v2+json, " in head
            theirs.sendall(answer(*one))

    thread = threading.Thread(target=serve)
    thread.start()
    part = Part("a", (), (), ((digest_of(b"{}"), 0),), (digest_of(b"layer"),))
    with ExitStack() as links, theirs:
        client = Client(Listen("", 0, tls=False), "x", lambda _: ours, links)
        found = list(filter(None, pulling._fetched(client, part, Request("", login="probe:secret"))))
    thread.join()
    assert found == said
