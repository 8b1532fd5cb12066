"""Programs, places of images and metrics that an administrator names: in use, or told with its line and held back."""

from __future__ import annotations

import json

import pytest

from tests.booted.registry import ETC, Registry

IMAGES = "/home/registry/the images"
METRICS = "http:\n  debug:\n    addr: :5001\n    prometheus:\n      enabled: true\n"
PUSH = """
import hashlib, http.client, ssl, sys, base64
password, = sys.argv[1:]
link = http.client.HTTPSConnection("localhost", context=ssl._create_unverified_context())
login = {"Authorization": "Basic " + base64.b64encode(f"docker:{password}".encode()).decode()}
data = b"a blob"
digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
link.request("POST", "/v2/x/blobs/uploads/", headers=login)
answer = link.getresponse(); answer.read()
place = answer.headers["Location"]
link.request("PUT", f"{place}&digest={digest}", data, headers=login)
answer = link.getresponse(); answer.read()
link.request("GET", f"/v2/x/blobs/{digest}", headers=login)
print(answer.status, link.getresponse().read().decode())
"""


def setting(registry: Registry, line: str) -> None:
    """`line` as the only program that secure-registry.conf names."""
    registry.machine.run("sed", "-i", "/^[A-Z]*_BINARY=/d", f"{ETC}/secure-registry.conf")
    if line:
        registry.machine.run("sh", "-c", f"cat >> {ETC}/secure-registry.conf", input=f"{line}\n")


def executed(registry: Registry, unit: str) -> str:
    return registry.machine.run("readlink", f"/proc/{registry.pid(f'secure-registry-{unit}')}/exe").stdout.strip()


def pushed(registry: Registry) -> str:
    return registry.machine.run("python3", "-c", PUSH, registry.password).stdout


@pytest.mark.promise("bad-programs", "proven-survives-reboots")
@pytest.mark.one_release(-1)
def test_a_program_that_can_not_be_used_holds_back_itself_alone(registry: Registry) -> None:
    machine = registry.machine
    registry.expected.append(
        r"Failed at step EXEC|Failed to execute|Failed to start secure-reg|Failed with result|_BINARY"
    )
    registry.expected.append(r"registry@\w.service did not|trial.service: ")
    machine.run(
        "sh", "-ec", "cp /usr/bin/docker-registry /root/registry; cp /usr/sbin/nginx /tmp/nginx; cp /bin/ls /opt/own"
    )
    machine.run(
        "sh",
        "-ec",
        "chmod 700 /opt/own; (printf '\\177ELF\\2\\1\\1'; head -c 200 /dev/zero) > /opt/arm; chmod 755 /opt/arm",
    )
    before = registry.processes()
    hidden, format_error = "can't be executed: No such file", "can't be executed: Exec format error"
    for line, why in (
        ("REGISTRY_BINARY=/bin/true", "is not distribution's registry"),
        ("REGISTRY_BINARY=/root/registry", hidden),
        ("REGISTRY_BINARY=/opt/own", "can't be executed: Permission denied"),
        ("REGISTRY_BINARY=/opt/arm", format_error),
        ("REGISTRY_BINARY=/usr/bin", "is a directory"),
        ("NGINX_BINARY=/usr/sbin/nignx", "program not found"),
        ("NGINX_BINARY=/bin/true", "nginx did not start"),
        ("NGINX_BINARY=/tmp/nginx", hidden),
        ("NGINX_BINARY=/opt/own", "can't be executed: Permission denied"),
    ):
        setting(registry, line)
        was = registry.fingerprint()
        machine.run("secure-registry", "gencert", check=False)  # something else that changed
        done = registry.command("reload")
        name = line.partition("=")[0]
        where = registry.line_of("secure-registry.conf", line)
        (told,) = [said for said in done.stderr.splitlines() if said.startswith("rejected: ")]
        assert told.startswith(f"rejected: {where}: {name}") and why in told, told
        assert registry.fingerprint() != was, "the certificate serves"
        assert registry.status_of("/v2/_catalog", user="docker") == "200"
    nginx = {executed(registry, unit) for unit in ("nginx", "auth")}
    assert nginx == {"/usr/sbin/nginx"} and before & registry.processes(), "what serves went on"
    setting(registry, "REGISTRY_BINARY=/bin/true")
    registry.command("reload")
    registry.systemctl("kill", "--signal=KILL", "secure-registry-registry@*")  # it comes back as what it was
    machine.wait_for("it", lambda: registry.status_of("/v2/_catalog", user="docker") == "200")
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    assert registry.status_of("/v2/_catalog", user="docker") == "200"
    machine.reboot()
    machine.wait_unit("secure-registry.service")
    assert registry.status_of("/v2/_catalog", user="docker") == "200"
    assert "REGISTRY_BINARY=/bin/true: /bin/true is not distribution's registry" in registry.command("status").stdout

    machine.run("sh", "-ec", "cp /usr/bin/docker-registry /opt/registry; cp /usr/sbin/nginx /opt/nginx")
    setting(registry, "REGISTRY_BINARY=/opt/registry\nNGINX_BINARY=/opt/nginx")
    assert registry.command("reload").returncode == 0
    assert {executed(registry, unit) for unit in ("nginx", "auth")} == {"/opt/nginx"}
    slot = registry.component("registry")["facts"]["slot"]
    assert executed(registry, f"registry@{slot}") == "/opt/registry"
    machine.run("sh", "-ec", "printf '#!/bin/sh\nexec sleep 999\n' > /opt/hangs; chmod 755 /opt/hangs")
    setting(registry, "NGINX_BINARY=/opt/hangs")
    registry.systemctl("restart", "--no-block", "secure-registry")
    machine.wait_for("the stop", lambda: registry.status_of("/v2/_catalog", user="docker") != "200")
    machine.wait_for("what is proven", lambda: registry.status_of("/v2/_catalog", user="docker") == "200")
    assert machine.unit_state("secure-registry.service") == "activating", "it is still tried"
    machine.wait_unit("secure-registry.service")
    assert registry.status_of("/v2/_catalog", user="docker") == "200"
    setting(registry, "")
    assert registry.command("reload").returncode == 0
    assert registry.command("reload").stdout.startswith(("nothing to change\n", "applied by the watchdog "))


def as_observed(registry: Registry) -> str:
    """How the store is by a look that the observer begins after this call."""
    machine, last = registry.machine, "/run/secure-registry/look.json"
    machine.run("sh", "-ec", f"rm -f {last}; systemctl restart secure-registry-observer")
    machine.wait_for("a look", lambda: machine.run("test", "-s", last, check=False).returncode == 0)
    found = json.loads(machine.read(last))["components"]
    return str(next(one["condition"] for one in found if one["component"] == "store"))


@pytest.mark.promise("images-anywhere", "metrics", "one-address")
@pytest.mark.one_release(0)
def test_images_and_metrics_anywhere(registry: Registry) -> None:
    machine = registry.machine
    registry.expected.append(r"rejected|Failed with result|an upload is answered|level=error|: rootdirectory ")
    default = "/var/lib/secure-registry/storage"
    made = "install -d -o secure-registry -g secure-registry -m 750"
    machine.run(
        "sh", "-ec", f"mkdir -m 700 /home/registry; {made} '{IMAGES}' /root/images; ln -s /root/images /srv/link"
    )
    for place, at in ((f'"{IMAGES}"', IMAGES), ("/srv/link", "/root/images"), ('"/srv/a b"', "/srv/a b")):
        before = registry.edit("docker-registry.yml", f"rootdirectory: {default}", f"rootdirectory: {place}")
        done = registry.command("reload")
        assert done.returncode == 0 and "slow way" not in done.stderr, done
        assert pushed(registry) == "201 a blob\n", place
        blob = machine.run("find", at, "-name", "data").stdout.splitlines()
        assert len(blob) == 1 and machine.read(blob[0]) == "a blob", "it is there"
        assert "-probe/" not in machine.run("find", at).stdout, "and nothing else"
        assert registry.systemctl("restart", "secure-registry").returncode == 0
        assert pushed(registry) == "201 a blob\n", place
        assert as_observed(registry) == "ok", f"{place}: it has a sandbox in which home directories are read-only"
        registry.put("docker-registry.yml", before)
    assert registry.command("reload").returncode == 0

    full = "mkdir /srv/full; mount -t tmpfs -o nr_inodes=1 tmpfs /srv/full; chown secure-registry: /srv/full"
    machine.run("sh", "-ec", full)
    for place, why in (
        ("/srv/full", "no space left on device"),
        ("/tmp/x", "not kept"),
        ("/home", "not a directory of images"),
        ("/etc/hostname", "is not a directory"),
    ):
        before = registry.edit("docker-registry.yml", f"rootdirectory: {default}", f"rootdirectory: {place}")
        done = registry.command("reload")
        where = registry.line_of("docker-registry.yml", "rootdirectory")
        assert done.returncode == 2 and f"rejected: {where}: " in done.stderr and why in done.stderr, done
        assert pushed(registry) == "201 a blob\n", place
        registry.put("docker-registry.yml", before)

    def metrics() -> bool:
        return (
            "registry_"
            in machine.run("curl", "-s", "--max-time", "5", "http://127.0.0.1:5001/metrics", check=False).stdout
        )

    registry.put("docker-registry.yml", machine.read(f"{ETC}/docker-registry.yml") + METRICS)
    assert registry.command("reload").returncode == 0 and metrics()
    machine.run("sh", "-ec", "cd /var/lib/secure-registry/state; rm http.secret; mkdir http.secret")
    for old, new in (("level: warn", "level: error"), ("level: error", "level: warn")):
        registry.edit("docker-registry.yml", old, new)
        done = registry.command("reload")
        assert done.returncode == 0 and metrics(), done
    assert registry.systemctl("restart", "secure-registry").returncode == 0 and metrics()
    registry.edit("docker-registry.yml", "addr: :5001", "addr: 127.0.0.1:5001")
    where = registry.line_of("docker-registry.yml", "addr")
    told = f"rejected: {where}: nginx can't listen on 127.0.0.1:5001 as long as it listens on 5001"
    done = registry.command("reload")
    assert done.returncode == 2 and told in done.stderr and "systemctl restart secure-registry" in done.stderr, done
    assert registry.systemctl("restart", "secure-registry").returncode == 0 and metrics()
    assert registry.command("status").returncode == 0


@pytest.mark.promise("one-address")
def test_an_address_that_is_gone_and_the_line_that_mends_it(registry: Registry) -> None:
    machine = registry.machine
    registry.expected.append(r"no address 10.9.9.9|Failed with result|Failed to start|rejected|10.9.9.9:443|unproven")
    machine.run("ip", "address", "add", "10.9.9.9/32", "dev", "lo")
    conf = registry.edit("nginx.conf", "listen 443 ssl;\n        listen [::]:443 ssl;", "listen 10.9.9.9:443 ssl;")
    done = registry.command("reload")
    assert done.returncode == 2 and "-> let it take its addresses anew" in done.stderr, done
    assert registry.status_of("/v2/", user="docker") == "200"
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    assert registry.status_of("/v2/", user="docker") == "000"
    machine.run("ip", "address", "del", "10.9.9.9/32", "dev", "lo")
    registry.put("nginx.conf", conf)  # of a front that reaches nobody, which needs no restart
    assert registry.command("reload").returncode == 0
    assert registry.status_of("/v2/", user="docker") == "200"
