"""Backups of a registry that is used meanwhile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.booted.registry import Registry

HERE = Path(__file__).parent
THERE = "/srv/backup"


class Pushers:
    """Four clients that push without a pause while the block runs (pushers.py)."""

    def __init__(self, registry: Registry) -> None:
        for name in ("load.py", "pushers.py"):
            registry.machine.copy_in(HERE / name, f"/root/{name}")
        self.argv = registry.machine.command("python3", "-u", "/root/pushers.py")
        self.password = registry.password
        self.counted: dict[str, Any] = {}

    def __enter__(self) -> Pushers:
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{self.password}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "pushing"
        return self

    def __exit__(self, *_: object) -> None:
        said = self.process.communicate("", timeout=60)[0].splitlines()
        self.counted = json.loads(said[-1])


@pytest.mark.promise("backups", "backup-while-it-runs")
def test_ten_backups_while_four_push(registry: Registry) -> None:
    machine, made = registry.machine, []
    with Pushers(registry) as pushers:
        for _ in range(10):
            done = registry.command("backup", "create", THERE, "--json")
            assert done.returncode == 0, (done.stdout, done.stderr)
            made.append(json.loads(done.stdout))
    counted = pushers.counted
    assert counted["refused"] == [], "nothing was held up"
    assert min(counted[name] for name in ("pushed", "skipped", "mounted", "deleted")) > 5, counted
    assert made[-1]["tags"] > 5 and any(one["new_blobs"] for one in made[1:])
    proven = registry.command("backup", "verify", THERE, "--json")
    assert proven.returncode == 0, proven.stdout
    assert [(one["name"], one["whole"]) for one in json.loads(proven.stdout)] == [(one["name"], True) for one in made]
    odd = machine.run(
        "find", THERE, "(", "-type", "f", "-not", "-perm", "600", ")", "-o", "-type", "l", "-o", "!", "-user", "0"
    )
    assert odd.stdout == "", "all of it is for root alone"
    assert registry.command("backup", "prune", THERE, "--keep-last", "2").returncode == 0
    listed = json.loads(registry.command("backup", "list", THERE, "--json").stdout)
    assert [one["name"] for one in listed] == [one["name"] for one in made[-2:]]
    assert registry.command("backup", "verify", THERE).returncode == 0


@pytest.mark.promise("backup-that-is-cut", "backup-refuses-where-others-read")
def test_where_there_is_no_room_or_no_modes(registry: Registry) -> None:
    machine = registry.machine
    with Pushers(registry):
        machine.wait_for(
            "an image",
            lambda: machine.run(
                "sh", "-c", "ls /var/lib/secure-registry/storage/docker/registry/v2/blobs/sha256 | wc -l"
            ).stdout.strip()
            > "3",
        )
    machine.run("mkdir", "/mnt/small")
    machine.run("mount", "-t", "tmpfs", "-o", "size=200k,mode=700", "tmpfs", "/mnt/small")
    full = registry.command("backup", "create", "/mnt/small")
    assert full.returncode == 1 and "No space left on device" in full.stderr, full.stderr
    assert machine.run("ls", "/mnt/small/backups").stdout == ""
    machine.run("mount", "-o", "remount,size=100m", "/mnt/small")
    assert registry.command("backup", "create", "/mnt/small").returncode == 0
    machine.run("mount", "-o", "remount,ro", "/mnt/small")
    assert registry.command("backup", "verify", "/mnt/small").returncode == 0, "it needs nothing but to read"
    read_only = registry.command("backup", "create", "/mnt/small")
    assert read_only.returncode == 1 and "Read-only file system" in read_only.stderr
    machine.run("umount", "/mnt/small")
