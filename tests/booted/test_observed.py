"""What `status` and the observer say of a host on which things break: what, since when, and when it is well."""

from __future__ import annotations

import json

import pytest

from tests.booted.registry import ETC, Registry
from tests.hosts.commands import Result

LIB = "/var/lib/secure-registry"
HOOK = '#!/bin/sh\necho "$SECREG_EVENT $SECREG_PART" >> /root/told\n'


def as_guest(registry: Registry, *options: str) -> Result:
    """What somebody who is not root is told."""
    return registry.machine.run("runuser", "-u", "nobody", "--", "secure-registry", "status", *options, check=False)


@pytest.mark.promise(
    "healthz", "hooks", "hung-processes", "observer", "reload-completes", "sandboxes-are-told", "status-for-others"
)
@pytest.mark.one_release(0)
def test_what_breaks_is_named_told_and_freed(watched: Registry) -> None:
    """Seen: "serves", exit code 0, with the password check stopped; and nobody was told."""
    machine = watched.machine
    machine.write(f"{ETC}/hooks.d/tell", HOOK, 0o755)
    watched.expected += [
        "hangs: it is ended",
        "secure-registry-auth.service: ",
        "^store: ",
        "^rejected: ",
        "^unproven: ",
    ]
    watched.breaks("passwords", "registry", "store", "watchdog")
    machine.run(
        "systemctl", "stop", "secure-registry-observer", "secure-registry-watchdog", "secure-registry-renew.timer"
    )
    assert watched.command("reload").returncode == 0
    assert machine.unit_state("secure-registry-renew.timer") == "active", "all of it runs again"
    observer = watched.pid("secure-registry-observer")
    assert watched.component("registry")["facts"]["version"]
    assert observer != "0" and watched.command("status").returncode == 0
    machine.run("systemctl", "kill", "--signal=STOP", "secure-registry-auth")
    done = watched.command("status")
    assert done.returncode == 3 and "does not serve: passwords: " in done.stdout and "SIGSTOP" in done.stdout
    assert watched.component("passwords")["condition"] == "down"
    told = as_guest(watched)
    assert told.returncode == 3 and "as root's last look found it" in told.stdout and "passwords" in told.stdout

    # meanwhile: what is not there, and what is to be seen to
    machine.run("chown", "root:", f"{LIB}/storage")
    assert watched.component("store")["condition"] == "down"
    machine.run("chown", "secure-registry:", f"{LIB}/storage")
    assert watched.component("store")["condition"] == "ok"
    machine.run("systemctl", "stop", "secure-registry-watchdog")
    assert watched.component("watchdog")["condition"] == "down"
    machine.run("systemctl", "start", "secure-registry-watchdog")
    machine.run("systemctl", "disable", "secure-registry")
    assert watched.component("boot")["condition"] == "warning"
    machine.run("systemctl", "enable", "secure-registry")

    def events() -> list[str]:
        return machine.run("cat", "/root/told", check=False).stdout.splitlines()

    machine.wait_for("that it is told", lambda: "down passwords" in events(), 120)
    machine.wait_for("that it is freed", lambda: "resolved passwords" in events(), 180)
    assert events().count("down passwords") == events().count("resolved passwords") == 1
    assert watched.status_of("/v2/", "docker") == "200" and watched.command("status").returncode == 0
    assert watched.pid("secure-registry-observer") == observer, "it went on"
    freed = [entry["MESSAGE"] for entry in machine.journal() if "hangs: it is ended" in entry["MESSAGE"]]
    assert freed == ["secure-registry-auth.service hangs: it is ended and started anew"]

    done = as_guest(watched, "--check")
    assert done.returncode == 0 and done.stdout.startswith("SECURE-REGISTRY OK - serves https://")
    assert json.loads(as_guest(watched, "--json").stdout)["serving"]

    # whoever looks tells balancers the same
    for owner, condition, said in (("root:", "down", "away\n\n503"), ("secure-registry:", "ok", "ok\n\n200")):
        machine.run("chown", owner, f"{LIB}/storage")
        assert watched.component("store")["condition"] == condition
        assert watched.curl("/healthz").stdout == said

    # what root sees in a sandbox is an answer to root alone
    since = watched.command("status", "--json").stdout
    for wall, word in (("PrivateNetwork=yes", "CRITICAL"), ("ProtectSystem=strict", "CRITICAL"), ("User=root", "OK")):
        run = ["systemd-run", "-q", "--wait", "--pipe", "-p", wall, "-p", "SuccessExitStatus=2"]
        done = machine.run(*run, "secure-registry", "status", "--check", check=False)
        assert done.stdout.startswith(f"SECURE-REGISTRY {word} - "), done.stdout
        assert ("inside a sandbox" in done.stdout) == (word != "OK")
        assert as_guest(watched, "--check").returncode == 0
    assert json.loads(as_guest(watched, "--json").stdout)["since"] == json.loads(since)["since"]
