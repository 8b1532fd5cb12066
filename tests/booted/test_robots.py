"""Robots on a booted host: made, renewed and taken away with docker as their client, on full disks and across boots."""

from __future__ import annotations

import json
import re
import subprocess
import time
from datetime import datetime

import pytest

from tests.booted.obstacles import FILL, small
from tests.booted.registry import ETC, Registry
from tests.hosts import docker

SECRET = re.compile(r"srt_[0-9a-f]{64}")
HOST = "localhost"
OUT_SECONDS, REVOKED_SECONDS = 2.0, 1.0
ENDED = r"robot '\w+' (comes|came) to its end at"


def create(registry: Registry, name: str, *words: str) -> str:
    made = registry.command("token", "create", name, *words, "--output", "-")
    assert made.returncode == 0 and SECRET.fullmatch(made.stdout.strip()), made.stderr
    return made.stdout.strip()


def status(registry: Registry, name: str, secret: str) -> str:
    return registry.status_of("/v2/", f"robot-{name}:{secret}")


def seconds_until(registry: Registry, name: str, secret: str, wanted: str, timeout: float = 60) -> float:
    """How long it takes until the robot is answered so."""
    began = time.monotonic()
    while (found := status(registry, name, secret)) != wanted:
        assert time.monotonic() - began < timeout, f"{name}: {found}"
        time.sleep(0.05)
    return time.monotonic() - began


def moment(text: str) -> float:
    """Seconds since the epoch; hosts have the clock of this machine."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.promise("robots-secrets")
def test_docker_is_a_robot_until_it_is_revoked(watched: Registry) -> None:
    machine = watched.machine
    secret = create(watched, "ci", "--push", "team-a/**")
    assert docker.login(machine, HOST, "robot-ci", secret).returncode == 0
    docker.make_image(machine, f"{HOST}/team-a/app:1")
    assert docker.push(machine, f"{HOST}/team-a/app:1").returncode == 0
    assert watched.command("token", "revoke", "ci").returncode == 0
    assert seconds_until(watched, "ci", secret, "401") < REVOKED_SECONDS
    assert docker.push(machine, f"{HOST}/team-a/app:1").returncode != 0
    assert docker.login(machine, HOST, "robot-ci", secret).returncode != 0
    said = machine.run("journalctl", "--no-pager", "-o", "export").stdout
    assert secret not in said and "removed robot-ci" in said
    assert "robot-ci" not in machine.read(f"{ETC}/robots")


@pytest.mark.promise("robots-end")
def test_one_whose_time_is_over_is_out_by_itself_and_after_a_boot(watched: Registry) -> None:
    machine = watched.machine
    watched.expected.append(ENDED)
    secret, late = create(watched, "brief", "--expires", "8s"), create(watched, "late", "--expires", "25s")
    made = json.loads(watched.command("token", "list", "--json").stdout)
    ends = {one["name"]: one["expires"] for one in made}
    assert watched.status_of("/v2/", f"robot-brief:{secret}") == "200"
    seconds_until(watched, "brief", secret, "401")
    assert moment(ends["brief"]) - 1 <= time.time() <= moment(ends["brief"]) + OUT_SECONDS
    assert status(watched, "late", late) == "200"
    shown = watched.command("status").stdout
    assert "robot 'brief' came to its end" in shown and "token renew brief" in shown
    machine.run("sync")
    machine.power_cut(start=False)
    time.sleep(max(0.0, moment(ends["late"]) - time.time()))  # a host that is off asks no clock
    machine.start()
    machine.wait_unit("secure-registry.service")
    machine.wait_for("it serves", lambda: watched.status_of("/v2/", "docker") == "200")
    assert status(watched, "late", late) == "401"


@pytest.mark.promise("robots-overlap")
def test_a_robot_is_renewed(watched: Registry) -> None:
    first = create(watched, "ci", "--read", "**")
    done = watched.command("token", "renew", "ci", "--overlap", "6s", "--output", "/root/secret")
    assert done.returncode == 0 and not SECRET.search(done.stdout + done.stderr)
    assert watched.machine.run("stat", "-c", "%a %U", "/root/secret").stdout == "600 root\n"
    second = watched.machine.read("/root/secret").strip()
    assert [status(watched, "ci", one) for one in (first, second)] == ["200", "200"]
    seconds_until(watched, "ci", first, "401")
    assert status(watched, "ci", second) == "200"


@pytest.mark.promise("robots-out-on-a-full-disk")
def test_revoking_works_where_the_disk_is_full(watched: Registry) -> None:
    machine = watched.machine
    watched.expected.append(r".*")  # of a full disk all is told
    watched.breaks()
    secrets = {name: create(watched, name) for name in ("a", "b", "c")}
    small(watched)
    machine.run("sh", "-c", FILL.format(ETC))
    machine.wait_for("it serves", lambda: status(watched, "b", secrets["b"]) == "200")
    assert watched.command("token", "create", "d", "--output", "-").returncode == 1
    assert watched.command("token", "revoke", "b").returncode in (0, 3)
    assert seconds_until(watched, "b", secrets["b"], "401") < REVOKED_SECONDS
    assert [status(watched, name, secrets[name]) for name in ("a", "c")] == ["200", "200"]
    machine.run("rm", f"{ETC}/fill")
    assert watched.command("reload").returncode == 0


@pytest.mark.promise("robots-fail-closed")
def test_a_power_cut_while_one_is_made(watched: Registry) -> None:
    """There is that robot, or none; those of before are as they were."""
    machine = watched.machine
    before = create(watched, "before", "--read", "a/**")
    machine.run("sync")
    for number in range(2):
        argv = machine.command("secure-registry", "token", "create", f"cut{number}", "--output", f"/root/cut{number}")
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.2 + 0.2 * number)  # the moment is what is tried, not waited for
        machine.power_cut()
        process.wait()
        machine.wait_unit("secure-registry.service")
        machine.wait_for("it serves", lambda: status(watched, "before", before) == "200")
        listed = watched.command("token", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        names = {one["name"] for one in json.loads(listed.stdout)}
        if f"cut{number}" in names:
            secret = machine.read(f"/root/cut{number}").strip()
            assert status(watched, f"cut{number}", secret) == "200"
        assert watched.command("status").returncode == 0


def test_who_there_is(watched: Registry) -> None:
    create(watched, "ci", "--read", "base/**")
    assert watched.status_of("/v2/", "docker") == "200"
    found = {one["user"]: one for one in json.loads(watched.command("users", "--json").stdout)}
    assert found["docker"]["last_login"] and not found["docker"]["robot"]
    assert found["robot-ci"]["rights"] == [{"pattern": "base/**", "actions": ["read"]}]
    assert found["robot-ci"]["last_login"] is None
    assert "robot-ci" in watched.command("users").stdout
