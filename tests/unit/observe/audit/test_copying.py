"""Copying into the log: nothing is lost or there twice, whenever it is ended, whatever becomes of its files."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secreg_host.base import appended, files, logs, records
from secreg_host.base.paths import Paths
from secreg_host.observe.audit import entries, front, heard, service
from secreg_host.observe.audit.entries import Entry, Wanted
from secreg_host.observe.audit.heard import Heard, Journal
from secreg_host.observe.audit.service import Copier
from secreg_host.observe.audit.trail import Trail
from tests.unit.observe.audit.test_entries import AT, FRONT

NOW = datetime.fromtimestamp(AT / 10**6, UTC)


class Said(Journal):
    """A journal of pushes by their numbers, some at a time. A cursor is how many came before."""

    def __init__(self) -> None:
        super().__init__(0)
        self.said: list[str] = []
        self.at: int | None = None
        self.most, self.began = 3, AT

    def read(self, cursor: str, since: int) -> Iterator[Heard]:
        if self.at is None:
            self.at = int(cursor or 0)
        for number, tag in list(enumerate(self.said))[self.at : self.at + self.most]:
            self.at = number + 1
            yield Heard(str(self.at), AT + number, (Entry(self.began + number, "push", tag=tag, by="manifests"),))

    def end(self) -> None:
        self.at = None


class Host:
    """A log below `root`, and who writes it, again and again."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.paths.log.mkdir(parents=True)
        self.paths.state.mkdir(parents=True)
        self.journal, self.now, self.days = Said(), NOW, 365
        self.begin()

    def begin(self) -> None:
        """As systemd does, after it was killed."""
        self.journal.end()
        self.copier = Copier(self.paths, self.journal, lambda: self.days, lambda: self.now)
        self.copier.begin()

    def push(self, *tags: str) -> None:
        self.journal.said += tags

    def refuse(self, *names: str) -> None:
        with logs.requests(self.paths).open("a") as stream:
            stream.writelines(json.dumps(FRONT | {"path": f"/v2/{name}/tags/list"}) + "\n" for name in names)

    def copy(self) -> None:
        while self.copier.once():
            pass

    @property
    def found(self) -> list[str]:
        return [one.tag or one.repository or one.did for one in Trail(self.paths).read(Wanted())]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.promise("who-did-what")
def test_both_are_copied_once(host: Host) -> None:
    host.push("1", "2", "3", "4", "5")
    host.refuse("a", "b")
    host.copy()
    assert sorted(host.found) == ["1", "2", "3", "4", "5", "a", "b"]
    before = logs.audit(host.paths).read_bytes()
    host.copy()
    host.begin()
    host.copy()
    assert logs.audit(host.paths).read_bytes() == before
    assert logs.audit(host.paths).stat().st_mode & 0o777 == 0o640


class Killed(BaseException):
    """As a signal that nobody hears of."""


@pytest.mark.promise("who-did-what-once")
@pytest.mark.parametrize("at", range(26))
def test_wherever_it_is_killed_nothing_is_lost_or_twice(host: Host, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Before and after each of: the lines are on disk, it is kept how far that is, a day is packed."""
    host.push(*map(str, range(7)))
    host.refuse("a", "b", "a")
    left = [at]

    def cut(real: object) -> object:
        def does(*given: object, **more: object) -> object:
            if not left[0]:
                raise Killed
            left[0] -= 1
            done = real(*given, **more)  # type: ignore[operator]
            if not left[0]:
                raise Killed
            left[0] -= 1
            return done

        return does

    for module, name in ((appended, "append"), (records, "save"), (files, "write"), (appended, "empty")):
        monkeypatch.setattr(module, name, cut(getattr(module, name)))
    with pytest.raises(Killed):
        for _ in range(9):
            host.copy()
            host.now += timedelta(days=1)
            host.copier.due = service.waiting.within(0)
    monkeypatch.undo()
    host.begin()
    host.copy()
    assert sorted(host.found) == [*map(str, range(7)), "a", "a", "b"]


@pytest.mark.promise("who-did-what-once")
def test_a_line_that_a_power_cut_left_in_half_is_written_whole(host: Host) -> None:
    host.push("1")
    host.copy()
    log = logs.audit(host.paths)
    with log.open("ab") as stream:
        stream.write(Entry(AT + 1, "push", tag="2", by="manifests").line[:20])
    host.push("2", "3")
    host.begin()
    host.copy()
    assert host.found == ["1", "2", "3"]
    assert all(entries.read(line) for line in log.read_bytes().splitlines())


@pytest.mark.promise("who-did-what-full-disk")
def test_a_full_disk_holds_it_up_and_nothing_more(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a line fits, of which nothing is left; what is read meanwhile is no more than is held."""
    host.push("1")
    host.copy()
    real, full = os.write, [True]

    def write(descriptor: int, data: bytes) -> int:
        if not full[0]:
            return real(descriptor, data)
        if len(data) > 50:
            return real(descriptor, data[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    host.push(*map(str, range(2, 12)))
    host.refuse("a")
    for _ in range(20):
        assert host.copier.once() is False
    assert host.found == ["1"] and len(host.copier.unsaved) == 4
    full[0] = False
    host.copy()
    assert sorted(host.found) == sorted([*map(str, range(1, 12)), "a"])


@pytest.mark.promise("who-did-what-cut")
@pytest.mark.parametrize("how", ["removed", "cut", "link", "pipe"])
def test_a_log_that_somebody_removes_is_begun_anew_and_that_is_told(host: Host, how: str, tmp_path: Path) -> None:
    host.push("1")
    host.copy()
    log = logs.audit(host.paths)
    size = log.stat().st_size
    if how == "cut":
        log.write_bytes(b"")
    else:
        log.unlink()
    other = tmp_path / "other"
    other.write_text("others' words\n")
    if how == "link":
        log.symlink_to(other)
    if how == "pipe":
        os.mkfifo(log)
    host.copy()
    assert host.found == ["log cut"] and str(size) in next(Trail(host.paths).read(Wanted())).said
    host.push("2")
    host.copy()
    assert host.found == ["log cut", "2"] and other.read_text() == "others' words\n"


@pytest.mark.promise("who-did-what-days")
def test_each_day_is_packed_and_forgotten_in_time(host: Host) -> None:
    for number in range(4):
        host.now = NOW + timedelta(days=number)
        host.copier.due = service.waiting.within(0)
        host.copy()  # midnight
        host.push(str(number))
        host.journal.began = AT + number * 86400 * 10**6
        host.copy()
    assert host.found == ["0", "1", "2", "3"]
    packed = sorted(logs.packed(host.paths).iterdir())
    assert len(packed) == 3 and b'"tag": "0"' in gzip.decompress(packed[0].read_bytes())
    since = AT + 2 * 86400 * 10**6
    assert [one.tag for one in Trail(host.paths).read(Wanted(since=since))] == ["2", "3"]
    host.days = 1
    host.now = NOW + timedelta(days=3)
    host.copier.due = service.waiting.within(0)
    host.copier.once()
    assert "0" not in host.found and "3" in host.found


@pytest.mark.promise("who-did-what-full-disk")
def test_a_day_that_can_not_be_packed_holds_up_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.push("1")
    host.copy()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write", full)
        host.now += timedelta(days=1)
        for tag in "23":
            host.copier.due = service.waiting.within(0)
            host.push(tag)
            host.copy()
    assert host.found == ["1", "2", "3"] and host.copier.told
    host.copier.due = service.waiting.within(0)
    host.copy()
    assert host.found == ["1", "2", "3"] and len([*logs.packed(host.paths).iterdir()]) == 1
    assert not host.copier.told


def test_two_of_one_second_have_two_names(host: Host) -> None:
    """And a clock that was set back takes nothing away."""
    trail = Trail(host.paths)
    (logs.packed(host.paths) / trail.name(NOW)).write_bytes(gzip.compress(b"x\n"))
    assert trail.name(NOW) != trail.name(NOW - timedelta(seconds=5)) and not (trail.packed / trail.name(NOW)).exists()


@pytest.mark.promise("who-did-what-once")
def test_what_is_rotated_is_read_to_its_end(host: Host) -> None:
    """As logrotate does it, while nginx writes to the old file a moment longer; twice, while nobody reads."""
    log = logs.requests(host.paths)
    host.refuse("a")
    host.copy()
    log.rename(f"{log}.1")
    old = Path(f"{log}.1")
    log.touch()
    host.copy()
    with old.open("a") as stream:
        stream.write(json.dumps(FRONT | {"path": "/v2/b/tags/list"}) + "\n")
    host.refuse("c")
    host.copy()
    assert host.found == ["a", "b", "c"]
    with old.open("a") as stream:
        stream.write(json.dumps(FRONT | {"path": "/v2/d/tags/list"}) + "\n")
    host.refuse("e")
    Path(f"{log}.2.gz").write_bytes(gzip.compress(old.read_bytes()))
    log.rename(old)
    host.refuse("f")
    host.begin()
    host.copy()
    assert sorted(host.found) == ["a", "b", "c", "d", "e", "f"]
    host.begin()
    host.copy()
    assert len(host.found) == 6


def test_a_line_without_an_end_is_waited_for(host: Host) -> None:
    whole = json.dumps(FRONT | {"path": "/v2/b/tags/list"}) + "\n"
    host.refuse("a")
    log = logs.requests(host.paths)
    with log.open("a") as stream:
        stream.write(whole[:40])
    host.copy()
    assert host.found == ["a"]
    with log.open("a") as stream:
        stream.write(whole[40:])
    host.copy()
    assert host.found == ["a", "b"]


def test_what_is_no_line_is_passed_over(host: Host) -> None:
    log = logs.requests(host.paths)
    log.write_bytes(b"\x00\xff\n" + b"x" * (front.MOST + 100_000) + b"\n{}\n[]\n")
    host.refuse("a")
    for _ in range(5):  # as much as is taken at a time
        host.copy()
    assert host.found == ["a"]


def test_a_pipe_in_the_place_of_the_fronts_file_holds_up_nothing(host: Host) -> None:
    os.mkfifo(logs.requests(host.paths))
    host.push("1")
    host.copy()
    assert host.found == ["1"]


def test_an_entry_of_the_journal() -> None:
    said = {
        "__CURSOR": "s=1",
        "__REALTIME_TIMESTAMP": str(AT),
        "SECREG_KIND": "users",
        "SECREG_ADDED": [98, 111, 98, 10, 195],
        "MESSAGE": None,
    }
    found = heard.read(json.dumps(said).encode())
    assert found is not None and (found.cursor, found.at) == ("s=1", AT)
    assert [one.user[:3] for one in found.entries][:1] == ["bob"]
    assert heard.read(b"-- No entries --") is None and heard.read(b"[]") is None


def test_what_is_asked_of_the_journal() -> None:
    argv = heard.asked("s=1", AT, 991)
    assert "--after-cursor=s=1" in argv and not any(word.startswith("--since") for word in argv)
    assert argv[argv.index("SECREG_KIND=manifest") + 1] == "_UID=991"
    kinds = [argv[number + 1] for number, word in enumerate(argv) if word.startswith("SECREG_KIND=")]
    assert kinds == ["_UID=991", "_UID=0", "_UID=0"], "of what only root says nobody else is heard"
    assert "--since=@1764561845.123457" in heard.asked("", AT, 991)


def test_how_far_is_none_of_another_shape(host: Host) -> None:
    records.save(logs.place(host.paths), {"cursor": 5, "front": []})
    assert service.read_place(host.paths) == service.Place()
    kept = replace(service.Place(), cursor="s=1", time=5, front={"a": 7}, size=9)
    records.save(logs.place(host.paths), {"cursor": "s=1", "time": 5, "front": {"a": 7}, "size": 9})
    assert service.read_place(host.paths) == kept
