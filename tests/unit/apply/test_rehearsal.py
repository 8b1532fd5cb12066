"""What `nginx -t` says, and whether it is said of the configuration at all. A real nginx: tests/real/test_edits.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from secreg_host.apply import rehearsal
from secreg_host.base import process
from secreg_host.base.process import Account

GONE = [
    'mkdir() "{run}/body" failed (2: No such file or directory)',
    "bind() to unix:{run}/check.sock failed (2: No such file or directory)",
]


@pytest.mark.parametrize("said", GONE)
def test_a_run_directory_that_systemd_took_away_is_no_fault_of_the_configuration(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on a busy host: nginx was killed, and nginx.conf rejected."""
    run, left = tmp_path / "front", [f"nginx: [emerg] {said}".format(run=tmp_path / "front"), ""]

    def nginx(argv: list[str]) -> subprocess.CompletedProcess[str]:
        stderr = left.pop(0)
        return subprocess.CompletedProcess(argv, bool(stderr), "", stderr)

    monkeypatch.setattr(process, "run", nginx)
    account = Account("me", 0, 0)
    assert rehearsal._test(Path("/usr/sbin/nginx"), tmp_path / "nginx.conf", account, run) is None
    assert left == [] and run.is_dir()
