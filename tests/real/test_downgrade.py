"""Back to 0.1, and up again: each program reads what the other one wrote, or passes it over."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secreg_host.host.host import Host
from secreg_host.services import units
from tests.real.program import CHECKOUT, OLD, unpacked

WRITE = """
entries = [Write(host.paths.key, b"new key", 0o600), Write(host.paths.crt, b"new crt")]
made = generation()
generations.stage(host, made, {"front/generation.conf": b"z"})
generations.flip(host, made.name)
finding = Finding("rejected", "nginx", Problem("nginx.conf:1", "wrong", "mend it"))
report.save(host.paths, Report(made.name, 1.5, (finding,), {"nginx": 2.0}, "f", ("/x",), "c"))
Ledger(host.paths).record([Write(host.paths.nginx_conf, b"x")])
defaults.facts(host)
mine = {"before": "{}", "wrote": "d", "added": ["a"], "made": True}
docker = {"failed": "", "path": "/x", "variable": "", "mine": mine, "problem": ["a", "b", "c"]}
clients = trust.Trust(host, None)
save = clients.kept.save if hasattr(clients, "kept") else clients._save  # as 0.1 has it
for key, value in {"docker": docker, "k3s": mine, "files": {"podman": {"/y": "d"}}}.items():
    save(key, value)
redo, records.redo = records.redo, lambda _: None  # killed before it was finished
records.write_together(host.paths, entries)
records.redo = redo
"""
READ = """
before = (host.paths.state / "facts.json").read_bytes()
name = generations.current_name(host)
found = generations.load(host, name)
said = json.loads((host.paths.current / "generation.json").read_bytes())["parts"]
known = report.load(host.paths)
records.redo(host.paths)
ledger = Ledger(host.paths)
ledger.record([Write(host.paths.openssl_cnf, b"y")])
print(json.dumps({
    "generation": found and [name == found.name, found.slot, sorted(found.files), said["registry"]["facts"]["root"]],
    "report": [known.generation == name, known.since, known.findings[0].problem.what, known.waiting, known.sources],
    "ledger": [ledger.wrote(host.paths.nginx_conf, b"x"), ledger.knows(host.paths.openssl_cnf)],
    "facts": [defaults.facts(host).hostname != "", (host.paths.state / "facts.json").read_bytes() == before],
    "trust": [trust.Trust(host, None).told(), trust.Trust(host, None)._docker_record().mine.added],
    "pending": [host.paths.key.read_text(), host.paths.crt.read_text(), host.paths.pending.exists()],
}))
"""
BEGIN = """
import importlib, json, os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
def module(name):  # 0.1 had no rooms
    (path,) = (one for one in Path(sys.argv[1], "secreg_host").rglob(f"{name}.py") if one.parent.name != "verbs")
    return importlib.import_module(".".join(path.relative_to(sys.argv[1]).with_suffix("").parts))
defaults, generations, records, report, trust = map(module, ("defaults", "generations", "records", "report", "trust"))
Account, Accounts, Host = module("process").Account, module("host").Accounts, module("host").Host
Finding, Generation, Ledger = report.Finding, generations.Generation, records.Ledger
Paths, Problem = module("paths").Paths, module("errors").Problem
Report, Write = report.Report, records.Write
me = Account("me", os.geteuid(), os.getegid())
host = Host(Paths(Path(sys.argv[2])), Accounts(me, me, me))
host.paths.etc.mkdir(parents=True, exist_ok=True)
def generation():
    facts = {
        "certificate": {"fingerprint": "f", "not_before": "2026-01-01T00:00:00+00:00", "names": ["a.example"],
                        "not_after": "2027-01-01T00:00:00+00:00"},
        "nginx": {"listens": [], "outside": {}, "origin": {}, "own_pair": True, "watched": []},
        "registry": {"root": "/srv", "auth": False, "more": "", "headers": []},
        "settings": {"port": 5000},
        "users": {"epoch": "e"},
    }
    if "wanted" not in os.listdir(Path(sys.argv[1], "secreg_host")):
        old = module("parts")
        parts = {name: old.Part({f"front/{name}": b"x"}, facts[name], ("/x",)) for name in old.ALL}
    else:
        made = [one.restored({f"front/{one.NAME}": b"x"}, ("/x",), facts[one.NAME]) for one in module("kinds").ALL]
        parts = module("part").Parts(*made)
    return Generation(parts, "a", {"auth/y": b""})
"""


@pytest.fixture(scope="module")
def old() -> Iterator[Path]:
    with unpacked(OLD) as where:
        yield where


def program(where: Path, root: Path, script: str) -> Any:
    argv = [sys.executable, "-IBc", BEGIN + script, str(where), str(root)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def test_each_reads_the_records_of_the_other(old: Path, tmp_path: Path) -> None:
    """But for the generation that serves: users are no part of ours, so 0.1 makes one of its own."""
    expected: dict[str, Any] = {
        "report": [True, 1.5, "wrong", {"nginx": 2.0}, ["/x"]],
        "ledger": [True, True],
        "facts": [True, True],
        "pending": ["new key", "new crt", False],
    }
    names = ("certificate", "nginx", "registry", "settings")
    files = ["auth/y", *(f"front/{name}" for name in names)]
    generation = [True, "a", files, "/srv"]
    of_old = [True, "a", [*files, "front/users"], "/srv"]
    for writer in (old, CHECKOUT):
        for reader in (old, CHECKOUT):
            root = tmp_path / f"{writer.name}-{reader.name}"
            program(writer, root, WRITE)
            for _ in range(2):  # the second time what the reader itself has written since
                found = program(reader, root, READ)
                told, added = found.pop("trust")
                assert (len(told), added) == (3, ["a"])
                made = of_old if writer == old else generation if reader == CHECKOUT else None
                assert found == expected | {"generation": made}


UNITS = """
account = lambda name: Account(f"secure-registry{name}", 1, 1)
host = Host(Paths(Path("/")), Accounts(*map(account, ("-nginx", "-auth", ""))))
find, parts, settings = module("host"), module("parts"), module("settings").Settings()
hosts = (("/usr/sbin/nginx", "/var/lib/secure-registry/storage"), ("/opt/an nginx", "/srv/x y"), ("/n", None))
for nginx, storage in hosts:
    find.nginx, find.registry = lambda _: Path(nginx), lambda _: Path("/usr/bin/docker-registry")
    parts.settings_of = lambda _: settings
    of_registry = parts.Part({}, {"root": storage}, ())
    made = module("units").render(host, {parts.SETTINGS: None, parts.REGISTRY: of_registry})
    print(json.dumps({path.name: data.decode() for path, data in made.items()}))
"""


def test_units_of_the_old_program_are_no_edits(old: Path, host: Host) -> None:
    """After a downgrade they stand in the place of ours, which are on record: they are replaced, and not kept."""
    argv = [sys.executable, "-IBc", BEGIN + UNITS, str(old), str(host.paths.root / "none")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    host.paths.units.mkdir(parents=True)
    host.paths.state.mkdir(parents=True)
    for line in done.stdout.splitlines():
        theirs = {host.paths.units / name: text.encode() for name, text in json.loads(line).items()}
        assert len(theirs) == 3
        units.write(host, dict.fromkeys(theirs, b"ours\n"))
        for path, data in theirs.items():
            path.write_bytes(data)
        assert set(units.remove(host)[0]) == set(theirs)
        for path, data in theirs.items():
            path.write_bytes(data.replace(b"LimitCORE=0\n", b""))
        assert units.write(host, dict.fromkeys(theirs, b"ours\n")) is True
        kept = list(host.paths.units.glob("*.bak-*"))
        assert len(kept) == 3, "what somebody edited is kept"
        for path in kept:
            path.unlink()
