"""The front on a host: three users and their sandboxes, the storage that it reads, what it remembers passwords in."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.booted.registry import Load, Registry

STORAGE = "/var/lib/secure-registry/storage"
VIEWS = "/run/secure-registry-images/"


def upload(registry: Registry, data: str) -> str:
    """A blob in repository `some/blob`; its path."""
    machine, login = registry.machine, f"docker:{registry.password}"
    ask = ["curl", "-sS", "--cacert", "/etc/secure-registry/ca.crt", "-u", login]
    url = "https://localhost/v2/some/blob/blobs/uploads/"
    headers = machine.run(*ask, "-X", "POST", "-D", "-", "-o", "/dev/null", url).stdout
    (where,) = [line.split(" ")[1].strip() for line in headers.splitlines() if line.lower().startswith("location:")]
    digest = f"sha256:{hashlib.sha256(data.encode()).hexdigest()}"
    to = f"https://localhost{where}&digest={digest}"
    done = machine.run(*ask, "-X", "PUT", "--data-binary", data, "-H", "Content-Type: a/b", "-w", "%{http_code}", to)
    assert done.stdout == "201"
    return f"/v2/some/blob/blobs/{digest}"


def test_manifests_come_from_the_disk(registry: Registry) -> None:
    """By the JavaScript module of each release."""
    kind = "application/vnd.oci.image.manifest.v1+json"
    config = {"mediaType": "a/b", "size": 2, "digest": upload(registry, "{}").rpartition("/")[2]}
    data = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []})
    put = ["--request", "PUT", "--data-binary", data, "--header", f"Content-Type: {kind}"]
    assert registry.curl("/v2/some/blob/manifests/t", *put, user="docker").stdout.endswith("201")
    registry.systemctl("kill", "--signal=STOP", "secure-registry-registry@*")
    wants = ["--header", "Accept: a/b", "--header", f"Accept: {kind};q=0.5, c/d"]
    assert registry.curl("/v2/some/blob/manifests/t", *wants, user="docker").stdout == f"{data}\n200"
    registry.systemctl("kill", "--signal=CONT", "secure-registry-registry@*")


def test_blobs_come_from_the_disk_or_else_from_the_registry(registry: Registry) -> None:
    machine = registry.machine
    path = upload(registry, "0123456789")

    def answer() -> str:
        return registry.curl(path, user="docker").stdout

    registry.systemctl("kill", "--signal=STOP", "secure-registry-registry@*")
    assert answer() == "0123456789\n200"
    assert registry.status_of(path) == "401"
    registry.systemctl("kill", "--signal=CONT", "secure-registry-registry@*")

    # what nginx can't read is read by the registry, from one request to the next
    def chmod(script: str) -> None:
        """The observer's own blob may go meanwhile, which chmod says; what follows tells whether it did."""
        machine.run("sh", "-c", script, check=False)

    chmod(f"chmod -R g-rwx {STORAGE}/docker")
    assert answer() == "0123456789\n200"
    chmod(f"chmod -R g+rX {STORAGE}/docker")
    chmod(f"chmod g-r $(find {STORAGE} -name data) $(find {STORAGE} -name link)")
    assert answer() == "0123456789\n200"

    # and at the next apply, the administrator is told
    done = registry.command("reload")
    assert "can't read" in done.stderr and "chmod -R g+rX" in done.stderr, done
    assert answer() == "0123456789\n200"
    conf = "/var/lib/secure-registry/current/front/secure-registry/registry.conf"
    assert VIEWS not in machine.read(conf)
    chmod(f"chmod -R g+rX {STORAGE}/docker")
    assert "can't read" not in registry.command("reload").stderr
    assert VIEWS in machine.read(conf)
    assert answer() == "0123456789\n200"
    registry.expected += [
        r"open\(\) .* failed \(13: Permission denied\)",
        "can't read /var/lib/secure-registry/storage",
    ]


@pytest.mark.promise("planted-files")
def test_the_front_follows_the_storage(watched: Registry) -> None:
    """Another directory (by a link of the administrator's), another file system on it, and that gone again: the front
    sends what is there now, and never from where it is not any more."""
    machine = watched.machine

    def from_disk(path: str) -> str:
        """What is answered while the registry can't."""
        watched.systemctl("kill", "--signal=STOP", "secure-registry-registry@*")
        try:
            return watched.curl(path, "--max-time", "3", user="docker").stdout
        finally:
            watched.systemctl("kill", "--signal=CONT", "secure-registry-registry@*")

    watched.expected += ["not the store that served before|nothing is mounted at /srv/images", "no view of /srv/link"]
    watched.breaks("store")  # until somebody says that it is meant
    first = upload(watched, "first")
    assert from_disk(first) == "first\n200"
    machine.run("install", "-d", "-o", "secure-registry", "-g", "secure-registry", "-m", "0750", "/srv/images")
    machine.run("ln", "-s", "images", "/srv/link")
    watched.edit("docker-registry.yml", STORAGE, "/srv/link")
    machine.wait_for("the other one", lambda: watched.status_of(first, user="docker") == "404")
    second = upload(watched, "second")
    assert from_disk(second) == "second\n200"
    assert watched.command("reload").returncode == 0, "no apply runs any more"
    owner = f"uid={machine.run('id', '-u', 'secure-registry').stdout.strip()}"
    group = f"gid={machine.run('id', '-g', 'secure-registry').stdout.strip()}"
    watched.systemctl("kill", "--signal=STOP", "secure-registry-watchdog")  # it would see the mount, too
    machine.run("mount", "-t", "tmpfs", "-o", f"{owner},{group},mode=0750", "none", "/srv/images")
    assert watched.command("setup", "--new-store").returncode == 0
    watched.systemctl("kill", "--signal=CONT", "secure-registry-watchdog")
    flags = machine.run("findmnt", "--noheadings", "--output", "OPTIONS", "--types", "tmpfs").stdout
    assert "nosymfollow" in flags
    assert watched.status_of(second, user="docker") == "404"
    third = upload(watched, "third")
    assert from_disk(third) == "third\n200"

    watched.systemctl("stop", "secure-registry")
    assert VIEWS not in machine.read("/proc/self/mountinfo")
    machine.run("umount", "/srv/images")
    assert watched.command("setup", "--new-store").returncode == 0
    assert watched.systemctl("start", "secure-registry").returncode == 0
    assert from_disk(second) == "second\n200"


KIND = "application/vnd.oci.image.manifest.v1+json"
MODULE = "libnginx-mod-http-js"


def push_manifest(registry: Registry) -> str:
    """An image without layers, tagged; the path of its manifest."""
    config = upload(registry, "{}").rpartition("/")[2]
    parts = {"config": {"mediaType": "a/b", "digest": config, "size": 2}, "layers": []}
    data = json.dumps({"schemaVersion": 2, "mediaType": KIND, **parts})
    path = "/v2/some/blob/manifests/tag"
    put = registry.curl(path, "-X", "PUT", "--data-binary", data, "-H", f"Content-Type: {KIND}", user="docker")
    assert put.stdout.endswith("201"), put
    return path


def test_manifests_come_from_the_disk_while_nginx_has_its_module(watched: Registry) -> None:
    machine, path = watched.machine, push_manifest(watched)

    def status() -> str:
        return watched.curl(path, "--head", "-H", f"Accept: {KIND}", user="docker").stdout[-3:]

    def serves(with_module: bool) -> bool:
        conf = "/var/lib/secure-registry/current/front/secure-registry/main.conf"
        return ("load_module" in machine.read(conf)) is with_module

    assert serves(with_module=True)
    watched.systemctl("kill", "--signal=STOP", "secure-registry-registry@*")
    assert status() == "200"
    watched.systemctl("kill", "--signal=CONT", "secure-registry-registry@*")

    # without it the registry answers, and with it again; nobody has to say so
    with Load(watched) as load:
        machine.run("apt-get", "remove", "--yes", MODULE)
        machine.wait_for("the front without its module", lambda: serves(with_module=False))
        assert status() == "200"
        machine.run("apt-get", "install", "--yes", MODULE)
        machine.wait_for("the front with its module", lambda: serves(with_module=True))
        assert status() == "200"
    assert (load.failures, load.requests > 5) == ([], True)

    # nor does it matter when it goes while nothing runs
    watched.systemctl("stop", "secure-registry")
    machine.run("apt-get", "remove", "--yes", MODULE)
    assert watched.systemctl("start", "secure-registry").returncode == 0
    assert serves(with_module=False) and status() == "200"
    machine.run("apt-get", "install", "--yes", MODULE)
    machine.wait_for("the front with its module", lambda: serves(with_module=True))
    watched.expected += [
        r"dlopen\(\) .*ngx_http_js_module.so",
        r"secure-registry-nginx.service: (Main process|Control process|Failed with)",
        "Failed to start secure-registry-nginx",
    ]
