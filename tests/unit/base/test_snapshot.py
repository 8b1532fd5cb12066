"""Each file is read once, whoever asks; and anew once it was written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from secreg_host.base import reading, records
from secreg_host.base.errors import SecregError
from secreg_host.base.records import Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    found: Counter[str] = Counter()
    real = reading.read

    def read(path: Path, limit: int, *given: float) -> bytes | None:
        found[path.name] += 1
        return real(path, limit, *given)

    monkeypatch.setattr(reading, "read", read)
    return found


def test_a_file_is_read_once(host: Host, reads: Counter[str]) -> None:
    host.paths.etc.mkdir(parents=True)
    host.paths.nginx_conf.write_bytes(b"one")
    disk = Snapshot(host.paths)
    assert disk.read(host.paths.nginx_conf, 10) == b"one"
    host.paths.nginx_conf.write_bytes(b"another")
    assert disk.content(host.paths.nginx_conf) == disk.peek(host.paths.nginx_conf, 10) == b"one"
    assert disk.read(host.paths.crt, 10) is None
    host.paths.crt.write_bytes(b"came later")
    assert disk.read(host.paths.crt, 100) is None
    assert reads == {"nginx.conf": 1, "docker-registry.crt": 1}
    assert Snapshot(host.paths).read(host.paths.nginx_conf, 10) == b"another"


def test_what_can_not_be_read_is_asked_for_once(host: Host, reads: Counter[str]) -> None:
    host.paths.nginx_conf.mkdir(parents=True)
    disk = Snapshot(host.paths)
    for _ in range(2):
        with pytest.raises(SecregError, match="is a directory"):
            disk.read(host.paths.nginx_conf, 10)
    assert reads["nginx.conf"] == 1 and disk.peek(host.paths.nginx_conf, 10) == b""


def test_who_takes_less_is_not_given_more(host: Host) -> None:
    host.paths.etc.mkdir(parents=True)
    host.paths.nginx_conf.write_bytes(b"x" * 20)
    disk = Snapshot(host.paths)
    with pytest.raises(SecregError, match="at most 10"):
        disk.read(host.paths.nginx_conf, 10)
    assert disk.read(host.paths.nginx_conf, 100) == b"x" * 20
    with pytest.raises(SecregError, match="at most 10"):
        disk.read(host.paths.nginx_conf, 10)


def test_what_was_written_is_read_anew(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have saved it right after: what counts is what stands there when its mark is taken."""
    disk = Snapshot(host.paths)
    assert disk.read(host.paths.nginx_conf, 10) is None
    disk.write([Write(host.paths.nginx_conf, b"ours")])
    host.paths.nginx_conf.write_bytes(b"edited")
    assert disk.read(host.paths.nginx_conf, 10) == b"edited"
    assert disk.ledger.wrote(host.paths.nginx_conf, b"ours") and records.Ledger(host.paths).knows(host.paths.nginx_conf)
    together = []
    monkeypatch.setattr(records, "write_together", lambda _, writes: together.append(len(writes)))
    disk.write([Write(host.paths.crt, b"a"), Write(host.paths.key, b"b")])
    disk.write([])
    assert together == [2]
