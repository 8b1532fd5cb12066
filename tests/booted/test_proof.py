"""Our own probe on a host: what it says of parts that are not there, what it leaves, who may know its password."""

from __future__ import annotations

import json

import pytest

from tests.booted.registry import ETC, Registry

AUTH, RUN, STORE = "secure-registry-auth", "/run/secure-registry", "/var/lib/secure-registry/storage"
LOG = "/var/log/secure-registry/access.log"
SCRIPT = """
import json, sys
sys.path.insert(0, "/usr/share/secure-registry")
from secreg_host.apply import clientproof, storeproof
from secreg_host.base.paths import Paths
from secreg_host.generation import generations
from secreg_host.host import host as hosts
clientproof.SECONDS = storeproof.SECONDS = float(sys.argv[1])
host = hosts.discover(Paths())
serving = generations.load(host, generations.current_name(host))
print(json.dumps([getattr(clientproof, name)(host, serving) for name in ("login", "reads", "writes", "trusted")]))
"""
WELL = ["", "", "", ""]


def proof(registry: Registry, seconds: float = 10) -> list[str]:
    """What login, reads, writes and trusted say."""
    said = registry.machine.run("/usr/bin/python3", "-IB", "-c", SCRIPT, str(seconds)).stdout
    return [str(one) for one in json.loads(said)]


def healthz(registry: Registry) -> str:
    return registry.curl("/healthz").stdout


def a_part_that_is_not_there_is_named(registry: Registry) -> None:
    machine = registry.machine
    assert proof(registry) == WELL and healthz(registry) == "ok\n\n200"
    registry.breaks("passwords", "registry", "store")

    registry.systemctl("kill", "--signal=STOP", AUTH)
    login, reads, writes, _ = proof(registry, 1)
    assert login == "the password check does not answer within 1 s"
    assert healthz(registry) == "away\n\n503"
    registry.systemctl("kill", "--signal=CONT", AUTH)
    registry.systemctl("stop", AUTH)
    assert proof(registry)[0] == "the password check does not answer: No such file or directory"
    assert healthz(registry) == "away\n\n503"
    assert registry.command("reload").returncode == 0 and proof(registry) == WELL

    registry.systemctl("kill", "--signal=STOP", "secure-registry-registry@*")
    login, reads, writes, _ = proof(registry, 1)
    assert (login, reads) == ("", "the registry does not answer within 1 s")
    assert writes == "an upload is not answered within 1 s" and healthz(registry) == "away\n\n503"
    registry.systemctl("kill", "--signal=CONT", "secure-registry-registry@*")
    assert proof(registry) == WELL
    machine.wait_for("that /healthz says so", lambda: healthz(registry) == "ok\n\n200", 60)  # the next look

    # a store that root copied in: found, and the front changes all the same
    machine.run("chown", "-R", "root:root", STORE)
    assert proof(registry) == [
        "",
        "a list of its images is answered by HTTP 500",
        "an upload is answered by HTTP 500",
        "",
    ]
    registry.expected.append(r"can't use rootdirectory|permission denied")
    registry.edit("nginx.conf", "server_name", "add_header X-Changed yes always;\n        server_name")
    done = registry.command("reload")
    assert done.returncode == 3 and f"can't use rootdirectory {STORE}: an upload is answered by HTTP 500" in done.stderr
    assert "x-changed: yes" in registry.curl("/none", "--head").stdout.lower()
    machine.run("chown", "-R", "secure-registry:secure-registry", STORE)
    assert registry.command("reload").returncode == 0 and proof(registry) == WELL

    # nothing is left of it
    assert registry.curl("/v2/_catalog", user="docker").stdout == '{"repositories":[]}\n\n200'
    assert machine.run("find", f"{STORE}/docker", "-type", "f").stdout == ""
    registry.curl("/v2/some/tags/list", user="docker")
    machine.wait_for("the log", lambda: "/v2/some/tags/list" in machine.read(LOG))
    assert "secure-registry-probe" not in machine.read(LOG)
    assert machine.run("sh", "-c", "journalctl -q | grep 'user .secure-registry-probe'", check=False).stdout == ""


def only_root_knows_the_password(registry: Registry) -> None:
    machine = registry.machine
    path = f"{RUN}/users/live/probe"
    kept = machine.run("sh", "-c", f"stat -Lc '%a %U' {path}; cat {path}").stdout.split()
    assert kept[:2] == ["600", "root"] and len(kept[2]) == 64
    for user in ("secure-registry-nginx", AUTH, "secure-registry", "nobody"):
        assert machine.run("runuser", "-u", user, "--", "cat", path, check=False).returncode != 0
    registry.command("htpasswd", "-i", "alice", input="one\n")
    machine.wait_for("alice", lambda: registry.status_of("/v2/", user="alice:one") == "200")
    assert machine.run("cat", path).stdout != kept[2] and proof(registry) == WELL
    known = machine.run("sh", "-c", f"journalctl -q | grep -c {kept[2]}; grep -rl {kept[2]} /etc /var/log", check=False)
    assert known.stdout == "0\n"


def clients_with_certificates_only(registry: Registry) -> None:
    """This host itself has none."""
    machine = registry.machine
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=client"
    machine.run("sh", "-c", f"{make} -keyout /root/client.key -out {ETC}/clients.crt 2>/dev/null")
    line = "ssl_client_certificate clients.crt;\n    ssl_verify_client on;\n    ssl_session_timeout"
    before = registry.edit("nginx.conf", "ssl_session_timeout", line)
    assert registry.command("reload").returncode == 0
    assert registry.command("status").returncode == 0 and proof(registry) == WELL
    assert registry.status_of("/v2/", user="docker") == "400"
    mine = ["--cert", f"{ETC}/clients.crt", "--key", "/root/client.key"]
    assert registry.curl("/v2/", *mine, user="docker").stdout.endswith("200")
    registry.command("htpasswd", "-i", "alice", input="one\n")
    machine.wait_for("alice", lambda: registry.curl("/v2/", *mine, user="alice:one").stdout.endswith("200"))
    registry.command("htpasswd", "-D", "alice")
    machine.wait_for("alice is out", lambda: registry.curl("/v2/", *mine, user="alice:one").stdout.endswith("401"))
    assert registry.systemctl("restart", "secure-registry").returncode == 0 and proof(registry) == WELL
    registry.put("nginx.conf", before)
    assert registry.command("reload").returncode == 0 and proof(registry) == WELL


@pytest.mark.promise("healthz", "secret-modes")
@pytest.mark.one_release(-1)
def test_our_own_probe(registry: Registry) -> None:
    """One host for all of it."""
    a_part_that_is_not_there_is_named(registry)
    only_root_knows_the_password(registry)
    clients_with_certificates_only(registry)
