"""What lies outside is away: an upstream, a registry elsewhere, a health check; and restarts right after an edit.

Judged from outside. How many seconds something takes is printed (`pytest -s`), and judged by facts only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator

import pytest

from secreg_host.base.systemd import JOB_SECONDS
from tests.booted.registry import ETC, Registry
from tests.hosts.machine import Machine

UPSTREAM = "127.0.0.1:5001"
BLOB = b"what the upstream has"
DIGEST = hashlib.sha256(BLOB).hexdigest()
PROXY = f"proxy:\n  remoteurl: http://{UPSTREAM}\n"
HEALTH = f"""
health:
  storagedriver: {{enabled: false}}
  tcp:
    - addr: {UPSTREAM}
      interval: 200ms
      timeout: 1s
      threshold: 1
"""
RECORD = "/run/secure-registry/retry/retry.json"
CONFIG = f"""
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: /var/tmp/upstream}}}}
http: {{addr: {UPSTREAM}}}
"""


class Upstream:
    """A second registry on the host."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.run("sh", "-c", "cat > /var/tmp/upstream.yml", input=CONFIG)

    def start(self) -> None:
        self.machine.run(
            "systemd-run",
            "--quiet",
            "--unit=upstream",
            "--collect",
            "docker-registry",
            "serve",
            "/var/tmp/upstream.yml",
        )
        asked = ("curl", "-sf", f"http://{UPSTREAM}/v2/")
        self.machine.wait_for("the upstream", lambda: self.machine.run(*asked, check=False).returncode == 0)

    def stop(self) -> None:
        self.machine.run("systemctl", "stop", "upstream")

    def fill(self) -> None:
        script = f"""
            to=$(curl -sf -X POST http://{UPSTREAM}/v2/some/blobs/uploads/ -D - -o /dev/null |
                tr -d '\\r' | sed -n 's/^Location: //p')
            curl -sf -X PUT "$to&digest=sha256:{DIGEST}" -H 'Content-Type: application/octet-stream' --data-binary @-
        """
        self.machine.run("sh", "-ec", script, input=BLOB.decode())


def pulls(registry: Registry) -> bool:
    return registry.curl(f"/v2/some/blobs/sha256:{DIGEST}", user="docker").stdout == f"{BLOB.decode()}\n200"


def away(registry: Registry) -> str:
    """What status says is away; the front and the password check are there."""
    status = json.loads(registry.command("status", "--json").stdout)
    found = {one["component"]: one for one in status["components"]}
    assert (found["front"]["condition"], found["passwords"]["condition"]) == ("ok", "ok"), status
    said = [found["registry"]["said"]] if found["registry"]["condition"] == "down" else []
    return "; ".join([*said, *(one["what"] for one in status["rejected"] if one["kind"] == "away")])


def front_serves(registry: Registry) -> None:
    assert registry.status_of("/v2/") == "401"
    assert registry.status_of("/v2/", user="docker:wrong") == "401"
    assert registry.status_of("/v1/_ping") == "200"


@contextlib.contextmanager
def journal_late(machine: Machine) -> Iterator[None]:
    """journald is held up whenever a registry starts, until it has ended, as on a busy machine: which start a line is
    of it looks up when it reads it."""
    script = """
        journald=$(systemctl show -P MainPID systemd-journald)
        ended() { systemctl list-units --state=auto-restart 'secure-registry-registry@*' --no-legend | grep -q .; }
        touch /run/late
        while [ -e /run/late ]; do
            kill -STOP "$journald"
            while [ -e /run/late ] && ! ended; do sleep 0.01; done
            kill -CONT "$journald"
            while [ -e /run/late ] && ended; do sleep 0.01; done
        done
    """
    machine.run("systemd-run", "--quiet", "--unit=late", "sh", "-ec", script)
    machine.wait_for("journald is held up", lambda: machine.exists("/run/late"))
    try:
        yield
    finally:
        machine.run("rm", "/run/late")


def back(registry: Registry, what: str) -> None:
    begun = time.monotonic()
    registry.machine.wait_for(f"{what}: serving again", lambda: registry.status_of("/v2/", user="docker") == "200", 90)
    print(f"{what}: served {time.monotonic() - begun:.1f} s after the back end was back")
    registry.machine.wait_for(f"{what}: status", lambda: registry.command("status").returncode == 0, 90)
    registry.machine.wait_for(f"{what}: nothing more to try", lambda: not registry.machine.exists(RECORD), 90)


def restarted(registry: Registry, verb: str, what: str) -> None:
    """What was edited is live afterwards, and nothing was waited for: neither a drain nor a job."""
    begun = time.monotonic()
    assert registry.systemctl(verb, "secure-registry").returncode == 0
    seconds = time.monotonic() - begun
    print(f"systemctl {verb}, {what}: {seconds:.1f} s")
    assert seconds < JOB_SECONDS
    live = "/var/lib/secure-registry/current/registry/docker-registry.yml"
    assert registry.machine.read(live) == registry.machine.read(f"{ETC}/docker-registry.yml")
    assert registry.status_of("/v2/", user="docker") == "200"


@pytest.mark.promise(
    "exit-codes", "nothing-proven-nothing-listens", "registry-away", "registry-elsewhere", "tries-again"
)
@pytest.mark.one_release(-1)
def test_what_is_away_takes_nothing_else_down(installed_host: Machine) -> None:
    machine, registry = installed_host, Registry(installed_host)
    upstream = Upstream(machine)
    upstream.start()
    upstream.fill()
    upstream.stop()

    # a first start: nothing was ever proven, so nothing listens; tried again by itself
    machine.run("secure-registry", "setup")
    registry.put("docker-registry.yml", machine.read(f"{ETC}/docker-registry.yml") + PROXY)
    assert registry.systemctl("enable", "--now", "secure-registry").returncode != 0
    assert registry.status_of("/v2/") == "000"
    said = registry.command("status")
    assert said.returncode == 3 and "it does not start: " in said.stdout and "refused" in said.stdout, said.stdout
    assert "next try" in said.stdout
    tries = json.loads(machine.read(RECORD))["tries"]
    machine.wait_for("one more try", lambda: json.loads(machine.read(RECORD))["tries"] > tries)
    assert registry.status_of("/v2/") == "000", "the port is closed meanwhile"
    upstream.start()
    back(registry, "a first start")
    assert pulls(registry)

    # away at a restart: the front and users are there, all else changes, and the registry comes by itself
    upstream.stop()
    begun = time.monotonic()
    end = machine.journal_end()
    with journal_late(machine):
        assert registry.systemctl("restart", "secure-registry").returncode == 0
    print(f"a restart without its upstream: {time.monotonic() - begun:.1f} s")
    machine.run("journalctl", "--sync")
    told = [entry["MESSAGE"] for entry in machine.journal(after=end) if "does not start with it: " in entry["MESSAGE"]]
    assert told and all("refused" in line for line in told), told
    front_serves(registry)
    assert "refused" in away(registry)
    assert registry.command("status").returncode == 3
    before = registry.fingerprint()
    assert registry.command("gencert").returncode == 3, "live, and the registry is away"
    assert registry.fingerprint() != before
    machine.run("secure-registry", "htpasswd", "-b", f"{ETC}/.htpasswd", "bob", "secret", check=False)
    assert registry.status_of("/v2/", user="bob:secret") in ("502", "503")
    assert registry.systemctl("is-active", "secure-registry-nginx").stdout == "active\n"
    upstream.start()
    back(registry, "a restart")
    assert pulls(registry) and registry.status_of("/v2/", user="bob:secret") == "200"

    # a registry that runs and says that what it needs is away: it is left alone
    registry.edit("docker-registry.yml", PROXY, "")
    text = machine.read(f"{ETC}/docker-registry.yml")
    registry.put("docker-registry.yml", text[: text.index("health:")] + HEALTH)
    assert registry.command("reload").returncode == 0
    slot = json.loads(registry.command("status", "--json").stdout)["slot"]
    pid = registry.pid(f"secure-registry-registry@{slot}")
    upstream.stop()
    machine.wait_for("it says so", lambda: "503" in away(registry))
    assert registry.command("gencert").returncode == 3
    assert registry.pid(f"secure-registry-registry@{slot}") == pid
    front_serves(registry)
    upstream.start()
    back(registry, "a health check")

    # a registry elsewhere: proven before it serves, and away later
    for port, code in (("5002", 2), ("5001", 0)):
        registry.put("secure-registry.conf", f"REGISTRY_HOST=127.0.0.1\nREGISTRY_PORT={port}\n")
        done = registry.command("reload")
        assert done.returncode == code, done.stderr
        assert ("no registry answers at 127.0.0.1:5002" in done.stderr) == (code == 2)
        assert registry.status_of("/v2/", user="docker") == "200"
    assert pulls(registry)
    upstream.stop()
    assert registry.systemctl("restart", "secure-registry").returncode == 0
    front_serves(registry)
    assert f"no registry answers at {UPSTREAM}" in away(registry)
    upstream.start()
    back(registry, "a registry elsewhere")

    # restarts right after an edit: none waits for anything but its own stop and start
    registry.put("secure-registry.conf", "# ours again\n")
    registry.command("reload")
    inside, outside = "bob", "rob"
    for pause in (0.0, 0.2, 0.4, 0.7, 1.2):
        machine.run("sh", "-c", f"echo '# {pause}' >> {ETC}/docker-registry.yml")
        time.sleep(pause)
        restarted(registry, "restart", f"docker-registry.yml {pause} s before")
        machine.run("sed", "-i", f"s/^{inside}:/{outside}:/", f"{ETC}/.htpasswd")
        inside, outside = outside, inside
        time.sleep(pause)
        restarted(registry, "restart", f".htpasswd {pause} s before")
        assert registry.status_of("/v2/", user=f"{inside}:secret") == "200"
        assert registry.status_of("/v2/", user=f"{outside}:secret") == "401"
    machine.run("sh", "-c", f"echo '# reload' >> {ETC}/docker-registry.yml")
    restarted(registry, "reload-or-restart", "right after")
    machine.run("sh", "-c", f"echo '# stop' >> {ETC}/docker-registry.yml; sleep 0.3; systemctl stop secure-registry")
    assert registry.status_of("/v2/") == "000"
    restarted(registry, "start", "stopped during an apply")
    restarted(registry, "restart", "and once more")
