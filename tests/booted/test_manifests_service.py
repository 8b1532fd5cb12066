"""The manifest service as a unit: docker, skopeo and curl push and delete while it is restarted, killed, stopped and
masked, and while the store is in other directories and on other disks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.booted.registry import ETC, Registry
from tests.hosts import docker
from tests.hosts.machine import Machine

SERVICE, SOCKET = "secure-registry-manifests.service", "secure-registry-manifests.socket"
STORAGE = "/var/lib/secure-registry/storage"
AT = "localhost:443"
KIND = "Content-Type: application/vnd.oci.image.manifest.v1+json"

RESTARTS = f"""\
end=$(($(date +%s) + 300)); count=0
while [ ! -e /root/enough ] && [ $(date +%s) -lt $end ]; do
    systemctl restart {SERVICE}; systemctl kill -s KILL {SERVICE}; count=$((count + 1))
    curl --silent --max-time 20 --unix-socket /run/secure-registry/manifests.sock http://localhost/lives
done
echo $count > /root/counted; mv /root/counted /root/restarts
"""
"""Each time it has answered, it is killed, and restarted."""


PUSHES = f"""\
ask="curl -s -o /dev/null --max-time 60 --cacert {ETC}/ca.crt -u docker:$(cat {ETC}/.password) -T /root/manifest"
for number in $(seq 200); do
    $ask -H '{KIND}' -w '%{{http_code}}\\n' https://localhost/v2/team/slots/manifests/v$number
    [ -e /root/enough ] && break
done > /root/pushed
touch /root/done
"""
"""Tags, one after the other; what each was answered."""


@pytest.fixture(scope="module")
def registry(installed_base: Machine) -> Iterator[Registry]:
    """One host for all."""
    with Machine.boot(installed_base, "host") as machine:
        machine.run("systemctl", "enable", "--now", "secure-registry")
        found = Registry(machine)
        assert found.login(AT).returncode == 0
        docker.make_image(machine, f"{AT}/team/app:v1", ((20_000, 1), (20_000, 2)))
        found.expected.append(r"upstream|connect\(\)|manifests\.service: (Main process exited|Failed with result)")
        yield found
        odd = found.unexpected()
        assert not odd, "\n".join([*odd, "the journal until then:", *found.until(odd[0])])


def put(registry: Registry, name: str, tag: str, digest: str) -> str:
    """A small image, by curl: its configuration is `digest`, which is there. The status."""
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2}
    body = json.dumps({"schemaVersion": 2, "mediaType": KIND[14:], "config": described, "layers": []})
    registry.machine.write("/root/manifest", body)
    done = registry.curl(f"/v2/{name}/manifests/{tag}", "-T", "/root/manifest", "-H", KIND, user="docker")
    return done.stdout.rpartition("\n")[2]


def blob(registry: Registry, name: str) -> str:
    """The digest of `{}`, which is pushed."""
    machine = registry.machine
    machine.write("/root/blob", "{}")
    digest = f"sha256:{machine.run('sha256sum', '/root/blob').stdout.split()[0]}"
    begun = registry.curl(f"/v2/{name}/blobs/uploads/", "-X", "POST", "-D", "-", user="docker").stdout
    found = re.search(r"(?mi)^location: (?:https://[^/]+)?(\S+)", begun)
    assert found is not None, begun
    done = registry.curl(f"{found[1]}&digest={digest}", "-T", "/root/blob", user="docker")
    assert done.stdout.endswith("201"), done
    return digest


def tags(registry: Registry, name: str) -> list[str]:
    said = registry.curl(f"/v2/{name}/tags/list", user="docker").stdout.rpartition("\n")[0]
    return sorted(json.loads(said).get("tags") or [])


def delete(registry: Registry, name: str, reference: str) -> str:
    done = registry.curl(f"/v2/{name}/manifests/{reference}", "-X", "DELETE", user="docker")
    return done.stdout.rpartition("\n")[2]


def lines(registry: Registry) -> list[dict[str, object]]:
    """What the service said of manifests."""
    said = registry.machine.run("journalctl", "--no-pager", "-u", SERVICE, "-o", "cat").stdout.splitlines()
    return [json.loads(line) for line in said if line.startswith("{")]


@pytest.mark.promise("manifest-service", "manifest-service-told")
def test_it_is_started_by_its_socket_and_tells_who_did_what(registry: Registry) -> None:
    machine = registry.machine
    assert registry.systemctl("is-active", SOCKET).stdout == "active\n"
    assert machine.run("stat", "-c", "%U %a", "/run/secure-registry/manifests.sock").stdout == (
        "secure-registry-nginx 600\n"
    )
    pushed = docker.push(machine, f"{AT}/team/app:v1")
    assert pushed.returncode == 0, pushed.stderr
    assert registry.systemctl("is-active", SERVICE).stdout == "active\n"
    assert machine.run("ps", "-o", "user:32=", "-p", registry.pid(SERVICE)).stdout.strip() == "secure-registry"
    found = re.search(r"digest: (sha256:[0-9a-f]{64})", pushed.stdout)
    assert found is not None
    machine.wait_for("its line", lambda: lines(registry) != [])
    said = {key: value for key, value in lines(registry)[-1].items() if key != "duration"}
    assert said.pop("address") in ("127.0.0.1", "::1")
    assert said == {
        "user": "docker",
        "method": "PUT",
        "repository": "team/app",
        "reference": "v1",
        "digest": found[1],
        "status": 201,
    }
    fields = machine.run("journalctl", "-u", SERVICE, "-o", "json", "SECREG_KIND=manifest", "-n", "1").stdout
    assert json.loads(fields)["SECREG_DIGEST"] == found[1]
    assert "failed" not in registry.systemctl("status", "--no-pager", SERVICE, SOCKET).stdout
    login = ["--creds", f"docker:{registry.password}", "--cert-dir", "/root/certs"]
    machine.run("sh", "-c", f"mkdir -p /root/certs; cp {ETC}/ca.crt /root/certs/")
    gone = machine.run("skopeo", "delete", *login, f"docker://{AT}/team/app:v1", check=False)
    assert gone.returncode == 0, gone.stderr
    assert tags(registry, "team/app") == []
    back = registry.command("images", "undelete", "team/app:v1")
    assert back.returncode == 0, back.stderr
    docker.remove_image(machine, f"{AT}/team/app:v1")
    assert docker.pull(machine, f"{AT}/team/app:v1").returncode == 0
    assert delete(registry, "team/app", "v1") == "202"
    machine.wait_for("its lines", lambda: [one["status"] for one in lines(registry)][-2:] == [202, 202])
    everything = machine.run("journalctl", "--no-pager", "-o", "export").stdout
    assert registry.password not in everything


@pytest.mark.promise("manifest-service-killed")
def test_no_push_of_dockers_is_refused_while_it_is_restarted_and_killed(registry: Registry) -> None:
    machine = registry.machine
    machine.write("/root/restart", RESTARTS)
    machine.run("sh", "-c", "rm -f /root/enough /root/restarts; systemd-run --quiet --unit=restarts sh /root/restart")
    try:
        for number in range(12):
            ref = f"{AT}/team/often:v{number}"
            machine.run("docker", "tag", f"{AT}/team/app:v1", ref)
            pushed = docker.push(machine, ref)
            assert pushed.returncode == 0, (number, pushed.stderr, pushed.stdout)
        digest = blob(registry, "team/often")
        assert [put(registry, "team/often", f"w{number}", digest) for number in range(20)] == ["201"] * 20
    finally:
        machine.run("touch", "/root/enough")
        machine.wait_for("the end of restarts", lambda: machine.exists("/root/restarts"), 60)
    assert int(machine.read("/root/restarts")) > 5
    assert tags(registry, "team/often") == sorted(
        [*(f"v{number}" for number in range(12)), *(f"w{number}" for number in range(20))]
    )
    assert put(registry, "team/often", "after", digest) == "201"
    assert registry.systemctl("is-active", SOCKET, SERVICE).stdout.split() == ["active", "active"]
    assert registry.command("status").returncode == 0


@pytest.mark.promise("manifest-service-killed")
def test_a_change_of_slots_and_an_upgrade_refuse_no_push(registry: Registry) -> None:
    machine, digest = registry.machine, blob(registry, "team/slots")
    assert put(registry, "team/slots", "first", digest) == "201"
    machine.write("/root/push", PUSHES)
    machine.run("sh", "-c", "rm -f /root/enough /root/done; : > /root/pushed")
    machine.run("systemd-run", "--quiet", "--unit=pushes", "sh", "/root/push")
    machine.wait_for("pushes", lambda: len(machine.read("/root/pushed").splitlines()) > 5)
    for level in ("error", "warn"):
        text = machine.read(f"{ETC}/docker-registry.yml")
        registry.put("docker-registry.yml", re.sub("level: \\w+", f"level: {level}", text))
        assert registry.command("reload").returncode == 0
        # what an upgrade does to a process that runs
        machine.run("touch", "/usr/share/secure-registry/secreg_host/push/serve.py")
    machine.run("touch", "/root/enough")
    machine.wait_for("the last one", lambda: machine.exists("/root/done"), 60)
    found = machine.read("/root/pushed").split()
    assert {*found} == {"201"} and len(found) > 10, found


@pytest.mark.promise("manifest-service-away")
@pytest.mark.one_release(0)
def test_where_it_was_stopped_or_masked_all_is_read_and_status_says_so(registry: Registry) -> None:
    registry.breaks("manifests")
    digest = blob(registry, "team/away")
    assert put(registry, "team/away", "v1", digest) == "201"
    machine = registry.machine
    registry.systemctl("stop", SOCKET, SERVICE)
    assert put(registry, "team/away", "v2", digest) == "503" and delete(registry, "team/away", "v1") == "503"
    assert registry.status_of("/v2/team/away/tags/list", user="docker") == "200"
    found = registry.component("manifests")
    assert (found["condition"], found["remedy"]) == ("down", f"systemctl restart {SOCKET}"), found
    assert registry.command("status").returncode == 3
    assert registry.command("reload").returncode == 0
    assert put(registry, "team/away", "v2", digest) == "201"

    registry.systemctl("stop", SOCKET, SERVICE)
    machine.run("sh", "-c", f"cd /etc/systemd/system; mv {SOCKET} /root/; systemctl mask {SOCKET}")
    registry.command("reload")
    assert put(registry, "team/away", "v3", digest) == "503"
    assert registry.component("manifests")["condition"] == "warning"
    machine.run("sh", "-c", f"systemctl unmask {SOCKET}; cd /etc/systemd/system; mv /root/{SOCKET} .")
    machine.run("systemctl", "daemon-reload")
    assert registry.command("reload").returncode == 0
    assert put(registry, "team/away", "v3", digest) == "201"

    machine.run("rm", "/run/secure-registry/manifests.sock")
    registry.expected.append(r"nobody gets to secure-registry-manifests\.socket")
    assert registry.command("reload").returncode == 0
    assert put(registry, "team/away", "v4", digest) == "201"
    assert registry.command("status").returncode == 0


@pytest.mark.promise("manifest-service-store")
@pytest.mark.parametrize("place", ["/srv/some images", "/home/images", "/mnt/disk"])
@pytest.mark.one_release(0)
def test_the_store_is_in_another_directory(registry: Registry, place: str) -> None:
    """What is deleted goes to the trash there: a service that ran before has a sandbox of before."""
    machine = registry.machine
    machine.run("mkdir", "-p", place)
    if place == "/mnt/disk":
        machine.run("mount", "-t", "tmpfs", "-o", "mode=0750", "disk", place)
    machine.run("chown", "secure-registry:", place)
    text = machine.read(f"{ETC}/docker-registry.yml")
    try:
        registry.put("docker-registry.yml", re.sub("rootdirectory: .*", f"rootdirectory: '{place}'", text))
        moved = registry.command("reload")
        assert moved.returncode == 0, moved.stderr
        digest = blob(registry, "team/moved")
        assert put(registry, "team/moved", "v1", digest) == "201"
        assert delete(registry, "team/moved", "v1") == "202"
        assert "v1" in machine.run("find", f"{place}/docker/registry/v2/_trash", "-name", "v1").stdout
        back = registry.command("images", "undelete", "team/moved:v1")
        assert back.returncode == 0, back.stderr
        assert tags(registry, "team/moved") == ["v1"]
        unit = machine.read(f"/etc/systemd/system/{SERVICE}")
        assert "PrivateNetwork=yes" in unit and place in unit
    finally:
        registry.put("docker-registry.yml", text)
        assert registry.command("reload").returncode == 0
    assert put(registry, "team/app", "v9", blob(registry, "team/app")) == "201"
    assert delete(registry, "team/app", "v9") == "202"


ELSEWHERE = """\
version: 0.1
storage: {filesystem: {rootdirectory: /srv/elsewhere}, delete: {enabled: true}}
http: {addr: 127.0.0.1:5005}
"""


@pytest.mark.one_release(-1)
def test_the_registry_is_elsewhere_by_now_and_here_again(registry: Registry) -> None:
    """Seen: each push was 503, by a service that may ask on sockets only, while status called all well."""
    machine = registry.machine
    digest = blob(registry, "team/moves")
    assert put(registry, "team/moves", "here", digest) == "201"
    machine.run("install", "-d", "-o", "docker-registry", "/srv/elsewhere")
    machine.write("/srv/elsewhere.yml", ELSEWHERE)
    unit = ["systemd-run", "--quiet", "--unit=elsewhere", "--property=User=docker-registry"]
    machine.run(*unit, "docker-registry", "serve", "/srv/elsewhere.yml")
    machine.wait_for("the other registry", lambda: "LISTEN" in machine.run("ss", "-ltn", "sport = :5005").stdout)
    before = machine.read(f"{ETC}/secure-registry.conf")
    registry.put("secure-registry.conf", "REGISTRY_HOST=127.0.0.1\nREGISTRY_PORT=5005\n")
    assert registry.command("reload").returncode == 0
    assert put(registry, "team/moves", "there", blob(registry, "team/moves")) == "201"
    assert tags(registry, "team/moves") == ["there"]
    registry.put("secure-registry.conf", before)
    assert registry.command("reload").returncode == 0
    assert put(registry, "team/moves", "again", digest) == "201"
    assert tags(registry, "team/moves") == ["again", "here"]
    assert delete(registry, "team/moves", "again") == "202" and tags(registry, "team/moves") == ["here"]
    machine.run("systemctl", "stop", "elsewhere")


@pytest.mark.one_release(0)
def test_a_restart_does_not_cut_its_socket_short(registry: Registry) -> None:
    """Seen: what stops the service at its end met a socket that was being made, and systemd told it as failed. What
    takes a moment is made to take a second here; the journal is looked at by the fixture."""
    machine, folder = registry.machine, f"/etc/systemd/system/{SOCKET}.d"
    machine.run("mkdir", folder)
    machine.write(f"{folder}/slow.conf", "[Socket]\nExecStartPre=sleep 1\n")
    machine.run("systemctl", "daemon-reload")
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    assert registry.systemctl("is-active", SOCKET).stdout == "active\n"
    machine.run("rm", "-r", folder)
    machine.run("systemctl", "daemon-reload")
    assert registry.command("status").returncode == 0


def test_when_all_is_stopped_it_is(registry: Registry) -> None:
    assert registry.systemctl("stop", "secure-registry").returncode == 0
    assert registry.systemctl("is-active", SOCKET, SERVICE).stdout.split() == ["inactive", "inactive"]
    assert registry.systemctl("start", "secure-registry").returncode == 0
    assert registry.systemctl("is-active", SOCKET).stdout == "active\n"
    assert put(registry, "team/app", "v9", blob(registry, "team/app")) == "201"
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    assert put(registry, "team/app", "v9", blob(registry, "team/app")) == "201"
    assert registry.systemctl("--failed", "--no-legend", "--plain", "list-units", "secure-registry*").stdout == ""
