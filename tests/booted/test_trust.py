"""Docker, Podman, Skopeo and containerd of Debian, as they trust the registry: one host from a Docker that is not
there yet to the removal of the package, and another host that is told with `trust show`. The tests need their order.

A container runs from the second test to the last: it must keep its process through all of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.booted import clients
from tests.booted.registry import ETC, Registry
from tests.hosts import tree
from tests.hosts.machine import Machine
from tests.unit.test_docker import CORPUS

NAME, SIX = "registry.example.test", "six.example.test"
"""Names of the registry; the second leads to its IPv6 address only."""
DAEMON_JSON, CERTS_D = "/etc/docker/daemon.json", "/etc/docker/certs.d"
DROP_IN = "/etc/systemd/system/docker.service.d/test.conf"
SEVERAL = "fd00:ec::10"


@dataclass
class Host(Registry):
    """The registry's host; six: its IPv6 address."""

    six: str = SEVERAL

    @property
    def addresses(self) -> list[str]:
        """Every way to write it, on port 443 and on another one."""
        hosts = [NAME, SIX, self.machine.address, f"[{self.six}]"]
        return [
            f"{host}{port}" for host in hosts for port in ("", ":443", ":5443") if not (host[0] == "[" and not port)
        ]

    @property
    def clients(self) -> list[clients.Client]:
        kinds = (clients.Docker, clients.Podman, clients.Skopeo, clients.Ctr)
        return [kind(self.machine, self.password) for kind in kinds]

    def shown(self) -> set[str]:
        """The insecure registries that `docker info` shows."""
        said = json.loads(self.machine.run("docker", "info", "--format={{json .RegistryConfig}}").stdout)
        return {name for name, index in said["IndexConfigs"].items() if not index["Secure"]}

    def listed(self) -> list[str]:
        """Those in daemon.json."""
        found = json.loads(self.machine.read(DAEMON_JSON)) if self.machine.exists(DAEMON_JSON) else {}
        return found.get("insecure-registries", [])

    def mode(self, mode: str) -> None:
        self.machine.run("sed", "-i", f"s/^#\\?DOCKER_TRUST=.*/DOCKER_TRUST={mode}/", f"{ETC}/secure-registry.conf")
        done = self.command("reload")
        assert done.returncode == 0, done.stderr

    def logged_out(self) -> None:
        self.machine.run("rm", "-rf", "/root/.docker", "/run/containers/0/auth.json")


@pytest.fixture(scope="module")
def clients_tree(release: str) -> Path:
    return tree.base(release, "clients")


def know_names(machine: Machine, registry: str, six: str) -> None:
    machine.run("sh", "-c", f"printf '%s\\n' '{registry} {NAME}' '{six} {SIX}' >> /etc/hosts")


@pytest.fixture(scope="module")
def host(clients_tree: Path, deb: Path) -> Iterator[Host]:
    """A host with the package installed, but not started."""
    with Machine.boot(clients_tree, "host") as machine:
        machine.run("ip", "address", "add", f"{SEVERAL}/64", "dev", "eth0", "nodad")
        know_names(machine, machine.address, SEVERAL)
        machine.install(deb)
        yield Host(machine, expected=[r"pam_env"])


@pytest.fixture(autouse=True)
def container(host: Host) -> Iterator[None]:
    """The container goes on through every test."""
    running = host.machine.run("docker", "inspect", "idle", check=False).returncode == 0
    before = clients.pid(host.machine, "idle") if running else ""
    yield
    assert not before or clients.pid(host.machine, "idle") == before


def test_docker_that_is_installed_later_is_told(host: Host) -> None:
    machine = host.machine
    machine.run("apt-get", "remove", "--yes", "docker.io")
    settings = {"SERVER_NAME": f"{NAME} {SIX}", "SERVER_IP": f"{machine.address} {SEVERAL}"}
    assert machine.run("secure-registry", "setup", env=settings).stderr == ""
    assert host.systemctl("enable", "--now", "secure-registry").returncode == 0
    assert not machine.exists(DAEMON_JSON) and not machine.exists(CERTS_D)
    assert host.unexpected() == []
    machine.run("apt-get", "install", "--yes", "--no-install-recommends", "docker.io")
    machine.wait_unit("docker.service")
    machine.wait_for("its entries", lambda: {NAME, f"{SIX}:443", machine.address} <= host.shown())
    assert clients.Docker(machine, host.password).login(NAME) is None
    clients.prepare(machine)
    clients.run_container(machine, "idle")


def test_another_port_is_told_by_itself(host: Host) -> None:
    """An edit of nginx.conf: the watchdog lets it serve, and Docker hears of it without a restart."""
    host.edit(
        "nginx.conf", "listen 443 ssl;", "listen 443 ssl;\n        listen 5443 ssl;\n        listen [::]:5443 ssl;"
    )
    host.machine.wait_for("its entries", lambda: {f"{NAME}:5443", f"[{SEVERAL}]:5443"} <= host.shown())


def test_insecure(host: Host) -> None:
    assert host.command("trust", "install", "--insecure", "podman", "containerd").returncode == 0
    assert {word for word in host.addresses} <= set(host.listed())
    found = [client.works(address) for client in host.clients for address in host.addresses]
    assert [said for said in found if said] == []
    assert host.command("trust", "check").returncode == 0
    assert host.command("trust", "remove", "podman", "containerd").returncode == 0
    assert not host.machine.exists(clients.CERTS_D)


def test_none(host: Host) -> None:
    host.mode("none")
    assert host.shown() == set() and not host.machine.exists(DAEMON_JSON)
    host.logged_out()
    for client in host.clients:
        for address in (NAME, f"{host.machine.address}:5443", f"[{SEVERAL}]:443"):
            said = client.pull(address) if isinstance(client, clients.Ctr) else client.login(address)
            assert said and "certificate signed by unknown authority" in said, (str(client), address)
    done = host.command("trust", "check", "docker", "podman", "containerd")
    assert done.returncode == 3
    for client in ("docker", "podman", "containerd"):
        assert f"{client:<11} {NAME:<32} fails: unable to get local issuer certificate" in done.stdout, done.stdout


def test_ca(host: Host) -> None:
    host.mode("ca")
    assert host.command("trust", "install", "podman", "containerd").returncode == 0
    assert host.shown() == set() and not host.machine.exists(DAEMON_JSON)
    found = [client.works(address) for client in host.clients for address in host.addresses]
    assert [said for said in found if said] == []
    done = host.command("trust", "check")
    assert (done.returncode, done.stdout.count("accepts it")) == (0, len(done.stdout.splitlines()))
