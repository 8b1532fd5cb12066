"""The RPM on a booted host that acts as one of Red Hat's family: real rpm, dnf, scriptlets, systemd, SELinux policy.

There is no Fedora or EL on a Debian machine: their packages are stand-ins (rpms.py), what those hold is Debian's. The
host has what EL 10 has: no pydbus, no package of the registry, services disabled unless a preset says otherwise.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host import __version__
from tests.booted import rpms
from tests.booted.registry import ETC, Load, Registry
from tests.booted.test_story import waits_for_somebody
from tests.hosts import docker, tree
from tests.hosts.commands import Result
from tests.hosts.machine import Machine

LIB = "/var/lib/secure-registry"
EL_RELEASE = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.1"\n'

RULES = [
    ["httpd_t", "httpd_config_t", "file", "read"],  # generations: configuration, certificate, key
    ["httpd_t", "httpd_config_t", "lnk_file", "read"],
    ["httpd_t", "httpd_sys_content_t", "file", "read"],  # blobs
    ["httpd_t", "httpd_runtime_t", "sock_file", "write"],
    ["httpd_t", "httpd_t", "unix_stream_socket", "connectto"],  # the front to the password check
    ["httpd_t", "unconfined_service_t", "unix_stream_socket", "connectto"],  # to the registry
    ["httpd_t", "httpd_log_t", "file", "append"],
    ["init_t", "secure_registry_state_t", "file", "read"],  # EnvironmentFile=
]
FORBIDDEN = [
    ["httpd_t", "secure_registry_state_t", "file", "read"],  # the CA's key
    ["httpd_t", "secure_registry_state_t", "dir", "search"],
    ["httpd_t", "httpd_config_t", "file", "write"],
    ["httpd_t", "var_log_t", "file", "unlink"],  # the log of who did what
    ["httpd_t", "var_log_t", "file", "append"],
]
QUERY = """
import glob, json, setools, sys
policy = setools.SELinuxPolicy(glob.glob("/etc/selinux/default/policy/policy.*")[0])
def is_unconditional(rule):
    try:
        rule.conditional
    except setools.exception.RuleNotConditional:
        return True
    return False
def is_allowed(source, target, kind, permission):
    given = {"source": source, "target": target, "tclass": [kind], "perms": [permission]}
    rules = setools.TERuleQuery(policy, ruletype=["allow"], **given).results()
    return any(is_unconditional(rule) for rule in rules)
print(json.dumps([rule for rule in json.load(sys.stdin) if is_allowed(*rule)]))
"""
"""Prints those of the given rules (source, target, class, permission) that the policy has, whatever booleans say."""


@pytest.fixture(scope="module")
def rpm() -> Path:
    """The package: the file that SECREG_RPM names, else the one that `make rpm` builds now."""
    if given := os.environ.get("SECREG_RPM"):
        return Path(given).resolve(strict=True)
    subprocess.run(["make", "rpm"], cwd=rpms.CHECKOUT, check=True, capture_output=True, text=True)
    (found,) = rpms.CHECKOUT.glob("dist/secure-registry-*.noarch.rpm")
    return found


@pytest.fixture(scope="module", params=["bookworm-rpm"])
def release(request: pytest.FixtureRequest) -> str:
    """The tree: one Debian is enough for what stands for none of them."""
    return str(request.param)


@pytest.fixture(scope="module")
def host(release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A host that resembles EL 10, with repositories of EL 9, EL 10 and Fedora 42."""
    repositories = tmp_path_factory.mktemp("repositories")
    with Machine.boot(tree.base(*release.split("-")), "host") as machine:
        machine.run("systemctl", "disable", "--now", "nginx", "docker-registry")
        machine.write("/etc/systemd/system-preset/99-default-disable.preset", "disable *\n")
        machine.run("mv", "/usr/bin/docker-registry", "/root/registry")
        machine.run("rm", "/etc/os-release")
        machine.write("/etc/os-release", EL_RELEASE)
        for name, packages in (("el9", rpms.EL9), ("el10", rpms.EL10), ("fedora42", rpms.FEDORA)):
            machine.copy_in(rpms.repository(repositories / name, packages), f"/repositories/{name}")
        machine.write("/root/dnf.conf", "[main]\ngpgcheck=0\nplugins=0\nreposdir=/nonexistent\nmetadata_expire=0\n")
        machine.copy_in(rpms.CHECKOUT / "tests/booted/selinux-compat.cil", "/root/compat.cil")
        machine.run("semodule", "-N", "-i", "/root/compat.cil")
        yield machine


def dnf(machine: Machine, repository: str, *argv: str, options: tuple[str, ...] = ()) -> Result:
    source = [f"--repofrompath={repository},file:///repositories/{repository}", "--releasever=10"]
    root = [f"--setopt=cachedir=/var/cache/dnf-{repository}"]
    return machine.run("dnf", "--config=/root/dnf.conf", *source, *root, *options, *argv, check=False)


@pytest.mark.promise("el-9")
def test_what_is_needed_on_fedora_and_el(host: Machine, rpm: Path) -> None:
    """Fedora brings the registry and pydbus along, weak dependencies or not; EL 10 installs; EL 9 is told why not."""
    host.copy_in(rpm, "/root/ours.rpm")
    dry = ("--assumeno", "--setopt=install_weak_deps=False")
    said = dnf(host, "fedora42", "install", "/root/ours.rpm", "fedora-release-common", options=dry).stdout
    assert re.search(r"(?m)^ docker-distribution ", said) and re.search(r"(?m)^ python3-pydbus ", said), said
    said = dnf(host, "el10", "install", "/root/ours.rpm", options=("--assumeno",)).stdout
    assert re.search(r"(?m)^ nginx ", said) and "docker-distribution" not in said and "pydbus" not in said, said
    refused = dnf(host, "el9", "install", "/root/ours.rpm", options=("--assumeno",))
    assert "python3 >= 3.11" in refused.stderr, refused


@pytest.mark.promise("edited-files-stay", "no-registry-is-told", "rpm", "selinux")
def test_from_install_to_erase(host: Machine, rpm: Path, tmp_path: Path) -> None:
    registry = Registry(host)
    host.copy_in(rpm, "/root/ours.rpm")
    listening = host.run("ss", "-Hltn").stdout  # containerd's own
    done = dnf(host, "el10", "install", "-y", "/root/ours.rpm")
    assert done.returncode == 0, done
    assert "systemctl enable --now secure-registry" in done.stdout
    assert "/usr/local/bin/registry" in done.stdout
    assert registry.systemctl("is-enabled", "secure-registry").stdout.strip() == "disabled"
    assert registry.systemctl("is-active", "secure-registry").stdout.strip() == "inactive"
    assert host.run("ss", "-Hltn").stdout == listening
    assert not host.exists(ETC)
    assert host.run("stat", "-c", "%U %a", f"{LIB}/state", "/var/log/secure-registry").stdout.splitlines() == [
        "root 700",
        "secure-registry-nginx 2750",
    ]
    check_policy(host)

    registry.systemctl("start", "secure-registry")
    failed = host.run("systemctl", "status", "secure-registry", check=False).stdout
    assert "program not found: docker-registry or registry" in failed and "/usr/local/bin/registry" in failed, failed
    registry.expected += [r"program not found|/usr/local/bin/registry|secure-registry\.service|Failed to start"]
    host.run("mv", "/root/registry", "/usr/local/bin/registry")

    assert registry.systemctl("enable", "--now", "secure-registry").returncode == 0
    assert registry.login().returncode == 0
    docker.make_image(host, "127.0.0.1/small:1", [(300_000, 1), (1000, 2)])
    assert docker.push(host, "127.0.0.1/small:1").returncode == 0
    # logrotate as that family has it: group adm, our user
    host.run("logrotate", "--force", "/etc/logrotate.d/secure-registry")
    registry.curl("/v2/", user="docker")
    host.wait_for("the new log", lambda: "/v2/" in host.read("/var/log/secure-registry/access.log"))

    edited = registry.edit("docker-registry.yml", "level: warn", "level: error")
    assert registry.command("reload").returncode == 0
    rotated = host.read("/etc/logrotate.d/secure-registry").replace("rotate 8", "rotate 9")
    host.write("/etc/logrotate.d/secure-registry", rotated)
    watchdog = registry.pid("secure-registry-watchdog")
    host.run("mv", "/etc/selinux/config", "/root/selinux")  # the same once more would cost seconds
    host.copy_in(rpms.newer(tmp_path / "newer", "99.0"), "/root/newer.rpm")
    with Load(registry) as load:
        done = dnf(host, "el10", "install", "-y", "/root/newer.rpm")
        assert done.returncode == 0, done
    assert (load.failures, load.requests > 20) == ([], True)
    assert host.run("rpm", "-q", "secure-registry").stdout.strip() == "secure-registry-99.0-1.noarch"
    assert host.read(f"{ETC}/docker-registry.yml") == edited.replace("level: warn", "level: error")
    assert host.read("/etc/logrotate.d/secure-registry") == rotated
    assert host.exists("/etc/logrotate.d/secure-registry.rpmnew")
    assert host.read(f"{ETC}/nginx.conf").startswith("# of the new version\n")
    assert "# of the new version" in host.read(f"{LIB}/current/front/nginx.conf")
    assert registry.systemctl("is-enabled", "secure-registry").stdout.strip() == "enabled"
    assert registry.pid("secure-registry-watchdog") not in ("0", watchdog)
    assert registry.login().returncode == 0
    verified = host.run("rpm", "-V", "--nodeps", "secure-registry", check=False).stdout.splitlines()
    assert [line for line in verified if "/etc/logrotate.d/" not in line] == []

    done = dnf(host, "el10", "downgrade", "-y", "/root/ours.rpm")
    assert done.returncode == 0, done
    assert f"version {__version__} is lower than 99.0" in done.stdout, done
    waits_for_somebody(registry)
    assert registry.systemctl("enable", "--now", "secure-registry").returncode == 0
    assert not host.read(f"{ETC}/nginx.conf").startswith("# of the new version\n")
    assert "level: error" in host.read(f"{ETC}/docker-registry.yml")
    assert host.read("/etc/logrotate.d/secure-registry") == rotated
    assert registry.command("status").returncode == 0

    host.run("mv", "/root/selinux", "/etc/selinux/config")
    done = dnf(host, "el10", "remove", "-y", "--noautoremove", "secure-registry")
    assert done.returncode == 0, done
    assert f"kept {ETC} and {LIB}" in done.stdout and f"images stay in {LIB}/storage" in done.stdout
    assert (
        registry.systemctl("is-active", "secure-registry", "secure-registry-nginx").stdout.split() == ["inactive"] * 2
    )
    assert host.run("ss", "-Hltn").stdout == listening
    assert host.exists(f"{ETC}/nginx.conf") and host.exists(f"{LIB}/state/ca.key")
    assert host.exists(f"{LIB}/storage/docker/registry/v2/repositories/small")
    left = host.run("find", "/usr", "/run", "/etc/systemd", "-name", "*secure-registry*").stdout
    assert left == ""
    assert "secure_registry" not in host.run("semodule", "-l").stdout
    assert registry.unexpected() == []


def check_policy(host: Machine) -> None:
    """The module that the package installed, in Debian's policy: labels, and who may do what."""
    assert "secure_registry" in host.run("semodule", "-l").stdout
    contexts = "/etc/selinux/default/contexts/files/file_contexts"
    expected = {
        f"{LIB}/generations/0123/front/docker-registry.key": "httpd_config_t",
        f"{LIB}/current": "httpd_config_t",
        f"{LIB}/storage/docker/registry/v2/blobs": "httpd_sys_content_t",
        f"{LIB}/state/ca.key": "secure_registry_state_t",
        "/run/secure-registry/registry-a/registry.sock": "httpd_runtime_t",
        "/run/secure-registry/auth": "httpd_runtime_t",
        "/var/log/secure-registry/access.log": "httpd_log_t",
        "/var/log/secure-registry/audit.log": "var_log_t",
        f"{LIB}/audit/audit.log-20261201T000000.gz": "secure_registry_state_t",
    }
    said = host.run("matchpathcon", "-n", "-f", contexts, *expected).stdout.split()
    assert [context.split(":")[2] for context in said] == list(expected.values())

    allowed = json.loads(host.run("python3", "-c", QUERY, input=json.dumps(RULES + FORBIDDEN)).stdout)
    assert [rule for rule in RULES if rule not in allowed] == []
    assert [rule for rule in FORBIDDEN if rule in allowed] == []
