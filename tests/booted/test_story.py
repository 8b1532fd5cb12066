"""The life of the package on a fresh host: install, start, push, pull, restart, reboot, upgrade, remove, purge."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from secreg_host import __version__
from tests.booted.registry import ETC, Load, Registry
from tests.hosts import docker, files
from tests.hosts.fixtures import releases
from tests.hosts.machine import Machine

LARGE = 2_200_000_000
"""Bytes of a layer that doesn't fit into 31 bits."""

LEFT_BEHIND = (
    r"/etc/(passwd|shadow|group|gshadow|subuid|subgid)-?$",  # system users stay, as is Debian's practice
    r"/etc/\.pwd\.lock",
    r"/var/(lib/(dpkg|apt|ucf|systemd|dbus|docker|containerd)|log|cache)(/|$)",
    r"/var/lib/secure-registry(/storage(/.*)?)?$",  # images are never removed
    r"/run/|/root/\.docker|/etc/(ld\.so\.cache|machine-id|mtab|resolv\.conf|docker)|/etc/\.updated|/var/\.updated",
    r"__pycache__",
)


RELEASES = releases() if "SECREG_TEST_RELEASES" in os.environ else [*releases(), "testing"]
"""The whole story is told on what comes next, too."""

NEW = "# of the new version\n"


def upgraded(deb: Path, target: Path) -> Path:
    """The same package as version 99.0: other defaults, which unedited files follow, other units, other code."""
    tree = target / "tree"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99.0", control.read_text()))
    for name in ("nginx.conf", "docker-registry.yml"):
        template = tree / f"usr/share/secure-registry/templates/etc/{name}.j2"
        template.write_text(NEW + template.read_text())
    units = (tree / "usr/share/secure-registry/templates/units/sandbox.j2", *tree.rglob("secure-registry.service"))
    for path in units:
        path.write_text(path.read_text() + NEW)
    code = tree / "usr/share/secure-registry/secreg_host/__init__.py"
    code.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.0"', code.read_text()))
    for path in code.parent.rglob("*.py"):
        path.touch()  # a build gives all files its date
    new = target / "secure-registry_99.0_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, new], check=True, stdout=subprocess.DEVNULL)
    return new


def in_use(registry: Registry, version: str, is_new: bool, watchdog: str) -> None:
    """The code, the units and the watchdog are those of `version`, and systemd knows it."""
    machine = registry.machine
    assert machine.run("secure-registry", "--version").stdout == f"secure-registry {version}\n"
    for unit in ("", "-nginx", "-auth", "-registry@a"):
        name = f"secure-registry{unit}.service"
        assert (NEW in machine.run("systemctl", "cat", name).stdout) == is_new, name
        assert machine.run("systemctl", "show", "-p", "NeedDaemonReload", "--value", name).stdout == "no\n", name
    machine.wait_for("the new watchdog", lambda: registry.pid("secure-registry-watchdog") not in ("0", watchdog), 60)


def waits_for_somebody(registry: Registry) -> None:
    """Nothing of it runs, nor would after a reboot."""
    assert registry.systemctl("is-enabled", "secure-registry").stdout.strip() == "disabled"
    for unit in ("", "-nginx", "-auth", "-registry@a", "-watchdog"):
        assert registry.systemctl("is-active", f"secure-registry{unit}").stdout.strip() == "inactive", unit
    assert registry.machine.run("ss", "-Hltn", "sport", "=", ":443").stdout == ""


@pytest.mark.promise("edited-files-stay", "nothing-starts-at-installation", "purge-keeps-images")
@pytest.mark.parametrize("release", RELEASES, indirect=True, scope="session")
def test_from_install_to_purge(base_tree: Path, deb: Path, tmp_path: Path) -> None:
    with Machine.boot(base_tree, "host", volatile=False) as machine:
        registry = Registry(machine)

        said = machine.install(deb)
        assert "systemctl enable --now secure-registry" in said.stdout + said.stderr
        listening = machine.run("ss", "-Hltn").stdout
        assert not re.search(r":(80|443|5000)\b", listening), listening
        for unit in ("docker-registry", "nginx", "secure-registry"):
            assert registry.systemctl("is-enabled", unit).stdout.strip() == "disabled", unit
            assert registry.systemctl("is-active", unit).stdout.strip() == "inactive", unit
        assert not machine.exists(ETC)
        before = machine.snapshot_files()

        mark = machine.journal_end()
        assert registry.systemctl("start", "secure-registry").returncode == 0
        assert registry.login().returncode == 0
        assert not any("Reloading" in entry["MESSAGE"] for entry in machine.journal(after=mark)), "nothing is known yet"
        for unit in ("", "-nginx", "-auth", "-registry@a"):
            fresh = machine.run("systemctl", "show", "-p", "NeedDaemonReload", "--value", f"secure-registry{unit}")
            assert fresh.stdout == "no\n", unit
        assert registry.systemctl("enable", "--now", "secure-registry").returncode == 0
        assert machine.run("stat", "-c", "%a", f"{ETC}/.password").stdout.strip() == "600"
        docker.make_image(machine, "127.0.0.1/small:1", [(3_000_000, 1), (1000, 2)])
        small = docker.image_id(machine, "127.0.0.1/small:1")
        assert docker.push(machine, "127.0.0.1/small:1").returncode == 0
        docker.remove_image(machine, "127.0.0.1/small:1")
        assert docker.pull(machine, "127.0.0.1/small:1").returncode == 0
        assert docker.image_id(machine, "127.0.0.1/small:1") == small
        docker.remove_image(machine, "127.0.0.1/small:1")

        assert registry.systemctl("restart", "secure-registry").returncode == 0
        assert docker.pull(machine, "127.0.0.1/small:1").returncode == 0
        machine.reboot()
        machine.wait_unit("secure-registry.service")
        assert registry.command("status").returncode == 0
        docker.remove_image(machine, "127.0.0.1/small:1")
        assert docker.pull(machine, "127.0.0.1/small:1").returncode == 0
        machine.power_cut()
        machine.wait_unit("secure-registry.service")
        assert registry.login().returncode == 0
        assert registry.unexpected() == []
        assert [unit for unit in machine.failed_units() if "modules-load" not in unit] == []

        edited = registry.edit("docker-registry.yml", "level: warn", "level: error")
        assert registry.systemctl("reload", "secure-registry").returncode == 0
        watchdog = registry.pid("secure-registry-watchdog")
        with Load(registry) as load:
            machine.install(upgraded(deb, tmp_path), options=["--allow-downgrades"])
        assert (load.failures, load.requests > 20) == ([], True)
        in_use(registry, "99.0", True, watchdog)
        assert "level: error" in machine.read(f"{ETC}/docker-registry.yml")
        assert machine.read(f"{ETC}/docker-registry.yml") == edited.replace("level: warn", "level: error")
        assert machine.read(f"{ETC}/nginx.conf").startswith("# of the new version\n")
        assert "# of the new version" in machine.read("/var/lib/secure-registry/current/front/nginx.conf")
        watchdog = registry.pid("secure-registry-watchdog")
        said = machine.install(deb, options=["--allow-downgrades"])
        assert f"version {__version__} is lower" in said.stdout, said.stdout
        waits_for_somebody(registry)
        assert registry.systemctl("enable", "--now", "secure-registry").returncode == 0
        in_use(registry, __version__, False, watchdog)
        assert not machine.read(f"{ETC}/nginx.conf").startswith("# of the new version\n")

        machine.run("apt-get", "remove", "--yes", "secure-registry")
        assert registry.systemctl("is-active", "secure-registry").stdout.strip() == "inactive"
        assert machine.run("ss", "-Hltn", "sport", "=", ":443").stdout == ""
        assert machine.exists(f"{ETC}/nginx.conf") and machine.exists("/var/lib/secure-registry/state/ca.key")
        machine.install(deb)
        assert registry.systemctl("enable", "--now", "secure-registry").returncode == 0
        assert docker.pull(machine, "127.0.0.1/small:1").returncode == 0

        said = machine.run("apt-get", "purge", "--yes", "secure-registry")
        assert "The images are still in /var/lib/secure-registry/storage" in said.stdout
        assert machine.exists("/var/lib/secure-registry/storage/docker/registry/v2/repositories/small")
        marker = "/var/lib/secure-registry/storage/.secure-registry-store-*"
        assert machine.run("sh", "-c", f"ls {marker}").stdout.count("\n") == 1
        difference = files.difference(before, machine.snapshot_files())
        added = [path for path in difference.added if not any(re.match(known, path) for known in LEFT_BEHIND)]
        assert [path for path in added if "secure-registry" in path or path.startswith(("/etc", "/usr", "/opt"))] == []
        changed = [path for path in difference.changed if not any(re.match(known, path) for known in LEFT_BEHIND)]
        assert [path for path in changed if path.startswith(("/etc", "/usr", "/opt"))] == []


@pytest.mark.long
def test_a_layer_of_more_than_two_gibibytes_by_docker(base_tree: Path, deb: Path) -> None:
    """Pushed by docker and pulled into an empty store: two minutes. (Without docker: tests/real/test_large.py.)"""
    with Machine.boot(base_tree, "host", volatile=False) as machine:
        machine.install(deb)
        registry = Registry(machine)
        registry.systemctl("start", "secure-registry")
        assert registry.login().returncode == 0
        large = docker.make_image(machine, "127.0.0.1/large:1", [(LARGE, 3)])
        assert docker.push(machine, "127.0.0.1/large:1").returncode == 0
        docker.remove_image(machine, "127.0.0.1/large:1")
        machine.run("docker", "system", "prune", "--all", "--force")
        assert docker.pull(machine, "127.0.0.1/large:1").returncode == 0
        assert docker.image_id(machine, "127.0.0.1/large:1") == large
