"""What a registry remembers of blobs is forgotten before somebody looks again, or nothing is freed."""

from __future__ import annotations

import fnmatch
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.base import deputies
from secreg_host.base.errors import SecregError
from secreg_host.formats.registryconf import MEMORY, REDIS, Keeping, Redis
from secreg_host.upkeep import descriptors, settling
from tests.unit.base.test_deputies import ME

WHERE = Redis("::1", 6379, "registry", "secret", 3)
KEYS = ("blobs::sha256:1", "repository::a/b::blobs", "repository::a/b::blobs::sha256:1")


class Library:
    """redis-py, and a Redis with `keys`. away: it does not answer."""

    RedisError = type("RedisError", (Exception,), {})

    def __init__(self) -> None:
        self.keys, self.away, self.asked = {*KEYS, "of:others", "blobs"}, False, list[dict[str, Any]]()

    def Redis(self, host: str, port: int, **how: Any) -> Any:
        self.asked.append({"host": host, "port": port, **how})
        return SimpleNamespace(
            ping=self.ping, scan_iter=self.scan_iter, delete=lambda *keys: self.keys.difference_update(keys), close=int
        )

    def ping(self) -> None:
        if self.away:
            raise self.RedisError("Connection refused")

    def scan_iter(self, match: str, count: int) -> Iterator[str]:
        self.ping()
        return iter(fnmatch.filter(sorted(self.keys), match))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setitem(sys.modules, "redis", found)
    return found


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(settling, "_wait", lambda: found.append("wait"))
    return found


def never(_: str) -> str:
    raise AssertionError("nobody is asked")


def unmoved() -> None:
    raise AssertionError("the registry need not move")


def test_without_a_cache_requests_are_waited_for(waits: list[str]) -> None:
    settling.settler(Keeping(), never)()
    assert waits == ["wait"]


@pytest.mark.promise("gc-under-a-cache")
def test_what_is_in_redis_is_removed_between_two_waits(
    library: Library, waits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = descriptors.forget

    def forget(redis: Redis) -> None:
        waits.append("forget")
        real(redis)

    monkeypatch.setattr(descriptors, "forget", forget)
    keeping = Keeping(REDIS, WHERE)
    settling.settler(keeping, settling.answerer(keeping, unmoved))()
    assert waits == ["wait", "forget", "wait"] and library.keys == {"of:others", "blobs"}
    [asked] = library.asked
    given = {"host": "::1", "port": 6379, "db": 3, "username": "registry", "password": "secret", "ssl": False}
    assert given.items() <= asked.items() and asked["socket_timeout"] > 0 < asked["socket_connect_timeout"]


def test_a_redis_that_is_away_is_told_without_its_password(library: Library, waits: list[str]) -> None:
    library.away = True
    asked: list[Callable[[], None]] = [functools.partial(descriptors.check, WHERE)]
    keeping = Keeping(REDIS, WHERE)
    for ask in (*asked, settling.settler(keeping, settling.answerer(keeping, unmoved))):
        with pytest.raises(SecregError, match=r"\[::1\]:6379 does not do as it is told: Connection refused") as caught:
            ask()
        assert "secret" not in str(caught.value) and "no space is freed" in caught.value.hint
    assert "secret" not in repr(WHERE)


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(SecregError, match="library") as caught:
        descriptors.check(WHERE)
    assert "install python3-redis" in caught.value.hint


@pytest.mark.promise("gc-under-a-cache")
def test_what_is_in_memory_root_is_asked_for(tmp_path: Path, waits: list[str]) -> None:
    done: list[str] = []

    def forget() -> None:
        done.append("forgotten")

    def refuse() -> None:
        raise SecregError("it stays", "do this")

    def work(ask: deputies.Ask) -> Iterator[str]:
        yield "before"
        settling.settler(Keeping(MEMORY), ask)()
        yield "after"

    def told(answer: Callable[[], None]) -> Iterator[str]:
        with deputies.conversing(ME, tmp_path, work, settling.answerer(Keeping(MEMORY), answer)) as lines:
            yield from lines

    assert list(told(forget)) == ["before", "after"] and done == ["forgotten"]
    lines = told(refuse)
    with pytest.raises(SecregError, match="it stays") as caught:
        list(lines)
    assert caught.value.hint == "do this" and waits == []
