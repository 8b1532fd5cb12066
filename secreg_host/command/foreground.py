"""An instance in the foreground: set up, run, take over changes on SIGHUP, stop when a process dies or on SIGTERM."""

from __future__ import annotations

import logging
import os
import resource
import select
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from secreg_host.apply import apply as applying
from secreg_host.apply import hooks
from secreg_host.apply import report as reports
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Report
from secreg_host.apply.wish import WATCHDOG, Wish
from secreg_host.base import files, waiting
from secreg_host.base.errors import Exit, SecregError
from secreg_host.base.paths import PROC, Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import printing
from secreg_host.command import status as looking
from secreg_host.host import authcache
from secreg_host.host.host import Host
from secreg_host.queue import serve
from secreg_host.services import foreground
from secreg_host.services.foreground import ForegroundServices
from secreg_host.wanted import provision, sources
from secreg_host.watchdog import watch

log = logging.getLogger(__name__)

OPEN_FILES = 131072
RELOAD_SECONDS = 60.0
"""The longest that a reload is waited for, and an end."""


def run(host: Host, environment: Mapping[str, str], *, watching: bool = True) -> int:
    """Serve until SIGTERM or SIGINT (exit code 0) or until a process dies (1; the last line says which and why)."""
    foreground.fit(host)
    _raise_file_limit()
    files.make_directory(host.paths.run, 0o755)
    if pid_of(host.paths):
        raise SecregError(
            f"an instance already runs below {host.paths.root} (process {pid_of(host.paths)})",
            f"secure-registry stop --root {host.paths.root}",
        )
    provision.check(Snapshot(host.paths), environment)
    events = _Events()
    services = ForegroundServices(host)
    stage = Stage(host, services)
    with serve.beside(host), services.taking_manifests():
        try:
            report = applying.apply(stage, Wish("start", environment, create=True, start=True))
            _tell(host, report)
            files.write(_pid_file(host.paths), f"{os.getpid()}\n".encode(), files.PUBLIC)
            watcher = watch.Watcher(host.paths, events.reload_and_wait)
            if watching:
                threading.Thread(target=watcher.run, daemon=True).start()
            try:
                return _watch(stage, events)
            finally:
                watcher.stop()
        finally:
            services.stop_all()
            authcache.forget(host)
            _pid_file(host.paths).unlink(missing_ok=True)  # the last thing: whoever waits for our end looks at it


def _raise_file_limit() -> None:
    """As many open files as we may have, up to what the units give nginx (LimitNOFILE=)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class _Events:
    """Signals as events: `wake` is set by each of them."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.done = threading.Event()
        self.ended = False
        self.asked = ""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._reload)

    def _end(self, *_: object) -> None:
        self.ended = True
        self.wake.set()

    def _reload(self, *_: object) -> None:
        self.ask("reload")

    def ask(self, doing: str) -> None:
        """Have what changed serve, for whoever is `doing` that."""
        self.asked = doing
        self.wake.set()

    def reload_and_wait(self, _: Callable[[], bool]) -> None:
        """Ask for a reload and wait for its end, from another thread."""
        self.done.clear()
        self.ask(WATCHDOG)
        self.done.wait(RELOAD_SECONDS)


def _watch(stage: Stage, events: _Events) -> int:
    services = stage.services
    assert isinstance(services, ForegroundServices)
    while True:
        dead = services.wait(events.wake)
        if dead is not None:
            services.stop_all()
            log.error(f"secure-registry: {dead.obituary}; everything is stopped")
            return Exit.FAILED
        events.wake.clear()
        if events.ended:
            return Exit.DONE
        if doing := events.asked:
            events.asked = ""
            try:
                _tell(stage.host, applying.apply(stage, Wish(doing, {})))
            except SecregError as error:
                log.error("\n".join(f"secure-registry: {problem}" for problem in error.problems))
            events.done.set()


def _run_hooks(host: Host, report: Report) -> None:
    printing.warnings(hooks.run(host.paths, report.told))


def _tell(host: Host, report: Report) -> None:
    """Say what serves and how to log in (a new password only to a terminal); tell the hooks, too."""
    threading.Thread(target=_run_hooks, args=(host, report), daemon=True).start()
    printing.findings(report.findings)
    printing.password(host, report)
    if report.served is not None:
        print(f"secure-registry {looking.one_line(report, report.served)}")
        if not report.count:
            print(printing.users(report.count, report.findings))
        print(f"log in with: {looking.login_hint(report.served)}", flush=True)


def _pid_file(paths: Paths) -> Path:
    return paths.run / "foreground.pid"


def pid_of(paths: Paths) -> int | None:
    """The process of the instance that runs in the foreground below these paths, None if there is none."""
    data = files.read_or_none(_pid_file(paths))
    if not data or len(data) > 20 or not data.strip().isdigit():
        return None
    pid = int(data)
    return pid if _lives(pid) else None


def _lives(pid: int) -> bool:
    """Whether `pid` is a process of this program; not one that has another one's number by now, and no zombie."""
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"secure-registry" in command or b"secreg_host" in command


def reload(paths: Paths) -> Report:
    """Let a running foreground instance take over changes; how that went, when it has seen the files as they are.

    Raises SecregError when none runs, when it ends meanwhile, or has not seen them after `RELOAD_SECONDS`.
    """
    before = reports.load(paths)
    _signal(paths, signal.SIGHUP)
    for _ in waiting.looks(RELOAD_SECONDS, 0.02):
        if not pid_of(paths):
            break
        report = reports.load(paths)
        # one without a generation is of a check that somebody else made: of the same files, but nothing serves them yet
        if report.generation and report.fingerprint == sources.fingerprint(paths, report.sources):
            return replace(report, changed=report.changes != before.changes)
    waited = f"the instance below {paths.root} has not taken over what changed after {RELOAD_SECONDS:.0f} s"
    raise SecregError(waited, f"see what it says where it was started; or: secure-registry status --root {paths.root}")


def stop(paths: Paths) -> None:
    """End a running foreground instance; returns when nothing of it runs any more.

    Raises SecregError when none runs, or when it still does after `RELOAD_SECONDS`.
    """
    pid = pid_of(paths) or 0
    try:
        process = os.pidfd_open(pid)
    except OSError:  # there is none, or it has just ended
        _signal(paths, signal.SIGTERM)
        return
    with os.fdopen(process, "rb"):
        _signal(paths, signal.SIGTERM)
        if not select.select([process], [], [], RELOAD_SECONDS)[0]:  # readable when it has ended (pidfd_open(2))
            raise SecregError(f"process {pid} was told to end and still runs", f"kill -KILL {pid}")


def _signal(paths: Paths, number: signal.Signals) -> int:
    pid = pid_of(paths)
    if pid is None:
        hint = f"secure-registry start --foreground --root {paths.root}"
        raise SecregError(f"no instance runs below {paths.root}", hint)
    log.debug("%s to process %d: what it does is told where it was started, if that was with --debug", number.name, pid)
    os.kill(pid, number)
    return pid
