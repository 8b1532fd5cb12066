"""The log of who did what on a host: each thing in one line, whatever is killed, removed or full meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.booted.registry import ETC, Registry
from tests.booted.test_manifests_service import blob, delete, put
from tests.hosts.machine import Machine

SERVICE = "secure-registry-audit.service"
LOG, PACKED = "/var/log/secure-registry/audit.log", "/var/lib/secure-registry/audit"
PEOPLE = (Path(__file__).resolve().parents[2] / "docs/people.md").read_text()


@pytest.fixture(scope="module")
def registry(installed_base: Machine) -> Iterator[Registry]:
    """One host for all."""
    with Machine.boot(installed_base, "host", docker=False) as machine:
        machine.run("systemctl", "enable", "--now", "secure-registry")
        found = Registry(machine)
        found.expected.append(r"audit\.service|audit\.log was removed|who did what can't be written|queue\.service")
        yield found
        odd = found.unexpected()
        assert not odd, "\n".join([*odd, "the journal until then:", *found.until(odd[0])])


def log(registry: Registry, *options: str) -> list[dict[str, Any]]:
    said = registry.command("audit", "--json", *options)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def about(registry: Registry, repository: str, count: int) -> list[dict[str, Any]]:
    """The `count` entries about a repository, once they are there, and no more."""
    machine = registry.machine
    machine.wait_for("the log", lambda: len(log(registry, "--repo", repository)) >= count, 60)
    put(registry, "end/of", repository.replace("/", "-"), blob(registry, "end/of"))  # nothing comes after that
    machine.wait_for("its end", lambda: any(one["tag"] == repository.replace("/", "-") for one in end(registry)), 60)
    found = log(registry, "--repo", repository)
    assert len(found) == count, found
    return found


def end(registry: Registry) -> list[dict[str, Any]]:
    return log(registry, "--repo", "end/of")


def other(registry: Registry, name: str, tag: str, digest: str) -> str:
    """Another image by the same tag."""
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2}
    body = json.dumps({"schemaVersion": 2, "config": described, "layers": [], "annotations": {"a": tag}})
    registry.machine.write("/root/other", body)
    kind = "Content-Type: application/vnd.oci.image.manifest.v1+json"
    done = registry.curl(f"/v2/{name}/manifests/{tag}", "-T", "/root/other", "-H", kind, user="docker")
    return done.stdout.rpartition("\n")[2]


@pytest.mark.promise("who-did-what", "who-did-what-is-roots")
def test_what_is_pushed_overwritten_deleted_and_refused(registry: Registry) -> None:
    digest = blob(registry, "team/app")
    assert put(registry, "team/app", "v1", digest) == "201"
    assert other(registry, "team/app", "v1", digest) == "201"
    assert delete(registry, "team/app", "v1") == "202"
    assert registry.status_of("/v2/secure-registry-probe/tags/list", user="docker") == "403"
    pushed, over, gone = about(registry, "team/app", 3)
    assert [one["did"] for one in (pushed, over, gone)] == ["push", "overwrite", "delete"]
    assert {(one["user"], one["tag"], one["by"]) for one in (pushed, over, gone)} == {("docker", "v1", "manifests")}
    assert over["was"] == pushed["digest"] and gone["digest"] == over["digest"] != pushed["digest"]
    assert pushed["address"] in ("127.0.0.1", "::1") and re.fullmatch(r"20\S+T\S+\.\d{6}Z", pushed["time"])
    registry.machine.wait_for("what was refused", lambda: log(registry, "--repo", "secure-registry-probe") != [])
    [refused] = log(registry, "--repo", "secure-registry-probe")
    assert (refused["did"], refused["status"], refused["by"]) == ("refused", 403, "front")
    assert refused["said"] == "GET /v2/secure-registry-probe/tags/list" and "user" not in refused
    assert registry.machine.run("stat", "-c", "%U:%G %a", LOG).stdout == "root:adm 640\n"
    seen = registry.machine.run("nsenter", "-t", registry.pid("secure-registry-nginx"), "-m", "stat", "-c", "%a", LOG)
    assert seen.stdout == "0\n", "the front's sandbox hides it"
    table = registry.command("audit", "--repo", "team/*").stdout.splitlines()
    assert table[0].split()[:4] == ["TIME", "(UTC)", "DID", "USER"] and len(table) == 4


@pytest.mark.promise("who-did-what")
def test_users_and_certificates(registry: Registry) -> None:
    before = len(log(registry))
    assert registry.command("htpasswd", "-i", "alice", input="a-password-of-hers\n").returncode == 0
    assert registry.command("htpasswd", "-D", "alice").returncode == 0
    assert registry.command("gencert").returncode == 0
    registry.command("reload")
    registry.machine.wait_for(
        "all of it", lambda: "certificate changed" in {one["did"] for one in log(registry)[before:]}, 60
    )
    found = log(registry)[before:]
    of_alice = [one["did"] for one in found if one.get("user") == "alice"]
    assert of_alice == ["user added", "user removed"]
    [changed] = [one for one in found if one["did"] == "certificate changed"]
    assert "localhost" in changed["said"] and "SHA-256" in changed["said"] and changed["by"]


@pytest.mark.promise("who-did-what-once")
def test_what_is_killed_and_booted_again_loses_nothing(registry: Registry) -> None:
    machine = registry.machine
    digest = blob(registry, "kept/app")
    for number in range(6):
        assert put(registry, "kept/app", f"v{number}", digest) == "201"
        registry.systemctl("kill", "-s", "KILL", SERVICE)
    registry.systemctl("stop", SERVICE)
    assert put(registry, "kept/app", "while-stopped", digest) == "201"
    machine.run("journalctl", "--sync")
    machine.reboot()
    machine.wait_unit("secure-registry.service")
    machine.wait_for("the registry", lambda: registry.status_of("/v2/", user="docker") == "200", 60)
    machine.run("systemctl", "restart", "systemd-journald")
    assert put(registry, "kept/app", "after", digest) == "201"
    found = [one["tag"] for one in about(registry, "kept/app", 8)]
    assert found == [*(f"v{number}" for number in range(6)), "while-stopped", "after"]


@pytest.mark.promise("who-did-what-cut")
def test_a_log_that_is_removed_says_so(registry: Registry) -> None:
    digest = blob(registry, "cut/app")
    registry.machine.run("rm", LOG)
    registry.machine.wait_for("that it is told", lambda: [one["did"] for one in log(registry)][:1] == ["log cut"], 60)
    assert put(registry, "cut/app", "v1", digest) == "201"
    about(registry, "cut/app", 1)


@pytest.mark.promise("who-did-what-days")
def test_a_rotation_takes_the_fronts_file_and_leaves_this_one(registry: Registry) -> None:
    machine = registry.machine
    before = machine.run("stat", "-c", "%i", LOG).stdout
    if machine.exists("/usr/sbin/logrotate"):
        machine.run("logrotate", "-f", "/etc/logrotate.d/secure-registry")
        assert machine.exists("/var/log/secure-registry/requests.log.1")
    count = len(log(registry, "--repo", "secure-registry-probe"))
    assert registry.status_of("/v2/secure-registry-probe/tags/list", user="docker") == "403"
    machine.wait_for("it", lambda: len(log(registry, "--repo", "secure-registry-probe")) == count + 1, 60)
    assert machine.run("stat", "-c", "%i", LOG).stdout == before


@pytest.mark.promise("who-pulled-what")
def test_pulls_by_choice(registry: Registry) -> None:
    digest = blob(registry, "pulled/app")
    assert put(registry, "pulled/app", "v1", digest) == "201"
    kind = ("-H", "Accept: application/vnd.oci.image.manifest.v1+json")
    assert registry.curl("/v2/pulled/app/manifests/v1", *kind, user="docker").stdout.endswith("200")
    before = registry.machine.read(f"{ETC}/secure-registry.conf")
    registry.put("secure-registry.conf", f"{before}\nAUDIT_PULLS=yes\n")
    assert registry.command("reload").returncode == 0
    for path in ("/v2/pulled/app/manifests/v1", "/v2/pulled/app/%6danifests/v1"):
        assert registry.curl(path, *kind, user="docker").stdout.endswith("200")
    found = [one["did"] for one in about(registry, "pulled/app", 3)]
    assert sorted(found) == ["pull", "pull", "push"], "however its address is written"
    registry.put("secure-registry.conf", before)
    assert registry.command("reload").returncode == 0


STUB = """\
import base64, http.server
class Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2])
        self.send_response(200 if said == b"carol:known-elsewhere" else 401)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9091), Asked).serve_forever()
"""


@pytest.mark.promise("another-check")
def test_passwords_that_another_server_knows(registry: Registry) -> None:
    """As docs/people.md says it."""
    machine = registry.machine
    [program] = re.findall(r"```python\n(.*?)```", PEOPLE, re.DOTALL)
    [drop_in] = re.findall(r"```ini\n(.*?)```", PEOPLE, re.DOTALL)
    machine.write("/usr/local/sbin/ask-elsewhere", program)
    machine.run("chmod", "755", "/usr/local/sbin/ask-elsewhere")
    machine.run("mkdir", "-p", "/etc/systemd/system/secure-registry-queue.service.d")
    machine.write("/etc/systemd/system/secure-registry-queue.service.d/override.conf", drop_in)
    machine.write("/root/stub", STUB)
    machine.run("systemd-run", "--unit=stub", "python3", "/root/stub")
    machine.run("systemctl", "daemon-reload")
    assert registry.status_of("/v2/", user="carol:known-elsewhere") == "401"
    machine.run("systemctl", "restart", "secure-registry-queue.service")
    machine.wait_for("it", lambda: registry.status_of("/v2/", user="carol:known-elsewhere") == "200", 60)
    assert registry.status_of("/v2/", user="carol:wrong") == "401"
    assert registry.status_of("/v2/", user="nobody:known-elsewhere") == "401"
    assert registry.component("passwords")["condition"] == "ok"
    assert registry.command("reload").returncode == 0
    machine.run("rm", "-r", "/etc/systemd/system/secure-registry-queue.service.d")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "secure-registry-queue.service")
    machine.wait_for("the other way", lambda: registry.status_of("/v2/", user="docker") == "200", 60)
