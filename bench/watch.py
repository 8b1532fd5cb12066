"""The watchdog on a booted host, beside a bare `.path` unit that runs `nginx -t` and reload: from a save to the new
certificate; what it holds in memory; how often it wakes when nothing happens.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import saves, usage
from tests.hosts.machine import Machine

SAVES = 100
IN_TURN = 20
OLD = "version 0.1"
"""What figures of another host, with that version, are called."""

IDLE_SECONDS = 60
"""Two of the watchdog's periodic checks."""

SETTLED_SECONDS = 5
LOOK_SECONDS = 0.2

NGINX = """user www-data;
worker_processes auto;
pid /run/bare.pid;
events {}
http {
    access_log off;
    server {
        listen 8443 ssl;
        ssl_certificate /etc/bare/docker-registry.crt;
        ssl_certificate_key /etc/bare/docker-registry.key;
    }
}
"""
UNITS = {
    "bare.service": """[Service]
Type=forking
PIDFile=/run/bare.pid
ExecStart=/usr/sbin/nginx -c /etc/bare/nginx.conf
ExecReload=/usr/sbin/nginx -c /etc/bare/nginx.conf -s reload
""",
    "bare.path": """[Path]
PathChanged=/etc/bare/docker-registry.crt
Unit=bare-reload.service
""",
    "bare-reload.service": """[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
ExecStart=/usr/sbin/nginx -t -c /etc/bare/nginx.conf
ExecStart=/usr/bin/systemctl reload bare.service
""",
}
FLOOR = """import os, socket, time
import pydbus, watchdog.observers
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
    link.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(600)
"""
"""A Python that has imported what the watchdog needs, and says when it has."""


def measure(golden: Machine, old: Machine, *, quick: bool = False) -> dict[str, Any]:
    """All figures of one release; saves on a host of version 0.1, too."""
    with Machine.boot(golden, "watch", docker=False) as machine:
        machine.run("systemctl", "start", "secure-registry")
        idle = _idle(machine, 3 if quick else IDLE_SECONDS)
        memory = _memory(machine)
        with Machine.boot(old, "old", docker=False) as before:
            before.run("systemctl", "start", "secure-registry")
            seconds = _saves(machine, before, 3 if quick else SAVES)
        return {"watchdog": memory | idle, "saves": seconds}


def main_pid(machine: Machine, unit: str) -> int:
    """A unit's process, as it is numbered out here."""
    inside = machine.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()[1:]
            same = (status.parent / "ns/pid").readlink() == Path(f"/proc/{machine.leader}/ns/pid").readlink()
        except OSError:
            continue
        if same and numbers[-1] == inside:
            return int(numbers[0])
    raise RuntimeError(f"{unit} has no process")


def _memory(machine: Machine) -> dict[str, float]:
    """MB of the watchdog, of a Python that has imported the same libraries and does nothing, and of what is ready for
    an apply."""
    machine.run("systemd-run", "--quiet", "--unit=floor", "--service-type=notify", "--property=NotifyAccess=all",
                "/usr/bin/python3", "-IB", "-c", FLOOR)  # fmt: skip
    found = {
        "resident": usage.resident(main_pid(machine, "secure-registry-watchdog.service")) / 1e6,
        "ready": usage.resident(main_pid(machine, "secure-registry-apply.service")) / 1e6,
        "floor": usage.resident(main_pid(machine, "floor.service")) / 1e6,
    }
    machine.run("systemctl", "stop", "floor.service")
    return found


def _idle(machine: Machine, seconds: float) -> dict[str, float]:
    """How often a minute any thread of the watchdog wakes while nothing changes: moments, not context switches."""
    pid = main_pid(machine, "secure-registry-watchdog.service")
    time.sleep(min(seconds, SETTLED_SECONDS))
    end = time.monotonic() + seconds
    moments, before, awake = 0, usage.wakeups(pid), False
    while time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        now = usage.wakeups(pid)
        moments += now != before and not awake
        before, awake = now, now != before
    return {"wakeups": moments * 60 / seconds}


def _saves(machine: Machine, old: Machine, count: int) -> dict[str, list[float]]:
    """Seconds from a save to the first connection that gets the new certificate: of ours and the bare unit on one host,
    of version 0.1 on another, some saves on each in turns."""
    for name, text in UNITS.items():
        machine.write(f"/etc/systemd/system/{name}", text)
    machine.write("/etc/bare/nginx.conf", NGINX)
    _saving(machine, "pairs", *saves.ETC)
    _saving(old, "pairs", saves.OURS)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "bare.service", "bare.path")
    found: dict[str, list[float]] = {saves.OURS: [], saves.BARE: [], OLD: []}
    for _ in range(-(-count // IN_TURN)):
        for name, seconds in json.loads(_saving(machine, str(min(count, IN_TURN)), *saves.ETC)).items():
            found[name] += seconds
        [seconds] = json.loads(_saving(old, str(min(count, IN_TURN)), saves.OURS)).values()
        found[OLD] += seconds
    return found


def _saving(machine: Machine, what: str, *services: str) -> str:
    """What saves.py prints, in the network of a host."""
    argv = ["nsenter", "-t", str(machine.leader), "-n", sys.executable, "-m", "bench.saves", str(machine.root), what]
    argv += services
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout
