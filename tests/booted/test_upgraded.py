"""nginx or the registry replaced under our feet, by the distribution or by hand: in use at once, and nobody noticed."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.booted.registry import Load, Registry
from tests.hosts.machine import Machine

NGINX = "/usr/sbin/nginx"
PROGRAM = "/usr/bin/docker-registry"


def next_version(machine: Machine, program: str, folder: Path) -> Path:
    """The package that `program` belongs to, one version on: the same program, with a mark at its end."""
    name = machine.run("dpkg-query", "-S", program).stdout.partition(":")[0]
    pattern = f"{machine.disk}/var/cache/apt/archives/{name}_*.deb"
    (archive,) = [Path(path) for path in subprocess.getoutput(f"ls {pattern}").splitlines()]
    tree, made = folder / name, folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "-R", archive, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: (.*)", r"Version: \1+next", control.read_text()))
    with (tree / program.lstrip("/")).open("ab") as stream:
        stream.write(b"next")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, made], check=True, stdout=subprocess.DEVNULL)
    return made


def running(machine: Machine, program: str) -> set[str]:
    """The ends of the files that processes of ours run as `program`: `next`, once all of them are renewed."""
    script = (
        "for each in /proc/[0-9]*; do grep -qs secure-registry $each/cgroup && "
        f"case $(readlink $each/exe) in {program}*) tail -c 4 $each/exe; echo; esac; done"
    )
    return set(machine.run("sh", "-c", f"{script}; true").stdout.split())


@pytest.mark.promise("security-updates")
def test_upgrades_by_the_distribution_are_in_use_and_drop_no_request(watched: Registry, tmp_path: Path) -> None:
    machine = watched.machine
    packages = [next_version(machine, program, tmp_path) for program in (NGINX, PROGRAM)]
    slot = watched.component("registry")["facts"]["slot"]
    with Load(watched) as load:
        for package in packages:
            machine.copy_in(package, f"/root/{package.name}")
            machine.run("dpkg", "--force-depends", "-i", f"/root/{package.name}", timeout=300)
        for program in (NGINX, PROGRAM):
            in_use = partial(lambda name: running(machine, name) == {"next"}, program)
            machine.wait_for(f"the new {program}", in_use, 60)
        machine.wait_for("quiet", lambda: watched.command("status").returncode == 0)
    assert (load.failures, load.requests > 20) == ([], True)
    assert watched.component("registry")["facts"]["slot"] != slot, "the registry moved to another slot"
    for unit in ("nginx", "auth"):
        main = watched.pid(f"secure-registry-{unit}")
        assert machine.run("tail", "-c", "4", f"/proc/{main}/exe").stdout == "next", "systemd knows the new process"
    with Load(watched) as load:  # what comes after finds the right process
        watched.edit("nginx.conf", "worker_processes", "# edited\nworker_processes")
        current = "/var/lib/secure-registry/current/front/nginx.conf"
        machine.wait_for("the edit", lambda: "# edited" in machine.read(current))
        machine.wait_for("its end", lambda: watched.command("status").returncode == 0)
    assert load.failures == []
    assert watched.systemctl("restart", "secure-registry").returncode == 0


@pytest.mark.parametrize("program", [NGINX, PROGRAM])
def test_a_program_that_is_broken_is_told_and_not_used(registry: Registry, program: str) -> None:
    """The half of an upgrade that can't start: what runs goes on; when the file is mended it is taken."""
    registry.expected.append("was upgraded, but|signal process|exited|ended|Main process|Failed with|level=fatal")
    machine = registry.machine
    units = [f"secure-registry-{name}" for name in (("nginx", "auth") if program == NGINX else ("registry@a",))]
    before = [registry.pid(unit) for unit in units]
    machine.run("ln", program, f"{program}.old")
    machine.run("sh", "-c", f"cp /bin/false {program}.new; mv {program}.new {program}")
    done = registry.command("reload")
    assert done.returncode == 2 and "was upgraded, but" in done.stderr, done
    assert "goes on as it was started" in registry.command("status").stdout
    assert registry.status_of("/v2/_catalog", user="docker") == "200"
    assert [registry.pid(unit) for unit in units] == before
    machine.run("mv", f"{program}.old", program)
    assert registry.command("reload").returncode == 0
    assert registry.command("status").returncode == 0
    assert [registry.pid(unit) for unit in units] == before, "it is the old program again: nothing to do"
    assert registry.status_of("/v2/_catalog", user="docker") == "200"
