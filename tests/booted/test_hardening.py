"""A process that is taken over: what can whoever did that do, as this user, in this sandbox?

The attacker is a shell in a copy of the unit: the same file, but for what it starts, so systemd builds the same walls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.booted.registry import ETC, Registry
from tests.hosts.machine import Machine

LIB = "/var/lib/secure-registry"
LIMITS = {
    "secure-registry-nginx.service": 1.7,
    "secure-registry-auth.service": 1.7,
    "secure-registry-registry@a.service": 1.7,
    "secure-registry-queue.service": 1.7,
    "secure-registry-manifests.service": 1.7,
    "secure-registry-watchdog.service": 1.7,
    "secure-registry-reload.service": 1.7,
    # root that asks systemd and connects to sockets of three users
    "secure-registry-observer.service": 3.2,
    # root that reads what the front's user writes
    "secure-registry-audit.service": 3.2,
    # root for a moment, which mounts: walls that are mount namespaces would keep the mount from others
    "secure-registry-images@a.service": 3.8,
    # root with nine capabilities, for reasons that stand in the units
    "secure-registry.service": 3.2,
    "secure-registry-apply.service": 3.2,
    # root that becomes the registry's user, wherever images are
    "secure-registry-gc.service": 3.2,
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
        link) ln -s /proc/self/fd/0 "$path/attack" 2>/dev/null && rm "$path/attack" ;;
        hard) { touch "$path/1" && ln "$path/1" "$path/2"; made=$?; rm -f "$path"/[12]; [ $made = 0 ]; } 2>/dev/null ;;
        pipe) mkfifo "$path/attack" 2>/dev/null && rm "$path/attack" ;;
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
        machine.run("runuser", "-u", "secure-registry", "--", "mkdir", "-p", f"{LIB}/storage/docker")
        found = Registry(machine)
        assert found.component("manifests")["condition"] == "ok"  # a look starts it
        yield found
        assert found.unexpected() == []


OWN_SECRETS = ("docker-registry.key", ".htpasswd", ".password")


def secrets(registry: Registry) -> list[str]:
    """Every file that only some may read: root's, and those of each process."""

    def find(*argv: str) -> set[str]:
        return set(registry.machine.run("find", *argv).stdout.split())

    found = find(f"{LIB}/state", f"{LIB}/generations", "-type", "f") | {f"{ETC}/{name}" for name in OWN_SECRETS}
    assert find(*found, "-type", "f", "-perm", "/007", "-not", "-path", f"{LIB}/state/*") == set(), "open to everybody"
    assert find(f"{LIB}/state", "-maxdepth", "0", "-perm", "700", "-user", "root") == {f"{LIB}/state"}
    assert {f"{LIB}/state/ca.key", f"{LIB}/state/http.secret"} <= found
    generations = find(f"{LIB}/generations", "-mindepth", "1", "-maxdepth", "1")
    assert generations and {f"{path}/front/docker-registry.key" for path in generations} <= found
    return sorted(found)


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


@pytest.mark.promise("exposure-levels")
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


@pytest.mark.promise("who-runs-as-whom")
def test_nobody_runs_as_root_who_need_not(registry: Registry) -> None:
    listed = registry.machine.run("ps", "-eo", "user:32,cgroup:200,args").stdout.splitlines()
    users = {
        found[1]: line.split()[0]
        for line in listed
        if (found := re.search(r"/secure-registry-([a-z]+)(?:@\w)?\.service", line)) and "setpriv" not in line
    }
    users["observer"] = "root"  # or whom it is just running a program as
    assert users == {
        "nginx": "secure-registry-nginx",
        "auth": "secure-registry-auth",
        "queue": "secure-registry-auth",
        "registry": "secure-registry",
        "manifests": "secure-registry",
        "watchdog": "root",  # without a capability
        "apply": "root",
        "observer": "root",
        "audit": "root",
    }


def test_a_shell_of_root_can_do_what_is_tried(registry: Registry) -> None:
    """The proof that the attempts below mean something."""
    machine = registry.machine
    wanted = [f"read {path}" for path in secrets(registry)]
    wanted += [
        *RISE,
        "socket /run/secure-registry/auth/auth.sock",
        f"create {LIB}/storage",
        *(f"{verb} {LIB}/storage" for verb in ("list", *PLANTS)),
        "create /usr",
        "connect https://localhost/",
    ]
    machine.write("/attack/script", ATTACK)
    done = machine.run("sh", "/attack/script", input="\n".join(wanted) + "\n").stdout.splitlines()
    machine.run("umount", "/mnt")
    assert set(wanted) - set(done) == set()


PLANTS = ("link", "hard", "pipe")
"""What the registry's process never makes in its storage."""

OWN = {"nginx": "front", "auth": "auth", "queue": "none", "manifests": "none", "registry@a": "registry"}
"""The part of a generation that each reads; the queue and the manifest service read none."""

CHECKS = {"auth", "queue"}
"""Both are handed the same passwords, and are the same user."""

WRITERS = {"registry@a", "manifests"}
"""Both write the images, and are the same user."""

WRITABLE = {
    "nginx": {"create /var/log/secure-registry", "create /run/secure-registry/front"},
    "auth": {"create /run/secure-registry/auth"},
    "queue": set(),
    "manifests": {f"create {LIB}/storage", f"list {LIB}/storage", f"hard {LIB}/storage"},
    "registry@a": {f"create {LIB}/storage", f"list {LIB}/storage", "create /run/secure-registry/registry-a"},
}


@pytest.mark.promise("planted-files", "remembered-passwords", "walls")
@pytest.mark.parametrize("name", sorted(OWN))
def test_a_process_that_is_taken_over_gets_nothing_of_the_others(registry: Registry, name: str) -> None:
    registry.edit("docker-registry.yml", "level: warn", "level: error")
    registry.edit("docker-registry.yml", "level: error", "level: warn")
    every = secrets(registry)
    own = {path for path in every if re.search(rf"/generations/\w+/{OWN[name]}/", path)}
    assert own or OWN[name] == "none", "it reads its own configuration"
    others = [other for other in OWN if other != name and {other, name} not in (CHECKS, WRITERS)]
    places = (ETC, LIB, f"{LIB}/state", f"{LIB}/generations", f"{LIB}/storage", "/usr", "/etc", "/var/log")
    runs = [f"/run/secure-registry/{part}" for part in ("", "front", "auth", "registry-a")]
    targets = [
        *(f"read {path}" for path in every),
        *(f"write {path}" for path in every),
        *(f"create {path}" for path in (*places, *runs, "/var/log/secure-registry", "/tmp")),
        f"list {LIB}/generations",
        f"list {LIB}/storage",
        "list /run/secure-registry-images/new",
        "create /run/secure-registry-images/a",
        "list /run/secure-registry/front/auth-cache",
        *(f"{verb} {LIB}/storage" for verb in PLANTS),
        *(f"read /proc/{registry.pid(f'secure-registry-{other}')}/environ" for other in others),
        "read /proc/1/environ",
        "list /root",
        "connect https://localhost/",
        *RISE,
    ]
    done = attack(registry, name, targets)
    allowed = {f"read {path}" for path in own} | WRITABLE[name] | {"create /tmp"}
    assert allowed <= done, "the attack runs, and what the process needs is there"
    if name not in (*CHECKS, "manifests"):
        done.discard("connect https://localhost/")  # both talk to the network
    assert done - allowed == set()


@pytest.mark.promise("secrets")
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
    assert said in ("", "read /run/secure-registry/look.json\n"), "status is for everybody, and nothing else"


def test_limits_are_set(registry: Registry) -> None:
    for unit in LIMITS:
        shown = registry.machine.run("systemctl", "show", "-p", "MemoryMax", "-p", "TasksMax", unit).stdout
        limits = dict(line.split("=", 1) for line in shown.splitlines())
        assert limits["MemoryMax"] != "infinity" and limits["TasksMax"] != "infinity", unit


@pytest.mark.promise("planted-files")
def test_what_is_planted_in_the_storage_is_not_sent_and_holds_nobody_up(registry: Registry) -> None:
    """Links, pipes and endless files in place of blobs, manifests and tags, by whoever took over the registry."""
    machine, script = registry.machine, "/attack/plants.py"
    registry.breaks("registry")
    machine.copy_in(Path(__file__).with_name("plants.py"), script)
    registry.systemctl("kill", "--signal=STOP", "secure-registry-registry@*")
    try:
        said = machine.run("python3", script, input=registry.password).stdout
        workers = machine.run("pgrep", "--uid", "secure-registry-nginx").stdout.split()
        peaks = machine.run("grep", "-h", "VmHWM", *(f"/proc/{pid}/status" for pid in workers)).stdout
    finally:
        registry.systemctl("kill", "--signal=CONT", "secure-registry-registry@*")
        machine.run("rm", "-r", f"{LIB}/storage/docker", "/srv/outside")
        # it would wait for the pipes that it was asked for until it is told to end, and then for an hour
        registry.systemctl("kill", "--signal=KILL", "secure-registry-registry@*")
    found = {name: tuple(answer) for name, answer in json.loads(said).items()}
    assert len(found) > 90
    wrong = {name: at for name, at in found.items() if at != ((200, False) if name.startswith("good") else (0, False))}
    assert wrong == {}
    assert all(int(line.split()[1]) < 300_000 for line in peaks.splitlines()), "a huge file is not read"
    machine.wait_for("the registry", lambda: registry.status_of("/v2/", user="docker") == "200")
    registry.expected += [r"\[(error|crit)\] ", r"registry@\w.service: (Main process exited|Failed with result)"]


def test_a_full_run_directory_takes_no_login(registry: Registry) -> None:
    """A right password that is not remembered: where it is to be, there is room, whoever filled the rest."""
    machine = registry.machine
    registry.command("htpasswd", "-i", "alice", input="wonder\n")
    size = machine.run("findmnt", "--noheadings", "--output", "SIZE", "--bytes", "/run").stdout.strip()
    machine.run("mount", "-o", "remount,size=16M", "/run")
    try:
        machine.run("sh", "-c", "cat /dev/zero > /run/filled || true")
        assert registry.status_of("/v2/", user="alice:wonder") == "200"
    finally:
        machine.run("rm", "/run/filled")
        machine.run("mount", "-o", f"remount,size={size}", "/run")
        registry.command("htpasswd", "-D", "alice")
    registry.expected += ["No space left on device"]


def test_what_is_planted_in_run_directories_holds_up_nothing_of_roots(registry: Registry) -> None:
    """By whoever took over nginx: its pid file is a pipe, or names another process."""
    machine, file = registry.machine, "/run/secure-registry/front/nginx.pid"
    master = machine.read(file)
    as_nginx = ["runuser", "-u", "secure-registry-nginx", "--", "sh", "-c"]
    victim = machine.run("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!").stdout.strip()
    try:
        for turn, plant in enumerate((f"rm {file}; mkfifo {file}", f"rm {file}; echo {victim} > {file}")):
            machine.run(*as_nginx, plant)
            conf = machine.read(f"{ETC}/nginx.conf")
            registry.put("nginx.conf", f"{conf}# edited {turn}\n")
            done = machine.run("timeout", "60", "secure-registry", "reload", check=False)
            assert done.returncode == 0, done
        assert machine.exists(f"/proc/{victim}")
    finally:
        machine.run(*as_nginx, f"rm {file}; echo {master.strip()} > {file}")
        machine.run("kill", victim)
