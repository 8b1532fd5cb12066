"""`--debug` and SECREG_DEBUG on a host: what units, D-Bus and dockerd are told is shown, and no secret, anywhere."""

from __future__ import annotations

import re

import pytest

from tests.booted.registry import ETC, Registry

GIVEN, BOB = "correct-horse-battery", "secret-of-bob"
STATE = "/var/lib/secure-registry/state"
WATCHDOG = "secure-registry-watchdog"


def secrets_of(registry: Registry) -> set[str]:
    """Passwords, hashes, the users' number, and every line of a key or of a secret of the program's own."""
    read = registry.machine.read
    found = {GIVEN, BOB, registry.password}
    found |= {line.partition(":")[2] for line in read(f"{ETC}/.htpasswd").splitlines()}
    for path in (f"{ETC}/docker-registry.key", f"{STATE}/ca.key"):
        found |= {line for line in read(path).splitlines() if not line.startswith("-----")}
    for name in ("http.secret", "front.secret"):
        found.add(read(f"{STATE}/{name}").strip().rpartition("=")[2])
    found.add(registry.machine.run("readlink", "/run/secure-registry/users/live").stdout.strip())
    assert all(len(one) > 8 for one in found), found
    return found


@pytest.mark.promise("debug")
@pytest.mark.one_release(0)
def test_debugging_shows_what_is_done_and_no_secret(watched: Registry) -> None:
    machine = watched.machine
    known = secrets_of(watched)
    mark = machine.journal_end()
    machine.run("systemctl", "set-environment", "SECREG_DEBUG=1")
    machine.run("systemctl", "restart", WATCHDOG)
    changed = f"changed since the last look: {ETC}/nginx.conf"

    def said() -> str:
        return "\n".join(entry["MESSAGE"] for entry in machine.journal(after=mark))

    machine.wait_for("its first look", lambda: "looked: it is what the last apply saw" in said())
    machine.run("sh", "-c", f"echo '# seen' >> {ETC}/nginx.conf")
    machine.wait_for("the watchdog", lambda: changed in said())
    for pattern in (
        r"systemd: D-Bus \S+ StartUnit secure-registry-reload\.service replace: [\d.]+ ms",
        r"systemd: StartUnit secure-registry-reload\.service is through: \d+ ms",
        r"process: ran setpriv .* -t: exit status 0, \d+ ms",
        r"nginxmaster: SIGHUP to process \d+",
        r"probe: probe of \S+:443: as expected",
        r"activate: auth: passed over, unchanged",
        r"trust_docker: DOCKER_TRUST counts as insecure",
    ):
        machine.wait_for(pattern, lambda pattern=pattern: re.search(pattern, said()))  # type: ignore[misc]
    debugged = [entry for entry in machine.journal(after=mark) if entry["MESSAGE"].startswith("debug: ")]
    assert {entry["PRIORITY"] for entry in debugged} == {"7"}
    assert {"secure-registry-apply.service", f"{WATCHDOG}.service"} == {entry["_SYSTEMD_UNIT"] for entry in debugged}

    told = [
        machine.run("secure-registry", *argv, input=given, env=environment).stderr
        for argv, given, environment in (
            (["setup", "--debug"], None, {"PASSWORD": GIVEN}),
            (["htpasswd", "-i", "bob", "--debug"], f"{BOB}\n", {}),
            (["gencert", "--debug"], None, {}),
            (["reload", "--debug"], None, {}),
            (["restart", "--debug"], None, {}),
            (["trust", "install", "docker", "--debug"], None, {}),
            (["status", "--debug"], None, {}),
        )
    ]
    assert all("debug: " in one and ": exit code 0" in one for one in told), told
    assert "what that does is in the journal; in such detail after: systemctl set-environment" in told[4]
    machine.run("systemctl", "unset-environment", "SECREG_DEBUG")
    machine.run("systemctl", "restart", WATCHDOG)
    machine.write(f"{ETC}/.password", f"{GIVEN}\n", 0o600)  # it went with the first PASSWORD
    known |= secrets_of(watched)
    everything = "\n".join([*told, *(str(entry) for entry in machine.journal())])
    assert [secret for secret in known if secret in everything] == []
