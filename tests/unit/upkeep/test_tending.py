"""Who frees space holds its lock until the last of it has ended; what a full disk is told as."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.base import waiting
from secreg_host.base.errors import SecregError
from secreg_host.formats.registryconf import Keeping
from secreg_host.host.host import Host
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.layout import HERE, Tree
from secreg_host.images.survey import Entry
from secreg_host.upkeep import holding
from secreg_host.upkeep.tending import Freeing, Settle
from tests.distribution import Distribution


def test_the_lock_is_held_until_the_deputy_has_ended(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's process is killed: a backup must not begin while the other one still removes bytes. Seen red: it did."""
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.1)
    lock, begun, end = tmp_path / "lock", tmp_path / "begun", tmp_path / "end"

    def work(_: Settle) -> Iterator[Entry]:
        Path(begun.name).touch()  # it sees nothing but the store
        waiting.until(Path(end.name).exists, 20)
        yield "freed", "1", "1"

    child = os.fork()
    if child == 0:
        with holding.alone(lock, "gc") as held:
            list(Freeing(host, tmp_path, Keeping(), held, lambda: None).as_owner(work))
        os._exit(0)
    assert waiting.until(begun.exists, 20)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with pytest.raises(SecregError, match="space is being freed already"), holding.alone(lock, "gc"):
        pass
    end.touch()
    monkeypatch.setattr(holding, "WAIT_SECONDS", 20.0)
    with holding.alone(lock, "gc"):
        pass


def test_space_is_freed_behind_everybody_else(host: Host, tmp_path: Path) -> None:
    """Also by hand, from a terminal whose session is another one than the registry's."""

    def work(_: Settle) -> Iterator[Entry]:
        yield "freed", str(os.sched_getscheduler(0)), str(os.getsid(0) == os.getpid())

    with holding.alone(tmp_path / "lock", "gc") as lock:
        told = list(Freeing(host, tmp_path, Keeping(), lock, lambda: None).as_owner(work))
    assert told == [("freed", str(os.SCHED_IDLE), "True")]


def test_a_full_disk_is_told_with_what_helps(host: Host, tmp_path: Path) -> None:
    def work(_: Settle) -> Iterator[Entry]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "docker/registry/v2/_trash")
        yield

    with holding.alone(tmp_path / "lock", "gc") as lock, pytest.raises(SecregError, match="No space left") as caught:
        list(Freeing(host, tmp_path, Keeping(), lock, lambda: None).as_owner(work))
    assert "_trash" in caught.value.message and "free some space on that disk" in caught.value.hint


def test_what_is_among_repositories_and_is_none_is_told(host: Host, tmp_path: Path) -> None:
    """Seen red: "Invalid argument", each day, of a directory that somebody had put aside there."""
    made = Distribution(Tree(tmp_path))
    for name in ("blobs", "repositories/a.OLD"):
        (made.tree.base / name).mkdir(parents=True)

    def work(_: Settle) -> Iterator[Entry]:
        return Collector(HERE, Wish(), lambda: None).collect()

    with (
        holding.alone(tmp_path / "lock", "gc") as lock,
        pytest.raises(SecregError, match="a.OLD: no repository is") as caught,
    ):
        list(Freeing(host, tmp_path, Keeping(), lock, lambda: None).as_owner(work))
    assert "it may need anything" in caught.value.message and "move it" in caught.value.hint
