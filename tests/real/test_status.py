"""`status` by components: each is asked itself, and what is not there is named, for people, programs and monitoring."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.real.certmaker import SERVER, Maker
from tests.real.program import CHECKOUT, Instance
from tests.real.test_life import children

SCHEMA = json.loads((CHECKOUT / "templates/observe/status.schema.json").read_text())


def look(instance: Instance, code: int) -> dict[str, dict[str, Any]]:
    """The components of `status --json`, by name, which keeps its schema; `status` and its check agree with it."""
    done = instance.run("status", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    assert instance.run("status").returncode == code
    return {one["component"]: one for one in found["components"]} | {"": found}


def check(instance: Instance) -> tuple[int, str]:
    done = instance.run("status", "--check")
    assert done.stdout.count("\n") == 1 and done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.promise("nagios", "status-asks", "status-schema")
def test_all_is_well(serving: Instance) -> None:
    found = look(serving, 0)
    assert {name: one.get("condition") for name, one in found.items() if name} == dict.fromkeys(
        ("front", "passwords", "registry", "manifests", "store", "certificate", "users", "clients", "watchdog", "boot"),
        "ok",
    )
    assert found[""]["serving"] and found["registry"]["facts"]["version"] and found["store"]["facts"]["free"] > 0
    code, line = check(serving)
    assert code == 0 and line.startswith("SECURE-REGISTRY OK - serves https://")
    text = serving.run("status").stdout
    assert text.startswith("secure-registry serves since ")
    for word in ("front", "passwords", "registry", "manifests", "store", "certificate", "users", "watchdog", "boot"):
        assert f"\n  {word:<12} " in text


def test_serves_since_survives_an_apply(serving: Instance) -> None:
    before = look(serving, 0)[""]
    serving.edit("docker-registry.yml", "level: warn", "level: error")
    serving.reload()
    after = look(serving, 0)[""]
    assert after["generation"] != before["generation"] and after["since"] == before["since"]
    assert [one["since"] for one in after["components"]] == [one["since"] for one in before["components"]]


@contextmanager
def stopped(instance: Instance, name: str) -> Iterator[None]:
    """The processes whose command line has `name`, stopped (SIGSTOP)."""
    masters = children(instance, name)
    pids = [
        *masters,
        *(int(pid) for one in masters for pid in Path(f"/proc/{one}/task/{one}/children").read_text().split()),
    ]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.promise("nagios", "status-asks", "status-schema")
@pytest.mark.parametrize(
    ("process", "component"), [("auth/nginx.conf", "passwords"), ("front/nginx.conf", "front"), ("serve", "registry")]
)
def test_what_hangs_is_named(serving: Instance, process: str, component: str) -> None:
    """Seen: "serves", exit code 0, with the password check stopped."""
    before = look(serving, 0)[""]
    with stopped(serving, process):
        found = look(serving, 3)
        assert found[component]["condition"] == "down" and found[component]["remedy"]
        assert found[component]["event"] == "down" and not found[""]["serving"] and component in found[""]["down"]
        code, line = check(serving)
        assert code == 2 and line.startswith("SECURE-REGISTRY CRITICAL - ") and component in line
    assert look(serving, 0)[""]["since"] >= before["since"]


def test_a_store_that_is_gone_is_named_and_not_made(serving: Instance) -> None:
    storage = serving.lib / "storage"
    aside = storage.with_name("aside")
    storage.rename(aside)
    found = look(serving, 3)
    assert found["store"]["condition"] == "down" and not storage.exists() and not found[""]["serving"]
    aside.rename(storage)
    mode = storage.stat().st_mode
    storage.chmod(0o500)
    assert look(serving, 3)["store"]["condition"] == "down"
    storage.chmod(mode)
    assert look(serving, 0)["store"]["condition"] == "ok"


def test_nobody_to_log_in_is_no_service(serving: Instance) -> None:
    (serving.etc / ".htpasswd").write_text("")
    serving.reload()
    assert look(serving, 3)["users"]["condition"] == "down"


def test_a_check_of_what_was_never_set_up(instance: Instance) -> None:
    instance.run("setup", PORT=str(instance.port))
    shutil.rmtree(instance.lib / "generations")
    code, line = check(instance)
    assert code == 2 and "CRITICAL" in line


@pytest.mark.promise("nagios")
def test_what_is_held_back_is_a_warning_for_monitoring(serving: Instance) -> None:
    serving.edit("docker-registry.yml", "version: 0.1", "version: 9")
    serving.reload()
    assert look(serving, 3)[""]["rejected"][0]["since"]
    code, line = check(serving)
    assert code == 1 and "WARNING" in line and "docker-registry.yml" in line


@pytest.mark.promise("some-clients-refuse")
def test_what_some_clients_refuse_is_a_warning_for_monitoring(serving: Instance, tmp_path: Path) -> None:
    """Seen: OK, while every client in Go refused the certificate."""
    extensions = [one for one in SERVER if not one.startswith(("authorityKeyIdentifier", "subjectAltName"))]
    extensions.append("subjectAltName = DNS:localhost")
    pss = Maker(tmp_path).make(None, *extensions, key="RSA-PSS")
    serving.write("docker-registry.key", pss.key)
    serving.write("docker-registry.crt", pss.crt)
    assert "rejected" not in serving.reload()
    found = look(serving, 0)["certificate"]
    assert (found["condition"], found["event"]) == ("warning", "") and "clients in Go" in found["said"]
    code, line = check(serving)
    assert code == 1 and line.startswith("SECURE-REGISTRY WARNING - ") and "RSASSA-PSS alone; clients in Go" in line
