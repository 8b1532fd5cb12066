"""Backups of a registry that is used meanwhile."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.booted.registry import ETC, Registry
from tests.hosts import tree
from tests.hosts.machine import Machine

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/backup.md"
THERE, STORAGE = "/srv/backup", "/var/lib/secure-registry/storage"


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
@pytest.mark.one_release(0)
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


@pytest.mark.one_release(0)
@pytest.mark.promise("restores", "restore-proves", "restore-loses-nothing")
def test_another_host_of_another_name_and_release(base_tree: Path, release: str, deb: Path, tmp_path: Path) -> None:
    """Backed up under load, destroyed, restored; clients of before pull the same by the old name, with TLS verified."""
    with Machine.boot(base_tree, "old", docker=False) as machine:
        machine.install(deb)
        machine.run("systemctl", "enable", "--now", "secure-registry")
        registry = Registry(machine)
        machine.run("secure-registry", "htpasswd", "-i", "alice", input="secret-of-alice\n")
        with Pushers(registry):
            for _ in range(2):
                done = registry.command("backup", "create", THERE)
                assert done.returncode == 0, done.stderr
        machine.run("tar", "--create", "--directory=/srv", "--file=/root/backup.tar", "backup")
        shutil.copy(machine.disk / "root/backup.tar", tmp_path / "backup.tar")
        ca, secret = machine.read(f"{ETC}/ca.crt"), registry.password
    other = next(one for one in tree.RELEASES if one != release)
    with Machine.boot(tree.base(other), "new", docker=False) as machine:
        machine.install(deb)
        registry = Registry(machine)
        machine.copy_in(tmp_path / "backup.tar", "/root/backup.tar")
        machine.run("tar", "--extract", "--directory=/srv", "--file=/root/backup.tar")
        dry = registry.command("restore", THERE, "--dry-run")
        assert dry.returncode == 0 and "this host is called new" in dry.stdout, dry.stdout
        assert not machine.exists(f"{ETC}/ca.crt")
        done = registry.command("restore", THERE)
        assert "all proven" in done.stdout and "each byte as it was" in done.stdout, (done.stdout, done.stderr)
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert "this host is called new now, and its certificate is for old" in done.stderr
        assert "gencert --new-ca, for its CA may not sign that" in done.stderr, "what clients by that name need"
        assert machine.read(f"{ETC}/ca.crt") == ca and registry.password == secret
        machine.write("/root/client.crt", ca)
        made = sorted(path for path in machine.run("ls", f"{THERE}/backups").stdout.split())[-1]
        pulled = 0
        repository = ""
        for line in machine.read(f"{THERE}/backups/{made}").splitlines():
            word, _, rest = line.partition(" ")
            repository = rest if word == "repository" else repository
            if word == "tag":
                tag, digest, _ = rest.split()
                head = old_client(machine, f"/v2/{repository}/manifests/{tag}", "alice:secret-of-alice")
                assert f"docker-content-digest: {digest}" in head, (repository, tag, head)
                pulled += 1
        assert pulled > 5
        again = registry.command("restore", THERE)
        assert again.returncode == 2 and "--force" in again.stderr, "there are images"
        issued = registry.command("gencert")
        assert issued.returncode == 0, issued.stderr
        assert machine.read(f"{ETC}/ca.crt") == ca, "no client has to trust anything anew"
        last = old_client(machine, f"/v2/{repository}/manifests/{tag}", "alice:secret-of-alice")
        assert "docker-content-digest" in last
        registry.expected.append("this host is called new now")
        assert registry.unexpected() == []


def old_client(machine: Machine, path: str, user: str) -> str:
    """The head of an answer to a client of before, to which the old name is the new host."""
    kinds = ",".join(f"application/vnd.docker.distribution.manifest{kind}.v2+json" for kind in ("", ".list"))
    argv = ["curl", "--silent", "--show-error", "--head", "--cacert", "/root/client.crt"]
    argv += ["--resolve", "old:443:127.0.0.1", "--user", user, "--header", f"Accept: {kinds}"]
    return machine.run(*argv, f"https://old{path}").stdout.lower()


@pytest.mark.one_release(0)
@pytest.mark.promise("backups", "restores")
def test_what_the_page_tells_to_type(registry: Registry) -> None:
    """Each line of each block of commands of docs/backup.md, in order, and its units."""
    machine = registry.machine
    with Pushers(registry):
        machine.wait_for("images", lambda: has_images(machine))
    blocks = re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", PAGE.read_text())
    typed = [line for kind, block in blocks for line in block.splitlines() if kind == "sh"]
    assert [kind for kind, _ in blocks] == ["sh", "sh", "ini", "ini", "ini", "text"]
    before, after = typed[:4], typed[4:]
    for line in before:
        machine.run("sh", "-c", line, timeout=120)
    units = re.findall(r"`(/etc/systemd/system/registry-backup\.\w+)`", PAGE.read_text())
    for path, (_, block) in zip(units, blocks[2:4], strict=True):
        machine.write(path, block)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "registry-backup.service", timeout=120)
    machine.run("systemctl", "enable", "--now", "registry-backup.timer")
    assert len(machine.run("ls", f"{THERE}/backups").stdout.split()) == 2
    machine.run("systemctl", "stop", "secure-registry")
    machine.run("rm", "-rf", ETC, f"{STORAGE}/docker")
    for line in after:
        machine.run("sh", "-c", line, timeout=120)
    assert has_images(machine) and registry.login().returncode == 0


@pytest.mark.one_release(0)
def test_a_restore_where_another_one_holds_the_port(registry: Registry) -> None:
    """All is back and proven; who holds the port is named; afterwards it starts."""
    machine = registry.machine
    with Pushers(registry):
        machine.wait_for("images", lambda: has_images(machine))
    assert registry.command("backup", "create", THERE).returncode == 0
    machine.run("secure-registry", "uninstall", "--purge", "--yes")
    machine.run("rm", "-rf", f"{STORAGE}/docker")
    machine.run("systemd-run", "--quiet", "--unit=other", "python3", "-m", "http.server", "443")
    machine.wait_for(
        "the other one", lambda: machine.run("curl", "-s", "http://127.0.0.1:443/", check=False).returncode == 0
    )
    done = registry.command("restore", THERE)
    assert done.returncode == 1 and "all proven" in done.stdout and "other.service" in done.stderr, done
    machine.run("systemctl", "stop", "other")
    machine.run("secure-registry", "start")
    assert has_images(machine) and registry.login().returncode == 0
    registry.expected += [
        "443",
        r"^secure-registry\.service: Failed with result",
        r"^Failed to start secure-registry\.service",
    ]


@pytest.mark.one_release(0)
@pytest.mark.promise("restore-loses-nothing")
def test_over_a_registry_that_runs(registry: Registry) -> None:
    """What was edited and pushed since is renamed, and what was backed up serves; one repository comes back beside."""
    machine = registry.machine
    with Pushers(registry):
        machine.wait_for("images", lambda: has_images(machine))
    assert registry.command("backup", "create", THERE).returncode == 0
    machine.run("secure-registry", "htpasswd", "-i", "mallory", input="secret-of-mallory\n")
    machine.run("sh", "-c", f"echo '# edited' >> {ETC}/nginx.conf")
    machine.run("rm", "-rf", f"{STORAGE}/docker/registry/v2/repositories/push/0")
    refused = registry.command("restore", THERE)
    assert refused.returncode == 2 and f"{ETC}/nginx.conf" in refused.stderr and "there are images" in refused.stderr
    one = registry.command("restore", THERE, "--only", "push/0")
    assert one.returncode == 0 and "each byte as it was" in one.stdout, one
    assert registry.status_of("/v2/push/0/tags/list", "docker") == "200"
    assert registry.status_of("/v2/", "mallory:secret-of-mallory") == "200", "all else is as it was"
    killed_while_it_serves(registry)
    done = registry.command("restore", THERE, "--force")
    assert done.returncode == 0 and "all proven" in done.stdout, done
    assert "0 B copied" in done.stdout, "it went on with what was beside"
    assert not machine.run("sh", "-c", f"ls -d {STORAGE}/docker.*.new /etc/.secure-registry*", check=False).stdout
    assert registry.status_of("/v2/", "mallory:secret-of-mallory") == "401"
    assert "# edited" not in machine.read(f"{ETC}/nginx.conf")
    aside = machine.run("sh", "-c", f"grep -l edited {ETC}.bak-*/nginx.conf; ls -d {STORAGE}/docker.*").stdout.split()
    assert len(aside) == 2
    assert registry.command("status").returncode == 0
    cut_between_two_renames(machine)
    assert has_images(machine) and registry.login().returncode == 0
    assert len(machine.run("sh", "-c", f"ls -d {STORAGE}/.secure-registry-store-*").stdout.split()) == 1
    assert registry.command("status").returncode == 0


def killed_while_it_serves(registry: Registry) -> None:
    """A restore that is killed once all is beside, and waits for an apply: what serves goes on, untouched."""
    machine = registry.machine
    before = machine.run("ls", f"{STORAGE}/docker/registry/v2/repositories/push").stdout
    machine.run("systemd-run", "--quiet", "--unit=holder", "flock", "/run/secure-registry/lock", "sleep", "120")
    machine.run("systemd-run", "--quiet", "--unit=cut", "secure-registry", "restore", THERE, "--force")
    machine.wait_for("what is beside", lambda: "all proven" in machine.run("journalctl", "--unit=cut").stdout)
    assert registry.status_of("/v2/", "mallory:secret-of-mallory") == "200"
    machine.run("systemctl", "kill", "--signal=KILL", "cut")
    machine.run("systemctl", "stop", "holder")
    assert registry.status_of("/v2/", "mallory:secret-of-mallory") == "200"
    assert machine.run("ls", f"{STORAGE}/docker/registry/v2/repositories/push").stdout == before
    assert machine.run("sh", "-c", f"ls -d {STORAGE}/docker.*.new").stdout
    registry.expected += [r"^cut\.service", r"^holder\.service"]


def cut_between_two_renames(machine: Machine) -> None:
    """What a restore leaves that was cut just then (tests/unit/images/test_site), and a start."""
    name, key = "20260101T000000Z", "a" * 32
    said = {"id": key, "name": name, "images": STORAGE, "list": "", "moving": True}
    machine.run("secure-registry", "stop")
    machine.run("rm", *machine.run("sh", "-c", f"ls {STORAGE}/.secure-registry-store-*").stdout.split())
    machine.run("mv", f"{STORAGE}/docker", f"{STORAGE}/docker.{name}.new")
    machine.write(f"{STORAGE}/docker.{name}.new/.secure-registry-restore", key)
    machine.write("/var/lib/secure-registry/state/restore.json", json.dumps(said))
    machine.run("secure-registry", "start")


def has_images(machine: Machine) -> bool:
    """Whether some were pushed."""
    found = machine.run("sh", "-c", f"ls {STORAGE}/docker/registry/v2/repositories/push/*/_manifests/tags | wc -l")
    return int(found.stdout) > 3
