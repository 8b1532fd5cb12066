"""From 0.1 to this version and back with everything in use that is there by then: each issue adds what it brings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.booted.registry import ETC, SELF_SIGNED, Load, Registry
from tests.booted.test_front import upload
from tests.booted.test_story import RELEASES, waits_for_somebody
from tests.booted.test_versions import GUEST
from tests.hosts.machine import Machine
from tests.real.program import OLD

THERE = "/srv/backup"
TRUSTED = "/usr/local/share/ca-certificates/secure-registry.crt"
HELD_BACK = "nonsense_of_mine on;"


def status(machine: Machine, path: str, user: str) -> str:
    """What a client is answered that takes any certificate."""
    argv = ["curl", "--insecure", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--user", user]
    return machine.run(*argv, f"https://localhost{path}", check=False).stdout


def in_use(registry: Registry, image: str, pair: str) -> None:
    """Users, images and the certificate are what they were."""
    machine = registry.machine
    machine.wait_for("the registry", lambda: status(machine, "/v2/", f"docker:{registry.password}") == "200", 60)
    assert status(machine, "/v2/", "guest:chaos") == "200"
    assert status(machine, "/v2/", "guest:other") == "401"
    assert status(machine, image, f"docker:{registry.password}") == "200"
    assert registry.fingerprint() == pair
    assert registry.login().returncode == 0


@pytest.mark.promise("older-version-waits", "backup-of-held-back-edits")
@pytest.mark.one_release(-1)
@pytest.mark.parametrize("release", RELEASES, indirect=True, scope="session")
def test_up_down_and_up_again(base_tree: Path, deb: Path) -> None:
    with Machine.boot(base_tree, "host") as machine:
        machine.install(OLD)
        machine.run("systemctl", "enable", "--now", "secure-registry")
        registry = Registry(machine)
        image = upload(registry, "image")
        machine.run("sh", "-c", f"echo '{GUEST}' >> {ETC}/.htpasswd")
        machine.run("secure-registry", "trust", "install", "system")
        new = f"{SELF_SIGNED} -days 90 -keyout {ETC}/docker-registry.key -out {ETC}/docker-registry.crt 2>/dev/null"
        machine.run("sh", "-c", new)
        shown = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", f"{ETC}/docker-registry.crt"]
        pair = machine.run(*shown).stdout
        machine.wait_for("the own certificate", lambda: registry.fingerprint() == pair, 20)
        good = machine.read(f"{ETC}/nginx.conf")
        machine.run("sh", "-c", f"echo '{HELD_BACK}' >> {ETC}/nginx.conf")
        machine.wait_for("it is held back", lambda: "nonsense_of_mine" in registry.command("status").stdout, 20)

        with Load(registry) as load:
            machine.install(deb, options=["--allow-downgrades"])
        assert (load.failures, load.requests > 20) == ([], True)
        in_use(registry, image, pair)
        assert machine.exists(TRUSTED)
        found = registry.command("status")
        assert found.returncode == 3 and "unknown directive" in found.stdout, found.stdout
        assert HELD_BACK in machine.read(f"{ETC}/nginx.conf"), "whoever edits may go on with it"
        made = registry.command("backup", "create", THERE)
        assert made.returncode == 3 and f"{ETC}/nginx.conf" in made.stderr and "does not serve" in made.stderr, made
        assert registry.command("backup", "verify", THERE).returncode == 0

        said = machine.install(OLD, options=["--allow-downgrades"]).stdout
        assert "version 0.1.0 is lower, and does not know\n- backup and restore" in said, said
        waits_for_somebody(registry)
        machine.reboot()
        waits_for_somebody(registry)
        machine.write(f"{ETC}/nginx.conf", good)
        machine.run("systemctl", "enable", "--now", "secure-registry")
        in_use(registry, image, pair)

        with Load(registry) as load:
            said = machine.install(deb, options=["--allow-downgrades"]).stdout
        assert "is lower" not in said
        assert (load.failures, load.requests > 20) == ([], True)
        in_use(registry, image, pair)
        assert registry.systemctl("is-enabled", "secure-registry").stdout.strip() == "enabled"
        assert registry.command("backup", "verify", THERE).returncode == 0
        assert machine.exists(TRUSTED), "0.1 takes it out while a certificate of its own serves"
        made = registry.command("backup", "create", THERE, "--json")
        assert made.returncode == 0, made
        assert len(json.loads(registry.command("backup", "list", THERE, "--json").stdout)) == 2
        assert registry.command("backup", "verify", THERE).returncode == 0
