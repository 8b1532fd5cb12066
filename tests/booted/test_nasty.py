"""Modes, names, paths and secrets as nobody should choose them: units, hooks as root, directories of clients."""

from __future__ import annotations

import json

import pytest

from tests.booted.registry import ETC, Registry
from tests.hosts import docker
from tests.real.test_nasty import SECRET, evil_pair

IMAGES = "/srv/im ages %n'\";$x"
PROGRAM = "/usr/local/bin/reg%istry"


def warnings(registry: Registry) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(registry.command("status", "--json").stdout)["warnings"]
    return found


@pytest.mark.promise("hooks-of-others", "nothing-is-quoted", "readable-secrets")
def test_what_others_can_read_or_write_is_told_and_mended_by_its_remedies(registry: Registry) -> None:
    machine = registry.machine
    assert warnings(registry) == []
    modes = machine.run("stat", "-c", "%a", f"{ETC}/docker-registry.yml", f"{ETC}/secure-registry.conf").stdout
    assert modes.split() == ["640", "640"]
    machine.run("chmod", "644", f"{ETC}/docker-registry.yml")  # as 0.1 made it
    assert registry.command("reload").returncode == 0
    assert machine.run("stat", "-c", "%a", f"{ETC}/docker-registry.yml").stdout.strip() == "640"

    hook = f"#!/bin/sh\necho $SECREG_EVENT >> /root/ran; env >> /root/environment; touch {ETC}/.seen\n"
    machine.write(f"{ETC}/hooks.d/tell", hook, 0o755)
    machine.run("chown", "www-data", f"{ETC}/hooks.d/tell")
    machine.run("chmod", "-R", "777", ETC)
    registry.expected.append("others than root can write")
    registry.edit("nginx.conf", "worker_processes", "# one\nworker_processes")
    done = registry.command("reload")
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    for name, what in {
        "hooks.d/tell": f"is not run: others than root can write {ETC}", "docker-registry.key": "can read it",
        ".htpasswd": "can read it", ".password": "can read it",
    }.items():  # fmt: skip
        assert any(line.startswith(f"warning: {ETC}/{name}: ") and what in line for line in told), (name, told)
    assert any(line.startswith(f"warning: {ETC}: others than root can write it") for line in told), told
    assert "is not run" in registry.systemctl("status", "secure-registry", "-n", "50").stdout or warnings(registry)
    assert not machine.exists("/root/ran")
    for warning in warnings(registry):
        machine.run("sh", "-ec", warning["hint"])  # each remedy as it is told
    registry.edit("nginx.conf", "# one", "# two")
    assert registry.command("reload").returncode == 0
    assert warnings(registry) == []
    machine.wait_for("the hook", lambda: "applied" in machine.run("cat", "/root/ran", check=False).stdout)

    registry.expected.append(r"secure-registry.conf:\d+: |Reload failed|[Cc]ontrol process exited|status=2")
    before = machine.read(f"{ETC}/secure-registry.conf")
    registry.put("secure-registry.conf", f"{before}PASSWORD {SECRET}\nSERVER_NAME=x PASSWORD={SECRET}\n")
    done = registry.command("reload")
    assert done.returncode == 2 and "secure-registry.conf:" in done.stderr
    machine.wait_for("the hook", lambda: "rejected" in machine.read("/root/ran"))
    registry.systemctl("reload", "secure-registry")
    machine.wait_for("the hook's facts", lambda: "SECREG_REASON" in machine.read("/root/environment"))
    shown = done.stdout + done.stderr + machine.read("/root/environment")
    shown += registry.command("status").stdout + registry.systemctl("status", "secure-registry*").stdout
    assert SECRET not in shown
    assert SECRET not in "\n".join("\n".join(entry.values()) for entry in machine.journal())
    registry.put("secure-registry.conf", before)
    assert registry.command("reload").returncode == 0


@pytest.mark.promise("odd-names")
def test_odd_paths_and_names_go_where_they_should(registry: Registry) -> None:
    machine = registry.machine
    machine.run("cp", "/usr/bin/docker-registry", PROGRAM)
    registry.edit("secure-registry.conf", "#DOCKER_TRUST=insecure", f"DOCKER_TRUST=ca\nREGISTRY_BINARY={PROGRAM}")
    registry.edit("docker-registry.yml", "/var/lib/secure-registry/storage", json.dumps(IMAGES))
    done = registry.command("reload")
    assert done.returncode == 0, done.stderr
    assert registry.login().returncode == 0
    docker.make_image(machine, "127.0.0.1/odd:1", [(10_000, 1)])
    pushed = docker.push(machine, "127.0.0.1/odd:1")
    assert pushed.returncode == 0, pushed
    assert machine.run("ls", f"{IMAGES}/docker/registry/v2/repositories").stdout == "odd\nsecure-registry-probe\n"
    commands = machine.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", check=False).stdout
    assert f"{PROGRAM} serve /var/lib/secure-registry/slots/" in commands

    # a certificate for names that lead out of any directory, and into a shell
    names = ("docker-registry.crt", "docker-registry.key", "ca.crt")
    before = {name: machine.read(f"{ETC}/{name}") for name in names}
    crons = machine.run("ls", "-R", "/etc/cron.d", check=False).stdout
    for name, data in zip(names, evil_pair(), strict=True):
        registry.put(name, data.decode())
    registry.expected.append("neither host names nor addresses")
    done = registry.command("reload")
    assert done.returncode == 0 and "2 of its names are neither" in done.stderr, done
    trusted = machine.run("ls", "/etc/docker/certs.d").stdout.split()
    assert trusted == ["localhost", "localhost:443", "reg.example", "reg.example:443"]
    assert machine.run("ls", "-R", "/etc/cron.d", check=False).stdout == crons
    script = machine.run("secure-registry", "trust", "show").stdout
    machine.run("sh", input=script, check=False)  # it can't reach reg.example; root runs what it says
    assert not machine.exists("/tmp/secreg-pwned") and "pwned" not in script
    for name, text in before.items():
        registry.put(name, text)
    assert registry.command("reload").returncode == 0
