"""What holds besides events: nothing is missed while an apply runs or after it was killed, no slow part of a change
holds up a removed user, and a watchdog whose events are lost looks by itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.booted.obstacles import FILL, GROW_RUN, SHRINK_RUN
from tests.booted.registry import ETC, HERE, KILL_APPLY, Registry
from tests.real.certmaker import Maker

UNIT = "secure-registry-watchdog"
RELOAD = "secure-registry-reload.service"
SECONDS = 15.0
"""Less than the look every 30 seconds that would hide what was missed."""

PROGRAM = "/usr/bin/docker-registry"
CURRENT = "/var/lib/secure-registry/current"
ALICE = "alice:secret-of-alice"
MOST_THREADS = 4
"""Of the watchdog: its own, and GLib's. One of 0.1 has 18, and 7 instances of inotify."""


pytestmark = pytest.mark.one_release(-1)
"""The chaos test is done on another."""


def nginx_says(registry: Registry, text: str) -> None:
    """A new nginx.conf, in which /said answers `text`."""
    include = "include secure-registry/registry.conf;"
    conf = registry.machine.read("/root/nginx.conf")
    registry.put("nginx.conf", conf.replace(include, f"location = /said {{ return 200 {text}; }} {include}"))


def said(registry: Registry) -> str:
    return registry.curl("/said").stdout.partition("\n")[0]


def header(registry: Registry) -> str:
    return registry.curl("/v2/", "--include", user="docker").stdout.lower()


@contextlib.contextmanager
def slow_registry(registry: Registry, seconds: int) -> Iterator[None]:
    """A registry that takes its time to start, as one with a storage far away does. The program is always there."""
    script = f'#!/bin/sh\nsleep {seconds}\nexec {PROGRAM}.real "$@"\n'
    registry.machine.run("ln", PROGRAM, f"{PROGRAM}.real")
    registry.machine.write(f"{PROGRAM}.slow", script, 0o755)
    registry.machine.run("mv", f"{PROGRAM}.slow", PROGRAM)
    yield
    registry.machine.run("mv", f"{PROGRAM}.real", PROGRAM)


def starting(registry: Registry) -> bool:
    """Whether a second registry is being started."""
    return len(registry.machine.run("pgrep", "-f", f"[/]{PROGRAM[1:]}.* serve", check=False).stdout.split()) > 1


@pytest.mark.promise("changes-are-seen")
def test_what_changes_while_an_apply_runs_is_not_missed(watched: Registry) -> None:
    machine = watched.machine
    machine.run("cp", f"{ETC}/nginx.conf", "/root/nginx.conf")
    yml = machine.read(f"{ETC}/docker-registry.yml")

    def new_registry(mark: str) -> None:
        watched.put("docker-registry.yml", f"{yml}http:\n  headers:\n    X-Mark: [{mark}]\n")

    watched.breaks("watchdog")
    with slow_registry(watched, 4):
        machine.run("systemctl", "kill", "--signal=STOP", UNIT)  # it is somebody else (the timer) who starts an apply
        new_registry("one")
        machine.run("systemctl", "start", "--no-block", "secure-registry-reload")
        machine.wait_for("a slow apply", lambda: starting(watched))
        nginx_says(watched, "during-anothers")
        machine.run("systemctl", "kill", "--signal=CONT", UNIT)
        machine.wait_for("both", lambda: said(watched) == "during-anothers" and "x-mark: one" in header(watched), 15)

        new = f"cp -a {ETC} {ETC}.new; echo '# swapped' >> {ETC}.new/docker-registry.yml; "
        machine.run("sh", "-ec", f"{new} mv {ETC} {ETC}.old; mv {ETC}.new {ETC}; rm -rf {ETC}.old")
        machine.wait_for("a slow apply of another directory", lambda: starting(watched))
        nginx_says(watched, "in-another-directory")
        machine.wait_for("it", lambda: said(watched) == "in-another-directory", SECONDS)


def test_a_killed_apply_is_asked_for_again(watched: Registry) -> None:
    machine = watched.machine
    machine.run("cp", f"{ETC}/nginx.conf", "/root/nginx.conf")
    watched.expected.append(r"secure-registry-reload.service: |Failed to start secure-registry-reload|was cut short")
    with slow_registry(watched, 6):
        machine.run("sh", "-c", f"echo '# new' >> {ETC}/docker-registry.yml")
        machine.wait_for("a slow apply", lambda: starting(watched))
        nginx_says(watched, "after-the-kill")
        machine.run("sh", "-c", KILL_APPLY)
        machine.wait_for("it", lambda: said(watched) == "after-the-kill", SECONDS)
    machine.wait_for("the slots", lambda: json.loads(watched.command("status", "--json").stdout)["serving"])


def test_what_is_ready_for_an_apply_is_never_of_yesterday(watched: Registry) -> None:
    """An upgrade of ours, of a library or of the system's counts from the next apply on; so does a death of it."""
    machine = watched.machine
    machine.run("cp", f"{ETC}/nginx.conf", "/root/nginx.conf")
    watched.expected.append(r"secure-registry-(apply|reload).service: |Failed to start secure-registry-reload|was cut")
    ssl = machine.run("sh", "-c", "ls /usr/lib/*-linux-gnu/libssl.so.3").stdout.strip()
    machine.wait_unit("secure-registry-apply.service")
    for number, what in enumerate(
        [
            "touch /usr/share/secure-registry/secreg_host/apply/apply.py",
            "touch /usr/lib/python3/dist-packages/jinja2/__init__.py",
            f"cp -p {ssl} {ssl}.new; mv {ssl}.new {ssl}",
            "systemctl kill --signal=KILL secure-registry-apply",
            "systemctl stop secure-registry-apply",
        ]
    ):
        machine.wait_for("the end of an apply", lambda: machine.unit_state(RELOAD) != "activating")
        before = watched.pid("secure-registry-apply")
        machine.run("sh", "-ec", what)
        nginx_says(watched, f"after-{number}")
        machine.wait_for(what, partial(lambda word: said(watched) == word, f"after-{number}"), SECONDS)
        another = partial(lambda old: watched.pid("secure-registry-apply") not in ("0", old), before)
        machine.wait_for("another", another, SECONDS)
    before = watched.pid("secure-registry-apply")
    nginx_says(watched, "as-ever")
    machine.wait_for("it", lambda: said(watched) == "as-ever", SECONDS)
    assert watched.pid("secure-registry-apply") == before
    machine.run("systemctl", "stop", "secure-registry")
    done = watched.systemctl("start", "secure-registry-reload")  # nothing runs: it is only checked
    assert done.returncode == 0, done.stderr
    assert machine.unit_state("secure-registry-nginx.service") == "inactive"
    machine.run("systemctl", "start", "secure-registry")


def test_changes_serve_without_what_is_ready_for_them(watched: Registry) -> None:
    """Whatever becomes of it: it only makes them serve sooner."""
    machine = watched.machine
    machine.run("cp", f"{ETC}/nginx.conf", "/root/nginx.conf")
    watched.expected.append(r"secure-registry-(apply|reload)\.s\w+: |Failed to start|cannot ask for an apply|was cut")
    machine.wait_unit("secure-registry-apply.service")
    machine.run("rm", "/run/secure-registry/apply.sock")
    nginx_says(watched, "not-to-be-asked")
    machine.wait_for("it", lambda: said(watched) == "not-to-be-asked", SECONDS)
    machine.run("systemctl", "restart", "secure-registry-apply.socket")  # as the message says
    mark = machine.journal_end()
    nginx_says(watched, "asked")
    machine.wait_for("it", lambda: said(watched) == "asked", SECONDS)
    assert not any("cannot ask" in entry["MESSAGE"] for entry in machine.journal(after=mark))

    drop_in = "/run/systemd/system/secure-registry-apply.service.d/broken.conf"
    machine.write(drop_in, "[Service]\nExecStart=\nExecStart=/bin/false\n")
    machine.run("sh", "-c", "systemctl daemon-reload; systemctl stop secure-registry-apply.service")
    nginx_says(watched, "broken")
    machine.wait_for("it", lambda: said(watched) == "broken", 15)
    machine.run("sh", "-c", f"rm {drop_in}; systemctl daemon-reload")


@pytest.mark.promise("users-away-for-a-moment")
@pytest.mark.parametrize("what", ["", "/.htpasswd"])
def test_users_that_are_away_for_a_moment_are_not_locked_out(watched: Registry, what: str) -> None:
    """Who puts another directory in the place of ours, or removes a file to create it, leaves a moment without."""
    machine = watched.machine
    watched.expected.append("does not exist")
    machine.run("sh", "-ec", f"cp {ETC}/.htpasswd /root/ht; secure-registry htpasswd -i alice", input="secret-of-alice")
    machine.run("cp", f"{ETC}/ca.crt", "/root")

    def answer() -> str:
        return watched.curl("/v2/", "--cacert", "/root/ca.crt", user=ALICE).stdout.rpartition("\n")[2]

    path = f"{ETC}{what}"
    away = f"mv {path} {path}.away; sleep 0.2; mv {path}.away {path}"
    seen: Counter[str] = Counter()
    for number in range(8):
        edit = f"cp -p {ETC}/nginx.conf /root/n; echo '# edit {number}' >> /root/n; mv /root/n {ETC}/nginx.conf"
        moving = subprocess.Popen(machine.command("sh", "-ec", f"{edit}; {away}"))
        while moving.poll() is None or f"# edit {number}" not in machine.read(f"{CURRENT}/front/nginx.conf"):
            seen[answer()] += 1
        assert moving.returncode == 0
    assert set(seen) == {"200"}, seen
    machine.run("mv", path, f"{path}.away")
    machine.wait_for("nobody", lambda: answer() == "401")
    machine.run("mv", f"{path}.away", path)
    machine.wait_for("alice", lambda: answer() == "200")
    # at once: written in place, it is empty for a moment, and who is in it still is out for as long
    machine.run("sh", "-ec", f"cp /root/ht {ETC}/.ht; mv {ETC}/.ht {ETC}/.htpasswd")


@pytest.mark.promise("nothing-slow-holds-up-users")
def test_nothing_slow_holds_up_a_removed_user(watched: Registry) -> None:
    machine = watched.machine
    machine.run("sh", "-ec", f"cp {ETC}/.htpasswd /root/ht; secure-registry htpasswd -i alice", input="secret-of-alice")
    machine.run("cp", f"{ETC}/.htpasswd", "/root/ht-alice")
    watched.expected.append(r"secure-registry-reload.service: |Failed to start secure-registry-reload|Stopped|Stopping")

    def remove() -> None:
        machine.wait_for("alice", lambda: watched.status_of("/v2/", ALICE) == "200", SECONDS)
        machine.run("sh", "-c", f"cat /root/ht > {ETC}/.htpasswd")
        machine.wait_for("her end", lambda: watched.status_of("/v2/", ALICE) == "401", 5)

    with slow_registry(watched, 12):
        yml = watched.edit("docker-registry.yml", "level: warn", "level: error")
        machine.wait_for("a slow apply", lambda: starting(watched))
        remove()
        current = machine.read("/var/lib/secure-registry/current/registry/docker-registry.yml")
        assert current == yml, "the slow part was over"
    watched.put("docker-registry.yml", yml)
    # a hook is told what is another than at the last apply that came to its end: with her in, nothing would be
    users = "grep -Ev '^secure-registry-(probe|nobody-[0-9]+):' /run/secure-registry/users/live/htpasswd"
    counted = f"{users} | sha256sum | cut -c1-64"
    without_her = ("sh", "-c", f"{counted} | grep -qFf- /var/lib/secure-registry/state/report.json")
    machine.wait_for("an apply without her", lambda: machine.run(*without_her, check=False).returncode == 0)

    hook = f"#!/bin/sh\n[ -e /root/begun ] || {{ touch /root/begun; sleep 25; touch {ETC}/hooks.d/ended; }}\n"
    machine.write(f"{ETC}/hooks.d/slow", hook, 0o755)
    machine.run("sh", "-c", f"cat /root/ht-alice > {ETC}/.htpasswd")
    machine.wait_for("the hook", lambda: machine.exists("/root/begun"), SECONDS)
    remove()
    assert not machine.exists(f"{ETC}/hooks.d/ended"), "the hook was over"

    machine.run("sh", "-c", f"cat /root/ht-alice > {ETC}/.htpasswd")
    machine.wait_for("alice", lambda: watched.status_of("/v2/", ALICE) == "200", SECONDS)
    before = watched.edit("nginx.conf", "server_name", "nonsense")
    machine.run("rm", f"{ETC}/docker-registry.crt")
    remove()
    watched.expected.append("unknown directive|docker-registry.crt: does not exist")
    watched.put("nginx.conf", before)
    machine.run("cp", "/var/lib/secure-registry/current/front/docker-registry.crt", ETC)
    machine.wait_for("a good end", lambda: watched.command("status").returncode == 0)


def test_what_was_rejected_for_want_of_room_serves_once_there_is_some(watched: Registry) -> None:
    """Seen: the rehearsal had no room in /run, nginx.conf was to blame, and what was saved never served."""
    machine = watched.machine
    watched.expected.append("No space left on device")
    machine.run("sh", "-ec", f"{SHRINK_RUN}\n{FILL.format('/run')}")
    watched.edit("nginx.conf", "server_name", "# saved while there was no room\n    server_name")
    machine.wait_for("that it is told", lambda: "No space left" in watched.command("status").stdout)
    machine.run("sh", "-ec", f"{GROW_RUN}; rm /run/fill")
    conf = f"{CURRENT}/front/nginx.conf"
    machine.wait_for("it", lambda: "saved while there was no room" in machine.read(conf), 25)
    machine.wait_for("a good end", lambda: watched.command("status").returncode == 0)


@pytest.mark.promise("no-connection-is-dropped", "running-transfers")
def test_transfers_that_take_longer_than_changes_are_not_cut(watched: Registry) -> None:
    """Uploads and a download stand still while nginx.conf, docker-registry.yml and users change under them. What a
    removed user has begun is finished, and nothing after it."""
    machine = watched.machine
    assert watched.command("htpasswd", "-i", "alice", input="secret-of-alice").returncode == 0
    for name in ("load.py", "transfers.py"):
        machine.copy_in(HERE / name, f"/root/{name}")
    argv = machine.command("python3", "-u", "/root/transfers.py")
    started = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with started as transfers, contextlib.ExitStack() as failed:
        failed.callback(machine.run, "touch", "/root/finish")  # else they are waited for without end
        assert transfers.stdin is not None and transfers.stdout is not None
        transfers.stdin.write(f"{watched.password}\nsecret-of-alice\n")
        transfers.stdin.flush()
        assert transfers.stdout.readline() == "begun\n"
        machine.run("cp", f"{ETC}/nginx.conf", "/root/nginx.conf")
        slot = json.loads(watched.command("status", "--json").stdout)["slot"]
        yml = watched.machine.read(f"{ETC}/docker-registry.yml")
        for number in (1, 2):
            nginx_says(watched, f"change-{number}")
            watched.put("docker-registry.yml", f"{yml}http:\n  headers:\n    X-Mark: [v{number}]\n")
            machine.wait_for("the new registry", partial(lambda n: f"x-mark: v{n}" in header(watched), number), SECONDS)
            machine.wait_for("the new front", partial(lambda n: said(watched) == f"change-{n}", number), SECONDS)
        assert machine.unit_state(f"secure-registry-registry@{slot}") == "deactivating"  # it still has the upload
        assert watched.command("htpasswd", "-D", "alice").returncode == 0
        assert watched.status_of("/v2/", user=ALICE) == "401"
        machine.run("touch", "/root/finish")
        assert transfers.stdout.read() == "whole\n" * 3
    machine.wait_unit(f"secure-registry-registry@{slot}", "inactive")


def test_files_that_nginx_includes_from_elsewhere_are_watched(watched: Registry) -> None:
    """By a pattern that matches nothing yet, through one that is included, and behind a link to a directory."""
    machine = watched.machine
    machine.run("mkdir", "-p", "/srv/outside", "/srv/inner", "/srv/linked")
    machine.run("ln", "-s", "/srv/linked", f"{ETC}/conf.d")
    machine.write("/srv/inner/deep.conf", "location = /deep { return 200 one; }\n")
    include = "include secure-registry/registry.conf;"
    watched.edit("nginx.conf", include, f"{include} include /srv/outside/*.conf; include conf.d/*.conf;")
    machine.wait_for("it", lambda: "/srv/outside" in machine.read("/var/lib/secure-registry/state/report.json"))

    def serves(path: str, text: str) -> None:
        machine.wait_for(text, lambda: watched.curl(path).stdout == f"{text}\n200", SECONDS)

    machine.write("/srv/outside/new.conf", "include /srv/inner/deep.conf;\n")
    serves("/deep", "one")
    machine.write("/srv/inner/deep.conf", "location = /deep { return 200 two; }\n")
    serves("/deep", "two")
    machine.write("/srv/linked/x.conf", "location = /linked { return 200 three; }\n")
    serves("/linked", "three")
    machine.run("sed", "-i", "s/three/four/", "/srv/linked/x.conf")
    serves("/linked", "four")


@pytest.mark.promise("back-to-proven")
def test_a_change_cut_short_before_its_proof_survives_a_reboot(watched: Registry) -> None:
    """nginx's own sandbox refuses what its rehearsal could do; the run that would have taken it back was killed."""
    machine = watched.machine
    watched.expected.append(r"Read-only file system|secure-registry-\w+.service: |Failed to start|unproven|auth")
    watched.breaks("watchdog")
    machine.run("sh", "-ec", "mkdir /srv/logs; chown secure-registry-nginx: /srv/logs; sync")
    machine.run("systemctl", "stop", UNIT)
    before = watched.edit("nginx.conf", "/var/log/secure-registry/access.log", "/srv/logs/access.log")
    current = machine.run("readlink", "/var/lib/secure-registry/current").stdout
    machine.run("systemctl", "start", "--no-block", "secure-registry-reload")
    machine.wait_for("the flip", lambda: machine.run("readlink", "/var/lib/secure-registry/current").stdout != current)
    machine.power_cut()
    machine.wait_unit("secure-registry.service")
    assert watched.status_of("/v2/_catalog", user="docker") == "200"
    assert watched.command("status").returncode == 3
    watched.put("nginx.conf", before)
    machine.wait_for("a good end", lambda: watched.command("status").returncode == 0)


@pytest.mark.promise("changes-are-seen")
def test_lost_events_and_the_watchdogs_own_limits(watched: Registry) -> None:
    machine = watched.machine
    watched.expected.append(r"cannot watch /|nobody expects")
    watched.breaks("watchdog")
    machine.run("cp", f"{ETC}/nginx.conf", "/root/nginx.conf")

    machine.wait_unit(f"{UNIT}.service")
    pid = watched.pid(UNIT)
    status = machine.read(f"/proc/{pid}/status")
    assert all(f"Cap{name}:\t0000000000000000" in status for name in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
    folders = "/ /etc /etc/secure-registry /var /var/lib/secure-registry /var/tmp /tmp /run /root /home "
    script = f"for d in {folders} /dev /dev/shm /dev/mqueue; do touch $d/x 2>/dev/null && echo $d; done; true"
    assert machine.run("nsenter", "-t", pid, "-m", "sh", "-c", script).stdout == ""
    score = machine.run("systemd-analyze", "security", "--no-pager", f"{UNIT}.service").stdout.rpartition(": ")[2]
    assert float(score.split()[0]) < 1.5

    ping = "systemctl show -p WatchdogTimestampMonotonic --value secure-registry-watchdog"
    first = machine.run("sh", "-c", ping).stdout
    nginx_says(watched, "a-ping")
    machine.wait_for("a ping of systemd's watchdog", lambda: machine.run("sh", "-c", ping).stdout != first, SECONDS)
    machine.wait_for("it", lambda: said(watched) == "a-ping", SECONDS)

    machine.run("chmod", "000", "/var/lib/secure-registry/state/report.json")
    nginx_says(watched, "without-a-report")
    machine.wait_for("it", lambda: said(watched) == "without-a-report", SECONDS)

    # more events than the queue holds (16384): the last ones are lost, and one of the first is enough
    machine.run("systemctl", "kill", "--signal=STOP", UNIT)
    machine.run("python3", "-c", f"for i in range(20000): open('{ETC}/.touched', 'w').close()")
    nginx_says(watched, "after-an-overflow")
    machine.run("systemctl", "kill", "--signal=CONT", UNIT)
    machine.wait_for("it", lambda: said(watched) == "after-an-overflow", SECONDS)

    # no watch to be had: the kernel's own error, from a filter of system calls
    drop_in = "[Service]\nSystemCallFilter=~inotify_add_watch:ENOSPC\n"
    machine.write(f"/etc/systemd/system/{UNIT}.service.d/limit.conf", drop_in)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    nginx_says(watched, "without-events")
    began = time.monotonic()
    machine.wait_for("a look", lambda: said(watched) == "without-events", 30)
    print(f"without events, live after {time.monotonic() - began:.0f} s")
    lines: list[str] = []

    def told_of(what: str) -> int:
        lines[:] = [entry["MESSAGE"] for entry in machine.journal(unit=f"{UNIT}.service")]
        return sum(what in line for line in lines)

    machine.wait_for("that it is told", lambda: told_of("cannot watch /etc"), SECONDS)
    assert told_of("cannot watch /etc") == 1
    assert any("fs.inotify.max_user_watches" in line for line in lines)
    told = watched.component("watchdog")
    assert told["condition"] == "warning" and "cannot watch /etc" in told["said"]
    assert "max_user_watches" in told["remedy"]
    machine.run("sh", "-ec", f"rm -r /etc/systemd/system/{UNIT}.service.d; systemctl daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    assert watched.component("watchdog")["condition"] == "ok"
    nginx_says(watched, "by-dbus")  # GLib has threads of its own once it was asked
    machine.wait_for("it", lambda: said(watched) == "by-dbus", SECONDS)
    pid = watched.pid(UNIT)
    opened = machine.run("find", f"/proc/{pid}/fd", "-lname", "anon_inode:inotify", check=False)  # others come and go
    assert len(opened.stdout.splitlines()) == 1
    tasks = ("ls", f"/proc/{pid}/task")
    machine.wait_for("few threads", lambda: len(machine.run(*tasks).stdout.split()) <= MOST_THREADS)


def test_a_directory_that_is_away_while_the_watchdog_starts_or_that_something_is_mounted_upon(
    watched: Registry,
) -> None:
    machine = watched.machine
    watched.expected.append(rf"does not exist|is mounted there|secure-registry-watchdog|{ETC}")
    watched.breaks("users")
    machine.run("cp", f"{ETC}/nginx.conf", "/root/nginx.conf")

    for number in range(6):  # the moment is what is tried: Python takes a while to load
        pause = 0.15 * number
        machine.run(
            "sh",
            "-ec",
            f"systemctl kill -s KILL --kill-whom=main {UNIT}; sleep {pause}; "
            f"mv {ETC} {ETC}.away; sleep 0.3; mv {ETC}.away {ETC}",
        )
        machine.wait_for("another watchdog", lambda: watched.pid(UNIT) != "0")
        nginx_says(watched, f"moved-{number}")
        machine.wait_for(f"edit {number}", partial(lambda n: said(watched) == f"moved-{n}", number), SECONDS)
    machine.wait_for("the user", lambda: watched.status_of("/v2/", "docker") == "200", SECONDS)
    password = watched.password
    docker = f"docker:{password}"

    def warnings() -> str:
        return " ".join(item["what"] for item in json.loads(watched.command("status", "--json").stdout)["warnings"])

    processes = watched.processes()
    machine.run("mount", "-t", "tmpfs", "none", ETC)
    machine.wait_for("nobody is let in", lambda: watched.status_of("/v2/", docker) == "401", SECONDS)
    machine.wait_for("the reason", lambda: "(tmpfs) is mounted there" in warnings(), SECONDS)
    assert said(watched) == "moved-5" and watched.status_of("/v1/_ping") == "200", "what is proven does not go on"
    assert watched.command("status").returncode == 3
    assert machine.run("ls", "-A", ETC).stdout == ""
    machine.run("umount", ETC)
    machine.wait_for("the user", lambda: watched.status_of("/v2/", docker) == "200", SECONDS)
    machine.wait_for("a good end", lambda: watched.command("status").returncode == 0)
    assert warnings() == ""
    assert watched.pid("secure-registry-nginx") in processes

    machine.run("sh", "-ec", f"cp -a {ETC} /root/other; sed -i s/moved-5/mounted/ /root/other/nginx.conf")
    machine.run("mount", "--bind", "/root/other", ETC)
    machine.wait_for("what is mounted", lambda: said(watched) == "mounted", SECONDS)
    nginx_says(watched, "edited")
    machine.wait_for("an edit there", lambda: said(watched) == "edited", SECONDS)
    assert warnings() == "" and watched.command("status").returncode == 0
    machine.run("umount", ETC)
    machine.wait_for("what was below", lambda: said(watched) == "moved-5", SECONDS)


@pytest.mark.promise("end-of-a-certificate")
def test_a_certificate_about_to_expire_is_a_warning_once(watched: Registry, tmp_path: Path) -> None:
    machine, crt = watched.machine, f"{ETC}/docker-registry.crt"
    watched.expected.extend(["expires on", "^expiring: certificate: ", "waiting: "])
    made = Maker(tmp_path).make(None, "subjectAltName = DNS:localhost", begins=-50, ends=4.9)
    watched.put("docker-registry.key", made.key.decode())
    watched.put("docker-registry.crt", made.crt.decode())
    want = machine.run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", crt).stdout
    machine.wait_for("it", lambda: watched.fingerprint() == want, SECONDS)
    watched.edit("nginx.conf", "worker_processes", "# one more apply\nworker_processes")
    live = "grep -q 'one more' /var/lib/secure-registry/current/front/nginx.conf"
    machine.wait_for("the edit", lambda: machine.run("sh", "-c", live, check=False).returncode == 0, SECONDS)
    machine.run("systemctl", "start", "secure-registry-reload")  # as the timer does
    assert machine.unit_state("secure-registry-renew.timer") == "active"
    told = [entry for entry in machine.journal() if "expires on" in entry["MESSAGE"]]
    assert [(entry["PRIORITY"], entry["SECREG_PART"], entry["SECREG_WHERE"]) for entry in told] == [
        ("4", "certificate", crt)
    ]
    status = watched.command("status")
    assert status.returncode == 0 and "in 4 days" in status.stdout
