"""The program's memory: what it wrote, and the redo log that makes several files one."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host import files, records
from secreg_host.errors import SecregError
from secreg_host.host import Host
from secreg_host.records import Ledger, Write


def pair(host: Host, text: bytes) -> list[Write]:
    host.paths.etc.mkdir(parents=True, exist_ok=True)
    return [Write(host.paths.key, text + b" key", 0o600), Write(host.paths.crt, text + b" crt")]


def both(host: Host) -> tuple[bytes, bytes]:
    return host.paths.key.read_bytes(), host.paths.crt.read_bytes()


@pytest.mark.parametrize("writes_before_the_crash", [0, 1])
def test_a_crash_between_two_files_is_finished_later(
    host: Host, monkeypatch: pytest.MonkeyPatch, writes_before_the_crash: int
) -> None:
    records.write_together(host.paths, pair(host, b"old"))
    real, count = files.write, 0

    def crashing(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        nonlocal count
        if path.parent == host.paths.etc:
            count += 1
            if count > writes_before_the_crash:
                raise KeyboardInterrupt  # as sudden as a power cut: nothing runs after it
        real(path, data, mode, owner)

    monkeypatch.setattr(files, "write", crashing)
    with pytest.raises(KeyboardInterrupt):
        records.write_together(host.paths, pair(host, b"new"))
    monkeypatch.setattr(files, "write", real)
    records.redo(host.paths)
    assert both(host) == (b"new key", b"new crt")
    assert not host.paths.pending.exists()


def test_an_edit_after_the_crash_is_left_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    records.write_together(host.paths, pair(host, b"old"))
    monkeypatch.setattr(records, "redo", lambda _: None)
    records.write_together(host.paths, pair(host, b"new"))
    monkeypatch.undo()
    host.paths.crt.write_bytes(b"by hand")
    records.redo(host.paths)
    assert host.paths.crt.read_bytes() == b"by hand"


def test_what_can_not_be_written_at_all_is_as_if_never_asked_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    records.write_together(host.paths, pair(host, b"old"))
    real = files.write

    def read_only(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        if path.parent == host.paths.etc:
            raise SecregError("cannot write")
        real(path, data, mode, owner)

    monkeypatch.setattr(files, "write", read_only)
    with pytest.raises(SecregError):
        records.write_together(host.paths, pair(host, b"new"))
    assert not host.paths.pending.exists() and both(host) == (b"old key", b"old crt")


def test_the_ledger_knows_what_was_edited(host: Host) -> None:
    path = host.paths.nginx_conf
    ledger = Ledger(host.paths)
    assert not ledger.knows(path) and not ledger.wrote(path, b"x")
    ledger.record([Write(path, b"x")])
    again = Ledger(host.paths)
    assert again.knows(path) and again.wrote(path, b"x") and not again.wrote(path, b"edited")
    assert not again.wrote(path, None)


def test_a_damaged_record_is_an_empty_one(host: Host) -> None:
    host.paths.state.mkdir(parents=True)
    host.paths.written.write_bytes(b"{half")
    assert records.load(host.paths.written, records.WRITTEN) == {}


def test_secrets_have_their_mode_from_the_first_byte(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import stat

    host.paths.etc.mkdir(parents=True)
    os.umask(0)
    seen = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(stat.S_IMODE(os.fstat(fd).st_mode)), real(fd))[1])
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    files.write(host.paths.key, b"secret", 0o600)
    assert seen[0] == 0o600
    os.umask(0o022)
