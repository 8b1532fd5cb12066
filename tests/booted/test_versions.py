"""From 0.1 to this version while it runs, back, and up again: nobody is locked out, and who is removed is out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.booted.registry import ETC, Registry
from tests.booted.test_front import STORAGE, upload
from tests.booted.test_story import waits_for_somebody
from tests.hosts.machine import Machine
from tests.real.program import OLD

SECONDS = 20.0
GUEST = "guest:{SHA}sjtLjWgc/4GRCphLKHWUi/wyyOE="  # of "chaos"


def old(host: Machine) -> Registry:
    """The registry of version 0.1, which serves on `host` from now on."""
    host.install(OLD)
    host.run("systemctl", "enable", "--now", "secure-registry")
    return Registry(host)


@pytest.mark.promise("logs-for-adm")
@pytest.mark.one_release(0)
def test_up_down_and_up_again(fresh_host: Machine, deb: Path) -> None:
    host = fresh_host
    registry = old(host)
    assert registry.login().returncode == 0
    image = upload(registry, "image")
    for package in (deb, OLD, deb):
        host.run("sh", "-c", f"echo '{GUEST}' >> {ETC}/.htpasswd")
        host.wait_for("the guest", lambda: registry.status_of("/v2/", user="guest:chaos") == "200", SECONDS)
        host.install(package, options=["--allow-downgrades"])
        if package == OLD:  # it serves once somebody starts it
            waits_for_somebody(registry)
            host.run("systemctl", "enable", "--now", "secure-registry")
        found = registry.command("status")
        assert found.returncode == 0, found.stdout
        if package != OLD:
            host.wait_for("the observer", lambda: registry.pid("secure-registry-observer") != "0", SECONDS)
        assert registry.status_of("/v2/", user="guest:chaos") == "200"
        assert registry.login().returncode == 0
        assert registry.curl(image, user="docker").stdout == "image\n200"
        assert len(host.run("find", STORAGE, "-name", ".secure-registry-store-*").stdout.split()) == 1, "silently"
        host.run("sed", "-i", "/^guest:/d", f"{ETC}/.htpasswd")
        host.wait_for("he is out", lambda: registry.status_of("/v2/", user="guest:chaos") == "401", SECONDS)
        host.run("systemctl", "restart", "secure-registry")
        assert registry.login().returncode == 0 and registry.command("status").returncode == 0
        host.reboot()
        host.wait_for("the registry", lambda: registry.status_of("/v2/", user="docker") == "200", 60)
        assert registry.status_of("/v2/", user="guest:chaos") == "401"
    logs_are_for_adm(host, registry)
    units = ["sh", "-c", "ls -d /etc/systemd/system/secure-registry*"]
    assert ".bak-" not in host.run(*units).stdout, "units of either version are no edits"
    host.run("apt-get", "purge", "--yes", "secure-registry")
    assert host.run(*units, check=False).stdout == ""


@pytest.mark.promise("removed-user-is-out")
def test_up_while_something_is_held_back(fresh_host: Machine, deb: Path) -> None:
    """What the old version held back, the new one does, too; users count all the same, and that is what is said."""
    host = fresh_host
    registry = old(host)
    host.run("sh", "-c", f"echo '{GUEST}' >> {ETC}/.htpasswd; echo nonsense_of_mine >> {ETC}/nginx.conf")
    host.wait_for("the guest", lambda: registry.status_of("/v2/", user="guest:chaos") == "200", SECONDS)
    said = host.install(deb).stdout
    assert "nobody can log in" not in said and "2 users can log in" in said, said
    assert registry.login().returncode == 0
    host.run("sed", "-i", "/^guest:/d", f"{ETC}/.htpasswd")
    host.wait_for("he is out", lambda: registry.status_of("/v2/", user="guest:chaos") == "401", SECONDS)
    found = registry.command("status")
    assert f"rejected     {ETC}/nginx.conf:" in found.stdout and "nobody can log in" not in found.stdout, found.stdout
    host.run("sed", "-i", "/nonsense_of_mine/d", f"{ETC}/nginx.conf")
    host.wait_for("nothing is held back", lambda: registry.command("status").returncode == 0, SECONDS)
    assert registry.login().returncode == 0


def logs_are_for_adm(host: Machine, registry: Registry) -> None:
    """Those that 0.1 wrote, those of now, and those that logrotate makes; nobody else reads them."""
    logs = "/var/log/secure-registry"
    host.run("useradd", "--groups", "adm", "reader")

    def read() -> list[str]:
        script = f"cd {logs} && for each in *; do cat $each >/dev/null && echo $each; done"
        return host.run("runuser", "-u", "reader", "--", "sh", "-c", script).stdout.split()

    def moded() -> set[str]:
        return set(host.run("sh", "-c", f"stat -c '%U %G %a' {logs}/*").stdout.splitlines())

    registry.status_of("/v2/", user="docker:wrong")
    before = {"access.log", "failed-logins.log"}
    assert host.run("stat", "-c", "%U %G %a", logs).stdout == "secure-registry-nginx adm 2750\n"
    assert set(read()) == before
    host.run("logrotate", "--force", "/etc/logrotate.d/secure-registry")
    registry.status_of("/v2/", user="docker:wrong")
    for name in before:
        host.wait_for(f"the new {name}", lambda name=name: host.read(f"{logs}/{name}") != "")  # type: ignore[misc]
    assert set(read()) == before | {f"{name}.1" for name in before}
    assert moded() == {"secure-registry-nginx adm 640"}
    assert host.run("runuser", "-u", "nobody", "--", "ls", logs, check=False).returncode != 0
