"""What goes wrong on a host: each time a clear error, an exit code, and what served before still serves."""

from __future__ import annotations

import json
import random
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.booted.registry import ETC, Load, Registry
from tests.hosts import docker
from tests.hosts.machine import Machine

LIB = "/var/lib/secure-registry"


def still_serves(registry: Registry) -> None:
    assert registry.status_of("/v2/") == "401"
    assert registry.status_of("/v2/_catalog", user="docker") == "200"


def test_status_tells_people_and_programs(registry: Registry) -> None:
    status = json.loads(registry.command("status", "--json").stdout)
    assert status["serving"] and status["users"] == 1 and status["rejected"] == []
    assert status["certificate"]["fingerprint"] in registry.fingerprint().replace(":", "").lower()
    shown = registry.systemctl("status", "secure-registry").stdout
    assert 'Status: "serves https://' in shown and "certificate until" in shown
    registry.machine.run("sh", "-c", f"echo > {LIB}/current/generation.json")
    found = registry.command("status")
    assert found.returncode == 3 and "secure-registry may serve: nginx is active (running), but" in found.stdout
    assert json.loads(registry.command("status", "--json").stdout)["serving"] is None
    still_serves(registry)
    assert registry.command("reload").returncode == 0 and registry.command("status").returncode == 0


@pytest.mark.promise("bad-edits-are-named", "bad-edits-take-nothing-down", "proven-survives-reboots", "reload-tells")
def test_a_bad_edit_is_named_by_reload_status_and_systemctl(registry: Registry) -> None:
    registry.expected.append(r"nginx.conf:\d+: unknown directive|Reload failed|[Cc]ontrol process exited|status=2")
    before = registry.edit("nginx.conf", "server_name", "nonsense")
    done = registry.command("reload")
    assert done.returncode == 2 and f"{registry.line_of('nginx.conf', 'nonsense')}: unknown directive" in done.stderr
    assert registry.systemctl("reload", "secure-registry").returncode != 0
    still_serves(registry)
    assert registry.command("status").returncode == 3
    assert "unknown directive" in registry.systemctl("status", "secure-registry").stdout
    assert registry.systemctl("restart", "secure-registry").returncode == 0, "a bad edit takes nothing down"
    still_serves(registry)
    registry.put("nginx.conf", before)
    assert registry.command("reload").returncode == 0
    assert registry.command("status").returncode == 0


@pytest.mark.promise("refused-as-a-whole")
def test_a_call_that_is_refused_leaves_no_trace(registry: Registry) -> None:
    """Seen: the password was lost without a word, and `status` went on telling of a read-only file system that was not
    read-only any more, and of a REGISTRY_HOST that was written first and judged then."""
    machine = registry.machine

    def left() -> tuple[str, str, int]:
        check = registry.command("status", "--check")
        return machine.read(f"{ETC}/secure-registry.conf"), machine.read(f"{ETC}/.htpasswd"), check.returncode

    before = left()
    assert before[2] == 0
    read_only = f"mount --bind {ETC} {ETC} && mount -o remount,ro,bind {ETC}"
    for setting, said, prepare, restore in (
        ("REGISTRY_HOST=no.such.invalid", "REGISTRY_HOST: nothing knows this host name", "true", "true"),
        ("NGINX_BINARY=/bin/true", "NGINX_BINARY: /bin/true is not nginx", "true", "true"),
        ("PORT=444", "Read-only file system", read_only, f"umount {ETC}"),
    ):
        machine.run("sh", "-c", prepare)
        done = machine.run("env", setting, "USERNAME=lost", "PASSWORD=lost", "secure-registry", "start", check=False)
        machine.run("sh", "-c", restore)
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert left() == before, registry.command("status").stdout
    machine.run("env", "USERNAME=lost", "PASSWORD=found", "secure-registry", "start")
    assert registry.status_of("/v2/", user="lost:found") == "200"
    machine.run("secure-registry", "htpasswd", "-D", "lost")


@pytest.mark.promise("same-bytes-no-action")
def test_a_reload_without_changes_restarts_nothing(registry: Registry) -> None:
    before = registry.processes()
    assert len(before) > 4
    assert registry.command("reload").stdout.startswith(("nothing to change\n", "applied by the watchdog "))
    assert registry.systemctl("reload", "secure-registry").returncode == 0
    assert registry.processes() == before


@pytest.mark.promise("no-connection-is-dropped")
def test_a_new_registry_configuration_drops_no_request(registry: Registry) -> None:
    with Load(registry) as load:
        registry.edit("docker-registry.yml", "level: warn", "level: error")
        assert registry.command("reload").returncode == 0
        registry.edit("docker-registry.yml", "level: error", "level: warn")
        assert registry.command("reload").returncode == 0
    assert (load.failures, load.requests > 20) == ([], True)


@pytest.mark.promise("removed-user-is-out")
def test_a_removed_user_is_out_within_a_second(registry: Registry) -> None:
    assert registry.command("htpasswd", "-i", "alice", input="secret-of-alice").returncode == 0
    assert registry.status_of("/v2/", user="alice:secret-of-alice") == "200"
    assert registry.command("htpasswd", "-D", "alice").returncode == 0
    assert registry.status_of("/v2/", user="alice:secret-of-alice") == "401"


@pytest.mark.promise("secrets")
def test_passwords_are_in_no_journal_no_log_and_no_argv(registry: Registry) -> None:
    machine = registry.machine
    assert registry.command("htpasswd", "-i", "alice", input="secret-of-alice").returncode == 0
    assert registry.login().returncode == 0
    assert registry.status_of("/v2/", user="alice:secret-of-alice") == "200"
    assert registry.status_of("/v2/", user="alice:a-wrong-secret") == "401"
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    said = machine.run("sh", "-c", "journalctl --all -o export; cat /var/log/secure-registry/*; ps -eww -o args").stdout
    assert "secure-registry" in said
    assert not [word for word in (registry.password, "secret-of-alice", "a-wrong-secret") if word in said]


@pytest.mark.promise("users-never-go-back")
def test_without_htpasswd_nobody_gets_in_not_even_after_a_restart(registry: Registry) -> None:
    registry.expected.append(r"\.htpasswd: does not exist|Control process|Reload failed")
    registry.breaks("users")
    registry.machine.run("mv", f"{ETC}/.htpasswd", "/root/htpasswd")
    assert registry.command("reload").returncode == 2
    assert registry.status_of("/v2/", user="docker") == "401"
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    assert registry.status_of("/v2/", user="docker") == "401"
    registry.machine.run("mv", "/root/htpasswd", f"{ETC}/.htpasswd")
    assert registry.command("reload").returncode == 0


@pytest.mark.parametrize("unit", ["secure-registry-nginx", "secure-registry-auth", "secure-registry-registry@*"])
def test_a_killed_process_comes_back(registry: Registry, unit: str) -> None:
    registry.expected.append(r"Main process exited|Failed with result|auth_request unexpected|upstream|connect\(\)")
    registry.systemctl("kill", "--signal=KILL", unit)
    registry.machine.wait_for("its return", lambda: registry.status_of("/v2/_catalog", user="docker") == "200")
    assert registry.command("status").returncode == 0


@pytest.mark.parametrize("unit", ["secure-registry-nginx", "secure-registry-auth", "secure-registry-registry@*"])
def test_a_reload_brings_back_what_was_stopped(registry: Registry, unit: str) -> None:
    """By hand, or by an apply that was killed while it did so."""
    registry.expected.append(r"auth_request unexpected|upstream|connect\(\)")
    registry.breaks("front", "passwords", "registry")
    registry.systemctl("stop", unit)
    assert registry.status_of("/v2/_catalog", user="docker") != "200"
    done = registry.command("reload")
    assert done.returncode == 0, done.stderr
    still_serves(registry)


@pytest.mark.promise("fair-turns")
def test_without_the_queue_one_logs_in(registry: Registry) -> None:
    """Killed, the next question starts it. Stopped, the password check is asked, until a reload starts it."""
    registry.expected.append(r"Main process exited|Failed with result|upstream|connect\(\)")
    queue = ("secure-registry-queue.socket", "secure-registry-queue.service")
    registry.command("htpasswd", "-i", "alice", input="right\n")
    registry.systemctl("kill", "--signal=KILL", queue[1])
    assert registry.status_of("/v2/", user="alice:right") == "200"
    assert registry.systemctl("is-active", *queue).stdout.split() == ["active", "active"]
    registry.command("htpasswd", "-i", "alice", input="another\n")
    registry.systemctl("stop", *queue)
    asked = [registry.status_of("/v2/", user=f"alice:{word}") for word in ("another", "right")]
    assert asked == ["200", "401"] and registry.command("status").returncode == 0
    assert registry.command("reload").returncode == 0
    assert registry.systemctl("is-active", queue[0]).stdout.split() == ["active"]
    registry.command("htpasswd", "-D", "alice")


LISTENED = """import socket, sys
for path in sys.argv[1:]:
    socket.socket(socket.AF_UNIX).connect(path)
"""


@pytest.mark.promise("fair-turns", "observer", "status-asks")
def test_sockets_where_nobody_gets_to_are_told_and_made_again(registry: Registry) -> None:
    """Seen: `status` and --check said that all was well, and neither a reload nor the observer made them again: their
    units were active. What somebody stopped is told, too, and left until a reload."""
    registry.expected.append(r"upstream|connect\(\)|nobody gets to secure-registry-(queue|apply)\.socket")
    machine, observer = registry.machine, "secure-registry-observer"
    units = ("secure-registry-queue.socket", "secure-registry-apply.socket")
    paths = ("/run/secure-registry/queue.sock", "/run/secure-registry/apply.sock")

    def listened() -> bool:
        return machine.run("python3", "-c", LISTENED, *paths, check=False).returncode == 0

    def told() -> None:
        found, check = registry.component("passwords"), registry.command("status", "--check")
        assert (found["condition"], found["remedy"]) == ("warning", f"systemctl restart {units[0]}"), found
        assert check.returncode == 1 and "past the queue" in check.stdout
        assert registry.command("status").returncode == 0 and not listened()
        still_serves(registry)

    def well() -> None:
        assert listened() and registry.component("passwords")["condition"] == "ok"
        assert registry.command("status", "--check").returncode == 0
        still_serves(registry)

    well()
    registry.systemctl("stop", observer)
    machine.run("rm", *paths)
    told()
    assert registry.command("reload").returncode == 0
    well()
    registry.systemctl("stop", *units, "secure-registry-queue.service")
    told()
    assert registry.command("reload").returncode == 0
    well()
    registry.systemctl("stop", observer)
    machine.run("rm", *paths)
    told()
    registry.systemctl("start", observer)
    machine.wait_for("that they are made again", listened, 60)
    well()


def test_a_process_killed_during_an_apply_is_waited_for(registry: Registry) -> None:
    """What was saved serves, and nothing is held back, whenever it happens."""
    registry.expected.append(r"Main process exited|Failed with result|auth_request unexpected|upstream|connect\(\)")
    registry.expected.append("signal process started|exited on signal 9|exit_group")
    registry.breaks("front", "passwords", "registry")  # each for a moment, but one after the other
    seed, units = random.Random(7), ("nginx", "auth", "registry@*")
    for number in range(20):
        unit = f"secure-registry-{seed.choice(units)}"
        text = registry.machine.read(f"{ETC}/nginx.conf").partition("# number")[0]
        registry.put("nginx.conf", f"{text}# number {number}\n")
        process = subprocess.Popen(
            registry.machine.command("secure-registry", "reload"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        time.sleep(seed.uniform(0.3, 0.9))  # the moment is what is tried, not waited for
        registry.systemctl("kill", "--signal=KILL", unit)
        said = process.communicate(timeout=60)[0].decode()
        assert process.returncode == 0, f"{number}, {unit}: {said}"
        registry.machine.wait_for("its return", lambda: registry.status_of("/v2/_catalog", user="docker") == "200")
        assert registry.command("status").returncode == 0


def test_a_stop_is_over_when_it_returns(registry: Registry) -> None:
    """Whoever stops it to free the port can take it at once; nothing goes on behind the administrator's back."""
    registry.expected.append(r"registry@\w\.service did not start|Failed with result 'signal'")  # it was cut short
    registry.expected.append(r"images@\w\.service: Failed with result 'exit-code'")  # so was that
    ours = "secure-registry-[nar]*.service"
    script = f"systemctl stop secure-registry; ss -Hltn sport = :443; systemctl is-active '{ours}'"
    assert registry.machine.run("sh", "-c", script, check=False).stdout.replace("inactive\n", "") == ""
    assert registry.systemctl("start", "secure-registry").returncode == 0
    for pause in (0.2, 0.4, 0.6):  # while an apply is about to change what runs
        begin = f"echo '# {pause}' >> {ETC}/docker-registry.yml; systemctl start --no-block secure-registry-reload"
        said = registry.machine.run("sh", "-c", f"{begin}; sleep {pause}; {script}", check=False)
        assert said.stdout.replace("inactive\n", "") == ""
        assert registry.systemctl("start", "secure-registry").returncode == 0
    assert registry.systemctl("start", "secure-registry").returncode == 0
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    still_serves(registry)


@pytest.mark.promise("garbage")
def test_the_space_of_deleted_images_is_freed_as_the_readme_says(registry: Registry) -> None:
    machine, ref = registry.machine, "127.0.0.1/gone:1"
    assert registry.login().returncode == 0
    docker.make_image(machine, ref, [(3_000_000, 9)])
    assert docker.push(machine, ref).returncode == 0
    accept = "Accept: application/vnd.docker.distribution.manifest.v2+json"
    head = registry.curl("/v2/gone/manifests/1", "--head", "--header", accept, user="docker").stdout
    [digest] = re.findall(r"(?i)docker-content-digest: (\S+)", head)
    assert registry.curl(f"/v2/gone/manifests/{digest}", "--request", "DELETE", user="docker").stdout.endswith("202")
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    commands = [
        re.findall(rf"`(secure-registry {start}[^`]*)`", readme) for start in ("images trash empty", "gc --untagged")
    ]
    said = [machine.run("sh", "-c", command).stdout for [command] in commands]
    assert "freed" in said[0], said
    assert int(machine.run("du", "-s", "-k", f"{LIB}/storage").stdout.split()[0]) < 2000, (
        "a megabyte is kept beside the trash"
    )
    assert docker.push(machine, ref).returncode == 0
    docker.remove_image(machine, ref)
    assert docker.pull(machine, ref).returncode == 0


@pytest.mark.promise("nothing-proven-nothing-listens", "taken-port")
def test_a_taken_port_is_named_at_start(registry: Registry) -> None:
    machine = registry.machine
    registry.expected.append(r"port 443|secure-registry.service: |Failed to start")
    registry.breaks("front", "passwords", "registry", "users")
    registry.systemctl("stop", "secure-registry")
    machine.run("systemd-run", "--unit=squatter", "python3", "-m", "http.server", "443")
    machine.wait_for("it", lambda: machine.run("ss", "-Hltn", "sport", "=", ":443").stdout)
    assert registry.systemctl("start", "secure-registry").returncode == 1
    done = registry.command("start")
    assert done.returncode == 1
    assert "port 443 (*:443) is used by python3" in done.stderr and "squatter.service" in done.stderr
    assert "set PORT in secure-registry.conf" in done.stderr and "status squatter.service" in done.stderr
    assert "disable" not in done.stderr and "systemctl stop" not in done.stderr, "it may be what containers run on"
    assert "is used by python3" in registry.systemctl("status", "secure-registry").stdout
    states = [registry.systemctl("is-active", f"secure-registry-{name}").stdout.strip() for name in ("nginx", "auth")]
    assert states == ["inactive", "inactive"]
    assert registry.command("status").returncode == 3
    registry.systemctl("stop", "squatter")
    assert registry.command("start").returncode == 0
    still_serves(registry)


@pytest.mark.parametrize("program", ["/usr/sbin/nginx", "/usr/bin/docker-registry"])
def test_a_missing_program_is_named(registry: Registry, program: str) -> None:
    registry.expected.append(r"program not found|Unable to locate executable|Failed|status=203|Main process|EXEC")
    registry.machine.run("mv", program, f"{program}.away")
    before = registry.edit("nginx.conf", "server_name", "# edited\n server_name")
    yml = registry.edit("docker-registry.yml", "level: warn", "level: error")
    done = registry.command("reload")
    assert done.returncode == 2 and "program not found: " in done.stderr and "apt install" in done.stderr
    still_serves(registry)
    registry.machine.run("mv", f"{program}.away", program)
    assert registry.command("reload").returncode == 0
    registry.put("nginx.conf", before)
    registry.put("docker-registry.yml", yml)
    assert registry.command("reload").returncode == 0


def test_upstreams_name_of_the_registry_is_found(registry: Registry) -> None:
    registry.expected.append(r"docker-registry: No such file|Unable to locate executable|status=203|registry@a.service")
    registry.machine.run("mv", "/usr/bin/docker-registry", "/usr/bin/registry")
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    still_serves(registry)
    assert "/usr/bin/registry" in registry.machine.read("/etc/systemd/system/secure-registry-registry@.service")
    registry.machine.run("mv", "/usr/bin/registry", "/usr/bin/docker-registry")
    assert registry.systemctl("restart", "secure-registry").returncode == 0


def test_a_full_var(registry: Registry) -> None:
    machine = registry.machine
    registry.expected.append(r"No space left|Control process|Reload failed|status=1")
    machine.run("sh", "-c", f"mount -t tmpfs -o size=1m,mode=711 full /mnt && cp -a {LIB}/generations/. /mnt/")
    machine.run("mount", "--bind", "/mnt", f"{LIB}/generations")
    machine.run("sh", "-c", "dd if=/dev/zero of=/mnt/filler bs=4k 2>/dev/null; true")
    before = registry.edit("nginx.conf", "server_name", "# edited\n server_name")
    done = registry.command("reload")
    assert done.returncode == 1 and "No space left on device" in done.stderr and "free some space" in done.stderr
    still_serves(registry)
    seen = registry.command("status")
    assert seen.returncode == 3 and re.search(r"failed .*No space left", seen.stdout), seen.stdout
    registry.put("nginx.conf", before)
    assert registry.command("reload").returncode == 0
    assert registry.command("status").returncode == 0
    assert registry.systemctl("restart", "secure-registry").returncode == 0, "it starts with a full disk"
    still_serves(registry)
    machine.run("umount", f"{LIB}/generations")
    machine.run("umount", "/mnt")


def test_a_read_only_etc(registry: Registry) -> None:
    machine = registry.machine
    registry.expected.append(r"Read-only")
    machine.run("sh", "-c", f"mount --bind {ETC} {ETC} && mount -o remount,ro,bind {ETC}")
    done = registry.command("gencert")
    assert done.returncode == 1 and "Read-only file system" in done.stderr and "remount" in done.stderr
    assert registry.command("setup").returncode == 0
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    still_serves(registry)
    machine.run("umount", ETC)
    fingerprint = registry.fingerprint()
    assert registry.command("gencert").returncode == 0
    assert registry.fingerprint() != fingerprint


@pytest.mark.promise("crashes", "killed-runs")
def test_killed_in_the_middle_of_apply(registry: Registry) -> None:
    """SIGKILL at random moments of twenty reloads: it always serves, and the next reload comes through."""
    seed = random.Random(5)
    for number in range(20):
        name = seed.choice(["nginx.conf", "docker-registry.yml"])
        registry.machine.run("sh", "-c", f"echo '# {number}' >> {ETC}/{name}")
        argv = registry.machine.command("secure-registry", "reload")
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seed.uniform(0.1, 0.9))  # the moment is what is tried, not waited for
        registry.machine.run("pkill", "-KILL", "-f", "bin/secure-registry reload", check=False)
        process.wait()
        still_serves(registry)
    done = registry.command("reload")
    assert done.returncode == 0, done.stderr
    assert registry.command("status").returncode == 0
    left = f"find /etc /run {LIB} -xdev '(' -name '.*.new' -o -name '.stage-*' ')'"
    assert registry.machine.run("sh", "-c", f"{left}; ls -d /run/secure-registry/rehearsal", check=False).stdout == ""


@pytest.mark.promise("crashes")
def test_a_power_cut_in_the_middle_of_apply(registry: Registry) -> None:
    machine = registry.machine
    for number in range(2):
        machine.run("sh", "-c", f"echo '# cut {number}' >> {ETC}/docker-registry.yml; sync")
        process = subprocess.Popen(machine.command("secure-registry", "reload"), stderr=subprocess.DEVNULL)
        time.sleep(0.3 + 0.3 * number)  # the moment is what is tried, not waited for
        machine.power_cut()
        process.wait()
        machine.wait_unit("secure-registry.service")
        still_serves(registry)
        assert registry.command("status").returncode == 0


@pytest.mark.promise("nothing-starts-at-installation")
def test_a_registry_that_was_there_before_goes_on(fresh_host: Machine, deb: object) -> None:
    """docker-registry installed and started by the administrator is not touched by our installation."""
    fresh_host.install("docker-registry")
    fresh_host.wait_unit("docker-registry.service")
    pid = fresh_host.run("systemctl", "show", "-p", "MainPID", "--value", "docker-registry").stdout
    fresh_host.install(deb)  # type: ignore[arg-type]
    assert fresh_host.run("systemctl", "show", "-p", "MainPID", "--value", "docker-registry").stdout == pid
    assert fresh_host.run("systemctl", "is-enabled", "docker-registry").stdout.strip() == "enabled"
    fresh_host.run("systemctl", "start", "secure-registry")
    assert Registry(fresh_host).login().returncode == 0
