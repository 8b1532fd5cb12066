"""The same processes under one parent, where there is no systemd: any user, any directory, one terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from secreg_host.base import files, handed, process, utf8
from secreg_host.base.errors import Problem, SecregError, bad_input
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.host.processes import Process
from secreg_host.services import nginxmaster, notstarted
from secreg_host.services.services import TRIAL_SECONDS
from secreg_host.wanted import provision
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.settings import SettingsPart

log = logging.getLogger(__name__)

STOP_ORDER = ("nginx", "auth", "manifests", "registry")
ANEW = ("manifests",)
"""What is started anew when it dies: whoever asks meanwhile waits at its socket, which is ours."""

BACKLOG = 1024
STOP_SECONDS = 10.0
LAST_LINES = 20


class Child:
    """A running process; what it says goes to our stderr, each line with its name before it."""

    def __init__(self, one: Process, environment: dict[str, str], listener: socket.socket | None = None) -> None:
        self.name = one.name
        self.said: deque[str] = deque(maxlen=LAST_LINES)
        argv = ["nice", "-n", str(one.nice), *one.argv] if one.nice else one.argv
        self.popen = process.spawn(process.as_account(argv, one.account), environment, one.umask, listener)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for raw in self.popen.stdout:
            line = utf8.shown(raw).rstrip()
            self.said.append(line)
            print(f"{self.name}: {line}", file=sys.stderr, flush=True)

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    @property
    def obituary(self) -> str:
        """How it ended, in one line."""
        code = self.popen.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"{self.name} {how}"


class ForegroundServices:
    """`Services` by child processes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.children: dict[str, Child] = {}
        self.leaving: dict[str, Child] = {}  # asked to end; they finish what they have begun
        self.parts = Parts()
        self.registries: dict[str, Parts] = {}  # by slot, what each was made ready for
        self.listener: socket.socket | None = None  # of the manifest service

    @contextlib.contextmanager
    def taking_manifests(self) -> Iterator[None]:
        """Have the manifest service within the block."""
        path, owner = processes.manifests_socket(self.host), self.host.accounts.front.owner
        with handed.bound(path, owner, BACKLOG) as self.listener:
            self.start("manifests")
            try:
                yield
            finally:
                self.stop("manifests")

    def prepare(self, parts: Parts, slot: str) -> None:
        self.parts = parts

    def prepare_registry(self, parts: Parts, slot: str) -> None:
        self.registries[slot] = parts

    def refuses(self, argv: Sequence[str], meanwhile: Callable[[], None] = lambda: None) -> Problem | None:
        try:
            done = process.run(process.as_account(argv, self.host.accounts.front), TRIAL_SECONDS)
        except SecregError as error:
            return error.problems[0]
        return None if done.returncode == 0 else notstarted.failed(argv, "fails", done.stderr.splitlines())

    def wanted(self) -> bool:
        return True

    def _process(self, name: str) -> Process:
        kind, _, slot = name.partition("@")
        if kind == "manifests":
            return processes.manifests(self.host)
        settings = self.registries.get(slot, self.parts)[SettingsPart].settings
        if kind == "registry":
            return processes.registry(self.host, slot, settings.registry_binary)
        make = processes.front if kind == "nginx" else processes.auth
        one = make(self.host, settings.nginx_binary)
        return replace(one, argv=(*one.argv, *processes.IN_FRONT))

    def start(self, name: str) -> None:
        if self.running(name):
            return
        one = self._process(name)
        files.make_directory(one.run, 0o750, one.account.owner)
        for left in one.run.glob("*.sock"):
            left.unlink()  # left by one that was killed; nobody else listens in our run directory
        environment = dict(one.environment)
        if name.startswith("registry"):
            environment |= provision.http_secret(self.host.paths.http_secret)
            own = self.host.paths.slot(name.partition("@")[2]) / "environment"
            lines = utf8.text(files.read_or_none(own) or b"", str(own)).splitlines()
            environment |= dict(line.split("=", 1) for line in lines)
        self.children[name] = Child(one, environment, self.listener if name in ANEW else None)

    def reload(self, name: str) -> bool:
        if self.died(name):
            return False
        nginxmaster.reload(self.children[name].popen.pid, lambda _: True)  # a child of ours keeps its number
        return True

    def stop(self, name: str, *, wait: bool = True) -> None:
        child = self.children.pop(name, None)
        if child is None or not child.alive:
            return
        child.popen.terminate()
        if not wait:
            self.leaving[name] = child
            return
        try:
            child.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.popen.pid, signal.SIGKILL)
            child.popen.wait()

    def running(self, name: str) -> bool:
        return any(name in some and some[name].alive for some in (self.children, self.leaving))

    def slots(self) -> set[str]:
        return {slot for slot in processes.SLOTS if self.running(f"registry@{slot}")}

    def up(self, name: str) -> bool:
        return self.running(name)

    def pids(self, name: str) -> set[int]:
        if name not in self.children:
            return set()
        return process.group_members(self.children[name].popen.pid)

    def view(self, name: str) -> Path:
        return Path("/")

    def died(self, name: str) -> bool:
        return name not in self.children or not self.children[name].alive

    def outdated(self, name: str) -> bool:
        return False  # whoever watches an instance in the foreground restarts it

    def renew(self, name: str) -> None:
        pass

    def show_images(self, slot: str, root: str) -> None:
        pass  # it is seen where it is

    def last_words(self, name: str) -> list[str]:
        child = self.children.get(name)
        if child is None:
            return []
        if not child.alive:
            child.reader.join(1.0)
        return list(child.said)

    def stop_all(self) -> None:
        """End all children: the front first, so that nobody waits for an answer that won't come."""
        for kind in STOP_ORDER:
            for name in [name for name in self.children if name.partition("@")[0] == kind]:
                self.stop(name)
        for child in self.leaving.values():
            child.popen.wait()

    def wait(self, ended: threading.Event) -> Child | None:
        """Until `ended` is set (None) or a child that should run has died (that child)."""
        while not ended.wait(0.1):
            for name, child in list(self.children.items()):
                if not child.alive and name in ANEW:
                    log.warning(f"secure-registry: {child.obituary}; it is started anew")
                    self.start(name)
                elif not child.alive:
                    return self.children.pop(name)
        return None


def fit(host: Host) -> None:
    """Raise SecregError when the paths of unix sockets would be longer than the kernel takes (unix(7): 107 bytes), or
    the service users can't get there: as root each process has one of its own."""
    root = host.paths.root
    if host.accounts.front.uid != os.geteuid():
        whole = root.resolve()
        closed = [path for path in (whole, *whole.parents) if path.exists() and not path.stat().st_mode & stat.S_IXOTH]
        if closed:
            what = f"{closed[0]} is closed to the service users, who run the processes when root starts them"
            raise bad_input(f"--root {root}", what, "name one below /srv; or start it as an ordinary user")
    longest = str(processes.socket_of(host, "a"))
    if len(os.fsencode(longest)) > 107:
        raise SecregError(f"--root {host.paths.root} is too long for unix sockets", "choose a shorter directory")
