"""Chaos: random edits under load, processes killed. No request fails, every good edit serves, no bad one ever does,
a removed user is out at once, nothing leaks. `make chaos` does more of it."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter

import pytest

from tests.booted.chaos import Chaos
from tests.booted.registry import ETC, KILL_APPLY, Failure, Load, Registry
from tests.booted.trouble import EVERY, SMALL, Trouble
from tests.hosts.commands import NotInTime

EDITS = int(os.environ.get("SECREG_CHAOS_EDITS", "24"))
LONG = 100
"""From so many edits on, a second is the limit for a removed user, too, and every release is tried."""

pytestmark = [pytest.mark.one_release(0)] if EDITS < LONG else []
"""The short run is done on one release."""

SEED = int(os.environ.get("SECREG_CHAOS_SEED", "1"))
FILES = ("nginx.conf", "docker-registry.yml", ".htpasswd", "secure-registry.conf", "openssl.cnf")
FRONT = "secure-registry-nginx"
SERVING = {
    "nginx's master": f"systemctl kill -s KILL --kill-whom=main {FRONT}",
    "one of nginx's workers": f"pkill -o -KILL -P $(systemctl show -p MainPID --value {FRONT})",
    "nginx, all of it": f"systemctl kill -s KILL --kill-whom=all {FRONT}",
    "the password check": "systemctl kill -s KILL --kill-whom=all secure-registry-auth",
    "the queue": "systemctl kill -s KILL --kill-whom=all secure-registry-queue",
    "the manifest service": "systemctl kill -s KILL --kill-whom=all secure-registry-manifests",
    "the registry": "pkill -KILL -f '[d]ocker-registry serve'",
}
APPLY = f"for i in $(seq 400); do {KILL_APPLY} && break; sleep 0.01; done"
OTHERS = {
    "the watchdog": "systemctl kill -s KILL --kill-whom=main secure-registry-watchdog",
    "what is ready for an apply": "systemctl kill -s KILL --kill-whom=main secure-registry-apply",
    "an apply as it begins": f"echo '#' >> {ETC}/nginx.conf; {APPLY}",
    "an apply": f"echo '#' >> {ETC}/docker-registry.yml; sleep 0.$(($(date +%N | cut -c1) % 7 + 2)); {APPLY}",
}
VICTIMS = SERVING | OTHERS


def pairs(registry: Registry, count: int) -> tuple[list[str], dict[str, str]]:
    """Certificates of the host's own CA with their keys, and the SHA-256 of each."""
    found, prints = [], {}
    for number in range(count):
        folder = f"/root/pair-{number}"
        registry.machine.run("secure-registry", "gencert")
        registry.machine.run("sh", "-c", f"mkdir -p {folder}; cp -p {ETC}/docker-registry.[ck]* {folder}")
        prints[folder] = registry.fingerprint().partition("=")[2].strip().replace(":", "").lower()
        found.append(folder)
    assert len(set(prints.values())) == count
    return found, prints


def resources(registry: Registry) -> Counter[str]:
    """The host's processes, those of each unit, and open files of those that live long."""
    script = (
        "for unit in nginx auth registry@a registry@b registry@c registry@d watchdog apply; do "
        "unit=secure-registry-$unit.service; "
        "for pid in $(cat /sys/fs/cgroup/system.slice/$unit/cgroup.procs "
        "/sys/fs/cgroup/system.slice/system-*/$unit/cgroup.procs 2>/dev/null); do "
        "echo ${unit%@*} processes; for fd in /proc/$pid/fd/*; do "
        "case $(readlink $fd) in *anon_inode*|pipe*) echo ${unit%@*} descriptors;; esac; done; done; done; "
        "ps -eo comm= | grep -E 'nginx|registry|secure|setpriv|journalctl'"
    )
    return Counter(registry.machine.run("sh", "-c", script).stdout.splitlines())


def kill(registry: Registry, chaos: Chaos, victim: str) -> tuple[float, float]:
    """Kill it as the kernel would; returns from when until when (seconds since the epoch) its clients may notice."""
    began = time.time()
    registry.machine.run("sh", "-c", VICTIMS[victim], check=False)
    chaos.until(f"{victim}, back", lambda: registry.status_of("/v2/_catalog", user=chaos.login) == "200")
    ended = time.time()
    chaos.settle()
    return (began, ended) if victim in SERVING else (began, began)


def show(registry: Registry) -> None:
    """The end of the journal, for whoever looks for the cause."""
    for entry in registry.machine.journal()[-60:]:
        print(f"{float(entry['__REALTIME_TIMESTAMP']) / 1e6:.3f} {entry.get('_SYSTEMD_UNIT', '')}: {entry['MESSAGE']}")
    print(registry.machine.run("sh", "-c", f"date +%s.%N; ls -la --time-style=full-iso {ETC}/", check=False).stdout)


def excused(failure: Failure, killed: list[tuple[float, float]], lockouts: list[tuple[float, float]]) -> bool:
    """Whether a process was killed meanwhile (its own open connections are lost with it), or all were restarted, or
    .htpasswd was not whole."""

    def within(windows: list[tuple[float, float]]) -> bool:
        return any(failure.began <= until and failure.ended >= since for since, until in windows if since < until)

    return within(killed) or ("HTTP 401" in failure.what and within(lockouts))


@pytest.mark.promise(
    "bad-edits-take-nothing-down", "crashes", "edits-are-live", "no-connection-is-dropped", "removed-user-is-out"
)
def test_random_edits_under_load(watched: Registry) -> None:
    seed = random.Random(SEED)
    machine = watched.machine
    watched.expected.append(".")  # what is rejected or killed is told in the journal, as it should be
    watched.breaks()
    machine.run("sh", "-ec", SMALL)
    chaos = Chaos(watched, seed, *pairs(watched, 3), {name: machine.read(f"{ETC}/{name}") for name in FILES})
    chaos.settle()
    trouble, before, killed, removed = Trouble(chaos), resources(watched), [], 0
    with Load(watched) as load:
        for number in range(1, EDITS + 1):
            began = time.time()
            try:
                done = (trouble if number % EVERY == 0 else chaos).step(number)
            except AssertionError:
                show(watched)
                raise
            out = "".join(f"; a guest is out after {seconds:.2f} s" for seconds in chaos.removals[removed:])
            if max(chaos.removals[removed:], default=0) >= 1.0:
                show(watched)
            removed = len(chaos.removals)
            print(f"seed {SEED}, edit {number} ({time.time() - began:.1f} s): {done}{out}", flush=True)
            if number % 6 == 0:
                victim = seed.choice(sorted(VICTIMS))
                try:
                    killed.append(kill(watched, chaos, victim))
                except NotInTime:
                    show(watched)
                    raise
                print(f"seed {SEED}, after edit {number} ({killed[-1][1] - killed[-1][0]:.1f} s): killed {victim}")
        chaos.mend()
        machine.wait_for("a good end", lambda: watched.command("status").returncode == 0)
    told = [failure for failure in load.failures if not excused(failure, killed + chaos.outages, chaos.lockouts)]
    print(
        f"{EDITS} edits, {len(killed)} kills, {load.requests} requests, {load.again} sent again on a new connection, "
        f"{len(load.failures) - len(told)} lost with a killed process or in a restart, or refused without .htpasswd; "
        f"removed users: {len(chaos.removals)}, the last one out after {max(chaos.removals, default=0):.2f} s"
    )
    assert told == []
    assert load.requests > EDITS
    for name, versions in load.seen.items():
        assert set(versions) <= chaos.good, f"{name}: {set(versions) - chaos.good} must never have been served"
    for subject in chaos.subjects:
        machine.wait_for(f"{subject.name} of edit {subject.version}", lambda subject=subject: chaos.serves(subject))  # type: ignore[misc]
    left = Counter[str]()

    def settled() -> bool:
        left.clear()
        left.update(resources(watched) - before)
        return not left

    with contextlib.suppress(NotInTime):
        machine.wait_for("an end of what was replaced", settled)
    assert left == {}
    assert EDITS < LONG or max(chaos.removals) < 1.0, chaos.removals
