"""What `status` says when something is not as it should be: each time which component, and a remedy that helps.

Seen: "serves", exit code 0, for each of these.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from tests.booted.chaos import SETTLED
from tests.booted.registry import ETC, Registry, how_it_is
from tests.hosts.commands import CommandFailed
from tests.hosts.machine import Machine

STORE = "/var/lib/secure-registry/storage"
UNIT = "secure-registry-{}.service"
FILTER = "/run/systemd/system/secure-registry-watchdog.service.d"
NO_INSTANCE = (
    f"mkdir -p {FILTER}; printf '[Service]\\nSystemCallFilter=~inotify_init1:EMFILE inotify_init:EMFILE\\n' > "
    f"{FILTER}/limit.conf; systemctl daemon-reload; systemctl restart secure-registry-watchdog"
)
TYPED = ""
"""What helps is the remedy itself, as it is typed."""

CASES = {
    "front stopped": ("systemctl stop {nginx}", "front", "down", TYPED),
    "front hangs": ("systemctl kill -s STOP {nginx}", "front", "down", TYPED),
    "password check stopped": ("systemctl stop {auth}", "passwords", "down", TYPED),
    "password check hangs": ("systemctl kill -s STOP {auth}", "passwords", "down", TYPED),
    "queue hangs": ("systemctl kill -s STOP {queue}", "passwords", "down", TYPED),
    "queue stopped": ("systemctl stop secure-registry-queue.socket {queue}", "passwords", "warning", TYPED),
    "manifest service stopped": ("systemctl stop {manifests_socket} {manifests}", "manifests", "down", TYPED),
    "manifest service hangs": ("systemctl kill -s STOP {manifests}", "manifests", "down", TYPED),
    "registry stopped": ("systemctl stop {registry}", "registry", "down", TYPED),
    "registry hangs": ("systemctl kill -s STOP {registry}", "registry", "down", TYPED),
    "watchdog stopped": ("systemctl stop {watchdog}", "watchdog", "down", TYPED),
    "watchdog hangs": ("systemctl kill -s STOP {watchdog}", "watchdog", "down", TYPED),
    "no instance of inotify": (
        NO_INSTANCE,
        "watchdog",
        "warning",
        f"rm -r {FILTER}; systemctl daemon-reload; systemctl restart secure-registry-watchdog",
    ),
    "store of root's": (f"chown root: {STORE}", "store", "down", f"chown secure-registry: {STORE}"),
    "store unreadable": (f"chmod 000 {STORE}", "store", "down", f"chmod 750 {STORE}"),
    "store read-only": (f"mount -o remount,ro {STORE}", "store", "down", TYPED),
    "disk full": (f"head -c 99M /dev/zero > {STORE}/fill 2>/dev/null || true", "store", "down", f"rm {STORE}/fill"),
    "disk not mounted": (f"umount -l {STORE}", "store", "down", "mount --bind /mnt " + STORE),
}


@pytest.fixture
def on_a_disk(installed_host: Machine) -> Registry:
    """A host whose images are on a small disk of their own, mounted at /mnt, too."""
    prepare = f"mount -t tmpfs -o size=20m,mode=750 images /mnt; mkdir -p {STORE}; mount --bind /mnt {STORE}"
    installed_host.run("sh", "-ec", f"{prepare}; chown secure-registry: {STORE}")
    installed_host.run("systemctl", "enable", "--now", "secure-registry")
    return Registry(installed_host)


@pytest.mark.promise("status-asks")
@pytest.mark.one_release(0)
def test_each_is_named_with_what_helps(on_a_disk: Registry) -> None:
    registry, machine = on_a_disk, on_a_disk.machine
    listed = machine.run("systemctl", "list-units", "--plain", "--no-legend", "secure-registry-registry@*").stdout
    units = {name: UNIT.format(name) for name in ("nginx", "auth", "queue", "manifests", "watchdog")} | {
        "registry": listed.split()[0],
        "manifests_socket": "secure-registry-manifests.socket",
    }
    seen: dict[str, Any] = {}

    def noticed(component: str) -> bool:
        done = registry.command("status", "--json")
        found = json.loads(done.stdout)["components"]
        seen.update(next(one for one in found if one["component"] == component), code=done.returncode)
        return bool(seen["condition"] != "ok")

    def well() -> bool:
        """No apply is on its way either, which would bring back what is stopped."""
        settled = machine.run("python3", "-c", SETTLED, check=False).returncode == 0
        idle = machine.run("flock", "--shared", "--nonblock", "/run/secure-registry/lock", "true", check=False)
        return settled and idle.returncode == registry.command("status").returncode == 0

    machine.wait_for("it is well", well)
    wrong = []
    for name, (fault, component, condition, helps) in CASES.items():
        machine.run("sh", "-ec", fault.format(**units))
        try:
            machine.wait_for(name, partial(noticed, component))
            assert (seen["condition"], seen["code"]) == (condition, 3 if condition == "down" else 0)
            machine.run("sh", "-ec", helps or seen["remedy"].partition(";")[0])
            machine.wait_for("it is well", well, 90)  # what is tried again may have to wait
        except (AssertionError, CommandFailed) as error:
            wrong.append(f"{name}: {error}: {seen}\nand now:\n{how_it_is(machine)}")
            machine.run("sh", "-c", "systemctl kill -s CONT 'secure-registry-*'; secure-registry reload", check=False)
    assert wrong == [], "\n".join(wrong)
    assert registry.command("status", "--check").returncode == 0


SQUAT = "import socket, time; s = socket.create_server(('', 8500)); time.sleep(1000)"
ADDRESS = "192.0.2.77"
OTHERS = {
    "a port that another process has": (
        f'systemd-run --unit=squatter python3 -c "{SQUAT}"; sleep 1',
        "echo PORT=8500 >> $E/secure-registry.conf",
        "port 8500 (*:8500) is used by",
        "systemctl stop squatter",
    ),
    "an address that the host does not have yet": (
        "true",
        f"sed -i 's/listen 8500 ssl;/&\\n        listen {ADDRESS}:8444 ssl;/' $E/nginx.conf",
        ADDRESS,
        f"ip addr add {ADDRESS}/24 dev eth0",
    ),
    "a program that is missing": (
        "true",
        "echo REGISTRY_BINARY=/opt/later/registry >> $E/secure-registry.conf",
        "program not found",
        "mkdir /opt/later; cp /usr/bin/docker-registry /opt/later/registry",
    ),
    "a host name that nobody knows": (
        "true",
        "sed -i 's/listen 8500 ssl;/&\\n        location \\/x { proxy_pass http:\\/\\/later.example; }/' $E/nginx.conf",
        "getent hosts NAME",
        "echo 127.0.0.9 later.example >> /etc/hosts",
    ),
}


@pytest.mark.promise("others-in-the-way")
def test_what_others_held_back_serves_by_itself(installed_host: Machine) -> None:
    """Seen: the process that had the port was dead, status named it for ever, and only a reload cured it."""
    registry = Registry(installed_host)
    installed_host.run("systemctl", "enable", "--now", "secure-registry")

    def status() -> tuple[int, str]:
        done = registry.command("status")
        return done.returncode, done.stdout

    def says(said: str) -> bool:
        return said in status()[1]

    for what, (before, edit, said, over) in OTHERS.items():
        installed_host.run("sh", "-ec", before)
        installed_host.run("sh", "-ec", edit.replace("$E", ETC))
        installed_host.wait_for(f"{what} is told", partial(says, said))
        code, text = status()
        assert code == 3 and "rejected" in text and "next try" in text, text
        installed_host.run("sh", "-ec", over)
        installed_host.wait_for(f"{what} is over", lambda: status()[0] == 0, 70)
        assert "rejected" not in status()[1] and registry.command("status", "--check").returncode == 0
    listening = installed_host.run("ss", "-Hltn").stdout
    assert ":8500 " in listening and f"{ADDRESS}:8444 " in listening
