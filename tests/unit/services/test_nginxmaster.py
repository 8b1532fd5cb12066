"""Whom signals go to. What nginx makes of them: tests/real/test_nginxmaster.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.services import nginxmaster


@pytest.fixture
def got() -> Iterator[list[int]]:
    """The signals that this process got."""
    found = list[int]()
    before = signal.signal(signal.SIGUSR1, lambda number, _: found.append(number))
    yield found
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("ours", [True, False])
def test_only_a_process_of_ours_gets_a_signal(got: list[int], ours: bool) -> None:
    """Whoever took over nginx may write any number into its pid file."""
    nginxmaster.send(os.getpid(), signal.SIGUSR1, lambda pid: ours and pid == os.getpid())
    assert got == ([signal.SIGUSR1] if ours else [])


MASTER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGHUP, lambda *_: print("early", flush=True))
print("ready", flush=True)
time.sleep(0.3)
signal.signal(signal.SIGHUP, lambda *_: print("in time", flush=True))
worker = subprocess.Popen(["sleep", "60"])
signal.pause()
worker.kill()
"""


@pytest.mark.real
@pytest.mark.promise("back-to-proven")
def test_a_master_is_told_when_it_looks_for_signals() -> None:
    """nginx sets up its handlers, then reads on, and sees what they noted only after the next signal."""
    with subprocess.Popen([sys.executable, "-c", MASTER], stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None and master.stdout.readline() == "ready\n"
        nginxmaster.reload(master.pid, lambda _: True)
        said = master.stdout.readline()
        master.send_signal(signal.SIGHUP)
    assert said == "in time\n"


def test_a_pid_file_is_a_file(tmp_path: Path) -> None:
    path, link = tmp_path / "nginx.pid", tmp_path / "link"
    assert nginxmaster.pid_in(path) == 0
    path.write_text("4711\n")
    link.symlink_to(path)
    assert (nginxmaster.pid_in(path), nginxmaster.pid_in(link)) == (4711, 0)
    path.write_text("none\n")
    assert nginxmaster.pid_in(path) == 0
    path.unlink()
    os.mkfifo(path)
    asked = threading.Thread(target=nginxmaster.pid_in, args=(path,), daemon=True)
    asked.start()
    asked.join(5.0)
    assert not asked.is_alive(), "nobody writes to that pipe"
