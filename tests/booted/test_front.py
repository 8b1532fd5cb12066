"""The front on a host: three users and their sandboxes, the storage that it reads, what it remembers passwords in."""

from __future__ import annotations

import hashlib

from tests.booted.registry import Registry

STORAGE = "/var/lib/secure-registry/storage"


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
    machine.run("chmod", "-R", "g-rwx", f"{STORAGE}/docker")
    assert answer() == "0123456789\n200"
    machine.run("chmod", "-R", "g+rX", f"{STORAGE}/docker")
    machine.run("sh", "-c", f"chmod g-r $(find {STORAGE} -name data) $(find {STORAGE} -name link)")
    assert answer() == "0123456789\n200"

    # and at the next apply, the administrator is told
    done = registry.command("reload")
    assert "can't read" in done.stderr and "chmod -R g+rX" in done.stderr, done
    assert answer() == "0123456789\n200"
    assert f"root {STORAGE}" not in machine.read("/var/lib/secure-registry/current/front/secure-registry/registry.conf")
    machine.run("chmod", "-R", "g+rX", f"{STORAGE}/docker")
    assert "can't read" not in registry.command("reload").stderr
    assert STORAGE in machine.read("/var/lib/secure-registry/current/front/secure-registry/registry.conf")
    assert answer() == "0123456789\n200"
    registry.expected += [
        r"open\(\) .* failed \(13: Permission denied\)",
        "can't read /var/lib/secure-registry/storage",
    ]
