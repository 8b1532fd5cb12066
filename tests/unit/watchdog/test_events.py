"""What tells the watchdog when to look: by the kernel's own inotify and table of mounts."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.base import distant, records
from secreg_host.base.paths import Paths
from secreg_host.observe import components
from secreg_host.observe.scene import Scene
from secreg_host.observe.state import Condition
from secreg_host.wanted import sources
from secreg_host.watchdog import events, watch
from secreg_host.watchdog.events import BLIND_SECONDS, Events
from secreg_host.watchdog.watch import Watcher

NOW = 0.0
SOON = 20.0


@pytest.fixture(autouse=True)
def nothing_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other programs of this machine do. (What a mount does is seen on booted hosts.)"""
    monkeypatch.setattr(distant, "open_mounts", lambda: os.open(os.devnull, os.O_RDONLY))


@pytest.fixture
def found() -> Iterator[Events]:
    made = Events()
    yield made
    made.close()


def quiet(found: Events) -> None:
    """Take what has happened so far."""
    while found.wait(0.05):
        pass


def test_each_way_of_changing_a_file_is_told_and_reading_is_not(found: Events, tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert found.watch([tmp_path]) and not found.watch([tmp_path])
    ways: list[Callable[[], object]] = [
        lambda: path.write_text("one"),
        lambda: path.chmod(0o600),
        lambda: os.utime(path, (1, 1)),
        lambda: path.rename(tmp_path / "other"),
        lambda: (tmp_path / "other").rename(path),
        lambda: path.unlink(),
        lambda: path.symlink_to("nothing"),
        lambda: (tmp_path / "folder").mkdir(),
    ]
    for way in ways:
        quiet(found)
        way()
        assert found.wait(SOON)
    quiet(found)
    (tmp_path / "folder").rmdir()
    path.unlink()
    path.write_text("two")
    quiet(found)
    assert path.read_text() and list(tmp_path.iterdir())
    assert not found.wait(NOW)


def test_one_instance_serves_all_directories(found: Events, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(200)]  # more than the 128 instances that a user may have
    for folder in folders:
        folder.mkdir()
    assert found.watch(folders) and not found.blind
    for folder in folders[::50]:
        quiet(found)
        (folder / "x").touch()
        assert found.wait(SOON)
    assert not found.watch(folders[:1])
    quiet(found)
    (folders[1] / "y").touch()
    assert not found.wait(NOW)


@pytest.mark.parametrize("back", ["the same", "another"])
def test_a_directory_that_was_away_is_watched_again(found: Events, tmp_path: Path, back: str) -> None:
    """Also when it was away at the very moment at which it was to be watched, and is the same one afterwards."""
    etc, away = tmp_path / "etc", tmp_path / "away"
    etc.mkdir()
    etc.rename(away)
    found.watch([tmp_path])
    assert found.watch([tmp_path, etc]), "it is not there: it must be looked for again"
    away.rename(etc)
    assert found.wait(SOON)
    assert found.watch([tmp_path, etc])
    etc.rename(away)
    away.rename(etc) if back == "the same" else etc.mkdir()
    assert found.wait(SOON)
    assert found.watch([tmp_path, etc]) == (back == "another")
    quiet(found)
    (etc / "file").touch()
    assert found.wait(SOON)
    (etc / "file").unlink()
    etc.rmdir()
    etc.mkdir()
    assert found.wait(SOON)
    assert found.watch([tmp_path, etc])


def fail(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Let the system call `call` fail with `number`."""
    from watchdog.observers import inotify_c

    def failing(*_: object) -> int:
        import ctypes

        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(inotify_c, call, failing)


@pytest.mark.parametrize(
    ("call", "number"),
    [("inotify_init", errno.EMFILE), ("inotify_init", errno.ENFILE), ("inotify_add_watch", errno.ENOSPC)],
)
def test_what_can_not_be_watched_is_named_and_tried_again(
    found: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    with monkeypatch.context() as full:
        fail(full, call, number)
        opened = set()
        for _ in range(10):
            found.watch([tmp_path])
            assert found.blind[tmp_path].errno == number
            opened.add(len(list(Path("/proc/self/fd").iterdir())))
        assert len(opened) == 1, "each attempt leaves something behind"
        full.setattr(events, "BLIND_SECONDS", 0.01)
        assert not found.wait(SOON), "it waits for what it can't be told"
    assert found.watch([tmp_path]), "what happened meanwhile was not told"
    assert not found.blind
    (tmp_path / "x").touch()
    assert found.wait(SOON)


def test_the_table_of_mounts_that_can_not_be_opened_is_named(
    found: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_descriptors() -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as full:
        full.setattr(distant, "open_mounts", out_of_descriptors)
        found.watch([tmp_path])
        assert list(found.blind) == [distant.MOUNTINFO]
    found.watch([tmp_path])
    assert not found.blind


def test_somebody_who_waits_is_woken(found: Events) -> None:
    began = time.monotonic()
    threading.Timer(0.05, found.wake).start()
    assert found.wait(SOON) and time.monotonic() - began < SOON
    found.close()
    found.wake()


# --- the watchdog with them ---


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    made.etc.mkdir(parents=True)
    made.htpasswd.touch()
    made.users_live.mkdir(parents=True)
    records.save(made.report, {"generation": "one", "fingerprint": sources.fingerprint(made, ()), "findings": []})
    return made


def test_a_directory_that_comes_back_while_the_watchdog_starts(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was away when directories were looked for, and back before its parent was watched: no event told of it."""
    away = paths.etc.with_name("away")
    real = sources.directories

    def back_again(*args: object) -> tuple[Path, ...]:
        wanted = real(*args)  # type: ignore[arg-type]
        if away.exists():
            away.rename(paths.etc)
        return wanted

    monkeypatch.setattr(sources, "directories", back_again)
    paths.etc.rename(away)
    watcher = Watcher(paths, lambda _: None)
    assert watcher.arm()
    quiet(watcher.events)
    (paths.etc / "nginx.conf").touch()
    assert watcher.events.wait(SOON)
    watcher.events.close()


def test_a_directory_that_goes_while_the_watchdog_starts(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there when directories were looked for, and away when it was to be watched; then it comes back."""
    away = paths.etc.with_name("away")
    real = sources.directories
    moved = False

    def gone(*args: object) -> tuple[Path, ...]:
        nonlocal moved
        wanted = real(*args)  # type: ignore[arg-type]
        if not moved:
            paths.etc.rename(away)
        moved = True
        return wanted

    monkeypatch.setattr(sources, "directories", gone)
    watcher = Watcher(paths, lambda _: None)
    watcher.arm()
    quiet(watcher.events)
    away.rename(paths.etc)
    assert watcher.events.wait(SOON)
    watcher.arm()
    quiet(watcher.events)
    (paths.etc / "nginx.conf").touch()
    assert watcher.events.wait(SOON)
    watcher.events.close()


class Running:
    """A watchdog in a thread; each apply sees the files as they are."""

    def __init__(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths, self.asked, self.states = paths, threading.Event(), list[str]()
        monkeypatch.setattr(watch, "notify", self.states.append)
        self.watcher = Watcher(paths, self.apply)
        self.thread = threading.Thread(target=self.watcher.run)

    def apply(self, _: Callable[[], bool]) -> None:
        now = sources.fingerprint(self.paths, ())
        records.save(self.paths.report, {"generation": "one", "fingerprint": now, "findings": []})
        self.asked.set()

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.watcher.stop()
        self.thread.join(SOON)
        assert not self.thread.is_alive()

    def sees(self, change: Callable[[], object]) -> None:
        self.asked.clear()
        change()
        assert self.asked.wait(SOON)

    def says(self, text: str) -> None:
        until = time.monotonic() + SOON
        while not any(state.startswith(f"STATUS={text}") for state in self.states[-3:]):
            assert time.monotonic() < until, self.states
            time.sleep(0.01)


def test_without_inotify_it_looks_by_itself_says_so_and_recovers(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(events, "BLIND_SECONDS", 0.05)
    with monkeypatch.context() as full:
        fail(full, "inotify_init", errno.EMFILE)
        running = Running(paths, monkeypatch)
        running.__enter__()
        running.says(f"{watch.BLIND} {BLIND_SECONDS:.0f} s, for it cannot watch {paths.etc.parent} and 1 more (Too")
        for name in ("one", "two"):
            running.sees((paths.etc / name).touch)
    running.says("watching")
    running.__exit__()
    said = capfd.readouterr().err
    assert said.count("cannot watch") == 1 and "\n  -> raise the limit: sysctl fs.inotify.max_user_instances" in said
    assert said.count("everything is watched again") == 1


def test_a_busy_directory_does_not_put_off_the_look_after_the_pause(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only that look finds is found, whatever happens in the directory meanwhile."""
    monkeypatch.setattr(watch, "CHECK_SECONDS", 0.3)
    monkeypatch.setattr(watch, "LONGEST_SECONDS", 0.05)
    with Running(paths, monkeypatch) as running:
        running.says("watching")
        paths.users_live.rmdir()  # only a look after the pause finds that
        until = time.monotonic() + SOON
        while not running.asked.is_set() and time.monotonic() < until:
            (paths.etc / ".swp").touch()
            time.sleep(0.001)
        assert running.asked.is_set()


@pytest.mark.parametrize(
    ("watchdog", "main", "load", "told"),
    [
        ("active", "active", "loaded", False),
        ("failed", "active", "loaded", True),
        ("inactive", "active", "loaded", True),
        ("inactive", "active", "masked", False),
        ("inactive", "inactive", "loaded", False),
    ],
)
def test_a_watchdog_that_does_not_run_is_told(watchdog: str, main: str, load: str, told: bool) -> None:
    """Seen: stopped, or with LimitNOFILE=8, and not a word, while a user whose line was removed stayed in."""
    manager: Any = SimpleNamespace(
        state=lambda _: SimpleNamespace(active=watchdog, status_text=""),
        call=lambda *_: [],
        properties=lambda _, name: {name: load},
    )
    scene: Any = Scene(None, None, None, manager, {watch.MAIN: (main, "")})  # type: ignore[arg-type]
    found = components.watchdog(scene)
    down = (found.condition, found.remedy) == (Condition.DOWN, "systemctl start secure-registry-watchdog.service")
    assert down == told
