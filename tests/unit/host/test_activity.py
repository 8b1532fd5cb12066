"""What processes are at, asked of real ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.base import waiting
from secreg_host.host import activity


@pytest.fixture
def child() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_stopped_process_is_known(child: int) -> None:
    found = activity.of([child])
    assert found is not None and not found.stopped and not found.waiting
    os.kill(child, signal.SIGSTOP)
    assert waiting.until(lambda: (seen := activity.of([child])) is not None and seen.stopped, 10)
    both = activity.of([child, os.getpid()])
    assert both is not None and not both.stopped and both.ticks > 0, "one that works is enough"


def test_what_is_gone_is_nothing() -> None:
    assert activity.of([]) is None
    assert activity.of([2**22 + 1]) is None


def test_a_name_may_look_like_fields() -> None:
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/comm").write_text("a) T 1 (b")
        signal.pause()
        os._exit(0)
    try:
        named = waiting.until(lambda: b"a) T" in Path(f"/proc/{pid}/stat").read_bytes(), 10)
        found = activity.of([pid])
        assert named and found is not None and not found.stopped
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
