"""A process that is taken over: what can whoever did that do, as this user, in this sandbox?

The attacker is a shell in a copy of the unit: the same file, but for what it starts, so systemd builds the same walls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.booted.registry import ETC, Registry
from tests.hosts.machine import Machine

LIB = "/var/lib/secure-registry"
LIMITS = {
    "secure-registry-nginx.service": 1.7,
    "secure-registry-auth.service": 1.7,
    "secure-registry-registry@a.service": 1.7,
    "secure-registry-watchdog.service": 1.7,
    "secure-registry-reload.service": 1.7,
    # root with nine capabilities, for reasons that stand in the units
    "secure-registry.service": 3.2,
    "secure-registry-apply.service": 3.2,
}
"""What `systemd-analyze security` may say at most of each unit."""

ATTACK = """\
# reads its targets from stdin: what it can do, it says
while read -r verb path; do
    case $verb in
        read) head -c 1 "$path" >/dev/null 2>&1 ;;
        list) ls "$path"/* >/dev/null 2>&1 ;;
        write) (: >> "$path") 2>/dev/null ;;
        socket) curl --silent --max-time 3 --output /dev/null --unix-socket "$path" http://localhost/ ;;
        create) touch "$path/attack" 2>/dev/null && rm "$path/attack" ;;
        connect) curl --silent --insecure --max-time 3 --output /dev/null "$path" ;;
        run) sh -c "$path" >/dev/null 2>&1 ;;
    esac && echo "$verb $path"
done
exit 0
"""
RISE = (
    "run unshare --user --map-root-user true",
    "run mount -t tmpfs none /mnt",
    "run mknod /tmp/null c 1 3",
    "run cp /bin/sh /tmp/sh && chmod u+s /tmp/sh && test -u /tmp/sh",
    "run dmesg",
)
"""Ways to more rights; a root shell can do each."""


@pytest.fixture(scope="module")
def registry(installed_base: Machine) -> Iterator[Registry]:
    """One host for all: nothing here changes it."""
    with Machine.boot(installed_base, "host", docker=False) as machine:
        machine.run("systemctl", "start", "secure-registry")
        machine.wait_unit("secure-registry-watchdog.service")
        found = Registry(machine)
        yield found
        assert found.unexpected() == []


def secrets(registry: Registry) -> list[str]:
    """Every file that only some may read: root's, and those of each process."""
    found = registry.machine.run(
        "find", ETC, f"{LIB}/state", f"{LIB}/generations", "-type", "f", "-not", "-perm", "-004"
    ).stdout.split()
    assert {f"{LIB}/state/ca.key", f"{LIB}/state/http.secret", f"{ETC}/.password"} <= set(found)
    return found


def attack(registry: Registry, name: str, targets: list[str]) -> set[str]:
    """What a shell in the place of the process `name` can do of `targets` (lines of ATTACK)."""
    unit = f"secure-registry-{name}.service"
    text = registry.machine.run("systemctl", "cat", unit).stdout
    instance = name.partition("@")[2]
    text = re.sub(r"(?m)^(ExecReload|PIDFile|Restart|RestartSec|Condition\w+|PartOf|Before|Type)=.*\n", "", text)
    text = text.replace("%i", instance)
    start = "ExecStart=/bin/sh /attack/script\nStandardInput=file:/attack/targets\nStandardOutput=file:/attack/done"
    text, count = re.subn(
        r"(?m)^ExecStart=.*$", f"{start}\nType=oneshot\nRuntimeDirectoryPreserve=yes\nRemainAfterExit=no", text
    )
    assert count == 1
    machine = registry.machine
    machine.write("/attack/script", ATTACK)
    machine.write("/attack/targets", "\n".join(targets) + "\n")
    machine.write("/attack/done", "")
    machine.write("/run/systemd/system/attack.service", text)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "attack")
    return set(machine.read("/attack/done").splitlines())


def test_each_unit_is_as_closed_as_it_can_be(registry: Registry) -> None:
    exposed = {}
    for unit in LIMITS:
        said = registry.machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
        found = re.search(r"exposure level for \S+: ([\d.]+)", said)
        assert found is not None, said
        exposed[unit] = float(found[1])
    print(exposed)
    assert {unit: score for unit, score in exposed.items() if score > LIMITS[unit]} == {}
    shipped = registry.machine.run("sh", "-c", "ls /usr/lib/systemd/system/secure-registry*.service").stdout.split()
    rendered = registry.machine.run("sh", "-c", "ls /etc/systemd/system/secure-registry-*.service").stdout.split()
    known = {unit.replace("@a", "@") for unit in LIMITS}
    assert {path.rpartition("/")[2] for path in (*shipped, *rendered)} == known


def test_nobody_runs_as_root_who_need_not(registry: Registry) -> None:
    listed = registry.machine.run("ps", "-eo", "user:32,cgroup:200,args").stdout.splitlines()
    users = {
        found[1]: line.split()[0]
        for line in listed
        if (found := re.search(r"/secure-registry-([a-z]+)(?:@\w)?\.service", line))
    }
    assert users == {
        "nginx": "secure-registry-nginx",
        "auth": "secure-registry-auth",
        "registry": "secure-registry",
        "watchdog": "root",  # without a capability
        "apply": "root",
    }


def test_a_shell_of_root_can_do_what_is_tried(registry: Registry) -> None:
    """The proof that the attempts below mean something."""
    machine = registry.machine
    wanted = [f"read {path}" for path in secrets(registry)]
    wanted += [
        *RISE,
        "socket /run/secure-registry/auth/auth.sock",
        f"create {LIB}/storage",
        "create /usr",
        "connect https://localhost/",
    ]
    machine.write("/attack/script", ATTACK)
    done = machine.run("sh", "/attack/script", input="\n".join(wanted) + "\n").stdout.splitlines()
    machine.run("umount", "/mnt")
    assert set(wanted) - set(done) == set()


OWN = {"nginx": "front", "auth": "auth", "registry@a": "registry"}
WRITABLE = {
    "nginx": {"create /var/log/secure-registry", "create /run/secure-registry/front"},
    "auth": {"create /run/secure-registry/auth"},
    "registry@a": {f"create {LIB}/storage", "create /run/secure-registry/registry-a"},
}


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_process_that_is_taken_over_gets_nothing_of_the_others(registry: Registry, name: str) -> None:
    registry.edit("docker-registry.yml", "level: warn", "level: error")
    registry.edit("docker-registry.yml", "level: error", "level: warn")
    every = secrets(registry)
    own = {path for path in every if re.search(rf"/generations/\w+/{OWN[name]}/", path)}
    assert own, "it reads its own configuration"
    places = (ETC, LIB, f"{LIB}/state", f"{LIB}/generations", f"{LIB}/storage", "/usr", "/etc", "/var/log")
    runs = [f"/run/secure-registry/{part}" for part in ("", "front", "auth", "registry-a")]
    targets = [
        *(f"read {path}" for path in every),
        *(f"write {path}" for path in every),
        *(f"create {path}" for path in (*places, *runs, "/var/log/secure-registry", "/tmp")),
        f"list {LIB}/generations",
        *(f"read /proc/{registry.pid(f'secure-registry-{other}')}/environ" for other in OWN if other != name),
        "read /proc/1/environ",
        "list /root",
        "connect https://localhost/",
        *RISE,
    ]
    done = attack(registry, name, targets)
    allowed = {f"read {path}" for path in own} | WRITABLE[name] | {"create /tmp"}
    assert allowed <= done, "the attack runs, and what the process needs is there"
    if name != "auth":
        done.discard("connect https://localhost/")  # both talk to the network
    assert done - allowed == set()


def test_nobody_else_reads_a_secret(registry: Registry) -> None:
    """A user of the host, outside of every sandbox."""
    machine = registry.machine
    machine.run("useradd", "--create-home", "guest")
    targets = [f"read {path}" for path in secrets(registry)]
    places = ("/run/secure-registry", "/var/log/secure-registry", f"{LIB}/storage", f"{LIB}/generations")
    found = machine.run("find", *places, "-type", "f", "-o", "-type", "s").stdout.split()
    assert any(path.endswith("registry.sock") for path in found)
    targets += [f"read {path}" for path in found] + [f"socket {path}" for path in found if path.endswith(".sock")]
    targets += [f"list {LIB}/generations"]
    machine.write("/attack/script", ATTACK)
    said = machine.run("runuser", "-u", "guest", "--", "sh", "/attack/script", input="\n".join([*targets, ""])).stdout
    assert said == ""


def test_limits_are_set(registry: Registry) -> None:
    for unit in LIMITS:
        shown = registry.machine.run("systemctl", "show", "-p", "MemoryMax", "-p", "TasksMax", unit).stdout
        limits = dict(line.split("=", 1) for line in shown.splitlines())
        assert limits["MemoryMax"] != "infinity" and limits["TasksMax"] != "infinity", unit
