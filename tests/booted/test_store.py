"""The disk with the images is not mounted, is mounted by systemd, is another one, or belongs to root in part.

The disk is a tmpfs elsewhere that is bound to where images are: it keeps them while it is not mounted there.
"""

from __future__ import annotations

import re

import pytest

from tests.booted.registry import ETC, Registry
from tests.booted.test_front import upload
from tests.hosts.machine import Machine

PLACE, LINK, DISK, OTHER = "/srv/images", "/srv/link", "/mnt/disk", "/mnt/other"
FSTAB = f"{DISK} {PLACE} none bind,noauto 0 0\n"
TREE = "docker/registry/v2"


def disk(machine: Machine, place: str) -> None:
    machine.run("mkdir", "-p", place)
    machine.run("mount", "-t", "tmpfs", "-o", "mode=0750", f"disk-of-{place[5:]}", place)
    machine.run("chown", "secure-registry:", place)


def entries(machine: Machine, place: str) -> list[str]:
    return sorted(machine.run("find", place, "-mindepth", "1", "-printf", "%P\n").stdout.split())


def markers(machine: Machine, place: str) -> list[str]:
    return [name for name in entries(machine, place) if name.startswith(".secure-registry-store-")]


def held_back(registry: Registry, why: str) -> None:
    """The registry does not run, status says why, and all else is there."""
    machine, found = registry.machine, None

    def told() -> bool:
        nonlocal found
        found = registry.command("status")
        return found.returncode == 3 and why in found.stdout and "setup --new-store" in found.stdout

    machine.wait_for(f"it is told: {why}", told)
    machine.wait_for("the registry ends", lambda: registry.status_of("/v2/", user="docker") in ("502", "503"))
    assert registry.status_of("/v2/") == "401"
    assert "active" not in registry.systemctl("is-active", "secure-registry-registry@*").stdout.split()


def serves(registry: Registry, path: str, said: str) -> None:
    machine = registry.machine
    machine.wait_for(f"{said} is served", lambda: registry.curl(path, user="docker").stdout == f"{said}\n200", 70)
    machine.wait_for("nothing is held back", lambda: registry.command("status").returncode == 0)


@pytest.mark.promise("foreign-owners", "fstab", "new-store", "store-away")
def test_the_disk_of_the_store(watched: Registry) -> None:
    machine = watched.machine
    # where the directory is gone, neither unit can have it
    watched.expected += [
        "rootdirectory",
        r"(registry|images)@.*(Failed|process exited)|Failed to start .*@|NAMESPACE|/srv/images: ",
    ]
    watched.breaks("registry", "store")
    disk(machine, DISK)
    machine.run(
        "sh", "-c", f"mkdir {PLACE}; ln -s images {LINK}; echo '{FSTAB}' >> /etc/fstab; systemctl daemon-reload"
    )
    machine.run("mount", PLACE)
    watched.edit("docker-registry.yml", "/var/lib/secure-registry/storage", LINK)
    unit = "/etc/systemd/system/secure-registry-registry@.service"
    required = f"RequiresMountsFor={LINK}\nRequiresMountsFor={PLACE}\n"
    machine.wait_for("the disk", lambda: required in machine.read(unit))
    machine.wait_for("its proof", lambda: watched.command("status").returncode == 0)
    (marker,) = markers(machine, PLACE)
    assert machine.run("stat", "-c", "%U %a", f"{PLACE}/{marker}").stdout == "secure-registry 644\n"
    first = upload(watched, "first")
    assert watched.curl("/v2/_catalog", user="docker").stdout == '{"repositories":["some/blob"]}\n\n200'

    # unmounted while it runs: known at once; nothing is made, or written, below
    machine.run("umount", PLACE)
    held_back(watched, f"nothing is mounted at {PLACE}")
    machine.run("secure-registry", "htpasswd", "-b", f"{ETC}/.htpasswd", "bob", "secret", check=False)
    machine.wait_for("bob", lambda: watched.status_of("/v2/", user="bob:secret") in ("502", "503"))
    assert entries(machine, PLACE) == []
    machine.run("mount", PLACE)
    serves(watched, first, "first")

    # a restart mounts what fstab says, even with noauto
    machine.run("umount", PLACE)
    held_back(watched, f"nothing is mounted at {PLACE}")
    assert watched.systemctl("restart", "secure-registry").returncode == 0
    serves(watched, first, "first")

    # where nobody mounts it, what it hid does not serve either: images of before there was a disk, their marker too
    machine.run("sh", "-c", f"sed -i '\\|{PLACE}|d' /etc/fstab; systemctl daemon-reload; umount {PLACE}")
    held_back(watched, f"nothing is mounted at {PLACE}")
    machine.run("sh", "-c", f"rmdir {PLACE}; systemctl restart secure-registry")
    held_back(watched, f"nothing is mounted at {PLACE}")
    assert not machine.exists(PLACE)
    machine.run(
        "sh", "-c", f"cp -a {DISK} {PLACE}; rm {PLACE}/.secure*; touch {PLACE}/.secure-registry-store-{'1' * 32}"
    )
    below = entries(machine, PLACE)
    machine.run("systemctl", "restart", "secure-registry")
    held_back(watched, f"nothing is mounted at {PLACE}")
    assert watched.command("reload").returncode == 3 and entries(machine, PLACE) == below
    machine.run("mount", "--bind", DISK, PLACE)
    serves(watched, first, "first")

    # an empty disk in its place, until somebody says that it is meant; then the first one again, which is told
    disk(machine, OTHER)
    machine.run("sh", "-c", f"umount {PLACE}; mount --bind {OTHER} {PLACE}")
    held_back(watched, "it is empty")
    assert entries(machine, OTHER) == []
    assert "the changes serve: registry\n" in machine.run("secure-registry", "setup", "--new-store").stdout
    assert watched.command("status").returncode == 0 and watched.status_of(first, user="docker") == "404"
    second = upload(watched, "second")
    machine.run("sh", "-c", f"umount {PLACE}; mount --bind {DISK} {PLACE}")
    serves(watched, first, "first")
    machine.wait_for("not the other one", lambda: watched.status_of(second, user="docker") == "404")
    told = "holds another store than the one that served"
    machine.wait_for(
        "it is told", lambda: any(told in entry["MESSAGE"] for entry in machine.journal(priority="warning"))
    )

    # copied by root: told, with what helps, through the link
    repository = f"{PLACE}/{TREE}/repositories/some/blob"
    machine.run(
        "sh", "-c", f"cp -r {repository} {PLACE}/{TREE}/repositories/some/copy; chown root {PLACE}/{TREE}/blobs"
    )
    done = watched.command("reload")
    assert done.returncode == 0 and f"can't write {LINK}/{TREE}/blobs" in done.stderr, done.stderr
    (typed,) = [line.partition("-> ")[2].partition(";")[0] for line in done.stderr.splitlines() if "chown" in line]
    machine.run("sh", "-c", typed)
    assert "can't write" not in watched.command("reload").stderr
    assert machine.run("find", PLACE, "!", "-user", "secure-registry").stdout == ""
    upload(watched, "third")


@pytest.mark.promise("store-away")
def test_a_disk_that_comes_while_its_view_is_made_stays(watched: Registry) -> None:
    """Seen, once in some hundred: mounted between two steps, it came along into the view, and went with that."""
    machine, place = watched.machine, "/var/lib/secure-registry/storage"
    text = machine.run("systemctl", "cat", "secure-registry-images@a").stdout.replace("%i", "a")
    steps = re.findall(r"(?m)^ExecStart=:(.+)$", text)
    ends = re.findall(r"(?m)^ExecStopPost=-:(.+)$", text)
    (bind,) = [step for step in steps if "bind,ro" in step]
    machine.run("systemctl", "stop", "secure-registry-images@a")
    machine.run("sh", "-ec", "; ".join(steps[: steps.index(bind) + 1]))
    disk(machine, OTHER)
    machine.run("mount", "--bind", OTHER, place)
    machine.run("sh", "-ec", "; ".join(steps[steps.index(bind) + 1 :]), check=False)
    machine.run("sh", "-c", "; ".join(ends), check=False)
    assert machine.run("findmnt", "--noheadings", "--output", "SOURCE", place).stdout.startswith("disk-of-")
    # a look at what was just mounted there may be on its way
    machine.wait_for("its end", lambda: machine.run("umount", place, check=False).returncode == 0)
    assert "/run/secure-registry-images" not in machine.read("/proc/self/mountinfo")
    watched.breaks("registry", "store")
    machine.run("systemctl", "start", "secure-registry-images@a")
    machine.wait_for("it serves", lambda: watched.command("status").returncode == 0)
