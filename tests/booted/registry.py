"""The registry on a booted host, as its administrator and its clients see it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from secreg_host.observe.state import Component
from tests.hosts import docker
from tests.hosts.commands import Result
from tests.hosts.machine import Machine

ETC = "/etc/secure-registry"
HERE = Path(__file__).parent
KILL_APPLY = (
    "ready=$(systemctl show -p MainPID --value secure-registry-apply); test $ready -gt 1 && pkill -KILL -P $ready"
)
"""Kills the apply that the watchdog asked for; fails when there is none."""

HARMLESS = (
    r"systemd-modules-load|libkmod",  # Debian 13 in a container
    r"pam_env\(",  # there is no /etc/default/locale
    r"Failed to read pids\.max for control group",  # systemd 262, when the group is gone by then
    r"Failed to set fd limit",  # dbus-daemon, in a container
    r"Referenced but unset environment variable",  # docker.service of Debian
    r"couldn't coldplug run-[\w-]+\.service",  # of systemd, when a test's command ends while units are read anew
    r"dockerd|containerd",  # clients' own remarks
    r"Failed to watch sender",  # of systemd, when who asked it is gone by then
    r"^  -> ",  # the remedy that follows an expected error
    r"warning: \S+: every user of this host can read it",  # tests save files with any mode
    r"user \"\w+\" was not found|password mismatch",  # wrong passwords are tried here
)

OUTAGE = re.compile(r"(?:down|disk): (\w+): ")
"""What the observer says of a component."""

START = re.compile(r"Failed to start (secure-registry\S*\.service)( - .*)?$")

SELF_SIGNED = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
    " -addext subjectAltName=DNS:localhost"
)
"""The beginning of a command that makes a certificate of somebody else's."""


@dataclass
class Registry:
    """The machine, lines that its journal may hold at warning level or worse, and what `breaks`."""

    machine: Machine
    expected: list[str] = field(default_factory=list)
    broken: set[Component] = field(default_factory=set)

    @property
    def password(self) -> str:
        return self.machine.read(f"{ETC}/.password").strip()

    def curl(self, path: str, *options: str, user: str | None = None) -> Result:
        """GET over TLS, verified with ca.crt; stdout is the body, then the status on a line of its own."""
        login = ["--user", f"{user}:{self.password}"] if user == "docker" else ["--user", user] if user else []
        ca = ["--cacert", f"{ETC}/ca.crt"] if self.machine.exists(f"{ETC}/ca.crt") else ["--insecure"]
        argv = ["curl", "--silent", "--show-error", "--max-time", "20", *ca, *login, "--write-out", "\n%{http_code}"]
        return self.machine.run(*argv, *options, f"https://localhost{path}", check=False)

    def status_of(self, path: str, user: str | None = None) -> str:
        return self.curl(path, user=user).stdout.rpartition("\n")[2]

    def fingerprint(self) -> str:
        """The certificate that is served."""
        script = (
            "openssl s_client -connect localhost:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
        )
        return self.machine.run("sh", "-c", script).stdout

    def login(self, address: str = "127.0.0.1") -> Result:
        return docker.login(self.machine, address, "docker", self.password)

    def component(self, name: str) -> dict[str, Any]:
        """What `status` says of component `name`."""
        found = json.loads(self.command("status", "--json").stdout)["components"]
        return next(one for one in found if one["component"] == name)

    def systemctl(self, *argv: str) -> Result:
        return self.machine.run("systemctl", *argv, check=False)

    def command(self, *argv: str, input: str | None = None) -> Result:
        return self.machine.run("secure-registry", *argv, check=False, input=input)

    def edit(self, name: str, old: str, new: str) -> str:
        """Replace `old` in a file of /etc; returns the file as it was."""
        path = f"{ETC}/{name}"
        text = self.machine.read(path)
        assert old in text, f"{name} has no {old!r}"
        self.put(name, text.replace(old, new))
        return text

    def line_of(self, name: str, what: str) -> str:
        """`FILE:LINE` of the first line with `what` in a file of /etc, as messages name it."""
        lines = self.machine.read(f"{ETC}/{name}").splitlines()
        return f"{ETC}/{name}:{next(number for number, line in enumerate(lines, 1) if what in line)}"

    def put(self, name: str, text: str) -> None:
        """Write in place, as an editor does: the mode stays."""
        self.machine.run("sh", "-c", f"cat > {ETC}/{name}", input=text)

    def pid(self, unit: str) -> str:
        return self.machine.run("systemctl", "show", "-p", "MainPID", "--value", unit).stdout.strip()

    def processes(self) -> set[str]:
        """All of nginx, the password check and the registry: a reload of nginx has other workers."""
        units = "secure-registry-nginx.service secure-registry-auth.service system-*/secure-registry-registry@*.service"
        script = f"cd /sys/fs/cgroup/system.slice; for each in {units}; do cat $each/cgroup.procs 2>/dev/null; done"
        return set(self.machine.run("sh", "-c", f"{script}; true").stdout.split())

    def breaks(self, *components: str) -> None:
        """Expect what the observer tells (test_observed.py) of `components`, or of all: the test breaks them for longer
        than a moment, which is two looks, some four seconds apart."""
        self.broken |= {Component(name) for name in components or Component}

    def unexpected(self, mark: str | None = None) -> list[str]:
        """Lines of the journal at warning level or worse that nobody expected. An outage is expected by `breaks` alone,
        whatever else its words are like."""
        lines = [entry["MESSAGE"] for entry in self.machine.journal(priority="warning", after=mark)]
        return [line for line in lines if not self._expects(line)]

    def until(self, message: str) -> list[str]:
        """What the journal has before the line `message`, of whatever level, and that line."""
        said = [f"{entry.get('SYSLOG_IDENTIFIER', '')}: {entry.get('MESSAGE', '')}" for entry in self.machine.journal()]
        at = next((number for number, line in enumerate(said) if line.endswith(message)), len(said))
        return said[max(0, at - BEFORE) : at + 1]

    def _expects(self, line: str) -> bool:
        if outage := OUTAGE.match(line):
            return outage[1] in self.broken
        said = [line]
        if failed := START.match(line):  # whether systemd says that, too, is a matter of when the process ended
            said.append(f"{failed[1]}: Failed with result 'exit-code'.")
        return any(re.search(pattern, one) for pattern in (*HARMLESS, *self.expected) for one in said)


BEFORE = 25
"""Lines of the journal that tell how it came to one that nobody expected."""


class Failure(NamedTuple):
    """Work of a client that went wrong: when it began and ended (seconds since the epoch), and how."""

    began: float
    ended: float
    what: str


class Load:
    """Clients that ask, push and pull without a pause while the block runs (load.py)."""

    def __init__(self, registry: Registry) -> None:
        registry.machine.copy_in(HERE / "load.py", "/root/load.py")
        self.argv = registry.machine.command("python3", "-u", "/root/load.py")
        self.password = registry.password
        self.process: subprocess.Popen[str] | None = None
        self.requests = self.again = 0
        self.seen: dict[str, list[str]] = {}
        self.failures: list[Failure] = []

    def __enter__(self) -> Load:
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{self.password}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "asking"
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        said = self.process.communicate("", timeout=60)[0].splitlines()  # the end of its input is the sign to stop
        counted = json.loads(said[-1])
        self.requests, self.again, self.seen = counted["requests"], counted["again"], counted["seen"]
        self.failures = [Failure(*json.loads(line)) for line in said[:-1]]


def how_it_is(machine: Machine) -> str:
    """What status says on a host, what systemd is about to do, and the end of its journal."""
    said = "secure-registry status; systemctl list-jobs; journalctl --no-hostname --output=short-precise --lines=60"
    return machine.run("sh", "-c", said, check=False).stdout
