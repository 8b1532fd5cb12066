"""Where what is logged goes: a terminal, stderr with priorities, entries of the journal."""

from __future__ import annotations

import logging
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.base import journal

log = logging.getLogger("secreg_host.base.one")


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The journal's socket."""
    monkeypatch.setattr(journal, "JOURNAL", str(tmp_path / "journal"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(journal.JOURNAL)
        receiver.setblocking(False)
        yield receiver


def fields(data: bytes) -> dict[str, str]:
    """An entry of the native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    found = {}
    while data:
        name, _, rest = data.partition(b"\n")
        (size,) = struct.unpack("<Q", rest[:8])
        found[name.decode()] = rest[8 : 8 + size].decode()
        data = rest[8 + size + 1 :]
    return found


def test_a_terminal_gets_the_plain_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log.info("one\ntwo")
    log.error("100 %", extra=journal.entry({"kind": "rejected"}))
    log.debug("not asked for")
    assert capsys.readouterr().err == "one\ntwo\n100 %\n"


def told(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of some logging to the file `path`."""
    with path.open("w") as stderr, monkeypatch.context() as within:
        within.setattr(sys, "stderr", stderr)
        log.info("one\ntwo")
        log.warning("three")
        log.error("four")
        log.debug("ran %s", "x")
    return path.read_text().splitlines()


def test_each_line_has_its_priority_where_the_journal_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nowhere else: what a unit started may have its stderr read by a pipe of a script's. Seen red: by the
    environment alone, which all have that are started there."""
    for name in ("journal", "pipe"):
        (tmp_path / name).touch()
    found = (tmp_path / "journal").stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    journal.start(debug=True)
    assert told(tmp_path / "pipe", monkeypatch)[:4] == ["one", "two", "three", "four"]
    said = told(tmp_path / "journal", monkeypatch)
    assert said[:4] == ["<6>one", "<6>two", "<4>three", "<3>four"]
    assert said[4].startswith("<7>debug: ") and said[4].endswith(" ms one: ran x")


def test_an_entry_has_fields_and_says_where_it_comes_from(
    entries: socket.socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log.warning("a\nb", extra=journal.entry({"kind": "warning", "where": "x:1"}))
    found = fields(entries.recv(1 << 16))
    assert found.pop("CODE_FILE") == __file__ and int(found.pop("CODE_LINE")) > 1
    assert found == {
        "MESSAGE": "a\nb",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "secure-registry",
        "OBJECT_SYSTEMD_UNIT": "secure-registry.service",
        "CODE_FUNC": "test_an_entry_has_fields_and_says_where_it_comes_from",
        "SECREG_KIND": "warning",
        "SECREG_WHERE": "x:1",
    }
    assert capsys.readouterr().err == ""


def test_what_is_kept_is_in_the_journal_alone_if_there_is_one(
    entries: socket.socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log.error("a bug", extra=journal.entry({"kind": "bug"}, kept=True))
    assert fields(entries.recv(1 << 16))["MESSAGE"] == "a bug" and capsys.readouterr().err == ""
    monkeypatch.setattr(journal, "JOURNAL", "/nowhere")
    log.error("a bug", extra=journal.entry({"kind": "bug"}, kept=True))
    assert capsys.readouterr().err == "a bug\n"


@pytest.mark.parametrize(("value", "debugged"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_environment_is_as_good_as_the_option(
    value: str, debugged: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(journal.DEBUG, value)
    journal.start()
    log.debug("x")
    assert bool(capsys.readouterr().err) is debugged


def test_what_can_not_be_told_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        log.error("x")
        with pytest.raises(OSError):
            full.close()
    log.error("x")


def test_what_is_secret_of_a_url_is_told_nowhere(
    entries: socket.socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    journal.start(debug=True)
    log.debug("wrote %s", "/etc/https:/me:hunter2@host/x")
    log.error("https://me:hunter2@host/", extra=journal.entry({"where": "https://me:hunter2@host/"}, kept=True))
    found = fields(entries.recv(1 << 16))
    assert found["MESSAGE"] == found["SECREG_WHERE"] == "https://xxxxx@host/"
    said = capsys.readouterr().err
    assert "wrote /etc/https:/xxxxx@host/x" in said and "hunter2" not in said
