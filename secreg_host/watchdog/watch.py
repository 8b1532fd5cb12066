"""The watchdog: notices that /etc changed, waits until it settles, asks for one reload. No policy.

Whether anything changed is decided by comparing fingerprints (`sources.py`) with the one that the last apply recorded;
events only say when to look. A look every `CHECK_SECONDS`, and one at start, catch what inotify lost. While an apply
that was asked for has not seen the files as they are (it was killed, it failed, it had begun before they changed), the
next one is asked for soon. One that is slow does not hold up a removed user: it is asked for anew.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secreg_host.base import distant, marks, records, waiting
from secreg_host.base.errors import SecregError
from secreg_host.base.journal import notify
from secreg_host.base.paths import Paths
from secreg_host.wanted import sources
from secreg_host.watchdog import ask, ends, retries
from secreg_host.watchdog.events import BLIND_SECONDS, Events

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.02
"""Quiet time after an event before looking; each further event begins it anew ..."""

LONGEST_SECONDS = 0.8
"""... but no longer than this, however busy the directory is."""

CHECK_SECONDS = 30.0
RETRY_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Pauses before an apply is asked for once more for the same files; then `CHECK_SECONDS`."""

MAIN, RELOAD, UNIT = "secure-registry.service", "secure-registry-reload.service", "secure-registry-watchdog.service"
PATIENCE_SECONDS = 0.3
"""How long an apply may go on after users changed, before it must begin anew."""

BLIND = "looks every"
"""How the status of the watchdog's unit begins while something can't be watched; what helps follows `REMEDY`."""

BY_SYSTEMD = 200
"""Exit codes from here on say that systemd could not run the program at all (systemd.exec(5))."""

REMEDY = " -> "
ARMINGS = 10
"""How often directories are looked for that turned up while others began to be watched, before one look."""


@dataclass(eq=False)
class Watcher:
    """Watches the instance of `paths`; `reload` applies what is there, anew when its argument says that this can't
    wait; `start` starts what failed to. Each may raise SecregError."""

    paths: Paths
    reload: Callable[[Callable[[], bool]], None]
    start: Callable[[], None] = lambda: None
    ended: threading.Event = field(default_factory=threading.Event)
    events: Events = field(default_factory=Events)
    tried: str = ""
    tries: int = 0
    pause: float = CHECK_SECONDS
    """Seconds until the next look, if nothing happens."""

    retried: retries.Retry | None = None
    """What was tried again last."""

    marks: dict[str, str] = field(default_factory=dict)
    """What was looked at last, for the log."""

    outcome: str = "watching"
    """What came of the last reload."""

    told: str = ""
    """The status of the unit."""

    def run(self) -> None:
        """Watch until `ended` is set."""
        code, due, periodic = marks.mark(__file__), waiting.within(0.0), True
        self.arm()
        notify("READY=1")
        try:
            while not self.ended.is_set():
                self.look(periodic=periodic)
                if self.arm():  # what the apply read is elsewhere now: it may have changed meanwhile
                    self.events.wake()
                self.tell()
                notify("WATCHDOG=1")
                if marks.mark(__file__) != code:
                    return  # a new version was installed: systemd starts it
                following = waiting.within(self.pause)
                due = following if periodic else min(due, following)
                self.events.alarm.set(ends.load(self.paths))
                self.events.wait(due.left)
                self.settle()
                periodic = due.over
                self.arm()
        finally:
            self.events.close()

    def stop(self) -> None:
        """End `run`, from a signal handler or another thread."""
        self.ended.set()
        self.events.wake()

    def settle(self) -> None:
        """Wait until nothing happens any more."""
        longest = waiting.within(LONGEST_SECONDS)
        while not longest.over and not self.ended.is_set() and self.events.wait(SETTLE_SECONDS):
            pass

    def arm(self) -> bool:
        """Watch the directories of what the current state was read from, also those that turn up meanwhile.

        Returns whether there are new ones. What happened before is not told by events: a look must follow.
        """
        new = False
        for _ in range(ARMINGS):
            if not self.events.watch(sources.directories(self.paths, self.sources())):
                return new
            new = True
        return new

    def tell(self) -> None:
        """Let the unit's status say what came of the last reload, and what can't be watched; that once in the journal,
        too."""
        before, self.told = self.told, _blindness(self.events.blind) or self.outcome
        if self.told != before:
            notify(f"STATUS={self.told}")
        if self.told.startswith(BLIND) == before.startswith(BLIND):
            return
        if self.told.startswith(BLIND):
            log.warning(self.told.replace(REMEDY, f"\n {REMEDY}"))
        else:
            log.info("everything is watched again")

    def sources(self) -> list[str]:
        """The files outside our directory that the last apply read."""
        return list(records.peek(self.paths.report, records.REPORT).get("sources", []))

    def look(self, *, periodic: bool) -> None:
        """Try again what failed, when its time has come; else see whether anything changed."""
        distant.begin_run()
        due = retries.load(self.paths)
        if due is not None and due.seconds(time.time()) == 0 and (periodic or due != self.retried):
            log.debug("what failed is tried again, %d times so far", due.tries)
            self.retried, self.pause = due, CHECK_SECONDS  # whoever tries it writes down when it is tried next
            self.ask(self.start if due.start else lambda: self.reload(self.hurry()))
        else:
            self.compare(periodic=periodic)
        following = retries.load(self.paths)
        if following is not None and following != self.retried:
            self.pause = min(self.pause, following.seconds(time.time()))
        for at in (records.peek(self.paths.report, records.REPORT).get("again", 0), ends.load(self.paths)):
            if (coming := at - time.time()) > 0:
                self.pause = min(self.pause, coming)

    def ask(self, apply: Callable[[], None]) -> None:
        """Let `apply` run; what went wrong is said."""
        try:
            apply()
        except SecregError as error:
            log.error(f"reload: {error.message}\n  -> {error.hint}")
            self.outcome = f"the last reload failed: {error.message}"
        else:
            found = records.peek(self.paths.report, records.REPORT).get("findings", [])
            held = sorted({finding.get("kind", "") for finding in found} - {*records.MILD})
            self.outcome = f"watching; {', '.join(held)}: see secure-registry status" if held else "watching"

    def compare(self, *, periodic: bool) -> None:
        """Ask for a reload if the files differ from what the last apply saw; if the reload does not see them either,
        try again after a pause that grows; also when somebody who counts came to an end. periodic: the pause is
        over."""
        report = records.peek(self.paths.report, records.REPORT)
        damaged = not report and self.paths.current.is_symlink()  # an apply writes it anew
        if not report.get("generation") and not damaged:
            self.pause = CHECK_SECONDS
            return  # nothing serves: nothing to take over
        before, self.marks = self.marks, sources.marks(self.paths, self.sources())
        now = sources.fingerprint_of(self.marks)
        come = 0 < report.get("again", 0) <= time.time()
        due = periodic and (come or self.waited_long(report) or not os.path.lexists(self.paths.users_live))
        end = ends.load(self.paths) if ends.come(self.paths) else 0.0
        if now == report.get("fingerprint") and not due and not end:
            log.debug("looked: it is what the last apply saw")
            self.tried, self.tries, self.pause = "", 0, CHECK_SECONDS  # what was before may come back
            return
        changed = sorted({name for name, _ in before.items() ^ self.marks.items()} if before else ())
        log.debug("not what the last apply saw; changed since the last look: %s", ", ".join(changed) or "nothing")
        wanted = f"{now} {end}" if end else now
        if wanted == self.tried and not periodic:
            return
        self.tries = self.tries + 1 if wanted == self.tried else 0
        self.tried = wanted
        self.ask(lambda: self.reload(self.hurry()))
        seen = records.peek(self.paths.report, records.REPORT).get("fingerprint") == now and not ends.come(self.paths)
        again = self.tries < len(RETRY_SECONDS) and not seen
        self.pause = RETRY_SECONDS[self.tries] if again else CHECK_SECONDS

    def hurry(self) -> Callable[[], bool]:
        """What tells, once for each change, whether .htpasswd or robots changed a while ago, after now; or somebody who
        counts came to an end."""
        known, patience = self.users(), PATIENCE_SECONDS
        due: waiting.Deadline | None = None

        def urgent() -> bool:
            nonlocal known, due, patience
            now = self.users()
            if now[0] != known[0] or now[1] > known[1]:
                known, due = now, due or waiting.within(patience)
            if due is None or not due.over:
                return False
            due, patience = None, patience * 2  # whoever goes on changing it must not keep all else from serving
            return True

        return urgent

    def users(self) -> tuple[str, bool]:
        """The mark of users, and whether somebody who counts came to an end."""
        return sources.users_mark(self.paths), ends.come(self.paths)

    @staticmethod
    def waited_long(report: dict[str, Any]) -> bool:
        """Whether a half-changed pair was waited for long enough to be called wrong."""
        return any(finding.get("kind") == "waiting" for finding in report.get("findings", []))


def _blindness(blind: Mapping[Path, OSError]) -> str:
    """What can't be watched, why, and what helps (inotify(7)); "" if nothing is."""
    if not blind:
        return ""
    first, error = next(iter(blind.items()))
    more = f" and {len(blind) - 1} more" if len(blind) > 1 else ""
    limits = {errno.EMFILE: "fs.inotify.max_user_instances", errno.ENFILE: "fs.file-max"}
    limit = limits.get(error.errno or 0, "fs.inotify.max_user_watches")
    remedy = f"raise the limit: sysctl {limit} (sysctl.d(5))"
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = f"let root read it without special rights: chmod o+rx {first}"
    return f"{BLIND} {BLIND_SECONDS:.0f} s, for it cannot watch {first}{more} ({error.strerror}){REMEDY}{remedy}"


def run_reload_unit(urgent: Callable[[], bool]) -> None:
    """Have systemd run one apply, anew when it is `urgent`, and wait for its end. Raises SecregError when that can't be
    asked for.

    If the process that is ready for it can't be asked, or was killed, or its units are masked or broken, the apply is
    one that needs none of them.
    """
    from secreg_host.base.systemd import Systemd

    systemd = Systemd()
    try:
        through = systemd.job("StartUnit", RELOAD, enough=urgent)
        while not through:
            log.info("users change: what is slow begins anew, so that a removed user is out")
            through = systemd.job("RestartUnit", RELOAD, enough=urgent)
        code = systemd.properties(RELOAD, "ExecMainStatus")["ExecMainStatus"]
    except SecregError as error:
        log.warning(f"{error.message}\n  -> {MAIN} is reloaded instead; see: systemctl status {RELOAD}")
        code = ask.UNHEARD
    if code == ask.UNHEARD or code >= BY_SYSTEMD:
        systemd.job("ReloadUnit", MAIN, mode="fail")  # not in place of a stop that somebody has just asked for


def run_main_unit() -> None:
    """Start the service anew whose start failed. Raises SecregError when that can't be asked for."""
    from secreg_host.base.systemd import Systemd

    systemd = Systemd()
    if systemd.active(MAIN)[0] == "failed":  # not one that somebody stopped, or starts just now
        systemd.job("StartUnit", MAIN, mode="fail")


def main(paths: Paths) -> int:
    """What secure-registry-watchdog.service runs, until SIGTERM, which ends it at once: it holds no state. At a restart
    the apply that it waits for is one that comes after the stop, which waits for its end."""
    Watcher(paths, run_reload_unit, run_main_unit).run()
    return 0
