"""Whether a process runs the program that is installed now."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from secreg_host.host import processes


def test_another_file_of_the_same_name(tmp_path: Path) -> None:
    program = Path("/proc/self/exe").readlink()
    assert not processes.outdated(os.getpid(), program)
    assert processes.outdated(os.getpid(), Path(shutil.copy(program, tmp_path)))


def test_what_is_no_program(tmp_path: Path) -> None:
    """It can't be told, and a pipe is not waited for."""
    (tmp_path / "script").write_text("#!/bin/sh\n")
    os.mkfifo(tmp_path / "fifo", 0o755)
    for name in ("script", "fifo", "none", "."):
        assert not processes.outdated(os.getpid(), tmp_path / name)
    assert not processes.outdated(2**22 + 1, Path("/proc/self/exe").readlink()), "no such process"
