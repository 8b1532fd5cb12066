"""`--debug`: what is run, what is decided, how long it takes; and no secret, whatever is typed."""

from __future__ import annotations

import re

import pytest

from tests.real.program import Instance

GIVEN = "correct-horse-battery"
BOB = "secret-of-bob"


def secrets_of(instance: Instance) -> set[str]:
    """Passwords, hashes, the users' number, and every line of a key or of a secret of the program's own."""
    etc, state, live = instance.etc, instance.lib / "state", instance.root / "run/secure-registry/users/live"
    found = {GIVEN, BOB}
    found |= {line.partition(":")[2] for line in (etc / ".htpasswd").read_text().splitlines()}
    for path in (etc / "docker-registry.key", state / "ca.key"):
        found |= {line for line in path.read_text().splitlines() if not line.startswith("-----")}
    for path in (state / "http.secret", state / "front.secret"):
        found.add(path.read_text().strip().rpartition("=")[2])
    found |= {live.readlink().name} if live.is_symlink() else set()
    assert all(len(one) > 8 for one in found), found
    return found


@pytest.mark.promise("debug")
def test_debugging_shows_programs_and_decisions_and_no_secret(instance: Instance) -> None:
    told = [instance.run("setup", "--debug", PORT=str(instance.port), PASSWORD=GIVEN)]
    first = told[0].stderr
    known = secrets_of(instance)
    assert re.search(r"(?m)^debug: +\d+ ms process: ran .*/nginx .* -t: exit status 0, \d+ ms$", first), first
    assert re.search(r"(?m)^debug: +\d+ ms choice: wanted: generation \w+, registry in slot a$", first), first
    assert "seen: part nginx: good\n" in first and f"files: wrote {instance.etc}/nginx.conf" in first
    again = instance.run("setup", "--debug")
    assert "it was found good a moment ago: not tried again" in again.stderr

    instance.start("--watch", "--debug")
    known |= secrets_of(instance)
    assert any(len(one) == 32 for one in known), "the users' number"
    told.append(instance.run("htpasswd", "-i", "bob", "--debug", input=f"{BOB}\n"))
    told.append(instance.run("gencert", "--debug"))
    told.append(instance.run("reload", "--debug"))
    known |= secrets_of(instance)
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


URLS = {
    "an included file": ("nginx.conf", "http {", "http { include https://me:{}@host/x.conf;"),
    "a certificate": ("nginx.conf", "http {", "http { ssl_trusted_certificate https://me:{}@host/x;"),
    "a file elsewhere": ("nginx.conf", "http {", "http { ssl_trusted_certificate /https://me:{}@host/x;"),
    "a program": ("secure-registry.conf", "#CERT_DAYS=397", "REGISTRY_BINARY=/https://me:{}@host/x"),
    "images": ("docker-registry.yml", "rootdirectory: ", "rootdirectory: /dev/null/https://me:{}@host/x#"),
    "settings of OpenSSL": ("openssl.cnf", "[req]", ".include https://me:{}@host/x\n[req]"),
}
"""File, what stands there, and what is written in its place."""


@pytest.mark.promise("passwords-in-urls")
def test_no_password_of_a_url_is_told(serving: Instance) -> None:
    """Messages name paths and programs, and somebody may have put a URL there."""
    for what, (name, old, new) in URLS.items():
        before = serving.edit(name, old, new.replace("{}", "hunter2/x"))
        told = [serving.reload(), serving.run("reload", "--debug").stderr]
        told += [serving.run("status").stdout, serving.run("status", "--json").stdout]
        blamed = name if what != "a file elsewhere" else "/https://xxxxx@host/x"  # it is no certificate
        assert all("rejected" in one and blamed in one for one in told[::2]), (what, told)
        assert "hunter2" not in "".join(told), (what, told)
        if what != "settings of OpenSSL":
            assert "xxxxx@host" in told[0], (what, told)
        serving.write(name, before)
    assert "rejected" not in serving.reload() and "hunter2" not in "".join(serving.said)
