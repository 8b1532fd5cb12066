"""The watchdog: notices that /etc changed, waits until it settles, asks for one reload. No policy.

Whether anything changed is decided by comparing fingerprints (`sources.py`) with the one that the last apply recorded;
events only say when to look. A look every `CHECK_SECONDS`, and one at start, catch what inotify lost. While an apply
that was asked for has not seen the files as they are (it was killed, it failed, it had begun before they changed), the
next one is asked for soon. One that is slow does not hold up a removed user: it is asked for anew.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secreg_host import ask, records, retries, sources
from secreg_host.errors import SecregError
from secreg_host.journal import Level, notify, say
from secreg_host.paths import Paths

SETTLE_SECONDS = 0.02
"""Quiet time after an event before looking; each further event begins it anew ..."""

LONGEST_SECONDS = 0.8
"""... but no longer than this, however busy the directory is."""

CHECK_SECONDS = 30.0
RETRY_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Pauses before an apply is asked for once more for the same files; then `CHECK_SECONDS`."""

MAIN, RELOAD, WATCHDOG = "secure-registry.service", "secure-registry-reload.service", "secure-registry-watchdog"
PATIENCE_SECONDS = 0.3
"""How long an apply may go on after .htpasswd changed, before it must begin anew."""

EVENTS = ("created", "modified", "moved", "deleted", "closed")


@dataclass(eq=False)
class Watcher:
    """Watches the instance of `paths`; `reload` applies what is there, anew when its argument says that this can't
    wait; `start` starts what failed to. Each may raise SecregError."""

    paths: Paths
    reload: Callable[[Callable[[], bool]], None]
    start: Callable[[], None] = lambda: None
    ended: threading.Event = field(default_factory=threading.Event)
    touched: threading.Event = field(default_factory=threading.Event)
    tried: str = ""
    tries: int = 0
    pause: float = CHECK_SECONDS
    """Seconds until the next look, if nothing happens."""

    retried: retries.Retry | None = None

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
                periodic = not self.touched.wait(self.pause)
                self.settle()
                if self.ended.is_set():
                    return
                self.arm(observer, armed)
                self.look(periodic)
                if self.arm(observer, armed):  # what the apply read is elsewhere now: it may have changed meanwhile
                    self.touched.set()
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

    def arm(self, observer: Any, armed: dict[Path, tuple[Any, int]]) -> bool:
        """Watch the directories of what the current state was read from; a watch that can't be had is told.

        Returns whether there are new ones. What happened before is not told by events: a look must follow.
        """
        wanted = sources.directories(self.paths, self.sources())
        for path, (watch, inode) in list(armed.items()):
            if wanted.get(path) != inode:  # not needed any more, or another directory of the same name
                if watch is not None:
                    observer.unschedule(watch)
                del armed[path]
        new = [path for path in wanted if path not in armed]
        for path in new:
            watch = None
            try:
                watch = observer.schedule(self, str(path), recursive=False)
            except OSError as error:  # once: each attempt would leave an instance of inotify behind
                say(f"cannot watch {path} ({error.strerror}): changes there are seen every {CHECK_SECONDS:.0f} s only\n"
                    f"  -> {_remedy(error, path)}; then: systemctl restart {WATCHDOG}", Level.WARNING)  # fmt: skip
            armed[path] = watch, wanted[path]
        return bool(new)

    def sources(self) -> list[str]:
        """The files outside our directory that the last apply read."""
        return list(records.load(self.paths.report, records.REPORT).get("sources", []))

    def look(self, periodic: bool) -> None:
        """Try again what failed, when its time has come; else see whether anything changed."""
        due = retries.load(self.paths)
        if due is not None and due.seconds(time.time()) == 0 and (periodic or due != self.retried):
            self.retried, self.pause = due, CHECK_SECONDS  # whoever tries it writes down when it is tried next
            self.ask(self.start if due.start else lambda: self.reload(self.hurry()))
        else:
            self.compare(periodic)
        following = retries.load(self.paths)
        if following is not None and following != self.retried:
            self.pause = min(self.pause, following.seconds(time.time()))

    def ask(self, apply: Callable[[], None]) -> None:
        """Let `apply` run; what went wrong is said."""
        try:
            apply()
        except SecregError as error:
            say(f"reload: {error.message}\n  -> {error.hint}", Level.ERROR)
            notify(f"STATUS=the last reload failed: {error.message}")
        else:
            found = records.load(self.paths.report, records.REPORT).get("findings", [])
            held = sorted({finding.get("kind", "") for finding in found} - {"warning"})
            notify(f"STATUS=watching; {', '.join(held)}: see secure-registry status" if held else "STATUS=watching")

    def compare(self, periodic: bool) -> None:
        """Ask for a reload if the files differ from what the last apply saw; if the reload does not see them either,
        try again after a pause that grows. periodic: the pause is over."""
        report = records.load(self.paths.report, records.REPORT)
        damaged = not report and self.paths.current.is_symlink()  # an apply writes it anew
        if not report.get("generation") and not damaged:
            self.pause = CHECK_SECONDS
            return  # nothing serves: nothing to take over
        now = sources.fingerprint(self.paths, self.sources())
        due = periodic and (self.waited_long(report) or not os.path.lexists(self.paths.users_live))
        if now == report.get("fingerprint") and not due:
            self.tries, self.pause = 0, CHECK_SECONDS
            return
        if now == self.tried and not periodic:
            return
        self.tries = self.tries + 1 if now == self.tried else 0
        self.tried = now
        self.ask(lambda: self.reload(self.hurry()))
        seen = records.load(self.paths.report, records.REPORT).get("fingerprint") == now
        again = self.tries < len(RETRY_SECONDS) and not seen
        self.pause = RETRY_SECONDS[self.tries] if again else CHECK_SECONDS

    def hurry(self) -> Callable[[], bool]:
        """What tells, once for each change, whether .htpasswd changed a while ago, after now."""
        users = str(self.paths.htpasswd)
        known, since, patience = sources.mark(users), 0.0, PATIENCE_SECONDS

        def urgent() -> bool:
            nonlocal known, since, patience
            now = sources.mark(users)
            if now != known:
                known, since = now, since or time.monotonic()
            if not since or time.monotonic() - since < patience:
                return False
            since, patience = 0.0, patience * 2  # whoever goes on changing it must not keep all else from serving
            return True

        return urgent

    @staticmethod
    def waited_long(report: dict[str, Any]) -> bool:
        """Whether a half-changed pair was waited for long enough to be called wrong."""
        return any(finding.get("kind") == "waiting" for finding in report.get("findings", []))


def _remedy(error: OSError, path: Path) -> str:
    """What helps against `error`, met when `path` was to be watched (inotify(7))."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"let root read it without special rights: chmod o+rx {path}"
    limit = "max_user_instances" if error.errno == errno.EMFILE else "max_user_watches"
    return f"raise the limit: sysctl fs.inotify.{limit} (sysctl.d(5))"


def _code() -> int:
    """When this program was last changed (nanoseconds)."""
    try:
        return Path(__file__).stat().st_mtime_ns
    except OSError:
        return 0  # in the middle of an upgrade


def run_reload_unit(urgent: Callable[[], bool]) -> None:
    """Have systemd run one apply, anew when it is `urgent`, and wait for its end. Raises SecregError when that can't be
    asked for.

    If the process that is ready for it can't be asked, or was killed, the apply is one that needs no such process.
    """
    from secreg_host.systemd import Systemd

    systemd = Systemd()
    through = systemd.job("StartUnit", RELOAD, enough=urgent)
    while not through:
        say(".htpasswd changed: what is slow begins anew, so that a removed user is out")
        through = systemd.job("RestartUnit", RELOAD, enough=urgent)
    if systemd.properties(RELOAD, "ExecMainStatus")["ExecMainStatus"] == ask.UNHEARD:
        systemd.job("ReloadUnit", MAIN, mode="fail")  # not in place of a stop that somebody has just asked for


def run_main_unit() -> None:
    """Start the service anew whose start failed. Raises SecregError when that can't be asked for."""
    from secreg_host.systemd import Systemd

    systemd = Systemd()
    if systemd.active(MAIN)[0] == "failed":  # not one that somebody stopped, or starts just now
        systemd.job("StartUnit", MAIN, mode="fail")


def main(paths: Paths) -> int:
    """What secure-registry-watchdog.service runs, until SIGTERM, which ends it at once: it holds no state. At a restart
    the apply that it waits for is one that comes after the stop, which waits for its end."""
    Watcher(paths, run_reload_unit, run_main_unit).run()
    return 0
