"""`--debug`: what is run, what is decided, how long it takes; and no secret, whatever is typed."""

from __future__ import annotations

import re
from pathlib import Path

from tests.real.program import Instance

GIVEN = "correct-horse-battery"
BOB = "secret-of-bob"


def secrets_of(etc: Path, state: Path) -> set[str]:
    """Passwords, hashes, and every line of a key or of a secret of the program's own."""
    found = {GIVEN, BOB}
    found |= {line.partition(":")[2] for line in (etc / ".htpasswd").read_text().splitlines()}
    for path in (etc / "docker-registry.key", state / "ca.key"):
        found |= {line for line in path.read_text().splitlines() if not line.startswith("-----")}
    for path in (state / "http.secret", state / "front.secret"):
        found.add(path.read_text().strip().rpartition("=")[2])
    assert all(len(one) > 8 for one in found), found
    return found


def test_debugging_shows_programs_and_decisions_and_no_secret(instance: Instance) -> None:
    state = instance.lib / "state"
    told = [instance.run("setup", "--debug", PORT=str(instance.port), PASSWORD=GIVEN)]
    first = told[0].stderr
    known = secrets_of(instance.etc, state)
    assert re.search(r"(?m)^debug: +\d+ ms process: ran .*/nginx .* -t: exit status 0, \d+ ms$", first), first
    assert re.search(r"(?m)^debug: +\d+ ms choice: wanted: generation \w+, registry in slot a$", first), first
    assert "seen: part nginx: good\n" in first and f"files: wrote {instance.etc}/nginx.conf" in first
    again = instance.run("setup", "--debug")
    assert "it was found good a moment ago: not tried again" in again.stderr

    instance.start("--watch", "--debug")
    told.append(instance.run("htpasswd", "-i", "bob", "--debug", input=f"{BOB}\n"))
    told.append(instance.run("gencert", "--debug"))
    told.append(instance.run("reload", "--debug"))
    known |= secrets_of(instance.etc, state)
    instance.wait_for("a look", lambda: instance.has_said("watch: looked: it is what the last apply saw"))
    instance.edit("nginx.conf", "worker_processes", "nonsense; worker_processes")
    seen = f"changed since the last look: {instance.etc}/nginx.conf\n"
    instance.wait_for("the watchdog", lambda: instance.has_said(seen))
    instance.wait_for("the verdict", lambda: instance.has_said("choice: with nginx: bad"))
    instance.edit("nginx.conf", "nonsense; ", "")
    told.append(instance.run("status", "--debug"))
    assert instance.stop() == 0
    assert [one.returncode for one in told][:-1] == [0] * (len(told) - 1), told
    assert instance.has_said("seen: part nginx: good, unchanged\n")
    assert instance.has_said(" nginxmaster: SIGHUP to process ") and instance.has_said(" probe: probe of 127.0.0.1:")

    everything = "".join([*instance.said, *(one.stdout + one.stderr for one in [*told, again])])
    assert [secret for secret in known if secret in everything] == []
    assert not any("debug:" in instance.run(verb).stderr for verb in ("setup", "status"))
