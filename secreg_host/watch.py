"""The watchdog: notices that /etc changed, waits until it settles, asks for one reload. No policy.

Whether anything changed is decided by comparing fingerprints (`sources.py`) with the one that the last apply recorded;
events only say when to look. A look every `CHECK_SECONDS`, and one at start, catch what inotify lost.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secreg_host import records, sources
from secreg_host.errors import SecregError
from secreg_host.journal import Level, notify, say
from secreg_host.paths import Paths

SETTLE_SECONDS = 0.04
"""Quiet time after an event before looking; each further event begins it anew ..."""

LONGEST_SECONDS = 0.8
"""... but no longer than this, however busy the directory is."""

CHECK_SECONDS = 30.0
EVENTS = ("created", "modified", "moved", "deleted", "closed")


@dataclass(eq=False)
class Watcher:
    """Watches the instance of `paths`; `reload` applies what is there. Both may raise SecregError."""

    paths: Paths
    reload: Callable[[], None]
    ended: threading.Event = field(default_factory=threading.Event)
    touched: threading.Event = field(default_factory=threading.Event)
    tried: str = ""

    def run(self) -> None:
        """Watch until `ended` is set."""
        from watchdog.observers import Observer

        code = _code()
        observer: Any = Observer()  # type: ignore[no-untyped-call, unused-ignore]
        observer.start()
        armed: dict[Path, tuple[Any, int]] = {}
        try:
            self.arm(observer, armed)
            notify("READY=1\nSTATUS=watching")
            self.look(periodic=True)
            while not self.ended.is_set():
                periodic = not self.touched.wait(CHECK_SECONDS)
                self.settle()
                if self.ended.is_set():
                    return
                self.look(periodic)
                self.arm(observer, armed)
                notify("WATCHDOG=1")
                if _code() != code:
                    return  # a new version was installed: systemd starts it
        finally:
            observer.stop()
            observer.join()

    def stop(self) -> None:
        """End `run`, from a signal handler or another thread."""
        self.ended.set()
        self.touched.set()

    def dispatch(self, event: Any) -> None:
        """What the observer calls for each event (watchdog's FileSystemEventHandler)."""
        if event.event_type in EVENTS:
            self.touched.set()

    def settle(self) -> None:
        """Wait until nothing happens any more."""
        longest = time.monotonic() + LONGEST_SECONDS
        while self.touched.is_set() and time.monotonic() < longest and not self.ended.is_set():
            self.touched.clear()
            self.touched.wait(SETTLE_SECONDS)
        self.touched.clear()

    def arm(self, observer: Any, armed: dict[Path, tuple[Any, int]]) -> None:
        """Watch the directories of what the current state was read from; a watch that can't be had is told."""
        wanted = {path: path.stat().st_ino for path in sources.directories(self.paths, self.sources())}
        for path, (watch, inode) in list(armed.items()):
            if wanted.get(path) != inode:  # not needed any more, or another directory of the same name
                observer.unschedule(watch)
                del armed[path]
        for path, inode in wanted.items():
            if path not in armed:
                try:
                    armed[path] = observer.schedule(self, str(path), recursive=False), inode
                except OSError as error:
                    say(f"cannot watch {path} ({error.strerror}): changes there are seen every "
                        f"{CHECK_SECONDS:.0f} s only; raise fs.inotify.max_user_watches", Level.WARNING)  # fmt: skip

    def sources(self) -> list[str]:
        """The files outside our directory that the last apply read."""
        found = records.load(self.paths.report).get("sources", [])
        return [str(item) for item in found] if isinstance(found, list) else []

    def look(self, periodic: bool) -> None:
        """Ask for a reload if the files differ from what the last apply saw; a failed one is tried again later."""
        report = records.load(self.paths.report)
        if not report.get("generation"):
            return  # nothing serves: nothing to take over
        now = sources.fingerprint(self.paths, self.sources())
        due = periodic and self.waited_long(report)
        if not due and (now == report.get("fingerprint") or (now == self.tried and not periodic)):
            return
        self.tried = now
        try:
            self.reload()
        except SecregError as error:
            say(f"reload: {error.message}\n  -> {error.hint}", Level.ERROR)
            notify(f"STATUS=the last reload failed: {error.message}")
        else:
            kinds = {finding.get("kind") for finding in records.load(self.paths.report).get("findings", [])}
            held = sorted(str(kind) for kind in kinds - {"warning"})
            notify(f"STATUS=watching; {', '.join(held)}: see secure-registry status" if held else "STATUS=watching")

    @staticmethod
    def waited_long(report: dict[str, Any]) -> bool:
        """Whether a half-changed pair was waited for long enough to be called wrong."""
        return any(finding.get("kind") == "waiting" for finding in report.get("findings", []))


def _code() -> int:
    """When this program was last changed (nanoseconds)."""
    try:
        return Path(__file__).stat().st_mtime_ns
    except OSError:
        return 0  # in the middle of an upgrade


def start_reload_unit() -> None:
    """Have systemd run one apply, and wait for its end. Raises SecregError when that can't be asked for."""
    from secreg_host.systemd import Systemd

    Systemd().job("StartUnit", "secure-registry-reload.service")


def main(paths: Paths) -> int:
    """What secure-registry-watchdog.service runs, until SIGTERM."""
    watcher = Watcher(paths, start_reload_unit)
    signal.signal(signal.SIGTERM, lambda *_: watcher.stop())
    watcher.run()
    return 0
