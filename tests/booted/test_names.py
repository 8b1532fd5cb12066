"""The names and addresses of a host: of a new one with a domain, and of one that is renamed or moved."""

from __future__ import annotations

import pytest

from tests.booted.registry import ETC, Registry
from tests.hosts.machine import Machine

FULL, RENAMED, LOST = "reg.corp.example", "renamed", "192.0.2.77"
BRIDGE = "172.30.0.1"


@pytest.mark.promise("host-names")
def test_a_host_with_a_domain_that_is_renamed_and_moved(installed_host: Machine) -> None:
    """Judged by what is served. Seen: the short name alone, docker0's address, and a gencert that refused."""
    host, registry = installed_host, Registry(installed_host)

    def names() -> str:
        return host.run(
            "sh", "-c", "openssl s_client -connect localhost:443 </dev/null 2>/dev/null | "
            "openssl x509 -noout -ext subjectAltName"
        ).stdout  # fmt: skip

    host.run("sh", "-c", f"hostname reg; echo 127.0.1.1 {FULL} reg >> /etc/hosts")
    host.run("sh", "-c", f"ip link add br9 type bridge; ip addr add {BRIDGE}/16 dev br9; ip link set br9 up")
    host.run("ip", "addr", "add", f"{LOST}/24", "dev", "eth0")
    host.run("systemctl", "enable", "--now", "secure-registry")
    assert f"DNS:{FULL}, DNS:reg, DNS:localhost," in names() and f"IP Address:{LOST}" in names()
    constraints = host.run("openssl", "x509", "-noout", "-ext", "nameConstraints", "-in", f"{ETC}/ca.crt").stdout
    assert f"DNS:{FULL}\n" in constraints and "DNS:corp.example\n" not in constraints, "no wider than its name"
    told = "; ".join(registry.command(*argv).stdout for argv in (["status"], ["trust", "show"]))
    assert f"https://{FULL}" in told and LOST in told and BRIDGE not in names() + told, "a bridge is no endpoint"

    host.run("sh", "-c", f"hostname {RENAMED}; ip addr del {LOST}/24 dev eth0")
    check = registry.command("status", "--check")
    assert check.returncode == 1 and "WARNING - certificate: " in check.stdout, "seen: OK"
    status = registry.command("status")
    assert status.returncode == 0 and f"called {RENAMED} now, and its certificate is for reg\n" in status.stdout
    assert f"has not the address {LOST} any more" in status.stdout
    done = registry.command("gencert")
    assert done.returncode == 0, done.stderr
    assert f"name or address {RENAMED} is not in it: the host's CA may not sign that" in done.stderr
    assert f"DNS:{FULL}, DNS:reg," in names() and LOST not in names(), "the rest is as it is now"
    assert "secure-registry gencert --new-ca" in registry.component("certificate")["remedy"], "gencert alone is no help"
    assert registry.command("gencert", "--new-ca").returncode == 0
    assert registry.command("status", "--check").returncode == 0
    assert f"DNS:{RENAMED}, DNS:localhost," in names() and "warning" not in registry.command("status").stdout
    assert registry.login().returncode == 0
    assert registry.unexpected() == []
